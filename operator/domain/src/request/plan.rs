//! What to do next with a request, from what was observed. One step at a time: each leaves a state from which the next follows.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zhengyun_crds::grant::{GrantPhase, RequestRef, ResourceGrant, ResourceGrantSpec, Revocation};
use zhengyun_crds::request::{
    Action, AncestorEffect, Disposition, Finding, OpenStage, Preview, RequestPhase, ResourceRequest,
    ResourceRequestStatus, Review,
};
use zhengyun_crds::{Reason, marks};

use super::assess::Assessment;
use super::machine::{Event, step};
use super::outcome::refused;
use super::undo::{plan_undo, still_ordered};
use super::{due, status};
use crate::amounts::Amounts;
use crate::approval::{self, Candidate, Case, Judgement, Outcome};
use crate::ledger::{Charge, Refusal};
use crate::quota;

/// How soon a submission that could not be tried at its site is tried again.
const TRY_SITE_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// What the decision is made from.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The request.
    pub request: &'a ResourceRequest,
    /// Department that it charges.
    pub department: &'a str,
    /// What a submission would mean; needed while it may be edited.
    pub assessment: Option<&'a Assessment>,
    /// Effect at the chain and the site; a report.
    pub effects: &'a [AncestorEffect],
    /// What the site's dry run said about the rendered objects.
    pub site_findings: &'a [Finding],
    /// Why the rendered objects of a submission could not be tried at the site, if so.
    pub site_unchecked: Option<&'a str>,
    /// What the ledger would answer to a reservation now, if it would refuse it.
    pub refusal: Option<&'a Refusal>,
    /// Approvals that name it.
    pub candidates: Vec<Candidate<'a>>,
    /// The grant that came of it, or that it ends.
    pub grant: Option<&'a ResourceGrant>,
    /// Why decisions may not be acted on, if so: the shipped admission policies are not in force.
    pub not_enforced: Option<&'a str>,
    /// What the ledger holds for it.
    pub booked: &'a Charge,
}

/// The next step.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing to do until something changes, or until the given time.
    Settled(Option<Timestamp>),
    /// Put the finalizer on before anything is charged.
    Claim,
    /// Take the finalizer off: nothing is charged.
    Forget,
    /// Bring the ledger to zero, then write the status.
    Release(ResourceRequestStatus),
    /// Reserve, then write the status; on a refusal write [`refused`].
    Reserve {
        /// What to reserve.
        charge: Amounts,
        /// Status to write once it is reserved.
        status: ResourceRequestStatus,
    },
    /// Write the status, and what is to be said about approvals.
    Report {
        /// Status.
        status: ResourceRequestStatus,
        /// About approvals.
        judgements: Vec<Judgement>,
    },
    /// Create the grant, transfer the charge in one commit, write both statuses.
    Grant(ResourceGrantSpec),
    /// Write the order to end a grant on the grant.
    Revoke(Revocation),
    /// Take the order to end the grant back, then write the status.
    Undo(ResourceRequestStatus),
}

/// Decides the next step.
pub fn plan(observed: &Observed<'_>, now: Timestamp) -> Plan {
    let request = observed.request;
    let before = request.status.clone().unwrap_or_default();
    let phase = before.phase.unwrap_or(RequestPhase::Draft);
    if request.metadata.deletion_timestamp.is_some() {
        return plan_deletion(observed, &before, now);
    }
    if request.spec.withdrawn
        && !phase.is_terminal()
        && let Some(plan) = plan_withdrawal(observed, &before, phase, now)
    {
        return plan;
    }
    match phase {
        RequestPhase::Draft | RequestPhase::ReturnedForCorrection => plan_editable(observed, &before, phase, now),
        RequestPhase::InReview => plan_review(observed, &before, now),
        RequestPhase::Approved => plan_approved(observed, &before, now),
        // An operator that stood still meanwhile may have ordered it after it was undone.
        RequestPhase::Withdrawn if still_ordered(observed) => Plan::Undo(before),
        RequestPhase::Applied | RequestPhase::Rejected | RequestPhase::Withdrawn | RequestPhase::Expired => {
            if !observed.booked.is_zero() {
                return Plan::Release(status::ended(observed, &before, phase, None, now));
            }
            settle_or_report(request, status::ended(observed, &before, phase, None, now), None)
        }
    }
}

