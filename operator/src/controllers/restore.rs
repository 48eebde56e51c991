//! Restores: planned, agreed to, proved, carried out exactly so, compared.

mod prepare;
mod report;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use zhengyun_crds::recovery::{RestoreMode, RestorePhase, SystemRestore, SystemRestoreStatus};
use zhengyun_crds::{Reason, marks};
use zhengyun_domain::recovery::restore::{Event, Facts, follow, step};
use zhengyun_domain::recovery::run::{Fault, Order, Sighting};

pub(crate) use self::prepare::is_inside;
use super::Context;
use super::recovery::order::Refusal;
use super::recovery::{self, Recovery, reach, run_id};
use crate::executor::RunId;
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::{add_finalizer, has_finalizer, remove_finalizer, replace_status};

/// How often a process is looked at: its progress is written at most this often.
const LOOK: Duration = Duration::from_secs(1);
/// How soon a restore that waits for something is looked at again.
const LATER: Duration = Duration::from_secs(5);

/// Phase of a restore; Pending before it was looked at.
pub fn phase(restore: &SystemRestore) -> RestorePhase {
    restore.status.as_ref().and_then(|s| s.phase).unwrap_or(RestorePhase::Pending)
}

/// Brings a restore one step forward.
///
/// # Errors
/// When the hub does not answer, the restore changed meanwhile, or the folder of the runs cannot be used.
pub async fn reconcile(context: Arc<Context>, cached: Arc<SystemRestore>) -> Outcome {
    let api: Api<SystemRestore> = context.namespaced(&cached.namespace().unwrap_or_default());
    let Some(restore) = api.get_opt(&cached.name_any()).await? else { return Ok(Action::await_change()) };
    let leaves = restore.metadata.deletion_timestamp.is_some();
    let at = phase(&restore);
    if at.is_terminal() || (leaves && at == RestorePhase::Pending) {
        return rest(&context, &api, &restore, leaves).await;
    }
    let now = context.clock.now();
    let Some(recovery) = recovery::of(&context) else {
        let status = report::waits(&restore, Reason::ActionNotAvailable, recovery::OFF, true, now);
        return written(&api, &restore, &status, Action::await_change()).await;
    };
    if !has_finalizer(&restore, marks::FINALIZER_RUN) {
        if !leaves {
            add_finalizer(&api, &restore, marks::FINALIZER_RUN).await?;
        }
        return Ok(Action::await_change());
    }
    let cancel = restore.spec.cancel || leaves;
    if at != RestorePhase::Pending {
        return under_way(&context, recovery, &api, &restore, cancel).await;
    }
    if cancel {
        return moved(&context, &api, &restore, Event::CancelAsked, None).await;
    }
    match prepare::confirmed(&context, &restore).await? {
        Ok(_) => moved(&context, &api, &restore, Event::Accepted, None).await,
        Err(Refusal::Waits(message)) => waits(&context, &api, &restore, &message).await,
        Err(Refusal::Final(fault)) => moved(&context, &api, &restore, Event::Refused, Some(fault)).await,
    }
}

async fn waits(context: &Context, api: &Api<SystemRestore>, restore: &SystemRestore, message: &str) -> Outcome {
    let status = report::waits(restore, Reason::InProgress, message, false, context.clock.now());
    written(api, restore, &status, Action::requeue(LATER)).await
}

async fn under_way(
    context: &Context,
    recovery: &Recovery,
    api: &Api<SystemRestore>,
    restore: &SystemRestore,
    cancel: bool,
) -> Outcome {
    let run = run_id(restore.uid().as_deref(), "restore")?;
    let sighting = recovery.observe(&run).await?;
    let status = restore.status.clone().unwrap_or_default();
    let facts = Facts { mode: restore.spec.mode, cancel, attempt: status.attempt, sighting: &sighting };
    let next = follow(phase(restore), &facts).map_err(defect)?;
    let now = context.clock.now();
    let mut after = report::moved(restore, next.phase, next.fault.as_ref(), now);
    match &sighting {
        Sighting::Running { standing, .. } => report::progress(&mut after, standing, now),
        Sighting::Done(done) => report::done(&mut after, done).map_err(ReconcileError::Transient)?,
        _ => {}
    }
    if next.phase.is_terminal() {
        report::end(restore, &mut after, now);
        told(context, restore, &after);
    }
    match next.order {
        Order::Start => return start(context, recovery, api, restore, &run, after).await,
        Order::StartLater => return written(api, restore, &after, Action::requeue(LATER)).await,
        Order::Cancel => recovery.cancel(&run).await?,
        Order::Kill => recovery.kill(&run).await?,
        Order::Wait | Order::Nothing => {}
    }
    written(api, restore, &after, Action::requeue(LOOK)).await
}

