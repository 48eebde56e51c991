//! A PostgreSQL database as a source.
//!
//! `pg_dump` reads one snapshot of the database, which our own connection exported, so that place in the log and moment are known. What
//! it writes is cut into parts where the content says so: a row that was added moves no other cut, and equal parts are stored once. A
//! dump that was interrupted begins anew under another snapshot: it has no boundary within.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;

use super::{DATA_DIR, Source};
use crate::control::Control;
use crate::database::login::Login;
use crate::database::tool::{Running, Tool};
use crate::database::{DatabaseArgs, Server};
use crate::engine::{Entry, Kind, Meta, Opened};
use crate::error::{Result, WorkerError};
use crate::evidence::items::{Consistency, DatabaseRecord, SourceKind, SourceRecord};
use crate::run::verify::Scratch;

/// The directory of a source in which the parts of its dump lie; one after the other they are the file that `pg_restore` reads.
pub const DUMP_DIR: &str = "dump";
/// The smallest part, in bytes; the last one may be smaller.
const SMALLEST: usize = 4 << 20;
/// The largest part, in bytes.
const LARGEST: usize = 16 << 20;
/// Bits that are all zero where a part ends: every 4 MiB beyond the smallest, on average.
const CUT: u64 = ((1 << 22) - 1) << 20;
/// Parts in memory at once.
const AHEAD: usize = 3;
/// How long a dump waits for a lock that somebody else holds on a table.
const LOCK_WAIT: &str = "--lock-wait-timeout=60s";

/// A database.
pub struct Database {
    name: String,
    login: Login,
    control: Control,
    /// What is handed over before the first part.
    heads: Vec<Entry>,
    dump: Option<Running>,
    parts: u64,
    cutter: Cutter,
    room: Arc<Room>,
    record: SourceRecord,
    /// Its transaction holds the snapshot.
    _server: Server,
    _scratch: Scratch,
}

/// Parts that are in memory.
#[derive(Debug, Default)]
struct Room {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// A part in memory, counted.
struct Held(Arc<Room>);

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_all();
    }
}

impl Room {
    /// Waits until a part fits; none once the run ends.
    fn take(self: &Arc<Self>, control: &Control) -> Option<Held> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= AHEAD {
            control.check().ok()?;
            let waited = self.freed.wait_timeout(taken, Duration::from_millis(100));
            taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken += 1;
        Some(Held(Arc::clone(self)))
    }
}

impl Database {
    /// Connects, fixes the snapshot and starts to dump.
    pub fn open(name: &str, login: &Login, args: &DatabaseArgs, runtime: &Handle, control: &Control) -> Result<Self> {
        let tool = Tool::find("pg_dump", args)?;
        let server = Server::connect(login, args, runtime, control)?;
        if server.major > tool.major {
            return Err(server.failed(
                "ServerTooNew",
                format!("the server is PostgreSQL {}, pg_dump is {}", server.version, tool.version),
                format!("install the client programs of PostgreSQL {} where the worker runs", server.major),
            ));
        }
        server.rows("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")?;
        // Both before the snapshot: the dump holds everything up to there, and measured loss is never told too small.
        let captured_at = Timestamp::now();
        let lsn = server
            .one("SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END")?;
        server.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let snapshot = server.one("SELECT pg_export_snapshot()")?;
        let scratch = Scratch::new()?;
        let mut command = tool.on(&server, scratch.directory())?;
        // Without compression, so that what did not change is stored once.
        command.args(["--format=custom", "--compress=0", "--no-password", LOCK_WAIT]);
        command.arg(format!("--snapshot={snapshot}")).stdout(Stdio::piped());
        let dump = Running::start_within(&mut command, control, args.silence())?;
        let top = Path::new(DATA_DIR).join(name);
        let directory = |path: PathBuf| Entry {
            path,
            kind: Kind::Dir,
            meta: Meta { mode: 0o700, ..Meta::default() },
            open: None,
            repeated: false,
        };
        let record = SourceRecord {
            name: name.to_owned(),
            kind: SourceKind::Database,
            origin: login.shown(),
            captured_at: captured_at.to_string(),
            consistency: Consistency::PointInTime,
            changed: Vec::new(),
            changed_total: 0,
            left_out: Vec::new(),
            volumes_not_covered: Vec::new(),
            database: Some(DatabaseRecord {
                server_version: server.version.clone(),
                dump_version: tool.version.clone(),
                lsn,
                encoding: server.encoding.clone(),
                extensions: server.extensions.clone(),
            }),
        };
        Ok(Self {
            name: name.to_owned(),
            login: login.clone(),
            control: control.clone(),
            // Handed over from the end.
            heads: vec![directory(top.join(DUMP_DIR)), directory(top)],
            dump: Some(dump),
            parts: 0,
            cutter: Cutter::new(),
            room: Arc::default(),
            record,
            _server: server,
            _scratch: scratch,
        })
    }

