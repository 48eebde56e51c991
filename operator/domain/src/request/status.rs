//! What a request says about itself in each phase.

use jiff::Timestamp;
use zhengyun_crds::ConditionType as C;
use zhengyun_crds::Reason;
use zhengyun_crds::grant::GrantPhase;
use zhengyun_crds::request::{Action, Finding, Refusal, RequestPhase, ResourceRequest, ResourceRequestStatus};

use super::assess::Assessment;
use super::plan::{Observed, preview};
use crate::condition::ConditionSet;

/// Everybody who ever wrote the spec, as far as it was seen; the API server refuses a new editor until the last one is here.
pub(super) fn editors(request: &ResourceRequest, before: &ResourceRequestStatus) -> Vec<String> {
    let mut editors = before.editors.clone();
    for name in [&request.spec.requested_by, &request.spec.edited_by] {
        if !editors.contains(name) {
            editors.push(name.clone());
        }
    }
    editors
}

fn conditions<'a>(observed: &Observed<'_>, before: &'a ResourceRequestStatus, now: Timestamp) -> ConditionSet<'a> {
    ConditionSet::new(&before.conditions, observed.request.metadata.generation, now)
}

fn base(observed: &Observed<'_>, before: &ResourceRequestStatus) -> ResourceRequestStatus {
    ResourceRequestStatus {
        observed_generation: observed.request.metadata.generation.unwrap_or_default(),
        editors: editors(observed.request, before),
        ..before.clone()
    }
}

/// A draft, or a returned request that waits for its department.
pub(super) fn editable(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    phase: RequestPhase,
    assessment: &Assessment,
    lapsed: bool,
    now: Timestamp,
) -> ResourceRequestStatus {
    let mut preview = preview(assessment, observed.effects, observed.site_findings);
    let mut set = conditions(observed, before, now);
    // A refusal stands until the order is changed or submitted again, and so do the numbers that it was refused with.
    let standing = before.refusal.as_ref().filter(|r| r.submission == observed.request.spec.submission);
    if let Some(shown) =
        before.preview.as_ref().filter(|p| standing.is_some() && p.order_digest == preview.order_digest)
    {
        preview.clone_from(shown);
    }
    if standing.is_some() {
        set.again(C::Ready).again(C::Stalled).again(C::Reserved);
    } else if let Some(first) = preview.findings.first() {
        let reason = reason_of(&first.rule);
        set.stalled(reason, explain(&preview.findings));
        set.no(C::Reserved, Reason::NotSubmitted, "nothing is charged");
    } else if phase == RequestPhase::ReturnedForCorrection {
        set.keep(C::Ready).keep(C::Stalled);
        if lapsed {
            set.no(
                C::Reserved,
                Reason::Released,
                "the reservation lapsed because the correction took too long; resubmitting reserves again",
            );
        } else {
            set.keep(C::Reserved);
        }
    } else {
        set.yes(C::Ready, Reason::NotSubmitted, "a draft; raise spec.submission by one to submit it");
        set.no(C::Reserved, Reason::NotSubmitted, "nothing is charged");
    }
    if phase == RequestPhase::ReturnedForCorrection || standing.is_some() {
        set.keep(C::Approved);
    } else {
        set.unknown(C::Approved, Reason::NotSubmitted, "not submitted");
    }
    let conditions = set.finish();
    ResourceRequestStatus { phase: Some(phase), preview: Some(preview), conditions, ..base(observed, before) }
}

/// A submission that findings stand in the way of.
pub(super) fn refused_by_findings(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    phase: RequestPhase,
    findings: &[Finding],
    now: Timestamp,
) -> ResourceRequestStatus {
    let refusal = Refusal {
        submission: observed.request.spec.submission,
        reason: findings.first().map_or_else(|| Reason::NoApprovalPolicy.as_str().to_owned(), |f| f.rule.clone()),
        message: crate::condition::cut(explain(findings), 2000),
        shortfalls: Vec::new(),
    };
    refused(observed, before, phase, refusal, now)
}

