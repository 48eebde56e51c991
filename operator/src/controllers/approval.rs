//! Approvals: those of requests under review are judged with their request; this looks after the rest.

use std::sync::Arc;

use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use zhengyun_crds::approval::{Approval, ApprovalStatus};
use zhengyun_crds::{ConditionType, Reason, RequestPhase, ResourceRequest};
use zhengyun_domain::approval::{Judgement, counts_as};
use zhengyun_domain::condition::ConditionSet;

use super::Context;
use crate::runtime::controller::Outcome;
use crate::runtime::hub::{is_conflict, replace_status};

/// Says about an approval that nobody waits for why it does not count.
///
/// # Errors
/// When the hub does not take the status.
pub async fn reconcile(context: Arc<Context>, approval: Arc<Approval>) -> Outcome {
    if approval.status.as_ref().is_some_and(|s| !s.conditions.is_empty()) {
        return Ok(Action::await_change());
    }
    let namespace = approval.namespace().unwrap_or_default();
    let requests: Api<ResourceRequest> = context.namespaced(&namespace);
    let request = requests.get_opt(&approval.spec.request).await?;
    let Some(judgement) = plan(&approval, request.as_ref()) else { return Ok(Action::await_change()) };
    judge(&context, &approval, &judgement).await?;
    Ok(Action::await_change())
}

/// Says about the approvals of a request that has just left review what became of each that was not judged with it.
///
/// # Errors
/// When the hub does not take a status.
pub async fn left_behind(context: &Context, request: &ResourceRequest, judged: &[Judgement]) -> kube::Result<()> {
    let namespace = request.namespace();
    for approval in context.watches.approvals.all() {
        let of_request = approval.namespace() == namespace && approval.spec.request == request.name_any();
        let said = approval.status.as_ref().is_some_and(|s| !s.conditions.is_empty())
            || judged.iter().any(|j| j.approval == approval.name_any());
        if of_request
            && !said
            && let Some(judgement) = plan(&approval, Some(request))
        {
            judge(context, &approval, &judgement).await?;
        }
    }
    Ok(())
}

/// A request under review judges its approvals itself.
fn plan(approval: &Approval, request: Option<&ResourceRequest>) -> Option<Judgement> {
    let name = approval.name_any();
    let wanted = &approval.spec.request_uid;
    let Some(request) = request.filter(|r| r.metadata.uid.as_ref() == Some(wanted)) else {
        let message = format!(
            "there is no request {} with UID {wanted} in this department; decide on a present one",
            approval.spec.request
        );
        return Some(Judgement { approval: name, reason: Reason::RequestNotFound, message });
    };
    let status = request.status.as_ref();
    let counted = status.and_then(|s| s.decisions.iter().find(|d| Some(&d.uid) == approval.metadata.uid.as_ref()));
    if let Some(decision) = counted {
        // Counted, but the operator ended before it could say so.
        return Some(Judgement { approval: name, reason: Reason::Counted, message: counts_as(decision) });
    }
    match status.and_then(|s| s.phase) {
        Some(RequestPhase::InReview) => None,
        phase => {
            let phase = phase.unwrap_or(RequestPhase::Draft);
            let message = format!(
                "request {} is {phase}, not under review, so there was nothing to decide",
                approval.spec.request
            );
            Some(Judgement { approval: name, reason: Reason::StageNotOpen, message })
        }
    }
}

/// Writes a judgement on an approval, and an Event when it does not count.
///
/// # Errors
/// When the hub does not take the status.
pub async fn judge(context: &Context, approval: &Approval, judgement: &Judgement) -> kube::Result<()> {
    let mut set = ConditionSet::new(&[], approval.metadata.generation, context.clock.now());
    if judgement.reason == Reason::Counted {
        set.yes(ConditionType::Ready, Reason::Counted, judgement.message.clone());
        set.yes(ConditionType::Complete, Reason::Counted, judgement.message.clone());
    } else {
        set.stalled(judgement.reason, judgement.message.clone());
        context.events.warn(approval, "Decide", judgement.reason.as_str(), &judgement.message);
    }
    let status = ApprovalStatus {
        observed_generation: approval.metadata.generation.unwrap_or_default(),
        conditions: set.finish(),
    };
    let api = context.namespaced(&approval.namespace().unwrap_or_default());
    match replace_status(&api, approval, approval.status.as_ref(), &status).await {
        // Somebody else said it already.
        Err(error) if is_conflict(&error) => Ok(()),
        other => other.map(|_| ()),
    }
}