/// Starts a process. That it will be is written down first.
async fn start(
    context: &Context,
    recovery: &Recovery,
    api: &Api<SystemRestore>,
    restore: &SystemRestore,
    run: &RunId,
    mut after: SystemRestoreStatus,
) -> Outcome {
    let prepared = match prepare::confirmed(context, restore).await? {
        Ok(prepared) => prepared,
        Err(Refusal::Waits(message)) => return waits(context, api, restore, &message).await,
        // The grant, the backup or the plan went away under the run. One that executes and had a process may have written.
        Err(Refusal::Final(fault)) => {
            let may_have_written = restore.spec.mode == RestoreMode::Execute && after.attempt > 0;
            let event = if may_have_written { Event::BrokeOff } else { Event::Refused };
            return moved(context, api, restore, event, Some(fault)).await;
        }
    };
    if let Some((ground, access)) = prepared.opened(restore.spec.mode)
        && let Err(message) = reach::open(context, ground, access).await
    {
        return waits(context, api, restore, &message).await;
    }
    let task = match prepare::task(context, recovery, restore, &prepared).await? {
        Ok(task) => task,
        Err(message) => return waits(context, api, restore, &message).await,
    };
    after.attempt = after.attempt.saturating_add(1);
    after.store = Some(prepared.repository.store);
    after.started_at.get_or_insert_with(|| Time(context.clock.now()));
    let outcome = written(api, restore, &after, Action::requeue(LOOK)).await?;
    recovery.start(run, task).await?;
    Ok(outcome)
}

async fn moved(
    context: &Context,
    api: &Api<SystemRestore>,
    restore: &SystemRestore,
    event: Event,
    fault: Option<Fault>,
) -> Outcome {
    let next = step(phase(restore), event).map_err(defect)?;
    let now = context.clock.now();
    let mut status = report::moved(restore, next, fault.as_ref(), now);
    if next.is_terminal() {
        report::end(restore, &mut status, now);
        told(context, restore, &status);
    }
    written(api, restore, &status, Action::await_change()).await
}

fn told(context: &Context, restore: &SystemRestore, status: &SystemRestoreStatus) {
    let phase = status.phase.map_or("", RestorePhase::as_str);
    match &status.failure {
        Some(failure) => context.events.warn(restore, "Restore", &failure.reason, &failure.message),
        None => context.events.normal(restore, "Restore", phase, &status.summary),
    }
}

/// A record: the site is shut again, and what the run needed on this machine goes away.
async fn rest(context: &Context, api: &Api<SystemRestore>, restore: &SystemRestore, leaves: bool) -> Outcome {
    if !has_finalizer(restore, marks::FINALIZER_RUN) {
        return Ok(Action::await_change());
    }
    let mut open = false;
    let (namespace, uid) = (restore.namespace().unwrap_or_default(), restore.uid());
    if let Some((ground, access)) = prepare::entered(context, restore)
        && let Err(why) = reach::leave(context, &namespace, uid.as_deref(), (&ground, access)).await?
    {
        open = true;
        tracing::warn!(
            site = ground.site,
            namespace = ground.namespace,
            why,
            "the site could not be shut for recovery"
        );
    }
    if let Some(recovery) = recovery::of(context) {
        recovery.remove(&run_id(restore.uid().as_deref(), "restore")?).await?;
    }
    if open && !leaves {
        return Ok(Action::requeue(spread(reach::SHUT_AGAIN, &restore.name_any(), 0)));
    }
    remove_finalizer(api, restore, marks::FINALIZER_RUN).await?;
    Ok(Action::await_change())
}

fn defect(illegal: impl std::fmt::Display) -> ReconcileError {
    ReconcileError::Transient(illegal.to_string())
}

async fn written(
    api: &Api<SystemRestore>,
    restore: &SystemRestore,
    status: &SystemRestoreStatus,
    then: Action,
) -> Outcome {
    if restore.status.as_ref() != Some(status) {
        replace_status(api, restore, restore.status.as_ref(), status).await?;
    }
    Ok(then)
}
