//! The store beneath a repository: a directory or an S3 bucket, through one blocking door.
//!
//! The engine is blocking, the object stores are not: every call here waits on the runtime of the worker and must therefore not
//! be made on one of its threads.

pub mod lease;
pub mod open;
mod refusal;
pub mod room;
pub mod upload;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as ObjectError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::Handle;

use self::room::Room;
use crate::error::{Result, WorkerError};

/// How long one request may take, with the store's own repeats in it.
const DEADLINE: Duration = Duration::from_secs(180);
/// How often a failed request to a directory is repeated; the S3 client repeats its requests itself.
const REPEATS: u32 = 3;
/// The first pause between repeats; doubled each time.
const PAUSE: Duration = Duration::from_millis(200);
/// The largest object that is read, in bytes: far above what is written, and below what would take the memory of the machine if
/// somebody put it there.
const LARGEST: u64 = 256 << 20;
/// What Zhengyun keeps beside restic's own files lies below this name; restic does not look there.
pub const OWN: &str = "zhengyun";

/// A repository's place.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    location: String,
    /// The directory, if it is one on this machine.
    directory: Option<PathBuf>,
    runtime: Handle,
    /// What may still be written; shared by every clone.
    room: Room,
    /// Tests only: the process ends abruptly at its n-th write.
    crash: Option<Arc<AtomicU64>>,
}

/// An object of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name below the repository.
    pub name: String,
    /// Its bytes.
    pub size: u64,
}

/// Whether a write may replace what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It may: the name is the digest of the content, or the object is ours alone.
    Replace,
    /// It may not: exactly one writer wins.
    Create,
}

impl Store {
    /// Shown to people.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The directory, if the store is one on this machine.
    pub const fn directory(&self) -> Option<&PathBuf> {
        self.directory.as_ref()
    }

    /// A directory on this machine, besides this store.
    pub fn beside(&self, directory: &std::path::Path) -> Result<Self> {
        open::StoreArgs::directory(directory).open(open::Place::Existing, &self.runtime)
    }

    const fn repeats(&self) -> u32 {
        if self.directory.is_some() { REPEATS } else { 0 }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), Path::join)
    }

    /// Reads an object; none if it is not there.
    pub fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let path = self.path(name);
        let ask = || async {
            let found = self.objects.get(&path).await?;
            if found.meta.size > LARGEST { Ok(None) } else { found.bytes().await.map(Some) }
        };
        match self.runtime.block_on(repeated(self.repeats(), &ask)) {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => Err(WorkerError::damaged(name, "it is larger than anything that is written here")),
            Err(error @ ObjectError::NotFound { .. }) if refusal::told(&error).is_none() => Ok(None),
            Err(error) => Err(self.told(&format!("reading {name}"), &error)),
        }
    }

    /// Writes an object as a whole; false if `Create` found one there.
    pub fn put(&self, name: &str, content: Bytes, how: Put) -> Result<bool> {
        self.runtime.block_on(self.put_async(name, vec![content], how))
    }

    /// Writes an object as a whole from its pieces.
    pub(crate) async fn put_async(&self, name: &str, content: Vec<Bytes>, how: Put) -> Result<bool> {
        self.room.take(name, content.iter().map(|piece| piece.len() as u64).sum())?;
        let path = self.path(name);
        let payload = PutPayload::from_iter(content);
        let mode = match how {
            Put::Replace => PutMode::Overwrite,
            Put::Create => PutMode::Create,
        };
        let ask = || self.objects.put_opts(&path, payload.clone(), PutOptions::from(mode.clone()));
        let written = repeated(self.repeats(), &ask).await;
        self.crash_after_write();
        match written {
            Ok(_) => Ok(true),
            Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) if how == Put::Create => {
                Ok(false)
            }
            Err(error) => Err(self.told(&format!("writing {name}"), &error)),
        }
    }

    /// Deletes an object; one that is gone already is no error.
    pub fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let deleted = self.runtime.block_on(repeated(self.repeats(), &|| self.objects.delete(&path)));
        self.crash_after_write();
        match deleted {
            Err(error @ ObjectError::NotFound { .. }) if refusal::told(&error).is_none() => Ok(()),
            Ok(()) => Ok(()),
            Err(error) => Err(self.told(&format!("deleting {name}"), &error)),
        }
    }

    /// Lists what is below a name, in order.
    pub fn list(&self, below: &str) -> Result<Vec<Stored>> {
        let prefix = self.path(below);
        let ask = || async { self.objects.list(Some(&prefix)).try_collect::<Vec<_>>().await };
        let found = self
            .runtime
            .block_on(repeated(self.repeats(), &ask))
            .map_err(|error| self.told(&format!("listing {below}"), &error))?;
        let strip = self.prefix.as_ref().len();
        let mut stored: Vec<Stored> = found
            .into_iter()
            .map(|meta| {
                let name = meta.location.as_ref().get(strip..).unwrap_or_default().trim_start_matches('/').to_owned();
                Stored { name, size: meta.size }
            })
            .collect();
        stored.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(stored)
    }

    /// Removes what writers that were killed left beside objects in a directory. Nobody may be writing.
    pub fn sweep(&self) -> Result<()> {
        match &self.directory {
            Some(directory) => sweep(directory).map_err(|e| WorkerError::Store {
                store: self.location.clone(),
                action: "removing what a killed writer left".to_owned(),
                cause: e.to_string(),
            }),
            None => Ok(()),
        }
    }

    fn crash_after_write(&self) {
        if let Some(left) = &self.crash
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            // Nothing may run after this, as after a power cut.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    fn told(&self, action: &str, error: &ObjectError) -> WorkerError {
        let (store, action, cause) = (self.location.clone(), action.to_owned(), innermost(error));
        if let Some((reason, problem, fix)) = refusal::told(error) {
            return WorkerError::StoreRefused { store, action, reason, problem, fix };
        }
        if is_full(error) {
            WorkerError::StoreFull { store, action, cause }
        } else {
            WorkerError::Store { store, action, cause }
        }
    }
}

/// An object is written as `NAME#NUMBER` and then renamed.
fn sweep(directory: &std::path::Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sweep(&entry.path())?;
        } else if kind.is_file()
            && let Some((_, number)) = entry.file_name().to_string_lossy().rsplit_once('#')
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Repeats what may pass; each attempt has a deadline of its own.
async fn repeated<T, F>(mut left: u32, ask: &impl Fn() -> F) -> object_store::Result<T>
where
    F: Future<Output = object_store::Result<T>>,
{
    let mut pause = PAUSE;
    loop {
        let outcome = match tokio::time::timeout(DEADLINE, ask()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ObjectError::Generic {
                store: "store",
                source: format!("no answer within {} s", DEADLINE.as_secs()).into(),
            }),
        };
        match outcome {
            Err(ref error) if left > 0 && may_pass(error) => {
                left -= 1;
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2);
            }
            other => return other,
        }
    }
}

fn may_pass(error: &ObjectError) -> bool {
    !is_full(error) && matches!(error, ObjectError::Generic { .. } | ObjectError::JoinError { .. })
}

/// Whether the cause is a full disk or a quota that is used up.
fn is_full(error: &ObjectError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if let Some(io) = one.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
            if matches!(io.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
                return true;
            }
        }
        cause = one.source();
    }
    false
}

/// The innermost cause: what a person can look up.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
