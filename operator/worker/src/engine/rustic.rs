//! The engine on the rustic library, in restic's open repository format.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustic_core::repofile::{IndexFile, MasterKey, SnapshotFile, SnapshotId};
use rustic_core::{
    BackupOptions, ConfigOptions, Credentials, FileType, Id, KeyOptions, OpenStatus, ParentOptions, ReadBackend,
    RepairIndexOptions, Repository, RepositoryBackends, RepositoryOptions, RusticError, RusticResult,
    SnapshotGroupCriterion, SnapshotOptions, TreeId,
};

use super::adapter::{Feed, Record};
use super::backend::{Access, Backend, digest};
use super::walk::{Readable, Walk};
use super::{Batch, Engine, Entry, Finding, Kind, Label, Meta, Opened, Snapshot, Stored, Unchanged, check, node};
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::store::Store;

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

/// What is known of a repository that was just created.
#[derive(Debug)]
pub struct Created {
    /// SHA-256 of its config.
    pub config: String,
    /// Its escrow key.
    pub escrow_key: String,
    /// The key of the repository, to be wrapped.
    pub key: Vec<u8>,
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
    /// Creates a repository with an escrow password that plain restic opens it with.
    pub fn create(store: &Store, password: &str, control: &Control) -> Result<Created> {
        if store.get("config")?.is_some() || !store.list("keys")?.is_empty() {
            return Err(WorkerError::RepositoryExists { store: store.location().to_owned() });
        }
        let backend = Backend::new(store.clone(), Access::Create, control.clone());
        let mut config = ConfigOptions::default();
        config.set_datapack_size = PACK.parse().ok();
        config.set_treepack_size = TREE_PACK.parse().ok();
        config.set_datapack_growfactor = Some(0);
        config.set_treepack_growfactor = Some(0);
        let key = MasterKey::new();
        let secret = serde_json::to_vec(&key).map_err(|e| WorkerError::engine("keeping the key", e))?;
        let explain = |e: Box<RusticError>| control.explain(told("creating the repository", &e));
        let repository = Repository::new(&options(), &backends(&backend)).map_err(explain)?;
        let repository =
            repository.init(&Credentials::Masterkey(key), &KeyOptions::default(), &config).map_err(explain)?;
        let escrow = repository.add_key(password, &KeyOptions::default()).map_err(explain)?;
        let config = store.get("config")?.ok_or_else(|| WorkerError::damaged("config", "it is missing"))?;
        Ok(Created { config: digest(&config), escrow_key: escrow.to_hex().to_string(), key: secret })
    }

    /// Opens a repository with its own key.
    pub fn open(store: &Store, key: &[u8], access: Access, control: &Control) -> Result<Self> {
        let key = serde_json::from_slice(key).map_err(|_| wrong_key("the unwrapped key", store, "it is no key"))?;
        Self::open_with(store, key, access, control, "the key of the repository")
    }

    /// Opens a repository with the escrow password.
    pub fn open_with_password(store: &Store, password: &str, access: Access, control: &Control) -> Result<Self> {
        let backend = Backend::new(store.clone(), Access::Read, control.clone());
        if store.get("config")?.is_none() {
            return Err(WorkerError::NoRepository { store: store.location().to_owned() });
        }
        let opened = Repository::new(&options(), &backends(&backend))
            .and_then(|repository| repository.open(&Credentials::password(password)));
        let key = match opened {
            Ok(repository) => repository.key(),
            Err(error) if error.is_incorrect_password() => {
                return Err(wrong_key("the escrow password", store, "no key of the repository opens with it"));
            }
            Err(error) => return Err(control.explain(told("opening the repository", &error))),
        };
        Self::open_with(store, key, access, control, "the escrow password")
    }

    fn open_with(store: &Store, key: MasterKey, access: Access, control: &Control, named: &str) -> Result<Self> {
        if store.get("config")?.is_none() {
            return Err(WorkerError::NoRepository { store: store.location().to_owned() });
        }
        let backend = Backend::new(store.clone(), access, control.clone());
        let engine = Self { backend, control: control.clone(), key, readable: OnceLock::new() };
        engine.repository().map_err(|error| match error {
            WorkerError::Engine { .. } => wrong_key(named, store, "the repository's config does not decrypt"),
            other => other,
        })?;
        Ok(engine)
    }

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

    fn index_files(&self) -> Result<Vec<IndexFile>> {
        let repository = self.repository()?;
        self.ask("reading the index", || repository.stream_files::<IndexFile>()?.map(|f| f.map(|(_, f)| f)).collect())
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

fn wrong_key(key: &str, store: &Store, problem: &str) -> WorkerError {
    WorkerError::WrongKey { key: key.to_owned(), store: store.location().to_owned(), problem: problem.to_owned() }
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
        check::files(self.backend.store(), &self.index_files()?, everything, &self.control)
    }

    fn forget(&mut self, snapshots: &[String]) -> Result<()> {
        let repository = self.repository()?;
        let ids = snapshots.iter().map(|id| id.parse::<SnapshotId>()).collect::<RusticResult<Vec<_>>>();
        let ids = self.ask("naming snapshots", || ids)?;
        self.ask("forgetting snapshots", || repository.delete_snapshots(&ids))
    }

    fn adopt(&mut self) -> Result<()> {
        let repository = self.repository()?;
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