fn plan_deletion(observed: &Observed<'_>, before: &ResourceRequestStatus, now: Timestamp) -> Plan {
    let phase = before.phase.unwrap_or(RequestPhase::Draft);
    let live_grant =
        observed.grant.is_some_and(|g| g.status.as_ref().and_then(|s| s.phase) != Some(GrantPhase::Revoked));
    if phase == RequestPhase::Approved || (phase == RequestPhase::Applied && live_grant) {
        // The admission policy refuses this deletion; if it was away, the record still stays until the grant has ended.
        return Plan::Settled(None);
    }
    if !observed.booked.is_zero() {
        let next = step(phase, Event::Withdrawn).unwrap_or(phase);
        return Plan::Release(status::ended(observed, before, next, Some("the request was deleted"), now));
    }
    if has_finalizer(observed.request) { Plan::Forget } else { Plan::Settled(None) }
}

fn plan_withdrawal(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    phase: RequestPhase,
    now: Timestamp,
) -> Option<Plan> {
    if phase == RequestPhase::Approved {
        return plan_undo(observed, before, now);
    }
    let next = step(phase, Event::Withdrawn).ok()?;
    let status = status::ended(observed, before, next, None, now);
    Some(if observed.booked.is_zero() {
        Plan::Report { status, judgements: Vec::new() }
    } else {
        Plan::Release(status)
    })
}

fn plan_editable(observed: &Observed<'_>, before: &ResourceRequestStatus, phase: RequestPhase, now: Timestamp) -> Plan {
    let request = observed.request;
    let Some(assessment) = observed.assessment else { return Plan::Settled(None) };
    let submitted = request.spec.submission > before.submission;
    if !submitted {
        return plan_waiting_for_department(observed, before, phase, assessment, now);
    }
    let findings: Vec<Finding> = assessment.findings.iter().chain(observed.site_findings).cloned().collect();
    let (Some(policy), true) = (&assessment.policy, findings.is_empty()) else {
        let status = status::refused_by_findings(observed, before, phase, &findings, now);
        return if observed.booked.is_zero() {
            Plan::Report { status, judgements: Vec::new() }
        } else {
            Plan::Release(status)
        };
    };
    if let Some(why) = observed.not_enforced {
        return settle_or_report(
            request,
            status::blocked(observed, before, phase, Reason::PolicyNotEnforced, why, now),
            None,
        );
    }
    // Nothing is charged for objects that nobody checked.
    if let Some(why) = observed.site_unchecked {
        let status = status::waiting_for_site(observed, before, phase, why, now);
        return settle_or_report(request, status, now.checked_add(TRY_SITE_AGAIN).ok());
    }
    if !has_finalizer(request) {
        // What does not fit needs no finalizer first: nothing is charged.
        return match observed.refusal.filter(|r| !r.is_transient()) {
            Some(refusal) => Plan::Report { status: refused(observed, refusal, now), judgements: Vec::new() },
            None => Plan::Claim,
        };
    }
    let review = Review {
        order_digest: assessment.order_digest.clone(),
        round: before.review.as_ref().map_or(1, |r| r.round.saturating_add(1)),
        items: assessment.items.clone(),
        policy: policy.policy.clone(),
        stages: policy.stages.clone(),
        charge: quota::texts(&assessment.charge),
        bundle: assessment.bundle.clone(),
        confirm: policy.confirm && request.spec.order.action == Action::Create,
        hold_seconds: policy.hold_seconds,
        correction_days: policy.correction_days,
    };
    let status = enter_review(observed, before, phase, review, policy.auto_basis.as_deref(), now);
    Plan::Reserve { charge: assessment.charge.clone(), status }
}

