//! Which chunks a source's log changed, as its `pgoutput` tells it: the messages of protocol 1, and of them no more than the keys.

use std::collections::{BTreeMap, BTreeSet};

use super::digest::Part;

/// Chunks of a table that are told one by one; one with more is written as a whole.
const MOST: usize = 200_000;

/// What was written of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    Chunks(BTreeSet<i64>),
    /// It was emptied, or it cannot be said what was written.
    Whole,
}

/// What was written, by the table's number at the source.
pub(super) type Changes = BTreeMap<u64, Touched>;

/// Reads messages, one after the other.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    parts: BTreeMap<u64, &'a Part>,
    /// Where the key is among the columns of a message, as far as that is known.
    keys: BTreeMap<u64, usize>,
    changes: Changes,
}

impl<'a> Reader<'a> {
    /// For these tables; what is told of others is passed over.
    pub(super) fn new(parts: impl Iterator<Item = &'a Part>) -> Self {
        Self { parts: parts.map(|part| (part.oid, part)).collect(), keys: BTreeMap::new(), changes: Changes::new() }
    }

    /// Takes a message of which at least the kind and the table are there. None if it is none that is known: then nothing can be said
    /// of anything.
    pub(super) fn take(&mut self, message: &[u8]) -> Option<()> {
        let mut bytes = Bytes(message);
        match bytes.one()? {
            b'R' => {
                let table = u64::from(bytes.four()?);
                match key_of(&mut bytes)?.as_slice() {
                    [place] => self.keys.insert(table, *place),
                    _ => self.keys.remove(&table),
                };
            }
            kind @ (b'I' | b'U' | b'D') => {
                let table = u64::from(bytes.four()?);
                let Some(part) = self.parts.get(&table) else { return Some(()) };
                let chunks = match (&part.key, self.keys.get(&table).copied()) {
                    (Some(key), Some(place)) => rows(kind, &mut bytes, place)
                        .map(|keys| keys.into_iter().map(|value| value >> key.bits).collect::<Vec<i64>>()),
                    _ => None,
                };
                self.touch(table, chunks);
            }
            b'T' => {
                let many = bytes.four()?;
                bytes.one()?;
                for _ in 0..many {
                    let table = u64::from(bytes.four()?);
                    if self.parts.contains_key(&table) {
                        self.touch(table, None);
                    }
                }
            }
            // A transaction's begin, end and origin; a type; a message of somebody.
            b'B' | b'C' | b'O' | b'Y' | b'M' => {}
            _ => return None,
        }
        Some(())
    }

    fn touch(&mut self, table: u64, chunks: Option<Vec<i64>>) {
        let before = self.changes.entry(table).or_insert_with(|| Touched::Chunks(BTreeSet::new()));
        match (before, chunks) {
            (Touched::Chunks(all), Some(chunks)) if all.len() < MOST => all.extend(chunks),
            (before, _) => *before = Touched::Whole,
        }
    }

    /// What the messages told.
    pub(super) fn told(self) -> Changes {
        self.changes
    }
}

/// Where the columns of the key are, from the description of a table; nowhere if rows are told from others by anything else.
fn key_of(bytes: &mut Bytes<'_>) -> Option<Vec<usize>> {
    bytes.text()?;
    bytes.text()?;
    let is_by_key = bytes.one()? == b'd';
    let mut keys = Vec::new();
    for place in 0..usize::from(bytes.two()?) {
        if bytes.one()? & 1 == 1 {
            keys.push(place);
        }
        bytes.text()?;
        bytes.four()?;
        bytes.four()?;
    }
    Some(if is_by_key { keys } else { Vec::new() })
}

/// The keys of the rows of a change: before it, where it took away or changed the key, and after it.
fn rows(kind: u8, bytes: &mut Bytes<'_>, place: usize) -> Option<Vec<i64>> {
    let mut keys = Vec::new();
    let mut form = bytes.one()?;
    if matches!(form, b'K' | b'O') && kind != b'I' {
        keys.push(key_in_row(bytes, place)?);
        if kind == b'D' {
            return Some(keys);
        }
        form = bytes.one()?;
    }
    if form != b'N' || kind == b'D' {
        return None;
    }
    keys.push(key_in_row(bytes, place)?);
    Some(keys)
}

