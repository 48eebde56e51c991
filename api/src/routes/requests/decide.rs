//! POST /departments/{department}/requests/{name}/decisions

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zhengyun_crds::approval::{Approval, Verdict};
use zhengyun_crds::request::RequestPhase;
use zhengyun_crds::{Reason, ResourceRequest as Resource};
use zhengyun_domain::approval::{Candidate, Case, Judgement, evaluate};
use zhengyun_domain::naming::is_label;

use super::approval::{Opinion, approval};
use super::{phase, read};
use crate::auth::{Caller, Right};
use crate::etag::{Tag, order_digest};
use crate::extract::{InDepartment, Json, NoQuery};
use crate::hub::HubError;
use crate::openapi::{BodyProblems, Problems, SeenProblems, WriteProblems};
use crate::problem::{About, Code, Finding, Noun, Problem, from_hub, is_denied_by_policy};
use crate::state::AppState;
use crate::words::VerdictWord;

/// Characters in the name of a stage at most, as in the custom resource.
const LONGEST_STAGE: usize = 40;

/// A decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDecision {
    /// What is decided.
    #[schema(value_type = VerdictWord)]
    verdict: Verdict,
    /// Why; required to return or to reject.
    #[serde(default)]
    #[schema(max_length = 1024)]
    reason: String,
    /// Stage; the open one unless stated. Stating it makes repeating the call safe.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 40, pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$")]
    stage: Option<String>,
}

/// A decision as it was recorded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordedDecision {
    /// Name of the record (Approval).
    name: String,
    /// Stage.
    stage: String,
    /// What was decided.
    #[schema(value_type = VerdictWord)]
    verdict: String,
    /// Reason given.
    reason: String,
    /// Who decided.
    approver: String,
    /// Digest of the order that was decided on.
    order_digest: String,
}

/// Decide an open stage: approve, return for correction, or reject.
///
/// The decision is about the order in `If-Match`. Whoever requested or edited it, or decided another stage, may not.
/// The record is immutable; the operator counts it and moves the request on.
#[utoipa::path(post, path = "/departments/{department}/requests/{name}/decisions", tag = "requests", operation_id = "decideRequest",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the request."),
        ("If-Match" = String, Header, description = "ETag of the request that was read."),
    ),
    request_body(content = NewDecision, description = "The decision."),
    responses(
        (status = 201, description = "The decision, recorded.", body = RecordedDecision),
        (status = 200, description = "The same decision was recorded before.", body = RecordedDecision),
        Problems, WriteProblems, BodyProblems, SeenProblems,
    )
)]
pub(crate) async fn decide(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
    headers: HeaderMap,
    Json(body): Json<NewDecision>,
) -> Result<(StatusCode, axum::Json<RecordedDecision>), Problem> {
    let request = read(&state, &caller, &at).await?;
    Tag::of(&request).require(&headers)?;
    if body.verdict != Verdict::Approve && body.reason.trim().is_empty() {
        let message = format!(
            "a reason is required to {}",
            if body.verdict == Verdict::Return { "return it" } else { "reject it" }
        );
        return Err(Problem::invalid(vec![Finding::new("/reason", "ReasonRequired", message)]));
    }
    if let Some(stage) = &body.stage {
        check_stage(stage)?;
    }
    let wanted = record(&request, &body, &caller)?;
    if let Err(objection) = object(&request, &wanted) {
        // Perhaps an answer was lost and this is the same decision once more, counted meanwhile.
        return existing(&state, &caller, &at, &wanted).await.ok_or(objection);
    }
    match caller.hub(&state).create(&at.namespace, &wanted, false).await {
        Ok(created) => Ok((StatusCode::CREATED, axum::Json(RecordedDecision::from(&created)))),
        Err(error) => match existing(&state, &caller, &at, &wanted).await {
            Some(same) if error.is_already_exists() => Ok(same),
            _ => Err(refused(&state, &caller, &at, &wanted, &error).await),
        },
    }
}

/// Refuses what cannot name a stage, before anything repeats it.
fn check_stage(stage: &str) -> Result<(), Problem> {
    if stage.len() <= LONGEST_STAGE && stage.starts_with(|c: char| c.is_ascii_lowercase()) && is_label(stage) {
        return Ok(());
    }
    let given: String = stage.chars().take(LONGEST_STAGE).collect();
    let more = if given.len() < stage.len() { "…" } else { "" };
    let message = format!(
        "\"{given}{more}\" names no stage: a stage has 1 to {LONGEST_STAGE} lowercase letters, digits and hyphens, starts with a letter and ends with a letter or digit; leave it out to decide the open stage"
    );
    Err(Problem::invalid(vec![Finding::new("/stage", "InvalidName", message)]))
}