fn enter_review(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    phase: RequestPhase,
    review: Review,
    auto_basis: Option<&str>,
    now: Timestamp,
) -> ResourceRequestStatus {
    let editors = status::editors(observed.request, before);
    let open = approval::first_open_stage(&review, &before.decisions, &editors);
    let event = if open.is_some() { Event::EnteredReview } else { Event::EnteredApproved };
    let stage = open.and_then(|at| {
        let name = review.stages.get(at)?.name.clone();
        Some(OpenStage { name, index: i32::try_from(at).ok()?, opened_at: Time(now) })
    });
    let next = ResourceRequestStatus {
        phase: Some(step(phase, event).unwrap_or(phase)),
        submission: observed.request.spec.submission,
        preview: None,
        review: Some(review),
        stage,
        refusal: None,
        returned_at: None,
        editors,
        ..before.clone()
    };
    status::in_review(observed, before, next, auto_basis, now)
}

fn plan_waiting_for_department(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    phase: RequestPhase,
    assessment: &Assessment,
    now: Timestamp,
) -> Plan {
    let lapse = before.returned_at.as_ref().zip(before.review.as_ref()).and_then(|(at, review)| {
        at.0.checked_add(SignedDuration::from_hours(review.correction_days.saturating_mul(24))).ok()
    });
    let lapsed = lapse.is_some_and(|lapse| lapse <= now);
    let status = status::editable(observed, before, phase, assessment, lapsed, now);
    // An operator that lost the ledger may refuse what the next one has just reserved: whichever of the two wrote the request first,
    // a submission that was refused holds nothing, and neither does a draft.
    let refused = before.refusal.as_ref().is_some_and(|r| r.submission == observed.request.spec.submission);
    if (lapsed || refused || phase == RequestPhase::Draft) && !observed.booked.is_zero() {
        return Plan::Release(status);
    }
    settle_or_report(observed.request, status, lapse.filter(|_| !lapsed && !observed.booked.is_zero()))
}

fn plan_review(observed: &Observed<'_>, before: &ResourceRequestStatus, now: Timestamp) -> Plan {
    let request = observed.request;
    let (Some(review), Some(stage)) = (&before.review, &before.stage) else { return Plan::Settled(None) };
    if let Some(why) = observed.not_enforced {
        return settle_or_report(
            request,
            status::blocked(observed, before, RequestPhase::InReview, Reason::PolicyNotEnforced, why, now),
            None,
        );
    }
    let editors = status::editors(request, before);
    let case = Case {
        uid: request.metadata.uid.as_deref().unwrap_or_default(),
        review,
        stage,
        requested_by: &request.spec.requested_by,
        editors: &editors,
        decisions: &before.decisions,
    };
    let evaluation = approval::evaluate(&case, &observed.candidates);
    let mut next = ResourceRequestStatus { editors: editors.clone(), ..before.clone() };
    next.decisions.extend(evaluation.counted);
    let judgements = evaluation.judgements;
    let deadline = usize::try_from(stage.index)
        .ok()
        .and_then(|at| review.stages.get(at))
        .map(|s| (due(stage.opened_at.0, s.deadline_working_days), s.expires));
    match evaluation.outcome {
        Outcome::Waiting { missing } => {
            if deadline.is_some_and(|(due, expires)| expires && due <= now) {
                let phase = step(RequestPhase::InReview, Event::Expired).unwrap_or(RequestPhase::InReview);
                return Plan::Release(status::ended(observed, &next, phase, None, now));
            }
            let status = status::awaiting(observed, next, missing, deadline.map(|d| d.0), now);
            if judgements.is_empty() {
                return settle_or_report(request, status, deadline.map(|d| d.0).filter(|due| *due > now));
            }
            Plan::Report { status, judgements }
        }
        Outcome::NextStage(index) => {
            // Stages that approved this very order before a correction are not asked again.
            let open = approval::first_open_stage(review, &next.decisions, &editors)
                .and_then(|at| i32::try_from(at).ok())
                .map_or(index, |at| at.max(index));
            let name = usize::try_from(open)
                .ok()
                .and_then(|at| review.stages.get(at))
                .map(|s| s.name.clone())
                .unwrap_or_default();
            next.stage = Some(OpenStage { name, index: open, opened_at: Time(now) });
            let missing = usize::try_from(open).ok().and_then(|at| review.stages.get(at)).map_or(1, |s| s.quorum);
            Plan::Report { status: status::awaiting(observed, next, missing, None, now), judgements }
        }
        Outcome::Approved => {
            next.phase = Some(step(RequestPhase::InReview, Event::LastStageApproved).unwrap_or(RequestPhase::InReview));
            next.stage = None;
            Plan::Report { status: status::in_review(observed, before, next, None, now), judgements }
        }
        Outcome::Returned { by, reason } => {
            next.phase = Some(step(RequestPhase::InReview, Event::Returned).unwrap_or(RequestPhase::InReview));
            next.stage = None;
            next.returned_at = Some(Time(now));
            Plan::Report { status: status::returned(observed, next, &stage.name, &by, &reason, now), judgements }
        }
        Outcome::Rejected { by, reason } => {
            let phase = step(RequestPhase::InReview, Event::Rejected).unwrap_or(RequestPhase::InReview);
            let why = format!("{by} rejected it at stage {}: {reason}", stage.name);
            Plan::Release(status::ended(observed, &next, phase, Some(&why), now))
        }
    }
}

