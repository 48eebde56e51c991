//! Puts one thing in its place in the target: it is made under another name beside it and takes its name as a whole.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::attributes;
use super::known::Known;
use super::walk::{Node, identity, unreadable};
use crate::control::Control;
use crate::engine::Kind;
use crate::error::{Result, WorkerError};
use crate::run::restore_files::entry::Sparse;
use crate::run::restore_files::meta;

/// Times of a file system go in ticks: a file may change twice within one, and looks the same afterwards.
const TICK: Duration = Duration::from_millis(100);

/// What came of one thing.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It stands in the target.
    Placed {
        known: Known,
        /// Bytes that were written.
        written: u64,
        /// It changed while it was read: the next pass reads it again.
        changed: bool,
        /// Its owner, mode, times and attributes could all be set.
        complete: bool,
    },
    /// It stood there already.
    Same(Known),
    /// It was gone when its turn came.
    Vanished,
}

/// What every part of a pass needs to put things in place.
pub(super) struct Putting<'a> {
    pub(super) control: &'a Control,
    pub(super) source: &'a Path,
    pub(super) target: &'a Path,
    /// Whether what is read counts as progress: in the first pass it does.
    pub(super) counts: bool,
    /// What a thing is called until it is complete.
    pub(super) staged: String,
    pub(super) number: AtomicU64,
}

/// The target has no room left.
pub(super) fn full(cause: impl std::fmt::Display) -> WorkerError {
    WorkerError::moving(
        "TargetFull",
        "the target",
        cause.to_string(),
        "give it room and run the command again: it goes on",
    )
}

