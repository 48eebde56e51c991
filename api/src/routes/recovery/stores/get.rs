//! GET /backup-stores/{name}

use axum::extract::State;

use super::{BackupStore, PLURAL};
use crate::auth::{Caller, Right};
use crate::extract::{Named, NoQuery};
use crate::openapi::{Missing, Problems, QueryProblems};
use crate::problem::{Noun, Problem};
use crate::state::AppState;

/// One backup store.
#[utoipa::path(get, path = "/backup-stores/{name}", tag = "recovery", operation_id = "getBackupStore",
    params(("name" = String, Path, description = "Name of the store.")),
    responses((status = 200, description = "The store.", body = BackupStore), Problems, Missing, QueryProblems)
)]
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Named(name): Named,
    _: NoQuery,
) -> Result<axum::Json<BackupStore>, Problem> {
    let missing = || Problem::not_found(Noun::BackupStore, &name);
    if !caller.may_somewhere(&state, &Right::get(PLURAL)).await? {
        return Err(missing());
    }
    let store = state.cache.stores.get(&name).ok_or_else(missing)?;
    Ok(axum::Json(BackupStore::from(&*store)))
}