fn plan_approved(observed: &Observed<'_>, before: &ResourceRequestStatus, now: Timestamp) -> Plan {
    let request = observed.request;
    let Some(review) = &before.review else { return Plan::Settled(None) };
    let order = &request.spec.order;
    let reference = RequestRef {
        name: request.metadata.name.clone().unwrap_or_default(),
        uid: request.metadata.uid.clone().unwrap_or_default(),
    };
    if order.action == Action::Create {
        return Plan::Grant(ResourceGrantSpec {
            department: observed.department.to_owned(),
            system: order.system.clone().unwrap_or_default(),
            site: order.site.clone(),
            request: reference,
            revision: 1,
            class: order.class,
            lease_end: order.lease_end.clone(),
            items: review.items.clone(),
            charge: review.charge.clone(),
            bundle: review.bundle.clone(),
            confirm: review.confirm,
            revocation: None,
        });
    }
    let Some(grant) = observed.grant else {
        let status = status::ended(observed, before, RequestPhase::Applied, Some("the grant is gone already"), now);
        return Plan::Report { status, judgements: Vec::new() };
    };
    match (&grant.spec.revocation, grant.status.as_ref().and_then(|s| s.phase)) {
        (_, Some(GrantPhase::Revoked)) => {
            let status = status::ended(observed, before, RequestPhase::Applied, None, now);
            Plan::Report { status, judgements: Vec::new() }
        }
        (Some(_), _) => settle_or_report(request, status::carrying_out(observed, before, now), None),
        (None, _) => {
            let hold = SignedDuration::from_secs(review.hold_seconds);
            Plan::Revoke(Revocation {
                request: reference,
                disposition: order.disposition.unwrap_or(Disposition::Delete),
                hold_until: Time(now.checked_add(hold).unwrap_or(now)),
                ordered_at: Some(Time(now)),
            })
        }
    }
}

/// What is written for previews.
pub(super) fn preview(assessment: &Assessment, effects: &[AncestorEffect], site_findings: &[Finding]) -> Preview {
    Preview {
        order_digest: assessment.order_digest.clone(),
        charge: quota::texts(&assessment.charge),
        ancestors: effects.to_vec(),
        stages: assessment.policy.as_ref().map(|p| p.stages.clone()).unwrap_or_default(),
        findings: assessment.findings.iter().chain(site_findings).cloned().collect(),
    }
}

fn has_finalizer(request: &ResourceRequest) -> bool {
    request.metadata.finalizers.as_ref().is_some_and(|f| f.iter().any(|f| f == marks::FINALIZER_CHARGE))
}

/// Writes only what differs.
fn settle_or_report(request: &ResourceRequest, status: ResourceRequestStatus, wake: Option<Timestamp>) -> Plan {
    if request.status.as_ref() == Some(&status) {
        Plan::Settled(wake)
    } else {
        Plan::Report { status, judgements: Vec::new() }
    }
}
