//! Command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::control::ProgressForm;
use crate::mover::MoveArgs;
use crate::run::backup::BackupArgs;
use crate::run::forget::ForgetArgs;
use crate::run::init::InitArgs;
use crate::run::probe::ProbeArgs;
use crate::run::prune::PruneArgs;
use crate::run::replicate::ReplicateArgs;
use crate::run::restore::RestoreArgs;
use crate::run::snapshots::SnapshotsArgs;
use crate::run::verify::VerifyArgs;

/// Backs up, verifies and restores file trees and namespaces, with a store and a key and nothing else; moves existing systems.
///
/// Reports are JSON on stdout; progress and notes are on stderr. SIGTERM and SIGINT end a run at its next step; the same command
/// resumes it. Exit codes: 0 done, 1 failure at run time, 2 usage.
#[derive(Debug, Parser)]
#[command(name = "zhengyun-worker", version)]
pub struct Args {
    /// Form of progress on stderr.
    #[arg(long, env = "ZHENGYUN_PROGRESS", value_enum, default_value_t = ProgressForm::Text, global = true)]
    pub progress: ProgressForm,
    /// File that is replaced every second while the process lives.
    #[arg(long, env = "ZHENGYUN_HEARTBEAT_FILE", value_name = "FILE", global = true)]
    pub heartbeat_file: Option<PathBuf>,
    /// Upload at most so many KiB a second; 0 means no limit.
    #[arg(long, env = "ZHENGYUN_LIMIT_KIB", default_value_t = 0, value_name = "KIB", global = true)]
    pub limit_kib: u64,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a repository.
    Init(InitArgs),
    /// Look at a store: which it is, whether it can be used, how much lies in it.
    Probe(ProbeArgs),
    /// Capture sources into a repository.
    Backup(BackupArgs),
    /// Copy a backup to another repository, which stands by itself.
    Replicate(Box<ReplicateArgs>),
    /// Take backups out of a repository, and what unfinished runs left.
    Forget(ForgetArgs),
    /// Remove what no backup needs any more, days after it was marked.
    Prune(PruneArgs),
    /// List the backups.
    Snapshots(SnapshotsArgs),
    /// Read everything and recompute the evidence.
    Verify(VerifyArgs),
    /// Restore a source of a backup; it is proved before the first write.
    Restore(RestoreArgs),
    /// Move an existing system onto the cloud, one verb a process.
    Move(Box<MoveArgs>),
}
