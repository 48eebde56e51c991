//! Goes through a tree in the order of `Path`, without following links.
//!
//! Each directory is opened below the descriptor of its parent, as for a backup. Names are listed when a directory is entered, so
//! that what is gone can be removed on the other side before anything is written there.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

use super::attributes;
use crate::engine::{Kind, Meta};
use crate::error::{Result, WorkerError};
use crate::evidence::items::path_text;
use crate::source::files::{MAX_DEPTH, directory_flags, meta, names};

/// Something in a tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its path below the root; empty for the root.
    pub(super) path: PathBuf,
    /// Its name in its directory.
    pub(super) name: CString,
    /// Its directory.
    pub(super) parent: Arc<OwnedFd>,
    /// As it was listed.
    pub(super) stat: Stat,
}

impl Node {
    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub(super) fn size(&self) -> u64 {
        if self.file_type() == FileType::RegularFile { u64::try_from(self.stat.st_size).unwrap_or(0) } else { 0 }
    }

    /// What it is; of a link, where it leads.
    pub(super) fn kind(&self) -> rustix::io::Result<Kind> {
        Ok(match self.file_type() {
            FileType::Directory => Kind::Dir,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&self.parent, &self.name, Vec::new())?;
                Kind::Link(std::ffi::OsString::from_vec(target.into_bytes()).into())
            }
            FileType::BlockDevice => Kind::Block(self.stat.st_rdev),
            FileType::CharacterDevice => Kind::Char(self.stat.st_rdev),
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::RegularFile | FileType::Unknown => Kind::File,
        })
    }

    /// Owner, mode, times and the attributes that are carried.
    pub(super) fn meta(&self) -> rustix::io::Result<Meta> {
        let attributes = match self.file_type() {
            FileType::RegularFile | FileType::Directory => attributes::carried(&self.parent, &self.name)?,
            _ => Vec::new(),
        };
        Ok(meta(&self.stat, attributes))
    }
}

/// What tells one state of a file from another.
pub(super) type Identity = (u64, u64, (i64, u64), (i64, u64));

/// Inode, size, mtime and ctime. The device is left out: it has another number after a restart.
pub(super) fn identity(stat: &Stat) -> Identity {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    (stat.st_ino, size, (stat.st_mtime, stat.st_mtime_nsec), (stat.st_ctime, stat.st_ctime_nsec))
}

/// A step through a tree.
#[derive(Debug)]
pub(super) enum Step {
    /// Into a directory, which is open, with the names in it in order.
    Enter(Node, Arc<OwnedFd>, Arc<[CString]>),
    /// Past something that is no directory.
    Leaf(Node),
    /// Out of the last directory.
    Leave,
}

/// A walk under way. What cannot be read is an error, and the walk goes on behind it.
pub(super) struct Walk {
    side: PathBuf,
    root: Option<OwnedFd>,
    open: Vec<Level>,
    /// Names in the root that are none of the tree.
    left_out: Vec<CString>,
    /// Names that were gone when their turn came.
    pub(super) vanished: u64,
}

struct Level {
    directory: Arc<OwnedFd>,
    path: PathBuf,
    names: Arc<[CString]>,
    next: usize,
}

impl Walk {
    /// Starts at a directory that is open; `side` is what errors call it.
    pub(super) fn new(side: &Path, root: OwnedFd, left_out: &[&CStr]) -> Self {
        let left_out = left_out.iter().map(|name| (*name).to_owned()).collect();
        Self { side: side.to_owned(), root: Some(root), open: Vec::new(), left_out, vanished: 0 }
    }

    fn begin(&mut self, root: OwnedFd) -> Result<Step> {
        let failed = |e: Errno| unreadable(&self.side, Path::new(""), e);
        let stat = rustix::fs::fstat(&root).map_err(failed)?;
        let names = names(&root).map_err(failed)?.into_iter().filter(|name| !self.left_out.contains(name)).collect();
        let directory = Arc::new(root);
        let node = Node { path: PathBuf::new(), name: c".".to_owned(), parent: Arc::clone(&directory), stat };
        Ok(self.push(node, directory, names))
    }

    fn push(&mut self, node: Node, directory: Arc<OwnedFd>, names: Arc<[CString]>) -> Step {
        let level =
            Level { directory: Arc::clone(&directory), path: node.path.clone(), names: Arc::clone(&names), next: 0 };
        self.open.push(level);
        Step::Enter(node, directory, names)
    }

    /// A name; none if it is gone.
    fn visit(&mut self, parent: Arc<OwnedFd>, path: PathBuf, name: CString) -> Result<Option<Step>> {
        let failed = |e: Errno| unreadable(&self.side, &path, e);
        let stat = match rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(failed)?,
        };
        let node = Node { path, name, parent, stat };
        if node.file_type() != FileType::Directory {
            return Ok(Some(Step::Leaf(node)));
        }
        let failed = |e: Errno| unreadable(&self.side, &node.path, e);
        if self.open.len() >= MAX_DEPTH {
            let cause = format!("it lies more than {MAX_DEPTH} directories deep");
            return Err(unreadable(&self.side, &node.path, cause));
        }
        let directory = match rustix::fs::openat(&node.parent, &node.name, directory_flags(), Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            other => other.map_err(failed)?,
        };
        let names = Vec::from(names(&directory).map_err(failed)?).into();
        Ok(Some(self.push(node, Arc::new(directory), names)))
    }
}

impl Iterator for Walk {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Result<Step>> {
        if let Some(root) = self.root.take() {
            return Some(self.begin(root));
        }
        loop {
            let level = self.open.last_mut()?;
            let Some(name) = level.names.get(level.next).cloned() else {
                self.open.pop();
                return Some(Ok(Step::Leave));
            };
            level.next += 1;
            let path = level.path.join(OsStr::from_bytes(name.to_bytes()));
            let parent = Arc::clone(&level.directory);
            match self.visit(parent, path, name) {
                Ok(Some(step)) => return Some(Ok(step)),
                Ok(None) => self.vanished += 1,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Something of a side that cannot be read.
pub(super) fn unreadable(side: &Path, path: &Path, cause: impl std::fmt::Display) -> WorkerError {
    let what = if path.as_os_str().is_empty() { "its root".to_owned() } else { path_text(path) };
    WorkerError::Unreadable { name: path_text(side), what, cause: cause.to_string() }
}
