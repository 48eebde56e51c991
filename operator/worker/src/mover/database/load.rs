//! PostgreSQL's own programs between the two sides: the schema, and in dump mode everything.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use super::sql::APPLICATION;
use crate::control::Control;
use crate::database::archive::{self, Object, Tables};
use crate::database::tool::{Running, Tool};
use crate::database::{DatabaseArgs, Server};
use crate::error::{Result, WorkerError};
use crate::run::verify::Scratch;

/// How long a dump waits for a lock that somebody else holds on a table.
const LOCK_WAIT: &str = "--lock-wait-timeout=60s";

/// The programs, and who says what.
pub(super) struct Load<'a> {
    dump: Tool,
    restore: Tool,
    args: &'a DatabaseArgs,
    control: &'a Control,
    scratch: Scratch,
}

impl<'a> Load<'a> {
    pub(super) fn new(source: &Server, args: &'a DatabaseArgs, control: &'a Control) -> Result<Self> {
        let (dump, restore) = (Tool::find("pg_dump", args)?, Tool::find("pg_restore", args)?);
        if source.major > dump.major {
            return Err(source.failed(
                "ServerTooNew",
                format!("the server is PostgreSQL {}, pg_dump is {}", source.version, dump.version),
                format!("install the client programs of PostgreSQL {} where the worker runs", source.major),
            ));
        }
        Ok(Self { dump, restore, args, control, scratch: Scratch::new()? })
    }

    fn on(&self, tool: &Tool, server: &Server) -> Result<Command> {
        let mut command = tool.on(server, self.scratch.directory())?;
        // So that whoever takes the migration over ends it.
        command.env("PGAPPNAME", format!("{APPLICATION}-program")).arg("--no-password");
        Ok(command)
    }

    /// A dump without what belongs to the migration or cannot be carried.
    fn dumping(&self, server: &Server) -> Result<Command> {
        let mut command = self.on(&self.dump, server)?;
        command.args([LOCK_WAIT, "--exclude-schema=zhengyun_move", "--no-publications", "--no-subscriptions"]);
        Ok(command)
    }

    /// A restore in one transaction: all of it or nothing.
    fn restoring(&self, target: &Server, owner: Option<&str>) -> Result<Command> {
        let mut command = self.on(&self.restore, target)?;
        command.args(["--single-transaction", "--exit-on-error"]);
        if let Some(owner) = owner {
            command.args(["--no-owner", "--no-privileges"]).arg(format!("--role={owner}"));
        }
        Ok(command)
    }

    /// Loads the definitions.
    pub(super) fn schema(&self, source: &Server, target: &Server, owner: Option<&str>) -> Result<()> {
        let kept = self.scratch.directory().join("schema");
        let mut command = self.dumping(source)?;
        command.args(["--format=custom", "--schema-only"]).arg("--file").arg(&kept);
        let dumped = Running::start(&mut command, self.control)?.end()?;
        self.stopped()?;
        dumped.map_err(|said| not_dumped(source, &said))?;
        let list = self.scratch.directory().join("list");
        let lines = self.wanted(&kept, target)?;
        std::fs::write(&list, lines.join("\n") + "\n").map_err(|e| WorkerError::local(&list, e))?;
        let mut command = self.restoring(target, owner)?;
        command.arg("--use-list").arg(&list).arg(&kept).stdout(Stdio::null());
        let restored = Running::start(&mut command, self.control)?.end()?;
        self.stopped()?;
        restored.map_err(|said| not_restored(target, &said))
    }

    /// The entries that are restored: all but what every database has, and extensions that are there.
    fn wanted(&self, kept: &Path, target: &Server) -> Result<Vec<String>> {
        let mut command = self.restore.alone(self.scratch.directory());
        command.arg("--list").arg(kept).stdout(Stdio::piped());
        let mut listing = Running::start(&mut command, self.control)?;
        let mut text = String::new();
        if let Some(mut stdout) = listing.stdout.take() {
            stdout.read_to_string(&mut text).map_err(|e| WorkerError::engine("reading a list", e))?;
        }
        listing.end()?.map_err(|said| WorkerError::damaged("the dump of the schema", said))?;
        let there: Vec<String> = target.rows("SELECT extname FROM pg_extension")?.into_iter().flatten().collect();
        let wanted = |object: &&Object| {
            !object.is_of_every_database()
                && !object.extension().is_some_and(|name| there.iter().any(|other| other == name))
        };
        Ok(archive::objects(&text).iter().filter(wanted).map(|object| object.line().to_owned()).collect())
    }

