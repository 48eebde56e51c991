//! Carries a plan out, one request per step, each safe to repeat.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use serde_json::json;
use zhengyun_crds::approval::Approval;
use zhengyun_crds::grant::{GrantPhase, ResourceGrantSpec, Revocation};
use zhengyun_crds::ledger::ObjectCharge;
use zhengyun_crds::request::ResourceRequestStatus;
use zhengyun_crds::{RequestPhase, ResourceGrant, ResourceRequest, marks};
use zhengyun_domain::amounts::Amounts;
use zhengyun_domain::approval::Judgement;
use zhengyun_domain::ledger::{Change, Charge};
use zhengyun_domain::request::{Observed, Plan, applied, entered, owes_zero, refused};
use zhengyun_domain::seeded::{self, Bug};
use zhengyun_domain::{naming, quota};

use super::super::grant::charge;
use super::super::{Context, approval};
use super::{change, phase, until};
use crate::ledger::{LedgerError, SiteLedger};
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::{add_finalizer, remove_finalizer, replace_status};
use crate::runtime::written::note;

impl From<LedgerError> for ReconcileError {
    fn from(error: LedgerError) -> Self {
        Self::Transient(error.to_string())
    }
}

/// Carries the plan out.
pub(super) async fn apply(
    context: &Context,
    request: &ResourceRequest,
    observed: &Observed<'_>,
    plan: Plan,
    now: Timestamp,
) -> Outcome {
    let api: Api<ResourceRequest> = context.namespaced(&request.namespace().unwrap_or_default());
    // The ledger released it, but nobody could say so on the request.
    let outlived = owes_zero(request, observed.booked, unshown(context, request));
    match plan {
        Plan::Settled(_) if outlived => {
            release(context, &api, request, observed, request.status.clone().unwrap_or_default()).await
        }
        Plan::Settled(wake) => Ok(until(wake, now)),
        Plan::Claim => {
            add_finalizer(&api, request, marks::FINALIZER_CHARGE).await?;
            Ok(Action::await_change())
        }
        Plan::Forget => {
            remove_finalizer(&api, request, marks::FINALIZER_CHARGE).await?;
            // It will never show what the journal may still say of it.
            if let Ok(ledger) = context.ledger.site(&request.spec.order.site) {
                let sequence = ledger.mark().await?;
                ledger.acknowledge(&request.uid().unwrap_or_default(), sequence).await;
            }
            Ok(Action::await_change())
        }
        Plan::Report { status, judgements } if outlived => {
            say(context, observed, &judgements).await?;
            release(context, &api, request, observed, status).await
        }
        Plan::Report { status, judgements } => report(context, &api, request, observed, status, judgements).await,
        Plan::Release(status) => release(context, &api, request, observed, status).await,
        Plan::Reserve { charge, status } => reserve(context, &api, request, observed, charge, status, now).await,
        Plan::Grant(spec) => carry_out(context, &api, request, observed, spec, now).await,
        Plan::Revoke(revocation) => order_revocation(context, observed, Some(&revocation)).await,
        Plan::Undo(status) => {
            if observed.grant.is_some_and(|g| g.spec.revocation.is_some()) {
                order_revocation(context, observed, None).await?;
            }
            replace_status(&api, request, request.status.as_ref(), &status).await?;
            Ok(Action::await_change())
        }
    }
}

async fn report(
    context: &Context,
    api: &Api<ResourceRequest>,
    request: &ResourceRequest,
    observed: &Observed<'_>,
    status: ResourceRequestStatus,
    judgements: Vec<Judgement>,
) -> Outcome {
    announce(context, request, &status);
    let written = if request.status.as_ref() == Some(&status) {
        None
    } else {
        Some(replace_status(api, request, request.status.as_ref(), &status).await?)
    };
    say(context, observed, &judgements).await?;
    leave_review(context, request, written.as_ref(), &judgements).await
}

/// Approvals that this look did not judge are told what became of the request: nothing looks at them again once it left review.
async fn leave_review(
    context: &Context,
    before: &ResourceRequest,
    written: Option<&ResourceRequest>,
    judged: &[Judgement],
) -> Outcome {
    if let Some(written) = written
        && phase(before) == RequestPhase::InReview
        && phase(written) != RequestPhase::InReview
    {
        approval::left_behind(context, written, judged).await?;
    }
    Ok(Action::await_change())
}

