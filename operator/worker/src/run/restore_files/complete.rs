//! Whether a restore was done already, and whether what it did stands.
//!
//! Between the last write of a restore and the end of its process it can be killed, and whoever started it starts it again. It finds
//! a full directory then; if everything in the backup is there as it should be, there is nothing to refuse and nothing to do.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::restore::{Outcome, Ready, Tally};
use super::entry::has_content;
use super::open_below;
use crate::engine::Kind;
use crate::error::{Result, WorkerError};
use crate::evidence::items::Item;

/// Looks without writing and without following links. If everything is there, it is entered as such.
pub(super) fn is_complete(ready: &Ready<'_>, root: &OwnedFd, tally: &mut Tally) -> Result<bool> {
    let top = ready.top();
    let mut parent = None;
    let compared = ready.proved.compare(ready.engine, &ready.snapshot, |stored, item| {
        let Ok(below) = stored.path.strip_prefix(&top) else { return Ok(()) };
        ready.control.check()?;
        let Some(name) = below.file_name().filter(|_| stored.kind != Kind::Socket) else { return Ok(()) };
        let above = below.parent().unwrap_or(Path::new(""));
        if parent.as_ref().is_none_or(|(path, _)| path != above) {
            parent = Some((above.to_owned(), open_below(root, above).map_err(|_| missing())?));
        }
        let directory = parent.as_ref().map_or(root.as_fd(), |(_, directory)| directory.as_fd());
        if is_there(directory, name, &stored.kind, &item) == Ok(true) { Ok(()) } else { Err(missing()) }
    });
    match compared {
        Ok(()) => {}
        Err(WorkerError::Target { .. }) => return Ok(false),
        Err(other) => return Err(other),
    }
    ready.proved.compare(ready.engine, &ready.snapshot, |stored, _| {
        if !stored.path.starts_with(&top) {
            return Ok(());
        }
        let outcome = if stored.kind == Kind::Socket { Outcome::LeftOut } else { Outcome::Same };
        tally.enter(&stored.path, outcome, None)
    })?;
    Ok(true)
}

/// Reads back what a restore says that it put there, or found there as it should be: `stands` tells for each item in order, the root left
/// out. What is not so is entered as failed.
pub(super) fn compare(ready: &Ready<'_>, root: &OwnedFd, stands: &[bool], tally: &mut Tally) -> Result<()> {
    ready.control.enter("comparing");
    let top = ready.top();
    let mut parent: Option<(PathBuf, rustix::io::Result<OwnedFd>)> = None;
    let mut order = stands.iter();
    let (mut compared, mut differ) = (0, 0_u64);
    let (mut listed, mut same) = ((0_u64, 0_u64), (0_u64, 0_u64));
    ready.proved.compare(ready.engine, &ready.snapshot, |stored, item| {
        let Ok(below) = stored.path.strip_prefix(&top) else { return Ok(()) };
        ready.control.check()?;
        let Some(name) = below.file_name() else { return Ok(()) };
        if stored.kind != Kind::Socket {
            listed = (listed.0 + 1, listed.1 + item.size);
        }
        if !order.next().copied().unwrap_or_default() {
            return Ok(());
        }
        let above = below.parent().unwrap_or(Path::new(""));
        if parent.as_ref().is_none_or(|(path, _)| path != above) {
            parent = Some((above.to_owned(), open_below(root, above)));
        }
        let found = match &parent {
            Some((_, Ok(directory))) => is_there(directory.as_fd(), name, &stored.kind, &item),
            Some((_, Err(error))) => Err(*error),
            None => Ok(false),
        };
        match found {
            Ok(true) => {
                compared += 1;
                same = (same.0 + 1, same.1 + item.size);
                return Ok(());
            }
            // Its own mode may forbid whoever wrote it to read it. What was written was proved before it got its name.
            Err(Errno::ACCESS) => return Ok(()),
            Ok(false) | Err(_) => compared += 1,
        }
        differ += 1;
        let cause =
            "what stands at the target is not what the backup holds: somebody or something changed it meanwhile";
        tally.enter(&stored.path, Outcome::Failed, Some(cause.to_owned()))
    })?;
    let report = tally.files();
    (report.compared, report.equal) = (compared, Some(differ == 0));
    (report.listed, report.same) = (listed, same);
    Ok(())
}

/// Whether something of the kind, and for a file or link with the content, is there.
fn is_there(directory: BorrowedFd<'_>, name: &OsStr, kind: &Kind, item: &Item) -> rustix::io::Result<bool> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let found = FileType::from_raw_mode(stat.st_mode);
    Ok(match kind {
        Kind::File if found != FileType::RegularFile => false,
        Kind::File => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            has_content(File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?), item)
        }
        Kind::Dir => found == FileType::Directory,
        Kind::Link(wanted) => {
            found == FileType::Symlink
                && rustix::fs::readlinkat(directory, name, Vec::new())?.as_bytes()
                    == wanted.as_os_str().as_encoded_bytes()
        }
        Kind::Block(_) => found == FileType::BlockDevice,
        Kind::Char(_) => found == FileType::CharacterDevice,
        Kind::Fifo => found == FileType::Fifo,
        Kind::Socket => true,
    })
}

/// Ends the comparison.
fn missing() -> WorkerError {
    WorkerError::Target { target: String::new(), problem: String::new(), fix: String::new() }
}
