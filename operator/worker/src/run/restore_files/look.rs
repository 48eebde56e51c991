//! What a restore of a file tree would do, without doing it.
//!
//! It follows the same rules as the restore: what that would find, make, replace or leave is told for every item, and bound by a digest.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::super::restore::{Existing, Outcome, Ready, Tally};
use super::{FIX, State, complete, entry, examine, not_anothers, open_below, unusable};
use crate::engine::{Kind, Stored};
use crate::error::{Result, WorkerError};
use crate::evidence::items::{Item, path_text};
use crate::source::files::find_directory;

/// How many names of what is in the way are told.
const NAMED: usize = 20;

/// Looks at the target, and tells what would become of every item. Nothing is written.
pub(in crate::run) fn look(ready: &Ready<'_>, target: &Path, tally: &mut Tally) -> Result<()> {
    let (root, identity) = find_directory(target).map_err(|e| unusable(target, e, FIX))?;
    let (state, anothers) = match &root {
        Some(root) => examine(ready, target, root)?,
        None => (State { resumes: false, alone: true, marked: false }, false),
    };
    let mut bound = Bound::new(ready, target, identity)?;
    let full = ready.existing == Existing::Fail && !state.alone;
    if full && let Some(root) = &root {
        if complete::is_complete(ready, root, tally)? {
            bound.enter(Path::new(""), Outcome::Same);
        } else {
            let named = target_names(root).map_err(|e| unusable(target, e.to_string(), FIX))?;
            bound.in_the_way(named);
            let cause = "the directory that receives it is not empty".to_owned();
            tally.enter(&ready.top(), Outcome::Failed, Some(cause))?;
        }
        *tally.files() = bound.finish();
        return Ok(());
    }
    not_anothers(anothers, target)?;
    let top = ready.top();
    // The directory that is open, by its path below the target; none while it is not there.
    let mut parent: Option<(PathBuf, Option<OwnedFd>)> = None;
    ready.proved.compare(ready.engine, &ready.snapshot, |stored, item| {
        let Ok(below) = stored.path.strip_prefix(&top).map(Path::to_owned) else { return Ok(()) };
        ready.control.check()?;
        ready.control.count_item();
        let Some(name) = below.file_name() else {
            let replaced = state.alone || ready.existing == Existing::Replace;
            let outcome = if replaced { Outcome::Created } else { Outcome::Skipped };
            bound.enter(&stored.path, outcome);
            return tally.enter(&stored.path, outcome, None);
        };
        let above = below.parent().unwrap_or(Path::new(""));
        if parent.as_ref().is_none_or(|(path, _)| path != above) {
            parent = Some((above.to_owned(), root.as_ref().and_then(|root| open_below(root, above).ok())));
        }
        let directory = parent.as_ref().and_then(|(_, directory)| directory.as_ref());
        let outcome = directory
            .map_or(Ok(Outcome::Created), |directory| become_of(ready, state, directory, name, &stored, &item));
        let outcome = if stored.kind == Kind::Socket { Ok(Outcome::LeftOut) } else { outcome };
        bound.enter(&stored.path, outcome.as_ref().copied().unwrap_or(Outcome::Failed));
        match outcome {
            Ok(outcome) => tally.enter(&stored.path, outcome, None),
            Err(cause) => {
                bound.in_the_way(vec![path_text(&below)]);
                tally.enter(&stored.path, Outcome::Failed, Some(cause))
            }
        }
    })?;
    *tally.files() = bound.finish();
    Ok(())
}

/// What would become of an item in a directory that is there; or what is in its way.
fn become_of(
    ready: &Ready<'_>,
    state: State,
    directory: &OwnedFd,
    name: &std::ffi::OsStr,
    stored: &Stored,
    item: &Item,
) -> std::result::Result<Outcome, String> {
    let found = match rustix::fs::statat(directory.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
        Err(Errno::NOENT) => return Ok(Outcome::Created),
        Err(error) => return Err(format!("what is there cannot be looked at: {error}")),
    };
    let replaces = state.alone || ready.existing == Existing::Replace;
    match (&stored.kind, found) {
        (Kind::Dir, FileType::Directory) if state.alone => Ok(Outcome::Same),
        (Kind::Dir, FileType::Directory) if replaces => Ok(Outcome::Replaced),
        (Kind::Dir, FileType::Directory) => Ok(Outcome::Skipped),
        (Kind::Dir, _) => Err("the backup has a directory there, and something else is: move it away".to_owned()),
        (Kind::File, FileType::RegularFile) if state.resumes && entry::is_same(directory, name, item) => {
            Ok(Outcome::Same)
        }
        (_, FileType::Directory) if replaces => {
            Err("a directory is there, and the backup has something else: move it away".to_owned())
        }
        _ if !replaces => Ok(Outcome::Skipped),
        _ if state.alone => Ok(Outcome::Created),
        _ => Ok(Outcome::Replaced),
    }
}

/// The first names in the target.
fn target_names(root: &OwnedFd) -> rustix::io::Result<Vec<String>> {
    let mut first = BTreeSet::new();
    for entry in rustix::fs::Dir::read_from(root)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            first.insert(name);
            if first.len() > NAMED {
                first.pop_last();
            }
        }
    }
    Ok(first.iter().map(|name| String::from_utf8_lossy(name.to_bytes()).escape_debug().to_string()).collect())
}

/// Binds what would be done to a digest: nothing else is carried out under it.
struct Bound {
    digest: Sha256,
    in_the_way: Vec<String>,
}

impl Bound {
    fn new(ready: &Ready<'_>, target: &Path, identity: (u64, u64)) -> Result<Self> {
        let policy = match ready.existing {
            Existing::Fail => "fail",
            Existing::Skip => "skip",
            Existing::Replace => "replace",
        };
        // The same name may be another directory later.
        let told = serde_json::json!({
            "format": 1, "backup": ready.snapshot.id, "source": ready.source.name, "existing": policy,
            "target": path_text(target), "identity": identity,
        });
        let text = serde_json::to_vec(&told).map_err(|e| WorkerError::engine("telling what would be done", e))?;
        let mut digest = Sha256::new();
        digest.update(text);
        Ok(Self { digest, in_the_way: Vec::new() })
    }

    fn enter(&mut self, path: &Path, outcome: Outcome) {
        // No path holds the byte 0, so no two lists read the same.
        self.digest.update([0, outcome as u8]);
        self.digest.update(path.as_os_str().as_encoded_bytes());
    }

    fn in_the_way(&mut self, names: Vec<String>) {
        for name in names {
            self.digest.update([0, u8::MAX]);
            self.digest.update(name.as_bytes());
            if self.in_the_way.len() < NAMED {
                self.in_the_way.push(name);
            }
        }
    }

    fn finish(self) -> super::FilesReport {
        let digest = format!("sha256:{}", HEXLOWER.encode(&self.digest.finalize()));
        super::FilesReport { digest, in_the_way: self.in_the_way, ..super::FilesReport::default() }
    }
}
