//! GET /departments/{department}/restores/{name}

use axum::extract::State;

use super::PLURAL;
use super::view::Restore;
use crate::auth::{Caller, Right};
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One restore.
#[utoipa::path(get, path = "/departments/{department}/restores/{name}", tag = "recovery", operation_id = "getRestore",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the restore."),
    ),
    responses((status = 200, description = "The restore.", body = Restore), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<axum::Json<Restore>, Problem> {
    let missing = || Problem::not_found(Noun::Restore, &at.name);
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(missing());
    }
    let restore = state.cache.restores.get_in(&at.namespace, &at.name).ok_or_else(missing)?;
    Ok(axum::Json(Restore::from(&*restore)))
}
