//! Runs as processes beside the operator, found again by their folders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use zhengyun_domain::recovery::run::{Fault, Sighting, Standing};

use super::folder::{self, HEARTBEAT, IDENTITY, KEPT, LOG, ORDER, REPORT, SECRETS, failed};
use super::identity::Identity;
use super::launch::Order;
use super::{Argument, Executor, ExecutorError, RunId, Task};

/// How much of a log's end is looked at, in bytes.
const TAIL: usize = 16 * 1024;

/// Runs programs of a folder as processes of their own.
#[derive(Debug)]
pub struct ProcessExecutor {
    /// Where the folders of runs are.
    runs: PathBuf,
    /// Where the programs are.
    programs: PathBuf,
    /// The operator's own program, for its command `launch`.
    launcher: PathBuf,
    /// Processes that this very operator started; until they wrote down who they are, they are known here alone.
    children: Mutex<HashMap<RunId, Child>>,
}

#[derive(Deserialize)]
struct Beat {
    standing: Standing,
}

#[derive(Deserialize)]
struct LastWord {
    error: Fault,
}

impl ProcessExecutor {
    /// An executor with its folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn new(runs: &Path, programs: PathBuf, launcher: PathBuf) -> Result<Self, ExecutorError> {
        folder::make(runs)?;
        let runs = std::fs::canonicalize(runs).map_err(failed(runs))?;
        Ok(Self { runs, programs, launcher, children: Mutex::default() })
    }

    fn folder(&self, run: &RunId) -> PathBuf {
        self.runs.join(run.as_str())
    }

    /// The process of a run, if it lives.
    fn living(&self, run: &RunId) -> Result<Option<Identity>, ExecutorError> {
        let Some(text) = folder::read(&self.folder(run).join(IDENTITY))? else { return Ok(None) };
        Ok(serde_json::from_slice::<Identity>(&text).ok().filter(Identity::lives))
    }

    /// Whether a process that this operator started has not ended. Asking takes one that has off the system's list.
    fn child_lives(&self, run: &RunId) -> bool {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let lives = children.get_mut(run).is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if !lives {
            children.remove(run);
        }
        lives
    }

    fn lives(&self, run: &RunId) -> Result<bool, ExecutorError> {
        Ok(self.child_lives(run) || self.living(run)?.is_some())
    }

    fn signal(&self, run: &RunId, signal: Signal) -> Result<(), ExecutorError> {
        let Some(process) = self.living(run)? else { return Ok(()) };
        process.signal(signal).map_err(|error| failed(&self.folder(run))(error.into()))
    }

    fn spell(folder: &Path, argument: &Argument) -> Result<String, ExecutorError> {
        let path = match argument {
            Argument::Text(text) => return Ok(text.clone()),
            Argument::Secret(name) => folder.join(SECRETS).join(name),
            Argument::Kept(name) => folder.join(KEPT).join(name),
            Argument::File(name) => folder::of_attempt(folder, name),
        };
        path.into_os_string().into_string().map_err(|path| ExecutorError::Folder {
            path: path.to_string_lossy().into_owned(),
            cause: "its name is no UTF-8".to_owned(),
        })
    }

    fn running(folder: &Path) -> Result<Sighting, ExecutorError> {
        let beat = folder::read(&folder.join(HEARTBEAT))?.and_then(|text| serde_json::from_slice::<Beat>(&text).ok());
        let since = [HEARTBEAT, ORDER]
            .iter()
            .filter_map(|name| std::fs::metadata(folder.join(name)).ok()?.modified().ok())
            .max()
            .and_then(|at| SystemTime::now().duration_since(at).ok())
            .unwrap_or(Duration::ZERO);
        let standing = beat.map_or_else(Standing::default, |beat| beat.standing);
        Ok(Sighting::Running { standing, silent_seconds: since.as_secs() })
    }

    /// What a process that is gone left behind.
    fn ended(folder: &Path) -> Result<Sighting, ExecutorError> {
        let log = folder::read(&folder.join(LOG))?.unwrap_or_default();
        let tail = log.get(log.len().saturating_sub(TAIL)..).unwrap_or_default();
        let tail = String::from_utf8_lossy(tail);
        let last = tail.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let report = folder::read(&folder.join(REPORT))?.unwrap_or_default();
        let report = serde_json::from_slice::<Value>(&report).ok();
        if let Ok(word) = serde_json::from_str::<LastWord>(last) {
            let said = std::fs::metadata(folder.join(LOG)).and_then(|meta| meta.modified()).ok();
            let ago = said.and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or(Duration::ZERO);
            let report = report.map(Box::new);
            return Ok(Sighting::Failed(Fault { seconds_ago: ago.as_secs(), report, ..word.error }));
        }
        if let Some(report) = report {
            return Ok(Sighting::Done(report));
        }
        // A program that refuses its arguments or dies of a fault of its own says so in words; it would say so again.
        if !last.is_empty() && serde_json::from_str::<Value>(last).is_err() {
            let message = zhengyun_domain::condition::cut(tail.trim().to_owned(), 1500);
            // What it did before, it did not say.
            let fault = Fault { reason: "WorkerRefused".to_owned(), message, wrote: true, ..Fault::default() };
            return Ok(Sighting::Failed(fault));
        }
        Ok(Sighting::Lost)
    }
}

