//! Closes the source and proves it, or has somebody declare it and sees whether that holds.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::place::{Place, Sides};
use super::quiet::{Sum, hash, same};
use super::record::Record;
use super::{gate, proof};
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::mover::{Mark, State, Strength};

/// How the source was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Freeze {
    pub(super) strength: Strength,
    pub(super) at: String,
    pub(super) evidence: Vec<String>,
    /// This program made the file system read-only, and makes it writable again.
    pub(super) remounted: bool,
    /// Who says that everything that writes is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) declared_by: Option<String>,
    /// What all files were when it was declared: digest, items and bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sum: Option<Sum>,
}

/// How to close the source.
#[derive(Clone, Debug, Args)]
pub struct FreezeArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// Make the file system read-only of which the source is the root; `thaw` makes it writable again.
    #[arg(long, conflicts_with = "declared_by")]
    pub remount: bool,
    /// Who says that everything that writes to the source is stopped, where that cannot be proved.
    #[arg(long, value_name = "PERSON")]
    pub declared_by: Option<String>,
    /// Seconds between two readings of everything, for what is declared.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub quiet_seconds: u64,
    /// Files that are read at once.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
}

/// What a freeze or thaw came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frozen {
    #[serde(flatten)]
    mark: Mark,
    #[serde(flatten)]
    freeze: Freeze,
    /// The pass of the copy after which the source was closed.
    position: u64,
    source_record: String,
}

/// The names of the two readings.
const READINGS: [&str; 2] = ["quiet-1.jsonl", "quiet-2.jsonl"];

/// Closes the source.
pub(super) fn freeze(args: &FreezeArgs, control: &Control) -> Result<Frozen> {
    let mut place = Place::open(&args.sides, control)?;
    if place.record()?.mark.state == State::Open {
        return again(&place, args.threads.into(), control);
    }
    let record = place.not_open()?;
    control.enter("freezing");
    let mut remounted = record.freeze.as_ref().is_some_and(|freeze| freeze.remounted);
    if args.remount && proof::read_only(place.source_root())?.against.is_some() {
        // Noted first: whatever happens then, `thaw` knows that it has to make it writable again.
        let noted = Freeze {
            strength: Strength::Declared,
            at: Timestamp::now().to_string(),
            evidence: vec!["its file system is being made read-only".to_owned()],
            remounted: true,
            declared_by: None,
            sum: None,
        };
        place.update(|record| record.freeze = Some(noted))?;
        if let Err(error) = proof::set(place.source_root(), &args.sides.source, true) {
            place.update(|record_now| record_now.freeze = record.freeze)?;
            return Err(error);
        }
        remounted = true;
    }
    let freeze = match &args.declared_by {
        None => proven(&place, remounted)?,
        Some(person) => declared(&place, person, args, control)?,
    };
    let record = place.update(|record| {
        record.mark.state = State::Frozen;
        // What was found equal was so under another freeze.
        if record.freeze.as_ref().is_none_or(|earlier| earlier.sum != freeze.sum) {
            record.finished = None;
        }
        record.freeze = Some(freeze.clone());
    })?;
    Ok(Frozen { mark: record.mark, freeze, position: record.passes, source_record: place.source_record() })
}

/// Applications have the target: nothing is closed anew, the source is held against what it was when it was closed.
fn again(place: &Place, threads: usize, control: &Control) -> Result<Frozen> {
    control.enter("proving");
    let (record, mut freeze) = still_frozen(place)?;
    match &freeze.sum {
        None => freeze.evidence = proof::read_only(place.source_root())?.evidence,
        Some(sum) => {
            let list = place.state().join(READINGS[1]);
            let found = hash(place, &list, threads, control)?;
            std::fs::remove_file(&list).map_err(|e| WorkerError::local(&list, e))?;
            if found != *sum {
                return Err(written(place, &["it is not what was read when it was declared".to_owned()]));
            }
            freeze.evidence.push("everything was read once more and is what it was when that was declared".to_owned());
        }
    }
    Ok(Frozen { mark: record.mark, freeze, position: record.passes, source_record: place.source_record() })
}

fn proven(place: &Place, remounted: bool) -> Result<Freeze> {
    let proof = proof::read_only(place.source_root())?;
    if let Some(against) = proof.against {
        return Err(not_frozen(
            place,
            against,
            "make its file system read-only (--remount where the source is all of it), or have somebody declare it with --declared-by",
        ));
    }
    Ok(Freeze {
        strength: Strength::Proven,
        at: Timestamp::now().to_string(),
        evidence: proof.evidence,
        remounted,
        declared_by: None,
        sum: None,
    })
}

fn not_frozen(place: &Place, problem: impl Into<String>, fix: &str) -> WorkerError {
    WorkerError::moving("NotFrozen", place.sides.source.display().to_string(), problem, fix)
}

