//! A PostgreSQL database back into a server: all of it or nothing.
//!
//! `pg_restore` writes in one transaction, so one that is killed leaves what was there before, and the next begins anew. Rows and
//! objects are compared afterwards, by what PostgreSQL's own programs say of the dump and of the target. What other sessions of ours
//! left running is ended first: a killed worker's `pg_restore` might still be at work.

mod feed;
mod fits;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::Handle;

use super::restore::{Existing, Outcome, Ready, Tally};
use super::verify::Scratch;
use crate::database::archive::{self, Object, Tables};
use crate::database::login::Login;
use crate::database::tool::{Running, Tool};
use crate::database::{DatabaseArgs, Server};
use crate::error::{Result, WorkerError};
use crate::secret::sha256_hex;

/// How long a session of a killed worker may take to end.
const ENDING: Duration = Duration::from_secs(30);
/// How many names of a list are told.
const NAMED: usize = 20;

/// Where a database goes.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// How it is reached.
    pub(super) login: Login,
    /// What is true of all databases.
    pub(super) args: &'a DatabaseArgs,
    /// Everything belongs to whoever restores.
    pub(super) without_roles: bool,
    /// Nothing is written.
    pub(super) dry_run: bool,
    /// For whoever waits.
    pub(super) runtime: &'a Handle,
}

/// What there is to say of a database beyond its objects.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseReport {
    /// Version of the server.
    pub server_version: String,
    /// Digest of what would be or was done: backup, target, policy, objects in both.
    pub digest: String,
    /// Objects that are in the way, the first ones; with `--existing fail` nothing is written then.
    pub in_the_way: Vec<String>,
    /// Objects of the target that the backup does not hold, the first ones. They stay.
    pub left: Vec<String>,
    /// Tables that were compared row by row.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Whether everything that the backup holds stands at the target; none if that was not looked at.
    pub equal: Option<bool>,
}

/// Restores the source of a proved backup.
pub(super) fn restore(ready: &Ready<'_>, target: &Target<'_>, tally: &mut Tally) -> Result<()> {
    let damaged = || WorkerError::damaged("the manifest", "it says nothing of the database");
    let record = ready.source.database.clone().ok_or_else(damaged)?;
    let (dump, load) = (Tool::find("pg_dump", target.args)?, Tool::find("pg_restore", target.args)?);
    let server = Server::connect(&target.login, target.args, target.runtime, ready.control)?;
    fits::check(&server, &record, &dump, &load)?;
    let scratch = Scratch::new()?;
    let mut work = Restore { ready, target, server, dump, load, scratch, tally, parts: feed::parts(ready)? };
    work.run()
}

struct Restore<'a> {
    ready: &'a Ready<'a>,
    target: &'a Target<'a>,
    server: Server,
    dump: Tool,
    load: Tool,
    scratch: Scratch,
    tally: &'a mut Tally,
    /// The parts of the dump, in order.
    parts: Vec<feed::Part>,
}

