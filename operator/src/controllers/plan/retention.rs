//! Retention: what a plan's repositories forget, and what its backups say of it.
//!
//! The decision is the domain's. Here a process of the worker is started for each store in which something is to go; what it reports
//! is written down before it is taken away, so that a crash in between repeats both.
//!
//! What a process was to forget may be signed away although it came to no end. Until the chain was asked, no backup that it was to
//! forget is said to be kept, whatever was decided meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt};
use serde::Deserialize;
use serde_json::Value;
use zhengyun_crds::recovery::{
    CopyState, DrillPhase, RecoveryPlan, RestorePhase, RetentionFate, RetentionRecord, SystemBackup, SystemBackupStatus,
};
use zhengyun_crds::{ConditionType as C, Reason};
use zhengyun_domain::condition::ConditionSet;
use zhengyun_domain::recovery::retention::{Facts, Round, asked, forgotten, gone, is_asked, round, stands_in, tidied};
use zhengyun_domain::recovery::run::Sighting;
use zhengyun_domain::seeded::{self, Bug};

use super::{Context, department_of};
use crate::controllers::backup::{Head, phase, remember_head};
use crate::controllers::recovery::charge::{self, For};
use crate::controllers::recovery::order::Repository;
use crate::controllers::recovery::{Recovery, WORKER, keys, run_id};
use crate::executor::{RunId, Task};
use crate::runtime::controller::ReconcileError;
use crate::runtime::hub::{is_conflict, replace_status};

/// How soon a process that forgets is looked at again.
const LOOK: Duration = Duration::from_secs(1);
/// How long a store that failed is left alone.
const REST_SECONDS: u64 = 60;
/// Seconds that the process waits for a repository that another run holds.
const LEASE_WAIT_SECONDS: u32 = 60;

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// When to look again, if something is under way or waits.
    pub(super) again: Option<Duration>,
    /// What cannot be dropped, and why.
    pub(super) complaints: Vec<String>,
}

/// The report of the worker.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    at: Timestamp,
    /// Everything that the chain says is forgotten.
    forgotten: BTreeSet<String>,
    kept_runs: BTreeSet<String>,
    /// What was signed could not be carried out.
    unfinished: Option<Unfinished>,
    #[serde(flatten)]
    head: Head,
}

#[derive(Debug, Deserialize)]
struct Unfinished {
    reason: String,
    message: String,
}

/// Applies retention to the backups of a plan.
pub(super) async fn apply(
    context: &Context,
    recovery: &Recovery,
    plan: &RecoveryPlan,
    backups: &[Arc<SystemBackup>],
) -> Result<Standing, ReconcileError> {
    let mut standing = Standing::default();
    let facts = Facts { plan, backups: backups.iter().map(AsRef::as_ref).collect(), in_use: in_use(context, plan) };
    let mut round = round(&facts, context.clock.now());
    if plan.metadata.deletion_timestamp.is_some() {
        // A plan that is deleted drops nothing any more; what is part of no backup goes all the same, so that the rest is measured.
        round = Round { leftovers: round.leftovers, ..Round::default() };
    }
    let copies = backups.iter().filter_map(|b| b.status.as_ref()).flat_map(|s| &s.copies);
    let stores: BTreeSet<String> = copies.map(|copy| copy.store.clone()).collect();
    let mut seen = Vec::new();
    for store in stores {
        let run = run_id(plan.uid().as_deref(), &format!("retention-{store}"))?;
        let sighting = recovery.observe(&run).await?;
        if let Sighting::Done(report) = &sighting {
            settle(context, plan, &store, report).await?;
            recovery.remove(&run).await?;
            // What was just written is not in the cache yet.
            standing.again = Some(LOOK);
        }
        seen.push((store, run, sighting));
    }
    if standing.again.is_some() {
        return Ok(standing);
    }
    let open: Vec<&str> = seen
        .iter()
        .filter(|(_, _, sighting)| !matches!(sighting, Sighting::Absent))
        .map(|(store, ..)| store.as_str())
        .collect();
    // What is to be dropped says so before it is.
    for backup in backups {
        if let Some(record) = round.records.get(&backup.name_any())
            && !open.iter().any(|store| round.turned(backup, store))
            && !(seeded::is(Bug::DroppedUntold) && record.fate == RetentionFate::Drop)
            && !tell(context, backup, record).await?
        {
            standing.again = Some(LOOK);
        }
    }
    if !seen.iter().any(|(_, _, sighting)| sighting.runs()) {
        // Every process that is started from now on is not told to forget these, so none need be stopped for them.
        for backup in backups.iter().filter(|backup| !is_asked(backup) && open.iter().any(|s| round.turned(backup, s)))
        {
            if !tell(context, backup, &asked()).await? {
                standing.again = Some(LOOK);
            }
        }
    }
    if standing.again.is_some() {
        return Ok(standing);
    }
    for (store, run, sighting) in &seen {
        at_store(context, recovery, (plan, backups), (store, run, sighting), &round, &mut standing).await?;
    }
    for backup in backups.iter().filter(|backup| round.expired.contains(&backup.name_any())) {
        expire(context, backup).await?;
    }
    Ok(standing)
}

