//! GET /departments/{department}/drills/{name}

use axum::extract::State;

use super::PLURAL;
use super::view::Drill;
use crate::auth::{Caller, Right};
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One drill.
#[utoipa::path(get, path = "/departments/{department}/drills/{name}", tag = "recovery", operation_id = "getDrill",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the drill."),
    ),
    responses((status = 200, description = "The drill.", body = Drill), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<axum::Json<Drill>, Problem> {
    let missing = || Problem::not_found(Noun::Drill, &at.name);
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(missing());
    }
    let drill = state.cache.drills.get_in(&at.namespace, &at.name).ok_or_else(missing)?;
    Ok(axum::Json(Drill::from(&*drill)))
}
