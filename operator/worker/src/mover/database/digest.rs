//! Digests of rows, by table and by chunks of it, computed by the servers themselves.
//!
//! A digest is the sum of a hash of each row as text, so the order of the rows does not matter. A table whose primary key is one whole
//! number is cut by that; any other is one chunk.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::fence::Pair;
use super::sql::{field, number};
use super::stream::Table;
use crate::control::Control;
use crate::database::Server;
use crate::error::{Result, WorkerError};
use crate::secret::sha256_hex;

/// Rows in a chunk, about, as a power of two, unless the table has very many.
const CHUNK_BITS: u32 = 8;
/// Chunks of a table, about, as a power of two: their digests are one answer of a server.
const MOST_BITS: u32 = 16;
/// Bytes of a row, if nothing is known of it.
const BYTES: u64 = 128;
/// Ranges of one question.
const RANGES: usize = 1000;
/// Chunks that are named.
const NAMED: usize = 20;

/// A table as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) oid: u64,
    pub(super) table: String,
    pub(super) key: Option<Key>,
}

/// By what a table is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// As in a statement.
    pub(super) column: String,
    /// Chunk n holds the keys whose upper bits are n.
    pub(super) bits: u32,
}

/// Rows and digest of a chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    pub(super) digest: String,
}

/// Chunks by number.
pub(super) type Chunks = BTreeMap<i64, Sum>;

/// What is read of a table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'a> {
    These(&'a BTreeSet<i64>),
    /// Everything but these, whether it is there or not.
    AllBut(&'a Chunks),
}

/// What comparing came to.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Compared {
    pub(super) equal: bool,
    pub(super) rows: u64,
    pub(super) chunks: u64,
    /// Chunks that were read by this verb; the others had been found equal and were not written since.
    pub(super) read: u64,
    pub(super) source_digest: String,
    pub(super) target_digest: String,
    pub(super) parts: Vec<PartReport>,
    pub(super) differences: Vec<String>,
}

/// One table of a comparison.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartReport {
    pub(super) table: String,
    pub(super) rows: u64,
    pub(super) chunks: u64,
    pub(super) source_digest: String,
    pub(super) target_digest: String,
}

/// How the tables are cut.
pub(super) fn parts(source: &Server, tables: &[Table]) -> Result<Vec<Part>> {
    let keys = source.rows(
        "SELECT i.indrelid, quote_ident(a.attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
         WHERE i.indisprimary AND i.indnkeyatts = 1 AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)",
    )?;
    let keys: BTreeMap<u64, String> =
        keys.iter().map(|row| (number(field(row, 0)), field(row, 1).to_owned())).collect();
    let mut parts = Vec::new();
    for table in tables {
        let key = match keys.get(&table.oid) {
            Some(column) => {
                let span = source
                    .one(&format!("SELECT max({column})::numeric - min({column})::numeric FROM ONLY {}", table.name))?;
                let span = span.parse::<u64>().unwrap_or_default();
                // Of one that was never analysed, its size says about as much.
                let rows = if table.rows == 0 { table.bytes / BYTES } else { table.rows }.max(1);
                // Keys that are far apart make wide chunks, so that a chunk holds about as many rows.
                let of_rows = CHUNK_BITS.max(rows.ilog2().saturating_sub(MOST_BITS));
                let bits = of_rows + (span / rows).max(1).ilog2();
                Some(Key { column: column.clone(), bits: bits.min(62) })
            }
            None => None,
        };
        parts.push(Part { oid: table.oid, table: table.name.clone(), key });
    }
    Ok(parts)
}

/// Digests of a table's chunks.
pub(super) fn read(server: &Server, part: &Part, which: Which<'_>, control: &Control) -> Result<Chunks> {
    let spans = match (which, &part.key) {
        (Which::These(chunks), _) if chunks.is_empty() => return Ok(Chunks::new()),
        (Which::AllBut(chunks), _) if chunks.is_empty() => None,
        // The only chunk is among those that are left out.
        (Which::AllBut(_), None) => return Ok(Chunks::new()),
        (Which::These(_), None) => None,
        (Which::These(chunks), Some(key)) => Some(ranges(chunks, key.bits)),
        (Which::AllBut(chunks), Some(key)) => Some(gaps(chunks.keys(), key.bits)),
    };
    let chunk =
        part.key.as_ref().map_or_else(|| "0".to_owned(), |key| format!("t.{}::bigint >> {}", key.column, key.bits));
    let sums = |condition: &str| {
        // Not `t::text`, which in a table with a column of that name would be the column.
        let sum = "count(*), sum(hashtextextended((t.*)::text, 0))";
        format!("SELECT {chunk} AS chunk, {sum} FROM ONLY {} t {condition} GROUP BY 1", part.table)
    };
    let mut chunks = Chunks::new();
    let mut ask = |query: &str| -> Result<()> {
        for row in server.rows_for(query, control)? {
            let sum = Sum { rows: number(field(&row, 1)), digest: field(&row, 2).to_owned() };
            chunks.insert(field(&row, 0).parse().unwrap_or_default(), sum);
        }
        Ok(())
    };
    match (spans, &part.key) {
        (Some(spans), Some(key)) => {
            // Each by itself, by the index of the key: no plan reads the whole table for some of it.
            let each = sums(&format!("WHERE t.{} BETWEEN span.first AND span.last", key.column));
            for some in spans.chunks(RANGES) {
                let values: Vec<String> =
                    some.iter().map(|(first, last)| format!("('{first}'::bigint, '{last}'::bigint)")).collect();
                let values = values.join(", ");
                ask(&format!("SELECT sums.* FROM (VALUES {values}) span (first, last), LATERAL ({each}) sums"))?;
            }
        }
        _ => ask(&sums(""))?,
    }
    Ok(chunks)
}

