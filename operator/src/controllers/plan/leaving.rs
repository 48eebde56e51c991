//! A plan that is being deleted starts nothing and drops nothing. It stays until nothing is charged to it any more: bytes that stand in a
//! store have a bearer as long as they do.

use std::time::Duration;

use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use zhengyun_crds::recovery::{RecoveryPlan, RecoveryPlanStatus};
use zhengyun_crds::{ConditionType, Reason, marks};
use zhengyun_domain::condition::{ConditionSet, cut};

use super::{Context, backups_of, charge, recovery, retention};
use crate::runtime::controller::Outcome;
use crate::runtime::hub::{remove_finalizer, replace_status};

/// How often it is looked at although nothing happens: that a repository is gone shows nowhere else.
const LOOK: Duration = Duration::from_secs(60);
/// How soon it is looked at again when a backup changed meanwhile.
const SOON: Duration = Duration::from_secs(1);

/// Lets a plan go, or says what keeps it.
pub(super) async fn leave(context: &Context, api: &Api<RecoveryPlan>, plan: &RecoveryPlan) -> Outcome {
    let backups = backups_of(context, plan);
    let standing = match recovery::of(context) {
        Some(recovery) => retention::apply(context, recovery, plan, &backups).await?,
        None => retention::Standing::default(),
    };
    for backup in &backups {
        if !retention::withdraw(context, backup).await? {
            return Ok(Action::requeue(SOON));
        }
    }
    let charges = super::charges(plan);
    let held = charge::told(&charges);
    if held.is_none() && !charge::is_booked(context, plan) {
        remove_finalizer(api, plan, marks::FINALIZER_CHARGE).await?;
        return Ok(Action::await_change());
    }
    let before = plan.status.clone().unwrap_or_default();
    let message = format!(
        "its backups stand in stores and are charged: {}; another plan of the department that is not deleted takes that over, or the cloud administrator removes the department's repository from the store and its Secret recovery-repository.<store>.{}",
        held.unwrap_or_else(|| "it is being settled".to_owned()),
        super::department_of(&plan.namespace().unwrap_or_default())
    );
    let mut set = ConditionSet::new(&before.conditions, plan.metadata.generation, context.clock.now());
    set.stalled(Reason::RetainedStorage, cut(message.clone(), 2_000));
    set.yes(ConditionType::DeletionBlocked, Reason::RetainedStorage, cut(message, 2_000));
    let status = RecoveryPlanStatus {
        observed_generation: plan.metadata.generation.unwrap_or_default(),
        next_run: None,
        next_drill: None,
        conditions: set.finish(),
        ..before
    };
    if plan.status.as_ref() != Some(&status) {
        replace_status(api, plan, plan.status.as_ref(), &status).await?;
    }
    Ok(Action::requeue(standing.again.unwrap_or(LOOK)))
}
