//! GET /departments/{department}

use axum::extract::State;

use super::{Department, PLURAL};
use crate::auth::{Caller, Right};
use crate::extract::{NoQuery, OfDepartment};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One department with its roles.
#[utoipa::path(get, path = "/departments/{department}", tag = "departments", operation_id = "getDepartment",
    params(("department" = String, Path, description = "Name of the department.")),
    responses((status = 200, description = "The department.", body = Department), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: OfDepartment,
    _: NoQuery,
) -> Result<axum::Json<Department>, Problem> {
    let missing = || Problem::not_found(Noun::Department, &at.department);
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(missing());
    }
    let department = state.cache.departments.get(&at.department).ok_or_else(missing)?;
    Ok(axum::Json(Department::from(&*department)))
}