/// A submission that was refused: the request stays editable, and nothing is charged.
pub(super) fn refused(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    phase: RequestPhase,
    refusal: Refusal,
    now: Timestamp,
) -> ResourceRequestStatus {
    let mut set = conditions(observed, before, now);
    let reason = reason_of(&refusal.reason);
    set.stalled(reason, format!("{}; correct it and raise spec.submission by one", refusal.message));
    set.no(C::Reserved, reason, refusal.message.clone());
    set.unknown(C::Approved, Reason::NotSubmitted, "the submission was refused");
    let preview = observed.assessment.map(|a| preview(a, observed.effects, observed.site_findings));
    ResourceRequestStatus {
        phase: Some(phase),
        submission: observed.request.spec.submission,
        preview,
        refusal: Some(refusal),
        stage: None,
        conditions: set.finish(),
        ..base(observed, before)
    }
}

/// Held up by something the cloud administrator must mend.
pub(super) fn blocked(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    phase: RequestPhase,
    reason: Reason,
    why: &str,
    now: Timestamp,
) -> ResourceRequestStatus {
    let mut set = conditions(observed, before, now);
    set.stalled(reason, why);
    set.keep(C::Reserved).keep(C::Approved);
    ResourceRequestStatus { phase: Some(phase), conditions: set.finish(), ..base(observed, before) }
}

/// Submitted, and waits until its site can check the rendered objects.
pub(super) fn waiting_for_site(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    phase: RequestPhase,
    why: &str,
    now: Timestamp,
) -> ResourceRequestStatus {
    let mut set = conditions(observed, before, now);
    set.reconciling(
        Reason::SiteUnreachable,
        format!("submitted; the objects cannot be checked at the site yet: {why}; it goes on by itself"),
    );
    set.keep(C::Reserved).keep(C::Approved);
    ResourceRequestStatus { phase: Some(phase), conditions: set.finish(), ..base(observed, before) }
}

/// Entered review, or approved: by its last stage, or by a policy without stages.
pub(super) fn in_review(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    next: ResourceRequestStatus,
    auto_basis: Option<&str>,
    now: Timestamp,
) -> ResourceRequestStatus {
    let mut set = conditions(observed, before, now);
    set.yes(C::Reserved, Reason::Reserved, "reserved at the department, all its ancestors and the site");
    let approved = next.phase == Some(RequestPhase::Approved) && observed.request.spec.order.action != Action::Create;
    let ended = observed.grant.filter(|_| approved).and_then(|g| g.metadata.name.clone());
    if next.phase == Some(RequestPhase::Approved) {
        let message = auto_basis
            .map_or_else(|| "all stages approved".to_owned(), |basis| format!("no person needs to agree: {basis}"));
        set.yes(C::Approved, Reason::Approved, message);
        // What ends a grant says so at once, and has nothing more to say until the grant has ended.
        match &ended {
            Some(grant) => set.reconciling(Reason::InProgress, being_revoked(grant)),
            None => set.reconciling(Reason::InProgress, "approved; being carried out"),
        };
    } else {
        waiting_conditions(&mut set, &next, None, None, now);
    }
    let conditions = set.finish();
    ResourceRequestStatus {
        conditions,
        observed_generation: observed.request.metadata.generation.unwrap_or_default(),
        grant: ended.or_else(|| next.grant.clone()),
        ..next
    }
}

/// Waits for decisions at the open stage.
pub(super) fn awaiting(
    observed: &Observed<'_>,
    next: ResourceRequestStatus,
    missing: i32,
    due: Option<Timestamp>,
    now: Timestamp,
) -> ResourceRequestStatus {
    let mut set = conditions(observed, &next, now);
    set.keep(C::Reserved);
    waiting_conditions(&mut set, &next, Some(missing), due, now);
    let conditions = set.finish();
    ResourceRequestStatus {
        conditions,
        observed_generation: observed.request.metadata.generation.unwrap_or_default(),
        ..next
    }
}

