//! POST /departments/{department}/requests/{name}/withdrawal

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use zhengyun_crds::ResourceRequest as Resource;
use zhengyun_crds::request::{Action, RequestPhase};

use super::amend::{Change, Seen, amend};
use super::{Answer, Request, answer, phase};
use crate::auth::Caller;
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Problems, QueryProblems, SeenProblems, WriteProblems};
use crate::problem::Problem;
use crate::state::AppState;

/// Take a request back.
///
/// Its reservation is released. A Revoke in its hold is undone by the authority in the same way: the grant goes on.
#[utoipa::path(post, path = "/departments/{department}/requests/{name}/withdrawal", tag = "requests", operation_id = "withdrawRequest",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the request."),
        ("If-Match" = Option<String>, Header, description = "ETag of the request that was read; without it, the request is withdrawn as it is."),
    ),
    responses(
        (status = 202, description = "The request, withdrawn.", body = Request, headers(("ETag" = String, description = "What was withdrawn."))),
        Problems, WriteProblems, QueryProblems, SeenProblems,
    )
)]
pub(crate) async fn withdraw(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<Answer, Problem> {
    let written = amend(&state, &caller, &at, (&headers, Seen::Optional, false), withdrawal).await?;
    Ok(answer(StatusCode::ACCEPTED, &written))
}

fn withdrawal(request: &Resource) -> Result<Change, Problem> {
    if request.spec.withdrawn {
        return Ok(Change::Nothing);
    }
    let phase = phase(request);
    // What is approved is being carried out; only a revocation can still be stopped, while it is held.
    let carried_out = phase == RequestPhase::Approved && request.spec.order.action != Action::Revoke;
    if phase.is_terminal() || carried_out {
        return Err(Problem::request_closed(phase.as_str()));
    }
    Ok(Change::Fields(vec![("withdrawn", json!(true))]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use zhengyun_crds::request::{Action, RequestPhase};

    use super::super::amend::Change;
    use super::withdrawal;
    use crate::testing::a_request;

    #[rstest]
    #[case(Action::Create, RequestPhase::Draft, true)]
    #[case(Action::Create, RequestPhase::InReview, true)]
    #[case(Action::Create, RequestPhase::ReturnedForCorrection, true)]
    #[case(Action::Create, RequestPhase::Approved, false)]
    #[case(Action::Create, RequestPhase::Applied, false)]
    #[case(Action::Create, RequestPhase::Rejected, false)]
    #[case(Action::Revoke, RequestPhase::Approved, true)]
    #[case(Action::Revoke, RequestPhase::Applied, false)]
    fn only_what_is_not_carried_out_yet(#[case] action: Action, #[case] phase: RequestPhase, #[case] allowed: bool) {
        let mut request = a_request("finance", "r1");
        request.spec.order.action = action;
        request.status.get_or_insert_default().phase = Some(phase);
        assert_eq!(withdrawal(&request).is_ok(), allowed);
    }

    #[test]
    fn twice_is_once() {
        let mut request = a_request("finance", "r1");
        request.spec.withdrawn = true;
        request.status.get_or_insert_default().phase = Some(RequestPhase::Withdrawn);
        assert!(matches!(withdrawal(&request), Ok(Change::Nothing)));
    }
}