async fn say(context: &Context, observed: &Observed<'_>, judgements: &[Judgement]) -> Result<(), ReconcileError> {
    for judgement in judgements {
        let found: Option<&Approval> = observed
            .candidates
            .iter()
            .map(|c| c.approval)
            .find(|a| a.metadata.name.as_deref() == Some(&judgement.approval));
        if let Some(found) = found {
            approval::judge(context, found, judgement).await?;
        }
    }
    Ok(())
}

async fn reserve(
    context: &Context,
    api: &Api<ResourceRequest>,
    request: &ResourceRequest,
    observed: &Observed<'_>,
    charge: Amounts,
    status: ResourceRequestStatus,
    now: Timestamp,
) -> Outcome {
    let site = &request.spec.order.site;
    if charge.is_zero() && observed.booked.is_zero() {
        announce(context, request, &status);
        replace_status(api, request, request.status.as_ref(), &entered(status, site, None, &charge)).await?;
        return Ok(Action::await_change());
    }
    let ledger = context.ledger.site(site)?;
    let mut change = change(request, observed.department, Charge::reserved(charge.clone()));
    let uid = change.object.uid.clone();
    if seeded::is(Bug::DecisionAdded) {
        change.charge.reserved = ledger.booked(&uid).reserved.checked_add(&charge).unwrap_or_default();
    }
    let decided = match ledger.booked_sequence(&uid) {
        // Committed before, and the view of the request is older than that: the same decision is not taken twice.
        Some(sequence) if ledger.booked(&uid) == change.charge => Ok(sequence),
        _ => ledger.decide(vec![change]).await,
    };
    match decided {
        Ok(sequence) => {
            let status = entered(status, site, Some(sequence), &charge);
            replace_status(api, request, request.status.as_ref(), &status).await?;
            ledger.acknowledge(&uid, sequence).await;
            Ok(Action::await_change())
        }
        Err(LedgerError::Refused(refusal)) if !refusal.is_transient() => {
            context.events.warn(request, "Submit", refusal.reason().as_str(), &refusal.to_string());
            let status = refused(observed, &refusal, now);
            // A former reservation of this request does not outlive the refusal of its successor.
            if observed.booked.is_zero() && ledger.unshown(&uid).is_none() {
                replace_status(api, request, request.status.as_ref(), &status).await?;
                return Ok(Action::await_change());
            }
            release(context, api, request, observed, status).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn release(
    context: &Context,
    api: &Api<ResourceRequest>,
    request: &ResourceRequest,
    observed: &Observed<'_>,
    mut status: ResourceRequestStatus,
) -> Outcome {
    let ledger = context.ledger.site(&request.spec.order.site)?;
    let change = change(request, observed.department, Charge::zero());
    let uid = change.object.uid.clone();
    let held = ledger.booked(&uid);
    let booked = !held.is_zero();
    if booked || owes_zero(request, &held, ledger.unshown(&uid)) {
        // Released before: the present sequence is not before that of the release.
        let sequence = if booked { ledger.decide(vec![change]).await? } else { ledger.mark().await? };
        if !seeded::is(Bug::ReservationOutlivesRelease) {
            status.charge = Some(nothing(&request.spec.order.site, sequence));
        }
        announce(context, request, &status);
        let written = replace_status(api, request, request.status.as_ref(), &status).await?;
        ledger.acknowledge(&uid, sequence).await;
        return leave_review(context, request, Some(&written), &[]).await;
    }
    announce(context, request, &status);
    let written = replace_status(api, request, request.status.as_ref(), &status).await?;
    leave_review(context, request, Some(&written), &[]).await
}

/// The sequence of a decision that the request does not show, as far as the ledger knows.
fn unshown(context: &Context, request: &ResourceRequest) -> Option<i64> {
    context.ledger.site(&request.spec.order.site).ok()?.unshown(&request.uid()?)
}

/// Row 6 of the life cycle: the grant first, then one commit that moves the charge, then both statuses, then delivery.
async fn carry_out(
    context: &Context,
    api: &Api<ResourceRequest>,
    request: &ResourceRequest,
    observed: &Observed<'_>,
    spec: ResourceGrantSpec,
    now: Timestamp,
) -> Outcome {
    let namespace = request.namespace().unwrap_or_default();
    let uid = request.uid().unwrap_or_default();
    let drawn = seeded::is(Bug::GrantNameDrawn).then(|| now.to_string());
    let name = naming::grant_name(&request.name_any(), drawn.as_ref().unwrap_or(&uid));
    let site = spec.site.clone();
    let granted = quota::amounts("spec.charge", &spec.charge).map_err(|e| ReconcileError::Transient(e.to_string()))?;
    let grants: Api<ResourceGrant> = context.namespaced(&namespace);
    let held = match observed.grant {
        Some(found) => found.clone(),
        None => charge::create(&grants, &name, &namespace, spec, "zhengyun-request").await?,
    };
    if held.spec.request.uid != uid {
        return Err(ReconcileError::Transient(format!(
            "ResourceGrant {name} exists and comes from another request ({}); have the cloud administrator look at it",
            held.spec.request.name
        )));
    }
    let ledger = context.ledger.site(&site)?;
    let held = if held.status.as_ref().and_then(|s| s.phase).is_none_or(|p| p == GrantPhase::Pending) {
        transfer(context, &ledger, &grants, request, observed, &held, granted, now).await?
    } else {
        held
    };
    let mut status = applied(observed, &name, now);
    let sequence = held.status.as_ref().and_then(|s| s.charge.as_ref()).map_or(0, |c| c.sequence);
    let own = status.charge.as_ref().map_or(0, |c| c.sequence);
    let last = if seeded::is(Bug::ChargeSequenceFalls) { 0 } else { sequence.max(own) };
    status.charge = Some(nothing(&site, last));
    announce(context, request, &status);
    replace_status(api, request, request.status.as_ref(), &status).await?;
    ledger.acknowledge(&uid, sequence).await;
    Ok(Action::await_change())
}

#[expect(
    clippy::too_many_arguments,
    reason = "one commit moves a charge between two objects, and both are needed whole"
)]
async fn transfer(
    context: &Context,
    ledger: &SiteLedger,
    grants: &Api<ResourceGrant>,
    request: &ResourceRequest,
    observed: &Observed<'_>,
    held: &ResourceGrant,
    granted: Amounts,
    now: Timestamp,
) -> Result<ResourceGrant, ReconcileError> {
    let uid = held.uid().unwrap_or_default();
    let charged = Charge::granted(granted.clone());
    let booked = ledger.booked(&uid);
    let sequence = match ledger.booked_sequence(&uid) {
        // Committed before a crash or a lost answer: the same decision is not taken twice.
        Some(sequence) if booked == charged => sequence,
        _ => {
            let to = Change {
                object: charge::charged_object(held),
                department: observed.department.to_owned(),
                charge: charged,
            };
            let from = change(request, observed.department, Charge::zero());
            let kept = seeded::is(Bug::ReservationKept);
            ledger.decide(if kept { vec![to] } else { vec![from, to] }).await?
        }
    };
    charge::show(context, ledger, grants, held, (&granted, sequence), now).await
}

async fn order_revocation(context: &Context, observed: &Observed<'_>, revocation: Option<&Revocation>) -> Outcome {
    let Some(held) = observed.grant else { return Ok(Action::await_change()) };
    let grants: Api<ResourceGrant> = context.namespaced(&held.namespace().unwrap_or_default());
    let patch = json!({
        "metadata": { "uid": held.metadata.uid, "resourceVersion": held.metadata.resource_version },
        "spec": { "revocation": revocation }
    });
    grants.patch(&held.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await.inspect(note)?;
    Ok(Action::await_change())
}

fn nothing(site: &str, sequence: i64) -> ObjectCharge {
    ObjectCharge { site: site.to_owned(), sequence, ..ObjectCharge::default() }
}

/// Results and refusals also show as an Event, once.
fn announce(context: &Context, request: &ResourceRequest, status: &ResourceRequestStatus) {
    let before = request.status.as_ref();
    if status.refusal.is_some() && before.and_then(|s| s.refusal.as_ref()) != status.refusal.as_ref() {
        if let Some(refusal) = &status.refusal {
            context.events.warn(request, "Submit", &refusal.reason, &refusal.message);
        }
        return;
    }
    if before.and_then(|s| s.phase) != status.phase
        && let Some(phase) = status.phase.filter(|p| p.is_terminal() || *p == RequestPhase::ReturnedForCorrection)
    {
        let ready = zhengyun_crds::condition::find(&status.conditions, zhengyun_crds::ConditionType::Ready);
        context.events.normal(request, "Review", phase.as_str(), ready.map_or("", |c| c.message.as_str()));
    }
}
