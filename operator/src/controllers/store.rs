//! Backup stores: looked at, pinned, measured; a repository made in them for each department that has a plan there.
//!
//! Each department has a repository of its own below the folder of the store, wrapped by its own key: no department's backup waits for
//! another's, and losing one key loses one department.

mod bucket;
mod check;
mod folder;
mod repository;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use zhengyun_crds::recovery::{BackupStoreStatus, CopyState, StoreBackend, SystemBackup};
use zhengyun_crds::{AmountText, BackupStore, ConditionStatus, ConditionType, Reason, RecoveryPlan, condition};
use zhengyun_domain::condition::ConditionSet;
use zhengyun_domain::recovery::check::{Decision, Next, intact, kept};

use super::Context;
use super::recovery::home::Home;
use super::recovery::{self, OFF, Recovery};
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError, Triggers};
use crate::runtime::hub::replace_status;

pub use repository::{Standing, standing};

/// How often a store is looked at although nothing was seen to change.
const LOOK: Duration = Duration::from_secs(60);
/// How soon it is looked at again while a repository is being made.
const SOON: Duration = Duration::from_secs(1);

/// How soon a bucket that could not be used is looked at again.
const AGAIN: Duration = Duration::from_secs(15);

/// What makes a store be looked at anew. What is measured of a plan says nothing about its stores.
pub fn triggers(context: &Context) -> Triggers<BackupStore> {
    let named = |plan: Arc<RecoveryPlan>| -> Vec<ObjectRef<BackupStore>> {
        plan.spec.copies.iter().map(|copy| ObjectRef::new(&copy.store)).collect()
    };
    let w = &context.watches;
    Triggers::own(&w.stores).on_facts(&w.plans, |plan| plan.metadata.generation, named)
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    /// Why it cannot be used.
    problem: Option<(Reason, String)>,
    identity: Option<String>,
    used: Option<u64>,
    /// What is the matter with single repositories.
    notes: Vec<String>,
    /// Whether a repository is being made.
    busy: bool,
    /// Whether a process looks at its bucket.
    looking: bool,
    /// Departments whose repositories stand.
    repositories: check::Repositories,
    /// How its check goes on; none while it cannot be used.
    check: Option<Decision>,
}

/// Brings a store up to date. Deleting the object leaves every byte in the folder where it is.
///
/// # Errors
/// When the hub does not answer or the folder of the runs cannot be used. A store that cannot be used is a condition.
pub async fn reconcile(context: Arc<Context>, store: Arc<BackupStore>) -> Outcome {
    if store.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let found = observe(&context, &store).await?;
    let status = report(&context, &store, &found, context.clock.now());
    if store.status.as_ref() != Some(&status) {
        replace_status(&context.cluster(), store.as_ref(), store.status.as_ref(), &status).await?;
    }
    let checking = found.check.as_ref().map(|check| &check.next);
    let is_bucket = matches!(store.spec.backend, StoreBackend::S3(_));
    Ok(Action::requeue(match found.problem {
        _ if found.busy || found.looking => SOON,
        _ if checking.is_some_and(|next| !matches!(next, Next::Nothing | Next::Wait)) => SOON,
        _ if checking.is_some_and(|next| *next == Next::Wait) => AGAIN,
        Some(_) if is_bucket => AGAIN,
        _ => spread(LOOK, &store.name_any(), 0),
    }))
}

async fn observe(context: &Context, store: &BackupStore) -> Result<Found, ReconcileError> {
    let pinned = store.status.as_ref().and_then(|s| s.identity.clone());
    let mut found = Found { identity: pinned.clone(), ..Found::default() };
    let refuse = |found: &mut Found, reason, message: String| found.problem = Some((reason, message));
    let Some(recovery) = recovery::of(context) else {
        refuse(&mut found, Reason::ActionNotAvailable, OFF.to_owned());
        return Ok(found);
    };
    if context.watches.sites.get(&store.spec.site).is_none() {
        let message =
            format!("spec.site: there is no site {}; register it, or register the store anew", store.spec.site);
        refuse(&mut found, Reason::SiteNotFound, message);
        return Ok(found);
    }
    let home = match Home::of(recovery, &store.spec.backend) {
        Ok(home) => home,
        Err(message) => {
            refuse(&mut found, Reason::StoreNotReady, message);
            return Ok(found);
        }
    };
    let name = store.name_any();
    let looked = match &home {
        Home::Folder(place) => folder::open(place.clone(), pinned, context.hub_uid.clone()).await?.map(Some),
        Home::Bucket(_) => bucket::open(context, recovery, store, &home, pinned).await?,
    };
    match looked {
        Ok(Some(opened)) => {
            found.identity = Some(opened.identity);
            found.used = Some(opened.used);
        }
        // What was seen before counts until the process ends, whether it was good or not.
        Ok(None) => {
            found.looking = true;
            found.problem = problem(store);
            if found.identity.is_none() || found.problem.is_some() {
                return Ok(found);
            }
        }
        Err(message) => {
            refuse(&mut found, Reason::StoreNotReady, message);
            return Ok(found);
        }
    }
    repositories(context, recovery, &name, &home, store, &mut found).await?;
    check::left(context, &name, &mut found.repositories);
    found.check = Some(check::advance(context, recovery, store, &home, &found.repositories).await?);
    Ok(found)
}

