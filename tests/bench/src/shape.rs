//! The generator's shape: that of the published baseline of Kueue's scheduler benchmark.
//!
//! Numbers from `test/performance/scheduler/configs/baseline/generator.yaml` of Kueue 0.19.0: 5 cohorts of 6 queues, each queue
//! with 350 small, 100 medium and 50 large workloads. Its README names the purpose: detecting regressions of scheduling.

use std::fmt::Write as _;
use std::time::Duration;

/// Cohorts there; leagues here.
pub const COHORTS: usize = 5;
/// Queues of each cohort there; departments of each league here.
pub const QUEUES: usize = 6;

/// One class of workloads.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Its name.
    pub name: &'static str,
    /// How many per queue at full size.
    pub count: usize,
    /// Pause before each creation.
    pub interval: Duration,
    /// Cores of one.
    pub cores: u32,
    /// How long one runs.
    pub run_time: Duration,
    /// Priority; only the peer looks at it.
    pub priority: u32,
}

/// The three classes.
pub const CLASSES: [Class; 3] = [
    class("small", 350, 100, 1, 200, 50),
    class("medium", 100, 500, 5, 500, 100),
    class("large", 50, 1200, 20, 1000, 200),
];

const fn class(name: &'static str, count: usize, interval: u64, cores: u32, run_time: u64, priority: u32) -> Class {
    Class {
        name,
        count,
        interval: Duration::from_millis(interval),
        cores,
        run_time: Duration::from_millis(run_time),
        priority,
    }
}

impl Class {
    /// How many per queue at a part of the full size.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of some hundred")]
    pub fn scaled(&self, scale: f64) -> usize {
        ((self.count as f64 * scale).round() as usize).max(1)
    }
}

/// Workloads in all.
pub fn total(scale: f64) -> usize {
    COHORTS * QUEUES * CLASSES.iter().map(|c| c.scaled(scale)).sum::<usize>()
}

/// Cores of everything that one queue gets.
pub fn cores_per_queue(scale: f64) -> u64 {
    CLASSES.iter().map(|c| c.scaled(scale) as u64 * u64::from(c.cores)).sum()
}

/// The same as the peer's own configuration file.
pub fn peer_configuration(scale: f64) -> String {
    let mut text = format!(
        "cohorts:\n- className: cohort\n  count: {COHORTS}\n  queuesSets:\n  - className: cq\n    count: {QUEUES}\n    \
         nominalQuota: 20\n    borrowingLimit: 100\n    reclaimWithinCohort: Any\n    withinClusterQueue: LowerPriority\n    \
         workloadsSets:\n"
    );
    for class in CLASSES {
        let (count, interval, run) = (class.scaled(scale), class.interval.as_millis(), class.run_time.as_millis());
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "    - count: {count}\n      creationIntervalMs: {interval}\n      workloads:\n      - className: {}\n        \
             runtimeMs: {run}\n        priority: {}\n        request: {}\n",
            class.name, class.priority, class.cores
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{cores_per_queue, peer_configuration, total};

    #[test]
    fn full_size_is_the_published_one() {
        assert_eq!((total(1.0), cores_per_queue(1.0)), (15_000, 350 + 500 + 1000));
        let text: serde_json::Value = serde_saphyr::from_str(&peer_configuration(0.1)).unwrap();
        let sets = text.pointer("/cohorts/0/queuesSets/0/workloadsSets").unwrap().as_array().unwrap().clone();
        let counts: Vec<_> = sets.iter().map(|s| s["count"].as_u64().unwrap()).collect();
        assert_eq!(counts, [35, 10, 5]);
        assert_eq!(sets[2]["workloads"][0]["request"], 20);
    }
}
