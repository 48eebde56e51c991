//! Backups: single runs, carried out by a process of its own, sealed, read back.
//!
//! Deleting a SystemBackup deletes no data: what it stored stays in the repository of its department, and `zhengyun-worker` lists,
//! verifies and restores it there. One that is under way is cancelled first.

mod copies;
mod prepare;
mod report;
mod room;
mod task;

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use serde_json::Value;
use zhengyun_crds::recovery::{BackupPhase, CopyState, StoredCopy, SystemBackup, SystemBackupStatus};
use zhengyun_crds::{Reason, marks};
use zhengyun_domain::recovery::backup::{Event, Facts, Next, Work, follow, step, work};
use zhengyun_domain::recovery::run::{Fault, Order, Sighting};

pub(crate) use self::prepare::{Head, is_inside, plan_of, remember_head};
use self::room::{held, ready, without_room};
use super::Context;
use super::recovery::charge::For;
use super::recovery::order::Refusal;
use super::recovery::{self, Recovery, reach};
use crate::executor::{RunId, Task};
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::{add_finalizer, has_finalizer, remove_finalizer, replace_status};
use crate::site::driver::Access;

/// How often a process is looked at: its progress is written at most this often.
const LOOK: Duration = Duration::from_secs(1);
/// How soon a run that waits for something is looked at again.
const LATER: Duration = Duration::from_secs(5);

/// Phase of a backup; Pending before it was looked at.
pub fn phase(backup: &SystemBackup) -> BackupPhase {
    backup.status.as_ref().and_then(|s| s.phase).unwrap_or(BackupPhase::Pending)
}

/// Brings a backup one step forward.
///
/// # Errors
/// When the hub does not answer, the backup changed meanwhile, or the folder of the runs cannot be used.
pub async fn reconcile(context: Arc<Context>, cached: Arc<SystemBackup>) -> Outcome {
    let api: Api<SystemBackup> = context.namespaced(&cached.namespace().unwrap_or_default());
    let Some(backup) = api.get_opt(&cached.name_any()).await? else { return Ok(Action::await_change()) };
    let leaves = backup.metadata.deletion_timestamp.is_some();
    if phase(&backup).is_terminal() || (leaves && phase(&backup) == BackupPhase::Pending) {
        return rest(&context, &api, &backup, leaves).await;
    }
    let Some(recovery) = recovery::of(&context) else {
        let status = report::waits(&backup, Reason::ActionNotAvailable, recovery::OFF, true, context.clock.now());
        return written(&api, &backup, &status, Action::await_change()).await;
    };
    if !has_finalizer(&backup, marks::FINALIZER_RUN) {
        if !leaves {
            add_finalizer(&api, &backup, marks::FINALIZER_RUN).await?;
        }
        return Ok(Action::await_change());
    }
    let cancel = backup.spec.cancel || leaves;
    match phase(&backup) {
        BackupPhase::Pending => pending(&context, &api, &backup, cancel).await,
        BackupPhase::Reserving => reserving(&context, recovery, &api, &backup, cancel).await,
        _ => under_way(&context, recovery, &api, &backup, cancel).await,
    }
}

/// Nothing was read or written yet: sources and stores are looked up.
async fn pending(context: &Context, api: &Api<SystemBackup>, backup: &SystemBackup, cancel: bool) -> Outcome {
    let now = context.clock.now();
    if cancel {
        return moved(context, api, backup, Event::CancelAsked, None).await;
    }
    match prepare::confirmed(context, backup).await? {
        Ok(_) => moved(context, api, backup, Event::Accepted, None).await,
        Err(Refusal::Waits(message)) => {
            let status = report::waits(backup, Reason::StoreNotReady, &message, false, now);
            written(api, backup, &status, Action::requeue(LATER)).await
        }
        Err(Refusal::Final(fault)) => moved(context, api, backup, Event::Refused, Some(fault)).await,
    }
}