/// What was the matter with a store when it was last looked at.
fn problem(store: &BackupStore) -> Option<(Reason, String)> {
    let conditions = store.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    let ready = condition::find(conditions, ConditionType::Reachable)?;
    let reason = Reason::ALL.iter().copied().find(|reason| reason.as_str() == ready.reason);
    (ready.status == ConditionStatus::False).then(|| (reason.unwrap_or(Reason::StoreNotReady), ready.message.clone()))
}

/// Makes the repositories that plans ask for.
async fn repositories(
    context: &Context,
    recovery: &Recovery,
    name: &str,
    home: &Home,
    store: &BackupStore,
    found: &mut Found,
) -> Result<(), ReconcileError> {
    let mut wanted: Vec<(String, String)> = Vec::new();
    for plan in context.watches.plans.matching(|p| p.spec.copies.iter().any(|copy| copy.store == name)) {
        let department = super::department_of(&plan.namespace().unwrap_or_default()).to_owned();
        // The first plan of a department decides; another key would be another repository.
        if wanted.iter().all(|(known, _)| *known != department) {
            wanted.push((department, plan.spec.encryption.secret_name.clone()));
        }
    }
    for (department, key) in wanted {
        let job = repository::Wanted {
            store: name,
            store_uid: store.metadata.uid.as_deref(),
            home,
            department: &department,
            key: &key,
        };
        match repository::ensure(context, recovery, &job).await? {
            Standing::There(_) => {
                found.repositories.insert(department, Some(key));
            }
            Standing::Coming => found.busy = true,
            Standing::Blocked(note) => found.notes.push(format!("department {department}: {note}")),
        }
    }
    Ok(())
}

/// Backups of which a store holds a copy.
fn backups(context: &Context, name: &str) -> i64 {
    let holds = |backup: &SystemBackup| {
        let copies = backup.status.as_ref().map(|s| s.copies.as_slice()).unwrap_or_default();
        copies.iter().any(|c| c.store == name && matches!(c.state, CopyState::Stored | CopyState::Verified))
    };
    i64::try_from(context.watches.backups.matching(holds).len()).unwrap_or(i64::MAX)
}

fn report(context: &Context, store: &BackupStore, found: &Found, now: Timestamp) -> BackupStoreStatus {
    let before = store.status.clone().unwrap_or_default();
    let name = store.name_any();
    let mut set = ConditionSet::new(&before.conditions, store.metadata.generation, now);
    if let Some((reason, message)) = &found.problem {
        set.stalled(*reason, message.clone()).no(ConditionType::Reachable, *reason, message.clone());
    } else if found.looking && found.identity.is_none() {
        set.reconciling(Reason::InProgress, "it is being looked at");
        set.unknown(ConditionType::Reachable, Reason::InProgress, "it is being looked at");
    } else {
        set.yes(ConditionType::Reachable, Reason::Reachable, "it can be read and written");
        let mut message = format!("store {name} takes backups");
        if !found.notes.is_empty() {
            message = format!("{message}, except: {}", found.notes.join("; "));
        }
        set.yes(ConditionType::Ready, Reason::AsIntended, message);
        if found.busy {
            set.yes(ConditionType::Reconciling, Reason::InProgress, "a repository is being made");
        }
    }
    let check = found.check.clone().unwrap_or_else(|| kept(&before));
    let (holds, reason, message) = intact(&check);
    set.set(ConditionType::Intact, holds, reason, message);
    if let Some(finding) = &check.finding {
        set.no(ConditionType::Accepted, Reason::ScheduleInvalid, format!("{}: {}", finding.pointer, finding.message));
    }
    BackupStoreStatus {
        observed_generation: store.metadata.generation.unwrap_or_default(),
        identity: found.identity.clone(),
        used: found.used.map(|bytes| AmountText::from(bytes.to_string().as_str())).or(before.used),
        backups: backups(context, &name),
        last_check: check.last_check,
        checking: check.checking,
        check_due: check.check_due,
        next_check: check.next_check,
        conditions: set.finish(),
    }
}
