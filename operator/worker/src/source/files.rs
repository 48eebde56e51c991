//! A directory tree as a source.
//!
//! Nothing is opened by a path: each directory is opened below the descriptor of its parent and no symbolic link is followed, so
//! whoever can rename directories while we read cannot lead us out of the root. That is true of the way to the root as well: it may
//! end in a directory that somebody else writes in.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{DATA_DIR, Source};
use crate::control::Control;
use crate::engine::{Entry, Kind, Meta, Opened};
use crate::error::{Result, WorkerError};
use crate::evidence::items::{Consistency, MAX_NAMED, SourceKind, SourceRecord, path_text};

/// Directories within directories that are followed; each holds a descriptor.
pub(crate) const MAX_DEPTH: usize = 500;
/// The longest list of extended attributes and the longest value, as the kernel bounds them.
const MAX_XATTR: usize = 64 * 1024;

/// A directory tree.
pub struct FileTree {
    name: String,
    root: PathBuf,
    open: Vec<Level>,
    first: Option<Entry>,
    control: Control,
    captured_at: Timestamp,
    changed: Changed,
}

/// Files that were not the same twice.
#[derive(Clone, Debug, Default)]
struct Changed(Arc<Mutex<(Vec<String>, u64)>>);

impl Changed {
    fn add(&self, path: &Path) {
        let mut changed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changed.1 += 1;
        if changed.0.len() < MAX_NAMED {
            changed.0.push(path_text(path));
        }
    }
}

struct Level {
    directory: Arc<OwnedFd>,
    path: PathBuf,
    /// Names that are left, in order.
    names: VecDeque<CString>,
}

impl FileTree {
    /// Opens the root. It must be a directory, and no part of its path a symbolic link.
    pub fn open(name: &str, root: &Path, control: Control) -> Result<Self> {
        let refused = |cause: String| {
            WorkerError::input(
                format!("--files {name}"),
                format!("\"{}\" cannot be opened as a directory: {cause}", root.display()),
                "name a directory that can be read, by a path without symbolic links and without ..",
            )
        };
        let unusable = |e: Errno| refused(e.to_string());
        let directory = open_directory(root).map_err(refused)?;
        let stat = rustix::fs::fstat(&directory).map_err(unusable)?;
        let path = Path::new(DATA_DIR).join(name);
        let meta = meta(&stat, xattrs(&directory, c".").map_err(unusable)?);
        let first = Entry { path: path.clone(), kind: Kind::Dir, meta, open: None, repeated: false };
        let names = names(&directory).map_err(unusable)?;
        Ok(Self {
            name: name.to_owned(),
            root: root.to_owned(),
            open: vec![Level { directory: Arc::new(directory), path, names }],
            first: Some(first),
            control,
            captured_at: Timestamp::now(),
            changed: Changed::default(),
        })
    }

    fn fail(&self, path: &Path, cause: impl std::fmt::Display) {
        self.control.fail(unreadable(&self.name, path, cause));
    }

    /// The entry of a name; none if it is gone.
    fn entry(&self, level_directory: &Arc<OwnedFd>, path: &Path, name: &CString) -> io::Result<Option<(Entry, bool)>> {
        let stat = match rustix::fs::statat(level_directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        let mut open = None;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                open = Some(self.opener(Arc::clone(level_directory), path, name, &stat));
                Kind::File
            }
            FileType::Directory => Kind::Dir,
            FileType::Symlink => match rustix::fs::readlinkat(level_directory, name, Vec::new()) {
                Err(Errno::NOENT) => return Ok(None),
                target => Kind::Link(std::ffi::OsString::from_vec(target?.into_bytes()).into()),
            },
            FileType::BlockDevice => Kind::Block(stat.st_rdev),
            FileType::CharacterDevice => Kind::Char(stat.st_rdev),
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::Unknown => return Err(io::Error::other("it is of no kind that is known")),
        };
        let attributes = match kind {
            Kind::File | Kind::Dir => xattrs(level_directory, name).map_err(|error| match error {
                Errno::ILSEQ => io::Error::other("an extended attribute has a name that is not UTF-8"),
                other => other.into(),
            })?,
            _ => Vec::new(),
        };
        let is_dir = kind == Kind::Dir;
        Ok(Some((Entry { path: path.to_owned(), kind, meta: meta(&stat, attributes), open, repeated: false }, is_dir)))
    }

    fn opener(&self, directory: Arc<OwnedFd>, path: &Path, name: &CString, listed: &Stat) -> crate::engine::Opener {
        let (source, path, name, changed) = (self.name.clone(), path.to_owned(), name.clone(), self.changed.clone());
        let listed = *listed;
        Box::new(move || {
            // A FIFO that took the file's place must not hold us up.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(&directory, &name, flags, Mode::empty())
                .and_then(|file| rustix::fs::fstat(&file).map(|stat| (file, stat)));
            match opened {
                Ok((file, stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                    Opened::Content(Box::new(Observed { file: File::from(file), listed, path, changed: Some(changed) }))
                }
                Ok(_) => Opened::Failed(unreadable(&source, &path, "it is no file any more")),
                Err(Errno::NOENT) => {
                    changed.add(&path);
                    Opened::Vanished
                }
                Err(error) => Opened::Failed(unreadable(&source, &path, error)),
            }
        })
    }

    fn descend(&mut self, parent: &Arc<OwnedFd>, path: &Path, name: &CString) -> io::Result<()> {
        if self.open.len() >= MAX_DEPTH {
            return Err(io::Error::other(format!("it lies more than {MAX_DEPTH} directories deep")));
        }
        let directory = match rustix::fs::openat(parent, name, directory_flags(), Mode::empty()) {
            // Gone, or something else took its place: as good as empty.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                self.changed.add(path);
                return Ok(());
            }
            other => other?,
        };
        let names = names(&directory)?;
        self.open.push(Level { directory: Arc::new(directory), path: path.to_owned(), names });
        Ok(())
    }
}