    /// The next part; none at the end of the dump, which came to it by itself.
    fn part(&mut self) -> Result<Option<Entry>> {
        let Some(held) = self.room.take(&self.control) else { return Ok(None) };
        let Some(running) = &mut self.dump else { return Ok(None) };
        let Some(mut heard) = running.heard() else { return Ok(None) };
        let content = self.cutter.cut(&mut heard).map_err(|e| unreadable(&self.name, e))?;
        if let Some(content) = content {
            return Ok(Some(self.entry(content, held)));
        }
        let Some(running) = self.dump.take() else { return Ok(None) };
        match running.end()? {
            Ok(()) if self.parts > 0 => Ok(None),
            Ok(()) => Err(self.failed("pg_dump wrote nothing")),
            Err(_) if self.control.is_cancelled() => Err(WorkerError::Cancelled),
            Err(said) => Err(self.failed(&said)),
        }
    }

    fn entry(&mut self, content: Vec<u8>, held: Held) -> Entry {
        let path = Path::new(DATA_DIR).join(&self.name).join(DUMP_DIR).join(format!("{:08}", self.parts));
        self.parts += 1;
        let meta = Meta { mode: 0o600, size: content.len() as u64, links: 1, ..Meta::default() };
        let open = move || Opened::Content(Box::new(Part { content: Cursor::new(content), _held: held }));
        Entry { path, kind: Kind::File, meta, open: Some(Box::new(open)), repeated: false }
    }

    fn failed(&self, said: &str) -> WorkerError {
        crate::database::failed(
            &self.login,
            "DumpFailed",
            format!("pg_dump failed: {said}"),
            "let the user read everything (GRANT pg_read_all_data), mend what pg_dump names, and see that the server answers",
        )
    }
}

struct Part {
    content: Cursor<Vec<u8>>,
    _held: Held,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.content.read(buffer)
    }
}

impl Source for Database {
    fn next(&mut self) -> Option<Entry> {
        if let Some(head) = self.heads.pop() {
            return Some(head);
        }
        self.part().unwrap_or_else(|error| {
            self.control.fail(error);
            None
        })
    }

    /// A dump is whole or not there.
    fn at_boundary(&self) -> bool {
        false
    }

    fn has_change_times(&self) -> bool {
        false
    }

    fn record(&self) -> SourceRecord {
        self.record.clone()
    }
}

fn unreadable(name: &str, error: impl std::fmt::Display) -> WorkerError {
    WorkerError::Unreadable { name: name.to_owned(), what: "the dump".to_owned(), cause: error.to_string() }
}

/// Cuts a stream where its content says so.
struct Cutter {
    table: Vec<u64>,
    /// Read beyond the last cut.
    rest: Vec<u8>,
}

impl Cutter {
    fn new() -> Self {
        // Fixed, so that every worker cuts alike (splitmix64).
        let mut state = 0x7a68_656e_6779_756e_u64;
        let table = std::iter::repeat_with(|| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        });
        Self { table: table.take(256).collect(), rest: Vec::new() }
    }

    /// The next part; none at the end.
    fn cut(&mut self, from: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
        let mut part = std::mem::take(&mut self.rest);
        let mut buffer = vec![0_u8; 256 << 10];
        let (mut hash, mut seen) = (0_u64, 0_usize);
        loop {
            for byte in part.get(seen..).unwrap_or_default() {
                let mixed = self.table.get(usize::from(*byte)).copied().unwrap_or_default();
                hash = (hash << 1).wrapping_add(mixed);
                seen += 1;
                if (seen >= SMALLEST && hash & CUT == 0) || seen == LARGEST {
                    self.rest = part.split_off(seen);
                    return Ok(Some(part));
                }
            }
            let read = loop {
                match from.read(&mut buffer) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            if read == 0 {
                return Ok((!part.is_empty()).then_some(part));
            }
            part.extend_from_slice(buffer.get(..read).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Cutter, LARGEST, SMALLEST};

    fn parts(content: &[u8]) -> Vec<Vec<u8>> {
        let (mut cutter, mut from) = (Cutter::new(), content);
        std::iter::from_fn(|| cutter.cut(&mut from).unwrap()).collect()
    }

    #[test]
    fn parts_are_the_whole_and_a_row_that_is_added_moves_few_cuts() {
        let mut random = fastrand::Rng::with_seed(9);
        let mut content: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(120 << 20).collect();
        let before = parts(&content);
        assert_eq!(before.concat(), content);
        assert!(before.iter().rev().skip(1).all(|part| (SMALLEST..=LARGEST).contains(&part.len())));
        content.splice(1000..1000, *b"a row that was added");
        let known: HashSet<&Vec<u8>> = before.iter().collect();
        let after = parts(&content);
        let new = after.iter().filter(|part| !known.contains(part)).count();
        assert!(after.len() > 8 && new <= 3, "{new} of {}", after.len());
        assert!(parts(b"").is_empty());
    }
}
