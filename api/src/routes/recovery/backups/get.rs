//! GET /departments/{department}/backups/{name}

use axum::extract::State;

use super::PLURAL;
use super::view::Backup;
use crate::auth::{Caller, Right};
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One backup.
#[utoipa::path(get, path = "/departments/{department}/backups/{name}", tag = "recovery", operation_id = "getBackup",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the backup."),
    ),
    responses((status = 200, description = "The backup.", body = Backup), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<axum::Json<Backup>, Problem> {
    let missing = || Problem::not_found(Noun::Backup, &at.name);
    if !caller.may(&state, &Right::get(PLURAL), &at.department).await? {
        return Err(missing());
    }
    let backup = state.cache.backups.get_in(&at.namespace, &at.name).ok_or_else(missing)?;
    Ok(axum::Json(Backup::from(&*backup)))
}