/// The approval that would record the decision on what is under review.
fn record(request: &Resource, body: &NewDecision, caller: &Caller) -> Result<Approval, Problem> {
    let status = request.status.as_ref();
    let review =
        status.and_then(|s| s.review.as_ref()).ok_or_else(|| Problem::not_under_review(phase(request).as_str()))?;
    let open = status.and_then(|s| s.stage.as_ref()).map(|s| s.name.as_str());
    let stage = body.stage.as_deref().or(open).ok_or_else(|| match phase(request) {
        RequestPhase::InReview => Problem::no_stage_open(),
        phase => Problem::not_under_review(phase.as_str()),
    })?;
    let opinion = Opinion {
        stage,
        verdict: body.verdict,
        reason: body.reason.trim(),
        order_digest: &review.order_digest,
        round: review.round,
    };
    Ok(approval(request, &opinion, &caller.identity))
}

/// Why the operator would not count the decision, by the operator's own rules; whether the caller is entitled is for the hub.
fn object(request: &Resource, wanted: &Approval) -> Result<(), Problem> {
    if phase(request) != RequestPhase::InReview {
        return Err(Problem::not_under_review(phase(request).as_str()));
    }
    let status = request.status.as_ref();
    let (Some(review), Some(stage)) = (status.and_then(|s| s.review.as_ref()), status.and_then(|s| s.stage.as_ref()))
    else {
        return Err(Problem::no_stage_open());
    };
    // What the person read is the spec; what is decided is what was pinned at submission.
    if order_digest(request) != review.order_digest {
        return Err(Problem::order_changed());
    }
    let mut editors = status.map(|s| s.editors.clone()).unwrap_or_default();
    editors.push(request.spec.edited_by.clone());
    let case = Case {
        uid: request.metadata.uid.as_deref().unwrap_or_default(),
        review,
        stage,
        requested_by: &request.spec.requested_by,
        editors: &editors,
        decisions: status.map_or(&[], |s| &s.decisions),
    };
    let mut now = wanted.clone();
    // The hub's clock dates the record; whatever it says, that is after every decision there is.
    now.metadata.creation_timestamp = Some(Time(Timestamp::MAX));
    now.metadata.uid = Some("not-stored-yet".to_owned());
    let evaluation = evaluate(&case, &[Candidate { approval: &now, entitled: true }]);
    match evaluation.judgements.into_iter().find(|j| j.reason != Reason::Counted) {
        Some(judgement) => Err(objection(&judgement, &wanted.spec.stage, &stage.name)),
        None => Ok(()),
    }
}

fn objection(judgement: &Judgement, asked: &str, open: &str) -> Problem {
    let problem = match judgement.reason {
        Reason::DutiesNotSeparate => Problem::duties_not_separate(
            "申请人、修改人以及已审批其他环节的人员不能审批该申请单。",
            "Who requested or edited a request, or decided another stage of it, may not decide it.",
        ),
        Reason::OrderChanged | Reason::RequestNotFound => Problem::order_changed(),
        _ => Problem::stage_not_open(asked, open),
    };
    problem.with_findings(vec![Finding::new("", judgement.reason.as_str(), judgement.message.clone())])
}

/// The record of exactly this decision, if there is one.
async fn existing(
    state: &AppState,
    caller: &Caller,
    at: &InDepartment,
    wanted: &Approval,
) -> Option<(StatusCode, axum::Json<RecordedDecision>)> {
    let name = wanted.metadata.name.as_deref()?;
    let found: Approval = caller.hub(state).get(&at.namespace, name).await.ok()?;
    (found.spec == wanted.spec).then(|| (StatusCode::OK, axum::Json(RecordedDecision::from(&found))))
}

