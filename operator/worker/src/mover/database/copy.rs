//! Copies all rows and keeps in step, and watches over what that costs the source.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::runtime::Handle;

use super::fence::{Pair, Sides};
use super::keeper::Keeper;
use super::load::Load;
use super::prepare::{WayArgs, changed_schema};
use super::record::{Mode, TargetRecord};
use super::sql::{field, number};
use super::stream::{Slot, Stream, Table, Way, tables};
use super::{fingerprint, watch};
use crate::control::Control;
use crate::error::{Result, WorkerError};
use crate::mover::{Mark, State};

/// Between two looks at both sides.
const TICK: Duration = Duration::from_millis(250);
/// Between two readings of the source's schema.
const SCHEMA: Duration = Duration::from_secs(2);
/// Between two notes of how far a first copy came.
const KEEP: Duration = Duration::from_secs(2);
/// Failures of the target's apply worker that a run bears.
const FAILURES: u64 = 5;

/// How to copy, and for how long.
#[derive(Clone, Debug, Args)]
pub struct CopyArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// The way between them.
    #[command(flatten)]
    pub way: WayArgs,
    /// Keep in step until SIGTERM.
    #[arg(long)]
    pub follow: bool,
    /// MiB of its log that the source may keep for the copy; at half of it, the copy ends itself. The server's
    /// max_slot_wal_keep_size unless given.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub wal_budget_mib: Option<u64>,
    /// Applications had the target: what they wrote there is lost, and somebody says that it may be.
    #[arg(long)]
    pub discard_writes: bool,
}

/// How far the target is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lag {
    pub(super) bytes: u64,
    pub(super) seconds: u64,
}

/// What a copy came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Copied {
    #[serde(flatten)]
    mark: Mark,
    mode: Mode,
    /// Whether this process began anew.
    restarted: bool,
    tables: u64,
    /// As many rows as the planner believes, and what was copied of them.
    rows: u64,
    total_rows: u64,
    bytes: u64,
    total_bytes: u64,
    /// Place in the source's log that the target has confirmed.
    position: String,
    lag: Lag,
    /// Bytes of its log that the source keeps, and as many as it may.
    kept: u64,
    budget: u64,
    /// Chunks that are equal on both sides and were not written since: under the freeze they are not read.
    known_chunks: u64,
}

/// Copies, once or until SIGTERM.
pub(super) fn copy(args: &CopyArgs, runtime: &Handle, control: &Control) -> Result<Copied> {
    let way = args.way.way(&args.sides)?;
    let pair = Pair::open(&args.sides, runtime, control)?;
    let record = pair.target.record()?;
    may_write(&pair, &record, args.discard_writes)?;
    same_schema(&pair, &record, control)?;
    control.enter("copying");
    control.start_from(record.copied.0, record.copied.1);
    let tables = tables(&pair.source.server)?;
    if record.mode == Mode::Dump {
        return dump(&pair, args, &tables, control);
    }
    let budget = watch::budget(&pair.source.server, args.wal_budget_mib)?;
    let stream = Stream::of(&pair);
    let restarted = begin(&pair, &stream, &way, &tables, &record, control)?;
    let mut following = Following {
        pair: &pair,
        stream: &stream,
        tables: tables.iter().map(|table| (table.name.as_str(), table)).collect(),
        samples: VecDeque::new(),
        failures: None,
        shown: record.copied,
        kept_at: None,
        keeper: Keeper::new(&pair, &stream, budget, control),
        budget,
        control,
    };
    following.run(args.follow, restarted)
}

/// Refuses while the source is closed, and to overwrite what applications wrote.
fn may_write(pair: &Pair, record: &TargetRecord, discard: bool) -> Result<()> {
    if record.mark.state != State::Following || pair.source.record()?.mark.state != State::Following {
        return Err(WorkerError::moving(
            "NotFollowing",
            pair.source.shown(),
            "it is frozen, or the target is open",
            "run `finish` to go on, or `thaw` to go back",
        ));
    }
    if record.was_open && !discard {
        return Err(WorkerError::moving(
            "TargetWritten",
            pair.target.shown(),
            "applications had it: what they wrote there would be overwritten by what the source has",
            "give --discard-writes if that may be lost",
        ));
    }
    Ok(())
}

