//! `prune`: removes what no backup needs any more.
//!
//! In two steps, days apart: what is not needed is marked, and what was marked for longer than any run takes is deleted. So a worker
//! that was outrun and does not know it yet cannot build on what is gone.
//!
//! The index files are written anew, and the chain says which ones are in force. The order is what makes a kill at any point harmless:
//! what will be written and deleted is noted; new index files; the signed link; old index files; packs; the note goes. Whoever comes
//! after a killed one finds the note, and the chain tells which of the two lists has to go.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::writing::{Ours, WriteArgs, writing};
use crate::control::Control;
use crate::engine::Engine;
use crate::error::{Result, WorkerError};
use crate::evidence::chain::{Chain, Event, KnownHead};
use crate::store::lease::Fence;
use crate::store::{OWN, Put, Store};

/// How long what is deleted was marked before, in hours.
const KEEP_DELETED_HOURS: u64 = 72;

/// Remove what no backup needs any more.
#[derive(Clone, Debug, clap::Args)]
pub struct PruneArgs {
    /// Which repository.
    #[command(flatten)]
    pub write: WriteArgs,
    /// How far it goes.
    #[command(flatten)]
    pub keep: KeepArgs,
}

/// How far pruning goes.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct KeepArgs {
    /// Delete what was marked at least so many hours ago. It must be longer than the longest backup takes.
    #[arg(long, default_value_t = KEEP_DELETED_HOURS, value_name = "HOURS")]
    pub keep_deleted_hours: u64,
    /// Store nothing anew: of packs that are needed in part, nothing is freed. For where there is no room to grow meanwhile.
    #[arg(long)]
    pub no_repack: bool,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// Packs that were deleted.
    pub packs: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes that are marked from now on, and deleted later.
    pub marked: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneReport {
    #[serde(flatten)]
    pruned: Pruned,
    chain: KnownHead,
    /// The head that was known before, if one was given: the chain continues it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_against: Option<KnownHead>,
}

/// What is about to be written and deleted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Note {
    written: Vec<String>,
    deleted: Vec<String>,
}

fn note_name() -> String {
    format!("{OWN}/prune.json")
}

/// Prunes a repository.
pub fn prune(args: &PruneArgs, runtime: &Handle, control: &Control) -> Result<PruneReport> {
    writing(&args.write, runtime, control, |ours| {
        let pruned = pruned(ours, args.keep, control)?;
        Ok(PruneReport { pruned, chain: ours.chain.known_head(), held_against: ours.held_against.clone() })
    })
}

/// Prunes a repository that is ours.
pub(super) fn pruned(ours: &mut Ours, keep: KeepArgs, control: &Control) -> Result<Pruned> {
    control.enter("pruning");
    // Of one that failed and gave the lease back in good order.
    settle(&ours.store, &ours.chain, &ours.fence)?;
    ours.in_force(&[])?;
    let pruning =
        ours.engine.prune(Duration::from_secs(keep.keep_deleted_hours.saturating_mul(3600)), !keep.no_repack)?;
    let held = pruning.held;
    let done = Pruned { packs: pruning.removed.0, bytes: pruning.removed.1, marked: pruning.marked };
    if held.written.is_empty() && held.deleted.is_empty() {
        return Ok(done);
    }
    let note = Note { written: held.written.iter().map(|(name, _)| name.clone()).collect(), deleted: held.deleted };
    let text = serde_json::to_vec(&note).map_err(|e| WorkerError::engine("noting what is pruned", e))?;
    ours.fence.check()?;
    ours.store.put(&note_name(), text.into(), Put::Replace)?;
    for (name, content) in held.written {
        ours.fence.check()?;
        ours.store.put(&name, content, Put::Replace)?;
    }
    let id = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
    let old: Vec<String> = note.deleted.iter().filter(|name| is_index(name)).map(id).collect();
    let indexes = ours.engine.indexes()?.into_iter().filter(|index| !old.contains(index)).collect();
    ours.sign(Event::Pruned { packs: done.packs, bytes: done.bytes }, indexes)?;
    control.enter("deleting");
    carry_out(&ours.store, &ours.chain, &ours.fence, &note, true)?;
    Ok(done)
}

fn is_index(name: &str) -> bool {
    name.starts_with("index/")
}

/// Settles what a killed prune left: before its link was signed, its index files go; after that, the old ones do.
///
/// Packs that it was about to delete stay: nothing names them any more, and the next prune marks them anew.
pub(super) fn settle(store: &Store, chain: &Chain, fence: &Fence) -> Result<()> {
    let Some(bytes) = store.get(&note_name())? else { return Ok(()) };
    // Only what the chain does not name is ever deleted, so a note that is damaged does no harm and neither does one that is forged.
    if let Ok(note) = serde_json::from_slice::<Note>(&bytes) {
        let signed = note.written.iter().all(|name| in_force(chain, name));
        let mut rest = note;
        if signed {
            rest.deleted.retain(|name| is_index(name));
        } else {
            rest.deleted = std::mem::take(&mut rest.written);
        }
        return carry_out(store, chain, fence, &rest, false);
    }
    fence.check()?;
    store.delete(&note_name())
}

fn in_force(chain: &Chain, name: &str) -> bool {
    let id = name.rsplit('/').next().unwrap_or_default();
    chain.last().is_some_and(|last| last.indexes.iter().any(|index| index == id))
}

/// Index files first: no pack that one names may be missing.
fn carry_out(store: &Store, chain: &Chain, fence: &Fence, note: &Note, packs: bool) -> Result<()> {
    let (indexes, data): (Vec<&String>, Vec<&String>) = note.deleted.iter().partition(|name| is_index(name));
    let data = data.into_iter().filter(|name| packs && name.starts_with("data/"));
    for name in indexes.into_iter().filter(|name| !in_force(chain, name)).chain(data) {
        fence.check()?;
        store.delete(name)?;
    }
    fence.check()?;
    store.delete(&note_name())
}
