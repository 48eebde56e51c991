//! While the target follows, both sides are read chunk by chunk and compared, so that little is left for the freeze.
//!
//! Each turn reads some chunks once the target has everything before the place of the slot of the marks, and once everything before
//! that place can be seen at the source; then what was written meanwhile. What was not written and is equal is known. The slot is moved
//! on when that is kept, so a process that is killed in between repeats a turn and forgets nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::changes::{Changes, Touched};
use super::digest::{self, Chunks, Part, Which};
use super::fence::Pair;
use super::known::{self, Cut, Known};
use super::marks::{Marks, shapes};
use super::sql::{SCHEMA, field, text};
use super::stream::{Stream, Table, tables};
use crate::control::Control;
use crate::database::Server;
use crate::error::{Result, WorkerError};

/// Between two readings of what was written, if nothing else is to be read.
const MARKS: Duration = Duration::from_secs(2);
/// Between two rounds: what is written all the time is not read all the time.
const ROUND: Duration = Duration::from_secs(5);
/// After a turn, so many times as long nothing is read: the source has other work.
const REST: u32 = 2;
/// Bytes of a turn, about.
const TURN: u64 = 32 << 20;
/// Chunks of a turn.
const MOST: u64 = 4096;
/// After so many changes of everything in it, a table is left to the freeze.
const OFTEN: u32 = 3;
/// Numbers of chunks of one table.
const NUMBERS: i64 = 1 << 19;
/// How long reading the chunks of a turn may take on either side, and how long it may wait for a lock.
const PATIENCE: &str = "SET statement_timeout = '20s'; SET lock_timeout = '2s'";
const PATIENT: &str = "SET statement_timeout = 0; SET lock_timeout = 0";

/// Rounds over all tables.
pub(super) struct Rounds<'a> {
    pair: &'a Pair,
    stream: &'a Stream,
    marks: Marks<'a>,
    budget: u64,
    control: &'a Control,
    cuts: BTreeMap<u64, Cut>,
    /// Chunks of a turn, for each table.
    steps: BTreeMap<u64, usize>,
    known: BTreeMap<u64, Chunks>,
    /// Chunks that this round reads, and those that the next one does.
    now: BTreeMap<u64, BTreeSet<i64>>,
    next: BTreeMap<u64, BTreeSet<i64>>,
    /// Tables that are cut anew in the next round, and how often that was so after a change of everything.
    recut: BTreeSet<u64>,
    emptied: BTreeMap<u64, u32>,
    /// Chunks that differed once: a commit may be seen before it is told.
    doubted: BTreeSet<(u64, i64)>,
    place: Place,
    is_complete: bool,
    /// Whether something of this round could not be read.
    is_put_off: bool,
    is_told: bool,
    due: Instant,
    marks_due: Instant,
    round_due: Instant,
}

/// Up to where what was written was told, and a transaction that began after every one that committed before that.
struct Place {
    lsn: String,
    transaction: String,
}

/// What a turn read.
struct Read {
    table: u64,
    chunks: BTreeSet<i64>,
    source: Chunks,
    target: Chunks,
}

impl<'a> Rounds<'a> {
    /// Goes on with what is kept, where the slot stands.
    pub(super) fn new(
        pair: &'a Pair,
        stream: &'a Stream,
        kept: Known,
        budget: u64,
        control: &'a Control,
    ) -> Result<Self> {
        let marks = Marks::of(stream, &pair.source.server);
        let (lsn, _) = marks.place()?.ok_or_else(|| gone(pair, stream))?;
        let now = Instant::now();
        let mut rounds = Self {
            pair,
            stream,
            marks,
            budget,
            control,
            cuts: BTreeMap::new(),
            steps: BTreeMap::new(),
            known: BTreeMap::new(),
            now: BTreeMap::new(),
            next: BTreeMap::new(),
            recut: BTreeSet::new(),
            emptied: BTreeMap::new(),
            doubted: BTreeSet::new(),
            place: Place { lsn, transaction: next_transaction(&pair.source.server)? },
            is_complete: kept.complete.is_some(),
            is_put_off: false,
            is_told: false,
            due: now,
            marks_due: now,
            round_due: now,
        };
        let tables = tables(&pair.source.server)?;
        for cut in kept.cuts {
            let chunks = known::sums(&pair.target.server, cut.part.oid)?;
            rounds.take(cut, chunks, &tables)?;
        }
        Ok(rounds)
    }

