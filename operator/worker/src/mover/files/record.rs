//! The records by which a migration is held: each takes its place as a whole.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::carry::Carries;
use super::freeze::Freeze;
use crate::error::{Result, WorkerError};
use crate::evidence::items::line;
use crate::mover::{Mark, Ticket};

/// The target's record, in its state folder.
pub(super) const RECORD: &CStr = c"fence.json";

/// What the target says of its migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) mark: Mark,
    /// Root of the source, as text.
    pub(super) source: String,
    /// Whether nothing stands in the way of copying.
    pub(super) prepared: bool,
    /// What the target's file system carries.
    pub(super) carries: Carries,
    /// Items and bytes of the source when they were counted last.
    pub(super) inventory: (u64, u64),
    /// Passes that came to their end.
    pub(super) passes: u64,
    /// When the last of them began, in seconds.
    pub(super) last_began: i64,
    /// How the source was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) freeze: Option<Freeze>,
    /// When both sides were found equal under that freeze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) finished: Option<Finished>,
    /// Whether applications ever got the target.
    pub(super) was_open: bool,
    /// The migration is over and everything else that it made is gone. The record stays and refuses whoever comes late under an epoch
    /// of before; a further migration may take its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) dropped: bool,
}

impl Record {
    /// That of a migration which begins.
    pub(super) fn new(ticket: &Ticket, source: String) -> Self {
        let mark = Mark::begun(ticket);
        Self {
            mark,
            source,
            prepared: false,
            carries: Carries::default(),
            inventory: (0, 0),
            passes: 0,
            last_began: 0,
            freeze: None,
            finished: None,
            was_open: false,
            dropped: false,
        }
    }
}

/// Both sides were found equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finished {
    pub(super) at: String,
    pub(super) digest: String,
}

/// What the record beside the source says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SourceMark {
    #[serde(flatten)]
    pub(super) mark: Mark,
    pub(super) target: String,
}

pub(super) fn lock(state: &OwnedFd, name: &CStr, how: FlockOperation) -> Result<OwnedFd> {
    let broken = |e: Errno| WorkerError::local(name.to_string_lossy().as_ref(), e);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(state, name, flags, Mode::RUSR | Mode::WUSR).map_err(broken)?;
    loop {
        match rustix::fs::flock(&file, how) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(WorkerError::Move {
                    reason: "MoverBusy",
                    subject: "the migration".to_owned(),
                    problem: "another process of it is at work".to_owned(),
                    fix: "wait for it, or give --wait-seconds".to_owned(),
                    transient: true,
                });
            }
            Err(error) => return Err(broken(error)),
        }
    }
}

/// Whether a folder holds the record of a migration.
pub(super) fn has_record(state: &OwnedFd) -> bool {
    rustix::fs::statat(state, RECORD, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Reads a record; none if there is none.
pub(super) fn read<T: DeserializeOwned>(directory: &OwnedFd, name: &CStr) -> Result<Option<T>> {
    let shown = name.to_string_lossy();
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NAMETOOLONG) => return Ok(None),
        Err(error) => return Err(WorkerError::local(shown.as_ref(), error)),
    };
    let mut text = Vec::new();
    File::from(file).read_to_end(&mut text).map_err(|e| WorkerError::local(shown.as_ref(), e))?;
    // A record takes its place as a whole. One that cannot be read was changed by somebody, and then nobody knows what it said.
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|e| WorkerError::damaged(format!("the record {shown}"), e.to_string()))
}

pub(super) fn write<T: Serialize>(directory: &OwnedFd, name: &CStr, record: &T) -> Result<()> {
    put(directory, name, &line(record)?).map_err(|e| match e {
        Errno::NOSPC | Errno::DQUOT => super::put::full(e),
        other => WorkerError::local(name.to_string_lossy().as_ref(), other),
    })
}

/// Puts a record in place as a whole, and so that it stays.
pub(super) fn put(directory: &OwnedFd, name: &CStr, text: &[u8]) -> rustix::io::Result<()> {
    let staged = CString::new([name.to_bytes(), b".next"].concat()).map_err(|_| Errno::INVAL)?;
    match rustix::fs::unlinkat(directory, &staged, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, &staged, flags, Mode::RUSR | Mode::WUSR)?;
    let mut rest = text;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    rustix::fs::fsync(&file)?;
    rustix::fs::renameat(directory, &staged, directory, name)?;
    rustix::fs::fsync(directory)
}
