//! Gives the target to applications, takes it back, and takes away what the migration made.

use std::ffi::CStr;

use clap::Args;
use jiff::Timestamp;
use rustix::fs::Mode;
use serde::Serialize;

use super::freeze::{still_frozen, written};
use super::pass::of_directory;
use super::place::{Place, RECORD_LOCK, Roots, STATE, Sides, WORK_LOCK};
use super::put::remove;
use super::quiet::written_since;
use super::record::{RECORD, Record, has_record, read};
use super::{attributes, gate};
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::evidence::items::path_text;
use crate::mover::{Mark, State, Strength};
use crate::source::files::{directory_flags, names};

/// What stays of a migration that is over: its record, and what it is held by.
const STAYING: [&CStr; 3] = [RECORD, RECORD_LOCK, WORK_LOCK];

/// What opening came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Opened {
    #[serde(flatten)]
    mark: Mark,
    at: String,
    /// How sure it is that nobody writes to the source.
    strength: Strength,
    evidence: Vec<String>,
    /// The digest by which both sides were found equal.
    digest: String,
}

/// Gives the target to applications: its root gets mode, owner and attributes of the source's.
pub(super) fn open(sides: &Sides, control: &Control) -> Result<Opened> {
    let mut place = Place::open(sides, control)?;
    let (record, freeze) = still_frozen(&place)?;
    let Some(finished) = record.finished else {
        return Err(WorkerError::moving(
            "NotFinished",
            sides.target.display().to_string(),
            "both sides were not found equal under this freeze",
            "run `finish` first",
        ));
    };
    let shut = gate::still_shut(&place);
    // Opened before and perhaps written since; or a process was killed just before it opened.
    if record.mark.state != State::Open || shut.is_ok() {
        shut?;
        control.enter("proving");
        let different = written_since(&place, control)?;
        if !different.is_empty() {
            return Err(written(&place, &different));
        }
    }
    let failed = |e: rustix::io::Errno| WorkerError::local(&sides.target, e);
    // Said first: whoever finds the record finds no target open that is not said to be.
    let record = place.update(|record| {
        record.mark.state = State::Open;
        record.was_open = true;
    })?;
    let wanted = of_directory(place.source_root()).map_err(|e| WorkerError::local(&sides.source, e))?;
    let complete = attributes::settle(place.target_root(), &wanted);
    rustix::fs::syncfs(place.target_root()).map_err(failed)?;
    let mut evidence = freeze.evidence;
    evidence.push(format!("the root has mode {:o} like the source", wanted.mode));
    if !complete && record.carries.owners {
        evidence.push("not all of its owner and attributes could be set".to_owned());
    }
    Ok(Opened {
        mark: record.mark,
        at: Timestamp::now().to_string(),
        strength: freeze.strength,
        evidence,
        digest: finished.digest,
    })
}

/// What closing came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClosedReport {
    #[serde(flatten)]
    mark: Mark,
    at: String,
    #[serde(flatten)]
    closed: gate::Closed,
}

/// Takes the target from applications, and proves it.
pub(super) fn close(sides: &Sides, control: &Control) -> Result<ClosedReport> {
    let mut place = Place::open(sides, control)?;
    gate::shut(&place)?;
    let closed = gate::prove_shut(&place)?;
    let record = place.update(|record| record.mark.taken())?;
    Ok(ClosedReport { mark: record.mark, at: Timestamp::now().to_string(), closed })
}

/// What to take away.
#[derive(Clone, Debug, Args)]
pub struct DropArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// What was copied too.
    #[arg(long)]
    pub data: bool,
}

/// What was taken away.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dropped {
    removed: Vec<String>,
    /// Things that were copied and are gone.
    items: u64,
    stays: Vec<String>,
}

/// Takes away everything that the migration made but what it copied. Its record stays: whoever comes late is refused by it.
pub(super) fn drop_all(args: &DropArgs, control: &Control) -> Result<Dropped> {
    let sides = &args.sides;
    let mut dropped = Dropped { removed: Vec::new(), items: 0, stays: Vec::new() };
    if crate::source::files::find_directory(&sides.target).is_ok_and(|(found, _)| found.is_none()) {
        // It was never prepared.
        return Ok(dropped);
    }
    let roots = Roots::open(sides)?;
    let failed = |e: rustix::io::Errno| WorkerError::local(&sides.target, e);
    let state = match rustix::fs::openat(&roots.target, STATE, directory_flags(), Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(dropped),
        other => other.map_err(failed)?,
    };
    let folder = sides.target.join(STATE.to_string_lossy().as_ref());
    if !has_record(&state) {
        // Another process was killed just before it was done.
        remove(&roots.target, STATE).map_err(failed)?;
        dropped.removed.push(path_text(&folder));
        return Ok(dropped);
    }
    if let Some(over) = read::<Record>(&state, RECORD)?.filter(|record| record.dropped) {
        if over.mark.migration == sides.ticket.migration {
            over.mark.admit(&sides.target.display().to_string(), &sides.ticket)?;
        }
        return Ok(dropped);
    }
    let gone = || WorkerError::engine("taking a migration away", "its record went away meanwhile");
    let place = Place::hold(sides, roots, state, control, |found| found.ok_or_else(gone))?;
    let record = place.record()?;
    may_go(args, record.mark.state, record.freeze.as_ref().is_some_and(|freeze| freeze.remounted))?;
    control.enter("removing");
    let left_out = place.left_out();
    if args.data {
        for name in names(place.target_root()).map_err(failed)? {
            control.check()?;
            if !left_out.contains(&name.as_c_str()) {
                dropped.items += remove(place.target_root(), &name).map_err(failed)?;
            }
        }
    } else {
        dropped.stays.push(format!("what was copied, in {}", sides.target.display()));
    }
    let was_open = record.mark.state == State::Open;
    let stays = if was_open {
        "the source is closed as `freeze` left it"
    } else {
        "the root of the target is closed to everybody but this user"
    };
    dropped.stays.push(stays.to_owned());
    let beside = place.source_record();
    if place.unmark_source()? {
        dropped.removed.push(beside);
    }
    for name in names(place.state_root()).map_err(failed)? {
        // Whoever waits for a lock must not meet another one of the same name.
        if !STAYING.contains(&name.as_c_str()) {
            remove(place.state_root(), &name).map_err(failed)?;
            dropped.removed.push(path_text(&folder.join(name.to_string_lossy().as_ref())));
        }
    }
    // Said last: until then, whoever drops it again finds what is left.
    place.end()?;
    dropped.stays.push(format!("its record, in {}", folder.display()));
    Ok(dropped)
}

fn may_go(args: &DropArgs, state: State, remounted: bool) -> Result<()> {
    let told = |reason, problem: &str, fix: &str| {
        Err(WorkerError::moving(reason, args.sides.target.display().to_string(), problem, fix))
    };
    match state {
        State::Open if args.data => told(
            "TargetOpen",
            "applications have it, and --data would delete what they work on",
            "close it first, or leave --data out",
        ),
        State::Frozen if remounted => told(
            "SourceFrozen",
            "the source was made read-only by this migration, and nothing would remember that",
            "run `thaw` first",
        ),
        _ => Ok(()),
    }
}
