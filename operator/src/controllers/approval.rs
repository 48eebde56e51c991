//! Approvals: those of requests under review are judged with their request; this looks after the rest.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;
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
    let name = &approval.spec.request;
    // While the request is under review it judges by itself, and what counted counts: that much an older state tells as well.
    let cached = context.watches.requests.get_in(&namespace, name);
    let sure = cached.as_deref().map(|request| plan(&approval, Some(request)));
    let judgement = match sure {
        Some(None) => return Ok(Action::await_change()),
        Some(Some(judgement)) if judgement.reason == Reason::Counted => judgement,
        _ => {
            let fresh = context.namespaced::<ResourceRequest>(&namespace).get_opt(name).await?;
            let Some(judgement) = plan(&approval, fresh.as_ref()) else { return Ok(Action::await_change()) };
            judgement
        }
    };
    judge(&context, &approval, &judgement).await?;
    Ok(Action::await_change())
}

/// Says about the approvals of a request that has just left review what became of each that was not judged with it.
///
/// # Errors
/// When the hub does not take a status.
pub async fn left_behind(context: &Context, request: &ResourceRequest, judged: &[Judgement]) -> kube::Result<()> {
    for approval in untold(context, request) {
        if !judged.iter().any(|j| j.approval == approval.name_any())
            && let Some(judgement) = plan(&approval, Some(request))
        {
            judge(context, &approval, &judgement).await?;
        }
    }
    Ok(())
}

/// Approvals of a request that were not told yet whether they count.
pub fn untold(context: &Context, request: &ResourceRequest) -> Vec<Arc<Approval>> {
    let (namespace, name) = (request.metadata.namespace.as_ref(), request.metadata.name.as_ref());
    context.watches.approvals.matching(|approval| {
        approval.metadata.namespace.as_ref() == namespace
            && Some(&approval.spec.request) == name
            && approval.status.as_ref().is_none_or(|s| s.conditions.is_empty())
    })
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
