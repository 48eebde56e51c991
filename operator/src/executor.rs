//! Where runs are carried out: a seam. A run is long, so it is never awaited here: it is started, observed and cancelled.
//!
//! [`process::ProcessExecutor`] carries runs out in processes of their own beside the operator. They outlive it: the next operator finds
//! them by the folder of the run. Another executor can carry them out elsewhere, as Jobs at a site.

mod folder;
mod identity;
pub mod launch;
pub mod process;

use std::fmt;

use secrecy::SecretString;
use zhengyun_domain::recovery::run::Sighting;

/// Longest name of a run, in bytes.
const MAX_NAME: usize = 128;

/// Which run. Its name becomes the name of a folder, so it holds nothing but lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    /// A run of an object: its UID and what is done.
    ///
    /// # Errors
    /// When the parts are no names.
    pub fn new(uid: &str, what: &str) -> Result<Self, ExecutorError> {
        let name = format!("{uid}-{what}");
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if uid.is_empty() || name.len() > MAX_NAME || name.starts_with('-') || !name.bytes().all(plain) {
            return Err(ExecutorError::Name(name));
        }
        Ok(Self(name))
    }

    /// Of a name that belongs to an object; none if it is another's.
    pub fn read(uid: &str, name: &str) -> Option<Self> {
        Self::new(uid, name.strip_prefix(uid)?.strip_prefix('-')?).ok()
    }

    /// What is done.
    pub fn what(&self, uid: &str) -> &str {
        self.0.strip_prefix(uid).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An argument of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// As it stands. Never a secret: arguments can be read by everybody on the machine.
    Text(String),
    /// The path of a secret of the task.
    Secret(&'static str),
    /// The path of a file that the run keeps: it is there again when the run is taken up.
    Kept(&'static str),
    /// The path of a file of one attempt.
    File(&'static str),
}

/// What is to be done.
#[derive(Debug)]
pub struct Task {
    /// Name of the program.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// Files that only the program may read.
    pub secrets: Vec<(&'static str, SecretString)>,
}

impl Task {
    /// A task of a program, which reports progress as JSON and shows that it lives.
    pub fn of(program: &'static str, command: &str) -> Self {
        let mut task = Self { program, arguments: Vec::new(), secrets: Vec::new() };
        task.text("--progress").text("json").text("--heartbeat-file");
        task.arguments.push(Argument::File(folder::HEARTBEAT));
        task.text(command);
        task
    }

    /// Adds an argument.
    pub fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.arguments.push(Argument::Text(text.into()));
        self
    }

    /// Adds an option with its value.
    pub fn option(&mut self, flag: &str, value: impl Into<String>) -> &mut Self {
        self.text(flag).text(value)
    }

    /// Adds an option that names a file of secrets.
    pub fn secret(&mut self, flag: &str, name: &'static str, content: SecretString) -> &mut Self {
        self.text(flag).arguments.push(Argument::Secret(name));
        self.secrets.push((name, content));
        self
    }

    /// Adds an option that names a file or folder that the run keeps.
    pub fn kept(&mut self, flag: &str, name: &'static str) -> &mut Self {
        self.text(flag).arguments.push(Argument::Kept(name));
        self
    }

    /// Adds an option that names a file of one attempt.
    pub fn file(&mut self, flag: &str, name: &'static str) -> &mut Self {
        self.text(flag).arguments.push(Argument::File(name));
        self
    }
}

/// Why something could not be done with a run.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The name of a run is none.
    #[error("\"{0}\" is no name of a run: lower-case letters, digits and hyphens, at most {MAX_NAME}")]
    Name(String),
    /// The folder of the runs cannot be used.
    #[error("--recovery-dir: {path}: {cause}; make it a folder that the operator can write")]
    Folder {
        /// File or folder.
        path: String,
        /// What happened.
        cause: String,
    },
    /// A program is not there.
    #[error("--worker-dir: there is no program {0}; name the folder that holds it")]
    NoProgram(String),
    /// No process could be started.
    #[error("{program} could not be started: {cause}")]
    Spawn {
        /// Program.
        program: String,
        /// What happened.
        cause: String,
    },
}

/// Carries runs out. Every call may block for moments, and is safe to repeat.
pub trait Executor: fmt::Debug + Send + Sync {
    /// Whether calls may block for moments, so that they are made on threads of their own. One that never does is called at once.
    fn blocks(&self) -> bool {
        true
    }

    /// Starts a run, unless it lives. What an attempt before it kept is there again; what it said is gone.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(&self, run: &RunId, task: &Task) -> Result<(), ExecutorError>;

    /// What is seen of a run.
    ///
    /// # Errors
    /// When nothing can be told about it, which says nothing about the run.
    fn observe(&self, run: &RunId) -> Result<Sighting, ExecutorError>;

    /// Every run of an object that stands here, whether it lives or not.
    ///
    /// # Errors
    /// When that cannot be told.
    fn of(&self, uid: &str) -> Result<Vec<RunId>, ExecutorError>;

    /// Asks a run to stop at its next step.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn cancel(&self, run: &RunId) -> Result<(), ExecutorError>;

    /// Ends a run that does not listen.
    ///
    /// # Errors
    /// When it cannot be ended.
    fn kill(&self, run: &RunId) -> Result<(), ExecutorError>;

    /// A file that the present attempt wrote, or one that the run keeps; none if there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    fn file(&self, run: &RunId, name: &str) -> Result<Option<Vec<u8>>, ExecutorError>;

    /// Takes everything about a run away, unless it lives.
    ///
    /// # Errors
    /// When something cannot be removed.
    fn remove(&self, run: &RunId) -> Result<(), ExecutorError>;
}

#[cfg(test)]
mod tests {
    use super::RunId;

    #[test]
    fn the_name_of_a_run_is_never_a_way_out_of_its_folder() {
        assert!(RunId::new("0a1b", "backup").is_ok());
        for (uid, what) in [
            ("..", "x"),
            ("", "x"),
            ("a/b", "x"),
            ("a", "../x"),
            ("a", "x\0"),
            ("A", "x"),
            ("-a", "x"),
            (&"a".repeat(200), "x"),
        ] {
            assert!(RunId::new(uid, what).is_err(), "{uid:?} {what:?}");
        }
    }
}
