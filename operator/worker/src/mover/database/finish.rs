//! Under the freeze: what replication does not carry, and whether both sides are equal. And the same comparison while the source is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::runtime::Handle;

use super::copy::{same_schema, whole};
use super::digest::{self, Chunks, Compared, Part, Which};
use super::fence::{Pair, Sides};
use super::freeze::still_frozen;
use super::load::Load;
use super::record::{Finished, Mode, TargetRecord};
use super::sql::{OF_PEOPLE, field, number, text};
use super::stream::{Stream, tables};
use super::{gate, known};
use crate::control::Control;
use crate::database::archive;
use crate::error::{Result, WorkerError};
use crate::mover::{Mark, State, Strength};

/// How often a chunk is read again that is written while it is compared.
const ATTEMPTS: usize = 5;
/// Sequences of one question.
const SEQUENCES: usize = 200;

/// How to finish.
#[derive(Clone, Debug, Args)]
pub struct FinishArgs {
    /// The sides.
    #[command(flatten)]
    pub sides: Sides,
    /// Seconds in which the target must catch up.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub patience_seconds: u64,
    /// Read everything, also what was found equal before and was not written since.
    #[arg(long)]
    pub whole: bool,
}

/// What finishing came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finish {
    #[serde(flatten)]
    mark: Mark,
    mode: Mode,
    strength: Strength,
    position: String,
    sequences: u64,
    materialised_views: u64,
    database_bytes: u64,
    /// What was read here, of all chunks: the others were found equal before and were not written since.
    dirty_share: f64,
    /// Milliseconds of each step.
    took: Vec<(&'static str, u64)>,
    evidence: Vec<String>,
    #[serde(flatten)]
    compared: Compared,
}

/// Finishes.
pub(super) fn finish(args: &FinishArgs, runtime: &Handle, control: &Control) -> Result<(Finish, Result<()>)> {
    let pair = Pair::open(&args.sides, runtime, control)?;
    let record = pair.target.record()?;
    if record.mark.state == State::Open || record.was_open {
        return Err(WorkerError::moving(
            "TargetWritten",
            pair.target.shown(),
            "applications have or had it",
            "`thaw`, `copy --discard-writes` and `freeze` again",
        ));
    }
    control.enter("finishing");
    let (position, mut evidence) = still_frozen(&pair)?;
    pair.target.change("", |record| record.finished = None)?;
    same_schema(&pair, &record, control)?;
    let (mut took, mut begun) = (Vec::new(), Instant::now());
    let mut lap = |what| {
        took.push((what, u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)));
        begun = Instant::now();
    };
    let stream = Stream::of(&pair);
    let patience = Duration::from_secs(args.patience_seconds);
    let mut carried = 0;
    if record.mode == Mode::Replication {
        stream.settle(&pair, &position, patience, control)?;
        lap("delta");
        carried = sequences(&pair)?;
        lap("sequences");
    } else {
        let tables = tables(&pair.source.server)?;
        control.expect(tables.iter().map(|table| table.rows).sum(), tables.iter().map(|table| table.bytes).sum());
        whole(&pair, &tables, control)?;
        lap("dump");
    }
    let refreshed = refresh(&pair, control)?;
    lap("materialisedViews");
    control.enter("comparing");
    let clean = if args.whole { BTreeMap::new() } else { known::clean(&pair, &stream, &record, control)? };
    lap("marks");
    let compared = compare_all(&pair, &record, clean, None, control)?;
    lap("digests");
    // After everything was read: still closed, and nothing written that was not read.
    still_frozen(&pair)?;
    if record.mode == Mode::Replication {
        evidence.push(stream.settle(&pair, &position, patience, control)?);
    }
    evidence.extend(gate::prove(&pair.target.server, &gate::ours(&pair.target.server, &[])?, true)?);
    lap("proof");
    let outcome = judge(&pair, &compared);
    let record = pair.target.change("", |record| {
        record.finished = outcome.is_ok().then(|| Finished {
            at: Timestamp::now().to_string(),
            lsn: position.clone(),
            digest: compared.source_digest.clone(),
        });
    })?;
    let dirty_share = share(compared.read, compared.chunks);
    let report = Finish {
        mark: record.mark,
        mode: record.mode,
        strength: Strength::Proven,
        position,
        sequences: carried,
        materialised_views: refreshed,
        database_bytes: number(&pair.source.server.one("SELECT pg_database_size(current_database())")?),
        dirty_share,
        took,
        evidence,
        compared,
    };
    Ok((report, outcome))
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(some: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { some as f64 / all as f64 }
}

