//! GET /departments/{department}/grants/{name}

use axum::extract::State;

use super::PLURAL;
use super::view::Grant;
use crate::auth::{Caller, Right};
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One grant with everything at the site.
#[utoipa::path(get, path = "/departments/{department}/grants/{name}", tag = "grants", operation_id = "getGrant",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the grant."),
    ),
    responses((status = 200, description = "The grant.", body = Grant), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<axum::Json<Grant>, Problem> {
    let missing = || Problem::not_found(Noun::Grant, &at.name);
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(missing());
    }
    let grant = state.cache.grants.get_in(&at.namespace, &at.name).ok_or_else(missing)?;
    Ok(axum::Json(Grant::from(&*grant)))
}
