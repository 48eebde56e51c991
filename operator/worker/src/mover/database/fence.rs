//! The two sides, and the records by which a migration holds them.
//!
//! Each side has one record, in a schema of the migration. Whoever works holds a lock on both sides by the session that it changes
//! them with. Whoever comes with a higher epoch raises the records and ends the sessions of those before: what a worker that was
//! stopped and woke up says after that reaches no server.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use super::record::{SourceRecord, TargetRecord};
use super::sql::{APPLICATION, SCHEMA, connect, text, until};
use crate::control::Control;
use crate::database::login::Login;
use crate::database::{DatabaseArgs, Server};
use crate::error::{Result, WorkerError};
use crate::mover::{Mark, Ticket};

/// Key of the lock that a mover holds on a database.
const LOCK: u64 = 0x7a68_656e_6779_756e;

/// How long one of before may hold the record before it is ended.
const HELD: Duration = Duration::from_secs(2);
/// How often that is tried.
const TAKEN_OVER: usize = 5;

/// From where to where, and in whose name.
#[derive(Clone, Debug, Args)]
pub struct Sides {
    /// In whose name.
    #[command(flatten)]
    pub ticket: Ticket,
    /// File with the login of the database that is moved.
    #[arg(long, value_name = "FILE")]
    pub source_database_file: std::path::PathBuf,
    /// File with the login of the database that receives it; it must exist.
    #[arg(long, value_name = "FILE")]
    pub target_database_file: std::path::PathBuf,
    /// Seconds to wait for another process of the same migration to end.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub wait_seconds: u64,
    /// What is true of both.
    #[command(flatten)]
    pub databases: DatabaseArgs,
}

/// A record that says whose a side is.
pub(super) trait Marked: Serialize + DeserializeOwned + Clone {
    fn mark(&self) -> &Mark;
    fn mark_mut(&mut self) -> &mut Mark;
    /// Identity of the database on the other side.
    fn other(&self) -> &str;
}

/// A side that is held.
#[derive(Debug)]
pub(super) struct Held<R> {
    pub(super) server: Server,
    side: &'static str,
    ticket: Ticket,
    record: std::marker::PhantomData<fn() -> R>,
}

/// Both sides, held.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) source: Held<SourceRecord>,
    pub(super) target: Held<TargetRecord>,
    pub(super) sides: Sides,
}

/// Which database it is, whatever name leads to its server.
pub(super) fn identity(server: &Server) -> String {
    let parts: Vec<&str> = server.identity.rsplitn(3, '/').collect();
    match parts.as_slice() {
        [system, database, _] => format!("{system}/{database}"),
        _ => server.identity.clone(),
    }
}

/// Connects to both sides.
pub(super) fn connect_both(sides: &Sides, runtime: &Handle, control: &Control) -> Result<(Server, Server)> {
    let source = Login::read("--source-database-file", &sides.source_database_file)?;
    let target = Login::read("--target-database-file", &sides.target_database_file)?;
    let source = connect(&source, &sides.databases, runtime, control)?;
    let target = connect(&target, &sides.databases, runtime, control)?;
    if identity(&source) == identity(&target) {
        return Err(WorkerError::input(
            "--target-database-file",
            format!("{} is the source itself", target.login.shown()),
            "name another database",
        ));
    }
    Ok((source, target))
}

impl Pair {
    /// Holds both sides of a migration that was prepared. The epoch is raised before anything else is done.
    pub(super) fn open(sides: &Sides, runtime: &Handle, control: &Control) -> Result<Self> {
        let pair = Self::hold(sides, connect_both(sides, runtime, control)?, control)?;
        let record = pair.target.record()?;
        if !record.prepared {
            return Err(not_prepared("target", &pair.target.server));
        }
        Ok(pair)
    }

    /// Holds both sides; their records are there.
    pub(super) fn hold(sides: &Sides, (source, target): (Server, Server), control: &Control) -> Result<Self> {
        let (of_source, of_target) = (identity(&source), identity(&target));
        // Both are looked at before either is changed.
        look::<SourceRecord>("source", &source, &of_target, &sides.ticket)?;
        look::<TargetRecord>("target", &target, &of_source, &sides.ticket)?;
        let patience = Duration::from_secs(sides.wait_seconds);
        let source = Held::take("source", source, &sides.ticket, patience, control)?;
        let target = Held::take("target", target, &sides.ticket, patience, control)?;
        Ok(Self { source, target, sides: sides.clone() })
    }
}

fn not_prepared(side: &str, server: &Server) -> WorkerError {
    WorkerError::moving(
        "NotPrepared",
        format!("{side} {}", server.login.shown()),
        "nothing was prepared here, or it did not come to its end",
        "run `prepare` first",
    )
}

fn look<R: Marked>(side: &'static str, server: &Server, other: &str, ticket: &Ticket) -> Result<()> {
    let record: R = read(server)?.ok_or_else(|| not_prepared(side, server))?;
    record.mark().admit(&format!("{side} {}", server.login.shown()), ticket)?;
    if record.other() == other {
        return Ok(());
    }
    Err(WorkerError::moving(
        "OtherMigration",
        format!("{side} {}", server.login.shown()),
        "it was prepared with another database on the other side",
        "name the databases that the migration was prepared with",
    ))
}

