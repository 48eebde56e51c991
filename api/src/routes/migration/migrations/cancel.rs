//! POST /departments/{department}/migrations/{name}/cancellation

use axum::extract::State;
use http::StatusCode;
use serde_json::json;
use zhengyun_crds::migration::SystemMigration as Resource;

use super::view::Migration;
use super::{read, refusal, stage};
use crate::auth::Caller;
use crate::cache::Written as _;
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Problems, QueryProblems, WriteProblems};
use crate::problem::Problem;
use crate::state::AppState;

/// Give a migration up.
///
/// The way back is gone first: the source is open as it was. What was copied stays unless its `copiedData` is `Delete`. It cannot
/// be taken back, and a system that runs on the cloud already is not given up: its way back is signed with `rollback`. Repeating
/// the call changes nothing.
#[utoipa::path(post, path = "/departments/{department}/migrations/{name}/cancellation", tag = "migration", operation_id = "cancelMigration",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the migration."),
    ),
    responses(
        (status = 202, description = "The migration, to be given up.", body = Migration),
        Problems, WriteProblems, QueryProblems,
    )
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<(StatusCode, axum::Json<Migration>), Problem> {
    let current = read(&state, &caller, &at).await?;
    let answer = |migration: &Resource| (StatusCode::ACCEPTED, axum::Json(Migration::from(migration)));
    if current.spec.cancel {
        // Whoever repeats a call did not hear that the first one was seen.
        current.shown(&state.cache).await;
        return Ok(answer(&current));
    }
    let stands = stage(&current);
    if stands.is_cut_over() && !stands.is_past_return() {
        return Err(Problem::runs_on_cloud(&at.name, stands.as_str()));
    }
    if stands.is_terminal() || stands.is_past_return() {
        return Err(Problem::migration_ended(&at.name, stands.as_str()));
    }
    // The UID alone guards it: progress is written every second, and what is asked for does not depend on it.
    let patch = json!({ "metadata": { "uid": current.metadata.uid }, "spec": { "cancel": true } });
    match caller.hub(&state).patch::<Resource>(&at.namespace, &at.name, &patch, false).await {
        Ok(written) => Ok(answer(&written)),
        Err(error) => Err(refusal(&state, &caller, &error, &at).await),
    }
}