    /// Takes a table up: what is not known of it is read.
    fn take(&mut self, cut: Cut, known: Chunks, tables: &[Table]) -> Result<()> {
        let table = cut.part.oid;
        let mut all = numbers(&self.pair.source.server, &cut.part)?;
        let bytes = tables.iter().find(|other| other.oid == table).map_or(0, |other| other.bytes).max(1);
        let step = (all.len() as u64).saturating_mul(TURN) / bytes;
        self.steps.insert(table, usize::try_from(step.clamp(1, MOST)).unwrap_or(1));
        all.retain(|chunk| !known.contains_key(chunk));
        self.now.insert(table, all);
        self.next.remove(&table);
        self.known.insert(table, known);
        self.cuts.insert(table, cut);
        Ok(())
    }

    /// Chunks that are known.
    pub(super) fn known(&self) -> u64 {
        self.known.values().map(|chunks| chunks.len() as u64).sum()
    }

    /// Goes on for a moment, if it is time to.
    pub(super) fn turn(&mut self) -> Result<()> {
        if Instant::now() < self.due {
            return Ok(());
        }
        let begun = Instant::now();
        let (_, kept) = self.marks.place()?.ok_or_else(|| gone(self.pair, self.stream))?;
        if kept > self.budget / 4 {
            return Err(self.pair.source.server.failed(
                "SlotOverBudget",
                format!("{kept} bytes of its log are kept to know what is written"),
                "nothing is to be done: it is tried again",
            ));
        }
        self.round()?;
        if self.now.values().any(|chunks| !chunks.is_empty()) && self.may_read()? {
            if let Some(read) = self.read()? {
                self.keep(Some(&read))?;
            }
        } else if begun >= self.marks_due {
            self.keep(None)?;
        }
        self.due = Instant::now() + begun.elapsed() * REST;
        Ok(())
    }

    /// Begins a round, once what the last one was to read is read.
    fn round(&mut self) -> Result<()> {
        if self.now.values().any(|chunks| !chunks.is_empty()) || Instant::now() < self.round_due {
            return Ok(());
        }
        self.round_due = Instant::now() + ROUND;
        self.now = std::mem::take(&mut self.next);
        self.is_put_off = false;
        let (source, shapes) = (&self.pair.source.server, shapes(&self.pair.source.server, self.stream)?);
        let others = self.cuts.values().filter(|cut| shapes.get(&cut.part.oid).is_none_or(|now| now.told != cut.shape));
        self.recut.extend(others.map(|cut| cut.part.oid));
        let recut = std::mem::take(&mut self.recut);
        if recut.is_empty() {
            return Ok(());
        }
        let mut tables = tables(source)?;
        // What is emptied again and again is not worth it.
        let often = |table: u64| self.emptied.get(&table).is_some_and(|times| *times > OFTEN);
        tables.retain(|table| recut.contains(&table.oid) && !often(table.oid));
        let cuts = known::cuts(source, self.stream, &tables)?;
        let list: Vec<String> = recut.iter().map(ToString::to_string).collect();
        let forget = format!("DELETE FROM {SCHEMA}.chunk WHERE part IN ({})", list.join(", "));
        // What a table is now is kept before anything of it is read.
        self.pair.target.change(&forget, |record| {
            if let Some(known) = &mut record.known {
                known.cuts.retain(|cut| !recut.contains(&cut.part.oid));
                known.cuts.extend(cuts.iter().cloned());
            }
        })?;
        for table in recut {
            self.cuts.remove(&table);
            self.known.remove(&table);
            self.now.remove(&table);
        }
        for cut in cuts {
            self.take(cut, Chunks::new(), &tables)?;
        }
        Ok(())
    }

