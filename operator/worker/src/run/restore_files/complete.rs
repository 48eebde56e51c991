//! Whether a restore was done already.
//!
//! Between the last write of a restore and the end of its process it can be killed, and whoever started it starts it again. It finds
//! a full directory then; if everything in the backup is there as it should be, there is nothing to refuse and nothing to do.

use std::fs::File;
use std::path::Path;

use super::super::restore::{Outcome, Ready, Tally};
use super::entry::has_content;
use crate::engine::Kind;
use crate::error::{Result, WorkerError};

/// Looks without writing. If everything is there, it is entered as such.
pub(super) fn is_complete(ready: &Ready<'_>, target: &Path, tally: &mut Tally) -> Result<bool> {
    let top = ready.top();
    let mut there = Vec::new();
    let compared = ready.proved.compare(ready.engine, &ready.snapshot, |stored, item| {
        let Ok(below) = stored.path.strip_prefix(&top) else { return Ok(()) };
        ready.control.check()?;
        let path = target.join(below);
        let Ok(meta) = std::fs::symlink_metadata(&path) else { return Err(missing()) };
        let same = match &stored.kind {
            Kind::File => meta.is_file() && File::open(&path).is_ok_and(|file| has_content(file, &item)),
            Kind::Dir => meta.is_dir(),
            Kind::Link(wanted) => std::fs::read_link(&path).is_ok_and(|target| target == *wanted),
            _ => !meta.is_file() && !meta.is_dir() && !meta.is_symlink(),
        };
        if !same {
            return Err(missing());
        }
        there.push(stored.path);
        Ok(())
    });
    match compared {
        Ok(()) => {}
        Err(WorkerError::Target { .. }) => return Ok(false),
        Err(other) => return Err(other),
    }
    for path in there {
        tally.enter(&path, Outcome::Same, None)?;
    }
    Ok(true)
}

/// Ends the comparison.
fn missing() -> WorkerError {
    WorkerError::Target { target: String::new(), problem: String::new(), fix: String::new() }
}
