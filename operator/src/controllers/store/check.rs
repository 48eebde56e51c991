//! Reading a store through: one process at a time, for one department's repository after the other. It takes no lease and writes
//! nothing, so no backup waits for it.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use zhengyun_crds::recovery::{CopyState, SystemBackup};
use zhengyun_crds::{BackupStore, Reason};
use zhengyun_domain::recovery::check::{Decision, Facts, Next, current, decide};
use zhengyun_domain::recovery::run::{Fault, Sighting};

use super::Context;
use crate::controllers::department_of;
use crate::controllers::recovery::home::Home;
use crate::controllers::recovery::order::Repository;
use crate::controllers::recovery::{Recovery, WORKER, keys, run_id};
use crate::executor::{RunId, Task};
use crate::runtime::controller::ReconcileError;

/// Departments with a repository in a store, each with the Secret of its key where a plan names one.
pub(super) type Repositories = BTreeMap<String, Option<String>>;

/// Brings the check of a store one step forward.
///
/// What a process left goes before what came of it is written down: an operator that dies in between reads that repository again, and
/// never takes the word of an earlier check.
pub(super) async fn advance(
    context: &Context,
    recovery: &Recovery,
    store: &BackupStore,
    home: &Home,
    repositories: &Repositories,
) -> Result<Decision, ReconcileError> {
    let departments: Vec<String> = repositories.keys().cloned().collect();
    let before = store.status.clone().unwrap_or_default();
    let now = context.clock.now();
    let decided = |seen: &Sighting| {
        let facts = Facts {
            policy: &store.spec.check,
            uid: store.metadata.uid.as_deref().unwrap_or_default(),
            created: store.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0),
            before: &before,
            departments: &departments,
            seen,
        };
        decide(&facts, now)
    };
    let seen = match current(&before, &departments) {
        Some(department) => recovery.observe(&run_of(store, department)?).await?,
        None => Sighting::Absent,
    };
    let mut decision = decided(&seen);
    if let Next::Start(department) = &decision.next {
        let key = repositories.get(department).cloned().flatten();
        match task(context, recovery, store, home, (department, key)).await? {
            Ok(task) => recovery.start(&run_of(store, department)?, task).await?,
            // As if a process had said so.
            Err(fault) => decision = decided(&Sighting::Failed(fault)),
        }
    }
    match &decision.next {
        Next::Kill(department) => recovery.kill(&run_of(store, department)?).await?,
        Next::Clear(department) => recovery.remove(&run_of(store, department)?).await?,
        Next::Begin | Next::Nothing | Next::Wait | Next::Start(_) => {}
    }
    if decision.next == Next::Begin || (before.checking.is_some() && decision.checking.is_none()) {
        tidy(context, recovery, store, &departments).await?;
    }
    if let Some(damage) = &decision.damage {
        let note = format!("the repository of department {} is damaged: {}", damage.department, damage.message);
        context.events.warn(store, "Check", Reason::RepositoryDamaged.as_str(), &note);
    }
    Ok(decision)
}

/// Takes away what is left of the checks, keys above all. A department whose last plan and backup went in the middle of a check has no
/// repository to be read any more, and may have had a process.
async fn tidy(
    context: &Context,
    recovery: &Recovery,
    store: &BackupStore,
    read: &[String],
) -> Result<(), ReconcileError> {
    let known = context.watches.departments.all();
    let all: BTreeSet<String> = known.iter().map(|known| known.name_any()).chain(read.iter().cloned()).collect();
    for department in all {
        let run = run_of(store, &department)?;
        recovery.kill(&run).await?;
        recovery.remove(&run).await?;
    }
    Ok(())
}

/// The process that reads a department's repository.
fn run_of(store: &BackupStore, department: &str) -> Result<RunId, ReconcileError> {
    run_id(store.metadata.uid.as_deref(), &format!("check-{department}"))
}

/// Adds the repositories of departments that have backups in a store and no plan that names it any more.
pub(super) fn left(context: &Context, store: &str, repositories: &mut Repositories) {
    let holds = |backup: &SystemBackup| {
        let copies = backup.status.as_ref().map(|status| status.copies.as_slice()).unwrap_or_default();
        copies.iter().any(|copy| copy.store == store && matches!(copy.state, CopyState::Stored | CopyState::Verified))
    };
    for backup in context.watches.backups.matching(holds) {
        let namespace = backup.namespace().unwrap_or_default();
        let department = department_of(&namespace).to_owned();
        repositories.entry(department).or_insert_with(|| {
            // One key opens all repositories of a department, unless it was given several.
            let plans = context.watches.plans.matching(|plan| plan.namespace().as_deref() == Some(namespace.as_str()));
            plans.iter().map(|plan| plan.spec.encryption.secret_name.clone()).min()
        });
    }
}

/// The task of a process that reads everything, or why there is none.
async fn task(
    context: &Context,
    recovery: &Recovery,
    store: &BackupStore,
    home: &Home,
    (department, key): (&str, Option<String>),
) -> Result<Result<Task, Fault>, ReconcileError> {
    let (name, unread) = (store.name_any(), |message: String| fault(Reason::NotChecked.as_str(), message));
    if keys::repository(context, &name, department).await?.is_none() {
        return Ok(Err(unread(format!("nothing is known of its repository in store {name}"))));
    }
    if let Home::Folder(folder) = home
        && !folder.join(department).is_dir()
    {
        return Ok(Err(fault("NoRepository", "its repository is not in the store any more".to_owned())));
    }
    let Some(key) = key else {
        let message = format!(
            "no recovery plan of department {department} names its key: write one, or read it with zhengyun-worker verify and the escrow password"
        );
        return Ok(Err(unread(message)));
    };
    let backend = store.spec.backend.clone();
    let repository = Repository { department: department.to_owned(), key, store: name, backend };
    let mut task = match repository.task(context, recovery, WORKER, "verify").await? {
        Ok(task) => task,
        Err(message) => return Ok(Err(unread(message))),
    };
    if let Err(message) = repository.trust(context, &mut task).await? {
        return Ok(Err(unread(message)));
    }
    task.text("--report-only");
    Ok(Ok(task))
}

fn fault(reason: &str, message: String) -> Fault {
    Fault { reason: reason.to_owned(), message, ..Fault::default() }
}