fn judge(pair: &Pair, compared: &Compared) -> Result<()> {
    let Some(first) = compared.differences.first() else { return Ok(()) };
    Err(WorkerError::moving(
        "NotEqual",
        pair.target.shown(),
        format!("{} tables differ, first: {first}", compared.differences.len()),
        "the report names the first ones; `thaw`, find the cause, and copy anew",
    ))
}

/// Gives the target's sequences the places of the source's.
fn sequences(pair: &Pair) -> Result<u64> {
    let source = &pair.source.server;
    let names = source.rows(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {OF_PEOPLE} ORDER BY 1"
    ))?;
    let names: Vec<String> = names.into_iter().flatten().collect();
    for some in names.chunks(SEQUENCES) {
        let asked: Vec<String> = some
            .iter()
            .map(|name| format!("SELECT {} AS name, last_value, is_called FROM {name}", text(name)))
            .collect();
        let places = source.rows(&asked.join(" UNION ALL "))?;
        let told: Vec<String> = places
            .iter()
            .map(|row| {
                format!(
                    "setval({}, {}, {})",
                    text(field(row, 0)),
                    field(row, 1),
                    if field(row, 2) == "t" { "true" } else { "false" }
                )
            })
            .collect();
        pair.target.change(&format!("SELECT {}", told.join(", ")), |_| {})?;
    }
    Ok(names.len() as u64)
}

/// Fills the materialised views of the target that are filled at the source, in the order in which they were made: none is made before
/// what it reads.
fn refresh(pair: &Pair, control: &Control) -> Result<u64> {
    let views = |condition: &str| {
        format!(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'm' AND {OF_PEOPLE} {condition} ORDER BY c.oid"
        )
    };
    let filled: BTreeSet<String> =
        pair.source.server.rows(&views("AND c.relispopulated"))?.into_iter().flatten().collect();
    let there = pair.target.server.rows(&views(""))?;
    let mut refreshed = 0;
    for view in there.into_iter().flatten().filter(|view| filled.contains(view)) {
        pair.target.server.rows_for(&format!("REFRESH MATERIALIZED VIEW {view}"), control)?;
        refreshed += 1;
    }
    Ok(refreshed)
}

/// What comparing came to while the source is in use.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comparison {
    #[serde(flatten)]
    mark: Mark,
    /// Tables that were written all the time: of some of their chunks nothing can be said.
    changing: Vec<String>,
    #[serde(flatten)]
    compared: Compared,
}

/// Compares everything, with a freeze or without.
pub(super) fn compare(sides: &Sides, runtime: &Handle, control: &Control) -> Result<Comparison> {
    let pair = Pair::open(sides, runtime, control)?;
    control.enter("comparing");
    let record = pair.target.record()?;
    let mut changing = Vec::new();
    // Once the source is closed nothing changes there, and nothing is to be waited for.
    let in_use = record.mark.state == State::Following;
    let compared = compare_all(&pair, &record, BTreeMap::new(), in_use.then_some(&mut changing), control)?;
    if !compared.equal && record.known.is_some() {
        // Somebody wrote at the target: what was found equal before says nothing.
        pair.target.change("", |record| record.known = None)?;
    }
    Ok(Comparison { mark: record.mark, changing, compared })
}