/// Backups that a restore or a drill under way rests on.
fn in_use(context: &Context, plan: &RecoveryPlan) -> BTreeSet<String> {
    let namespace = plan.namespace();
    let restores = context.watches.restores.matching(|restore| {
        let ended = restore.status.as_ref().and_then(|s| s.phase).is_some_and(RestorePhase::is_terminal);
        restore.namespace() == namespace && !ended
    });
    let drills = context.watches.drills.matching(|drill| {
        let ended = drill.status.as_ref().and_then(|s| s.phase).is_some_and(DrillPhase::is_terminal);
        drill.namespace() == namespace && !ended
    });
    let drilled = drills
        .iter()
        .flat_map(|drill| [drill.spec.backup.clone(), drill.status.as_ref().and_then(|status| status.backup.clone())]);
    restores.iter().map(|restore| restore.spec.backup.clone()).chain(drilled.flatten()).collect()
}

/// Starts what is to be forgotten in a store, or says why it cannot be.
async fn at_store(
    context: &Context,
    recovery: &Recovery,
    (plan, backups): (&RecoveryPlan, &[Arc<SystemBackup>]),
    (store, run, sighting): (&str, &RunId, &Sighting),
    round: &Round,
    standing: &mut Standing,
) -> Result<(), ReconcileError> {
    let wanted = round.stores().contains(store);
    // Of a process that came to no end nobody knows what it had signed: the next one asks the chain.
    let ended = matches!(sighting, Sighting::Failed(_) | Sighting::Lost);
    let unknown = ended && backups.iter().any(|backup| stands_in(backup, store));
    match sighting {
        Sighting::Running { .. } => {
            if sighting.hangs() {
                recovery.kill(run).await?;
            } else if backups.iter().any(|backup| round.turned(backup, store) && !is_asked(backup)) {
                // What is to be kept after all may not be signed away yet.
                recovery.cancel(run).await?;
            }
            standing.again = Some(LOOK);
            return Ok(());
        }
        Sighting::Failed(_) | Sighting::Lost if !wanted && !unknown => return recovery.remove(run).await,
        Sighting::Failed(fault) => {
            standing.complaints.push(format!("store {store}: {}", fault.message));
            if fault.seconds_ago < REST_SECONDS {
                standing.again = Some(Duration::from_secs(REST_SECONDS.saturating_sub(fault.seconds_ago)));
                return Ok(());
            }
        }
        Sighting::Absent | Sighting::Lost | Sighting::Done(_) => {}
    }
    // A backup that has begun holds the repository; when it ends, this is looked at again.
    let under_way = running(context, plan);
    let began = |backup: &SystemBackup| backup.status.as_ref().is_some_and(|status| status.attempt > 0);
    let is_held = under_way.iter().any(|backup| backup.spec.plan == plan.name_any() && began(backup));
    if !(wanted || unknown) || is_held {
        return Ok(());
    }
    if !seeded::is(Bug::DroppedUntold) && !all_told(context, backups, store, round).await? {
        standing.again = Some(LOOK);
        return Ok(());
    }
    match task(context, recovery, plan, store, round, &under_way).await? {
        Ok(mut task) => {
            // What is needed in part is stored anew before the rest is freed: where there is no room for that, it is left for later.
            let held = charge::hold(context, plan, &[store.to_owned()], For::Process).await?;
            if held.is_err() {
                task.text("--no-repack");
            }
            recovery.start(run, task).await?;
            drop(held);
            standing.again = Some(LOOK);
        }
        Err(message) => {
            // A store that is away is told elsewhere; what a given-up copy left there can wait.
            if unknown || round.forget.contains_key(store) {
                standing.complaints.push(format!("store {store}: {message}"));
            }
            standing.again = Some(Duration::from_secs(REST_SECONDS));
        }
    }
    Ok(())
}

