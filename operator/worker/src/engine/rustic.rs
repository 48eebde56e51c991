//! The engine on the rustic library, in restic's open repository format.

mod open;
mod prune;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustic_core::repofile::{IndexFile, IndexId, MasterKey, SnapshotFile, SnapshotId};
use rustic_core::{
    BackupOptions, Credentials, FileType, Id, OpenStatus, ParentOptions, ReadBackend, RepairIndexOptions, Repository,
    RepositoryBackends, RepositoryOptions, RusticError, RusticResult, SnapshotGroupCriterion, SnapshotOptions, TreeId,
};

use super::adapter::{Feed, Record};
use super::backend::Backend;
use super::walk::{Readable, Walk};
use super::{
    Batch, Engine, Entry, Finding, Kind, Label, Meta, Opened, Pruning, Snapshot, Stored, Unchanged, check, node,
};
use crate::control::Control;
use crate::error::{Result, WorkerError};

/// Size at which a pack is closed. Small, because what a killed run repeats is counted in packs.
const PACK: &str = "8MiB";
/// Size at which a pack of trees is closed.
const TREE_PACK: &str = "4MiB";
/// The directory of a snapshot in which the manifest lies.
pub const MANIFEST_DIR: &str = "manifest";
/// The name of the manifest in it.
pub const MANIFEST_NAME: &str = "items.jsonl";
const TAG: &str = "zhengyun";

/// A repository that is open.
pub struct Rustic {
    backend: Backend,
    control: Control,
    key: MasterKey,
    /// With its index, read when it is first needed and again after writes.
    readable: OnceLock<Readable>,
}

impl std::fmt::Debug for Rustic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rustic").field("store", &self.backend.store().location()).finish_non_exhaustive()
    }
}

fn options() -> RepositoryOptions {
    // A cache on this machine would hide what the store really holds.
    RepositoryOptions::default().no_cache(true)
}

fn backends(backend: &Backend) -> RepositoryBackends {
    RepositoryBackends::new(Arc::new(backend.clone()), None)
}

/// What an error of the library means. It has no kinds to tell damage by, so its words are looked at.
pub(super) fn told(action: &str, error: &RusticError) -> WorkerError {
    let text = error.display_log();
    if text.contains("MAC check failed") || text.contains("may be corrupted") {
        WorkerError::damaged(format!("what is needed for {action}"), "it does not decrypt to what was written")
    } else if text.contains("not found in index") {
        WorkerError::damaged(format!("what is needed for {action}"), "no index names it: an index file is missing")
    } else {
        WorkerError::engine(action, first_lines(&text))
    }
}

fn first_lines(text: &str) -> String {
    text.lines().filter(|line| !line.trim().is_empty()).take(4).collect::<Vec<_>>().join(" ")
}

impl Rustic {
    /// A fresh look at the repository: the library's state of an open one cannot be shared.
    fn repository(&self) -> Result<Repository<OpenStatus>> {
        let credentials = Credentials::Masterkey(self.key.clone());
        self.ask("opening the repository", || Repository::new(&options(), &backends(&self.backend))?.open(&credentials))
    }

    fn ask<T>(&self, action: &str, call: impl FnOnce() -> RusticResult<T>) -> Result<T> {
        let outcome = call().map_err(|error| self.control.explain(told(action, &error)))?;
        // The library turns failures of its threads into warnings; ours are kept.
        match self.control.take_failure() {
            Some(error) => Err(error),
            None => Ok(outcome),
        }
    }

    fn readable(&self) -> Result<Readable> {
        if let Some(readable) = self.readable.get() {
            return Ok(Arc::clone(readable));
        }
        let repository = self.repository()?;
        let indexed = Arc::new(self.ask("reading the index", || repository.to_indexed())?);
        Ok(Arc::clone(self.readable.get_or_init(|| indexed)))
    }

    fn archive(&mut self, feed: &Feed, label: &Label, parents: &[String]) -> Result<Snapshot> {
        let repository = self.repository()?;
        let repository = self.ask("reading the index", || repository.to_indexed_ids())?;
        let mut wanted = ParentOptions::default().group_by(SnapshotGroupCriterion::new());
        wanted = if parents.is_empty() { wanted.force(true) } else { wanted.parents(parents.to_vec()) };
        let backup = BackupOptions::default().parent_opts(wanted).no_scan(true);
        let snapshot = self.ask("naming a snapshot", || {
            let mut options = SnapshotOptions::default().host(TAG.to_owned()).label(label.run.clone()).add_tags(TAG)?;
            options = options.add_tags(&format!("attempt={}", label.attempt))?;
            if let Some(batch) = label.batch {
                options = options.add_tags(&format!("batch={batch}"))?;
            }
            options.to_snapshot()
        })?;
        let roots = [PathBuf::from("/")];
        let stored = repository.archive(&backup, feed, snapshot, &roots);
        let stored = stored.map_err(|e| self.control.explain(told("storing a batch", &e)))?;
        self.backend.settle().map_err(|e| self.control.explain(e))?;
        self.readable = OnceLock::new();
        Ok(snapshot_of(&stored))
    }