impl Executor for ProcessExecutor {
    fn start(&self, run: &RunId, task: &Task) -> Result<(), ExecutorError> {
        if self.lives(run)? {
            return Ok(());
        }
        let program = self.programs.join(task.program);
        if !program.is_file() {
            return Err(ExecutorError::NoProgram(program.display().to_string()));
        }
        let folder = self.folder(run);
        folder::make(&folder)?;
        folder::clear(&folder)?;
        folder::prepare(&folder)?;
        for (name, content) in &task.secrets {
            folder::write(&folder.join(SECRETS).join(name), content.expose_secret().as_bytes())?;
        }
        let arguments = task.arguments.iter().map(|a| Self::spell(&folder, a)).collect::<Result<_, _>>()?;
        let spawn = |cause: String| ExecutorError::Spawn { program: task.program.to_owned(), cause };
        let order = serde_json::to_vec(&Order { program, arguments }).map_err(|e| spawn(e.to_string()))?;
        folder::write(&folder.join(ORDER), &order)?;
        let log = folder.join(LOG);
        let log = folder::appending(&log)?;
        let child = Command::new(&self.launcher)
            .arg("launch")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Until it is the program, what it says is why it could not become it.
            .stderr(log)
            .spawn()
            .map_err(|e| spawn(format!("{}: {e}", self.launcher.display())))?;
        self.children.lock().unwrap_or_else(PoisonError::into_inner).insert(run.clone(), child);
        Ok(())
    }

    fn observe(&self, run: &RunId) -> Result<Sighting, ExecutorError> {
        let folder = self.folder(run);
        if !folder.join(ORDER).exists() {
            return Ok(Sighting::Absent);
        }
        if self.lives(run)? {
            return Self::running(&folder);
        }
        // It may have ended between the two looks; what it left counts, and nothing else.
        Self::ended(&folder)
    }

    fn of(&self, uid: &str) -> Result<Vec<RunId>, ExecutorError> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.runs).map_err(failed(&self.runs))? {
            let name = entry.map_err(failed(&self.runs))?.file_name();
            found.extend(name.to_str().and_then(|name| RunId::read(uid, name)));
        }
        found.sort();
        Ok(found)
    }

    fn cancel(&self, run: &RunId) -> Result<(), ExecutorError> {
        self.signal(run, Signal::TERM)
    }

    fn kill(&self, run: &RunId) -> Result<(), ExecutorError> {
        self.signal(run, Signal::KILL)
    }

    fn file(&self, run: &RunId, name: &str) -> Result<Option<Vec<u8>>, ExecutorError> {
        let folder = self.folder(run);
        match folder::read(&folder::of_attempt(&folder, name))? {
            Some(content) => Ok(Some(content)),
            None => folder::read(&folder.join(KEPT).join(name)),
        }
    }

    fn remove(&self, run: &RunId) -> Result<(), ExecutorError> {
        if self.lives(run)? {
            return Ok(());
        }
        folder::remove(&self.folder(run))
    }
}
