//! A file tree back into a directory.
//!
//! Each directory is made and opened below the descriptor of its parent, and no link is followed: neither a name in the backup nor
//! somebody with rights in the target can lead a write out of it. A file comes to its name when its content is proved.

mod complete;
mod entry;
mod meta;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::restore::{Existing, Outcome, Ready, Tally};
use crate::engine::{Kind, Meta, Stored};
use crate::error::{Result, WorkerError};
use crate::evidence::items::Item;

/// Stands in a target while a restore is under way, and names the backup: only the same restore may go on there.
const MARKER: &str = ".zhengyun-restore-under-way";

/// A restore under way.
pub(super) struct Restore<'a> {
    ready: &'a Ready<'a>,
    tally: &'a mut Tally,
    /// Directories that are open, from the target down.
    open: Vec<Level>,
    /// Whether files that are there may be leftovers of ours.
    resumes: bool,
    /// The first name of each file with several.
    linked: HashMap<(u64, u64), (PathBuf, String)>,
}

struct Level {
    path: PathBuf,
    directory: OwnedFd,
    /// What the directory shall have once everything is in it; none if it was there before and stays as it is.
    meta: Option<Meta>,
}

/// Restores the source of a proved backup.
pub(super) fn restore(ready: &Ready<'_>, target: &Path, tally: &mut Tally) -> Result<()> {
    let Some((root, resumes)) = open_target(ready, target, tally)? else { return Ok(()) };
    let marker = target.join(MARKER);
    std::fs::write(&marker, ready.snapshot.id.as_bytes()).map_err(|e| WorkerError::local(&marker, e))?;
    let top = ready.top();
    let mut restore = Restore { ready, tally, open: Vec::new(), resumes, linked: HashMap::new() };
    let mut root = Some(root);
    ready.proved.compare(ready.engine, &ready.snapshot, |stored, item| {
        if stored.path == top {
            let directory = root.take().ok_or_else(|| WorkerError::engine("restoring", "the root is there twice"))?;
            restore.open.push(Level { path: stored.path, directory, meta: Some(stored.meta) });
            return restore.tally.enter(&top, Outcome::Created, None);
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
    std::fs::remove_file(&marker).map_err(|e| WorkerError::local(&marker, e))?;
    restore.close_to(Path::new(""));
    let directory = std::fs::File::open(target).map_err(|e| WorkerError::local(target, e))?;
    rustix::fs::syncfs(&directory).map_err(|e| WorkerError::local(target, e))
}

/// Opens the target, and tells whether a restore goes on there; none if everything is there already.
fn open_target(ready: &Ready<'_>, target: &Path, tally: &mut Tally) -> Result<Option<(OwnedFd, bool)>> {
    let unusable = |problem: String, fix: &str| WorkerError::Target {
        target: target.display().to_string(),
        problem,
        fix: fix.to_owned(),
    };
    let fix = "name a directory that can be written, or one that does not exist in a directory that can be";
    match rustix::fs::mkdir(target, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(unusable(format!("cannot be made: {error}"), fix)),
    }
    let root = rustix::fs::openat(CWD, target, entry::DIRECTORY, Mode::empty())
        .map_err(|e| unusable(format!("cannot be opened as a directory: {e}"), fix))?;
    let resumes = match std::fs::read(target.join(MARKER)) {
        Ok(marker) if marker == ready.snapshot.id.as_bytes() => true,
        Ok(_) => {
            let problem = "another backup is being restored there, or was not restored to its end";
            return Err(unusable(problem.to_owned(), "go on with that backup, or empty the directory"));
        }
        Err(_) => false,
    };
    let mut entries = std::fs::read_dir(target).map_err(|e| unusable(e.to_string(), fix))?;
    if !resumes && ready.existing == Existing::Fail && entries.next().is_some() {
        if complete::is_complete(ready, target, tally)? {
            return Ok(None);
        }
        let fix = "name an empty directory, or say --existing skip or --existing replace";
        return Err(unusable("is not empty".to_owned(), fix));
    }
    Ok(Some((root, resumes)))
}

impl Restore<'_> {
    fn one(&mut self, stored: Stored, item: &Item) -> Result<()> {
        let parent = stored.path.parent().unwrap_or(Path::new("")).to_owned();
        self.close_to(&parent);
        // A directory that could not be made takes what is in it along.
        if self.open.last().is_none_or(|level| level.path != parent) {
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
            Err(Errno::EXIST) if self.resumes => (Outcome::Same, Some(stored.meta)),
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
        if !meta::apply_to_name(parent, name, stored) {
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
            Ok(_) if !self.resumes && self.ready.existing != Existing::Replace => Ok(None),
            Ok(_) => {
                rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
                Ok(Some(if self.resumes { Outcome::Created } else { Outcome::Replaced }))
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