/// Whether everything that is to be forgotten in a store says so at the hub at this moment: an operator that stood still may have
/// decided on what has been kept since.
async fn all_told(
    context: &Context,
    backups: &[Arc<SystemBackup>],
    store: &str,
    round: &Round,
) -> Result<bool, ReconcileError> {
    let Some(doomed) = round.forget.get(store) else { return Ok(true) };
    let is_doomed = |backup: &&Arc<SystemBackup>| {
        let copies = backup.status.as_ref().map(|s| s.copies.as_slice()).unwrap_or_default();
        copies.iter().any(|copy| copy.store == store && copy.snapshot.as_ref().is_some_and(|s| doomed.contains(s)))
    };
    for backup in backups.iter().filter(is_doomed) {
        let api: Api<SystemBackup> = context.namespaced(&backup.namespace().unwrap_or_default());
        let now = api.get_opt(&backup.name_any()).await?.and_then(|backup| backup.status?.retention);
        if now.is_none_or(|record| record.fate != RetentionFate::Drop || record == asked()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Backups of the department that did not end: what they stored so far is theirs.
fn running(context: &Context, plan: &RecoveryPlan) -> Vec<Arc<SystemBackup>> {
    let namespace = plan.namespace();
    context.watches.backups.matching(|backup| backup.namespace() == namespace && !phase(backup).is_terminal())
}

async fn task(
    context: &Context,
    recovery: &Recovery,
    plan: &RecoveryPlan,
    store: &str,
    round: &Round,
    under_way: &[Arc<SystemBackup>],
) -> Result<Result<Task, String>, ReconcileError> {
    let department = department_of(&plan.namespace().unwrap_or_default()).to_owned();
    let named = (store, department.as_str(), plan.spec.encryption.secret_name.as_str());
    let repository = match Repository::standing(context, recovery, named).await? {
        Ok(repository) => repository,
        Err(message) => return Ok(Err(message)),
    };
    let mut task = match repository.task(context, recovery, WORKER, "forget").await? {
        Ok(task) => task,
        Err(message) => return Ok(Err(message)),
    };
    // Nothing is forgotten in an old copy of the repository: what is dropped by the records may be all that it has.
    if let Err(message) = repository.trust(context, &mut task).await? {
        return Ok(Err(message));
    }
    task.secret("--signing-key-file", "signing-key", keys::signing(context).await?);
    task.option("--run", format!("retention-{}", plan.uid().unwrap_or_default()));
    task.option("--lease-wait", LEASE_WAIT_SECONDS.to_string());
    for snapshot in round.forget.get(store).into_iter().flatten() {
        task.option("--snapshot", snapshot);
    }
    task.text("--leftovers").text("--prune");
    for backup in under_way {
        task.option("--keep-run", backup.uid().unwrap_or_default());
    }
    Ok(Ok(task))
}

/// Writes down what a repository has forgotten.
async fn settle(context: &Context, plan: &RecoveryPlan, store: &str, report: &Value) -> Result<(), ReconcileError> {
    let report: Report = serde_json::from_value(report.clone())
        .map_err(|e| ReconcileError::Transient(format!("the report of the worker cannot be read: {e}")))?;
    let namespace = plan.namespace().unwrap_or_default();
    remember_head(context, store, department_of(&namespace), &report.head).await?;
    if let Some(unfinished) = &report.unfinished {
        let note =
            format!("store {store}: what was dropped is signed away, its room is freed later: {}", unfinished.message);
        context.events.warn(plan, "Retention", &unfinished.reason, &note);
    }
    let api: Api<SystemBackup> = context.namespaced(&namespace);
    let uid = plan.uid().unwrap_or_default();
    let of_plan = context.watches.backups.matching(|backup| backup.spec.plan_uid == uid);
    let now = context.clock.now();
    for known in of_plan {
        // Read anew: it is written at once.
        let Some(backup) = api.get_opt(&known.name_any()).await? else { continue };
        let Some(before) = backup.status.clone() else { continue };
        let ended = before.finished_at.as_ref().is_some_and(|at| at.0 <= report.at);
        let kept = report.kept_runs.contains(&backup.uid().unwrap_or_default());
        let is_tidy = ended && !kept && report.unfinished.is_none();
        let copies = if is_tidy { tidied(&backup, store) } else { before.copies.clone() };
        let (copies, mut record) = forgotten(&copies, before.retention.as_ref(), store, &report.forgotten, now);
        let first = copies.first().is_some_and(|copy| copy.store == store && copy.snapshot.is_none());
        if let Some(left) = record.as_ref().filter(|r| r.fate == RetentionFate::Drop && first && is_tidy) {
            record = Some(gone(left, now));
        }
        let after = SystemBackupStatus { copies, retention: record, ..before.clone() };
        if after == before {
            continue;
        }
        let after = told(&backup, after, now);
        replace_status(&api, &backup, Some(&before), &after).await?;
        context.events.normal(&backup, "Retention", "Forgotten", &format!("store {store} has forgotten it"));
    }
    Ok(())
}

/// The conditions of a backup without data.
fn told(backup: &SystemBackup, mut status: SystemBackupStatus, now: Timestamp) -> SystemBackupStatus {
    let Some(record) = status.retention.as_ref().filter(|record| record.fate == RetentionFate::Dropped) else {
        return status;
    };
    // One that failed or was cancelled says why; it never had any.
    if !status.copies.iter().any(|copy| copy.state == CopyState::Forgotten) {
        return status;
    }
    let message = format!("its data was dropped by retention: {}; this is the record of it", record.reasons.join("; "));
    let mut set = ConditionSet::new(&status.conditions, backup.metadata.generation, now);
    set.no(C::Ready, Reason::Forgotten, message);
    set.no(C::Verified, Reason::Forgotten, "no store holds it any more");
    set.keep(C::Complete);
    status.conditions = set.finish();
    status
}

/// Writes what becomes of a backup's data; false if it changed meanwhile.
async fn tell(context: &Context, backup: &SystemBackup, record: &RetentionRecord) -> Result<bool, ReconcileError> {
    say(context, backup, Some(record)).await
}

/// Takes back what was said of a backup that is kept: of a plan that goes, nobody decides what becomes of it. False if it changed meanwhile.
pub(super) async fn withdraw(context: &Context, backup: &SystemBackup) -> Result<bool, ReconcileError> {
    let said = backup.status.as_ref().and_then(|status| status.retention.as_ref());
    if said.is_some_and(|record| record.fate == RetentionFate::Keep) {
        say(context, backup, None).await
    } else {
        Ok(true)
    }
}

async fn say(
    context: &Context,
    backup: &SystemBackup,
    record: Option<&RetentionRecord>,
) -> Result<bool, ReconcileError> {
    let before = backup.status.clone().unwrap_or_default();
    if before.retention.as_ref() == record {
        return Ok(true);
    }
    let api: Api<SystemBackup> = context.namespaced(&backup.namespace().unwrap_or_default());
    let after = SystemBackupStatus { retention: record.cloned(), ..before };
    match replace_status(&api, backup, backup.status.as_ref(), &after).await {
        Err(error) if is_conflict(&error) => Ok(false),
        other => Ok(other.map(|_| true)?),
    }
}

/// Deletes the record of a backup without data.
async fn expire(context: &Context, backup: &SystemBackup) -> Result<(), ReconcileError> {
    let api: Api<SystemBackup> = context.namespaced(&backup.namespace().unwrap_or_default());
    let only = Preconditions { uid: backup.uid(), resource_version: backup.resource_version() };
    let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
    match api.delete(&backup.name_any(), &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => Ok(other.map(drop)?),
    }
}
