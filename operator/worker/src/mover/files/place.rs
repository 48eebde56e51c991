//! The two sides of a migration, and the records by which they are held.
//!
//! The state of a migration is a folder in the root of the target, which nothing else can mistake for its own: whoever prepares the
//! same target meets it. The source has a file beside it where that is on the same file system and can be written.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::fs::{AtFlags, FlockOperation, Mode};
use rustix::io::Errno;

use super::record::{RECORD, Record, SourceMark, lock, put, read, write};
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::evidence::items::{line, path_text};
use crate::mover::{Mark, State, Ticket};
use crate::source::files::{directory_flags, open_directory};

/// The state folder in the target, and what the file beside the source begins with.
pub(super) const STATE: &CStr = c".zhengyun-migration";
/// Held for the moment of a change of the record.
pub(super) const RECORD_LOCK: &CStr = c"record.lock";
/// Held by the process that is at work.
pub(super) const WORK_LOCK: &CStr = c"work.lock";
/// What file systems keep in the root of a volume.
pub(super) const LOST_FOUND: &CStr = c"lost+found";

/// From where to where, and in whose name.
#[derive(Clone, Debug, Args)]
pub struct Sides {
    /// In whose name.
    #[command(flatten)]
    pub ticket: Ticket,
    /// Root of the source.
    #[arg(long, value_name = "DIR")]
    pub source: PathBuf,
    /// Root of the target.
    #[arg(long, value_name = "DIR")]
    pub target: PathBuf,
    /// Seconds to wait for another process of the same migration to end.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub wait_seconds: u64,
}

/// Both sides, open and held.
pub(super) struct Place {
    pub(super) sides: Sides,
    source: OwnedFd,
    target: OwnedFd,
    state: OwnedFd,
    /// Names in either root that are none of the tree.
    left_out: Vec<CString>,
    beside: Beside,
    /// Held until the process ends.
    _work: OwnedFd,
}

/// The record beside the source.
#[derive(Debug)]
pub(super) enum Beside {
    Kept(OwnedFd, CString),
    /// Why there is none.
    No(String),
}

/// The roots of both sides, before anything is held.
pub(super) struct Roots {
    pub(super) source: OwnedFd,
    pub(super) target: OwnedFd,
}

pub(super) fn open_source(source: &Path) -> Result<OwnedFd> {
    let told = |problem: String| {
        let fix = "name a directory that can be read, by a path without symbolic links and without ..";
        WorkerError::input("--source", format!("\"{}\": {problem}", source.display()), fix)
    };
    open_directory(source).map_err(told)
}

impl Roots {
    /// Opens both; the target must be there.
    pub(super) fn open(sides: &Sides) -> Result<Self> {
        let target = open_directory(&sides.target).map_err(|e| unusable(&sides.target, e))?;
        Ok(Self { source: open_source(&sides.source)?, target })
    }

    /// What lies in a root without being of the tree: our state, and what volumes have of themselves.
    pub(super) fn left_out(&self) -> Vec<CString> {
        let mut names = vec![STATE.to_owned()];
        if is_mount(&self.source) || is_mount(&self.target) {
            names.push(LOST_FOUND.to_owned());
        }
        names
    }
}

/// Whether a directory is on another file system than the one above it.
pub(super) fn is_mount(directory: &OwnedFd) -> bool {
    let device = |name: &CStr| rustix::fs::statat(directory, name, AtFlags::empty()).map(|stat| stat.st_dev);
    device(c"..").ok() != device(c".").ok()
}

pub(super) fn unusable(target: &Path, problem: impl Into<String>) -> WorkerError {
    WorkerError::Target {
        target: target.display().to_string(),
        problem: problem.into(),
        fix: "name a directory that this user may write, by a path without symbolic links and without ..".to_owned(),
    }
}