/// The repository must stand and the site must be open before the first process is started.
async fn reserving(
    context: &Context,
    recovery: &Recovery,
    api: &Api<SystemBackup>,
    backup: &SystemBackup,
    cancel: bool,
) -> Outcome {
    if cancel {
        return moved(context, api, backup, Event::CancelAsked, None).await;
    }
    let prepared = match prepare::confirmed(context, backup).await? {
        Ok(prepared) => prepared,
        Err(Refusal::Final(fault)) => return moved(context, api, backup, Event::Refused, Some(fault)).await,
        Err(Refusal::Waits(message)) => return waits(context, api, backup, &message).await,
    };
    if let Err(message) = ready(context, recovery, &prepared).await? {
        return waits(context, api, backup, &message).await;
    }
    let stores = [prepared.others.as_slice(), std::slice::from_ref(&prepared.repository.store)].concat();
    if let Err(unheld) = held(context, backup, &stores, For::Run).await? {
        return without_room(context, api, backup, unheld).await;
    }
    let mut phase = phase(backup);
    for event in [Event::Reserved, Event::Quiesced] {
        phase = step(phase, event).map_err(defect)?;
    }
    let mut status = report::moved(backup, phase, None, context.clock.now());
    report::intend(&mut status, &prepared.sources, &prepared.repository.store, &prepared.others);
    written(api, backup, &status, Action::await_change()).await
}

async fn waits(context: &Context, api: &Api<SystemBackup>, backup: &SystemBackup, message: &str) -> Outcome {
    let status = report::waits(backup, Reason::InProgress, message, false, context.clock.now());
    written(api, backup, &status, Action::requeue(spread(LATER, &backup.name_any(), 0))).await
}

async fn under_way(
    context: &Context,
    recovery: &Recovery,
    api: &Api<SystemBackup>,
    backup: &SystemBackup,
    cancel: bool,
) -> Outcome {
    let at = phase(backup);
    let away = copies::away(context, recovery, backup).await?;
    let wanted = work(at, copies::copies(backup), &away);
    let (run, sighting) = match &wanted {
        Some(work) => {
            let run = copies::run_of(backup, work)?;
            let seen = recovery.observe(&run).await?;
            (run, seen)
        }
        None => living(recovery, backup).await?,
    };
    let sighting = report::judged(wanted.as_ref(), sighting);
    let status = backup.status.clone().unwrap_or_default();
    let now = context.clock.now();
    let facts = Facts {
        cancel,
        attempt: status.attempt,
        work: wanted.as_ref(),
        sighting: &sighting,
        // Which stores should hold a copy was written down before the first process began.
        copies: &status.copies,
        overdue: copies::is_overdue(context, backup),
        covered: report::covered(&status),
    };
    let next = follow(at, &facts).map_err(defect)?;
    let mut after = report::moved(backup, next.phase, next.fault.as_ref(), now);
    match (&sighting, &wanted) {
        (Sighting::Running { standing, .. }, _) => report::progress(&mut after, standing, now),
        (Sighting::Done(done), Some(ended)) if next.phase != BackupPhase::Cancelling => {
            settle(context, backup, ended, done, &mut after).await?;
        }
        (_, Some(Work::Verify(store))) if next.phase == BackupPhase::Failing => {
            // There is no other copy that could be good.
            if let Some(fault) = &next.fault {
                report::give_up(&mut after, store, fault, now);
            }
        }
        (_, None) if next.phase.is_terminal() => settle_ended(context, recovery, backup, &mut after).await?,
        _ => {}
    }
    match next.order {
        Order::Start => {
            let Some(work) = &wanted else { return Ok(Action::await_change()) };
            return start(context, recovery, api, backup, (&facts, work, &run), after).await;
        }
        Order::Cancel => recovery.cancel(&run).await?,
        Order::Kill => recovery.kill(&run).await?,
        Order::StartLater => return written(api, backup, &after, Action::requeue(LATER)).await,
        Order::Wait | Order::Nothing => {}
    }
    finish(context, api, backup, &next, after).await
}

