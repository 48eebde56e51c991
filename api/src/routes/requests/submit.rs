//! POST /departments/{department}/requests/{name}/submission

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use zhengyun_crds::ResourceRequest as Resource;
use zhengyun_crds::request::RequestPhase;

use super::amend::{Change, Seen, amend};
use super::{Answer, Request, answer, is_editable, phase};
use crate::auth::Caller;
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Problems, QueryProblems, SeenProblems, WriteProblems};
use crate::problem::Problem;
use crate::state::AppState;

/// Submit a request, or submit it again after a correction or a refusal.
///
/// The operator then reserves the charge and opens the first stage, or says in `refusal` what stands in the way. Repeating
/// the call before that changes nothing. `If-Match` is optional here and counts if it is sent.
#[utoipa::path(post, path = "/departments/{department}/requests/{name}/submission", tag = "requests", operation_id = "submitRequest",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the request."),
        ("If-Match" = Option<String>, Header, description = "ETag of the request that was read; without it, the request is submitted as it is."),
    ),
    responses(
        (status = 202, description = "The request, submitted.", body = Request, headers(("ETag" = String, description = "What was submitted."))),
        Problems, WriteProblems, QueryProblems, SeenProblems,
    )
)]
pub(crate) async fn submit(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<Answer, Problem> {
    let written = amend(&state, &caller, &at, (&headers, Seen::Optional, false), submission).await?;
    Ok(answer(StatusCode::ACCEPTED, &written))
}

fn submission(request: &Resource) -> Result<Change, Problem> {
    let phase = phase(request);
    if phase.is_terminal() || request.spec.withdrawn {
        let shown = if phase.is_terminal() { phase } else { RequestPhase::Withdrawn };
        return Err(Problem::request_closed(shown.as_str()));
    }
    if !is_editable(phase) {
        return Err(Problem::request_frozen(phase.as_str()));
    }
    let dealt_with = request.status.as_ref().map_or(0, |s| s.submission);
    if request.spec.submission > dealt_with {
        return Ok(Change::Nothing);
    }
    Ok(Change::Fields(vec![("submission", json!(request.spec.submission.saturating_add(1)))]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use zhengyun_crds::request::RequestPhase;

    use super::super::amend::Change;
    use super::submission;
    use crate::problem::Code;
    use crate::testing::a_request;

    #[rstest]
    #[case(None, 0, 0, Ok(Some(1)))]
    #[case(Some(RequestPhase::Draft), 1, 0, Ok(None))]
    #[case(Some(RequestPhase::Draft), 1, 1, Ok(Some(2)))]
    #[case(Some(RequestPhase::ReturnedForCorrection), 1, 1, Ok(Some(2)))]
    #[case(Some(RequestPhase::InReview), 1, 1, Err(Code::RequestFrozen))]
    #[case(Some(RequestPhase::Approved), 1, 1, Err(Code::RequestFrozen))]
    #[case(Some(RequestPhase::Rejected), 1, 1, Err(Code::RequestClosed))]
    fn rises_by_one_once(
        #[case] phase: Option<RequestPhase>,
        #[case] written: i64,
        #[case] dealt_with: i64,
        #[case] expected: Result<Option<i64>, Code>,
    ) {
        let mut request = a_request("finance", "r1");
        request.spec.submission = written;
        let status = request.status.get_or_insert_default();
        (status.phase, status.submission) = (phase, dealt_with);
        let change = submission(&request).map_err(|p| p.code()).map(|change| match change {
            Change::Nothing => None,
            Change::Fields(fields) => fields[0].1.as_i64(),
        });
        assert_eq!(change, expected);
    }
}