    fn tree(&self, snapshot: &Snapshot) -> Result<TreeId> {
        let tree: Id = self.ask("reading the identity of a tree", || snapshot.tree.parse())?;
        Ok(TreeId::from(tree))
    }

    fn names(&self, kind: FileType) -> Result<Vec<String>> {
        let mut ids = self.ask("listing", || self.backend.list(kind))?;
        ids.sort_unstable();
        Ok(ids.iter().map(|id| id.to_hex().to_string()).collect())
    }

    /// The index files that can be read, and what is wrong with the others.
    fn index_files(&self) -> Result<(Vec<IndexFile>, Vec<Finding>)> {
        let repository = self.repository()?;
        let all = self
            .ask("reading the index", || repository.stream_files::<IndexFile>()?.map(|f| f.map(|(_, f)| f)).collect());
        if let Ok(files) = all {
            return Ok((files, Vec::new()));
        }
        // One by one, so that a damaged one hides nothing that another tells.
        let (mut files, mut findings) = (Vec::new(), Vec::new());
        for name in self.names(FileType::Index)? {
            let id: IndexId = self.ask("naming an index file", || name.parse())?;
            match self.ask(&format!("reading index/{name}"), || repository.get_file(&id)) {
                Ok(file) => files.push(file),
                Err(WorkerError::Damaged { part, problem }) => {
                    findings.push(Finding { part, problem, needed: true });
                }
                Err(other) => return Err(other),
            }
        }
        Ok((files, findings))
    }
}

/// The manifest as the last entries of a snapshot.
fn manifest_entries(manifest: &Path) -> Result<Vec<Entry>> {
    let size = std::fs::metadata(manifest).map_err(|e| WorkerError::local(manifest, e))?.len();
    let path = manifest.to_owned();
    let open = move || match std::fs::File::open(&path) {
        Ok(file) => Opened::Content(Box::new(file)),
        Err(error) => Opened::Failed(WorkerError::local(path, error)),
    };
    let directory = PathBuf::from(MANIFEST_DIR);
    let file = directory.join(MANIFEST_NAME);
    Ok(vec![
        Entry {
            path: directory,
            kind: Kind::Dir,
            meta: Meta { mode: 0o700, ..Meta::default() },
            open: None,
            repeated: false,
        },
        Entry {
            path: file,
            kind: Kind::File,
            meta: Meta { mode: 0o600, size, ..Meta::default() },
            open: Some(Box::new(open)),
            repeated: false,
        },
    ])
}

fn snapshot_of(file: &SnapshotFile) -> Snapshot {
    let tag = |prefix: &str| file.tags.iter().find_map(|tag| tag.strip_prefix(prefix)?.parse().ok());
    let label = file.tags.contains(TAG).then(|| Label {
        run: file.label.clone(),
        attempt: tag("attempt=").unwrap_or_default(),
        batch: tag("batch="),
    });
    Snapshot {
        id: file.id.to_hex().to_string(),
        tree: file.tree.to_hex().to_string(),
        label,
        time: file.time.timestamp().to_string(),
    }
}

impl Engine for Rustic {
    fn store(
        &mut self,
        label: &Label,
        parents: &[String],
        entries: Box<dyn Iterator<Item = Entry> + Send>,
        unchanged: Unchanged<'_>,
    ) -> Result<Batch> {
        let record = Record::default();
        let feed = Feed::of_source(entries, record.clone(), self.control.clone());
        let snapshot = self.archive(&feed, label, parents)?;
        let (items, changed) = record.items(unchanged)?;
        Ok(Batch { snapshot, items, changed })
    }

    fn assemble(&mut self, label: &Label, batches: &[String], manifest: &Path) -> Result<Snapshot> {
        let mut walks = Vec::new();
        for id in batches {
            let repository = self.repository()?;
            let id: SnapshotId = self.ask("naming a batch", || id.parse())?;
            let file: SnapshotFile = self.ask("reading a batch", || repository.get_file(&id))?;
            walks.push(Walk::new(self.readable()?, file.tree)?);
        }
        let record = Record::default();
        let manifest_entries = manifest_entries(manifest)?;
        let then = Feed::of_source(Box::new(manifest_entries.into_iter()), record.clone(), self.control.clone());
        let (control, mut last) = (self.control.clone(), PathBuf::new());
        let nodes = walks.into_iter().flatten().map_while(move |step| {
            let step = step.and_then(|step| control.check().map(|()| step));
            step.map_err(|error| control.fail(error)).ok()
        });
        // A batch begins with the directories that the one before had open.
        let fresh = nodes.filter_map(move |(mut node, stored)| {
            let path = stored.path;
            if path <= last {
                return None;
            }
            last.clone_from(&path);
            node.subtree = None;
            node.content = None;
            Some((path, node))
        });
        let snapshot = self.archive(&Feed::of_nodes(Box::new(fresh), &then), label, batches)?;
        record.items(&mut |_| Ok(None))?;
        Ok(snapshot)
    }

    fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let repository = self.repository()?;
        let mut files = self.ask("reading the snapshots", || repository.get_all_snapshots())?;
        files.sort_by(|a, b| a.time.cmp(&b.time));
        Ok(files.iter().map(snapshot_of).collect())
    }

    fn snapshot(&self, id: &str) -> Result<Snapshot> {
        let repository = self.repository()?;
        let wanted: SnapshotId = self.ask("naming a snapshot", || id.parse())?;
        let mut file: SnapshotFile = self.ask("reading a snapshot", || repository.get_file(&wanted))?;
        file.id = wanted;
        Ok(snapshot_of(&file))
    }

    fn find(&self, snapshot: &Snapshot, path: &Path) -> Result<Option<Stored>> {
        let (repository, mut tree, mut below) = (self.readable()?, self.tree(snapshot)?, PathBuf::new());
        let mut found = None;
        for name in path {
            let nodes =
                self.ask(&format!("reading the tree of /{}", below.display()), || repository.get_tree(&tree))?;
            let Some(node) = nodes.nodes.iter().find(|node| *node.name() == *name) else { return Ok(None) };
            found = Some(node::from_node(&below, node)?);
            below.push(name);
            tree = node.subtree.unwrap_or_default();
        }
        Ok(found)
    }

    fn visit(&self, snapshot: &Snapshot, visitor: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        let tree = self.tree(snapshot)?;
        let walk = Walk::new(self.readable()?, tree).map_err(|e| self.control.explain(e))?;
        for step in walk {
            self.control.check()?;
            visitor(step.map_err(|e| self.control.explain(e))?.1)?;
        }
        Ok(())
    }

    fn read(&self, stored: &Stored, mut sink: &mut dyn Write) -> Result<()> {
        let mut file = node::to_node(&stored.path, &stored.kind, &stored.meta)?;
        file.content = Some(stored.pieces.iter().map(node::data_id).collect());
        let repository = self.readable()?;
        self.ask(&format!("reading /{}", stored.path.display()), || repository.dump(&file, &mut sink))
    }

    fn size_of(&self, stored: &Stored) -> Result<u64> {
        let repository = self.readable()?;
        let action = format!("finding /{}", stored.path.display());
        stored.pieces.iter().try_fold(0_u64, |size, piece| {
            let entry = self.ask(&action, || repository.get_index_entry(&node::data_id(piece)))?;
            Ok(size.saturating_add(entry.data_length().into()))
        })
    }

    fn packs_of(&self, stored: &Stored) -> Result<Vec<String>> {
        let repository = self.readable()?;
        let mut packs = BTreeSet::new();
        let action = format!("finding /{}", stored.path.display());
        for piece in &stored.pieces {
            let entry = self.ask(&action, || repository.get_index_entry(&node::data_id(piece)))?;
            packs.insert(entry.pack.to_hex().to_string());
        }
        if let Some(tree) = stored.subtree {
            let entry = self.ask(&action, || repository.get_index_entry(&TreeId::from(Id::new(tree))))?;
            packs.insert(entry.pack.to_hex().to_string());
        }
        Ok(packs.into_iter().collect())
    }

    fn packs_of_root(&self, snapshot: &Snapshot) -> Result<Vec<String>> {
        let tree = self.tree(snapshot)?;
        let repository = self.readable()?;
        let entry = self.ask("finding the root", || repository.get_index_entry(&tree))?;
        Ok(vec![entry.pack.to_hex().to_string()])
    }

    fn packs(&self) -> Result<Vec<(String, u64)>> {
        let packs = self.ask("listing packs", || self.backend.list_with_size(FileType::Pack))?;
        Ok(packs.into_iter().map(|(id, size)| (id.to_hex().to_string(), size.into())).collect())
    }

    fn check_pack(&self, pack: &str) -> Result<Option<Finding>> {
        check::pack(self.backend.store(), pack, &self.control)
    }

    fn check_files(&self, everything: bool) -> Result<Vec<Finding>> {
        let (index, mut findings) = self.index_files()?;
        findings.extend(check::files(self.backend.store(), &index, everything, &self.control)?);
        Ok(findings)
    }

    fn forget(&mut self, snapshots: &[String]) -> Result<()> {
        let repository = self.repository()?;
        let ids = snapshots.iter().map(|id| id.parse::<SnapshotId>()).collect::<RusticResult<Vec<_>>>();
        let ids = self.ask("naming snapshots", || ids)?;
        self.ask("forgetting snapshots", || repository.delete_snapshots(&ids))
    }

    fn prune(&mut self, keep_deleted: Duration, repack: bool) -> Result<Pruning> {
        self.held_prune(keep_deleted, repack)
    }

    fn replicate(&mut self, from: &Self, snapshot: &Snapshot) -> Result<Snapshot> {
        self.copy_of(from, snapshot)
    }

    fn adopt(&mut self) -> Result<()> {
        let repository = self.repository()?;
        self.backend.store().sweep()?;
        self.ask("adopting uploads", || repository.repair_index(&RepairIndexOptions::default(), false))?;
        self.readable = OnceLock::new();
        self.backend.settle()
    }

    fn indexes(&self) -> Result<Vec<String>> {
        self.names(FileType::Index)
    }

    fn snapshot_names(&self) -> Result<Vec<String>> {
        self.names(FileType::Snapshot)
    }
}