impl Restore<'_> {
    fn run(&mut self) -> Result<()> {
        let stored = self.stored_objects()?;
        self.end_others()?;
        let there = self.objects_there()?;
        let counts = |object: &&Object| !object.is_of_extension() && !object.is_of_every_database();
        let in_the_way: Vec<&Object> = there.iter().filter(counts).collect();
        let wanted: Vec<&Object> = stored.iter().filter(|object| !is_data(&object.name)).filter(counts).collect();
        let (names_there, names_wanted) = (archive::names(&there), archive::names(&stored));
        let left = in_the_way.iter().filter(|object| !names_wanted.contains(object.name.as_str()));
        let mut report = DatabaseReport {
            server_version: self.server.version.clone(),
            digest: self.digest(&stored, &in_the_way)?,
            in_the_way: first(in_the_way.iter().map(|object| &object.name)),
            left: first(left.map(|object| &object.name)),
            ..DatabaseReport::default()
        };
        let outcome = if in_the_way.is_empty() {
            Outcome::Created
        } else if self.ready.existing == Existing::Skip {
            Outcome::Skipped
        } else if wanted.iter().all(|object| names_there.contains(object.name.as_str())) && self.stands(&mut report)? {
            // A worker that was killed after its transaction ended left it so.
            Outcome::Same
        } else {
            Outcome::Replaced
        };
        let refused = outcome == Outcome::Replaced && self.ready.existing == Existing::Fail;
        if refused && !self.target.dry_run {
            return Err(WorkerError::Target {
                target: format!("database {}", self.target.login.shown()),
                problem: format!("is not empty: it holds {}", report.in_the_way.join(", ")),
                fix: "name an empty database, or say --existing skip or --existing replace".to_owned(),
            });
        }
        let of = |object: &Object| match outcome {
            Outcome::Replaced if refused => Outcome::Failed,
            Outcome::Replaced if !is_data(&object.name) && !names_there.contains(object.name.as_str()) => {
                Outcome::Created
            }
            Outcome::Created if object.is_of_extension() && names_there.contains(object.name.as_str()) => Outcome::Same,
            other => other,
        };
        if self.target.dry_run || matches!(outcome, Outcome::Skipped | Outcome::Same) {
            self.enter(&stored, of)?;
            self.tally.database(report);
            return Ok(());
        }
        self.ready.control.enter("restoring");
        let tables = self.write(&stored, &there, outcome == Outcome::Replaced)?;
        self.ready.control.enter("comparing");
        let differences = self.compare(&tables, &names_wanted, &mut report)?;
        self.enter(&stored, of)?;
        let top = self.ready.top();
        for difference in differences {
            self.tally.enter(&top.join("dump"), Outcome::Failed, Some(difference))?;
        }
        self.tally.database(report);
        Ok(())
    }

    fn enter(&mut self, stored: &[Object], of: impl Fn(&Object) -> Outcome) -> Result<()> {
        let top = self.ready.top();
        for object in stored.iter().filter(|object| !object.is_of_every_database()) {
            let outcome = of(object);
            let cause = (outcome == Outcome::Failed).then(|| "the database is not empty".to_owned());
            self.tally.enter(&top.join(PathBuf::from(&object.name)), outcome, cause)?;
        }
        Ok(())
    }

    /// What would be done, as one number: nothing else is carried out under it.
    fn digest(&self, stored: &[Object], there: &[&Object]) -> Result<String> {
        let policy = match self.ready.existing {
            Existing::Fail => "fail",
            Existing::Skip => "skip",
            Existing::Replace => "replace",
        };
        let told = serde_json::json!({
            "format": 1, "backup": self.ready.snapshot.id, "source": self.ready.source.name,
            "target": self.server.identity, "existing": policy, "withoutRoles": self.target.without_roles,
            "stored": archive::names(stored), "there": there.iter().map(|object| &object.name).collect::<Vec<_>>(),
        });
        let text = serde_json::to_vec(&told).map_err(|e| WorkerError::engine("telling what would be done", e))?;
        Ok(format!("sha256:{}", sha256_hex(&text)))
    }

    /// Ends what a killed worker left at work. Its transaction ends with it, one way or the other.
    fn end_others(&self) -> Result<()> {
        if self.target.dry_run {
            return Ok(());
        }
        let others = "FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user \
                      AND application_name = 'zhengyun-worker-pg_restore'";
        let begun = Instant::now();
        while self.server.one(&format!("SELECT count(pg_terminate_backend(pid)) {others}"))? != "0" {
            self.ready.control.check()?;
            if begun.elapsed() > ENDING {
                return Err(self.server.failed(
                    "DatabaseBusy",
                    "another restore is at work there and does not end",
                    "wait for it, or end its session at the server",
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn stored_objects(&self) -> Result<Vec<Object>> {
        let mut command = self.load.alone(self.scratch.directory());
        command.arg("--list").stdin(Stdio::piped()).stdout(Stdio::piped());
        let listed = feed::through(self.ready, &self.parts, &mut [], &mut command, |mut stdout| {
            let mut list = String::new();
            std::io::Read::read_to_string(&mut stdout, &mut list).map(|_| list)
        })?;
        let list = listed.map_err(|said| {
            WorkerError::damaged(format!("the dump of {}", self.ready.source.name), format!("pg_restore says: {said}"))
        })?;
        Ok(archive::objects(&list))
    }

    fn objects_there(&self) -> Result<Vec<Object>> {
        let mut dump = self.dump.on(&self.server, self.scratch.directory())?;
        dump.args(["--format=custom", "--compress=0", "--no-password", "--schema-only"]).stdout(Stdio::piped());
        let mut dumping = Running::start(&mut dump, self.ready.control)?;
        let mut list = self.load.alone(self.scratch.directory());
        list.arg("--list").stdout(Stdio::piped());
        if let Some(stdout) = dumping.stdout.take() {
            list.stdin(Stdio::from(stdout));
        }
        let mut listing = Running::start(&mut list, self.ready.control)?;
        // Here it would keep the pipe open.
        drop(list);
        let mut text = String::new();
        if let Some(mut stdout) = listing.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut text)
                .map_err(|e| WorkerError::engine("reading a list", e))?;
        }
        let listed = listing.end()?;
        dumping.end()?.map_err(|said| self.unreadable(&said))?;
        listed.map_err(|said| self.unreadable(&said))?;
        let mut objects = archive::objects(&text);
        // The list does not name them one by one; they count where nothing else does.
        let bare = objects.iter().all(|object| object.is_of_extension() || object.is_of_every_database());
        if bare && self.server.one("SELECT count(*) FROM pg_largeobject_metadata")? != "0" {
            objects.extend(archive::objects("0; 0 0 LARGE OBJECTS - all -"));
        }
        Ok(objects)
    }

    fn unreadable(&self, said: &str) -> WorkerError {
        self.server.failed(
            "DumpFailed",
            format!("pg_dump cannot read the target: {said}"),
            "let the user read everything there (GRANT pg_read_all_data)",
        )
    }

    /// The rows at the target.
    fn rows_there(&self) -> Result<Tables> {
        let mut command = self.dump.on(&self.server, self.scratch.directory())?;
        command.args(["--format=plain", "--no-password", "--section=data"]).stdout(Stdio::piped());
        let mut running = Running::start(&mut command, self.ready.control)?;
        let tables = match running.stdout.take() {
            Some(stdout) => archive::tables(stdout).map_err(|e| WorkerError::engine("reading rows", e))?,
            None => Tables::new(),
        };
        running.end()?.map_err(|said| self.unreadable(&said))?;
        Ok(tables)
    }

    /// The rows in the dump.
    fn rows_stored(&self) -> Result<Tables> {
        let mut command = self.reading_rows();
        feed::through(self.ready, &self.parts, &mut [], &mut command, archive::tables)?
            .map_err(|said| WorkerError::damaged("the dump", format!("pg_restore says: {said}")))
    }

    fn reading_rows(&self) -> std::process::Command {
        let mut command = self.load.alone(self.scratch.directory());
        command.args(["--section=data", "--file=-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// Whether the target holds the rows of the backup already.
    fn stands(&self, report: &mut DatabaseReport) -> Result<bool> {
        let stored = self.rows_stored()?;
        count(&stored, report);
        let equal = archive::differences(&stored, &self.rows_there()?).is_empty();
        report.equal = Some(equal);
        Ok(equal)
    }

    /// Writes, in one transaction; the rows that were written are counted on the way.
    fn write(&self, stored: &[Object], there: &[Object], clean: bool) -> Result<Tables> {
        let mut command = self.load.on(&self.server, self.scratch.directory())?;
        command.args(["--single-transaction", "--exit-on-error", "--no-password"]);
        // As the value of a connection string, so that no name is taken for one.
        let quoted = self.target.login.database.replace('\\', "\\\\").replace('\'', "\\'");
        command.arg(format!("--dbname=dbname='{quoted}'"));
        if clean {
            command.args(["--clean", "--if-exists"]);
        }
        if self.target.without_roles {
            command.args(["--no-owner", "--no-privileges"]);
        }
        // An extension that is there belongs to whoever installed it.
        let names = archive::names(there);
        let kept = |object: &&Object| {
            !object.extension().is_some_and(|name| {
                names.contains(format!("EXTENSION - {name}").as_str())
                    || names.contains(format!("EXTENSION - \"{name}\"").as_str())
            })
        };
        let list: Vec<&str> = stored.iter().filter(kept).map(Object::line).collect();
        if list.len() < stored.len() {
            let file = self.scratch.directory().join("list");
            std::fs::write(&file, list.join("\n") + "\n").map_err(|e| WorkerError::local(&file, e))?;
            command.arg("--use-list").arg(file);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut writing = Running::start(&mut command, self.ready.control)?;
        let stdin = writing.stdin.take();
        let mut rows = self.reading_rows();
        let mut sinks: Vec<_> = stdin.into_iter().collect();
        let tables = feed::through(self.ready, &self.parts, &mut sinks, &mut rows, archive::tables);
        if !matches!(tables, Ok(Ok(_))) {
            // What was fed is not the whole: the transaction must not end well.
            writing.kill();
        }
        let tables = tables?.map_err(|said| WorkerError::damaged("the dump", format!("pg_restore says: {said}")))?;
        drop(sinks);
        writing.end()?.map_err(|said| self.not_written(&said))?;
        Ok(tables)
    }

    fn not_written(&self, said: &str) -> WorkerError {
        if self.ready.control.is_cancelled() {
            return WorkerError::Cancelled;
        }
        let fix = if said.contains("role ") && said.contains("does not exist") {
            "create the role, or restore with --without-roles: then everything belongs to the user that restores"
        } else if said.contains("other objects depend on it") {
            "drop what depends on it and is not in the backup, or restore into an empty database"
        } else {
            "mend what pg_restore names and run the command again"
        };
        self.server.failed("DatabaseNotRestored", format!("nothing was changed; pg_restore failed: {said}"), fix)
    }

    /// What stands at the target, held against the dump.
    fn compare(
        &self,
        stored: &Tables,
        wanted: &std::collections::BTreeSet<&str>,
        report: &mut DatabaseReport,
    ) -> Result<Vec<String>> {
        let there = self.objects_there()?;
        let names = archive::names(&there);
        let of_roles =
            |name: &str| self.target.without_roles && (name.starts_with("ACL ") || name.starts_with("DEFAULT ACL "));
        let lost = |name: &&&str| !names.contains(**name) && !is_data(name) && !of_roles(name) && !is_common(name);
        let mut differences: Vec<String> =
            wanted.iter().filter(lost).map(|name| format!("{name}: it is not there")).collect();
        differences.extend(archive::differences(stored, &self.rows_there()?));
        count(stored, report);
        report.equal = Some(differences.is_empty());
        Ok(differences)
    }
}

fn count(tables: &Tables, report: &mut DatabaseReport) {
    report.tables = tables.len() as u64;
    report.rows = tables.values().map(|rows| rows.count).sum();
}

/// Entries of a dump that are rows and not objects.
fn is_data(name: &str) -> bool {
    [
        "TABLE DATA ",
        "SEQUENCE SET ",
        "MATERIALIZED VIEW DATA ",
        "BLOB",
        "LARGE OBJECT",
        "COMMENT - LARGE OBJECT",
        "ACL - LARGE OBJECT",
    ]
    .iter()
    .any(|begin| name.starts_with(begin))
}

/// Entries that every database has, or that belong to extensions.
fn is_common(name: &str) -> bool {
    let object = archive::objects(&format!("0; 0 0 {name} -"));
    object.iter().any(|object| object.is_of_every_database() || object.is_of_extension())
}

fn first<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.take(NAMED).cloned().collect()
}
