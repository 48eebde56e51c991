//! Drills: a kind that is there, and whose controller does not act yet. It says so itself.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use zhengyun_crds::recovery::RecoveryDrillStatus;
use zhengyun_crds::{Condition, ConditionType, Reason, RecoveryDrill};
use zhengyun_domain::condition::ConditionSet;

use super::Context;
use crate::runtime::controller::Outcome;
use crate::runtime::hub::replace_status;

const DRILL: &str = "drills are not carried out in this version: restore into another grant with a SystemRestore and compare. 本版本尚不执行演练，请以 SystemRestore 恢复到另一资源授予并比对";

fn conditions(before: &[Condition], generation: Option<i64>, now: Timestamp, message: &str) -> Vec<Condition> {
    let mut set = ConditionSet::new(before, generation, now);
    set.unknown(ConditionType::Ready, Reason::ActionNotAvailable, message);
    set.finish()
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
