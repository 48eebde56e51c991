//! The slot that tells which chunks of the source were written: a second one beside that of the stream, which nobody reads but the mover.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;

use super::changes::{Changes, Reader};
use super::digest::Part;
use super::sql::{field, number, text};
use super::stream::Stream;
use crate::control::Control;
use crate::database::Server;
use crate::error::Result;

/// Changes of one answer.
const ANSWER: u64 = 1000;
/// Bytes of a change that are asked for: the key most often is in them.
const PREFIX: u64 = 2048;

/// The slot of the marks.
pub(super) struct Marks<'a> {
    source: &'a Server,
    name: String,
    stream: &'a Stream,
}

impl<'a> Marks<'a> {
    pub(super) fn of(stream: &'a Stream, source: &'a Server) -> Self {
        Self { source, name: stream.marks(), stream }
    }

    /// Why there can be none, if that is so. Between two processes nobody watches it, so the server must bound by itself what it keeps.
    pub(super) fn refused(source: &Server) -> Result<Option<&'static str>> {
        if source.major < 13 {
            return Ok(Some("the source is older than PostgreSQL 13"));
        }
        let bounded =
            source.one("SELECT setting::bigint >= 0 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'")?;
        Ok((bounded != "t").then_some("the source has no max_slot_wal_keep_size"))
    }

    /// Up to where it was read, and the bytes of the log that it keeps; none if it is not there or has lost something.
    pub(super) fn place(&self) -> Result<Option<(String, u64)>> {
        let rows = self.source.rows(&format!(
            "SELECT confirmed_flush_lsn, greatest(0, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))::bigint \
             FROM pg_replication_slots WHERE slot_name = {} AND database = current_database() \
             AND confirmed_flush_lsn IS NOT NULL AND wal_status IS DISTINCT FROM 'lost'",
            text(&self.name)
        ))?;
        Ok(rows.first().map(|row| (field(row, 0).to_owned(), number(field(row, 1)))))
    }

    /// Makes it anew, where the slot of the stream stands: the target has everything before that.
    pub(super) fn make(&self) -> Result<()> {
        self.remove()?;
        self.source.rows(&format!(
            "SELECT pg_copy_logical_replication_slot({}, {})",
            text(&self.stream.name),
            text(&self.name)
        ))?;
        Ok(())
    }

    pub(super) fn remove(&self) -> Result<()> {
        self.source.rows(&format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {}",
            text(&self.name)
        ))?;
        Ok(())
    }

    /// What was written up to a place, and stays to be told. None if nothing can be said.
    pub(super) fn told<'p>(
        &self,
        upto: &str,
        parts: impl Iterator<Item = &'p Part>,
        control: &Control,
    ) -> Result<Option<Changes>> {
        let mut reader = Reader::new(parts);
        // Of rows, only what leads to the key; of tables, all.
        let ask = format!(
            "BEGIN READ ONLY; DECLARE told NO SCROLL CURSOR FOR SELECT CASE get_byte(data, 0) WHEN ascii('R') THEN data \
             ELSE substring(data FOR {PREFIX}) END FROM pg_logical_slot_peek_binary_changes({}, {}, NULL, 'proto_version', '1', \
             'publication_names', {}) WHERE get_byte(data, 0) NOT IN (ascii('B'), ascii('C'))",
            text(&self.name),
            text(upto),
            text(&self.stream.name)
        );
        let read = self.source.rows(&ask).and_then(|_| self.fetched(&mut reader, control));
        // It only read.
        let ended = self.source.rows("ROLLBACK");
        Ok(read.and_then(|known| ended.map(|_| known))?.then(|| reader.told()))
    }

    /// Whether every message was understood.
    fn fetched(&self, reader: &mut Reader<'_>, control: &Control) -> Result<bool> {
        loop {
            let rows = self.source.rows_for(&format!("FETCH {ANSWER} FROM told"), control)?;
            if rows.is_empty() {
                return Ok(true);
            }
            for row in rows {
                let message = field(&row, 0).strip_prefix("\\x").and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
                if message.and_then(|message| reader.take(&message)).is_none() {
                    return Ok(false);
                }
            }
        }
    }

    /// Has it forget what was told up to a place.
    pub(super) fn advance(&self, upto: &str) -> Result<()> {
        let said = format!("SELECT pg_replication_slot_advance({}, {})", text(&self.name), text(upto));
        self.source.rows_for(&said, &Control::new())?;
        Ok(())
    }
}

/// What a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Whether its changes tell of which key the row was.
    pub(super) is_by_key: bool,
    /// Another word if it is another table than before.
    pub(super) told: String,
}

/// What each table is, so far as a change of it is in no stream: whoever rewrites one, takes a column from it or gives it one, publishes
/// it anew or chooses another key makes it another.
pub(super) fn shapes(source: &Server, stream: &Stream) -> Result<BTreeMap<u64, Shape>> {
    let rows = source.rows(&format!(
        "SELECT c.oid, c.relreplident = 'd', concat_ws('/', pg_relation_filenode(c.oid), c.relnatts, c.relreplident, i.indexrelid, p.oid, p.xmin, r.oid) \
         FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid \
         LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary WHERE p.pubname = {}",
        text(&stream.name)
    ))?;
    let of = |row: &Vec<String>| {
        (number(field(row, 0)), Shape { is_by_key: field(row, 1) == "t", told: field(row, 2).to_owned() })
    };
    Ok(rows.iter().map(of).collect())
}
