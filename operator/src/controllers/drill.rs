//! Drills: one copy restored into scratch at a site, compared with its manifest, timed, removed, recorded.
//!
//! The scratch of a namespace is a grant, charged before it exists to the department that drills are charged to. Whatever becomes of the
//! drill, it ends only once that grant is proven to be gone; until then the drill says what it waits for. File trees are restored into a
//! folder of the drill's own and databases into ones of its own, which are gone before the grant is ended. A backup of several sources is
//! tried part by part.

mod database;
mod folder;
mod prepare;
mod report;
mod scratch;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use zhengyun_crds::grant::ZeroProof;
use zhengyun_crds::recovery::{DrillPart, DrillPhase, RecoveryDrillStatus};
use zhengyun_crds::{Reason, RecoveryDrill, ResourceGrant, marks};
use zhengyun_domain::recovery::drill::{
    Event, Facts, Part, PartKind, Report, follow, lease, part_at_work, parts_left, statement, step,
};
use zhengyun_domain::recovery::duration;
use zhengyun_domain::recovery::run::{Fault, Order, Sighting};

use self::prepare::Prepared;
use self::scratch::{Held, Room};
use super::Context;
use super::recovery::order::Refusal;
use super::recovery::{self, Recovery, keys, reach, run_id};
use crate::executor::RunId;
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::{add_finalizer, has_finalizer, remove_finalizer, replace_status};
use crate::site::driver::Access;

/// How often process and scratch are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How many checks a proof of zero holds.
const MOST_CHECKS: usize = 64;
/// How soon a drill that waits for something is looked at again.
const LATER: Duration = Duration::from_secs(5);

/// Phase of a drill; Pending before it was looked at.
pub fn phase(drill: &RecoveryDrill) -> DrillPhase {
    drill.status.as_ref().and_then(|s| s.phase).unwrap_or(DrillPhase::Pending)
}

/// Brings a drill one step forward.
///
/// # Errors
/// When the hub does not answer, the drill or its scratch changed meanwhile, or the folder of the runs cannot be used.
pub async fn reconcile(context: Arc<Context>, cached: Arc<RecoveryDrill>) -> Outcome {
    let api: Api<RecoveryDrill> = context.namespaced(&cached.namespace().unwrap_or_default());
    let Some(drill) = api.get_opt(&cached.name_any()).await? else { return Ok(Action::await_change()) };
    let leaves = drill.metadata.deletion_timestamp.is_some();
    let at = phase(&drill);
    if at.is_terminal() || (leaves && at == DrillPhase::Pending) {
        return rest(&context, &api, &drill).await;
    }
    let Some(recovery) = recovery::of(&context) else {
        let status = report::waits(&drill, Reason::ActionNotAvailable, recovery::OFF, true, context.clock.now());
        return written(&api, &drill, &status, Action::await_change()).await;
    };
    if !has_finalizer(&drill, marks::FINALIZER_RUN) {
        if !leaves {
            add_finalizer(&api, &drill, marks::FINALIZER_RUN).await?;
        }
        return Ok(Action::await_change());
    }
    let cancel = drill.spec.cancel || leaves;
    match at {
        DrillPhase::Pending | DrillPhase::Reserving if cancel => {
            moved(&context, &api, &drill, Event::CancelAsked, None).await
        }
        DrillPhase::Pending => pending(&context, &api, &drill).await,
        DrillPhase::Reserving => reserving(&context, &api, &drill).await,
        _ => under_way(&context, recovery, &api, &drill, cancel).await,
    }
}

/// Nothing was charged or made yet: plan, copy and site are looked up.
async fn pending(context: &Context, api: &Api<RecoveryDrill>, drill: &RecoveryDrill) -> Outcome {
    match prepare::confirmed(context, drill).await? {
        Ok(prepared) => {
            let next = step(phase(drill), Event::Accepted).map_err(defect)?;
            let mut status = report::moved(drill, next, None, context.clock.now());
            // From here on a newer backup does not change what is tried.
            let part =
                |part: Part| DrillPart { kind: Some(part.kind.told()), source: part.source, ..DrillPart::default() };
            status.parts = prepared.copy.parts.into_iter().map(part).collect();
            status.backup = Some(prepared.copy.backup);
            status.manifest_root = Some(prepared.copy.root);
            written(api, drill, &status, Action::await_change()).await
        }
        Err(Refusal::Waits(message)) => waits(context, api, drill, &message).await,
        Err(Refusal::Final(fault)) => moved(context, api, drill, Event::Refused, Some(fault)).await,
    }
}