/// The keys of some chunks; those side by side are one range.
fn ranges(only: &BTreeSet<i64>, bits: u32) -> Vec<(i64, i64)> {
    let mut all: Vec<(i64, i64)> = Vec::new();
    for chunk in only {
        let first = chunk << bits;
        let last = first | ((1 << bits) - 1);
        match all.last_mut() {
            Some(before) if before.1.checked_add(1) == Some(first) => before.1 = last,
            _ => all.push((first, last)),
        }
    }
    all
}

/// The keys of no chunk of some.
fn gaps<'a>(but: impl Iterator<Item = &'a i64>, bits: u32) -> Vec<(i64, i64)> {
    let mut all = Vec::new();
    let mut next = Some(i64::MIN);
    for chunk in but {
        let first = chunk << bits;
        if let Some(start) = next.filter(|start| *start < first) {
            all.push((start, first - 1));
        }
        next = (first | ((1 << bits) - 1)).checked_add(1);
    }
    all.extend(next.map(|start| (start, i64::MAX)));
    all
}

/// Reads the same chunks on both sides at once.
pub(super) fn both(pair: &Pair, part: &Part, which: Which<'_>, control: &Control) -> Result<(Chunks, Chunks)> {
    std::thread::scope(|scope| {
        let source = scope.spawn(|| read(&pair.source.server, part, which, control));
        let target = read(&pair.target.server, part, which, control);
        let source = source.join().map_err(|_| WorkerError::engine("reading the source", "it panicked"))?;
        Ok((source?, target?))
    })
}

/// Chunks that are not the same.
pub(super) fn different(source: &Chunks, target: &Chunks) -> BTreeSet<i64> {
    let all = source.keys().chain(target.keys());
    all.filter(|chunk| source.get(chunk) != target.get(chunk)).copied().collect()
}

impl Compared {
    pub(super) fn add(&mut self, part: &Part, source: &Chunks, target: &Chunks, read: u64) {
        let different = different(source, target);
        let counts = |chunks: &Chunks| chunks.values().map(|sum| sum.rows).sum::<u64>();
        if !different.is_empty() && self.differences.len() < NAMED {
            let keys = match &part.key {
                Some(key) => {
                    let first = ranges(&different, key.bits);
                    let first: Vec<String> = first.iter().take(3).map(|(a, b)| format!("{a} to {b}")).collect();
                    format!(", {} in {}", key.column, first.join(", "))
                }
                None => String::new(),
            };
            self.differences.push(format!(
                "{}: {} rows at the source, {} at the target, {} of {} chunks differ{keys}",
                part.table,
                counts(source),
                counts(target),
                different.len(),
                source.len().max(target.len()),
            ));
        }
        let report = PartReport {
            table: part.table.clone(),
            rows: counts(source),
            chunks: source.len() as u64,
            source_digest: digest(source),
            target_digest: digest(target),
        };
        self.rows += report.rows;
        self.chunks += report.chunks;
        self.read += read;
        self.parts.push(report);
    }

    /// The digests of everything, once every part was added.
    pub(super) fn close(mut self) -> Self {
        let of = |side: fn(&PartReport) -> &String| {
            let lines: Vec<String> =
                self.parts.iter().map(|part| format!("{} {} {}\n", part.table, part.rows, side(part))).collect();
            format!("sha256:{}", sha256_hex(lines.concat().as_bytes()))
        };
        (self.source_digest, self.target_digest) = (of(|part| &part.source_digest), of(|part| &part.target_digest));
        self.equal = self.differences.is_empty() && self.source_digest == self.target_digest;
        self
    }
}

fn digest(chunks: &Chunks) -> String {
    let lines: Vec<String> =
        chunks.iter().map(|(chunk, sum)| format!("{chunk} {} {}\n", sum.rows, sum.digest)).collect();
    sha256_hex(lines.concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Chunks, Sum, different, gaps, ranges};

    #[test]
    fn chunks_side_by_side_are_one_range_and_the_ends_are_no_overflow() {
        let of = |all: &[i64]| all.iter().copied().collect::<BTreeSet<i64>>();
        assert_eq!(ranges(&of(&[-1, 0, 1, 5]), 4), [(-16, 31), (80, 95)]);
        let highest = i64::MAX >> 12;
        assert_eq!(ranges(&of(&[highest]), 12), [(i64::MAX - 4095, i64::MAX)]);
        assert_eq!(ranges(&of(&[i64::MIN >> 12]), 12), [(i64::MIN, i64::MIN + 4095)]);
    }

    #[test]
    fn what_is_in_no_chunk_is_read_to_either_end() {
        let of = |all: &[i64]| gaps(all.iter(), 4);
        assert_eq!(of(&[-1, 0, 3]), [(i64::MIN, -17), (16, 47), (64, i64::MAX)]);
        assert_eq!(of(&[]), [(i64::MIN, i64::MAX)]);
        assert_eq!(of(&[i64::MIN >> 4, i64::MAX >> 4]), [(i64::MIN + 16, i64::MAX - 16)]);
    }

    #[test]
    fn a_chunk_that_one_side_lacks_is_different() {
        let sum = |digest: &str| Sum { rows: 1, digest: digest.to_owned() };
        let source = Chunks::from([(1, sum("a")), (2, sum("b"))]);
        let target = Chunks::from([(1, sum("a")), (3, sum("c"))]);
        assert_eq!(different(&source, &target), BTreeSet::from([2, 3]));
        assert!(different(&source, &source).is_empty());
    }
}
