//! Whether a restore was done already.
//!
//! Between the last write of a restore and the end of its process it can be killed, and whoever started it starts it again. It finds
//! a full directory then; if everything in the backup is there as it should be, there is nothing to refuse and nothing to do.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::super::restore::{Outcome, Ready, Tally};
use super::entry::has_content;
use super::open_below;
use crate::engine::Kind;
use crate::error::{Result, WorkerError};

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
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| missing())?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let same = match &stored.kind {
            Kind::File => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                rustix::fs::openat(directory, name, flags, Mode::empty())
                    .is_ok_and(|file| has_content(File::from(file), &item))
            }
            Kind::Dir => kind == FileType::Directory,
            Kind::Link(wanted) => rustix::fs::readlinkat(directory, name, Vec::new())
                .is_ok_and(|target| target.as_bytes() == wanted.as_os_str().as_encoded_bytes()),
            Kind::Block(_) => kind == FileType::BlockDevice,
            Kind::Char(_) => kind == FileType::CharacterDevice,
            Kind::Fifo => kind == FileType::Fifo,
            Kind::Socket => true,
        };
        if same { Ok(()) } else { Err(missing()) }
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

/// Ends the comparison.
fn missing() -> WorkerError {
    WorkerError::Target { target: String::new(), problem: String::new(), fix: String::new() }
}