/// Room is taken before anything is made, or the drill is skipped.
async fn reserving(context: &Context, api: &Api<RecoveryDrill>, drill: &RecoveryDrill) -> Outcome {
    let now = context.clock.now();
    let prepared = match prepare::confirmed(context, drill).await? {
        Ok(prepared) => prepared,
        Err(Refusal::Waits(message)) => return waits(context, api, drill, &message).await,
        // Room that was taken already is given back first.
        Err(Refusal::Final(fault)) => {
            let taken = Held::of(context, drill).await?.all().next().is_some();
            let event = if taken { Event::Failed } else { Event::Refused };
            return moved(context, api, drill, event, Some(fault)).await;
        }
    };
    match room(context, drill, &prepared, now).await? {
        Room::Waits(message) => waits(context, api, drill, &message).await,
        Room::Missing(message) => {
            let reason = Reason::DrillSkipped.as_str().to_owned();
            let fault = Fault { reason, message, ..Fault::default() };
            moved(context, api, drill, Event::NoRoom, Some(fault)).await
        }
        Room::Lost(message) => {
            let fault = Fault { reason: Reason::GrantNotLive.as_str().to_owned(), message, ..Fault::default() };
            moved(context, api, drill, Event::Failed, Some(fault)).await
        }
        Room::Taken(held) => {
            let next = step(phase(drill), Event::Reserved).map_err(defect)?;
            let mut status = report::moved(drill, next, None, now);
            report::begun(&mut status, &held, now);
            status.folder = prepared.folder.as_deref().map(folder::shown);
            written(api, drill, &status, Action::requeue(LOOK)).await
        }
    }
}

/// Takes room for everything that the backup holds: for file trees first, because looking takes none.
async fn room(
    context: &Context,
    drill: &RecoveryDrill,
    prepared: &Prepared,
    now: Timestamp,
) -> Result<Room, ReconcileError> {
    if let (Some(folder), Some(bytes)) = (&prepared.folder, prepared.copy.file_bytes())
        && let Some(message) = folder::no_room(folder, bytes, &drill.spec.site)?
    {
        return Ok(Room::Missing(message));
    }
    scratch::reserve(context, drill, &prepared.sources, now).await
}

async fn waits(context: &Context, api: &Api<RecoveryDrill>, drill: &RecoveryDrill, message: &str) -> Outcome {
    let status = report::waits(drill, Reason::InProgress, message, false, context.clock.now());
    written(api, drill, &status, Action::requeue(spread(LATER, &drill.name_any(), 0))).await
}

