//! Files and other entries of a directory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::super::restore::Outcome;
use super::super::verify::Digesting;
use super::{Restore, meta, open_below};
use crate::engine::{Kind, Stored};
use crate::error::WorkerError;
use crate::evidence::items::Item;

/// How a directory is opened.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Blocks of zeros that become holes, in bytes.
const HOLE: usize = 4096;

/// What stands in the way.
pub(super) enum Problem {
    /// Of one item: the others go on.
    Item(String),
    /// Of the whole restore.
    Run(WorkerError),
}

impl From<Errno> for Problem {
    fn from(error: Errno) -> Self {
        match error {
            // Nothing after this would fare better.
            Errno::NOSPC | Errno::DQUOT => Self::Run(full(&error)),
            other => Self::Item(other.to_string()),
        }
    }
}

fn full(error: &dyn std::fmt::Display) -> WorkerError {
    WorkerError::Target {
        target: "of the restore".to_owned(),
        problem: error.to_string(),
        fix: "give it room and run the command again: it goes on".to_owned(),
    }
}

impl Restore<'_> {
    /// Restores a file: staged, proved, then named.
    pub(super) fn file(&mut self, stored: &Stored, item: &Item) -> Result<Outcome, Problem> {
        let (parent, name) = self.place(&stored.path)?;
        let there = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => false,
            Err(error) => return Err(error.into()),
            Ok(_) => true,
        };
        if there && self.target.resumes && is_same(parent, name, item) {
            self.remember(stored, item);
            return Ok(Outcome::Same);
        }
        if there && !self.replaces() {
            return Ok(Outcome::Skipped);
        }
        if let Some(outcome) = self.link(stored, item, there)? {
            return Ok(outcome);
        }
        let staged = self.staged.as_str();
        match rustix::fs::unlinkat(parent, staged, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(parent, staged, flags, Mode::RUSR | Mode::WUSR)?);
        let written = self.content(stored, item, file);
        let complete = match written {
            Ok(complete) => complete,
            Err(problem) => {
                let _ = rustix::fs::unlinkat(parent, staged, AtFlags::empty());
                return Err(problem);
            }
        };
        let how = if there { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match rustix::fs::renameat_with(parent, staged, parent, name, how) {
            // File systems that cannot refuse to replace: we looked a moment ago.
            Err(Errno::INVAL) => rustix::fs::renameat(parent, staged, parent, name)?,
            other => other?,
        }
        if !complete {
            self.tally.without_meta();
        }
        self.remember(stored, item);
        Ok(if there && !self.target.alone { Outcome::Replaced } else { Outcome::Created })
    }

    /// Writes and proves the content; tells whether everything else could be set too.
    fn content(&self, stored: &Stored, item: &Item, file: File) -> Result<bool, Problem> {
        let control = self.ready.control;
        let mut sink = Digesting::new(Sparse::new(file));
        let outcome = self.ready.engine.read(stored, &mut sink);
        let (mut sparse, digest, size) = sink.into_parts();
        if let Some(error) = sparse.failed.take() {
            return Err(match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::Run(full(&error)),
                _ => Problem::Item(error.to_string()),
            });
        }
        match outcome {
            Ok(()) => {}
            Err(WorkerError::Damaged { part, problem }) => return Err(Problem::Item(format!("{part}: {problem}"))),
            Err(other) => return Err(Problem::Run(other)),
        }
        if digest != item.digest || size != item.size {
            return Err(Problem::Item(
                "its content is not what the manifest says; nothing was put in its place".to_owned(),
            ));
        }
        let file = sparse.finish(size).map_err(|e| Problem::Item(e.to_string()))?;
        control.count_bytes(size);
        Ok(meta::apply(&OwnedFd::from(file), &stored.meta))
    }

    fn remember(&mut self, stored: &Stored, item: &Item) {
        if stored.meta.links > 1 {
            let key = (stored.meta.device, stored.meta.inode);
            self.linked.entry(key).or_insert_with(|| (stored.path.clone(), item.digest.clone()));
        }
    }

    /// A further name of a file that was restored.
    fn link(&self, stored: &Stored, item: &Item, there: bool) -> Result<Option<Outcome>, Problem> {
        let first = self.linked.get(&(stored.meta.device, stored.meta.inode)).filter(|_| stored.meta.links > 1);
        let Some((path, digest)) = first else { return Ok(None) };
        // An inode that was used again during the capture is another file.
        if *digest != item.digest {
            return Ok(None);
        }
        let Some(root) = self.open.first() else { return Ok(None) };
        let below = path.strip_prefix(&root.path).unwrap_or(path);
        let from = open_below(&root.directory, below.parent().unwrap_or(Path::new("")))?;
        let (parent, name) = self.place(&stored.path)?;
        if there {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
        }
        rustix::fs::linkat(&from, path.file_name().unwrap_or_default(), parent, name, AtFlags::empty())?;
        Ok(Some(if there && !self.target.alone { Outcome::Replaced } else { Outcome::Created }))
    }
}

/// Makes a link, FIFO or device.
pub(super) fn make(parent: &OwnedFd, name: &OsStr, stored: &Stored) -> Result<(), Problem> {
    let kind = match &stored.kind {
        Kind::Link(target) => return Ok(rustix::fs::symlinkat(target, parent, name)?),
        Kind::Fifo => (FileType::Fifo, 0),
        Kind::Block(device) => (FileType::BlockDevice, *device),
        Kind::Char(device) => (FileType::CharacterDevice, *device),
        Kind::File | Kind::Dir | Kind::Socket => return Ok(()),
    };
    Ok(rustix::fs::mknodat(parent, name, kind.0, Mode::RUSR | Mode::WUSR, kind.1)?)
}

/// Whether a file of ours is there already.
pub(super) fn is_same(parent: &OwnedFd, name: &OsStr, item: &Item) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(parent, name, flags, Mode::empty()) else { return false };
    has_content(File::from(file), item)
}

/// Whether an open file is a regular one with the content of an item.
pub(super) fn has_content(file: File, item: &Item) -> bool {
    if !file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == item.size) {
        return false;
    }
    let (mut reader, mut digest, mut buffer) = (BufReader::new(file), Sha256::new(), vec![0; 1 << 16]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return HEXLOWER.encode(&digest.finalize()) == item.digest,
            Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Writes zeros as holes.
pub(crate) struct Sparse {
    file: File,
    /// Zeros that are not written yet.
    pending: u64,
    /// The library between us and the caller would only tell a follow-up.
    failed: Option<io::Error>,
}

impl Sparse {
    pub(crate) fn new(file: File) -> Self {
        Self { file, pending: 0, failed: None }
    }

    fn skip(&mut self) -> io::Result<()> {
        if self.pending > 0 {
            let pending = i64::try_from(self.pending).map_err(io::Error::other)?;
            self.file.seek(SeekFrom::Current(pending))?;
            self.pending = 0;
        }
        Ok(())
    }

    pub(crate) fn put(&mut self, buffer: &[u8]) -> io::Result<()> {
        for block in buffer.chunks(HOLE) {
            if block.iter().all(|byte| *byte == 0) {
                self.pending += block.len() as u64;
            } else {
                self.skip()?;
                self.file.write_all(block)?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self, size: u64) -> io::Result<File> {
        self.file.set_len(size)?;
        Ok(self.file)
    }
}

impl Write for Sparse {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.put(buffer) {
            Ok(()) => Ok(buffer.len()),
            Err(error) => {
                let told = io::Error::from(error.kind());
                self.failed = Some(error);
                Err(told)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
