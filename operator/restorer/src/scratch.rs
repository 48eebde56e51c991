//! A database that is made for one restore, which needs nobody's agreement; and the end of such databases.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;
use tokio::runtime::Handle;
use zhengyun_crds::recovery::Coverage;
use zhengyun_worker::control::Control;
use zhengyun_worker::database::Server;
use zhengyun_worker::database::login::Login;
use zhengyun_worker::database::scratch::{Found, ScratchDatabase};
use zhengyun_worker::error::WorkerError;
use zhengyun_worker::run::open;
use zhengyun_worker::run::restore::{self as worker, RestoreReport};

use crate::args::{DatabaseRemoveArgs, DatabaseRestoreArgs};
use crate::database;
use crate::ended::Ended;
use crate::restore::{self, Report};
use crate::told::{carried_out, number};

/// What became of databases that were to be removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Removed {
    /// For each what the server says of it.
    databases: BTreeMap<String, String>,
}

/// Makes the database, restores into it, and compares.
pub(crate) fn restore(
    args: &DatabaseRestoreArgs,
    name: &str,
    runtime: &Handle,
    control: &Control,
) -> Result<Report, Ended> {
    control.enter("planning");
    fs::create_dir_all(&args.state_dir).map_err(|e| WorkerError::local(&args.state_dir, e))?;
    count_start(args)?;
    let store = open::existing(&args.store, runtime)?;
    restore::recorded(&args.trust.chain(&store)?, &args.snapshot, &args.root)?;
    let mut order = database::order(args, false);
    order.database.scratch = Some(ScratchDatabase { name: name.to_owned(), template: args.template.clone() });
    order.database.writing = Some(database::writing(args));
    let named_by = args.server_named_by.as_deref().unwrap_or_default();
    let done = worker::restore(&order, runtime, control).map_err(|error| of_server(error, named_by))?;
    Ok(Report { coverage: coverage(&done), ..carried_out(String::new(), &done) })
}

/// Whether a process for the same was started that left no trace here: on another machine, or before this folder was lost.
pub(crate) fn ran_elsewhere(args: &DatabaseRestoreArgs) -> bool {
    args.attempt.is_some_and(|attempt| starts(args) < attempt)
}

fn starts(args: &DatabaseRestoreArgs) -> u32 {
    let counted = fs::read_to_string(args.state_dir.join("starts")).ok();
    counted.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

fn count_start(args: &DatabaseRestoreArgs) -> Result<(), WorkerError> {
    let (file, next) = (args.state_dir.join("starts"), args.state_dir.join("starts.next"));
    let count = starts(args).saturating_add(1).to_string();
    fs::write(&next, count).and_then(|()| fs::rename(&next, &file)).map_err(|e| WorkerError::local(&file, e))
}

/// How much of what the backup lists was compared and is as it says.
fn coverage(done: &RestoreReport) -> Option<Coverage> {
    let database = done.database.as_ref()?;
    Some(Coverage {
        objects_compared: number(database.same.0),
        objects_total: number(database.listed.0),
        objects_delivered: 0,
        bytes_compared: number(database.same.1),
        bytes_total: number(database.listed.1),
    })
}

/// Whoever mends it must know where the server was named.
fn of_server(error: WorkerError, named_by: &str) -> WorkerError {
    match error {
        WorkerError::Database { database, reason, problem, fix } => {
            WorkerError::Database { database: format!("{database} ({named_by})"), reason, problem, fix }
        }
        other => other,
    }
}

/// Removes databases that were made for a restore, and asks whether they are gone. One of the same name that is not such a one stays.
pub(crate) fn remove(args: &DatabaseRemoveArgs, runtime: &Handle, control: &Control) -> Result<Removed, Ended> {
    control.enter("removing");
    let removed = || -> Result<_, WorkerError> {
        let login = Login::read("--target-database-file", &args.target_database_file)?;
        let server = Server::connect(&login, &args.databases, runtime, control)?;
        let mut databases = BTreeMap::new();
        for name in &args.scratch {
            let scratch = ScratchDatabase { name: name.clone(), template: String::new() };
            let said = match scratch.remove(&server, control)? {
                Found::Nothing | Found::Ours => "not found".to_owned(),
                Found::Anothers(owner) => format!("not found; another one of that name belongs to {owner}"),
            };
            databases.insert(name.clone(), said);
        }
        Ok(databases)
    };
    let databases = removed().map_err(|error| of_server(error, &args.server_named_by))?;
    Ok(Removed { databases })
}