async fn under_way(
    context: &Context,
    recovery: &Recovery,
    api: &Api<RecoveryDrill>,
    drill: &RecoveryDrill,
    cancel: bool,
) -> Outcome {
    let (at, now) = (phase(drill), context.clock.now());
    let status = drill.status.clone().unwrap_or_default();
    let part = part_at_work(&status);
    let run = run_of(drill, part)?;
    let (held, sighting) = (Held::of(context, drill).await?, recovery.observe(&run).await?);
    let mut checks = Vec::new();
    let seen = if at.removes() {
        if !sighting.runs() {
            match database::end(context, recovery, drill).await? {
                database::Ended::Gone(gone) => checks.extend(gone),
                database::Ended::Ahead(why) => {
                    let after = report::removing(drill, why.as_deref(), now);
                    return written(api, drill, &after, Action::requeue(LOOK)).await;
                }
            }
            match folder::end(context, drill).await? {
                Ok(gone) => checks.extend(gone),
                Err(message) => return waits(context, api, drill, &message).await,
            }
        }
        held.farthest()
    } else {
        // Folder and databases are made with their processes.
        held.together(&status)
    };
    let facts = Facts {
        cancel,
        // A drill that was begun before parts were written down has one.
        attempt: status.parts.get(part).map_or(status.attempt, |part| part.attempt),
        held: status.started_at.as_ref().map_or(SignedDuration::ZERO, |begun| now.duration_since(begun.0)),
        lease: lease(objective(context, drill)),
        scratch: &seen,
        left: parts_left(&status),
        sighting: &sighting,
    };
    let next = follow(at, &facts).map_err(defect)?;
    let mut after = report::moved(drill, next.phase, next.fault.as_ref(), now);
    match &sighting {
        Sighting::Running { standing, .. } => report::progress(&mut after, standing, now),
        Sighting::Done(done) if matches!(at, DrillPhase::Restoring | DrillPhase::Comparing) => {
            if let Ok(done) = Report::read(done) {
                report::compared(&mut after, &done, next.equal, now);
            }
        }
        _ => {}
    }
    for held in held.all().filter(|_| next.remove) {
        remove(context, drill, held).await?;
    }
    let why = held.all().find_map(|held| scratch::held_up(held, now));
    if let Some(why) = why.filter(|_| !next.phase.is_terminal()) {
        report::held_up(drill, &mut after, &why, now);
    }
    match next.order {
        Order::Start => return start(context, recovery, api, (drill, &run), held.of_part(part), after).await,
        Order::StartLater => return written(api, drill, &after, Action::requeue(LATER)).await,
        Order::Cancel => recovery.cancel(&run).await?,
        Order::Kill => recovery.kill(&run).await?,
        Order::Wait | Order::Nothing => {}
    }
    if next.phase.is_terminal() {
        after.zero_proof = zero_proof(checks, held.zero_proof(), now);
        return ended(context, api, drill, after).await;
    }
    written(api, drill, &after, Action::requeue(LOOK)).await
}

/// How it was shown that nothing is left: of the grants, and of what else was made, which was looked at a moment ago.
fn zero_proof(checks: Vec<String>, of_grants: Option<ZeroProof>, now: Timestamp) -> Option<ZeroProof> {
    let mut proof = match of_grants {
        None if checks.is_empty() => return None,
        proof => proof.unwrap_or_else(|| ZeroProof { at: Time(now), checks: Vec::new() }),
    };
    proof.checks.truncate(MOST_CHECKS.saturating_sub(checks.len()));
    proof.checks.extend(checks);
    Some(proof)
}

/// The process of a part.
fn run_of(drill: &RecoveryDrill, part: usize) -> Result<RunId, ReconcileError> {
    let what = if part == 0 { "drill".to_owned() } else { format!("drill-{part}") };
    run_id(drill.uid().as_deref(), &what)
}

/// The recovery time objective of the plan, as long as there is one.
fn objective(context: &Context, drill: &RecoveryDrill) -> Option<SignedDuration> {
    let plan = prepare::plan_of(context, drill)?;
    duration::parse("rto", &plan.spec.objectives.rto).ok()
}

/// Nobody enters the scratch any more, then it is ended.
async fn remove(context: &Context, drill: &RecoveryDrill, held: &ResourceGrant) -> Result<(), ReconcileError> {
    if let Some(ground) = reach::ground(context, &held.namespace().unwrap_or_default(), &held.name_any())
        && let Err(why) = reach::close(context, &ground, Access::Write).await
    {
        // What let the account in goes with the namespace; the order to end it does not wait for the site.
        tracing::warn!(
            site = ground.site,
            namespace = ground.namespace,
            why,
            "the scratch could not be shut for recovery"
        );
    }
    scratch::end(context, drill, held, context.clock.now()).await
}