/// What a refusal of the record means: most often, that the caller may not decide this stage.
async fn refused(state: &AppState, caller: &Caller, at: &InDepartment, wanted: &Approval, error: &HubError) -> Problem {
    let name = wanted.metadata.name.as_deref().unwrap_or_default();
    let problem = from_hub(error, About { noun: Noun::Approval, department: &at.department, name });
    let by_policy = error.status().is_some_and(is_denied_by_policy);
    if by_policy || problem.code() == Code::Forbidden {
        let right = Right::decide(&wanted.spec.stage);
        return match state.access.holds_now(&state.hub, &caller.identity, &right, &at.namespace).await {
            Ok(false) => Problem::not_entitled(&wanted.spec.stage, &at.department),
            Ok(true) => problem,
            Err(unanswered) => unanswered,
        };
    }
    problem
}

impl From<&Approval> for RecordedDecision {
    fn from(approval: &Approval) -> Self {
        let spec = approval.spec.clone();
        Self {
            name: approval.metadata.name.clone().unwrap_or_default(),
            stage: spec.stage,
            verdict: spec.verdict.to_string(),
            reason: spec.reason,
            approver: spec.approver.username,
            order_digest: spec.order_digest,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use zhengyun_crds::approval::Verdict;
    use zhengyun_crds::request::{RequestPhase, Review, StageRef};

    use super::{Opinion, approval, check_stage, object};
    use crate::auth::Identity;
    use crate::etag::order_digest;
    use crate::problem::Code;
    use crate::testing::{a_request, an_open_stage};

    fn under_review() -> zhengyun_crds::ResourceRequest {
        let mut request = a_request("finance", "r1");
        request.spec.requested_by = "zhang".into();
        request.spec.edited_by = "zhao".into();
        let digest = order_digest(&request);
        let status = request.status.get_or_insert_default();
        status.phase = Some(RequestPhase::InReview);
        status.editors = vec!["zhang".into()];
        let stage = |name: &str| StageRef { name: name.into(), quorum: 1, ..StageRef::default() };
        status.review = Some(Review {
            order_digest: digest,
            round: 1,
            stages: vec![stage("technical"), stage("capacity")],
            ..Review::default()
        });
        status.stage = Some(an_open_stage("technical", 0));
        request
    }

    fn decision(request: &zhengyun_crds::ResourceRequest, who: &str, stage: &str) -> zhengyun_crds::Approval {
        let digest = order_digest(request);
        let opinion = Opinion { stage, verdict: Verdict::Approve, reason: "", order_digest: &digest, round: 1 };
        let person = Identity { username: who.into(), uid: None, groups: Vec::new(), extra: BTreeMap::new() };
        approval(request, &opinion, &person)
    }

    #[rstest]
    #[case("li", "technical", None)]
    #[case("zhang", "technical", Some(Code::DutiesNotSeparate))]
    #[case("zhao", "technical", Some(Code::DutiesNotSeparate))]
    #[case("li", "capacity", Some(Code::StageNotOpen))]
    #[case("li", "invented", Some(Code::StageNotOpen))]
    fn who_may_decide_what(#[case] who: &str, #[case] stage: &str, #[case] expected: Option<Code>) {
        let request = under_review();
        assert_eq!(object(&request, &decision(&request, who, stage)).err().map(|p| p.code()), expected);
    }

    #[rstest]
    #[case("technical", true)]
    #[case("a", true)]
    #[case("", false)]
    #[case("Technical", false)]
    #[case("1st", false)]
    #[case("capacity-", false)]
    #[case(&"a".repeat(40), true)]
    #[case(&"a".repeat(41), false)]
    #[case(&"长".repeat(4_000), false)]
    fn what_cannot_name_a_stage_is_refused_in_few_words(#[case] stage: &str, #[case] good: bool) {
        let refusal = check_stage(stage).err().map(|problem| format!("{problem:?}"));
        assert_eq!(refusal.is_none(), good);
        assert!(refusal.is_none_or(|body| body.contains("/stage") && body.len() < 2_000));
    }

    #[test]
    fn an_order_that_differs_from_what_was_submitted_is_not_decided() {
        let request = under_review();
        let wanted = decision(&request, "li", "technical");
        let mut edited = request;
        edited.spec.order.items[0].count = 9;
        assert_eq!(object(&edited, &wanted).unwrap_err().code(), Code::OrderChanged);
    }

    #[test]
    fn nothing_is_decided_outside_a_review() {
        let mut request = under_review();
        let wanted = decision(&request, "li", "technical");
        request.status.as_mut().unwrap().phase = Some(RequestPhase::Rejected);
        assert_eq!(object(&request, &wanted).unwrap_err().code(), Code::NotUnderReview);
    }
}
