//! GET /departments/{department}/migrations/{name}

use axum::extract::State;

use super::PLURAL;
use super::view::Migration;
use crate::auth::{Caller, Right};
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One migration.
#[utoipa::path(get, path = "/departments/{department}/migrations/{name}", tag = "migration", operation_id = "getMigration",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the migration."),
    ),
    responses((status = 200, description = "The migration.", body = Migration), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<axum::Json<Migration>, Problem> {
    let missing = || Problem::not_found(Noun::Migration, &at.name);
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(missing());
    }
    let migration = state.cache.migrations.get_in(&at.namespace, &at.name).ok_or_else(missing)?;
    Ok(axum::Json(Migration::from(&*migration)))
}
