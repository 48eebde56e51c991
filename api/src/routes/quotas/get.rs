//! GET /quotas/{department}

use axum::extract::State;

use super::{PLURAL, Quota};
use crate::auth::{Caller, Right};
use crate::extract::{NoQuery, OfDepartment};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// The quota of one department.
#[utoipa::path(get, path = "/quotas/{department}", tag = "quotas", operation_id = "getQuota",
    params(("department" = String, Path, description = "Name of the department.")),
    responses((status = 200, description = "The quota.", body = Quota), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: OfDepartment,
    _: NoQuery,
) -> Result<axum::Json<Quota>, Problem> {
    let missing = || Problem::not_found(Noun::Quota, &at.department);
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(missing());
    }
    let quota = state.cache.quotas.get(&at.department).ok_or_else(missing)?;
    Ok(axum::Json(Quota::from(&*quota)))
}