/// What is cleared away is whichever of the processes lives.
async fn living(recovery: &Recovery, backup: &SystemBackup) -> Result<(RunId, Sighting), ReconcileError> {
    for run in copies::runs(backup)? {
        let seen = recovery.observe(&run).await?;
        if seen.runs() {
            return Ok((run, seen));
        }
    }
    Ok((copies::run_of(backup, &Work::Capture)?, Sighting::Absent))
}

/// Writes what a look came to, with the copy that is given up.
async fn finish(
    context: &Context,
    api: &Api<SystemBackup>,
    backup: &SystemBackup,
    next: &Next,
    mut after: SystemBackupStatus,
) -> Outcome {
    if let (Some(store), Some(fault)) = (&next.given_up, &next.fault) {
        report::give_up(&mut after, store, fault, context.clock.now());
        context.events.warn(backup, "Copy", &fault.reason, &format!("no copy in store {store}: {}", fault.message));
    }
    if next.phase.is_terminal() {
        told(context, backup, &after);
    }
    written(api, backup, &after, Action::requeue(LOOK)).await
}

/// Takes over what processes came to before they could be stopped: what is signed is told, or nobody would ever drop it.
async fn settle_ended(
    context: &Context,
    recovery: &Recovery,
    backup: &SystemBackup,
    after: &mut SystemBackupStatus,
) -> Result<(), ReconcileError> {
    for ended in copies::unsettled(backup) {
        if let Sighting::Done(done) = recovery.observe(&copies::run_of(backup, &ended)?).await? {
            settle(context, backup, &ended, &done, after).await?;
        }
    }
    report::close(after, context.clock.now());
    Ok(())
}

/// Takes over what a process that came to its end reports.
async fn settle(
    context: &Context,
    backup: &SystemBackup,
    ended: &Work,
    done: &Value,
    after: &mut SystemBackupStatus,
) -> Result<(), ReconcileError> {
    let namespace = backup.namespace().unwrap_or_default();
    let department = super::department_of(&namespace);
    // First what notices an old copy of the repository, then the record: a crash in between repeats both.
    match ended {
        Work::Verify(store) => report::verified(after, store, context.clock.now()),
        Work::Replicate(store) => {
            let copied = report::copied(done).map_err(ReconcileError::Transient)?;
            prepare::remember_head(context, store, department, &copied.head).await?;
            report::replicate(after, store, &copied);
        }
        Work::Capture => {
            let sealed = report::sealed(done).map_err(ReconcileError::Transient)?;
            let store = after.copies.first().map(|copy| copy.store.clone()).unwrap_or_default();
            prepare::remember_head(context, &store, department, &sealed.head).await?;
            report::seal(after, &sealed);
        }
    }
    Ok(())
}

