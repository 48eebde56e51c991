//! Benchmarks of Zhengyun on real control planes: correct first, then how fast, beside what the machine can do at all.
//!
//! Every benchmark checks exact totals and fails when one is wrong. Each measures the raw ceilings of the same API server in
//! the same run, processor time per item of every process, requests per item and peak memory. The gates are judged at full size.

#![expect(clippy::cast_precision_loss, reason = "counts and times become figures")]

mod backup;
pub mod books;
pub mod ceilings;
pub mod chance;
mod deep_tree;
mod delivery;
pub mod follow;
mod hot_quota;
mod idle;
mod life_cycle;
pub mod machine;
pub mod meter;
mod migration;
pub mod orders;
pub mod outcome;
pub mod peers;
pub mod probe;
mod program;
pub mod prometheus;
mod reading;
pub mod region;
mod restart;
pub mod run;
pub mod shape;
pub mod stage;
pub mod standing;
mod tree;

use anyhow::Result;

use outcome::Outcome;
use run::Run;

/// What can be run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Benchmark {
    /// `B1` to `B7`.
    pub id: &'static str,
    /// What it measures, in a few words.
    pub what: &'static str,
    /// Share of the full size that is run unless one is named, so that all together take less than an hour on two cores.
    pub usual_scale: f64,
}

/// All of them.
pub const BENCHMARKS: [Benchmark; 7] = [
    Benchmark { id: "B1", what: "life cycles from request to zero", usual_scale: 0.05 },
    Benchmark { id: "B2", what: "a tree as deep as a region", usual_scale: 0.05 },
    Benchmark { id: "B3", what: "many clients on one quota", usual_scale: 0.3 },
    Benchmark { id: "B4", what: "deaths and restarts among many grants", usual_scale: 0.05 },
    Benchmark { id: "B5", what: "delivery to two sites", usual_scale: 1.0 },
    Benchmark { id: "B6", what: "readers and writers at the API", usual_scale: 0.05 },
    Benchmark { id: "B7", what: "a full region, idle", usual_scale: 0.05 },
];

/// The product beside what others do; needs the peers' programs (`tests/bench/peers/build`).
pub const PEERS: Benchmark = Benchmark { id: "peers", what: "the product and Kueue in turns", usual_scale: 0.03 };

/// The worker beside the bare requests and beside restic.
pub const BACKUP: Benchmark = Benchmark { id: "backup", what: "backup and restore", usual_scale: 1.0 };

/// The movers beside pg_dump with pg_restore and beside rsync.
pub const MIGRATION: Benchmark =
    Benchmark { id: "migration", what: "a database and a tree of files moved", usual_scale: 1.0 };

/// Runs one.
///
/// # Errors
/// When something did not come up, or a result is wrong: a figure of a wrong result is none.
pub async fn measure(benchmark: Benchmark, run: &Run<'_>) -> Result<Outcome> {
    match benchmark.id {
        "B1" => life_cycle::run(run).await,
        "B2" => deep_tree::run(run).await,
        "B3" => hot_quota::run(run).await,
        "B4" => restart::run(run).await,
        "B5" => delivery::run(run).await,
        "B6" => reading::run(run).await,
        "B7" => idle::run(run).await,
        "backup" => backup::run(run).await,
        "migration" => migration::run(run).await,
        "peers" => peers::compare(run).await,
        other => anyhow::bail!("there is no benchmark {other}"),
    }
}
