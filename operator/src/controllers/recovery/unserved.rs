//! Plans and drills: kinds that are there, and whose controllers do not act yet. They say so themselves.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use zhengyun_crds::recovery::{RecoveryDrillStatus, RecoveryPlanStatus};
use zhengyun_crds::{Condition, ConditionType, Reason, RecoveryDrill, RecoveryPlan};
use zhengyun_domain::condition::ConditionSet;

use super::{Context, OFF, of};
use crate::runtime::controller::Outcome;
use crate::runtime::hub::replace_status;

const PLAN: &str = "backups and restores are carried out when they are asked for (SystemBackup, SystemRestore). Schedule, retention, charges, drills and the level of this plan are not acted on in this version: nothing is backed up by itself, and nothing is deleted. 备份与恢复按申请执行；本版本尚不执行该方案的计划时间、保留策略、计费、演练与等级评估";
const DRILL: &str = "drills are not carried out in this version: restore into another grant with a SystemRestore and compare. 本版本尚不执行演练，请以 SystemRestore 恢复到另一资源授予并比对";

fn conditions(before: &[Condition], generation: Option<i64>, now: Timestamp, message: &str) -> Vec<Condition> {
    let mut set = ConditionSet::new(before, generation, now);
    set.unknown(ConditionType::Ready, Reason::ActionNotAvailable, message);
    set.finish()
}

/// Says what becomes of a plan.
///
/// # Errors
/// When the hub does not take the status.
pub async fn plan(context: Arc<Context>, plan: Arc<RecoveryPlan>) -> Outcome {
    let before = plan.status.clone().unwrap_or_default();
    let message = if of(&context).is_some() { PLAN } else { OFF };
    let status = RecoveryPlanStatus {
        observed_generation: plan.metadata.generation.unwrap_or_default(),
        conditions: conditions(&before.conditions, plan.metadata.generation, context.clock.now(), message),
        ..before
    };
    if plan.status.as_ref() != Some(&status) {
        let api = context.namespaced(&plan.namespace().unwrap_or_default());
        replace_status(&api, plan.as_ref(), plan.status.as_ref(), &status).await?;
    }
    Ok(Action::await_change())
}

/// Says what becomes of a drill.
///
/// # Errors
/// When the hub does not take the status.
pub async fn drill(context: Arc<Context>, drill: Arc<RecoveryDrill>) -> Outcome {
    let before = drill.status.clone().unwrap_or_default();
    let status = RecoveryDrillStatus {
        observed_generation: drill.metadata.generation.unwrap_or_default(),
        conditions: conditions(&before.conditions, drill.metadata.generation, context.clock.now(), DRILL),
        ..before
    };
    if drill.status.as_ref() != Some(&status) {
        let api = context.namespaced(&drill.namespace().unwrap_or_default());
        replace_status(&api, drill.as_ref(), drill.status.as_ref(), &status).await?;
    }
    Ok(Action::await_change())
}
