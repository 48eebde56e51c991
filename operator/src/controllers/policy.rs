//! Approval policies: their expressions are checked when they change.

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use zhengyun_crds::policy::{ApprovalPolicy, ApprovalPolicyStatus};
use zhengyun_crds::{ConditionType, Reason};
use zhengyun_domain::condition::ConditionSet;
use zhengyun_domain::policy;

use super::Context;
use crate::runtime::controller::Outcome;
use crate::runtime::hub::replace_status;

/// Brings a policy's status up to date.
///
/// # Errors
/// When the hub does not take the status.
pub async fn reconcile(context: Arc<Context>, policy: Arc<ApprovalPolicy>) -> Outcome {
    let status = plan(&policy, context.clock.now());
    if policy.status.as_ref() != Some(&status) {
        replace_status(&context.cluster(), policy.as_ref(), policy.status.as_ref(), &status).await?;
    }
    Ok(Action::await_change())
}

fn plan(object: &ApprovalPolicy, now: Timestamp) -> ApprovalPolicyStatus {
    let before = object.status.clone().unwrap_or_default();
    let faults = policy::review(&object.spec);
    let mut set = ConditionSet::new(&before.conditions, object.metadata.generation, now);
    if faults.is_empty() {
        set.yes(ConditionType::Ready, Reason::Accepted, "in force");
    } else {
        set.stalled(
            Reason::ExpressionFailed,
            format!("{}; until this is corrected, requests that reach it are refused", faults.join("; ")),
        );
    }
    let stages: Vec<&str> = object.spec.stages.iter().map(|s| s.name.as_str()).collect();
    let summary =
        object.spec.auto_approve.as_ref().map_or_else(|| stages.join(" → "), |a| format!("none: {}", a.basis));
    ApprovalPolicyStatus {
        observed_generation: object.metadata.generation.unwrap_or_default(),
        summary: zhengyun_domain::condition::cut(summary, 500),
        conditions: set.finish(),
    }
}
