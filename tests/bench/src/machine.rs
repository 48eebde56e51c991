//! The machine, as far as figures depend on it.

use serde::Serialize;

/// Where a benchmark ran.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Processors that this program may use.
    pub cores: usize,
    /// Memory in gibibytes.
    pub memory_gib: u64,
    /// Operating system and architecture.
    pub system: String,
    /// Load of the last minute when the benchmark began: above 1, something else was running.
    pub load_before: String,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let memory = read("/proc/meminfo");
        let kib =
            memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_gib: kib.unwrap_or(0_u64) / (1024 * 1024),
            system: format!(
                "{} {} {}",
                std::env::consts::OS,
                std::env::consts::ARCH,
                read("/proc/sys/kernel/osrelease").trim()
            ),
            load_before: read("/proc/loadavg").split_whitespace().next().unwrap_or_default().to_owned(),
        }
    }
}