/// Refuses a source whose schema is not the one that was loaded.
pub(super) fn same_schema(pair: &Pair, record: &TargetRecord, control: &Control) -> Result<()> {
    let changed = fingerprint::differences(&record.schema, &fingerprint::read(&pair.source.server, control)?);
    if changed.is_empty() { Ok(()) } else { Err(changed_schema(pair, &changed)) }
}

/// Sees to it that the target follows; whether everything is copied anew.
fn begin(
    pair: &Pair,
    stream: &Stream,
    way: &Way,
    tables: &[Table],
    record: &TargetRecord,
    control: &Control,
) -> Result<bool> {
    let (source, target) = (&pair.source.server, &pair.target.server);
    let slot = stream.slot(source)?;
    let subscribed = stream.subscription(target)?.is_some_and(|(slot, _)| slot == stream.name);
    let untouched = stream.states(target)?.iter().all(|(_, state)| *state == 'i');
    let goes_on = subscribed && !record.was_open && slot.as_ref().map_or(untouched, |slot| !slot.lost);
    if !goes_on {
        control.note("the target cannot go on where it was: everything is copied anew");
        stream.restart(pair, way, tables, control)?;
    }
    if stream.slot(source)?.is_none() {
        control.enter("waitingForTransactions");
        stream.make_slot(source, control)?;
        control.enter("copying");
    }
    stream.enable(target, true)?;
    // A subscription that is disabled cannot be told of tables that came or went; it is told now.
    let followed: BTreeSet<String> = stream.states(target)?.into_iter().map(|(name, _)| name).collect();
    if followed != tables.iter().map(|table| table.name.clone()).collect() {
        stream.refresh(target)?;
    }
    Ok(!goes_on)
}

/// In dump mode, copying is a rehearsal: everything is copied once, and again under the freeze.
fn dump(pair: &Pair, args: &CopyArgs, tables: &[Table], control: &Control) -> Result<Copied> {
    let (rows, bytes) = sums(tables);
    control.expect(rows, bytes);
    let moved = whole(pair, tables, control)?;
    let record = pair.target.change("", |record| {
        (record.copied, record.was_open) = ((rows, moved), false);
        record.complete = Some(Timestamp::now().to_string());
    })?;
    if args.follow {
        control.note("a dump does not follow: everything is copied again under the freeze");
    }
    Ok(Copied {
        mark: record.mark,
        mode: Mode::Dump,
        restarted: true,
        tables: tables.len() as u64,
        rows,
        total_rows: rows,
        bytes: moved,
        total_bytes: moved,
        position: String::new(),
        lag: Lag::default(),
        kept: 0,
        budget: 0,
        known_chunks: 0,
    })
}

/// Everything by a dump, in place of what is there.
pub(super) fn whole(pair: &Pair, tables: &[Table], control: &Control) -> Result<u64> {
    let (source, target) = (&pair.source.server, &pair.target.server);
    let record = pair.target.record()?;
    let mut statements = vec!["SELECT lo_unlink(oid) FROM pg_largeobject_metadata".to_owned()];
    if !tables.is_empty() {
        let list: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        statements.push(format!("TRUNCATE {} CASCADE", list.join(", ")));
    }
    pair.target.change(&statements.join("; "), |record| (record.complete, record.finished) = (None, None))?;
    Load::new(source, &pair.sides.databases, control)?.rows(source, target, record.owner.as_deref())
}

fn sums(tables: &[Table]) -> (u64, u64) {
    (tables.iter().map(|table| table.rows).sum(), tables.iter().map(|table| table.bytes).sum())
}