impl Source for FileTree {
    fn next(&mut self) -> Option<Entry> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let level = self.open.last_mut()?;
            let Some(name) = level.names.pop_front() else {
                self.open.pop();
                continue;
            };
            let (directory, path) = (Arc::clone(&level.directory), level.path.join(OsStr::from_bytes(name.as_bytes())));
            match self.entry(&directory, &path, &name) {
                Ok(None) => self.changed.add(&path),
                Ok(Some((entry, is_dir))) => {
                    if is_dir && let Err(error) = self.descend(&directory, &path, &name) {
                        self.fail(&path, error);
                        return None;
                    }
                    return Some(entry);
                }
                Err(error) => {
                    self.fail(&path, error);
                    return None;
                }
            }
        }
    }

    fn at_boundary(&self) -> bool {
        true
    }

    fn has_change_times(&self) -> bool {
        true
    }

    fn record(&self) -> SourceRecord {
        let changed = self.changed.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        SourceRecord {
            name: self.name.clone(),
            kind: SourceKind::FileTree,
            origin: path_text(&self.root),
            captured_at: self.captured_at.to_string(),
            consistency: Consistency::PerFile,
            changed: changed.0,
            changed_total: changed.1,
            left_out: Vec::new(),
            volumes_not_covered: Vec::new(),
            database: None,
        }
    }
}

/// A file that looks at its end whether it is still as it was listed.
struct Observed {
    file: File,
    listed: Stat,
    path: PathBuf,
    changed: Option<Changed>,
}

impl io::Read for Observed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = io::Read::read(&mut self.file, buffer)?;
        if read == 0
            && !buffer.is_empty()
            && let Some(changed) = self.changed.take()
        {
            let now = rustix::fs::fstat(&self.file)?;
            if identity(&now) != identity(&self.listed) {
                changed.add(&self.path);
            }
        }
        Ok(read)
    }
}

/// What tells one state of a file from another.
fn identity(stat: &Stat) -> impl PartialEq {
    let changed = (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
    (stat.st_dev, stat.st_ino, stat.st_size, changed)
}

/// Opens a directory and follows no symbolic link on the whole way: of a path that an administrator and a department put
/// together, the latter part lies where the department can put links.
pub(crate) fn open_directory(path: &Path) -> std::result::Result<OwnedFd, String> {
    let mut directory = None;
    let mut way = PathBuf::new();
    for part in path.components() {
        let name = match part {
            Component::ParentDir => return Err("it holds ..".to_owned()),
            Component::CurDir => OsStr::new("."),
            Component::RootDir | Component::Prefix(_) => OsStr::new("/"),
            Component::Normal(name) => name,
        };
        way.push(name);
        let above = directory.as_ref().map_or(CWD, OwnedFd::as_fd);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(above, name, flags, Mode::empty()).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => format!("{} is a symbolic link or no directory", way.display()),
            other => format!("{}: {other}", way.display()),
        })?;
        directory = Some(opened);
    }
    let above = directory.as_ref().map_or(CWD, OwnedFd::as_fd);
    rustix::fs::openat(above, ".", directory_flags(), Mode::empty()).map_err(|e| e.to_string())
}