fn waiting_conditions(
    set: &mut ConditionSet<'_>,
    next: &ResourceRequestStatus,
    missing: Option<i32>,
    due: Option<Timestamp>,
    now: Timestamp,
) {
    let stage = next.stage.as_ref().map(|s| s.name.clone()).unwrap_or_default();
    let stages = next.review.as_ref().map_or(0, |r| r.stages.len());
    let place = next.stage.as_ref().map_or(0, |s| s.index.saturating_add(1));
    let more =
        missing.filter(|m| *m > 1).map_or_else(|| " one more person".to_owned(), |m| format!(" {m} more people"));
    let overdue = due.filter(|due| *due <= now).map(|due| format!("; overdue since {due}")).unwrap_or_default();
    let message = format!(
        "stage {stage} ({place} of {stages}) waits for{more} who may `decide` on resourcerequests/{stage}, and who neither requested, edited nor decided it before{overdue}"
    );
    set.yes(C::Ready, Reason::AwaitingApproval, message.clone());
    set.unknown(C::Approved, Reason::AwaitingApproval, message);
}

/// Sent back to its department.
pub(super) fn returned(
    observed: &Observed<'_>,
    next: ResourceRequestStatus,
    stage: &str,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> ResourceRequestStatus {
    let days = next.review.as_ref().map_or(0, |r| r.correction_days);
    let mut set = conditions(observed, &next, now);
    set.keep(C::Reserved);
    set.stalled(
        Reason::Returned,
        format!("{by} returned it at stage {stage}: {reason}; correct the order and raise spec.submission by one, the reservation is kept for {days} days"),
    );
    set.unknown(C::Approved, Reason::Returned, format!("returned at stage {stage}"));
    let conditions = set.finish();
    ResourceRequestStatus {
        conditions,
        observed_generation: observed.request.metadata.generation.unwrap_or_default(),
        ..next
    }
}

/// An approved Revoke whose grant is on its way out.
pub(super) fn carrying_out(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    now: Timestamp,
) -> ResourceRequestStatus {
    let mut set = conditions(observed, before, now);
    set.keep(C::Reserved).keep(C::Approved);
    let grant = observed.grant.and_then(|g| g.metadata.name.clone()).unwrap_or_default();
    set.reconciling(Reason::InProgress, being_revoked(&grant));
    let conditions = set.finish();
    ResourceRequestStatus { grant: Some(grant), conditions, ..base(observed, before) }
}

fn being_revoked(grant: &str) -> String {
    format!("grant {grant} is being revoked; its own conditions tell how far it is")
}

/// An end: applied, rejected, withdrawn or expired.
pub(super) fn ended(
    observed: &Observed<'_>,
    before: &ResourceRequestStatus,
    phase: RequestPhase,
    why: Option<&str>,
    now: Timestamp,
) -> ResourceRequestStatus {
    let (reason, default) = match phase {
        RequestPhase::Applied => (Reason::Applied, "carried out"),
        RequestPhase::Rejected => (Reason::Rejected, "rejected"),
        RequestPhase::Expired => (Reason::Expired, "the deadline for a decision passed"),
        _ => (Reason::Withdrawn, "withdrawn by the department"),
    };
    let mut set = conditions(observed, before, now);
    // What was said when it ended stays; a later look has nothing to add.
    if before.phase == Some(phase) && why.is_none() {
        for type_ in [C::Ready, C::Complete, C::Reserved, C::Approved] {
            set.again(type_);
        }
    } else {
        let message = why.unwrap_or(default);
        set.yes(C::Ready, reason, message).yes(C::Complete, reason, message);
        set.no(C::Reserved, Reason::Released, "holds nothing; what was granted is charged to the grant");
        if phase == RequestPhase::Applied {
            set.yes(C::Approved, Reason::Approved, "all stages approved");
        } else {
            set.no(C::Approved, reason, message);
        }
    }
    let grant = observed.grant.and_then(|g| g.metadata.name.clone()).or_else(|| before.grant.clone());
    let revoked = observed.grant.is_some_and(|g| g.status.as_ref().and_then(|s| s.phase) == Some(GrantPhase::Revoked));
    let conditions = set.finish();
    ResourceRequestStatus {
        phase: Some(phase),
        stage: None,
        preview: None,
        grant,
        grant_ended: before.grant_ended || revoked,
        conditions,
        ..base(observed, before)
    }
}

fn explain(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|f| if f.pointer.is_empty() { f.message.clone() } else { format!("spec{}: {}", f.pointer, f.message) })
        .collect::<Vec<_>>()
        .join("; ")
}

fn reason_of(rule: &str) -> Reason {
    Reason::ALL.iter().copied().find(|r| r.as_str() == rule).unwrap_or(Reason::Invalid)
}