/// Starts a process. That it will be is written down first.
async fn start(
    context: &Context,
    recovery: &Recovery,
    api: &Api<RecoveryDrill>,
    (drill, run): (&RecoveryDrill, &RunId),
    held: Option<&ResourceGrant>,
    mut after: RecoveryDrillStatus,
) -> Outcome {
    let prepared = match prepare::confirmed(context, drill).await? {
        Ok(prepared) => prepared,
        Err(Refusal::Waits(message)) => return waits(context, api, drill, &message).await,
        // The plan or the copy went away under the drill.
        Err(Refusal::Final(fault)) => return moved(context, api, drill, Event::Failed, Some(fault)).await,
    };
    let at = drill.status.as_ref().map_or(0, part_at_work);
    let Some(part) = prepared.copy.parts.get(at) else { return Err(defect(format!("the backup has no part {at}"))) };
    let place = held.and_then(|held| reach::ground(context, &held.namespace()?, &held.name_any()));
    if let Some(ground) = &place
        && let Err(message) = reach::open(context, ground, Access::Write).await
    {
        return waits(context, api, drill, &message).await;
    }
    let mut told = after.parts.get(at).cloned().unwrap_or_default();
    told.attempt = told.attempt.saturating_add(1);
    if let (PartKind::Database, Some(server)) = (&part.kind, &prepared.server) {
        // As it was written down, so that it is found again whatever the site names by then.
        told.database.get_or_insert_with(|| database::name(drill, at, server));
    }
    let target = prepare::Target { ground: place.as_ref(), told: &told, site: &drill.spec.site };
    let task = match prepare::task(context, recovery, &prepared, part, &target).await? {
        Ok(task) => task,
        Err(message) => return waits(context, api, drill, &message).await,
    };
    after.attempt = after.attempt.saturating_add(1);
    if let Some(part) = after.parts.get_mut(at) {
        *part = told;
    }
    let outcome = written(api, drill, &after, Action::requeue(LOOK)).await?;
    recovery.start(run, task).await?;
    Ok(outcome)
}

/// One step of the table, with what it comes to.
async fn moved(
    context: &Context,
    api: &Api<RecoveryDrill>,
    drill: &RecoveryDrill,
    event: Event,
    fault: Option<Fault>,
) -> Outcome {
    let next = step(phase(drill), event).map_err(defect)?;
    let status = report::moved(drill, next, fault.as_ref(), context.clock.now());
    if next.is_terminal() {
        return ended(context, api, drill, status).await;
    }
    written(api, drill, &status, Action::requeue(LOOK)).await
}

/// The end, in one write with what is signed of it.
async fn ended(
    context: &Context,
    api: &Api<RecoveryDrill>,
    drill: &RecoveryDrill,
    mut status: RecoveryDrillStatus,
) -> Outcome {
    report::end(drill, &mut status, context.clock.now());
    let text = statement(drill, &status);
    status.record = Some(keys::sign(context, text).await?);
    let outcome = written(api, drill, &status, Action::await_change()).await?;
    let said = status.phase.map_or("", DrillPhase::as_str);
    match &status.failure {
        Some(failure) => context.events.warn(drill, "Drill", &failure.reason, &failure.message),
        None => context.events.normal(drill, "Drill", said, &status.summary),
    }
    Ok(outcome)
}

/// A record: what the run needed on this machine goes away.
async fn rest(context: &Context, api: &Api<RecoveryDrill>, drill: &RecoveryDrill) -> Outcome {
    if !has_finalizer(drill, marks::FINALIZER_RUN) {
        return Ok(Action::await_change());
    }
    if let Some(recovery) = recovery::of(context) {
        let begun = drill.status.as_ref().map_or(0, part_at_work);
        for part in 0..=begun {
            recovery.remove(&run_of(drill, part)?).await?;
        }
        recovery.remove(&database::removal_of(drill)?).await?;
    }
    remove_finalizer(api, drill, marks::FINALIZER_RUN).await?;
    Ok(Action::await_change())
}

fn defect(illegal: impl std::fmt::Display) -> ReconcileError {
    ReconcileError::Transient(illegal.to_string())
}

async fn written(
    api: &Api<RecoveryDrill>,
    drill: &RecoveryDrill,
    status: &RecoveryDrillStatus,
    then: Action,
) -> Outcome {
    if drill.status.as_ref() != Some(status) {
        replace_status(api, drill, drill.status.as_ref(), status).await?;
    }
    Ok(then)
}
