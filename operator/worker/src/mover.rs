//! Movers: they take an existing system onto the cloud, one verb a process.
//!
//! Every verb may be killed at any moment and is then started again. Both sides keep a fence record; a verb of an epoch lower than
//! the recorded one is refused before it changes anything, one of a higher epoch raises the record first.

pub mod database;
pub mod files;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::control::Control;
use crate::error::{Result, WorkerError};

/// What to move.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// The kind of source.
    #[command(subcommand)]
    pub kind: MoveKind,
}

/// The kinds of source.
#[derive(Debug, Subcommand)]
pub enum MoveKind {
    /// A file tree, from one mounted directory to another.
    #[command(subcommand)]
    Files(files::Verb),
    /// A PostgreSQL database, from one server to another.
    #[command(subcommand)]
    Database(database::Verb),
}

/// Carries out a verb. Some report and fail: the report says why.
pub fn carry_out(args: MoveArgs, runtime: &Handle, control: &Control) -> Result<Told> {
    match args.kind {
        MoveKind::Files(verb) => files::carry_out(verb, control),
        MoveKind::Database(verb) => database::carry_out(verb, runtime, control),
    }
}

/// The report of a verb, and how it ended.
pub type Told = (serde_json::Value, Result<()>);

fn told<T: Serialize>(report: &T) -> Result<serde_json::Value> {
    serde_json::to_value(report).map_err(|e| WorkerError::engine("writing the report", e))
}

fn done<T: Serialize>(report: &T) -> Result<Told> {
    Ok((told(report)?, Ok(())))
}

/// In whose name a verb acts.
#[derive(Clone, Debug, Args)]
pub struct Ticket {
    /// The migration.
    #[arg(long, value_name = "NAME")]
    pub migration: String,
    /// Its epoch: whoever takes a migration over gives a higher one.
    #[arg(long, value_name = "N")]
    pub epoch: u64,
}

/// Which side may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The source is in use; the target is closed and follows.
    Following,
    /// Both are closed.
    Frozen,
    /// The target is in use; the source is closed.
    Open,
}

/// What either side says of the migration that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The migration.
    pub migration: String,
    /// The highest epoch that was seen.
    pub epoch: u64,
    /// Which side may be written.
    pub state: State,
}

impl Mark {
    /// That of a migration that begins: the source is in use.
    fn begun(ticket: &Ticket) -> Self {
        Self { migration: ticket.migration.clone(), epoch: ticket.epoch, state: State::Following }
    }

    /// Says that the target was taken from applications; where they never had it, nothing changes.
    fn taken(&mut self) {
        if self.state == State::Open {
            self.state = State::Frozen;
        }
    }

    /// Refuses another migration and a lower epoch.
    pub fn admit(&self, side: &str, ticket: &Ticket) -> Result<()> {
        if self.migration != ticket.migration {
            return Err(WorkerError::moving(
                "OtherMigration",
                side,
                format!("it belongs to the migration {}", self.migration),
                "end that one with `drop`, or name another source or target",
            ));
        }
        if self.epoch > ticket.epoch {
            return Err(WorkerError::moving(
                "EpochOutrun",
                side,
                format!("epoch {} was taken over by epoch {}; nothing was changed", ticket.epoch, self.epoch),
                "leave it to whoever acts under the higher epoch",
            ));
        }
        Ok(())
    }
}

/// How sure it is that nobody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strength {
    /// Seen here and now.
    Proven,
    /// Somebody says so, and nothing that was seen speaks against it.
    Declared,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Severity {
    /// The migration cannot go on, unless somebody accepts it by its code.
    Blocking,
    /// Something will be other than before.
    Warning,
    /// Worth knowing.
    Info,
}

/// Something that a person should decide on or know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Word for programs.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: String,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub remedy: String,
}

/// The first finding that blocks, as the error that says so.
fn blocking(findings: &[Finding]) -> Option<WorkerError> {
    let first = findings.iter().find(|finding| finding.severity == Severity::Blocking)?.clone();
    Some(WorkerError::moving("FindingsBlock", first.subject, first.evidence, first.remedy))
}
