//! A file tree back into a directory.
//!
//! Each directory is made and opened below the descriptor of its parent, and no link is followed: neither a name in the backup nor
//! somebody with rights in the target can lead a write out of it. A file comes to its name when its content is proved.

mod complete;
pub(crate) mod entry;
mod look;
pub(crate) mod meta;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::restore::{Existing, Outcome, Ready, Tally};
use crate::engine::{Kind, Meta, Stored};
use crate::error::{Result, WorkerError};
use crate::evidence::items::Item;

pub(super) use look::look;

/// Begins the names of what stands in a target while a restore is under way.
const OURS: &str = ".zhengyun-restore-";
/// Ends the name of the file that says so.
const UNDER_WAY: &str = ".under-way";

/// A name that no backup holds: the name of its snapshot, which is the digest of everything in it, is a part of it. So nothing
/// that comes back from the backup is taken for ours, and nothing of ours for something that came back.
fn own_name(ready: &Ready<'_>, end: &str) -> String {
    format!("{OURS}{}{end}", ready.snapshot.id.get(..32).unwrap_or_default())
}

/// What there is to say of a file tree beyond its items.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilesReport {
    /// Digest of what would be done: backup, target, policy, and what becomes of every item; empty if that was not asked for.
    pub digest: String,
    /// What is in the way, the first ones: nothing is to be written then.
    pub in_the_way: Vec<String>,
    /// Items that were read back and compared.
    pub compared: u64,
    /// Whether they are what the manifest says; none if that was not asked for.
    pub equal: Option<bool>,
    /// Items that the manifest lists, without those that cannot be restored by their nature, and their bytes.
    pub listed: (u64, u64),
    /// Those of them that were read back and are what the manifest says, and their bytes.
    pub same: (u64, u64),
}

/// A restore under way.
pub(super) struct Restore<'a> {
    ready: &'a Ready<'a>,
    tally: &'a mut Tally,
    /// Directories that are open, from the target down.
    open: Vec<Level>,
    target: State,
    /// The first name of each file with several.
    linked: HashMap<(u64, u64), (PathBuf, String)>,
    /// What a file is called until its content is proved.
    staged: String,
    /// For each item in order whether it shall stand at the target.
    stands: Vec<bool>,
}

/// How the target was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// A restore of the same backup was killed here: what is there may be of it.
    resumes: bool,
    /// Nothing else was there when the restore began: whatever is there is of it.
    alone: bool,
    /// The mark of the restore is there and says so.
    marked: bool,
}

/// What the mark of a restore says if nothing else was there when it began.
const ALONE: &[u8] = b"alone";

struct Level {
    path: PathBuf,
    directory: OwnedFd,
    /// What the directory shall have once everything is in it; none if it was there before and stays as it is.
    meta: Option<Meta>,
}

