//! A PostgreSQL database: from one server to another, by logical replication while it is in use, or by a dump under the freeze where
//! replication does not carry everything.

mod changes;
mod copy;
mod digest;
mod fence;
mod findings;
mod fingerprint;
mod finish;
mod freeze;
mod gate;
mod inventory;
mod keeper;
mod known;
mod load;
mod marks;
mod prepare;
mod record;
mod roles;
mod rounds;
mod sql;
mod stream;
mod switch;
mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::runtime::Handle;

use super::{Finding, Ticket, Told, done, told};
use crate::control::Control;
use crate::database::DatabaseArgs;
use crate::database::login::Login;
use crate::error::Result;
use copy::CopyArgs;
use fence::Sides;
use finish::FinishArgs;
use freeze::FreezeArgs;
use prepare::{PrepareArgs, WantedMode};
use record::Mode;
use switch::DropArgs;

/// What to do with a database.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what is in the source and what stands in the way; nothing is changed.
    Assess(AssessArgs),
    /// Make the target ready: closed, empty or ours, with the schema and what copying needs.
    Prepare(PrepareArgs),
    /// Copy all rows; --follow keeps in step.
    Copy(CopyArgs),
    /// Compare both sides while the source is in use.
    Compare(Sides),
    /// Close the source to applications, and prove it.
    Freeze(FreezeArgs),
    /// Under the freeze: carry over what is left, and compare both sides.
    Finish(FinishArgs),
    /// Give the target to applications.
    Open(Sides),
    /// Take the target from applications, and prove it.
    Close(Sides),
    /// Open the source as it was, once the target is proved closed.
    Thaw(Sides),
    /// Take away what the migration made, and with --data what it copied.
    Drop(DropArgs),
}

/// What to look at.
#[derive(Clone, Debug, Args)]
pub struct AssessArgs {
    /// In whose name.
    #[command(flatten)]
    pub ticket: Ticket,
    /// File with the login of the database that is moved.
    #[arg(long, value_name = "FILE")]
    pub source_database_file: PathBuf,
    /// File with the login of the database that receives it, to be held against the source; nothing is changed there either.
    #[arg(long, value_name = "FILE")]
    pub target_database_file: Option<PathBuf>,
    /// How the rows are to come over.
    #[arg(long, value_enum, default_value_t = WantedMode::Auto)]
    pub mode: WantedMode,
    /// Role that an application logs in with, besides those that are found; may be given several times.
    #[arg(long, value_name = "ROLE")]
    pub application_role: Vec<String>,
    /// What is true of both.
    #[command(flatten)]
    pub databases: DatabaseArgs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Assessed {
    migration: String,
    source: String,
    mode: Mode,
    inventory: inventory::Inventory,
    findings: Vec<Finding>,
}

/// Carries out a verb. Some report and fail: the report says why.
pub fn carry_out(verb: Verb, runtime: &Handle, control: &Control) -> Result<Told> {
    match verb {
        Verb::Assess(args) => done(&assess(&args, runtime, control)?),
        Verb::Prepare(args) => {
            let (report, outcome) = prepare::prepare(&args, runtime, control)?;
            Ok((told(&report)?, outcome))
        }
        Verb::Copy(args) => done(&copy::copy(&args, runtime, control)?),
        Verb::Compare(sides) => done(&finish::compare(&sides, runtime, control)?),
        Verb::Freeze(args) => done(&freeze::freeze(&args, runtime, control)?),
        Verb::Finish(args) => {
            let (report, outcome) = finish::finish(&args, runtime, control)?;
            Ok((told(&report)?, outcome))
        }
        Verb::Open(sides) => done(&switch::open(&sides, runtime, control)?),
        Verb::Close(sides) => done(&switch::close(&sides, runtime, control)?),
        Verb::Thaw(sides) => done(&freeze::thaw(&sides, runtime, control)?),
        Verb::Drop(args) => done(&switch::drop_all(&args, runtime, control)?),
    }
}

fn assess(args: &AssessArgs, runtime: &Handle, control: &Control) -> Result<Assessed> {
    control.enter("assessing");
    let login = Login::read("--source-database-file", &args.source_database_file)?;
    let source = sql::connect(&login, &args.databases, runtime, control)?;
    let inventory = inventory::look(&source, &args.application_role, &gate::ours(&source, &[])?)?;
    let mode = match args.mode {
        WantedMode::Auto => findings::mode(&inventory),
        WantedMode::Replication => Mode::Replication,
        WantedMode::Dump => Mode::Dump,
    };
    let mut found = findings::of_source(&inventory, mode);
    if let Some(file) = &args.target_database_file {
        let login = Login::read("--target-database-file", file)?;
        let target = sql::connect(&login, &args.databases, runtime, control)?;
        found.extend(prepare::held_against(&inventory, &target, mode)?);
    }
    Ok(Assessed { migration: args.ticket.migration.clone(), source: login.shown(), mode, inventory, findings: found })
}