/// Reads the record of a side; none if there is none.
pub(super) fn read<R: DeserializeOwned>(server: &Server) -> Result<Option<R>> {
    let owner = server.rows(&format!(
        "SELECT pg_get_userbyid(nspowner) = current_user, pg_get_userbyid(nspowner), to_regclass('{SCHEMA}.fence') IS NOT NULL \
         FROM pg_namespace WHERE nspname = '{SCHEMA}'"
    ))?;
    let Some([ours, owner, has_record]) = owner.first().map(Vec::as_slice) else { return Ok(None) };
    if ours != "t" {
        // A record that somebody else can write says nothing.
        return Err(WorkerError::moving(
            "OtherMigration",
            server.login.shown(),
            format!("its schema {SCHEMA} belongs to {owner}"),
            format!("log in as {owner} if it is a migration of yours, or remove the schema"),
        ));
    }
    if has_record != "t" {
        return Ok(None);
    }
    let text = server.one(&format!("SELECT record FROM {SCHEMA}.fence"))?;
    if text.is_empty() {
        return Ok(None);
    }
    let damaged = |e: serde_json::Error| {
        WorkerError::damaged(format!("{SCHEMA}.fence of {}", server.login.shown()), e.to_string())
    };
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

fn put<R: Serialize>(record: &R) -> Result<String> {
    let json = serde_json::to_string(record).map_err(|e| WorkerError::engine("writing a record", e))?;
    Ok(format!(
        "INSERT INTO {SCHEMA}.fence (record) VALUES ({}) ON CONFLICT (one) DO UPDATE SET record = EXCLUDED.record",
        text(&json)
    ))
}

/// Makes the record of a side, unless it has one.
pub(super) fn claim<R: Serialize + DeserializeOwned>(server: &Server, record: &R) -> Result<bool> {
    if read::<R>(server)?.is_some() {
        return Ok(false);
    }
    server.rows(&format!(
        "CREATE SCHEMA IF NOT EXISTS {SCHEMA}; REVOKE ALL ON SCHEMA {SCHEMA} FROM PUBLIC; \
         CREATE TABLE {SCHEMA}.fence (one boolean PRIMARY KEY DEFAULT true CHECK (one), record json NOT NULL); {}",
        put(record)?
    ))?;
    Ok(true)
}

impl<R: Marked> Held<R> {
    fn take(
        side: &'static str,
        server: Server,
        ticket: &Ticket,
        patience: Duration,
        control: &Control,
    ) -> Result<Self> {
        let held = Self { server, side, ticket: ticket.clone(), record: std::marker::PhantomData };
        if held.record()?.mark().epoch < ticket.epoch {
            held.raise(ticket)?;
            held.end_others()?;
        }
        let busy = until(patience, control, || {
            let locked = held.server.one(&format!("SELECT pg_try_advisory_lock({LOCK})"))?;
            Ok((locked != "t").then(|| "another process of it is at work".to_owned()))
        })?;
        if let Some(problem) = busy {
            return Err(WorkerError::Move {
                reason: "MoverBusy",
                subject: "the migration".to_owned(),
                problem,
                fix: "wait for it, or give --wait-seconds".to_owned(),
                transient: true,
            });
        }
        // Somebody may have come with a higher epoch while this one waited.
        held.record()?;
        Ok(held)
    }

    /// Raises the record's epoch.
    fn raise(&self, ticket: &Ticket) -> Result<()> {
        let raise = || self.change("", |record| record.mark_mut().epoch = ticket.epoch);
        self.server.rows(&format!("SET lock_timeout = {}", HELD.as_millis()))?;
        let mut raised = raise();
        for _ in 0..TAKEN_OVER {
            if raised.is_ok() {
                break;
            }
            // One that was stopped in the middle of a change holds the record: what it changed is rolled back with its session.
            self.end_others()?;
            raised = raise();
        }
        self.server.rows("SET lock_timeout = 0")?;
        raised.map(drop)
    }

    /// Ends the sessions of whoever worked under a lower epoch, and of its programs.
    fn end_others(&self) -> Result<()> {
        self.server.rows(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND usename = current_user AND application_name LIKE '{APPLICATION}%'"
        ))?;
        Ok(())
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.side, self.server.login.shown())
    }

    /// The record, if the side is still ours.
    pub(super) fn record(&self) -> Result<R> {
        let record: R = read(&self.server)?.ok_or_else(|| not_prepared(self.side, &self.server))?;
        record.mark().admit(&self.shown(), &self.ticket)?;
        Ok(record)
    }

    /// Changes the side and its record, both or neither.
    pub(super) fn change(&self, statements: &str, edit: impl FnOnce(&mut R)) -> Result<R> {
        self.server.rows("BEGIN")?;
        let done = self.within(statements, edit).and_then(|record| self.server.rows("COMMIT").map(|_| record));
        if done.is_err() {
            // The first error counts; a session that is gone has rolled back already.
            let _ = self.server.rows("ROLLBACK");
        }
        done
    }

    fn within(&self, statements: &str, edit: impl FnOnce(&mut R)) -> Result<R> {
        self.server.rows(&format!("SELECT FROM {SCHEMA}.fence FOR UPDATE"))?;
        let mut record = self.record()?;
        edit(&mut record);
        if !statements.is_empty() {
            self.server.rows(statements)?;
        }
        self.server.rows(&put(&record)?)?;
        Ok(record)
    }
}