/// Reads a row to its end: a further one may follow.
fn key_in_row(bytes: &mut Bytes<'_>, place: usize) -> Option<i64> {
    let many = usize::from(bytes.two()?);
    let mut key = None;
    for column in 0..many {
        match bytes.one()? {
            b'n' | b'u' => {}
            b't' => {
                let long = usize::try_from(bytes.four()?).ok()?;
                let value = if column == place {
                    let value = bytes.take(long)?;
                    key = std::str::from_utf8(value).ok()?.parse().ok();
                    key.is_some()
                } else {
                    bytes.take(long).is_some()
                };
                // What lies behind the key may have been cut off.
                if !value {
                    return key;
                }
            }
            _ => return None,
        }
    }
    key
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, many: usize) -> Option<&'a [u8]> {
        // After what was cut off, nothing is left to be read.
        let (taken, rest) = self.0.split_at_checked(many).map_or((None, [].as_slice()), |(a, b)| (Some(a), b));
        self.0 = rest;
        taken
    }

    fn one(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn two(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn four(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A text that ends with a zero byte.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Part, Reader, Touched};
    use crate::mover::database::digest::Key;

    fn part(oid: u64) -> Part {
        Part { oid, table: "public.t".to_owned(), key: Some(Key { column: "id".to_owned(), bits: 4 }) }
    }

    /// A description: three columns, the second of which is the key.
    fn described(table: u32, identity: u8, flags: [u8; 3]) -> Vec<u8> {
        let mut message = [b"R".as_slice(), &table.to_be_bytes(), b"public\0t\0", &[identity, 0, 3]].concat();
        for flag in flags {
            message.extend([[flag].as_slice(), b"c\0", &[0; 8]].concat());
        }
        message
    }

    /// A row; a column without text is null.
    fn row(form: u8, columns: &[&str]) -> Vec<u8> {
        let mut row = vec![form, 0, u8::try_from(columns.len()).unwrap()];
        for column in columns {
            if column.is_empty() {
                row.push(b'n');
            } else {
                row.push(b't');
                row.extend(u32::try_from(column.len()).unwrap().to_be_bytes());
                row.extend(column.bytes());
            }
        }
        row
    }

    fn change(kind: u8, table: u32, rows: &[Vec<u8>]) -> Vec<u8> {
        [[kind].as_slice(), &table.to_be_bytes(), &rows.concat()].concat()
    }

    fn told(messages: &[Vec<u8>]) -> Option<Vec<(u64, Touched)>> {
        let parts = [part(7), part(8)];
        let mut reader = Reader::new(parts.iter());
        messages.iter().try_for_each(|message| reader.take(message))?;
        Some(reader.told().into_iter().collect())
    }

    fn chunks(all: &[i64]) -> Touched {
        Touched::Chunks(all.iter().copied().collect::<BTreeSet<_>>())
    }

    const BY_KEY: [u8; 3] = [0, 1, 0];

    #[test]
    fn every_chunk_that_a_row_was_in_or_is_in_is_told() {
        let table = described(7, b'd', BY_KEY);
        let inserted = change(b'I', 7, &[row(b'N', &["x", "17", "y"])]);
        let updated = change(b'U', 7, &[row(b'N', &["x", "-1", "y"])]);
        let moved = change(b'U', 7, &[row(b'K', &["", "33", ""]), row(b'N', &["x", "50", "y"])]);
        let deleted = change(b'D', 7, &[row(b'K', &["", "64", ""])]);
        let of_nobody = change(b'I', 9, &[row(b'N', &["x", "1", "y"])]);
        let all = told(&[b"B".to_vec(), table, inserted, updated, moved, deleted, of_nobody, b"C".to_vec()]);
        assert_eq!(all.unwrap(), [(7, chunks(&[-1, 1, 2, 3, 4]))]);
    }

    #[test]
    fn what_cannot_be_told_is_the_whole_table() {
        let row = |columns: &[&str]| change(b'I', 7, &[row(b'N', columns)]);
        for messages in [
            // Not described, told apart by something else, by more than the key, or by the whole row.
            vec![row(&["x", "1", "y"])],
            vec![described(7, b'i', BY_KEY), row(&["x", "1", "y"])],
            vec![described(7, b'd', [1, 1, 0]), row(&["x", "1", "y"])],
            vec![described(7, b'f', [1, 1, 1]), row(&["x", "1", "y"])],
            // Described anew, without the key.
            vec![described(7, b'd', BY_KEY), described(7, b'n', [0; 3]), row(&["x", "1", "y"])],
            vec![described(7, b'd', BY_KEY), row(&["x", "", "y"])],
            vec![described(7, b'd', BY_KEY), row(&["x", "one", "y"])],
            vec![[b"T".as_slice(), &[0, 0, 0, 2, 0], &9_u32.to_be_bytes(), &7_u32.to_be_bytes()].concat()],
        ] {
            assert_eq!(told(&messages).unwrap(), [(7, Touched::Whole)], "{messages:?}");
        }
        assert_eq!(told(&[b"X".to_vec()]), None);
        assert_eq!(told(&[Vec::new()]), None);
    }

    #[test]
    fn what_was_cut_off_is_not_read_as_something_else() {
        let long = "N".repeat(200);
        let whole = change(b'U', 7, &[row(b'K', &["", "33", ""]), row(b'N', &["x", "50", &long])]);
        for end in 5..whole.len() {
            let cut = whole.get(..end).unwrap().to_vec();
            let told = told(&[described(7, b'd', BY_KEY), cut]).unwrap();
            assert!(told == [(7, chunks(&[2, 3]))] || told == [(7, Touched::Whole)], "{end}: {told:?}");
        }
        // A first row that was cut off hides the second one.
        let first = change(b'U', 7, &[row(b'O', &["x", "1", &long]), row(b'N', &["x", "99", "y"])]);
        let cut = first.get(..60).unwrap().to_vec();
        assert_eq!(told(&[described(7, b'd', BY_KEY), cut]).unwrap(), [(7, Touched::Whole)]);
    }
}
