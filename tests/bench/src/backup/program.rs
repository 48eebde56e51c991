//! A program from its start to its end: time, processor time, peak memory.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use zhengyun_tests::lab::proc::ProcessId;

/// How often a running program is looked at: its peak is known up to this moment before its end.
const LOOK: Duration = Duration::from_millis(5);

/// What a program took.
#[derive(Clone, Debug, Default)]
pub(super) struct Took {
    /// Seconds.
    pub(super) wall: f64,
    /// Seconds of processor time.
    pub(super) cpu: f64,
    /// Megabytes.
    pub(super) peak_mb: f64,
    stderr: Vec<u8>,
    succeeded: bool,
}

impl Took {
    /// What it took, if it did what it was asked.
    pub(super) fn succeeded(self, what: &str) -> Result<Self> {
        if self.succeeded {
            return Ok(self);
        }
        bail!("{what} failed: {}", String::from_utf8_lossy(&self.stderr).lines().last().unwrap_or_default())
    }

    /// Why it failed; none if it did not.
    pub(super) fn refusal(&self) -> Option<String> {
        (!self.succeeded).then(|| String::from_utf8_lossy(&self.stderr).lines().last().unwrap_or_default().to_owned())
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or looked at; not when it fails.
pub(super) fn run(command: &mut Command) -> Result<Took> {
    let name = command.get_program().to_string_lossy().into_owned();
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {name}"))?;
    let mut err = child.stderr.take().context("stderr")?;
    // Read while it runs, or it would wait for a full pipe to empty.
    let stderr = std::thread::spawn(move || read_all(&mut err));
    let id = ProcessId::of(child.id()).with_context(|| format!("{name} in /proc"))?;
    let pid = Pid::from_child(&child);
    let mut peak = 0;
    // Its end is seen without taking it away, so that its processor time can still be read.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    while waitid(WaitId::Pid(pid), options)?.is_none() {
        peak = peak.max(id.peak_rss_bytes().unwrap_or(0));
        std::thread::sleep(LOOK);
    }
    let wall = begun.elapsed();
    let cpu = id.cpu_time()?;
    let status = child.wait()?;
    Ok(Took {
        wall: wall.as_secs_f64(),
        cpu: cpu.as_secs_f64(),
        peak_mb: peak as f64 / 1e6,
        stderr: joined(stderr)?,
        succeeded: status.success(),
    })
}

fn read_all(from: &mut impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    from.read_to_end(&mut all)?;
    Ok(all)
}

fn joined(reader: std::thread::JoinHandle<std::io::Result<Vec<u8>>>) -> Result<Vec<u8>> {
    match reader.join() {
        Ok(read) => Ok(read?),
        Err(_) => bail!("a pipe of the program was not read to its end"),
    }
}
