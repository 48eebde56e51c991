//! Removing what no snapshot needs, and copying a snapshot to another repository.

use std::sync::OnceLock;
use std::time::Duration;

use rustic_core::repofile::{SnapshotFile, SnapshotId};
use rustic_core::{LimitOption, PruneOptions};

use super::Rustic;
use crate::engine::{Engine, Pruning, Snapshot};
use crate::error::{Result, WorkerError};

/// How much that is not needed may stay in packs with what is, in percent of the repository.
const UNUSED_PERCENT: u64 = 5;
/// How much is stored anew in one run at most, in percent of the repository: the next one goes on.
const REPACKED_PERCENT: u64 = 25;

impl Rustic {
    /// The library writes index files and deletes in one go. The backend keeps both back, so that the caller can sign in between.
    pub(super) fn held_prune(&mut self, keep_deleted: Duration, repack: bool) -> Result<Pruning> {
        let repository = self.repository()?;
        let seconds = i64::try_from(keep_deleted.as_secs()).unwrap_or(i64::MAX);
        let keep = jiff::Span::new()
            .try_seconds(seconds)
            .map_err(|e| WorkerError::input("--keep-deleted-hours", e.to_string(), "give fewer hours"))?;
        let options = PruneOptions::default()
            .keep_delete(keep)
            .max_unused(LimitOption::Percentage(UNUSED_PERCENT))
            .max_repack(LimitOption::Percentage(if repack { REPACKED_PERCENT } else { 0 }));
        let plan = self.ask("finding what is not needed", || repository.prune_plan(&options))?;
        let (sizes, removed) = (plan.stats.size_sum(), plan.stats.packs_to_delete.remove);
        let mut pruning = Pruning {
            removed: (removed, plan.stats.size_to_delete.remove),
            marked: sizes.remove.saturating_add(sizes.repack),
            ..Pruning::default()
        };
        self.backend.hold();
        let pruned = self.ask("storing anew what is needed", || repository.prune(&options, plan));
        let settled = pruned.and_then(|()| self.backend.settle());
        pruning.held = self.backend.let_go();
        self.readable = OnceLock::new();
        settled.map_err(|error| self.control.explain(error)).map(|()| pruning)
    }

    /// Copies what is missing here. The library leaves out what the source's index does not know: the caller must look.
    pub(super) fn copy_of(&mut self, from: &Self, snapshot: &Snapshot) -> Result<Snapshot> {
        let source = from.readable()?;
        let repository = self.repository()?;
        let repository = self.ask("reading the index of the copy", || repository.to_indexed_ids())?;
        let id: SnapshotId = self.ask("naming a snapshot", || snapshot.id.parse())?;
        let mut file: SnapshotFile = from.ask("reading a snapshot", || source.get_file(&id))?;
        file.original = None;
        let before = self.snapshot_names()?;
        self.ask("copying", || source.copy(&repository, [&file]))?;
        self.backend.settle().map_err(|e| self.control.explain(e))?;
        self.readable = OnceLock::new();
        let new = self.snapshot_names()?.into_iter().find(|name| !before.contains(name));
        let new = new.ok_or_else(|| WorkerError::engine("copying", "the snapshot of the copy is not there"))?;
        self.snapshot(&new)
    }
}