impl Putting<'_> {
    pub(super) fn failed(&self, path: &Path, cause: io::Error) -> WorkerError {
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(cause),
            _ => WorkerError::local(self.target.join(path), cause),
        }
    }

    /// A name that nothing else has.
    fn staged(&self) -> String {
        format!("{}-{}.part", self.staged, self.number.fetch_add(1, Ordering::Relaxed))
    }

    /// Copies a file. If only its ctime differs, what stands in the target is compared first.
    pub(super) fn file(
        &self,
        node: &Node,
        into: &OwnedFd,
        earlier: Option<&Known>,
        buffer: &mut [u8],
    ) -> Result<Outcome> {
        let Some((mut from, before)) = self.open(node)? else { return Ok(Outcome::Vanished) };
        let told = |e: io::Error| self.failed(&node.path, e);
        if let Some(earlier) = earlier
            && (earlier.inode, earlier.size) == (node.stat.st_ino, node.size())
            && earlier.mtime == identity(&node.stat).2
            && let Some(outcome) = self.same_content(node, &mut from, &before, into, earlier, buffer)?
        {
            return Ok(outcome);
        }
        io::Seek::rewind(&mut from).map_err(|e| unreadable(self.source, &node.path, e))?;
        let staged = self.staged();
        let _ = rustix::fs::unlinkat(into, staged.as_str(), AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(into, staged.as_str(), flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(|e| told(e.into()))?);
        let outcome = self.fill(node, &mut from, &before, file, buffer).and_then(|placed| {
            place(into, &staged, node).map_err(|e| told(e.into()))?;
            Ok(placed)
        });
        if outcome.is_err() {
            let _ = rustix::fs::unlinkat(into, staged.as_str(), AtFlags::empty());
        }
        outcome
    }

    fn fill(&self, node: &Node, from: &mut File, before: &Stat, file: File, buffer: &mut [u8]) -> Result<Outcome> {
        let told = |e: io::Error| self.failed(&node.path, e);
        let (mut sparse, mut failed) = (Sparse::new(file), None);
        let (digest, size) = self.read(node, from, buffer, |piece| {
            self.control.count_upload(piece.len() as u64);
            if self.counts {
                self.control.count_bytes(piece.len() as u64);
            }
            sparse.put(piece).map_err(|e| failed = Some(e)).is_ok()
        })?;
        if let Some(error) = failed {
            return Err(told(error));
        }
        let file = OwnedFd::from(sparse.finish(size).map_err(told)?);
        let (changed, racy) = self.changed(node, from, before)?;
        let wanted = node.meta().map_err(|e| unreadable(self.source, &node.path, e))?;
        let complete = attributes::settle(&file, &wanted);
        let stat = rustix::fs::fstat(&file).map_err(|e| told(e.into()))?;
        let known = Known::new(node, digest, &stat, !changed && !racy);
        Ok(Outcome::Placed { known, written: size, changed, complete })
    }

    /// Whether a file that may have changed has the content that stands in the target: then nothing is written but what it has
    /// besides.
    fn same_content(
        &self,
        node: &Node,
        from: &mut File,
        before: &Stat,
        into: &OwnedFd,
        earlier: &Known,
        buffer: &mut [u8],
    ) -> Result<Option<Outcome>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(there) = rustix::fs::openat(into, &node.name, flags, Mode::empty()) else { return Ok(None) };
        // A name that was linked to others and is not any more must not change with them.
        let alone = |stat: &Stat| stat.st_nlink == 1 || node.stat.st_nlink > 1;
        if !rustix::fs::fstat(&there).is_ok_and(|stat| earlier.is_target(&stat) && alone(&stat)) {
            return Ok(None);
        }
        let (digest, _) = self.read(node, from, buffer, |_| true)?;
        let (changed, racy) = self.changed(node, from, before)?;
        if digest != earlier.digest || changed {
            return Ok(None);
        }
        let wanted = node.meta().map_err(|e| unreadable(self.source, &node.path, e))?;
        let complete = attributes::settle(&there, &wanted);
        let stat = rustix::fs::fstat(&there).map_err(|e| self.failed(&node.path, e.into()))?;
        let known = Known::new(node, digest, &stat, !racy);
        if self.counts {
            self.control.count_bytes(known.size);
        }
        Ok(Some(Outcome::Placed { known, written: 0, changed: false, complete }))
    }

    /// Opens a file of the source; none if it is gone.
    fn open(&self, node: &Node) -> Result<Option<(File, Stat)>> {
        open(&node.parent, &node.name).map_err(|e| unreadable(self.source, &node.path, e))
    }

    fn read(
        &self,
        node: &Node,
        from: &mut File,
        buffer: &mut [u8],
        take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(String, u64)> {
        digest(self.control, from, buffer, take)?.map_err(|e| unreadable(self.source, &node.path, e))
    }

    /// Whether a file changed since it was listed, and whether it changed so lately that the same may happen unseen.
    fn changed(&self, node: &Node, from: &File, before: &Stat) -> Result<(bool, bool)> {
        let after = rustix::fs::fstat(from).map_err(|e| unreadable(self.source, &node.path, e))?;
        let changed = identity(&after) != identity(&node.stat) || identity(before) != identity(&after);
        Ok((changed, is_fresh(&after)))
    }

    /// Makes a link, FIFO or device.
    pub(super) fn special(&self, node: &Node, into: &OwnedFd) -> Result<Outcome> {
        let told = |e: Errno| self.failed(&node.path, e.into());
        let (kind, wanted) = match node.kind().and_then(|kind| node.meta().map(|meta| (kind, meta))) {
            Err(Errno::NOENT | Errno::INVAL) => return Ok(Outcome::Vanished),
            other => other.map_err(|e| unreadable(self.source, &node.path, e))?,
        };
        let staged = self.staged();
        let _ = rustix::fs::unlinkat(into, staged.as_str(), AtFlags::empty());
        let mode = Mode::RUSR | Mode::WUSR;
        match &kind {
            Kind::Link(to) => rustix::fs::symlinkat(to, into, staged.as_str()),
            Kind::Block(device) => rustix::fs::mknodat(into, staged.as_str(), FileType::BlockDevice, mode, *device),
            Kind::Char(device) => rustix::fs::mknodat(into, staged.as_str(), FileType::CharacterDevice, mode, *device),
            _ => rustix::fs::mknodat(into, staged.as_str(), FileType::Fifo, mode, 0),
        }
        .map_err(told)?;
        let complete = meta::apply_to_name(into, OsStr::new(&staged), &kind, &wanted);
        let stat = rustix::fs::statat(into, staged.as_str(), AtFlags::SYMLINK_NOFOLLOW).map_err(told)?;
        place(into, &staged, node).map_err(told)?;
        let known = Known::new(node, String::new(), &stat, !is_fresh(&node.stat));
        Ok(Outcome::Placed { known, written: 0, changed: false, complete })
    }

    /// Makes a further name of a file that stands in the target; none if it stands there no more.
    pub(super) fn link(&self, node: &Node, first: (&OwnedFd, &OsStr), into: &OwnedFd) -> Result<Option<Outcome>> {
        let told = |e: Errno| self.failed(&node.path, e.into());
        let stat = match rustix::fs::statat(first.0, first.1, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(told(error)),
        };
        // It is looked at anew in each pass: nothing is read for that.
        let known = Known::new(node, String::new(), &stat, false);
        if self.counts {
            self.control.count_bytes(known.size);
        }
        let there = rustix::fs::statat(into, &node.name, AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|there| (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino)) {
            return Ok(Some(Outcome::Same(known)));
        }
        let staged = self.staged();
        let _ = rustix::fs::unlinkat(into, staged.as_str(), AtFlags::empty());
        rustix::fs::linkat(first.0, first.1, into, staged.as_str(), AtFlags::empty()).map_err(told)?;
        place(into, &staged, node).map_err(told)?;
        Ok(Some(Outcome::Placed { known, written: 0, changed: false, complete: true }))
    }
}

