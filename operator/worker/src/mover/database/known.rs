//! Chunks that were found equal on both sides while the source was in use and were not written since: the freeze reads the others.
//!
//! The rule, at every moment: of a chunk that is known, what both sides hold was read; nothing of it was written before the place of
//! the [slot of the marks](super::marks) that was not read too; and whatever was written of it after that place, the slot tells. So
//! under the freeze a chunk that is known and of which the slot tells nothing is the same on both sides, unless somebody wrote at the
//! target, which is closed: that is what `compare` is for, which reads everything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::changes::Touched;
use super::digest::{Chunks, Part, Sum};
use super::fence::Pair;
use super::marks::{Marks, shapes};
use super::record::TargetRecord;
use super::sql::{SCHEMA, field, number};
use super::stream::{Stream, Table, tables};
use crate::control::Control;
use crate::database::Server;
use crate::error::{Result, WorkerError};

/// The most bytes of a table that is one chunk.
const WHOLE: u64 = 16 << 20;

/// Bytes of the log that are read in any case to know what was written; of more, no more than the database has.
const WORTH: u64 = 256 << 20;

/// Of what chunks are known; their sums are in a table beside the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Known {
    pub(super) cuts: Vec<Cut>,
    /// When every chunk had been read once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) complete: Option<String>,
}

/// How a table is cut, and what it was before any chunk of it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cut {
    #[serde(flatten)]
    pub(super) part: Part,
    pub(super) shape: String,
}

impl Known {
    /// A table as it was cut, if it is another way now.
    pub(super) fn part(&self, part: &Part) -> Option<&Part> {
        let column = |part: &Part| part.key.as_ref().map(|key| key.column.clone());
        let same = |other: &&Part| other.oid == part.oid && other.table == part.table && column(other) == column(part);
        self.cuts.iter().map(|cut| &cut.part).find(same)
    }
}

/// Cuts of those tables of which the slot tells what was written: by their key, or as a whole.
pub(super) fn cuts(source: &Server, stream: &Stream, tables: &[Table]) -> Result<Vec<Cut>> {
    let (shapes, parts) = (shapes(source, stream)?, super::digest::parts(source, tables)?);
    let cut = |(part, table): (Part, &Table)| {
        let shape = shapes.get(&part.oid)?;
        let is_told = if part.key.is_some() { shape.is_by_key } else { table.bytes <= WHOLE };
        is_told.then(|| Cut { part, shape: shape.told.clone() })
    };
    Ok(parts.into_iter().zip(tables).filter_map(cut).collect())
}

/// What makes the table of the sums, empty.
pub(super) fn emptied() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {SCHEMA}.chunk (part bigint, chunk bigint, rows bigint NOT NULL, digest text NOT NULL, \
         PRIMARY KEY (part, chunk)); TRUNCATE {SCHEMA}.chunk"
    )
}

/// The sums that are kept of a table.
pub(super) fn sums(target: &Server, table: u64) -> Result<Chunks> {
    let rows = target.rows(&format!("SELECT chunk, rows, digest FROM {SCHEMA}.chunk WHERE part = {table}"))?;
    let of = |row: &Vec<String>| {
        let sum = Sum { rows: number(field(row, 1)), digest: field(row, 2).to_owned() };
        field(row, 0).parse().ok().map(|chunk| (chunk, sum))
    };
    Ok(rows.iter().filter_map(of).collect())
}

/// What is known of each table now that the source is closed and the target has everything of it; nothing where anything is unsure.
pub(super) fn clean(
    pair: &Pair,
    stream: &Stream,
    record: &TargetRecord,
    control: &Control,
) -> Result<BTreeMap<u64, (Part, Chunks)>> {
    let Some(known) = &record.known else { return Ok(BTreeMap::new()) };
    match look(pair, stream, known, control) {
        Err(WorkerError::Cancelled) => Err(WorkerError::Cancelled),
        Ok(Some(clean)) => Ok(clean),
        Ok(None) => {
            control.note(format!("the slot {} does not say what was written: everything is read", stream.marks()));
            Ok(BTreeMap::new())
        }
        Err(error) => {
            control.note(format!("it cannot be said what was written, and everything is read: {error}"));
            Ok(BTreeMap::new())
        }
    }
}

fn look(
    pair: &Pair,
    stream: &Stream,
    known: &Known,
    control: &Control,
) -> Result<Option<BTreeMap<u64, (Part, Chunks)>>> {
    let source = &pair.source.server;
    let marks = Marks::of(stream, source);
    let Some((_, kept)) = marks.place()? else { return Ok(None) };
    let bytes = number(&source.one("SELECT pg_database_size(current_database())")?);
    if kept > bytes.max(WORTH) {
        control.note(format!("{kept} bytes of the log would be read to know what was written"));
        return Ok(None);
    }
    let upto = source.one("SELECT pg_current_wal_flush_lsn()")?;
    let Some(changes) = marks.told(&upto, known.cuts.iter().map(|cut| &cut.part), control)? else { return Ok(None) };
    let (shapes, tables) = (shapes(source, stream)?, tables(source)?);
    let names: BTreeMap<u64, &str> = tables.iter().map(|table| (table.oid, table.name.as_str())).collect();
    let mut clean = BTreeMap::new();
    for Cut { part, shape } in &known.cuts {
        let is_the_same = shapes.get(&part.oid).is_some_and(|now| now.told == *shape)
            && names.get(&part.oid).is_some_and(|name| *name == part.table);
        if !is_the_same {
            continue;
        }
        let mut chunks = match changes.get(&part.oid) {
            Some(Touched::Whole) => continue,
            Some(Touched::Chunks(_)) | None => sums(&pair.target.server, part.oid)?,
        };
        if let Some(Touched::Chunks(written)) = changes.get(&part.oid) {
            chunks.retain(|chunk, _| !written.contains(chunk));
        }
        clean.insert(part.oid, (part.clone(), chunks));
    }
    Ok(Some(clean))
}
