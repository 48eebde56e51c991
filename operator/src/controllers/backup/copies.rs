//! Copies of a backup: made in further stores from the first one, and read back.

use std::collections::BTreeSet;

use kube::ResourceExt;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{CopyState, StoredCopy, SystemBackup};
use zhengyun_domain::recovery::backup::{Work, patience, stored};
use zhengyun_domain::recovery::run::{Fault, Order, Sighting};

use super::Context;
use super::prepare::plan_of;
use super::task::LEASE_WAIT_SECONDS;
use crate::controllers::department_of;
use crate::controllers::recovery::order::{self, Refusal, Repository, refused};
use crate::controllers::recovery::{Recovery, WORKER, keys, run_id};
use crate::executor::{RunId, Task};
use crate::runtime::controller::ReconcileError;

/// The name of the process of a work.
pub(super) fn run_of(backup: &SystemBackup, work: &Work) -> Result<RunId, ReconcileError> {
    let what = match work {
        Work::Capture => "backup".to_owned(),
        Work::Replicate(store) => format!("copy-{store}"),
        Work::Verify(store) => format!("verify-{store}"),
    };
    run_id(backup.uid().as_deref(), &what)
}

/// Every process that a backup may have.
pub(super) fn runs(backup: &SystemBackup) -> Result<Vec<RunId>, ReconcileError> {
    let stores = copies(backup).iter().map(|copy| copy.store.clone());
    let of_store = |store: String| [Work::Replicate(store.clone()), Work::Verify(store)];
    std::iter::once(Work::Capture).chain(stores.flat_map(of_store)).map(|work| run_of(backup, &work)).collect()
}

/// What processes may have come to that is not told yet.
pub(super) fn unsettled(backup: &SystemBackup) -> Vec<Work> {
    let open = |copy: &&StoredCopy| copy.state == CopyState::Missing && copy.failure.is_none();
    let works = copies(backup).iter().enumerate().filter(|(_, copy)| open(copy)).map(|(at, copy)| match at {
        0 => Work::Capture,
        _ => Work::Replicate(copy.store.clone()),
    });
    works.collect()
}

/// Stores with a copy to be read back that cannot be reached, if there is more than one: the others come first then.
pub(super) async fn away(
    context: &Context,
    recovery: &Recovery,
    backup: &SystemBackup,
) -> Result<BTreeSet<String>, ReconcileError> {
    let stored = stored(copies(backup));
    let mut away = BTreeSet::new();
    for store in stored.iter().filter(|_| stored.len() > 1) {
        let work = Work::Verify((*store).to_owned());
        let is_away = match recovery.observe(&run_of(backup, &work)?).await? {
            Sighting::Running { .. } | Sighting::Done(_) => false,
            Sighting::Failed(fault) if fault.transient && fault.order() == Order::StartLater => true,
            _ => repository(context, recovery, backup, store).await?.is_err(),
        };
        if is_away {
            away.insert((*store).to_owned());
        }
    }
    Ok(away)
}

pub(super) fn copies(backup: &SystemBackup) -> &[StoredCopy] {
    backup.status.as_ref().map(|s| s.copies.as_slice()).unwrap_or_default()
}

/// Stores that should hold a copy.
pub(super) fn stores(backup: &SystemBackup) -> Vec<String> {
    copies(backup).iter().map(|copy| copy.store.clone()).collect()
}

/// The store that a process writes to, if it writes to one.
pub(super) fn written_by(backup: &SystemBackup, work: &Work) -> Option<String> {
    match work {
        Work::Capture => copies(backup).first().map(|copy| copy.store.clone()),
        Work::Replicate(store) => Some(store.clone()),
        Work::Verify(_) => None,
    }
}

/// Whether a store was waited for long enough.
pub(super) fn is_overdue(context: &Context, backup: &SystemBackup) -> bool {
    let (Some(plan), Some(captured)) =
        (plan_of(context, backup), backup.status.as_ref().and_then(|status| status.captured_at.as_ref()))
    else {
        return true;
    };
    let now = context.clock.now();
    patience(&plan, captured.0, now) <= now
}

/// A refusal as a process would say it.
pub(super) fn as_fault(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Final(fault) => fault,
        Refusal::Waits(message) => {
            Fault { reason: Reason::StoreNotReady.as_str().to_owned(), message, transient: true, ..Fault::default() }
        }
    }
}

/// The repository of a copy, once it stands.
async fn repository(
    context: &Context,
    recovery: &Recovery,
    backup: &SystemBackup,
    store: &str,
) -> Result<Result<Repository, Refusal>, ReconcileError> {
    let department = department_of(&backup.namespace().unwrap_or_default()).to_owned();
    let Some(plan) = plan_of(context, backup) else {
        let message = format!("plan {} is gone, and with it the name of the key", backup.spec.plan);
        let refusal = refused(Reason::Invalid, message);
        return Ok(Err(order::confirmed(context, &backup.namespace().unwrap_or_default(), refusal).await?));
    };
    let named = (store, department.as_str(), plan.spec.encryption.secret_name.as_str());
    Ok(Repository::standing(context, recovery, named).await?.map_err(Refusal::Waits))
}

fn snapshot(backup: &SystemBackup, store: &str) -> Result<String, Refusal> {
    let found = copies(backup).iter().find(|copy| copy.store == store).and_then(|copy| copy.snapshot.clone());
    found.ok_or_else(|| refused(Reason::BackupNotFound, format!("store {store} holds no snapshot of it")))
}

/// The task of a process that copies or reads back, or what it waits for.
pub(super) async fn task(
    context: &Context,
    recovery: &Recovery,
    backup: &SystemBackup,
    work: &Work,
) -> Result<Result<Task, Refusal>, ReconcileError> {
    let (store, command) = match work {
        Work::Replicate(store) => (store, "replicate"),
        Work::Verify(store) => (store, "verify"),
        Work::Capture => return Ok(Err(refused(Reason::Invalid, "a capture is no copy"))),
    };
    let at = match repository(context, recovery, backup, store).await? {
        Ok(repository) => repository,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut task = match at.task(context, recovery, WORKER, command).await? {
        Ok(task) => task,
        Err(message) => return Ok(Err(Refusal::Waits(message))),
    };
    if let Err(message) = at.trust(context, &mut task).await? {
        return Ok(Err(Refusal::Waits(message)));
    }
    if command == "verify" {
        return Ok(snapshot(backup, store).map(|snapshot| {
            task.option("--backup", snapshot);
            task
        }));
    }
    let first = copies(backup).first().map(|copy| copy.store.clone()).unwrap_or_default();
    let from = match repository(context, recovery, backup, &first).await? {
        Ok(repository) => repository,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let snapshot = match snapshot(backup, &first) {
        Ok(snapshot) => snapshot,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let known = keys::repository(context, &first, &from.department).await?.unwrap_or_default();
    if let Err(message) = from.copied_from(context, recovery, &mut task).await? {
        return Ok(Err(Refusal::Waits(message)));
    }
    task.option("--backup", snapshot);
    task.secret("--from-known-head-file", "from-known-head", known.known_head.into());
    task.secret("--signing-key-file", "signing-key", keys::signing(context).await?);
    task.option("--run", backup.uid().unwrap_or_default());
    task.option("--lease-wait", LEASE_WAIT_SECONDS.to_string());
    Ok(Ok(task))
}
