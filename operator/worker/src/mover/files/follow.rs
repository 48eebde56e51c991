//! Copies and keeps in step, compares, and finishes.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::compare::{Compared, compare};
use super::freeze::{Freeze, still_frozen, written};
use super::known::Lists;
use super::pass::{Limits, Tally, pass};
use super::place::{Place, Sides};
use super::record::Finished;
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::mover::{Mark, Strength};

/// How to copy.
#[derive(Clone, Debug, Args)]
pub struct Copying {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// Files that are read at once.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
    /// MiB after which what was copied is noted: a killed process repeats no more.
    #[arg(long, default_value_t = 128, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub batch_mib: u64,
    /// The same in files.
    #[arg(long, default_value_t = 1024, value_name = "FILES", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub batch_items: u32,
    /// Applications had the target: what they wrote there is lost with the next pass, and somebody says that it may be.
    #[arg(long)]
    pub discard_writes: bool,
}

/// How to copy, and for how long.
#[derive(Clone, Debug, Args)]
pub struct CopyArgs {
    /// How.
    #[command(flatten)]
    pub copying: Copying,
    /// Repeat passes until SIGTERM.
    #[arg(long)]
    pub follow: bool,
    /// Seconds between two passes.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub interval_seconds: u64,
}

/// How to compare.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// Files that are read at once.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
}

/// What a copy came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "what was copied is what readers of the report look for")]
pub(super) struct Copied {
    #[serde(flatten)]
    mark: Mark,
    /// Passes that came to their end, of all processes.
    position: u64,
    /// Passes of this process.
    passes: u64,
    /// Everything in the source as of the last pass.
    items: u64,
    bytes: u64,
    /// What this process put in place, and the bytes that it wrote.
    copied: u64,
    written: u64,
    removed: u64,
    unchanged: u64,
    changed_while_read: Vec<String>,
    changed_while_read_total: u64,
    vanished: u64,
    incomplete: u64,
    left_out: u64,
    lag: Lag,
    source_record: String,
}

/// How far the target is behind: what the last pass had to copy, and how long it took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lag {
    items: u64,
    bytes: u64,
    seconds: f64,
}

impl Copying {
    fn limits(&self) -> Limits {
        Limits {
            threads: self.threads.into(),
            bytes: self.batch_mib << 20,
            items: usize::try_from(self.batch_items).unwrap_or(1),
        }
    }

    /// Refuses to overwrite what applications wrote, unless somebody says so.
    fn may_write(&self, place: &mut Place) -> Result<()> {
        if !place.not_open()?.was_open {
            return Ok(());
        }
        if !self.discard_writes {
            return Err(WorkerError::moving(
                "TargetWritten",
                self.sides.target.display().to_string(),
                "applications had it: what they wrote there would be overwritten by what the source has",
                "open it again, or give --discard-writes if that may be lost",
            ));
        }
        super::gate::prove_shut(place)?;
        place.update(|record| record.was_open = false).map(drop)
    }
}

/// Copies, once or until SIGTERM.
pub(super) fn copy(args: &CopyArgs, control: &Control) -> Result<Copied> {
    let mut place = Place::open(&args.copying.sides, control)?;
    args.copying.may_write(&mut place)?;
    let (items, bytes) = place.record()?.inventory;
    let done = Lists::new(&place.state()).count()?;
    control.expect(items, bytes);
    control.start_from(done.0, done.1);
    let (mut all, mut passes) = (Tally::default(), 0);
    loop {
        control.enter(if passes == 0 { "copying" } else { "following" });
        let one = match one_pass(&mut place, &args.copying, control) {
            // It was told to stop, and the passes before hold.
            Err(WorkerError::Cancelled) if args.follow && passes > 0 => break,
            other => other?,
        };
        passes += 1;
        if args.follow {
            control.enter("following");
        }
        let lag = Lag::of(&one);
        // What is written right after a pass looked waits for the next one to begin, and for that to end.
        control.behind(lag.bytes, one.took.as_secs().saturating_add(1).saturating_add(args.interval_seconds));
        control.expect(one.items, one.bytes);
        control.start_from(one.items, one.bytes);
        control.note(format!(
            "pass {passes}: {} of {} items, {} bytes, in {:.1} s",
            lag.items, one.items, lag.bytes, lag.seconds
        ));
        all.add(one);
        if !args.follow || !wait(args.interval_seconds, &place, control)? {
            break;
        }
    }
    let record = place.record()?;
    Ok(Copied {
        mark: record.mark,
        position: record.passes,
        passes,
        items: all.items,
        bytes: all.bytes,
        copied: all.copied,
        written: all.written,
        removed: all.removed,
        unchanged: all.unchanged,
        changed_while_read: all.changed.clone(),
        changed_while_read_total: all.changed_total,
        vanished: all.vanished,
        incomplete: all.incomplete,
        left_out: all.left_out,
        lag: all.lag.map(|(items, bytes, took)| Lag { items, bytes, seconds: took.as_secs_f64() }).unwrap_or_default(),
        source_record: place.source_record(),
    })
}

