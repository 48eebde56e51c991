//! A file tree: looked at, agreed to, written, read back and compared.

use std::fs;

use tokio::runtime::Handle;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{Coverage, RunFailure};
use zhengyun_domain::condition::cut;
use zhengyun_worker::cluster::ClusterArgs;
use zhengyun_worker::control::Control;
use zhengyun_worker::database::DatabaseTargetArgs;
use zhengyun_worker::error::WorkerError;
use zhengyun_worker::run::open;
use zhengyun_worker::run::restore::{self as worker, RestoreReport};

use crate::agreement::{Agreement, agreement};
use crate::args::{Existing, FilesRestoreArgs};
use crate::ended::Ended;
use crate::restore::{self, NAMED, Report};
use crate::told::{carried_out, counts, number};

/// Whether something may have been written to the target.
pub(crate) fn wrote(args: &FilesRestoreArgs) -> bool {
    args.state_dir.join("writing").exists()
}

/// Carries a restore out, or says what it would do.
pub(crate) fn restore(args: &FilesRestoreArgs, runtime: &Handle, control: &Control) -> Result<Report, Ended> {
    control.enter("planning");
    fs::create_dir_all(&args.state_dir).map_err(|e| WorkerError::local(&args.state_dir, e))?;
    let store = open::existing(&args.store, runtime)?;
    restore::recorded(&args.trust.chain(&store)?, &args.snapshot, &args.root)?;
    let look = || Ok(outlook(&worker::restore(&order(args, true), runtime, control)?, args.existing));
    let resumes = match agreement(&args.state_dir, args.agreed.as_deref(), args.scratch, look)? {
        Agreement::Outlook(outlook) => return Ok(*outlook),
        Agreement::Given { resumes } => resumes,
    };
    let marker = args.state_dir.join("writing");
    fs::write(&marker, b"").map_err(|e| WorkerError::local(&marker, e))?;
    let done = worker::restore(&order(args, false), runtime, control).inspect_err(|error| {
        // The backup is proved before the first write; a process before this one may have written.
        if !resumes && matches!(error, WorkerError::NotIntact { .. }) {
            let _ = fs::remove_file(&marker);
        }
    })?;
    Ok(Report { coverage: coverage(&done), ..carried_out(args.agreed.clone().unwrap_or_default(), &done) })
}

/// How much of what the manifest lists was read back and is as it says.
fn coverage(done: &RestoreReport) -> Option<Coverage> {
    let files = done.files.as_ref()?;
    Some(Coverage {
        objects_compared: number(files.same.0),
        objects_total: number(files.listed.0),
        objects_delivered: 0,
        bytes_compared: number(files.same.1),
        bytes_total: number(files.listed.1),
    })
}

fn order(args: &FilesRestoreArgs, dry_run: bool) -> worker::RestoreArgs {
    worker::RestoreArgs {
        store: args.store.clone(),
        keys: args.keys.clone(),
        trust: args.trust.clone(),
        backup: Some(args.snapshot.clone()),
        source: Some(args.source.clone()),
        target: Some(args.target.clone()),
        target_namespace: None,
        cluster: ClusterArgs::default(),
        database: DatabaseTargetArgs { dry_run, ..DatabaseTargetArgs::default() },
        existing: args.existing.into(),
        despite_damage: false,
        compare: true,
        outcomes: args.outcomes.clone().filter(|_| !dry_run),
    }
}

/// What would be done.
fn outlook(looked: &RestoreReport, existing: Existing) -> Report {
    let found = looked.files.clone().unwrap_or_default();
    let mut planned = counts(looked);
    planned.conflicts = number(looked.failed);
    let conflict = |subject: String, message: String| RunFailure {
        reason: Reason::TargetConflict.as_str().to_owned(),
        subject: cut(subject, 500),
        message: cut(message, 2000),
    };
    let failures = match (looked.failed, existing) {
        (0, _) => Vec::new(),
        (_, Existing::Fail) => vec![conflict(
            String::new(),
            format!(
                "/spec/existing: the folder is not empty, it holds {}: choose Replace, which replaces what the backup holds, Skip, which leaves what is there, or a new folder (spec.redirects)",
                found.in_the_way.join(", ")
            ),
        )],
        _ => {
            let named = looked.failures.iter().take(NAMED);
            named
                .map(|failure| conflict(failure.item.clone(), format!("{}: {}", failure.item, failure.cause)))
                .collect()
        }
    };
    Report { digest: found.digest, planned, failures, ..Report::default() }
}
