//! GET /departments/{department}/requests/{name}

use axum::extract::State;
use http::StatusCode;

use super::{Answer, PLURAL, answer, read};
use crate::auth::{Caller, Right};
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One request with its review, decisions and result.
#[utoipa::path(get, path = "/departments/{department}/requests/{name}", tag = "requests", operation_id = "getRequest",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the request."),
    ),
    responses(
        (status = 200, description = "The request.", body = super::Request, headers(("ETag" = String, description = "What was seen, for If-Match."))),
        Problems, Missing, QueryProblems,
    )
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<Answer, Problem> {
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(Problem::not_found(Noun::Request, &at.name));
    }
    match state.cache.requests.get_in(&at.namespace, &at.name) {
        Some(request) => Ok(answer(StatusCode::OK, &request)),
        // The cache may not have seen yet what was created a moment ago.
        None => Ok(answer(StatusCode::OK, &read(&state, &caller, &at).await?)),
    }
}