/// Compares all rows but the clean ones, of which the sums are known. With `changing`, the source is in use, and chunks are read again
/// once the target has what was read.
fn compare_all(
    pair: &Pair,
    record: &TargetRecord,
    mut clean: BTreeMap<u64, (Part, Chunks)>,
    mut changing: Option<&mut Vec<String>>,
    control: &Control,
) -> Result<Compared> {
    if record.mode == Mode::Dump {
        return dumped(pair, control);
    }
    let (source, stream) = (&pair.source.server, Stream::of(pair));
    let mut compared = Compared::default();
    for part in digest::parts(source, &tables(source)?)? {
        control.check()?;
        let (part, clean) = clean.remove(&part.oid).unwrap_or_else(|| {
            let as_before = record.known.as_ref().and_then(|known| known.part(&part)).cloned();
            (as_before.unwrap_or(part), Chunks::new())
        });
        let (mut left, mut right) = digest::both(pair, &part, Which::AllBut(&clean), control)?;
        if let Some(changing) = &mut changing {
            (left, right) = settle(pair, &stream, &part, left, right, changing, control)?;
        }
        let read = left.len().max(right.len()) as u64;
        left.extend(clean.clone());
        right.extend(clean);
        compared.add(&part, &left, &right, read);
        control.count_item();
    }
    Ok(compared.close())
}

/// Reads what differs again, at a place in the log that the target has reached.
fn settle(
    pair: &Pair,
    stream: &Stream,
    part: &Part,
    mut left: Chunks,
    mut right: Chunks,
    changing: &mut Vec<String>,
    control: &Control,
) -> Result<(Chunks, Chunks)> {
    let source = &pair.source.server;
    for _ in 0..ATTEMPTS {
        let open = digest::different(&left, &right);
        if open.is_empty() {
            return Ok((left, right));
        }
        let before = digest::read(source, part, Which::These(&open), control)?;
        let lsn = source.one("SELECT pg_current_wal_flush_lsn()")?;
        if stream.slot(source)?.is_some() {
            stream.reach(source, &lsn, Duration::from_secs(30), control)?;
        }
        let there = digest::read(&pair.target.server, part, Which::These(&open), control)?;
        let after = digest::read(source, part, Which::These(&open), control)?;
        for chunk in open {
            for (side, read) in [(&mut left, &before), (&mut right, &there)] {
                match read.get(&chunk) {
                    Some(sum) => side.insert(chunk, sum.clone()),
                    None => side.remove(&chunk),
                };
            }
            // What was written meanwhile says nothing; it is read again.
            if before.get(&chunk) == after.get(&chunk) && before.get(&chunk) != there.get(&chunk) {
                return Ok((left, right));
            }
        }
    }
    let open = digest::different(&left, &right);
    if !open.is_empty() {
        changing.push(format!("{}: {} chunks", part.table, open.len()));
        for chunk in open {
            left.remove(&chunk);
            right.remove(&chunk);
        }
    }
    Ok((left, right))
}

/// Compares by what PostgreSQL's own programs say of both sides; large objects and sequences are in that.
fn dumped(pair: &Pair, control: &Control) -> Result<Compared> {
    let load = Load::new(&pair.source.server, &pair.sides.databases, control)?;
    let (left, right) = std::thread::scope(|scope| {
        let source = scope.spawn(|| load.digests(&pair.source.server));
        let target = load.digests(&pair.target.server);
        let source = source.join().map_err(|_| WorkerError::engine("reading the source", "it panicked"))?;
        Ok::<_, WorkerError>((source?, target?))
    })?;
    let mut compared = Compared::default();
    let sum = |rows: &archive::Rows| Chunks::from([(0, digest::Sum { rows: rows.count, digest: rows.digest() })]);
    for (table, rows) in &left {
        let part = Part { oid: 0, table: table.clone(), key: None };
        compared.add(&part, &sum(rows), &right.get(table).map(sum).unwrap_or_default(), 1);
    }
    for table in right.keys().filter(|table| !left.contains_key(*table)) {
        compared.differences.push(format!("{table}: it is at the target only"));
    }
    Ok(compared.close())
}
