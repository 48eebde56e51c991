//! Feeds the library and watches what it makes of it.
//!
//! The library drops what it cannot open or read and calls the backup good. So every entry that is handed over is entered in a
//! record, and so is what was read of it; a snapshot counts only if the record has no gap.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER;
use rustic_core::repofile::Node;
use rustic_core::{ErrorKind, ReadSource, ReadSourceEntry, ReadSourceOpen, RusticError, RusticResult};
use sha2::{Digest, Sha256};

use super::{Entry, Kind, Opened, Opener, Unchanged, node};
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::evidence::items::{Item, ItemKind};

/// What became of the entries of a batch.
#[derive(Clone, Debug, Default)]
pub struct Record {
    entries: Arc<Mutex<BTreeMap<u64, Handed>>>,
}

#[derive(Clone, Debug)]
struct Handed {
    path: PathBuf,
    kind: ItemKind,
    size: u64,
    fate: Fate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// No content, or a digest that needs no reading.
    Known(String),
    /// Not opened so far.
    Waiting,
    /// Being read.
    Open,
    /// Read to its end: so many bytes with this digest.
    Read(u64, String),
    /// Gone before it was opened.
    Vanished,
}

impl Record {
    fn enter(&self, number: u64, entry: &Entry) {
        let (kind, fate) = match &entry.kind {
            Kind::File => (ItemKind::File, Fate::Waiting),
            Kind::Dir => (ItemKind::Dir, Fate::Known(String::new())),
            Kind::Link(target) => (ItemKind::Link, Fate::Known(link_digest(target))),
            _ => (ItemKind::Special, Fate::Known(String::new())),
        };
        let size = if kind == ItemKind::File { entry.meta.size } else { 0 };
        self.lock().insert(number, Handed { path: entry.path.clone(), kind, size, fate });
    }

    fn set(&self, number: u64, fate: Fate) {
        if let Some(handed) = self.lock().get_mut(&number) {
            handed.fate = fate;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Handed>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The items of the batch, and what changed while it was read. Fails if the library passed over anything.
    pub fn items(&self, unchanged: Unchanged<'_>) -> Result<(Vec<Item>, Vec<PathBuf>)> {
        let (mut items, mut changed) = (Vec::new(), Vec::new());
        for handed in std::mem::take(&mut *self.lock()).into_values() {
            let Handed { path, kind, size, fate } = handed;
            let (size, digest) = match fate {
                Fate::Known(digest) => (size, digest),
                Fate::Vanished => {
                    changed.push(path);
                    continue;
                }
                Fate::Read(read, digest) => {
                    if read != size {
                        changed.push(path.clone());
                    }
                    (read, digest)
                }
                Fate::Waiting => unchanged(&path)?.ok_or_else(|| gap(&path, "it was never opened"))?,
                Fate::Open => return Err(gap(&path, "it was not read to its end")),
            };
            items.push(Item { path, kind, size, digest });
        }
        Ok((items, changed))
    }
}

fn gap(path: &Path, problem: &str) -> WorkerError {
    WorkerError::engine(format!("storing {}", path.display()), problem)
}

/// Digest of a link's target.
pub fn link_digest(target: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    HEXLOWER.encode(&Sha256::digest(target.as_os_str().as_bytes()))
}

type Entries = Box<dyn Iterator<Item = RusticResult<ReadSourceEntry<Open>>> + Send>;

/// Entries as the library takes them. It asks for them once.
pub struct Feed {
    entries: Mutex<Option<Entries>>,
}

impl Feed {
    /// Entries of a source. The feed ends early once the run fails or is cancelled.
    pub fn of_source(entries: Box<dyn Iterator<Item = Entry> + Send>, record: Record, control: Control) -> Self {
        let mut number = 0;
        let mapped = entries.map_while(move |entry| {
            if control.check().is_err() {
                return None;
            }
            number += 1;
            if !entry.repeated {
                record.enter(number, &entry);
                control.count_item();
            }
            let node = match node::to_node(&entry.path, &entry.kind, &entry.meta) {
                Ok(node) => node,
                Err(error) => {
                    control.fail(error);
                    return None;
                }
            };
            let open =
                entry.open.map(|opener| Open { opener, number, record: record.clone(), control: control.clone() });
            Some(Ok(ReadSourceEntry { path: entry.path, node, open }))
        });
        Self { entries: Mutex::new(Some(Box::new(mapped))) }
    }

    /// Nodes that are stored already, and then entries of a source.
    pub fn of_nodes(nodes: Box<dyn Iterator<Item = (PathBuf, Node)> + Send>, then: &Self) -> Self {
        let stored = nodes.map(|(path, node)| Ok(ReadSourceEntry { path, node, open: None }));
        Self { entries: Mutex::new(Some(Box::new(stored.chain(then.entries())))) }
    }
}

impl ReadSource for Feed {
    type Open = Open;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Entries {
        let taken = self.entries.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| Box::new(std::iter::empty()))
    }
}

/// Opens a file when the library comes to it.
pub struct Open {
    opener: Opener,
    number: u64,
    record: Record,
    control: Control,
}

impl ReadSourceOpen for Open {
    type Reader = Watched;

    fn open(self) -> RusticResult<Watched> {
        let refused = |told: &str| Err(RusticError::new(ErrorKind::InputOutput, told));
        if self.control.check().is_err() {
            return refused("the run ends");
        }
        match (self.opener)() {
            Opened::Content(reader) => {
                self.record.set(self.number, Fate::Open);
                Ok(Watched {
                    reader,
                    digest: Sha256::new(),
                    size: 0,
                    number: self.number,
                    record: self.record,
                    control: self.control,
                })
            }
            Opened::Vanished => {
                self.record.set(self.number, Fate::Vanished);
                refused("it vanished")
            }
            Opened::Failed(error) => {
                self.control.fail(error);
                refused("it cannot be read")
            }
        }
    }
}

/// Reads on behalf of the library and keeps the digest.
pub struct Watched {
    reader: Box<dyn Read + Send>,
    digest: Sha256,
    size: u64,
    number: u64,
    record: Record,
    control: Control,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.control.check().is_err() {
            return Err(io::Error::other("the run ends"));
        }
        let read = loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match read {
            Ok(0) if !buffer.is_empty() => {
                let digest = HEXLOWER.encode(&std::mem::take(&mut self.digest).finalize());
                self.record.set(self.number, Fate::Read(self.size, digest));
                // A reader may be asked again at its end.
                self.reader = Box::new(io::empty());
                self.number = u64::MAX;
                Ok(0)
            }
            Ok(count) => {
                self.digest.update(buffer.get(..count).unwrap_or_default());
                self.size += count as u64;
                self.control.count_bytes(count as u64);
                Ok(count)
            }
            Err(error) => {
                let path = self.record.lock().get(&self.number).map(|h| h.path.clone()).unwrap_or_default();
                self.control.fail(unreadable(&path, &error));
                Err(error)
            }
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> WorkerError {
    // Below data/ comes the name of the source.
    let mut parts = path.iter().skip(1);
    let name = parts.next().unwrap_or_default().to_string_lossy().into_owned();
    let what = crate::evidence::items::path_text(&parts.collect::<PathBuf>());
    WorkerError::Unreadable { name, what, cause: error.to_string() }
}
