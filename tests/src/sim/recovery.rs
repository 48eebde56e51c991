//! Disaster recovery in the simulated world: buckets, and a **simulated executor** for the runs of backup, restore and drill.
//!
//! The controllers are the real ones; what they start is simulated here behind their own seam. A run is a process of the machine that
//! the operators share: it takes its time on the world's clock, reaches buckets and sites through the same gate as everything else, so
//! every fault of a plan meets it too, outlives the operator that started it or goes down with it, is cancelled, killed and outrun,
//! and reports in the words of `zhengyun-worker` and `zhengyun-restorer`. It keeps the two rules that the real ones are tested for
//! elsewhere: what is signed was read back, and nothing is written to a target before it was proved.
//!
//! A bucket is an in-memory API server with one `ConfigMap` for each object: it creates only what is not there, as S3 does with
//! `If-None-Match`, and its writes stand in the same record as all others. A database server is one as well, with one for each database.

pub(crate) mod database;
pub mod evidence;
mod executor;
mod order;
mod process;
mod repository;
mod restorer;
mod worker;

pub use executor::Machine;

/// Buckets of the simulated world, one beside each site.
pub const BUCKETS: [&str; 2] = ["bucket-hohhot", "bucket-ulanqab"];

/// Database servers of the simulated world: the one that people work with, and the one for drills at the other site.
pub const SERVERS: [&str; 2] = ["postgres-hohhot", "postgres-drills"];

/// Where a bucket keeps its objects.
pub const PLACE: &str = "default";