    /// Copies all rows, the places of sequences and large objects from one server into the other.
    pub(super) fn rows(&self, source: &Server, target: &Server, owner: Option<&str>) -> Result<u64> {
        let mut command = self.dumping(source)?;
        // Unlike the section of that name, this holds that large objects are there, not only what is in them.
        command.args(["--format=custom", "--compress=0", "--data-only"]).stdout(Stdio::piped());
        let mut dumping = Running::start_within(&mut command, self.control, self.args.silence())?;
        let mut command = self.restoring(target, owner)?;
        // The rows are what they are: no trigger changes them, and no order of tables is asked for.
        command.env("PGOPTIONS", "-c session_replication_role=replica");
        let mut restoring = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::null()), self.control)?;
        let moved = self.pump(&mut dumping, &mut restoring);
        let dumped = if moved.is_ok() {
            dumping.end()?
        } else {
            dumping.kill();
            Ok(())
        };
        if moved.is_ok() && dumped.is_err() {
            // What was fed is not the whole: the transaction must not end well.
            restoring.kill();
        }
        let restored = restoring.end()?;
        self.stopped()?;
        dumped.map_err(|said| not_dumped(source, &said))?;
        restored.map_err(|said| not_restored(target, &said))?;
        moved.map_err(|e| WorkerError::engine("handing a dump over", e))
    }

    fn stopped(&self) -> Result<()> {
        if self.control.is_cancelled() { Err(WorkerError::Cancelled) } else { Ok(()) }
    }

    /// Hands the dump over, part after part.
    fn pump(&self, from: &mut Running, to: &mut Running) -> std::io::Result<u64> {
        let mut sink = to.stdin.take();
        let (mut buffer, mut moved) = (vec![0_u8; 256 << 10], 0_u64);
        let Some(mut heard) = from.heard() else { return Ok(0) };
        loop {
            let read = match heard.read(&mut buffer) {
                Ok(0) => return Ok(moved),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if let Some(sink) = &mut sink {
                std::io::Write::write_all(sink, buffer.get(..read).unwrap_or_default())?;
            }
            moved += read as u64;
            self.control.count_bytes(read as u64);
        }
    }

    /// Counts and digests of everything in a database, as PostgreSQL's own programs tell it.
    pub(super) fn digests(&self, server: &Server) -> Result<Tables> {
        let mut command = self.dumping(server)?;
        command.args(["--format=plain", "--section=data", "--no-owner", "--no-privileges"]).stdout(Stdio::piped());
        let mut running = Running::start(&mut command, self.control)?;
        let tables = match running.stdout.take() {
            Some(stdout) => archive::tables(stdout).map_err(|e| WorkerError::engine("reading rows", e))?,
            None => Tables::new(),
        };
        let ended = running.end()?;
        self.stopped()?;
        ended.map_err(|said| not_dumped(server, &said))?;
        Ok(tables)
    }
}

fn not_dumped(server: &Server, said: &str) -> WorkerError {
    server.failed(
        "DumpFailed",
        format!("pg_dump failed: {said}"),
        "let the user read everything (GRANT pg_read_all_data), and mend what pg_dump names",
    )
}

fn not_restored(server: &Server, said: &str) -> WorkerError {
    let fix = if said.contains("role ") && said.contains("does not exist") {
        "create the role, or prepare with --owner: then everything belongs to one role of the target"
    } else {
        "mend what pg_restore names and run the command again"
    };
    server.failed("DatabaseNotRestored", format!("nothing was changed; pg_restore failed: {said}"), fix)
}