    /// Whether the target has everything before the place, and the source shows it to everybody: a commit is in the log before it is
    /// seen.
    fn may_read(&self) -> Result<bool> {
        let source = &self.pair.source.server;
        let may = source.one(&format!(
            "SELECT confirmed_flush_lsn >= {} AND pg_snapshot_xmin(pg_current_snapshot()) >= {}::xid8 \
             FROM pg_replication_slots WHERE slot_name = {}",
            text(&self.place.lsn),
            text(&self.place.transaction),
            text(&self.stream.name)
        ))?;
        Ok(may == "t")
    }

    /// Reads some chunks; none if somebody holds the table, or it takes too long.
    fn read(&mut self) -> Result<Option<Read>> {
        let Some((table, all)) = self.now.iter().find(|(_, all)| !all.is_empty()) else { return Ok(None) };
        let Some(Cut { part, .. }) = self.cuts.get(table) else { return Ok(None) };
        let step = self.steps.get(table).copied().unwrap_or(1);
        let chunks: BTreeSet<i64> = all.iter().take(step).copied().collect();
        let servers = [&self.pair.source.server, &self.pair.target.server];
        let every = |said: &str| servers.iter().try_for_each(|server| server.rows(said).map(drop));
        every(PATIENCE)?;
        // A turn is short: one that was begun is not broken off.
        let read = digest::both(self.pair, part, Which::These(&chunks), &Control::new());
        every(PATIENT)?;
        let table = *table;
        let Some(all) = self.now.get_mut(&table) else { return Ok(None) };
        if let Ok((source, target)) = read {
            all.retain(|chunk| !chunks.contains(chunk));
            return Ok(Some(Read { table, chunks, source, target }));
        }
        // Later, and less of it.
        self.steps.insert(table, (step / 2).max(1));
        self.is_put_off = true;
        let later = std::mem::take(all);
        self.next.entry(table).or_default().extend(later);
        Ok(None)
    }

    /// Keeps what is known after what was written is told, and moves the slot on.
    fn keep(&mut self, read: Option<&Read>) -> Result<()> {
        let source = &self.pair.source.server;
        let upto = source.one("SELECT pg_current_wal_flush_lsn()")?;
        let parts = self.cuts.values().map(|cut| &cut.part);
        let changes = self.marks.told(&upto, parts, &Control::new())?;
        let changes = changes.ok_or_else(|| gone(self.pair, self.stream))?;
        let mut statements = self.forget(&changes);
        if let Some(read) = read {
            statements.extend(self.learn(read, &changes));
        }
        let is_complete = !self.is_put_off && self.now.values().all(BTreeSet::is_empty);
        let completes = is_complete && !self.is_complete;
        self.is_complete |= is_complete;
        if !statements.is_empty() || completes {
            self.pair.target.change(&statements.join("; "), |record| {
                if let (Some(known), true) = (&mut record.known, completes) {
                    known.complete = Some(Timestamp::now().to_string());
                }
            })?;
        }
        if is_complete && !std::mem::replace(&mut self.is_told, true) {
            let chunks = self.known();
            self.control.note(format!("everything was compared once, and {chunks} chunks are equal on both sides"));
        }
        self.marks.advance(&upto)?;
        self.place = Place { lsn: upto, transaction: next_transaction(source)? };
        self.marks_due = Instant::now() + MARKS;
        Ok(())
    }

