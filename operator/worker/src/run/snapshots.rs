//! `snapshots`: the backups of a repository.

use serde::Serialize;
use tokio::runtime::Handle;

use super::open::{KeyArgs, TrustArgs, existing};
use crate::control::Control;
use crate::engine::Engine;
use crate::engine::backend::Access;
use crate::error::Result;
use crate::evidence::chain::{BackupStatement, KnownHead};
use crate::store::open::StoreArgs;

/// List the backups.
#[derive(Clone, Debug, clap::Args)]
pub struct SnapshotsArgs {
    /// Where.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Which key.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What is known.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// What is there.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotsReport {
    /// Signed backups, oldest first.
    pub backups: Vec<BackupStatement>,
    /// Snapshots of runs that did not come to their end; they are resumed or forgotten by their run.
    pub unfinished: Vec<String>,
    chain: KnownHead,
}

/// Lists the backups that the chain proves.
pub fn snapshots(args: &SnapshotsArgs, runtime: &Handle, control: &Control) -> Result<SnapshotsReport> {
    control.enter("listing");
    let store = existing(&args.store, runtime)?;
    let engine = args.keys.open(&store, Access::Read, control)?;
    let chain = args.trust.chain(&store)?;
    let backups: Vec<BackupStatement> = chain.backups().into_iter().cloned().collect();
    let gone = chain.forgotten();
    let signed = |id: &String| backups.iter().any(|b| b.snapshot == *id) || gone.contains(id.as_str());
    let unfinished = engine.snapshots()?.into_iter().map(|s| s.id).filter(|id| !signed(id)).collect();
    Ok(SnapshotsReport { unfinished, chain: chain.known_head(), backups })
}
