//! Recovery plans: runs are started when they are due, and what backups and drills prove is told.

mod leaving;
mod retention;
mod triggers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use zhengyun_crds::ledger::ObjectCharge;
use zhengyun_crds::recovery::{RecoveryPlan, RecoveryPlanStatus, SystemBackup};
use zhengyun_crds::{ConditionType, Reason, marks};
use zhengyun_domain::condition::{ConditionSet, cut};
use zhengyun_domain::recovery::backup::{Observed, plan as outlook};
use zhengyun_domain::recovery::level::built_in;
use zhengyun_domain::recovery::place::Place;
use zhengyun_domain::recovery::plan::{Decision, Facts, decide};

use super::recovery::{self, charge, keys, reach};
use super::{Context, department_of};
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::{add_finalizer, has_finalizer, is_conflict, replace_status};
use crate::runtime::watches::Kind;
use crate::runtime::written;

pub use triggers::triggers;

/// Starts what is due and brings the status of a plan up to date.
///
/// # Errors
/// When the hub does not answer, or the plan changed meanwhile.
pub async fn reconcile(context: Arc<Context>, cached: Arc<RecoveryPlan>) -> Outcome {
    let api: Api<RecoveryPlan> = context.namespaced(&cached.namespace().unwrap_or_default());
    if !has_finalizer(cached.as_ref(), marks::FINALIZER_CHARGE) {
        // Nothing was ever charged to it.
        if cached.metadata.deletion_timestamp.is_none() {
            add_finalizer(&api, cached.as_ref(), marks::FINALIZER_CHARGE).await?;
        }
        return Ok(Action::await_change());
    }
    // What stands is charged before anything is said of it.
    let uncharged = charge::settle(&context, &cached).await?;
    // Read anew: what is due depends on what was started, and a late watch would start it again.
    let Some(plan) = api.get_opt(&cached.name_any()).await? else { return Ok(Action::await_change()) };
    if plan.metadata.deletion_timestamp.is_some() {
        return leaving::leave(&context, &api, &plan).await;
    }
    let decision = match recovery::of(&context) {
        Some(_) => observe(&context, &plan).await?,
        None => off(&context, &plan),
    };
    // What is due is started whether or not something could be dropped.
    let (kept, undropped) = match recovery::of(&context) {
        Some(recovery) => match retention::apply(&context, recovery, &plan, &backups_of(&context, &plan)).await {
            Ok(standing) => (standing, None),
            Err(error) => (retention::Standing::default(), Some(error)),
        },
        None => (retention::Standing::default(), None),
    };
    let decision = retained(&context, &plan, decision, &kept.complaints);
    let decision = match uncharged {
        Some((reason, message)) => overlaid(&context, &plan, decision, reason, message),
        None => decision,
    };
    let started = started(&context, &plan, &decision).await;
    let decision = match &started {
        Ok(()) => decision,
        Err(kube::Error::Api(refusal)) => not_started(&context, &plan, decision, &refusal.message),
        // It may have been created: nothing is written about it before that is known.
        Err(_) => return started.map(|()| Action::await_change()).map_err(Into::into),
    };
    if plan.status.as_ref() != Some(&decision.status) {
        replace_status(&api, &plan, plan.status.as_ref(), &decision.status).await?;
    }
    started?;
    if let Some(error) = undropped {
        return Err(error);
    }
    let again = Duration::try_from(decision.again).unwrap_or_default();
    Ok(Action::requeue(kept.again.map_or(again, |sooner| sooner.min(again))))
}

/// What a plan is charged: what else it says matters to no quota.
pub fn charges(plan: &RecoveryPlan) -> Vec<ObjectCharge> {
    plan.status.as_ref().map(|status| status.charges.clone()).unwrap_or_default()
}

/// Backups of a plan; those of an older plan of the same name are others.
fn backups_of(context: &Context, plan: &RecoveryPlan) -> Vec<Arc<SystemBackup>> {
    let (name, uid, namespace) = (plan.name_any(), plan.uid().unwrap_or_default(), plan.namespace());
    context
        .watches
        .backups
        .matching(|backup| backup.spec.plan == name && backup.spec.plan_uid == uid && backup.namespace() == namespace)
}

/// What a plan says of data that should be gone and is not.
fn retained(context: &Context, plan: &RecoveryPlan, mut decision: Decision, complaints: &[String]) -> Decision {
    if !complaints.is_empty() {
        let before = plan.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
        let mut set = ConditionSet::new(&before, plan.metadata.generation, context.clock.now());
        let message =
            format!("backups that are to be dropped may still stand: {}; it is tried again", complaints.join("; "));
        set.yes(ConditionType::RetainedStorage, Reason::RetainedStorage, cut(message, 2_000));
        decision.status.conditions.extend(set.finish());
        decision.status.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    }
    decision
}