impl Place {
    /// Opens a migration that was prepared. The epoch is raised before anything else is done.
    pub(super) fn open(sides: &Sides, control: &Control) -> Result<Self> {
        let roots = Roots::open(sides)?;
        let state = match rustix::fs::openat(&roots.target, STATE, directory_flags(), Mode::empty()) {
            Ok(state) => state,
            Err(Errno::NOENT) => return Err(not_prepared(sides)),
            Err(error) => return Err(unusable(&sides.target, error.to_string())),
        };
        let place = Self::hold(sides, roots, state, control, |found| found.ok_or_else(|| not_prepared(sides)))?;
        if place.record()?.prepared { Ok(place) } else { Err(not_prepared(sides)) }
    }

    /// Holds a migration: its record is found or made, its epoch raised, and other processes of it are waited for.
    pub(super) fn hold(
        sides: &Sides,
        roots: Roots,
        state: OwnedFd,
        control: &Control,
        found: impl FnOnce(Option<Record>) -> Result<Record>,
    ) -> Result<Self> {
        let beside = beside(sides, &roots.source)?;
        {
            let _short = lock(&state, RECORD_LOCK, FlockOperation::LockExclusive)?;
            let mut record = found(read(&state, RECORD)?)?;
            record.mark.admit(&sides.target.display().to_string(), &sides.ticket)?;
            let source = path_text(&sides.source);
            if record.source != source {
                return Err(WorkerError::moving(
                    "OtherMigration",
                    sides.target.display().to_string(),
                    format!("it is the target of {}", record.source),
                    format!("name that source, or end that migration with `drop` before {source} is moved there"),
                ));
            }
            record.mark.epoch = sides.ticket.epoch;
            write(&state, RECORD, &record)?;
        }
        let left_out = roots.left_out();
        let work = wait(&state, sides.wait_seconds, control)?;
        let Roots { source, target } = roots;
        let mut place = Self { sides: sides.clone(), source, target, state, left_out, beside, _work: work };
        let record = place.record()?;
        if !record.dropped {
            place.mark_source(&record.mark)?;
        }
        Ok(place)
    }

    /// The root of the source, opened anew.
    pub(super) fn source(&self) -> Result<OwnedFd> {
        again(&self.source).map_err(|e| WorkerError::local(&self.sides.source, e))
    }

    /// The root of the target, opened anew.
    pub(super) fn target(&self) -> Result<OwnedFd> {
        again(&self.target).map_err(|e| unusable(&self.sides.target, e.to_string()))
    }

    pub(super) fn source_root(&self) -> &OwnedFd {
        &self.source
    }

    pub(super) fn target_root(&self) -> &OwnedFd {
        &self.target
    }

