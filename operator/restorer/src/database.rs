//! A database: looked at, agreed to, written in one transaction, compared.

use std::fs;
use std::path::PathBuf;

use tokio::runtime::Handle;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::RunFailure;
use zhengyun_domain::condition::cut;
use zhengyun_worker::control::Control;
use zhengyun_worker::error::WorkerError;
use zhengyun_worker::run::open;
use zhengyun_worker::run::restore::{self as worker, RestoreReport};
use zhengyun_worker::run::restore_database::{DatabaseReport, NOT_RESTORED};

use crate::agreement::{Agreement, agreement};
use crate::args::DatabaseRestoreArgs;
use crate::ended::Ended;
use crate::restore::{self, Report};
use crate::scratch;
use crate::told::{carried_out, counts, number};

/// Whether something may have been written to the target.
pub(crate) fn wrote(args: &DatabaseRestoreArgs) -> bool {
    writing(args).exists() || scratch::ran_elsewhere(args)
}

/// The file that says so.
pub(crate) fn writing(args: &DatabaseRestoreArgs) -> PathBuf {
    args.state_dir.join("writing")
}

/// Carries a restore out, or says what it would do.
pub(crate) fn restore(args: &DatabaseRestoreArgs, runtime: &Handle, control: &Control) -> Result<Report, Ended> {
    if let Some(name) = &args.scratch {
        return scratch::restore(args, name, runtime, control);
    }
    control.enter("planning");
    fs::create_dir_all(&args.state_dir).map_err(|e| WorkerError::local(&args.state_dir, e))?;
    let store = open::existing(&args.store, runtime)?;
    restore::recorded(&args.trust.chain(&store)?, &args.snapshot, &args.root)?;
    let look = || Ok(outlook(&worker::restore(&order(args, true), runtime, control)?));
    match agreement(&args.state_dir, args.agreed.as_deref(), false, look)? {
        Agreement::Outlook(outlook) => return Ok(*outlook),
        Agreement::Given { .. } => {}
    }
    let marker = writing(args);
    // What an earlier process may have written stands, whatever becomes of this one.
    let earlier = marker.exists();
    let mut writes = order(args, false);
    (writes.database.resumes, writes.database.writing) = (earlier, Some(marker.clone()));
    let done = worker::restore(&writes, runtime, control).inspect_err(|error| {
        // One transaction: one whose end was undone changed nothing.
        if !earlier && error.reason() == NOT_RESTORED {
            let _ = fs::remove_file(&marker);
        }
    })?;
    Ok(carried_out(args.agreed.clone().unwrap_or_default(), &done))
}

pub(crate) fn order(args: &DatabaseRestoreArgs, dry_run: bool) -> worker::RestoreArgs {
    let mut database = args.database.clone();
    database.dry_run = dry_run;
    worker::RestoreArgs {
        store: args.store.clone(),
        keys: args.keys.clone(),
        trust: args.trust.clone(),
        backup: Some(args.snapshot.clone()),
        source: Some(args.source.clone()),
        target: None,
        target_namespace: None,
        cluster: args.cluster.clone(),
        database,
        existing: args.existing.into(),
        despite_damage: false,
        compare: false,
        outcomes: args.outcomes.clone().filter(|_| !dry_run),
    }
}

/// What would be done.
fn outlook(looked: &RestoreReport) -> Report {
    let database = looked.database.clone().unwrap_or_default();
    let mut planned = counts(looked);
    let mut failures = Vec::new();
    if looked.failed > 0 {
        planned.conflicts = number(looked.failed);
        failures.push(RunFailure {
            reason: Reason::TargetConflict.as_str().to_owned(),
            subject: String::new(),
            message: cut(in_the_way(looked, &database), 2000),
        });
    }
    Report { digest: database.digest, planned, failures, ..Report::default() }
}

fn in_the_way(looked: &RestoreReport, database: &DatabaseReport) -> String {
    format!(
        "/spec/existing: {} is not empty, it holds {}: choose Replace, which replaces what the backup holds, or Skip, which leaves it as it is",
        looked.target(),
        database.in_the_way.join(", ")
    )
}