/// Looks at everything that is known of a plan, and decides.
async fn observe(context: &Context, plan: &RecoveryPlan) -> Result<Decision, ReconcileError> {
    let namespace = plan.namespace().unwrap_or_default();
    let now = context.clock.now();
    let observed = Observed {
        created: plan.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0),
        places: context.watches.sites.all().iter().map(|s| (s.name_any(), Place::of(&s.name_any(), &s.spec))).collect(),
        ..reach::observed(context, &namespace)
    };
    let table = built_in(plan.spec.edition).map_err(|e| ReconcileError::Transient(e.to_string()))?;
    let uid = plan.uid().unwrap_or_default();
    let is_of = |name: &str, of: &str, within: Option<String>| {
        name == plan.name_any() && of == uid && within.as_deref() == Some(namespace.as_str())
    };
    let backups = backups_of(context, plan);
    let drills =
        context.watches.drills.matching(|drill| is_of(&drill.spec.plan, &drill.spec.plan_uid, drill.namespace()));
    let mut escrow = BTreeMap::new();
    for copy in &plan.spec.copies {
        let known = keys::repository(context, &copy.store, department_of(&namespace)).await?;
        if let Some(fingerprint) = known.and_then(|known| known.fingerprint()) {
            escrow.insert(copy.store.clone(), fingerprint);
        }
    }
    let facts = Facts {
        plan,
        outlook: outlook(&plan.spec, &table, &observed),
        table: &table,
        backups: backups.iter().map(AsRef::as_ref).collect(),
        drills: drills.iter().map(AsRef::as_ref).collect(),
        escrow,
    };
    Ok(decide(&facts, now))
}

/// Creates what is due: a backup, a drill, or both.
async fn started(context: &Context, plan: &RecoveryPlan, decision: &Decision) -> kube::Result<()> {
    if let Some(backup) = &decision.start {
        start(context, plan, backup, "backup").await?;
    }
    match &decision.drill {
        Some(drill) => start(context, plan, drill, "drill").await,
        None => Ok(()),
    }
}

/// Creates the run of a due time. One that is there already was created by a look whose status was lost, or by another operator.
async fn start<K>(context: &Context, plan: &RecoveryPlan, run: &K, what: &str) -> kube::Result<()>
where
    K: Kind + Resource<Scope = NamespaceResourceScope> + Serialize,
{
    let api: Api<K> = context.namespaced(&plan.namespace().unwrap_or_default());
    match api.create(&PostParams::default(), run).await {
        Ok(created) => {
            written::note(&created);
            context.events.normal(plan, "Start", "Due", &format!("{what} {} was started", run.name_any()));
            Ok(())
        }
        Err(error) if is_conflict(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What a plan says for which something has to be done first.
fn overlaid(
    context: &Context,
    plan: &RecoveryPlan,
    mut decision: Decision,
    reason: Reason,
    message: String,
) -> Decision {
    let before = plan.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    let mut set = ConditionSet::new(&before, plan.metadata.generation, context.clock.now());
    set.stalled(reason, cut(message, 2_000));
    let told = set.finish();
    let conditions = &mut decision.status.conditions;
    conditions.retain(|kept| told.iter().all(|new| new.type_ != kept.type_));
    conditions.extend(told);
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    decision
}

/// What a plan says whose run the hub refused: it counts as not started, and is tried again.
fn not_started(context: &Context, plan: &RecoveryPlan, decision: Decision, why: &str) -> Decision {
    let before = plan.status.clone().unwrap_or_default();
    let names =
        [decision.start.as_ref().map(ResourceExt::name_any), decision.drill.as_ref().map(ResourceExt::name_any)];
    let name = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let message = format!("{name} was due and could not be created: {why}; it is tried again");
    let mut decision = overlaid(context, plan, decision, Reason::RunFailed, message);
    decision.status.last_due = before.last_due;
    decision.status.last_drill_due = before.last_drill_due;
    for copy in &mut decision.status.copies {
        copy.drill_due =
            before.copies.iter().find(|known| known.store == copy.store).and_then(|known| known.drill_due.clone());
    }
    decision
}

/// What an operator without a place for runs says of a plan: nothing is started, and nothing that was measured is forgotten.
fn off(context: &Context, plan: &RecoveryPlan) -> Decision {
    let before = plan.status.clone().unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, plan.metadata.generation, context.clock.now());
    set.stalled(Reason::ActionNotAvailable, recovery::OFF);
    for kept in [ConditionType::ObjectiveMet, ConditionType::LevelMet, ConditionType::Protected] {
        set.unknown(kept, Reason::ActionNotAvailable, "nothing is measured");
    }
    let conditions = set.finish();
    let generation = plan.metadata.generation.unwrap_or_default();
    let status =
        RecoveryPlanStatus { observed_generation: generation, next_run: None, next_drill: None, conditions, ..before };
    Decision { start: None, drill: None, status, again: jiff::SignedDuration::from_hours(1) }
}