impl Lag {
    fn of(tally: &Tally) -> Self {
        Self { items: tally.copied + tally.removed, bytes: tally.written, seconds: tally.took.as_secs_f64() }
    }
}

impl Tally {
    /// Adds a later pass: what there is counts as it is now, what was done adds up.
    fn add(&mut self, later: Self) {
        self.lag = Some((later.copied + later.removed, later.written, later.took));
        (self.items, self.bytes, self.unchanged, self.left_out) =
            (later.items, later.bytes, later.unchanged, later.left_out);
        self.incomplete = self.incomplete.max(later.incomplete);
        self.copied += later.copied;
        self.written += later.written;
        self.removed += later.removed;
        self.changed_total += later.changed_total;
        self.vanished += later.vanished;
        self.changed.extend(later.changed);
        self.changed.truncate(crate::evidence::items::MAX_NAMED);
    }
}

fn one_pass(place: &mut Place, copying: &Copying, control: &Control) -> Result<Tally> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let one = pass(place, copying.limits(), control)?;
    place.update(|record| {
        record.passes += 1;
        record.last_began = i64::try_from(began).unwrap_or(i64::MAX);
        record.inventory = (one.items, one.bytes);
    })?;
    Ok(one)
}

/// Waits for the next pass; false if it was told to stop.
fn wait(seconds: u64, place: &Place, control: &Control) -> Result<bool> {
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        if control.is_cancelled() {
            return Ok(false);
        }
        place.record()?;
        std::thread::sleep(Duration::from_millis(200).min(until.saturating_duration_since(Instant::now())));
    }
    Ok(!control.is_cancelled())
}

/// Compares without a freeze.
pub(super) fn compare_now(args: &CompareArgs, control: &Control) -> Result<Compared> {
    let place = Place::open(&args.sides, control)?;
    control.enter("comparing");
    compare(&place, args.threads.into(), control)
}

/// What finishing came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finish {
    #[serde(flatten)]
    mark: Mark,
    position: u64,
    strength: Strength,
    /// What the last pass had to copy.
    last: Lag,
    #[serde(flatten)]
    compared: Compared,
}

/// Under the freeze: the last pass, and both sides read and compared.
pub(super) fn finish(args: &Copying, control: &Control) -> Result<(Finish, Result<()>)> {
    let mut place = Place::open(&args.sides, control)?;
    args.may_write(&mut place)?;
    let (_, freeze) = still_frozen(&place)?;
    place.update(|record| record.finished = None)?;
    control.enter("finishing");
    let last = one_pass(&mut place, args, control)?;
    control.enter("comparing");
    let compared = compare(&place, args.threads.into(), control)?;
    // Proved again afterwards: what was compared is what stands.
    still_frozen(&place)?;
    super::gate::still_shut(&place)?;
    let outcome = judge(&place, &freeze, &compared);
    if outcome.is_ok() {
        let finished = Finished { at: Timestamp::now().to_string(), digest: compared.source_digest.clone() };
        place.update(|record| record.finished = Some(finished))?;
    }
    let record = place.record()?;
    let last = Lag::of(&last);
    Ok((Finish { mark: record.mark, position: record.passes, strength: freeze.strength, last, compared }, outcome))
}

fn judge(place: &Place, freeze: &Freeze, compared: &Compared) -> Result<()> {
    if freeze.sum.as_ref().is_some_and(|sum| *sum != compared.sum) {
        let named = match compared.changed.first() {
            Some(first) => first.clone(),
            None => "it is not what was read when it was declared".to_owned(),
        };
        return Err(written(place, &[named]));
    }
    if compared.changed_total > 0 {
        return Err(written(place, &compared.changed));
    }
    let Some(first) = compared.differences.first() else { return Ok(()) };
    Err(WorkerError::moving(
        "NotEqual",
        place.sides.target.display().to_string(),
        format!("{} items differ, first: {}: {}", compared.different, first.path, first.what.join(", ")),
        "the report names the first ones; find the cause and run `finish` again",
    ))
}
