//! What `/proc` tells about a process: whether it lives, its memory, its processor time.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// A process named so that a reused number is never taken for it: id, start time, boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessId {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

impl ProcessId {
    /// The process that has this number now; `None` when there is none.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, start_time: Stat::read(pid)?.start_time })
    }

    /// Whether exactly this process still runs; one that ended and awaits its parent does not.
    pub fn is_alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start_time == self.start_time && !matches!(stat.state, 'Z' | 'X'))
    }

    /// Resident memory in bytes.
    pub fn rss_bytes(self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    pub fn peak_rss_bytes(self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(self, line: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid);
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let kib = text.lines().find_map(|l| l.strip_prefix(line)?.split_whitespace().next()?.parse().ok());
        Ok(kib.unwrap_or(0_u64) * 1024)
    }

    /// Processor time used since it started, user and system together.
    pub fn cpu_time(self) -> Result<Duration> {
        let stat = Stat::read(self.pid).with_context(|| format!("process {} is gone", self.pid))?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Ok(Duration::from_millis(stat.cpu_ticks * 1000 / per_second))
    }
}

/// The identity of this boot: process ids recorded under another one mean nothing.
pub fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(path).with_context(|| format!("read {path}"))?.trim().to_owned())
}

struct Stat {
    state: char,
    cpu_ticks: u64,
    start_time: u64,
}

impl Stat {
    /// Reads `/proc/<pid>/stat` (proc_pid_stat(5)): state is field 3, user and system time are
    /// fields 14 and 15, the start time is field 22.
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in field 2 may hold blanks and parentheses: what follows the last one is regular.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            cpu_ticks: number(14)? + number(15)?,
            start_time: number(22)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_number_is_another_process() {
        let own = ProcessId::of(std::process::id()).unwrap();
        assert!(own.is_alive() && own.rss_bytes().unwrap() > 0);
        assert!(own.peak_rss_bytes().unwrap() > 1_000_000);
        let before_us = ProcessId { start_time: own.start_time - 1, ..own };
        assert!(!before_us.is_alive());
    }
}