struct Following<'a> {
    pair: &'a Pair,
    stream: &'a Stream,
    tables: BTreeMap<&'a str, &'a Table>,
    /// When the source's log was where.
    samples: VecDeque<(Instant, String)>,
    /// Failures of the apply worker before this run.
    failures: Option<u64>,
    /// What was shown and kept last.
    shown: (u64, u64),
    kept_at: Option<Instant>,
    keeper: Keeper<'a>,
    budget: u64,
    control: &'a Control,
}

impl Following<'_> {
    fn run(&mut self, follow: bool, restarted: bool) -> Result<Copied> {
        let target = &self.pair.target.server;
        let (total_rows, total_bytes) =
            (self.tables.values().map(|table| table.rows).sum(), self.tables.values().map(|table| table.bytes).sum());
        self.control.expect(total_rows, total_bytes);
        let mut schema_read = Instant::now();
        // Where the source was when the last table was ready: one who does not follow goes so far.
        let mut goal: Option<String> = None;
        loop {
            let states = self.stream.states(target)?;
            let ready = states.iter().all(|(_, state)| *state == 'r');
            let slot = self.stream.slot(&self.pair.source.server)?.filter(|slot| !slot.lost);
            let Some(slot) = slot else { return Err(self.stream.gone(&self.pair.source.server)) };
            let lag = self.lag(&slot);
            self.show(&states, if ready { Some(lag) } else { None })?;
            watch::within(self.pair, self.stream, &slot, self.budget, self.control)?;
            if schema_read.elapsed() >= SCHEMA {
                fingerprint_holds(self.pair, &self.pair.target.record()?)?;
                schema_read = Instant::now();
            }
            self.applies()?;
            if ready && goal.is_none() {
                self.ready(&slot)?;
                goal = Some(slot.now.clone());
            }
            let in_step = match &goal {
                Some(goal) => {
                    self.pair.source.server.one(&format!("SELECT '{}'::pg_lsn >= '{goal}'", slot.confirmed))? == "t"
                }
                None => false,
            };
            if (in_step && !follow) || (self.control.is_cancelled() && follow && goal.is_some()) {
                // The schema that the rows were copied by is the one that is there now.
                let record = self.pair.target.record()?;
                fingerprint_holds(self.pair, &record)?;
                return Ok(Copied {
                    mark: record.mark,
                    mode: Mode::Replication,
                    restarted,
                    tables: self.tables.len() as u64,
                    rows: self.shown.0,
                    total_rows: total_rows.max(self.shown.0),
                    bytes: self.shown.1,
                    total_bytes: total_bytes.max(self.shown.1),
                    position: slot.confirmed,
                    lag,
                    kept: slot.kept,
                    budget: self.budget,
                    known_chunks: self.keeper.known(),
                });
            }
            if goal.is_some() && follow {
                self.keeper.go_on()?;
            }
            if goal.is_none() || !follow {
                self.control.check()?;
            }
            self.control.enter(if goal.is_some() { "following" } else { "copying" });
            std::thread::sleep(TICK);
        }
    }

    /// The lag in bytes, and since when the source has what the target lacks.
    fn lag(&mut self, slot: &Slot) -> Lag {
        self.samples.push_back((Instant::now(), slot.now.clone()));
        while self.samples.len() > 1 && self.samples.get(1).is_some_and(|(_, lsn)| !is_after(lsn, &slot.confirmed)) {
            self.samples.pop_front();
        }
        let behind = self.samples.front().filter(|_| slot.lag > 0).map_or(Duration::ZERO, |(at, _)| at.elapsed());
        // A log that is not bounded in time must not fill the memory.
        self.samples.truncate(100_000);
        Lag { bytes: slot.lag, seconds: behind.as_secs() }
    }

    fn show(&mut self, states: &[(String, char)], lag: Option<Lag>) -> Result<()> {
        let mut done = (0, 0);
        for (name, _) in states.iter().filter(|(_, state)| matches!(state, 'f' | 's' | 'r')) {
            if let Some(table) = self.tables.get(name.as_str()) {
                done = (done.0 + table.rows, done.1 + table.bytes);
            }
        }
        if self.pair.target.server.major >= 14 && lag.is_none() {
            let rows = self.pair.target.server.rows(
                "SELECT format('%I.%I', n.nspname, c.relname), p.tuples_processed, p.bytes_processed FROM pg_stat_progress_copy p \
                 JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE p.datname = current_database() AND p.command = 'COPY FROM'",
            )?;
            for row in rows {
                let size = self.tables.get(field(&row, 0)).map_or(0, |table| table.bytes);
                // What is sent of a row may take more room than the row itself.
                done = (done.0 + number(field(&row, 1)), done.1 + number(field(&row, 2)).min(size));
            }
        }
        self.control.start_from(done.0, done.1);
        if let Some(lag) = lag {
            self.control.behind(lag.bytes, lag.seconds);
        }
        let shown = (self.shown.0.max(done.0), self.shown.1.max(done.1));
        let is_due = self.kept_at.is_none_or(|at| at.elapsed() >= KEEP) || lag.is_some();
        if shown != self.shown && is_due {
            // Kept, so that the next process does not show less.
            (self.shown, self.kept_at) = (shown, Some(Instant::now()));
            self.pair.target.change("", |record| record.copied = shown)?;
        }
        Ok(())
    }

    /// Every table was copied once.
    fn ready(&self, slot: &Slot) -> Result<()> {
        if self.pair.target.record()?.complete.is_some() {
            return Ok(());
        }
        self.control.note(format!("all tables are copied; the target follows from {}", slot.confirmed));
        self.control.enter("analysing");
        // Without it, the first queries of applications would be planned blindly.
        self.pair.target.server.rows_for("ANALYZE", self.control)?;
        self.pair.target.change("", |record| record.complete = Some(Timestamp::now().to_string()))?;
        Ok(())
    }

    /// Refuses a target that fails to apply what the source sends, again and again.
    fn applies(&mut self) -> Result<()> {
        if self.pair.target.server.major < 15 {
            return Ok(());
        }
        let failures = number(&self.pair.target.server.one(&format!(
            "SELECT coalesce(sum(apply_error_count + sync_error_count), 0)::bigint FROM pg_stat_subscription_stats WHERE subname = '{}'",
            self.stream.name
        ))?);
        let before = *self.failures.get_or_insert(failures);
        if failures < before + FAILURES {
            return Ok(());
        }
        // Most often the schema is why.
        same_schema(self.pair, &self.pair.target.record()?, self.control)?;
        Err(WorkerError::moving(
            "ApplyFails",
            self.pair.target.shown(),
            format!("it failed {} times to apply what the source sends", failures - before),
            "look at the log of the target's server, mend the cause and run `copy` again",
        ))
    }
}

fn fingerprint_holds(pair: &Pair, record: &TargetRecord) -> Result<()> {
    // Asked to stop or not, this is answered: what is reported must be so.
    same_schema(pair, record, &Control::new())
}

/// Whether a place in the log is after another one.
fn is_after(lsn: &str, other: &str) -> bool {
    let of = |lsn: &str| {
        let (high, low) = lsn.split_once('/').unwrap_or(("0", lsn));
        (u64::from_str_radix(high, 16).unwrap_or_default(), u64::from_str_radix(low, 16).unwrap_or_default())
    };
    of(lsn) > of(other)
}

#[cfg(test)]
mod tests {
    use super::is_after;

    #[test]
    fn places_in_the_log_are_numbers_and_no_texts() {
        assert!(is_after("0/10000000", "0/FFFFFFF") && is_after("10/0", "F/FFFFFFFF"));
        assert!(!is_after("0/1A", "0/1A") && !is_after("0/9", "0/1A"));
    }
}