/// The same for a directory that need not be there, in one that is: with the identity of the one or the other.
pub(crate) fn find_directory(path: &Path) -> std::result::Result<(Option<OwnedFd>, (u64, u64)), String> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return open_directory(path).map(|root| (Some(root), (0, 0)));
    };
    let above = open_directory(above)?;
    let found = match rustix::fs::openat(&above, name, directory_flags(), Mode::empty()) {
        Ok(found) => Some(found),
        Err(Errno::NOENT) => None,
        Err(Errno::LOOP | Errno::NOTDIR) => {
            return Err(format!("{} is a symbolic link or no directory", path.display()));
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let stat = rustix::fs::fstat(found.as_ref().unwrap_or(&above)).map_err(|e| e.to_string())?;
    Ok((found, (stat.st_dev, stat.st_ino)))
}

/// The same for a directory that is made if it is not there.
pub(crate) fn make_directory(path: &Path) -> std::result::Result<OwnedFd, String> {
    if let (Some(above), Some(name)) = (path.parent(), path.file_name()) {
        let above = open_directory(above)?;
        match rustix::fs::mkdirat(&above, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(format!("it cannot be made: {error}")),
        }
    }
    open_directory(path)
}

fn unreadable(source: &str, path: &Path, cause: impl std::fmt::Display) -> WorkerError {
    let what = path_text(path.strip_prefix(Path::new(DATA_DIR).join(source)).unwrap_or(path));
    WorkerError::Unreadable { name: source.to_owned(), what, cause: cause.to_string() }
}

pub(crate) fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

pub(crate) fn names(directory: &OwnedFd) -> rustix::io::Result<VecDeque<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names.into())
}

pub(crate) fn meta(stat: &Stat, xattrs: Vec<(String, Vec<u8>)>) -> Meta {
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Meta {
        mode: stat.st_mode & 0o7777,
        uid: Some(stat.st_uid),
        gid: Some(stat.st_gid),
        mtime: Some(time(stat.st_mtime, stat.st_mtime_nsec)),
        ctime: Some(time(stat.st_ctime, stat.st_ctime_nsec)),
        inode: stat.st_ino,
        device: stat.st_dev,
        links: stat.st_nlink,
        size: if regular { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 },
        xattrs,
    }
}

/// A time of the file system. What the format cannot say is cut, never left out: without a time, a file would pass for unchanged.
fn time(seconds: i64, nanoseconds: u64) -> Timestamp {
    let furthest = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0)).unwrap_or(furthest)
}

/// Extended attributes of a name in a directory. The path goes through the descriptor, so no parent can be exchanged.
pub(crate) fn xattrs(directory: &OwnedFd, name: &std::ffi::CStr) -> rustix::io::Result<Vec<(String, Vec<u8>)>> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    let path = Path::new(OsStr::from_bytes(&path)).to_owned();
    let none = |e| match e {
        // File systems without them, and files that went away: they show when they are opened.
        Errno::NOTSUP | Errno::NOENT | Errno::NOSYS => Ok(0),
        other => Err(other),
    };
    let length = rustix::fs::llistxattr_query(&path).or_else(none)?;
    if length == 0 {
        return Ok(Vec::new());
    }
    let mut list = vec![0; MAX_XATTR];
    let length = rustix::fs::llistxattr(&path, list.as_mut_slice()).or_else(none)?;
    let mut found = Vec::new();
    for name in list.get(..length).unwrap_or_default().split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; MAX_XATTR];
        match rustix::fs::lgetxattr(&path, name, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                // The format has no other names. Under a name like it, it would not be the same.
                let name = std::str::from_utf8(name).map_err(|_| Errno::ILSEQ)?;
                found.push((name.to_owned(), value));
            }
            Err(Errno::NODATA | Errno::NOENT) => {}
            Err(other) => return Err(other),
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_file_that_is_rewritten_while_it_is_read_is_named_though_its_size_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["calm", "rewritten"] {
            std::fs::write(dir.path().join(name), "one").unwrap();
        }
        let root = dir.path().canonicalize().unwrap();
        let mut tree = FileTree::open("tree", &root, Control::new()).unwrap();
        while let Some(entry) = tree.next() {
            let Some(Opened::Content(mut content)) = entry.open.map(|open| open()) else { continue };
            if entry.path.ends_with("rewritten") {
                let file = File::options().write(true).open(root.join("rewritten")).unwrap();
                file.set_modified(std::time::UNIX_EPOCH).unwrap();
            }
            content.read_to_end(&mut Vec::new()).unwrap();
        }
        let record = tree.record();
        assert_eq!((record.changed, record.changed_total), (vec!["data/tree/rewritten".to_owned()], 1));
    }
}
