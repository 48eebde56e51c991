//! The library's door to the store.
//!
//! Three things are done here because the library does not: packs are uploaded side by side, while an index or a snapshot waits for
//! all of them; whatever is read is compared with its name, which is its digest, and therefore read whole; and before an index, a
//! snapshot or a delete the lease is looked at, and a run that failed or was cancelled writes none of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use sha2::{Digest, Sha256};

use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::store::lease::Fence;
use crate::store::upload::Uploads;
use crate::store::{Put, Store};

/// Packs that are kept after reading: pieces that were stored together are mostly read together.
const KEPT_PACKS: usize = 4;

/// What may be done with the repository.
#[derive(Clone, Debug)]
pub enum Access {
    /// Nothing is written; the lease is not asked for.
    Read,
    /// Creating the repository, before there can be a lease.
    Create,
    /// Writes, as long as the lease is ours.
    Write(Fence),
}

/// The store as the library sees it.
#[derive(Clone, Debug)]
pub struct Backend {
    store: Store,
    uploads: Uploads,
    access: Access,
    control: Control,
    kept: Arc<Mutex<VecDeque<(Id, Bytes)>>>,
    held: Arc<Mutex<Option<Held>>>,
}

/// Index files that would be written and files that would be deleted, by their names in the store.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Index files with their content.
    pub written: Vec<(String, Bytes)>,
    /// What would be deleted, in the order in which it would be.
    pub deleted: Vec<String>,
}

impl Backend {
    /// A door to a store.
    pub fn new(store: Store, access: Access, control: Control) -> Self {
        let uploads = Uploads::new(store.clone(), control.clone());
        Self { store, uploads, access, control, kept: Arc::default(), held: Arc::default() }
    }

    /// The store behind it.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until everything is stored.
    pub fn settle(&self) -> Result<()> {
        self.uploads.settle()
    }

    /// From now on index files are kept back and nothing is deleted: which index files are in force must be signed in between.
    pub fn hold(&self) {
        *self.holding() = Some(Held::default());
    }

    /// What was kept back; from now on everything is written and deleted again.
    pub fn let_go(&self) -> Held {
        self.holding().take().unwrap_or_default()
    }

    fn holding(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what really happened: the library passes on a follow-up, or a warning into a log that nobody reads.
    fn kept<T>(&self, outcome: Result<T>) -> RusticResult<T> {
        outcome.map_err(|error| {
            let told = error.to_string();
            self.control.fail(error);
            RusticError::new(ErrorKind::Backend, told)
        })
    }

    fn may_write(&self) -> Result<()> {
        self.control.check()?;
        match &self.access {
            Access::Read => Err(WorkerError::engine("writing", "the repository was opened for reading")),
            Access::Create => Ok(()),
            Access::Write(fence) => fence.check(),
        }
    }

    fn whole(&self, kind: FileType, id: &Id) -> Result<Bytes> {
        let name = name(kind, id);
        let bytes = self.store.get(&name)?.ok_or_else(|| WorkerError::damaged(&name, "it is missing"))?;
        if kind != FileType::Config && digest(&bytes) != *id.to_hex() {
            return Err(WorkerError::damaged(&name, "its content is not that of its name"));
        }
        Ok(bytes)
    }

    fn part(&self, kind: FileType, id: &Id, offset: u32, length: u32) -> Result<Bytes> {
        let whole = if kind == FileType::Pack { self.pack(id)? } else { self.whole(kind, id)? };
        let (offset, length) = (offset as usize, length as usize);
        match offset.checked_add(length).filter(|end| *end <= whole.len()) {
            Some(end) => Ok(whole.slice(offset..end)),
            None => Err(WorkerError::damaged(name(kind, id), "it is shorter than the index says")),
        }
    }

    /// A pack, proved by its name. The lock is held while it is fetched: whoever wants the same pack waits for it instead.
    fn pack(&self, id: &Id) -> Result<Bytes> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = kept.iter().find(|(kept, _)| kept == id) {
            return Ok(bytes.clone());
        }
        let bytes = self.whole(FileType::Pack, id)?;
        if kept.len() == KEPT_PACKS {
            kept.pop_front();
        }
        kept.push_back((*id, bytes.clone()));
        Ok(bytes)
    }

    fn listed(&self, kind: FileType) -> Result<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            let found = self.store.get("config")?;
            return Ok(found.map(|bytes| (Id::default(), size(bytes.len() as u64))).into_iter().collect());
        }
        let listed = self.store.list(kind.dirname())?;
        Ok(listed
            .iter()
            .filter_map(|stored| {
                let last = stored.name.rsplit('/').next()?;
                // Names that are no digest are left alone, as restic leaves them alone.
                Some((Id::parse_some(last, kind)?, size(stored.size)))
            })
            .collect())
    }

    fn write(&self, kind: FileType, id: &Id, content: BytesList) -> Result<()> {
        let name = name(kind, id);
        if kind == FileType::Pack {
            // A pack alone refers to nothing and nothing to it: it needs neither order nor lease.
            if matches!(self.access, Access::Read) {
                return self.may_write();
            }
            return self.uploads.start(name, content.into_vec());
        }
        self.uploads.settle()?;
        self.may_write()?;
        let bytes: Vec<u8> = content.into_vec().concat();
        if let (FileType::Index, Some(held)) = (kind, self.holding().as_mut()) {
            held.written.push((name, bytes.into()));
            return Ok(());
        }
        self.store.put(&name, bytes.into(), Put::Replace).map(drop)
    }

    fn delete(&self, kind: FileType, id: &Id) -> Result<()> {
        self.uploads.settle()?;
        self.may_write()?;
        if let Some(held) = self.holding().as_mut() {
            held.deleted.push(name(kind, id));
            return Ok(());
        }
        self.store.delete(&name(kind, id))
    }
}

/// The digest that names a file of the repository.
pub fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Where restic's format keeps a file.
pub fn name(kind: FileType, id: &Id) -> String {
    let hex = id.to_hex();
    match kind {
        FileType::Config => "config".to_owned(),
        FileType::Pack => format!("data/{}/{}", hex.get(..2).unwrap_or_default(), &*hex),
        FileType::Snapshot | FileType::Index | FileType::Key => format!("{}/{}", kind.dirname(), &*hex),
    }
}

/// The library counts sizes of files in 32 bits; a larger file is none of ours and shows as wrong.
fn size(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl ReadBackend for Backend {
    fn location(&self) -> String {
        self.store.location().to_owned()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.kept(self.listed(kind))
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        self.kept(self.whole(kind, id))
    }

    fn read_partial(&self, kind: FileType, id: &Id, _cacheable: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        self.kept(self.part(kind, id, offset, length))
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        name(kind, id)
    }
}

impl WriteBackend for Backend {
    fn write_bytes(&self, kind: FileType, id: &Id, _cacheable: bool, content: BytesList) -> RusticResult<()> {
        self.kept(self.write(kind, id, content))
    }

    fn remove(&self, kind: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        self.kept(self.delete(kind, id))
    }
}
