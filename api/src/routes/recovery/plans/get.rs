//! GET /departments/{department}/recovery-plans/{name}

use axum::extract::State;
use http::StatusCode;

use super::view::RecoveryPlan;
use super::{Answer, PLURAL, answer};
use crate::auth::{Caller, Right};
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One recovery plan.
#[utoipa::path(get, path = "/departments/{department}/recovery-plans/{name}", tag = "recovery", operation_id = "getRecoveryPlan",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the recovery plan."),
    ),
    responses(
        (status = 200, description = "The recovery plan.", body = RecoveryPlan, headers(("ETag" = String, description = "What was seen, for If-Match."))),
        Problems, Missing, QueryProblems,
    )
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<Answer, Problem> {
    let missing = || Problem::not_found(Noun::RecoveryPlan, &at.name);
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(missing());
    }
    let plan = state.cache.plans.get_in(&at.namespace, &at.name).ok_or_else(missing)?;
    Ok(answer(StatusCode::OK, &plan))
}
