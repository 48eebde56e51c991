//! POST /departments/{department}/restores/{name}/cancellation

use axum::extract::State;
use http::StatusCode;
use zhengyun_crds::recovery::SystemRestore as Resource;

use super::super::run;
use super::view::Restore;
use crate::auth::Caller;
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Problems, QueryProblems, WriteProblems};
use crate::problem::Problem;
use crate::state::AppState;

/// End a restore early.
///
/// It cannot be taken back. Repeating the call changes nothing; a restore that ended stays as it ended.
#[utoipa::path(post, path = "/departments/{department}/restores/{name}/cancellation", tag = "recovery", operation_id = "cancelRestore",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the restore."),
    ),
    responses(
        (status = 202, description = "The restore, to be cancelled.", body = Restore),
        Problems, WriteProblems, QueryProblems,
    )
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<(StatusCode, axum::Json<Restore>), Problem> {
    let cancelled: Resource = run::cancel(&state, &caller, &at).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Restore::from(&cancelled))))
}