    /// What was written is not known any more.
    fn forget(&mut self, changes: &Changes) -> Vec<String> {
        let mut statements = Vec::new();
        for (table, touched) in changes {
            let Some(known) = self.known.get_mut(table) else { continue };
            match touched {
                Touched::Whole => {
                    known.clear();
                    self.recut.insert(*table);
                    *self.emptied.entry(*table).or_default() += 1;
                    statements.push(format!("DELETE FROM {SCHEMA}.chunk WHERE part = {table}"));
                }
                Touched::Chunks(written) => {
                    let of_now = self.now.entry(*table).or_default();
                    let later = written.iter().filter(|chunk| !of_now.contains(*chunk));
                    self.next.entry(*table).or_default().extend(later);
                    let forgotten: Vec<String> = written
                        .iter()
                        .filter(|chunk| known.remove(*chunk).is_some())
                        .map(ToString::to_string)
                        .collect();
                    if !forgotten.is_empty() {
                        statements.push(format!(
                            "DELETE FROM {SCHEMA}.chunk WHERE part = {table} AND chunk = ANY ('{{{}}}'::bigint[])",
                            forgotten.join(",")
                        ));
                    }
                }
            }
        }
        statements
    }

    /// What was read and not written meanwhile is known, if it is equal.
    fn learn(&mut self, read: &Read, changes: &Changes) -> Option<String> {
        let written = match changes.get(&read.table) {
            Some(Touched::Whole) => return None,
            Some(Touched::Chunks(written)) => Some(written),
            None => None,
        };
        let known = self.known.get_mut(&read.table)?;
        let (mut values, mut differ) = (String::new(), 0);
        for chunk in read.chunks.iter().filter(|chunk| written.is_none_or(|written| !written.contains(*chunk))) {
            match (read.source.get(chunk), read.target.get(chunk)) {
                (Some(sum), Some(other)) if sum == other => {
                    let comma = if values.is_empty() { "" } else { ", " };
                    // Writing to a String does not fail.
                    let _ = write!(values, "{comma}({}, {chunk}, {}, {})", read.table, sum.rows, text(&sum.digest));
                    known.insert(*chunk, sum.clone());
                    self.doubted.remove(&(read.table, *chunk));
                }
                (None, None) => {}
                _ => {
                    differ += u32::from(!self.doubted.insert((read.table, *chunk)));
                    self.next.entry(read.table).or_default().insert(*chunk);
                }
            }
        }
        if differ > 0 {
            let table = self.cuts.get(&read.table).map_or_else(String::new, |cut| cut.part.table.clone());
            self.control
                .note(format!("{table}: {differ} chunks differ although nothing was written of them; run `compare`"));
        }
        (!values.is_empty()).then(|| {
            format!(
                "INSERT INTO {SCHEMA}.chunk (part, chunk, rows, digest) VALUES {values} \
                 ON CONFLICT (part, chunk) DO UPDATE SET rows = EXCLUDED.rows, digest = EXCLUDED.digest"
            )
        })
    }
}

fn gone(pair: &Pair, stream: &Stream) -> WorkerError {
    pair.source.server.failed(
        "SlotGone",
        format!("the slot {} does not say any more what was written", stream.marks()),
        "nothing is to be done: another one is made",
    )
}

/// The number of a transaction that begins now. Those that have committed but cannot be seen yet have lower ones.
fn next_transaction(source: &Server) -> Result<String> {
    source.one("SELECT pg_current_xact_id()")
}

/// The numbers of a table's chunks, as far as there are rows now; none if they are too many.
fn numbers(source: &Server, part: &Part) -> Result<BTreeSet<i64>> {
    let Some(key) = &part.key else { return Ok(BTreeSet::from([0])) };
    let ends = source.rows(&format!("SELECT min({0}), max({0}) FROM ONLY {1}", key.column, part.table))?;
    let end = |at: usize| ends.first().and_then(|row| field(row, at).parse::<i64>().ok()).map(|end| end >> key.bits);
    match (end(0), end(1)) {
        (Some(first), Some(last)) if last.saturating_sub(first) < NUMBERS => Ok((first..=last).collect()),
        _ => Ok(BTreeSet::new()),
    }
}
