//! GET /systems/{department}/{name}

use axum::extract::State;

use super::{PLURAL, System};
use crate::auth::{Caller, Right};
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One information system.
#[utoipa::path(get, path = "/systems/{department}/{name}", tag = "systems", operation_id = "getSystem",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the system."),
    ),
    responses((status = 200, description = "The system.", body = System), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<axum::Json<System>, Problem> {
    let missing = || Problem::not_found(Noun::System, &at.name);
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(missing());
    }
    let system = state.cache.systems.get_in(&at.namespace, &at.name).ok_or_else(missing)?;
    Ok(axum::Json(System::from(&*system)))
}
