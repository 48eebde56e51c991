//! A PostgreSQL database back into a server: all of it or nothing.
//!
//! `pg_restore` writes in one transaction, so one that is killed leaves what was there before, and the next begins anew. Rows and
//! objects are compared afterwards, by what PostgreSQL's own programs say of the dump and of the target. What other sessions of ours
//! left running is ended first: a killed worker's `pg_restore` might still be at work.

mod feed;
mod fits;
mod standing;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::Handle;

use self::standing::is_data;
use super::restore::{Existing, Outcome, Ready, Tally};
use super::verify::Scratch;
use crate::database::archive::{self, Object, Tables};
use crate::database::login::Login;
use crate::database::scratch::ScratchDatabase;
use crate::database::tool::{Running, Tool};
use crate::database::{DatabaseArgs, Server};
use crate::error::{Result, WorkerError};
use crate::secret::sha256_hex;

/// How long a session of a killed worker may take to end.
const ENDING: Duration = Duration::from_secs(30);
/// How many names of a list are told.
const NAMED: usize = 20;
/// Reason of an error after which the target stands as before.
pub const NOT_RESTORED: &str = "DatabaseNotRestored";
/// Words of `pg_restore` after which it is not known how its transaction ended.
const LOST: [&str; 7] = [
    "server closed the connection",
    "terminating connection",
    "no connection to the server",
    "lost synchronization",
    "could not receive data",
    "could not send data",
    "SSL ",
];

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
    /// A process before this one may have written it.
    pub(super) resumes: bool,
    /// File that stands as soon as the database may have been written.
    pub(super) writing: Option<&'a Path>,
    /// A database that is made for this restore; the login is then one that may make it.
    pub(super) scratch: Option<&'a ScratchDatabase>,
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
    /// The database, objects of it in the backup, and bytes of the dump.
    pub listed: (u64, u64),
    /// Those of them that were compared and are what the backup says. Of a dump that differs nobody can say how many bytes are equal.
    pub same: (u64, u64),
}

/// Restores the source of a proved backup.
pub(super) fn restore(ready: &Ready<'_>, target: &Target<'_>, tally: &mut Tally) -> Result<()> {
    let damaged = || WorkerError::damaged("the manifest", "it says nothing of the database");
    let record = ready.source.database.clone().ok_or_else(damaged)?;
    let (dump, load) = (Tool::find("pg_dump", target.args)?, Tool::find("pg_restore", target.args)?);
    let mut server = Server::connect(&target.login, target.args, target.runtime, ready.control)?;
    fits::check(&server, &record, &dump, &load)?;
    let made;
    let target = match target.scratch {
        None => target,
        Some(scratch) => {
            let of = (record.encoding.as_str(), ready.source.origin.as_str());
            let login = scratch.make(&server, of, target.args, target.runtime, ready.control, || mark(target))?;
            server = Server::connect(&login, target.args, target.runtime, ready.control)?;
            made = Target { login, ..*target };
            &made
        }
    };
    fits::encoding(&server, &record)?;
    let scratch = Scratch::new()?;
    let mut work = Restore { ready, target, server, dump, load, scratch, tally, parts: feed::parts(ready)? };
    work.run()
}

/// Leaves the word that the database may have been written.
fn mark(target: &Target<'_>) -> Result<()> {
    target.writing.map_or(Ok(()), |marker| std::fs::write(marker, b"").map_err(|e| WorkerError::local(marker, e)))
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
        } else if wanted.iter().all(|object| names_there.contains(object.name.as_str()))
            && self.stands(&stored, &mut report)?
        {
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
        report.listed = (1 + stored.len() as u64, self.parts.iter().map(feed::Part::size).sum());
        if self.target.dry_run || matches!(outcome, Outcome::Skipped | Outcome::Same) {
            if outcome == Outcome::Same {
                report.same = report.listed;
            }
            self.enter(&stored, of)?;
            self.tally.database(report);
            return Ok(());
        }
        mark(self.target)?;
        self.ready.control.enter("restoring");
        let tables = self.write(&stored, &there, outcome == Outcome::Replaced)?;
        self.ready.control.enter("comparing");
        let differences = self.compare(&tables, &names_wanted, &mut report)?;
        report.same = match differences.len() as u64 {
            0 => report.listed,
            different => (report.listed.0.saturating_sub(different), 0),
        };
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

    /// Writes, in one transaction; the rows that were written are counted on the way.
    fn write(&self, stored: &[Object], there: &[Object], clean: bool) -> Result<Tables> {
        let mut command = self.load.on(&self.server, self.scratch.directory())?;
        command.args(["--single-transaction", "--exit-on-error", "--no-password"]);
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
        let fix = if said.contains("permission denied to create extension") {
            "name a template that holds the extension, made by a superuser, or let the user create it"
        } else if said.contains("role ") && said.contains("does not exist") {
            "create the role, or restore with --without-roles: then everything belongs to the user that restores"
        } else if said.contains("other objects depend on it") {
            "drop what depends on it and is not in the backup, or restore into an empty database"
        } else {
            "mend what pg_restore names and run the command again"
        };
        if is_lost(said) {
            return self.server.failed(
                "DatabaseOutcomeUnknown",
                format!("pg_restore lost the server, and whether its transaction ended is not known: {said}"),
                "look at the database, or plan the restore again: what stands there already is told",
            );
        }
        self.server.failed(NOT_RESTORED, format!("nothing was changed; pg_restore failed: {said}"), fix)
    }
}

/// Whether it is not known how a transaction ended, by the last words of whoever led it.
fn is_lost(said: &str) -> bool {
    // After this come the words of the dump.
    let (own, command) = said.split_once("Command was:").unwrap_or((said, ""));
    said.starts_with("signal: ") || LOST.iter().any(|word| own.contains(word)) || command.trim().starts_with("COMMIT")
}

fn first<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.take(NAMED).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::is_lost;

    #[test]
    fn what_is_not_known_is_told_from_what_was_undone() {
        for lost in [
            "pg_restore: error: could not execute query: server closed the connection unexpectedly\nCommand was: COMMIT",
            "pg_restore: error: could not execute query: FATAL:  terminating connection due to administrator command",
            "pg_restore: error: could not execute query: ERROR:  out of memory\nCommand was: COMMIT",
            "signal: 9 (SIGKILL): pg_restore: warning: one thing",
            "signal: 9 (SIGKILL)",
        ] {
            assert!(is_lost(lost), "{lost}");
        }
        for undone in [
            "pg_restore: error: could not execute query: ERROR:  role \"app\" does not exist\nCommand was: ALTER TABLE x OWNER TO app;",
            "pg_restore: error: could not execute query: ERROR:  relation \"connection\" already exists\nCommand was: CREATE TABLE terminating connection",
            "exit status: 1",
        ] {
            assert!(!is_lost(undone), "{undone}");
        }
    }
}