/// Gives something complete its name.
fn place(into: &OwnedFd, staged: &str, node: &Node) -> rustix::io::Result<()> {
    match rustix::fs::renameat(into, staged, into, &node.name) {
        Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
            remove(into, &node.name)?;
            rustix::fs::renameat(into, staged, into, &node.name)
        }
        other => other,
    }
}

/// Whether something changed within the last tick.
pub(super) fn is_fresh(stat: &Stat) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
    let changed = Duration::new(seconds, u32::try_from(stat.st_ctime_nsec).unwrap_or(0));
    // One from the future is fresh too: the clocks differ.
    changed + TICK > now
}

/// Opens a file without following links; none if it is gone or is no file any more.
pub(super) fn open(parent: &OwnedFd, name: &CStr) -> rustix::io::Result<Option<(File, Stat)>> {
    // A FIFO that took the file's place must not hold us up.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        other => other?,
    };
    let stat = rustix::fs::fstat(&file)?;
    Ok((FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| (File::from(file), stat)))
}

/// Reads to the end, at the rate that is allowed; each piece is handed on until that is refused.
pub(super) fn digest(
    control: &Control,
    from: &mut File,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> bool,
) -> Result<io::Result<(String, u64)>> {
    let (mut digest, mut size) = (Sha256::new(), 0);
    loop {
        let read = match from.read(buffer) {
            Ok(0) => return Ok(Ok((HEXLOWER.encode(&digest.finalize()), size))),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(error)),
        };
        let piece = buffer.get(..read).unwrap_or_default();
        control.pay(read as u64)?;
        digest.update(piece);
        size += read as u64;
        if !take(piece) {
            return Ok(Ok((String::new(), size)));
        }
    }
}

/// Removes a name with everything below it, on this file system only. Says how many things that were.
pub(super) fn remove(parent: &OwnedFd, name: &CStr) -> rustix::io::Result<u64> {
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(0),
        other => other?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return rustix::fs::unlinkat(parent, name, AtFlags::empty()).map(|()| 1);
    }
    if rustix::fs::fstat(parent)?.st_dev != stat.st_dev {
        return Err(Errno::XDEV);
    }
    let directory = open_own(parent, name, &stat)?;
    let mut removed = 1;
    for below in crate::source::files::names(&directory)? {
        removed += remove(&directory, &below)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    Ok(removed)
}

/// Opens a directory of the target to work in it, whatever its mode forbids its owner.
pub(super) fn open_own(parent: &OwnedFd, name: &CStr, stat: &Stat) -> rustix::io::Result<OwnedFd> {
    if stat.st_mode & 0o700 != 0o700 {
        let open = rustix::fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
        rustix::fs::chmod(Path::new(OsStr::from_bytes(path.as_bytes())), Mode::RWXU)?;
    }
    rustix::fs::openat(parent, name, crate::source::files::directory_flags(), Mode::empty())
}
