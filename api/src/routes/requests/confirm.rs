//! POST /departments/{department}/requests/{name}/confirmation

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

/// Confirm the delivery (交付确认).
///
/// Puts the grant into service once everything is ready. Cannot be taken back.
#[utoipa::path(post, path = "/departments/{department}/requests/{name}/confirmation", tag = "requests", operation_id = "confirmDelivery",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the request that the grant came of."),
        ("If-Match" = Option<String>, Header, description = "ETag of the request that was read."),
    ),
    responses(
        (status = 202, description = "The request, confirmed.", body = Request, headers(("ETag" = String, description = "What was confirmed."))),
        Problems, WriteProblems, QueryProblems, SeenProblems,
    )
)]
pub(crate) async fn confirm(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<Answer, Problem> {
    let written = amend(&state, &caller, &at, (&headers, Seen::Optional, false), confirmation).await?;
    Ok(answer(StatusCode::ACCEPTED, &written))
}

fn confirmation(request: &Resource) -> Result<Change, Problem> {
    let phase = phase(request);
    if request.spec.order.action != Action::Create || phase != RequestPhase::Applied {
        return Err(Problem::nothing_to_confirm(phase.as_str()));
    }
    if request.spec.delivery_confirmed {
        return Ok(Change::Nothing);
    }
    Ok(Change::Fields(vec![("deliveryConfirmed", json!(true))]))
}
