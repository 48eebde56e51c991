//! Approvals: which decisions count, and what follows from them.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use zhengyun_crds::Reason;
use zhengyun_crds::approval::{Approval, Verdict};
use zhengyun_crds::request::{Decision, OpenStage, Review, StageRef};

use crate::seeded::{self, Bug};

/// An approval with what the operator found out about its author.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The approval.
    pub approval: &'a Approval,
    /// Whether the recorded person may decide the stage now, by the operator's own question to the API server.
    pub entitled: bool,
}

/// What is known about the request under review.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// UID of the request.
    pub uid: &'a str,
    /// What is under review.
    pub review: &'a Review,
    /// The open stage.
    pub stage: &'a OpenStage,
    /// Who created the request.
    pub requested_by: &'a str,
    /// Everybody who ever wrote its spec.
    pub editors: &'a [String],
    /// Decisions that counted before.
    pub decisions: &'a [Decision],
}

/// What the operator says about one approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Name of the approval.
    pub approval: String,
    /// `Counted`, or why it does not count.
    pub reason: Reason,
    /// The sentence about it.
    pub message: String,
}

/// What follows from the decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Waits for more decisions at this stage.
    Waiting {
        /// How many approvals are still needed.
        missing: i32,
    },
    /// The next stage opens.
    NextStage(i32),
    /// All stages approved.
    Approved,
    /// Back to the department.
    Returned {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Refused.
    Rejected {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// The result of looking at the approvals of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Decisions that count now in addition.
    pub counted: Vec<Decision>,
    /// What to say about each approval that is not judged yet.
    pub judgements: Vec<Judgement>,
    /// What follows.
    pub outcome: Outcome,
}

/// What an approval is told that counts: the same words whenever it is told.
pub fn counts_as(decision: &Decision) -> String {
    format!("counts as {} of {} at stage {}", decision.verdict, decision.approver, decision.stage)
}

/// Evaluates the approvals at the open stage, oldest first.
///
/// An approval counts when it is for this stage, this order and this request, was created after the decision that opened the
/// stage, and comes from someone entitled who neither requested nor edited nor decided another stage.
pub fn evaluate(case: &Case<'_>, candidates: &[Candidate<'_>]) -> Evaluation {
    let mut sorted: Vec<&Candidate<'_>> = candidates.iter().filter(|c| !already_judged(case, c.approval)).collect();
    sorted.sort_by_key(|c| (created(c.approval), c.approval.metadata.name.clone()));
    let mut counted: Vec<Decision> = Vec::new();
    let mut judgements = untold(case, candidates);
    let mut decided: Option<Outcome> = None;
    for candidate in sorted {
        let name = candidate.approval.metadata.name.clone().unwrap_or_default();
        if let Some((reason, message)) = objection(case, candidate, &counted, decided.is_some()) {
            judgements.push(Judgement { approval: name, reason, message });
            continue;
        }
        let decision = decision_of(case, candidate.approval);
        let message = counts_as(&decision);
        judgements.push(Judgement { approval: name, reason: Reason::Counted, message });
        decided = decided.or_else(|| verdict_outcome(&decision));
        counted.push(decision);
    }
    let outcome = decided.unwrap_or_else(|| progress(case, &counted));
    Evaluation { counted, judgements, outcome }
}

/// Approvals that counted before and were not told so, for the answer to that write never came.
fn untold(case: &Case<'_>, candidates: &[Candidate<'_>]) -> Vec<Judgement> {
    let silent =
        candidates.iter().map(|c| c.approval).filter(|a| a.status.as_ref().is_none_or(|s| s.conditions.is_empty()));
    let told = silent.filter_map(|approval| {
        let decision = case.decisions.iter().find(|d| Some(&d.uid) == approval.metadata.uid.as_ref())?;
        let name = approval.metadata.name.clone().unwrap_or_default();
        Some(Judgement { approval: name, reason: Reason::Counted, message: counts_as(decision) })
    });
    told.collect()
}

