//! PostgreSQL's own programs: `pg_dump` and `pg_restore`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::login::Login;
use super::{DatabaseArgs, Server};
use crate::control::Control;
use crate::error::{Result, WorkerError};

/// How much of what a program says at its end is kept, in bytes.
const KEPT: usize = 8 * 1024;
/// How soon a cancelled run ends its program.
const NAP: Duration = Duration::from_millis(100);
/// A server that is gone without a word, such as one whose machine lost its power, is noticed within two minutes.
const NOTICE: &str = "keepalives_idle=60 keepalives_interval=15 keepalives_count=4 tcp_user_timeout=120000";

/// A program of PostgreSQL's.
#[derive(Clone, Debug)]
pub struct Tool {
    name: &'static str,
    path: PathBuf,
    /// Version, such as `15.18`.
    pub version: String,
    /// Major version.
    pub major: u32,
}

impl Tool {
    /// Looks for a program and asks it for its version.
    pub fn find(name: &'static str, args: &DatabaseArgs) -> Result<Self> {
        let path = args.postgres_bin.as_ref().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        let missing = |cause: String| WorkerError::ToolMissing { tool: name.to_owned(), cause };
        let output = bare(&path).arg("--version").output().map_err(|e| missing(format!("{}: {e}", path.display())))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().nth(2).unwrap_or_default().to_owned();
        let major = version.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
        match major {
            Some(major) if output.status.success() => Ok(Self { name, path, version, major }),
            _ => Err(missing(format!("{} --version says \"{}\"", path.display(), text.trim()))),
        }
    }

    /// The program on a server. Everything secret goes by the environment, which nobody else can read; nothing is inherited.
    pub fn on(&self, server: &Server, scratch: &Path) -> Result<Command> {
        let mut command = self.alone(scratch);
        let login: &Login = &server.login;
        command.env("PGHOST", &login.host).env("PGHOSTADDR", server.address.to_string());
        command.env("PGPORT", login.port.to_string()).env("PGUSER", &login.user);
        command.env("PGPASSWORD", login.password.reveal());
        // As the value of a connection string, so that no name is taken for one; the rest can be given nowhere else.
        let quoted = login.database.replace('\\', "\\\\").replace('\'', "\\'");
        command.arg(format!("--dbname=dbname='{quoted}' {NOTICE}"));
        command.env("PGAPPNAME", format!("{}-{}", super::APPLICATION, self.name)).env("PGCONNECT_TIMEOUT", "10");
        command.env("PGGSSENCMODE", "disable");
        match &login.ca {
            Some(ca) => {
                let file = scratch.join("ca.pem");
                std::fs::write(&file, ca).map_err(|e| WorkerError::local(&file, e))?;
                command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", file);
            }
            None => {
                command.env("PGSSLMODE", "disable");
            }
        }
        Ok(command)
    }

    /// The program without a server.
    pub fn alone(&self, scratch: &Path) -> Command {
        let mut command = bare(&self.path);
        // There a client library would look for more files of its own.
        command.env("HOME", scratch).current_dir(scratch);
        command
    }
}

fn bare(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // What it says is shown to people of any language, and looked at by nobody else.
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// How long a program may be waited for that writes nothing.
#[derive(Debug)]
struct Silence {
    limit: Duration,
    /// Since when it is waited for.
    since: Mutex<Option<Instant>>,
}

impl Silence {
    fn is_over(&self) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= self.limit)
    }

    fn set(&self, since: Option<Instant>) {
        let mut waits = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        // What was found to be silent stays so.
        if !waits.is_some_and(|since| since.elapsed() >= self.limit) {
            *waits = since;
        }
    }
}

/// What a program writes, listened to: only the time in which nothing else holds it up counts as silence.
#[derive(Debug)]
pub struct Heard<'a> {
    stdout: &'a mut ChildStdout,
    silence: &'a Silence,
}

impl Read for Heard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.silence.set(Some(Instant::now()));
        let read = self.stdout.read(buffer);
        self.silence.set(None);
        read
    }
}

/// A program that runs. It ends with this, and soon after the run was cancelled.
#[derive(Debug)]
pub struct Running {
    child: Arc<Mutex<Child>>,
    said: Option<JoinHandle<String>>,
    watch: Option<JoinHandle<()>>,
    done: Arc<std::sync::atomic::AtomicBool>,
    silence: Arc<Silence>,
    /// What it writes, if that is read here.
    pub stdout: Option<ChildStdout>,
    /// What it reads, if that is written here.
    pub stdin: Option<ChildStdin>,
}

impl Running {
    /// Starts a program; what it says on stderr is kept.
    pub fn start(command: &mut Command, control: &Control) -> Result<Self> {
        Self::start_within(command, control, Duration::MAX)
    }

    /// Starts a program that is ended when it is [heard](Self::heard) and writes nothing for so long.
    pub fn start_within(command: &mut Command, control: &Control, limit: Duration) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| WorkerError::ToolMissing { tool: program.clone(), cause: e.to_string() })?;
        let (stdout, stdin, stderr) = (child.stdout.take(), child.stdin.take(), child.stderr.take());
        let said = stderr.map(|stderr| std::thread::spawn(move || tail(stderr)));
        let child = Arc::new(Mutex::new(child));
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let silence = Arc::new(Silence { limit, since: Mutex::default() });
        let watch = {
            let (child, done, control) = (Arc::clone(&child), Arc::clone(&done), control.clone());
            let silence = Arc::clone(&silence);
            std::thread::spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Acquire) {
                    if control.is_cancelled() || silence.is_over() {
                        let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
                        return;
                    }
                    std::thread::park_timeout(NAP);
                }
            })
        };
        Ok(Self { child, said, watch: Some(watch), done, silence, stdout, stdin })
    }

    /// What it writes; none if that is not read here.
    pub fn heard(&mut self) -> Option<Heard<'_>> {
        Some(Heard { stdout: self.stdout.as_mut()?, silence: &self.silence })
    }

    /// Ends it now.
    pub fn kill(&self) {
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }

    /// Waits for its end. What it said is the error of one that did not succeed.
    pub fn end(mut self) -> Result<std::result::Result<(), String>> {
        // One that still reads would wait for more.
        drop(self.stdin.take());
        drop(self.stdout.take());
        let status = loop {
            let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
            match ended.map_err(|e| WorkerError::engine("waiting for a program", e))? {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let said = self.said.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        if self.silence.is_over() {
            return Ok(Err(format!("it wrote nothing for {} s and was ended", self.silence.limit.as_secs())));
        }
        if status.success() {
            return Ok(Ok(()));
        }
        // How it ended tells more than its last words if it did not end by itself.
        let by_itself = status.code().is_some();
        let said = match (said.trim(), by_itself) {
            ("", _) => status.to_string(),
            (said, true) => said.to_owned(),
            (said, false) => format!("{status}: {said}"),
        };
        Ok(Err(said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.done.store(true, std::sync::atomic::Ordering::Release);
        if let Some(watch) = self.watch.take() {
            watch.thread().unpark();
            let _ = watch.join();
        }
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(None)) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The last that a program says.
fn tail(mut stderr: impl Read) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0_u8; 4096]);
    while let Ok(read @ 1..) = stderr.read(&mut buffer) {
        kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if kept.len() > 2 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
    }
    let from = kept.len().saturating_sub(KEPT);
    String::from_utf8_lossy(kept.get(from..).unwrap_or_default()).into_owned()
}
