//! Migrations: one information system, from its room onto the cloud, step by step.
//!
//! What is decided, the domain decides: it names the one next step, and a place is written down before anything is done there. Movers
//! work in processes of their own, named by workload, verb and epoch, so that whoever dies, the next look finds them.

mod backups;
mod observe;
mod place;
mod shared;
mod task;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use zhengyun_crds::migration::{
    Blocker, MigrationStage, MigrationVerb, Party, SystemMigration, SystemMigrationStatus, WaveMemberStatus,
};
use zhengyun_crds::{Reason, marks};
use zhengyun_domain::migration::follow::{Act, Next, follow};
use zhengyun_domain::migration::gate::blocker;
use zhengyun_domain::migration::machine::{Event, Place};
use zhengyun_domain::migration::status;
use zhengyun_domain::recovery::duration;
use zhengyun_domain::recovery::run::Order;

use self::observe::Seen;
use super::Context;
use super::recovery::{self, Recovery};
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError, Triggers};
use crate::runtime::hub::{add_finalizer, has_finalizer, remove_finalizer, replace_status};

/// How often processes are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How soon a migration that waits for something is looked at again.
const LATER: Duration = Duration::from_secs(5);

/// What makes a migration be looked at anew, besides itself: its wave, its grant, its room, and what proves that its source can be
/// brought back.
pub fn triggers(context: &Arc<Context>) -> Triggers<SystemMigration> {
    let w = &context.watches;
    let (of_grants, of_rooms, of_plans, of_drills) =
        (Arc::clone(context), Arc::clone(context), Arc::clone(context), Arc::clone(context));
    Triggers::own(&w.migrations)
        .on_facts(&w.waves, places, |wave| {
            let members = wave.spec.members.iter();
            members
                .map(|member| {
                    let namespace = format!("{}{}", marks::DEPARTMENT_NAMESPACE_PREFIX, member.department);
                    ObjectRef::new(&member.migration).within(&namespace)
                })
                .collect::<Vec<_>>()
        })
        .on_facts(&w.grants, super::grant::phase, move |held| {
            let name = held.name_any();
            named(&of_grants, held.namespace().as_deref(), |one| one.spec.grant.as_deref() == Some(name.as_str()))
        })
        .on_facts(
            &w.rooms,
            |room| room.metadata.generation,
            move |room| {
                let name = room.name_any();
                let all = of_rooms.watches.migrations.matching(|one| one.spec.room == name);
                all.iter().map(|one| ObjectRef::from_obj(one.as_ref())).collect::<Vec<_>>()
            },
        )
        .on_facts(&w.backups, super::backup::phase, move |backup| {
            let plan = backup.spec.plan.clone();
            named(&of_plans, backup.namespace().as_deref(), |one| one.spec.recovery_plan == plan)
        })
        .on_facts(&w.drills, super::drill::phase, move |drill| {
            let plan = drill.spec.plan.clone();
            named(&of_drills, drill.namespace().as_deref(), |one| one.spec.recovery_plan == plan)
        })
}

fn places(wave: &zhengyun_crds::MigrationWave) -> (Option<i64>, Vec<WaveMemberStatus>) {
    (wave.metadata.generation, wave.status.as_ref().map(|status| status.members.clone()).unwrap_or_default())
}

fn named(
    context: &Context,
    namespace: Option<&str>,
    which: impl Fn(&SystemMigration) -> bool,
) -> Vec<ObjectRef<SystemMigration>> {
    let all = context.watches.migrations.matching(|one| one.namespace().as_deref() == namespace && which(one));
    all.iter().map(|one| ObjectRef::from_obj(one.as_ref())).collect()
}

/// Where a migration stands; at its beginning before it was looked at.
pub fn stands(migration: &SystemMigration) -> Place {
    let status = migration.status.as_ref();
    Place {
        stage: status.and_then(|status| status.stage).unwrap_or(MigrationStage::Discovered),
        step: status.and_then(|status| status.step),
    }
}

/// Brings a migration one step forward.
///
/// # Errors
/// When the hub does not answer, the migration changed meanwhile, or the folder of the runs cannot be used.
pub async fn reconcile(context: Arc<Context>, cached: Arc<SystemMigration>) -> Outcome {
    let api: Api<SystemMigration> = context.namespaced(&cached.namespace().unwrap_or_default());
    let Some(migration) = api.get_opt(&cached.name_any()).await? else { return Ok(Action::await_change()) };
    let recovery = recovery::of(&context);
    if stands(&migration).stage.is_terminal() {
        return rest(&context, recovery, &api, &migration).await;
    }
    if !has_finalizer(&migration, marks::FINALIZER_RUN) {
        if migration.metadata.deletion_timestamp.is_none() {
            add_finalizer(&api, &migration, marks::FINALIZER_RUN).await?;
        }
        return Ok(Action::await_change());
    }
    let Some(recovery) = recovery else {
        let seen = Seen::unobserved(&context, &migration);
        let shut = blocker(Reason::ActionNotAvailable, Party::Provider, recovery::OFF);
        let after = report(&context, &migration, &seen, &held(&migration, shut));
        return written(&context, &api, &migration, &after, None, Action::requeue(LATER)).await;
    };
    let seen = observe::observe(&context, recovery, &migration).await?;
    for run in &seen.late {
        // Nothing that looks at the target of a turn before is of use any more.
        recovery.kill(run).await?;
    }
    let next = seen.decide(follow).map_err(|illegal| ReconcileError::Transient(illegal.to_string()))?;
    act(&context, recovery, &api, &migration, &seen, next).await
}

