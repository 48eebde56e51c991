//! Backup stores: looked at, pinned, measured; a repository made in them for each department that has a plan there.
//!
//! Each department has a repository of its own below the folder of the store, wrapped by its own key: no department's backup waits for
//! another's, and losing one key loses one department.

mod folder;
mod repository;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use zhengyun_crds::recovery::{BackupStoreStatus, CopyState, SystemBackup};
use zhengyun_crds::{AmountText, BackupStore, ConditionType, Reason, RecoveryPlan};
use zhengyun_domain::condition::ConditionSet;

use super::Context;
use super::recovery::{self, OFF, Recovery, reach};
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::replace_status;

pub use repository::{Standing, standing};

/// How often a store is looked at although nothing was seen to change.
const LOOK: Duration = Duration::from_secs(60);
/// How soon it is looked at again while a repository is being made.
const SOON: Duration = Duration::from_secs(1);

/// Stores that a plan names.
pub fn named_by(plan: &RecoveryPlan) -> Vec<ObjectRef<BackupStore>> {
    plan.spec.copies.iter().map(|copy| ObjectRef::new(&copy.store)).collect()
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
    Ok(Action::requeue(if found.busy { SOON } else { spread(LOOK, &store.name_any(), 0) }))
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
    let Some(path) = reach::folder_of(store) else {
        let message =
            "spec.backend.s3: buckets are not offered in this version: register a store with backend filesystem"
                .to_owned();
        refuse(&mut found, Reason::ActionNotAvailable, message);
        return Ok(found);
    };
    let place = match recovery.place(path) {
        Ok(place) => place,
        Err(message) => {
            refuse(&mut found, Reason::StoreNotReady, message);
            return Ok(found);
        }
    };
    let name = store.name_any();
    match folder::open(place.clone(), pinned).await? {
        Ok(opened) => {
            found.identity = Some(opened.identity);
            found.used = Some(opened.used);
        }
        Err(message) => {
            refuse(&mut found, Reason::StoreNotReady, message);
            return Ok(found);
        }
    }
    repositories(context, recovery, &name, &place, store, &mut found).await?;
    Ok(found)
}

/// Makes the repositories that plans ask for.
async fn repositories(
    context: &Context,
    recovery: &Recovery,
    name: &str,
    place: &std::path::Path,
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
            folder: place,
            department: &department,
            key: &key,
        };
        match repository::ensure(context, recovery, &job).await? {
            Standing::There(_) => {}
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
    } else {
        set.yes(ConditionType::Reachable, Reason::Reachable, "the folder can be read and written");
        let mut message = format!("store {name} takes backups");
        if !found.notes.is_empty() {
            message = format!("{message}, except: {}", found.notes.join("; "));
        }
        set.yes(ConditionType::Ready, Reason::AsIntended, message);
        if found.busy {
            set.yes(ConditionType::Reconciling, Reason::InProgress, "a repository is being made");
        }
    }
    BackupStoreStatus {
        observed_generation: store.metadata.generation.unwrap_or_default(),
        identity: found.identity.clone(),
        used: found.used.map(|bytes| AmountText::from(bytes.to_string().as_str())).or(before.used),
        backups: backups(context, &name),
        last_check: before.last_check,
        conditions: set.finish(),
    }
}
