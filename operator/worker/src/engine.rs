//! The engine: encrypted, deduplicated snapshots in a store.
//!
//! Nothing here names the library behind it. It changes its interface every few months; this trait does not.

pub mod adapter;
pub mod backend;
pub mod check;
pub mod node;
pub mod rustic;
pub mod walk;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use self::backend::Held;
use crate::error::{Result, WorkerError};
use crate::evidence::items::Item;

/// What a thing in a tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, with its target.
    Link(PathBuf),
    /// A block device, with its number.
    Block(u64),
    /// A character device, with its number.
    Char(u64),
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
}

/// What a thing in a tree has besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// Owner; none for what has none.
    pub uid: Option<u32>,
    /// Group; none for what has none.
    pub gid: Option<u32>,
    /// Last change of content.
    pub mtime: Option<Timestamp>,
    /// Last change of anything: a file whose ctime, mtime, size and inode are the same is not read again.
    pub ctime: Option<Timestamp>,
    /// Inode, together with `device` the identity of a hard-linked file.
    pub inode: u64,
    /// Device of the inode.
    pub device: u64,
    /// How many names the inode has.
    pub links: u64,
    /// Bytes of content.
    pub size: u64,
    /// Extended attributes.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// What came of opening a file.
pub enum Opened {
    /// Its content.
    Content(Box<dyn Read + Send>),
    /// It is gone: between listing and reading it was deleted.
    Vanished,
    /// It is there and cannot be read.
    Failed(WorkerError),
}

/// Opens a file of a source when its turn comes.
pub type Opener = Box<dyn FnOnce() -> Opened + Send>;

/// A thing to be stored.
pub struct Entry {
    /// Its path in the snapshot.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// What else it has.
    pub meta: Meta,
    /// How to read it, if it is a file.
    pub open: Option<Opener>,
    /// It was stored in an earlier batch and stands here only as the parent of others.
    pub repeated: bool,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("path", &self.path).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A thing that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its path in the snapshot.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// What else it has.
    pub meta: Meta,
    /// Digests of the pieces of its content, in order.
    pub pieces: Vec<[u8; 32]>,
    /// Digest of the tree beneath, if it is a directory.
    pub subtree: Option<[u8; 32]>,
}

/// What a snapshot is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The run.
    pub run: String,
    /// Its attempt.
    pub attempt: u32,
    /// A batch of a run, by its number; none for the whole.
    pub batch: Option<u32>,
}

/// A snapshot that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its identity.
    pub id: String,
    /// Its root tree.
    pub tree: String,
    /// What it is for, if it is ours.
    pub label: Option<Label>,
    /// When it was made.
    pub time: String,
}

/// What one batch brought.
#[derive(Debug)]
pub struct Batch {
    /// Its snapshot.
    pub snapshot: Snapshot,
    /// Its items, in order.
    pub items: Vec<Item>,
    /// Files that vanished or changed while they were read.
    pub changed: Vec<PathBuf>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The part: a file of the repository, or an item of a backup.
    pub part: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether the backup that was asked for needs it.
    pub needed: bool,
}

/// What pruning comes to.
#[derive(Clone, Debug, Default)]
pub struct Pruning {
    /// Index files to be written and files to be deleted, in this order.
    pub held: Held,
    /// Packs among the deleted, and their bytes.
    pub removed: (u64, u64),
    /// Bytes of packs that are marked from now on.
    pub marked: u64,
}

/// Where the digest of an unchanged file comes from: the predecessor's manifest, asked in ascending order.
pub type Unchanged<'a> = &'a mut dyn FnMut(&Path) -> Result<Option<(u64, String)>>;

/// A repository of snapshots. Every call blocks.
pub trait Engine {
    /// Stores entries as one batch. Files that are as in the parent are not opened; their digest is asked of `unchanged`.
    fn store(
        &mut self,
        label: &Label,
        parents: &[String],
        entries: Box<dyn Iterator<Item = Entry> + Send>,
        unchanged: Unchanged<'_>,
    ) -> Result<Batch>;

    /// Makes one snapshot of batches and a manifest. Nothing of the batches is read again but their trees.
    fn assemble(&mut self, label: &Label, batches: &[String], manifest: &Path) -> Result<Snapshot>;

    /// All snapshots.
    fn snapshots(&self) -> Result<Vec<Snapshot>>;

    /// Names of all snapshots, read or not.
    fn snapshot_names(&self) -> Result<Vec<String>>;

    /// One snapshot, whatever state the others are in.
    fn snapshot(&self, id: &str) -> Result<Snapshot>;

    /// One thing in a snapshot.
    fn find(&self, snapshot: &Snapshot, path: &Path) -> Result<Option<Stored>>;

    /// All things in a snapshot, in order, until the visitor stops with an error.
    fn visit(&self, snapshot: &Snapshot, visitor: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()>;

    /// Writes the content of a file.
    fn read(&self, stored: &Stored, sink: &mut dyn Write) -> Result<()>;

    /// Bytes of a file's content, by the index: what its pieces amount to, whatever is said of it elsewhere.
    fn size_of(&self, stored: &Stored) -> Result<u64>;

    /// The packs in which a thing lies: for a directory those of its tree, for a file those of its content.
    fn packs_of(&self, stored: &Stored) -> Result<Vec<String>>;

    /// The packs of a snapshot's root tree.
    fn packs_of_root(&self, snapshot: &Snapshot) -> Result<Vec<String>>;

    /// All packs in the store, with their sizes.
    fn packs(&self) -> Result<Vec<(String, u64)>>;

    /// Reads one pack and compares it with its name.
    fn check_pack(&self, pack: &str) -> Result<Option<Finding>>;

    /// Compares the lists of files with each other and, if everything is to be read, each file with its name.
    fn check_files(&self, everything: bool) -> Result<Vec<Finding>>;

    /// Removes snapshots; what they alone used stays until it is pruned.
    fn forget(&mut self, snapshots: &[String]) -> Result<()>;

    /// Works out what no snapshot needs any more, and stores the rest of what lay in the same packs anew. No index file is written
    /// and nothing is deleted: that is for the caller, once it is signed which index files are in force.
    ///
    /// A pack that is not needed is marked, and deleted by a later call once it was marked for so long. Without `repack` nothing is
    /// stored anew.
    fn prune(&mut self, keep_deleted: Duration, repack: bool) -> Result<Pruning>;

    /// Copies a snapshot from another repository, without its label's batches; what is there already is not copied again.
    fn replicate(&mut self, from: &Self, snapshot: &Snapshot) -> Result<Snapshot>
    where
        Self: Sized;

    /// Takes uploads of a killed run, which no index names, into the index, so that they are not uploaded again.
    fn adopt(&mut self) -> Result<()>;

    /// Names of all index files.
    fn indexes(&self) -> Result<Vec<String>>;
}
