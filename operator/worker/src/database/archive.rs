//! What a dump holds, told by PostgreSQL's own programs: its objects, and digests of its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// How much of a line is kept to tell what it is; of rows, nothing is.
const PREFIX: usize = 64 * 1024;

/// An object of a dump, such as `TABLE public invoice`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Object {
    /// Kind, schema and name, as `pg_restore --list` prints them, without the owner.
    pub name: String,
    /// The line itself.
    #[serde(skip)]
    line: String,
}

impl Object {
    /// Whether it is an extension, or a comment on one: these belong to whoever installed them.
    pub fn is_of_extension(&self) -> bool {
        self.name.starts_with("EXTENSION ") || self.name.starts_with("COMMENT - EXTENSION ")
    }

    /// The extension, if it is one or a comment on one.
    pub fn extension(&self) -> Option<&str> {
        let name = self.name.strip_prefix("EXTENSION - ").or_else(|| self.name.strip_prefix("COMMENT - EXTENSION "))?;
        Some(name.trim_matches('"'))
    }

    /// Whether it is in every new database.
    pub fn is_of_every_database(&self) -> bool {
        matches!(self.name.as_str(), "SCHEMA - public" | "COMMENT - SCHEMA public" | "ACL - SCHEMA public")
            || self.name.starts_with("DATABASE ")
            || self.name.starts_with("DATABASE PROPERTIES ")
    }

    /// The line that `pg_restore --use-list` takes.
    pub fn line(&self) -> &str {
        &self.line
    }
}

/// Reads the list of a dump, as `pg_restore --list` prints it.
pub fn objects(list: &str) -> Vec<Object> {
    let entries = list.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty());
    entries
        .filter_map(|line| {
            // Number of the entry and two OIDs, then what it is; the owner comes last.
            let (_, told) = line.split_once("; ")?;
            let told = told.splitn(3, ' ').nth(2)?;
            let name = told.rsplit_once(' ').map_or(told, |(name, _)| name);
            Some(Object { name: name.to_owned(), line: line.to_owned() })
        })
        .collect()
}

/// The rows of one table, or what a dump does besides, such as the places of sequences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// How many.
    pub count: u64,
    /// Sum of their SHA-256, so that their order does not matter.
    sum: [u64; 4],
}

impl Rows {
    fn add(&mut self, digest: &[u8]) {
        self.count += 1;
        let mut carry = false;
        for (sum, piece) in self.sum.iter_mut().zip(digest.chunks_exact(8)) {
            let piece = u64::from_le_bytes(piece.try_into().unwrap_or_default());
            let (first, over) = sum.overflowing_add(piece);
            let (second, again) = first.overflowing_add(u64::from(carry));
            *sum = second;
            carry = over || again;
        }
    }

    /// For people and for records.
    pub fn digest(&self) -> String {
        HEXLOWER.encode(&self.sum.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }
}

/// Rows by table.
pub type Tables = BTreeMap<String, Rows>;

/// What is done besides filling tables.
const BESIDES: &str = "(sequences and large objects)";

/// Reads the data of a dump as a script, and keeps a digest of it; no row is kept, however long.
pub fn tables(script: impl Read) -> std::io::Result<Tables> {
    let mut reader = BufReader::with_capacity(256 << 10, script);
    let mut tables = Tables::new();
    let (mut statement, mut table): (String, Option<String>) = (String::new(), None);
    while let Some(line) = next(&mut reader)? {
        if let Some(name) = &table {
            if line.prefix == b"\\." {
                table = None;
            } else {
                tables.entry(name.clone()).or_default().add(&line.digest);
            }
            continue;
        }
        let text = String::from_utf8_lossy(&line.prefix);
        if statement.is_empty() && is_idle(&text) {
            continue;
        }
        statement.push_str(&text);
        // A name with a line in it goes on.
        if !text.ends_with(';') || is_open(&statement) {
            statement.push('\n');
            continue;
        }
        match statement.strip_prefix("COPY ").and_then(|copy| copy.strip_suffix(" FROM stdin;")) {
            Some(name) => {
                tables.entry(name.to_owned()).or_default();
                table = Some(name.to_owned());
            }
            None => tables.entry(BESIDES.to_owned()).or_default().add(Sha256::digest(statement.as_bytes()).as_slice()),
        }
        statement.clear();
    }
    Ok(tables)
}

/// Reads definitions as a script, and keeps a digest of them in their order. Which versions wrote it does not count.
pub fn definitions(script: impl Read) -> std::io::Result<[u8; 32]> {
    let mut reader = BufReader::with_capacity(256 << 10, script);
    let mut all = Sha256::new();
    while let Some(line) = next(&mut reader)? {
        let is_mark =
            [&b"\\restrict "[..], b"\\unrestrict ", b"-- Dumped "].iter().any(|mark| line.prefix.starts_with(mark));
        if !is_mark {
            all.update(line.digest);
        }
    }
    Ok(all.finalize().into())
}

/// What says nothing of the data: comments, settings, and the marks of a script that may not run programs.
fn is_idle(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("--")
        || line.starts_with("SET ")
        || line.starts_with("\\restrict")
        || line.starts_with("\\unrestrict")
        || line.starts_with("SELECT pg_catalog.set_config(")
        || matches!(line, "BEGIN;" | "COMMIT;")
}

/// Whether a quotation is open at its end.
fn is_open(statement: &str) -> bool {
    let mut within = None;
    for c in statement.chars() {
        match within {
            Some(quote) if c == quote => within = None,
            None if c == '"' || c == '\'' => within = Some(c),
            _ => {}
        }
    }
    within.is_some()
}

struct Line {
    prefix: Vec<u8>,
    digest: [u8; 32],
}

fn next(reader: &mut impl BufRead) -> std::io::Result<Option<Line>> {
    let (mut prefix, mut digest, mut any) = (Vec::new(), Sha256::new(), false);
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(any.then(|| Line { prefix, digest: digest.finalize().into() }));
        }
        any = true;
        let end = chunk.iter().position(|b| *b == b'\n');
        let piece = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        digest.update(piece);
        let room = PREFIX.saturating_sub(prefix.len());
        prefix.extend(piece.iter().take(room));
        let used = piece.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(Line { prefix, digest: digest.finalize().into() }));
        }
    }
}