/// Does what follows, and says so. What is begun is written down first.
async fn act(
    context: &Context,
    recovery: &Recovery,
    api: &Api<SystemMigration>,
    migration: &SystemMigration,
    seen: &Seen,
    mut next: Next,
) -> Outcome {
    let then = Action::requeue(if is_quick(seen, &next) { LOOK } else { spread(LATER, &migration.name_any(), 0) });
    let event = next.event;
    match next.act.clone() {
        Act::Run { workload, verb, epoch, order: Order::Start } => {
            let begun = task::Order { workload: &workload, verb, epoch };
            let task = match task::of(context, recovery, migration, seen, begun).await? {
                Ok(task) => task,
                Err(shut) => {
                    next.blocker = Some(shut);
                    let after = report(context, migration, seen, &next);
                    return written(context, api, migration, &after, event, Action::requeue(LATER)).await;
                }
            };
            let mut after = report(context, migration, seen, &next);
            for known in after.workloads.iter_mut().filter(|known| known.name == workload) {
                (known.verb, known.attempt) = (Some(verb), known.attempt.saturating_add(1));
            }
            let outcome = written(context, api, migration, &after, event, then).await?;
            recovery.start(&observe::run(migration, &workload, word(verb), epoch)?, task).await?;
            Ok(outcome)
        }
        Act::Run { workload, verb, epoch, order } => {
            let after = report(context, migration, seen, &next);
            let outcome = written(context, api, migration, &after, event, then).await?;
            let run = observe::run(migration, &workload, word(verb), epoch)?;
            match order {
                Order::Cancel => recovery.cancel(&run).await?,
                Order::Kill => recovery.kill(&run).await?,
                Order::Start | Order::StartLater | Order::Wait | Order::Nothing => {}
            }
            Ok(outcome)
        }
        Act::Probe => {
            let after = report(context, migration, seen, &next);
            let outcome = written(context, api, migration, &after, event, then).await?;
            for (workload, run) in &seen.unprobed {
                match task::probe(context, migration, seen, workload) {
                    Ok(task) => recovery.start(run, task).await?,
                    Err(shut) => return Err(ReconcileError::Transient(shut.message)),
                }
            }
            Ok(outcome)
        }
        // Applications are pointed to the open side by people: the operator knows none of their addresses and passwords.
        Act::Wait | Act::Switch | Act::SwitchBack => {
            let after = report(context, migration, seen, &next);
            written(context, api, migration, &after, event, then).await
        }
    }
}

/// Whether it is looked at again in a moment: a process is at work, or applications wait.
fn is_quick(seen: &Seen, next: &Next) -> bool {
    next.event.is_some()
        || next.act != Act::Wait
        || seen.is_at_work()
        || matches!(next.at.stage, MigrationStage::CuttingOver | MigrationStage::RollingBack)
}

/// A verb as processes call it.
const fn word(verb: MigrationVerb) -> &'static str {
    use MigrationVerb as V;
    match verb {
        V::Assess => "assess",
        V::Prepare => "prepare",
        V::Copy => "copy",
        V::Compare => "compare",
        V::Freeze => "freeze",
        V::Finish => "finish",
        V::Open => "open",
        V::Close => "close",
        V::Thaw => "thaw",
        V::Drop => "drop",
    }
}

/// It stays where it is.
fn held(migration: &SystemMigration, shut: Blocker) -> Next {
    let status = migration.status.as_ref();
    Next {
        at: stands(migration),
        event: None,
        epoch: status.map_or(0, |status| status.epoch),
        round: status.map_or(0, |status| status.round),
        act: Act::Wait,
        blocker: Some(shut),
    }
}

fn report(context: &Context, migration: &SystemMigration, seen: &Seen, next: &Next) -> SystemMigrationStatus {
    let retention = duration::parse("retention", &migration.spec.trial.retention).unwrap_or(SignedDuration::MAX);
    let ground = status::Ground {
        before: &seen.status,
        generation: migration.metadata.generation,
        wave: seen.wave.name.as_deref(),
        window: seen.wave.window,
        retention,
        now: context.clock.now(),
    };
    let mut status = status::migration(&ground, next);
    place::names(context, migration).keep_to(&mut status);
    status
}

/// It is over: what its processes left on this machine goes away. It may be deleted from then on, so its room has what was signed.
async fn rest(
    context: &Context,
    recovery: Option<&Recovery>,
    api: &Api<SystemMigration>,
    migration: &SystemMigration,
) -> Outcome {
    if !has_finalizer(migration, marks::FINALIZER_RUN) {
        return Ok(Action::await_change());
    }
    if let Some(recovery) = recovery {
        let uid = migration.uid().unwrap_or_default();
        for run in recovery.runs_of(&uid).await? {
            if recovery.observe(&run).await?.runs() {
                recovery.kill(&run).await?;
                return Ok(Action::requeue(LOOK));
            }
            recovery.remove(&run).await?;
        }
    }
    if !super::room::remembers(context, migration) {
        return Ok(Action::requeue(LATER));
    }
    remove_finalizer(api, migration, marks::FINALIZER_RUN).await?;
    Ok(Action::await_change())
}

async fn written(
    context: &Context,
    api: &Api<SystemMigration>,
    migration: &SystemMigration,
    status: &SystemMigrationStatus,
    event: Option<Event>,
    then: Action,
) -> Outcome {
    if migration.status.as_ref() != Some(status) {
        replace_status(api, migration, migration.status.as_ref(), status).await?;
    }
    let Some(event) = event else { return Ok(then) };
    let at = status.stage.map(|stage| Place { stage, step: status.step }.to_string()).unwrap_or_default();
    match (&status.blocker, event) {
        (Some(why), Event::RollbackBegun) => {
            context.events.warn(migration, "Migration", &why.reason, &format!("it is {at}: {}", why.message));
        }
        _ => context.events.normal(migration, "Migration", "Moved", &format!("it is {at}")),
    }
    Ok(then)
}