/// Why an approval does not count, and never will.
fn objection(
    case: &Case<'_>,
    candidate: &Candidate<'_>,
    counted: &[Decision],
    closed: bool,
) -> Option<(Reason, String)> {
    let spec = &candidate.approval.spec;
    let who = &spec.approver.username;
    let never = |reason, message: String| Some((reason, message));
    if spec.request_uid != case.uid {
        return never(
            Reason::RequestNotFound,
            "spec.requestUID names another request of that name; decide on the present one".to_owned(),
        );
    }
    if spec.order_digest != case.review.order_digest && !seeded::is(Bug::OldApprovalCounts) {
        return never(
            Reason::OrderChanged,
            format!(
                "spec.orderDigest is {}, but {} is under review; read the request again and decide on that",
                spec.order_digest, case.review.order_digest
            ),
        );
    }
    if spec.stage != case.stage.name {
        let later = case.review.stages.iter().position(|s| s.name == spec.stage).and_then(|at| i32::try_from(at).ok());
        return match later {
            Some(at) if at > case.stage.index => never(
                Reason::StageNotOpen,
                format!("stage {} is not open yet, {} is; decide again once it is", spec.stage, case.stage.name),
            ),
            Some(_) => never(
                Reason::StageNotOpen,
                format!("stage {} is closed already, {} is open", spec.stage, case.stage.name),
            ),
            None => never(
                Reason::StageNotOpen,
                format!(
                    "this request has no stage {}; its stages are {}",
                    spec.stage,
                    stage_names(&case.review.stages)
                ),
            ),
        };
    }
    if closed {
        return never(Reason::StageNotOpen, format!("stage {} was decided by an earlier approval", spec.stage));
    }
    if seeded::is(Bug::ClocksCompared) && created(candidate.approval) < case.stage.opened_at.0.as_second() {
        return never(Reason::StageNotOpen, format!("was given before stage {} opened; decide again", spec.stage));
    }
    if let Some(opening) = opening(case).filter(|d| created(candidate.approval) < d.at.0.as_second()) {
        return never(
            Reason::StageNotOpen,
            format!(
                "was given before the decision of {} at {} after which stage {} opened; decide again",
                opening.approver, opening.at.0, spec.stage
            ),
        );
    }
    if who == case.requested_by && !seeded::is(Bug::OwnApprovalCounts) {
        return never(
            Reason::DutiesNotSeparate,
            format!("{who} created the request and may not decide it; another person must"),
        );
    }
    if case.editors.iter().any(|e| e == who) && !seeded::is(Bug::OwnApprovalCounts) {
        return never(
            Reason::DutiesNotSeparate,
            format!("{who} edited the request and may not decide it; another person must"),
        );
    }
    let before =
        case.decisions.iter().filter(|d| d.order_digest == case.review.order_digest && d.verdict == Verdict::Approve);
    if let Some(earlier) = before.chain(counted).find(|d| &d.approver == who) {
        return never(
            Reason::DutiesNotSeparate,
            format!("{who} already decided stage {}; another person must decide this one", earlier.stage),
        );
    }
    if !candidate.entitled {
        return never(
            Reason::NotEntitled,
            format!(
                "{who} may not `decide` on resourcerequests/{} in this department; ask the cloud administrator for the role",
                spec.stage
            ),
        );
    }
    None
}

/// The last decision before the stage opened. Times of approvals are the hub's, and so is this one's: the time at which the
/// operator opened the stage is by its own clock, and a clock that is ahead would put every approval before it.
fn opening<'a>(case: &'a Case<'_>) -> Option<&'a Decision> {
    let here =
        |d: &Decision| d.stage == case.stage.name && d.round == case.review.round && d.verdict == Verdict::Approve;
    case.decisions.iter().filter(|d| !here(d)).max_by_key(|d| d.at.0)
}

fn verdict_outcome(decision: &Decision) -> Option<Outcome> {
    match decision.verdict {
        Verdict::Approve => None,
        Verdict::Return => Some(Outcome::Returned { by: decision.approver.clone(), reason: decision.reason.clone() }),
        Verdict::Reject => Some(Outcome::Rejected { by: decision.approver.clone(), reason: decision.reason.clone() }),
    }
}

fn progress(case: &Case<'_>, counted: &[Decision]) -> Outcome {
    let stage = usize::try_from(case.stage.index).ok().and_then(|at| case.review.stages.get(at));
    let quorum = stage.map_or(1, |s| s.quorum.max(1));
    let here = standing(case.review, case.decisions, case.editors, &case.stage.name).saturating_add(counted.len());
    let missing = quorum.saturating_sub(i32::try_from(here).unwrap_or(i32::MAX));
    if missing > 0 {
        return Outcome::Waiting { missing };
    }
    let next = case.stage.index.saturating_add(1);
    if usize::try_from(next).is_ok_and(|next| next < case.review.stages.len()) {
        Outcome::NextStage(next)
    } else {
        Outcome::Approved
    }
}

/// How many approvals of a stage still stand: given on this very order, by people who did not edit it since.
fn standing(review: &Review, decisions: &[Decision], editors: &[String], stage: &str) -> usize {
    decisions
        .iter()
        .filter(|d| d.order_digest == review.order_digest && d.stage == stage && d.verdict == Verdict::Approve)
        .filter(|d| !editors.contains(&d.approver))
        .count()
}

/// The first stage that still needs decisions; `None` when all stand. After a correction that changed nothing but the
/// justification, stages that approved this very order are not asked again.
pub fn first_open_stage(review: &Review, decisions: &[Decision], editors: &[String]) -> Option<usize> {
    review.stages.iter().position(|s| {
        i32::try_from(standing(review, decisions, editors, &s.name)).unwrap_or(i32::MAX) < s.quorum.max(1)
    })
}

fn already_judged(case: &Case<'_>, approval: &Approval) -> bool {
    let uid = approval.metadata.uid.as_deref().unwrap_or_default();
    case.decisions.iter().any(|d| d.uid == uid) || approval.status.as_ref().is_some_and(|s| !s.conditions.is_empty())
}

fn decision_of(case: &Case<'_>, approval: &Approval) -> Decision {
    let spec = &approval.spec;
    Decision {
        round: case.review.round,
        stage: spec.stage.clone(),
        approval: approval.metadata.name.clone().unwrap_or_default(),
        uid: approval.metadata.uid.clone().unwrap_or_default(),
        approver: spec.approver.username.clone(),
        verdict: spec.verdict,
        order_digest: spec.order_digest.clone(),
        reason: spec.reason.clone(),
        at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            approval.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        ),
    }
}

/// Seconds, because that is what the API server records.
fn created(approval: &Approval) -> i64 {
    approval.metadata.creation_timestamp.as_ref().map_or(0, |t| t.0.as_second())
}

fn stage_names(stages: &[StageRef]) -> String {
    stages.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
}