/// Restores the source of a proved backup.
pub(super) fn restore(ready: &Ready<'_>, target: &Path, compare: bool, tally: &mut Tally) -> Result<()> {
    // One that is complete was compared just now.
    let Some((root, state)) = open_target(ready, target, tally)? else { return Ok(()) };
    let marker = own_name(ready, UNDER_WAY);
    let broken = |e: Errno| WorkerError::local(target.join(&marker), e);
    if !state.marked {
        match rustix::fs::unlinkat(&root, &marker, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(broken(error)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mark = rustix::fs::openat(&root, &marker, flags, Mode::RUSR | Mode::WUSR).map_err(broken)?;
        if state.alone {
            rustix::io::write(&mark, ALONE).map_err(broken)?;
        }
    }
    let unmark = rustix::io::fcntl_dupfd_cloexec(&root, 0).map_err(broken)?;
    let top = ready.top();
    let staged = own_name(ready, ".part");
    let (open, linked, stands) = (Vec::new(), HashMap::new(), Vec::new());
    let mut restore = Restore { ready, tally, open, linked, staged, stands, target: state };
    let mut root = Some(root);
    ready.proved.compare(ready.engine, &ready.snapshot, |stored, item| {
        if stored.path == top {
            let directory = root.take().ok_or_else(|| WorkerError::engine("restoring", "the root is there twice"))?;
            let stays = !restore.replaces();
            restore.open.push(Level { path: stored.path, directory, meta: (!stays).then_some(stored.meta) });
            let outcome = if stays { Outcome::Skipped } else { Outcome::Created };
            return restore.tally.enter(&top, outcome, None);
        }
        if !stored.path.starts_with(&top) {
            return Ok(());
        }
        restore.ready.control.check()?;
        restore.ready.control.count_item();
        restore.one(stored, &item)
    })?;
    restore.close_to(&top);
    // The root's own times come after the last change in it.
    rustix::fs::unlinkat(&unmark, &marker, AtFlags::empty()).map_err(broken)?;
    restore.close_to(Path::new(""));
    let stands = restore.stands;
    rustix::fs::syncfs(&unmark).map_err(|e| WorkerError::local(target, e))?;
    if compare { complete::compare(ready, &unmark, &stands, tally) } else { Ok(()) }
}

/// Opens the target, and tells whether a restore goes on there; none if everything is there already.
fn open_target(ready: &Ready<'_>, target: &Path, tally: &mut Tally) -> Result<Option<(OwnedFd, State)>> {
    let root = crate::source::files::make_directory(target).map_err(|e| unusable(target, e, FIX))?;
    let (state, anothers) = examine(ready, target, &root)?;
    if ready.existing == Existing::Fail && !state.alone {
        if complete::is_complete(ready, &root, tally)? {
            return Ok(None);
        }
        let fix = "name an empty directory, or say --existing skip or --existing replace";
        return Err(unusable(target, "is not empty", fix));
    }
    not_anothers(anothers, target)?;
    Ok(Some((root, state)))
}

/// What to do about a target that cannot be used.
const FIX: &str = "name a directory that can be written, or one that does not exist in a directory that can be";

fn unusable(target: &Path, problem: impl Into<String>, fix: &str) -> WorkerError {
    WorkerError::Target { target: target.display().to_string(), problem: problem.into(), fix: fix.to_owned() }
}

/// Refuses a target that holds a restore of another backup that did not come to its end.
fn not_anothers(anothers: bool, target: &Path) -> Result<()> {
    if !anothers {
        return Ok(());
    }
    let problem = "another backup is being restored there, or was not restored to its end";
    Err(unusable(target, problem, "go on with that backup, or empty the directory"))
}

/// How a target is found, and whether the mark of a restore of another backup is there and none of this one.
fn examine(ready: &Ready<'_>, target: &Path, root: &OwnedFd) -> Result<(State, bool)> {
    let marker = own_name(ready, UNDER_WAY);
    let (mut resumes, mut others, mut is_empty) = (false, false, true);
    for entry in Dir::read_from(root).map_err(|e| unusable(target, e.to_string(), FIX))? {
        let entry = entry.map_err(|e| unusable(target, e.to_string(), FIX))?;
        let name = entry.file_name().to_bytes();
        resumes |= name == marker.as_bytes();
        others |= name.starts_with(OURS.as_bytes()) && name.ends_with(UNDER_WAY.as_bytes());
        is_empty &= matches!(name, b"." | b"..") || name == marker.as_bytes();
    }
    let begun_alone = resumes && begun_alone(root, &marker);
    let alone = is_empty || begun_alone;
    Ok((State { resumes, alone, marked: resumes && begun_alone == alone }, others && !resumes))
}

/// Whether the restore that was killed had the target for itself.
fn begun_alone(root: &OwnedFd, marker: &str) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut said = [0; ALONE.len() + 1];
    let read =
        rustix::fs::openat(root, marker, flags, Mode::empty()).and_then(|mark| rustix::io::read(&mark, &mut said));
    read.is_ok_and(|length| said.get(..length) == Some(ALONE))
}

impl Restore<'_> {
    /// Whether what is there and differs may go: it is of a restore that was killed, or we were told so.
    fn replaces(&self) -> bool {
        self.target.alone || self.ready.existing == Existing::Replace
    }

    fn one(&mut self, stored: Stored, item: &Item) -> Result<()> {
        let parent = stored.path.parent().unwrap_or(Path::new("")).to_owned();
        self.close_to(&parent);
        // A directory that could not be made takes what is in it along.
        if self.open.last().is_none_or(|level| level.path != parent) {
            self.stands.push(false);
            let cause = "its directory could not be restored".to_owned();
            return self.tally.enter(&stored.path, Outcome::Failed, Some(cause));
        }
        let path = stored.path.clone();
        let result = match stored.kind {
            Kind::Dir => self.directory(stored),
            Kind::File => self.file(&stored, item),
            Kind::Socket => Ok(Outcome::LeftOut),
            _ => self.special(&stored),
        };
        self.stands.push(matches!(result, Ok(Outcome::Created | Outcome::Replaced | Outcome::Same)));
        match result {
            Ok(outcome) => self.tally.enter(&path, outcome, None),
            Err(entry::Problem::Item(cause)) => self.tally.enter(&path, Outcome::Failed, Some(cause)),
            Err(entry::Problem::Run(error)) => Err(error),
        }
    }

    /// Leaves directories until the last open one is the parent. Their own times are set last: work in them would change them.
    fn close_to(&mut self, parent: &Path) {
        while let Some(level) = self.open.pop_if(|level| !parent.starts_with(&level.path)) {
            if let Some(meta) = level.meta
                && !meta::apply(&level.directory, &meta)
            {
                self.tally.without_meta();
            }
        }
    }

    fn directory(&mut self, stored: Stored) -> std::result::Result<Outcome, entry::Problem> {
        let (parent, name) = self.place(&stored.path)?;
        let (outcome, meta) = match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => (Outcome::Created, Some(stored.meta)),
            Err(Errno::EXIST) if self.target.alone => (Outcome::Same, Some(stored.meta)),
            Err(Errno::EXIST) if self.ready.existing == Existing::Replace => (Outcome::Replaced, Some(stored.meta)),
            Err(Errno::EXIST) => (Outcome::Skipped, None),
            Err(error) => return Err(error.into()),
        };
        let directory = rustix::fs::openat(parent, name, entry::DIRECTORY, Mode::empty())
            .map_err(|e| entry::Problem::Item(format!("what is there is no directory that can be opened: {e}")))?;
        if meta.is_some() && outcome != Outcome::Created {
            // It may have its final mode already, and that may not let us write.
            let _ = rustix::fs::fchmod(&directory, Mode::RWXU);
        }
        self.open.push(Level { path: stored.path, directory, meta });
        Ok(outcome)
    }

    /// Where an entry goes: the directory that is open, and its name in it.
    fn place<'p>(&self, path: &'p Path) -> std::result::Result<(&OwnedFd, &'p std::ffi::OsStr), entry::Problem> {
        let level = self.open.last().ok_or_else(|| entry::Problem::Item("its directory is not open".to_owned()))?;
        Ok((&level.directory, path.file_name().unwrap_or_default()))
    }

    fn special(&mut self, stored: &Stored) -> std::result::Result<Outcome, entry::Problem> {
        let (parent, name) = self.place(&stored.path)?;
        let Some(outcome) = self.make_way(parent, name)? else { return Ok(Outcome::Skipped) };
        entry::make(parent, name, stored)?;
        if !meta::apply_to_name(parent, name, &stored.kind, &stored.meta) {
            self.tally.without_meta();
        }
        Ok(outcome)
    }

    /// Decides about what is there; none if it stays.
    fn make_way(
        &self,
        parent: &OwnedFd,
        name: &std::ffi::OsStr,
    ) -> std::result::Result<Option<Outcome>, entry::Problem> {
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(Some(Outcome::Created)),
            Err(error) => Err(error.into()),
            Ok(_) if !self.replaces() => Ok(None),
            Ok(_) => {
                rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
                Ok(Some(if self.target.alone { Outcome::Created } else { Outcome::Replaced }))
            }
        }
    }
}

/// Opens a directory below another without following links.
fn open_below(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let mut directory = rustix::fs::openat(root, ".", entry::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for name in path {
        directory = rustix::fs::openat(&directory, name, entry::DIRECTORY, Mode::empty())?;
    }
    Ok(directory)
}