/// Reads everything twice with a quiet time between.
fn declared(place: &Place, person: &str, args: &FreezeArgs, control: &Control) -> Result<Freeze> {
    if person.trim().is_empty() {
        return Err(WorkerError::input("--declared-by", "it is empty", "name the person who stopped what writes"));
    }
    let lists: Vec<PathBuf> = READINGS.iter().map(|name| place.state().join(name)).collect();
    let [first, second] = lists.as_slice() else {
        return Err(WorkerError::engine("reading twice", "there are not two lists"));
    };
    control.enter("reading");
    hash(place, first, args.threads.into(), control)?;
    control.enter("waiting");
    let until = Instant::now() + Duration::from_secs(args.quiet_seconds);
    while Instant::now() < until {
        control.check()?;
        // Whoever takes the migration over need not wait for us.
        place.record()?;
        std::thread::sleep(Duration::from_millis(200).min(until.saturating_duration_since(Instant::now())));
    }
    control.enter("readingAgain");
    let sum = hash(place, second, args.threads.into(), control)?;
    let different = same(first, second)?;
    for list in &lists {
        std::fs::remove_file(list).map_err(|e| WorkerError::local(list, e))?;
    }
    if !different.is_empty() {
        return Err(written(place, &different));
    }
    let evidence = vec![
        format!("{person} declares that everything that writes is stopped"),
        format!(
            "{} items of {} bytes were read twice, {} s apart, and were the same",
            sum.items, sum.bytes, args.quiet_seconds
        ),
    ];
    Ok(Freeze {
        strength: Strength::Declared,
        at: Timestamp::now().to_string(),
        evidence,
        remounted: false,
        declared_by: Some(person.to_owned()),
        sum: Some(sum),
    })
}

/// The source was written although it is frozen.
pub(super) fn written(place: &Place, different: &[String]) -> WorkerError {
    WorkerError::moving(
        "SourceWritten",
        place.sides.source.display().to_string(),
        format!("somebody still writes to it, first: {}", different.join(", ")),
        "find out who does, stop it, and run `freeze` again",
    )
}

/// The freeze in force, proved again: a mount that is still read-only, or files that are still what they were.
pub(super) fn still_frozen(place: &Place) -> Result<(Record, Freeze)> {
    let record = place.record()?;
    let freeze = record.freeze.clone().filter(|_| record.mark.state != State::Following);
    let Some(freeze) = freeze else {
        return Err(not_frozen(place, "it is in use", "run `freeze` first"));
    };
    if freeze.strength == Strength::Proven
        && let Some(against) = proof::read_only(place.source_root())?.against
    {
        return Err(not_frozen(place, against, "run `freeze` again, and find out who made it writable"));
    }
    Ok((record, freeze))
}

/// Opening the source again.
#[derive(Clone, Debug, Args)]
pub struct ThawArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// Who says that nothing has the target open, where processes cannot be seen from here.
    #[arg(long, value_name = "PERSON")]
    pub declared_by: Option<String>,
}

/// What a thaw came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Thawed {
    #[serde(flatten)]
    mark: Mark,
    at: String,
    restored: Vec<String>,
    /// What proves that the target is closed.
    closed: gate::Closed,
}

/// Opens the source as it was, once the target is proved closed.
pub(super) fn thaw(args: &ThawArgs, control: &Control) -> Result<Thawed> {
    let mut place = Place::open(&args.sides, control)?;
    let record = place.not_open()?;
    let mut closed = gate::prove_shut(&place)?;
    if closed.strength == Strength::Declared {
        let Some(person) = &args.declared_by else {
            return Err(WorkerError::moving(
                "TargetNotClosed",
                args.sides.target.display().to_string(),
                format!("it cannot be proved that nobody has it open: {}", closed.evidence.join("; ")),
                "run the mover where it sees all processes, or have somebody declare it with --declared-by",
            ));
        };
        closed.evidence.push(format!("{person} declares that nothing has it open"));
    }
    let mut restored = Vec::new();
    match &record.freeze {
        Some(freeze) if freeze.remounted => {
            proof::set(place.source_root(), &args.sides.source, false)?;
            restored.push("its file system is writable again".to_owned());
        }
        Some(freeze) => restored.push(match &freeze.declared_by {
            Some(person) => format!("nothing: what {person} stopped can be started again"),
            None => "nothing: whoever made it read-only can make it writable again".to_owned(),
        }),
        None => {}
    }
    let record = place.update(|record| {
        record.mark.state = State::Following;
        (record.freeze, record.finished) = (None, None);
    })?;
    Ok(Thawed { mark: record.mark, at: Timestamp::now().to_string(), restored, closed })
}