/// Starts a process. That it will be is written down first.
async fn start(
    context: &Context,
    recovery: &Recovery,
    api: &Api<SystemBackup>,
    backup: &SystemBackup,
    (facts, work, run): (&Facts<'_>, &Work, &RunId),
    mut after: SystemBackupStatus,
) -> Outcome {
    let task = match work {
        Work::Capture => capture(context, recovery, backup).await?,
        Work::Replicate(_) | Work::Verify(_) => copies::task(context, recovery, backup, work).await?,
    };
    let task = match task {
        Ok(mut task) => {
            if let Some(store) = copies::written_by(backup, work) {
                // Whatever the operator before held: nothing is written that is not charged.
                match held(context, backup, &copies::stores(backup), For::Process).await? {
                    Ok(held) => task.option("--repository-limit", held.room(&store).to_string()),
                    Err(unheld) => return without_room(context, api, backup, unheld).await,
                };
            }
            task
        }
        Err(refusal) if work.is_spared(facts.copies) => {
            // A store that does not stand is like one whose process cannot reach it.
            let sighting = Sighting::Failed(copies::as_fault(refusal));
            let next = follow(phase(backup), &Facts { sighting: &sighting, ..facts.clone() }).map_err(defect)?;
            let after = report::moved(backup, next.phase, next.fault.as_ref(), context.clock.now());
            if next.given_up.is_none() {
                return written(api, backup, &after, Action::requeue(LATER)).await;
            }
            return finish(context, api, backup, &next, after).await;
        }
        Err(Refusal::Waits(message)) => return waits(context, api, backup, &message).await,
        // The grant or the plan went away under the run.
        Err(Refusal::Final(fault)) => return moved(context, api, backup, Event::Failed, Some(fault)).await,
    };
    after.attempt = after.attempt.saturating_add(1);
    after.started_at.get_or_insert_with(|| k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(context.clock.now()));
    let outcome = written(api, backup, &after, Action::requeue(LOOK)).await?;
    recovery.start(run, task).await?;
    Ok(outcome)
}

/// The task of the process that captures, once the repository stands and the site is open.
async fn capture(
    context: &Context,
    recovery: &Recovery,
    backup: &SystemBackup,
) -> Result<Result<Task, Refusal>, ReconcileError> {
    let prepared = match prepare::confirmed(context, backup).await? {
        Ok(prepared) => prepared,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(message) = ready(context, recovery, &prepared).await? {
        return Ok(Err(Refusal::Waits(message)));
    }
    Ok(task::task(context, recovery, backup, &prepared).await?.map_err(Refusal::Waits))
}

/// One step of the table, with what it comes to.
async fn moved(
    context: &Context,
    api: &Api<SystemBackup>,
    backup: &SystemBackup,
    event: Event,
    fault: Option<Fault>,
) -> Outcome {
    let next = step(phase(backup), event).map_err(defect)?;
    let status = report::moved(backup, next, fault.as_ref(), context.clock.now());
    if next.is_terminal() {
        told(context, backup, &status);
    }
    written(api, backup, &status, Action::await_change()).await
}

fn told(context: &Context, backup: &SystemBackup, status: &SystemBackupStatus) {
    let phase = status.phase.map_or("", BackupPhase::as_str);
    match &status.failure {
        Some(failure) => context.events.warn(backup, "Backup", &failure.reason, &failure.message),
        None => context.events.normal(backup, "Backup", phase, &status.summary),
    }
}

/// A record: the site is shut again, and what the run needed on this machine goes away.
async fn rest(context: &Context, api: &Api<SystemBackup>, backup: &SystemBackup, leaves: bool) -> Outcome {
    if !has_finalizer(backup, marks::FINALIZER_RUN) {
        return Ok(Action::await_change());
    }
    let mut open = false;
    let (namespace, uid) = (backup.namespace().unwrap_or_default(), backup.uid());
    for ground in prepare::entered(context, backup) {
        if let Err(why) = reach::leave(context, &namespace, uid.as_deref(), (&ground, Access::Read)).await? {
            open = true;
            tracing::warn!(
                site = ground.site,
                namespace = ground.namespace,
                why,
                "the site could not be shut for recovery"
            );
        }
    }
    if let Some(recovery) = recovery::of(context) {
        for run in copies::runs(backup)? {
            recovery.remove(&run).await?;
        }
    }
    if open && !leaves {
        return Ok(Action::requeue(spread(reach::SHUT_AGAIN, &backup.name_any(), 0)));
    }
    if leaves {
        let stands = |copy: &&StoredCopy| copy.snapshot.is_some() && copy.state != CopyState::Forgotten;
        for copy in copies::copies(backup).iter().filter(stands) {
            let note = format!(
                "only the object goes: its data stays in store {} as snapshot {}; `zhengyun-worker snapshots` lists it, `restore` brings it back",
                copy.store,
                copy.snapshot.as_deref().unwrap_or_default()
            );
            context.events.normal(backup, "Delete", "DataStays", &note);
        }
    }
    remove_finalizer(api, backup, marks::FINALIZER_RUN).await?;
    Ok(Action::await_change())
}

fn defect(illegal: impl std::fmt::Display) -> ReconcileError {
    ReconcileError::Transient(illegal.to_string())
}

async fn written(api: &Api<SystemBackup>, backup: &SystemBackup, status: &SystemBackupStatus, then: Action) -> Outcome {
    if backup.status.as_ref() != Some(status) {
        replace_status(api, backup, backup.status.as_ref(), status).await?;
    }
    Ok(then)
}
