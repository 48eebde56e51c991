//! The worker's verbs, and what servers beside it spend.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use zhengyun_tests::lab::component;

/// The worker that moves something, without its sides.
pub(super) fn verb(kind: &str, verb: &str) -> Result<Command> {
    let worker: PathBuf = component::binary("zhengyun-worker")?;
    let mut command = Command::new(worker);
    command.args(["--progress", "json", "move", kind, verb, "--migration", "bench/migration", "--epoch", "1"]);
    Ok(command)
}

/// Processor time of a server: of its process, of all that it started and that ended, and of those that run.
pub(super) fn server_cpu(pid: u32) -> Result<Duration> {
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(each) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that ended meanwhile is counted by its parent.
        let Ok(text) = std::fs::read_to_string(format!("/proc/{each}/stat")) else { continue };
        // proc_pid_stat(5): the parent is field 4, own time is fields 14 and 15, that of children that ended 16 and 17.
        let fields: Vec<u64> = text
            .rsplit_once(')')
            .context("a stat line")?
            .1
            .split_whitespace()
            .skip(1)
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        let sum = |from: usize, to: usize| (from..=to).filter_map(|field| fields.get(field - 4)).sum::<u64>();
        if each == pid {
            ticks += sum(14, 17);
        } else if fields.first() == Some(&u64::from(pid)) {
            ticks += sum(14, 15);
        }
    }
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_millis(ticks * 1000 / per_second))
}
