//! A program from its start to its end: time, processor time, peak memory.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use zhengyun_tests::lab::proc::ProcessId;

/// How often a running program is looked at: its peak is known up to this moment before its end.
const LOOK: Duration = Duration::from_millis(5);

/// What a program took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Took {
    /// Seconds.
    pub(crate) wall: f64,
    /// Seconds of processor time.
    pub(crate) cpu: f64,
    /// Megabytes.
    pub(crate) peak_mb: f64,
    stdout: Vec<u8>,
    stderr: String,
    succeeded: bool,
}

impl Took {
    /// What it took, if it did what it was asked.
    pub(crate) fn succeeded(self, what: &str) -> Result<Self> {
        if self.succeeded {
            return Ok(self);
        }
        bail!("{what} failed: {}", self.stderr.lines().last().unwrap_or_default())
    }

    /// Why it failed; none if it did not.
    pub(crate) fn refusal(&self) -> Option<String> {
        (!self.succeeded).then(|| self.stderr.lines().last().unwrap_or_default().to_owned())
    }

    /// Its report.
    pub(crate) fn report(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.stdout).context("a report in JSON on stdout")
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or looked at; not when it fails.
pub(crate) fn run(command: &mut Command) -> Result<Took> {
    Running::start(command)?.end()
}

/// Runs two programs, the second of which reads what the first writes.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_piped(first: &mut Command, second: &mut Command) -> Result<[Took; 2]> {
    let mut first = Running::spawn(first.stdin(Stdio::null()))?;
    let between = first.child.stdout.take().context("stdout")?;
    let second = Running::spawn(second.stdin(Stdio::from(between)))?.heard();
    Ok([first.end()?, second.end()?])
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    begun: Instant,
    child: Child,
    id: ProcessId,
    stdout: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
    stderr: JoinHandle<std::io::Result<String>>,
    lines: Receiver<String>,
}

impl Running {
    /// Starts one that reads nothing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Ok(Self::spawn(command.stdin(Stdio::null()))?.heard())
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let begun = Instant::now();
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| format!("start {name}"))?;
        let err = child.stderr.take().context("stderr")?;
        let id = ProcessId::of(child.id()).with_context(|| format!("{name} in /proc"))?;
        let (heard, lines) = mpsc::channel();
        // Read while it runs, or it would wait for a full pipe to empty.
        let stderr = std::thread::spawn(move || {
            let mut all = String::new();
            for line in BufReader::new(err).split(b'\n') {
                let line = String::from_utf8_lossy(&line?).into_owned();
                all.push_str(&line);
                all.push('\n');
                // Not everybody listens.
                let _ = heard.send(line);
            }
            Ok(all)
        });
        Ok(Self { name, begun, child, id, stdout: None, stderr, lines })
    }

    fn heard(mut self) -> Self {
        self.stdout = self.child.stdout.take().map(|mut out| {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                out.read_to_end(&mut all)?;
                Ok(all)
            })
        });
        self
    }

    /// Waits for a line on stderr.
    ///
    /// # Errors
    /// When it ends before, or says nothing of the kind for so long.
    pub(crate) fn until(&self, patience: Duration, mut wanted: impl FnMut(&str) -> bool) -> Result<()> {
        let begun = Instant::now();
        let mut last = String::new();
        while let Ok(line) = self.lines.recv_timeout(patience.saturating_sub(begun.elapsed())) {
            if wanted(&line) {
                return Ok(());
            }
            last = line;
        }
        bail!("{} did not say what was waited for; its last word: {last}", self.name)
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn stop(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).with_context(|| format!("stop {}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it cannot be looked at; not when it fails.
    pub(crate) fn end(mut self) -> Result<Took> {
        let pid = Pid::from_child(&self.child);
        let mut peak = 0;
        // Its end is seen without taking it away, so that its processor time can still be read.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(pid), options)?.is_none() {
            peak = peak.max(self.id.peak_rss_bytes().unwrap_or(0));
            std::thread::sleep(LOOK);
        }
        let wall = self.begun.elapsed();
        let cpu = self.id.cpu_time()?;
        let status = self.child.wait()?;
        Ok(Took {
            wall: wall.as_secs_f64(),
            cpu: cpu.as_secs_f64(),
            peak_mb: peak as f64 / 1e6,
            stdout: self.stdout.map(joined).transpose()?.unwrap_or_default(),
            stderr: joined(self.stderr)?,
            succeeded: status.success(),
        })
    }
}

fn joined<T>(reader: JoinHandle<std::io::Result<T>>) -> Result<T> {
    match reader.join() {
        Ok(read) => Ok(read?),
        Err(_) => bail!("a pipe of the program was not read to its end"),
    }
}
