//! Child processes that never outlive their owner, whatever ends it.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal};

use super::{proc::ProcessId, wait};

/// What to run, with what, and where its output goes.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The name people see in tables and errors.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables beside the inherited ones.
    pub env: Vec<(String, String)>,
    /// Standard output and error are appended here.
    pub log: PathBuf,
}

/// One running (or ended) child.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    id: ProcessId,
    child: Mutex<Child>,
}

impl Process {
    /// Starts the program in a process group of its own; the kernel kills it when this process ends.
    pub fn start(launch: Launch) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&launch.log)
            .with_context(|| format!("open the log {}", launch.log.display()))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&launch.program)
            .args(&launch.args)
            // A cluster of the caller's must never be mistaken for the lab's.
            .env_remove("KUBECONFIG")
            .envs(launch.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = spawn_from_lasting_thread(command)
            .with_context(|| format!("start {} through setpriv (util-linux)", launch.name))?;
        let id = ProcessId::of(child.id()).ok_or_else(|| anyhow!("{} ended before it was seen", launch.name))?;
        Ok(Self { launch, id, child: Mutex::new(child) })
    }

    /// The name people see.
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// Process id and start time, unmistakable even after the number is reused.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// The exit status once it has ended; `None` while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // A child that can no longer be asked about is gone.
        child.try_wait().unwrap_or_else(|_| Some(ExitStatus::from_raw(0)))
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }

    /// Sends a signal to the process alone; one that has ended is left in peace.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // Asking first reaps it: a number that was reaped is never signalled.
        if !self.is_running() {
            return Ok(());
        }
        let pid = i32::try_from(self.id.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| anyhow!("{} has no valid process id", self.name()))?;
        match rustix::process::kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("signal {}", self.name())),
        }
    }

    /// Ends it like a power cut (`kill -9`) and waits until it is gone.
    pub async fn kill9(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait_exit(Duration::from_secs(10)).await.map(drop)
    }

    /// Ends it like a power cut, from code that cannot await; returns when it is gone.
    pub fn kill_now(&self) {
        if self.is_running() {
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            // Nothing is left to do about a child that cannot be killed or waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end (SIGTERM) and kills it after `grace`; the status says which it was.
    pub async fn terminate(&self, grace: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        if let Ok(status) = self.wait_exit(grace).await {
            return Ok(status);
        }
        self.signal(Signal::KILL)?;
        self.wait_exit(Duration::from_secs(10)).await
    }

    /// Waits until it has ended by itself.
    pub async fn wait_exit(&self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} (pid {}) ends", self.name(), self.id.pid);
        wait::until(&what, limit, || async { Ok(self.exit_status()) }).await
    }

    /// An error that shows the end of its log, when it is no longer running.
    pub fn fail_if_ended(&self) -> Result<()> {
        match self.exit_status() {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended ({status}); end of {}:\n{}",
                self.name(),
                self.log().display(),
                log_tail(self.log(), 15)
            ),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_now();
    }
}

/// The last lines of a log, for error messages.
pub fn log_tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all.iter().skip(all.len().saturating_sub(lines)).copied().collect::<Vec<_>>().join("\n")
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts children from one thread that lasts as long as this process.
///
/// The parent-death signal fires when the *thread* that started the child ends, and the threads of
/// an async runtime or a test come and go.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in orders {
                // The one who asked may have been cancelled meanwhile: then the child must go.
                if let Err(mpsc::SendError(Ok(mut child))) = reply.send(command.spawn()) {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .map_err(|_| anyhow!("the thread that starts children is gone"))?;
    Ok(answer.recv()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, dir: &Path) -> Process {
        let launch = Launch {
            name: "shell".to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: Vec::new(),
            log: dir.join("shell.log"),
        };
        Process::start(launch).unwrap()
    }

    #[tokio::test]
    async fn one_that_ends_by_itself_shows_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let process = shell("echo no such flag; exit 3", dir.path());
        let status = process.wait_exit(Duration::from_secs(10)).await.unwrap();
        assert_eq!(status.code(), Some(3));
        let error = process.fail_if_ended().unwrap_err().to_string();
        assert!(error.contains("no such flag"), "{error}");
    }

    #[tokio::test]
    async fn one_that_ignores_sigterm_is_killed_after_its_grace() {
        let dir = tempfile::tempdir().unwrap();
        let process = shell("trap '' TERM; echo deaf; while :; do sleep 1; done", dir.path());
        let deaf = || async { Ok(log_tail(process.log(), 1).contains("deaf").then_some(())) };
        wait::until("the shell is deaf", Duration::from_secs(10), deaf).await.unwrap();
        let status = process.terminate(Duration::from_millis(200)).await.unwrap();
        assert_eq!(status.signal(), Some(9));
        assert!(!process.id().is_alive());
    }
}