    /// The state folder, by a path that goes through its descriptor.
    pub(super) fn state(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.state.as_raw_fd()).into()
    }

    pub(super) fn state_root(&self) -> &OwnedFd {
        &self.state
    }

    pub(super) fn left_out(&self) -> Vec<&CStr> {
        self.left_out.iter().map(CString::as_c_str).collect()
    }

    /// The record; an error once somebody acts under a higher epoch.
    pub(super) fn record(&self) -> Result<Record> {
        let record: Record = read(&self.state, RECORD)?.ok_or_else(|| not_prepared(&self.sides))?;
        record.mark.admit(&self.sides.target.display().to_string(), &self.sides.ticket)?;
        Ok(record)
    }

    /// Changes the record, on both sides, unless somebody acts under a higher epoch.
    pub(super) fn update(&mut self, change: impl FnOnce(&mut Record)) -> Result<Record> {
        let record = {
            let _short = lock(&self.state, RECORD_LOCK, FlockOperation::LockExclusive)?;
            let mut record = self.record()?;
            change(&mut record);
            write(&self.state, RECORD, &record)?;
            record
        };
        self.mark_source(&record.mark)?;
        Ok(record)
    }

    /// Says that the migration is over. Nothing is made beside the source any more.
    pub(super) fn end(&self) -> Result<()> {
        let _short = lock(&self.state, RECORD_LOCK, FlockOperation::LockExclusive)?;
        let mut record = self.record()?;
        (record.prepared, record.dropped) = (false, true);
        write(&self.state, RECORD, &record)
    }

    /// Refuses what may not be done while applications have the target.
    pub(super) fn not_open(&self) -> Result<Record> {
        let record = self.record()?;
        if record.mark.state == State::Open {
            return Err(WorkerError::moving(
                "TargetOpen",
                self.sides.target.display().to_string(),
                "applications have it",
                "close it with `close` first; what they wrote there is not on the source",
            ));
        }
        Ok(record)
    }

    fn mark_source(&mut self, mark: &Mark) -> Result<()> {
        let Beside::Kept(above, name) = &self.beside else { return Ok(()) };
        let told = SourceMark { mark: mark.clone(), target: path_text(&self.sides.target) };
        if read::<SourceMark>(above, name)?.as_ref() == Some(&told) {
            return Ok(());
        }
        match put(above, name, &line(&told)?) {
            Ok(()) => Ok(()),
            // The source is the department's: where it may not be written, it stays as it is.
            Err(error @ (Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::NAMETOOLONG)) => {
                self.beside = Beside::No(format!("beside the source nothing can be written: {error}"));
                Ok(())
            }
            Err(error) => Err(WorkerError::local(&self.sides.source, error)),
        }
    }

    /// Where the source's record is, for people.
    pub(super) fn source_record(&self) -> String {
        match &self.beside {
            Beside::Kept(_, name) => {
                let above = self.sides.source.parent().unwrap_or(Path::new("/"));
                path_text(&above.join(name.to_string_lossy().as_ref()))
            }
            Beside::No(reason) => format!("in the state folder of the target only: {reason}"),
        }
    }

    /// Takes the record beside the source away; true if there was one.
    pub(super) fn unmark_source(&self) -> Result<bool> {
        let Beside::Kept(above, name) = &self.beside else { return Ok(false) };
        match rustix::fs::unlinkat(above, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::ROFS | Errno::ACCESS | Errno::PERM) => Ok(false),
            Err(error) => Err(WorkerError::local(&self.sides.source, error)),
        }
    }
}

fn not_prepared(sides: &Sides) -> WorkerError {
    WorkerError::moving(
        "NotPrepared",
        sides.target.display().to_string(),
        "it is not prepared for this migration",
        "run `move files prepare`, and mend or accept what it finds",
    )
}

fn again(directory: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(directory, c".", directory_flags(), Mode::empty())
}

/// The record beside the source: it must be of this migration and of no higher epoch.
pub(super) fn beside(sides: &Sides, source: &OwnedFd) -> Result<Beside> {
    let (Some(above), Some(name)) = (sides.source.parent(), sides.source.file_name()) else {
        return Ok(Beside::No("nothing is beside the root of all directories".to_owned()));
    };
    if is_mount(source) {
        return Ok(Beside::No("the source is a volume, and what is beside it does not go with it".to_owned()));
    }
    let above = match open_directory(above) {
        Ok(above) => above,
        Err(error) => return Ok(Beside::No(error)),
    };
    let name = [STATE.to_bytes(), b"-", name.as_encoded_bytes()].concat();
    let name = CString::new(name).map_err(|e| WorkerError::engine("naming a record", e))?;
    if let Some(found) = read::<SourceMark>(&above, &name)? {
        found.mark.admit(&sides.source.display().to_string(), &sides.ticket)?;
        if found.target != path_text(&sides.target) {
            return Err(WorkerError::moving(
                "OtherMigration",
                sides.source.display().to_string(),
                format!("it is moved to {}", found.target),
                "name that target, or end that migration with `drop` first",
            ));
        }
    }
    Ok(Beside::Kept(above, name))
}

/// Waits until no other process works on the same migration. One of a lower epoch ends at its next batch.
fn wait(state: &OwnedFd, seconds: u64, control: &Control) -> Result<OwnedFd> {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        match lock(state, WORK_LOCK, FlockOperation::NonBlockingLockExclusive) {
            Err(WorkerError::Move { .. }) if Instant::now() < until => {
                control.check()?;
                std::thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}