/// What differs between what was stored and what stands.
pub fn differences(stored: &Tables, there: &Tables) -> Vec<String> {
    let told = |name: &str| {
        let short = name.split_once(" (").map_or(name, |(table, _)| table);
        match (stored.get(name), there.get(name)) {
            (Some(stored), Some(there)) if stored == there => None,
            (Some(stored), Some(there)) if stored.count == there.count => Some(format!("{short}: rows differ")),
            (Some(stored), Some(there)) => Some(format!("{short}: {} rows, {} were stored", there.count, stored.count)),
            (Some(_), None) => Some(format!("{short}: it is not there, or has other columns")),
            (None, _) => None,
        }
    };
    stored.keys().filter_map(|name| told(name)).collect()
}

/// Objects by name.
pub fn names(objects: &[Object]) -> BTreeSet<&str> {
    objects.iter().map(|object| object.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::{definitions, differences, objects, tables};

    const LIST: &str = ";\n; Archive created at 2026-01-01\n;\n3; 2615 2200 SCHEMA - public pg_database_owner\n215; 1259 16386 TABLE public invoice app\n3320; 0 16386 TABLE DATA public invoice app\n2; 3079 16384 EXTENSION - \"uuid-ossp\" \n3321; 0 0 COMMENT - EXTENSION \"uuid-ossp\" \n";

    #[test]
    fn a_list_is_its_objects_without_their_owners() {
        let all = objects(LIST);
        let names: Vec<&str> = all.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names[..3], ["SCHEMA - public", "TABLE public invoice", "TABLE DATA public invoice"]);
        assert!(all[0].is_of_every_database() && !all[1].is_of_every_database());
        assert_eq!(all[3].extension(), Some("uuid-ossp"));
        assert_eq!(all[4].extension(), Some("uuid-ossp"));
        assert_eq!(all[1].line(), "215; 1259 16386 TABLE public invoice app");
    }

    #[test]
    fn definitions_count_with_their_order_and_without_who_wrote_them() {
        let script = |by: &str, body: &str| {
            definitions(format!("--\n-- Dumped by pg_dump {by}\n\\restrict {by}\nSET a = 1;\n{body}\n").as_bytes())
        };
        let first = script("15.1", "CREATE FUNCTION f() AS $$ 1 $$;\nCREATE VIEW v;").unwrap();
        assert_eq!(script("15.9", "CREATE FUNCTION f() AS $$ 1 $$;\nCREATE VIEW v;").unwrap(), first);
        assert_ne!(script("15.1", "CREATE FUNCTION f() AS $$ 2 $$;\nCREATE VIEW v;").unwrap(), first);
        assert_ne!(script("15.1", "CREATE VIEW v;\nCREATE FUNCTION f() AS $$ 1 $$;").unwrap(), first);
    }

    #[test]
    fn rows_count_without_their_order_and_nothing_else_does() {
        let script = |rows: &str, value: u8| {
            format!(
                "--\n-- data\n\\restrict x{value}\nSET a = 1;\nCOPY public.t (a, b) FROM stdin;\n{rows}\\.\n\n\nCOPY public.\"odd\n;name\" (a) FROM stdin;\n-- a row\nSET b;\n\\.\nSELECT pg_catalog.setval('public.s', {value}, true);\n"
            )
        };
        let read = |rows: &str, value: u8| tables(script(rows, value).as_bytes()).unwrap();
        let first = read("1\ta\n2\tb\n", 7);
        assert_eq!(first.len(), 3, "{first:?}");
        assert_eq!(first["public.\"odd\n;name\" (a)"].count, 2);
        assert_eq!(read("2\tb\n1\ta\n", 7), first);
        for (rows, value, told) in
            [("1\ta\n2\tB\n", 7, "rows differ"), ("1\ta\n", 7, "1 rows, 2 were"), ("1\ta\n2\tb\n", 8, "sequences")]
        {
            let differ = differences(&first, &read(rows, value));
            assert!(differ.len() == 1 && differ[0].contains(told), "{differ:?}");
        }
        assert_ne!(read("1\ta\n1\ta\n", 7), read("2\tb\n2\tb\n", 7));
    }
}
