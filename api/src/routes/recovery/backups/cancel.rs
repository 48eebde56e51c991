//! POST /departments/{department}/backups/{name}/cancellation

use axum::extract::State;
use http::StatusCode;
use zhengyun_crds::recovery::SystemBackup as Resource;

use super::super::run;
use super::view::Backup;
use crate::auth::Caller;
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Problems, QueryProblems, WriteProblems};
use crate::problem::Problem;
use crate::state::AppState;

/// End a backup early.
///
/// It cannot be taken back. Repeating the call changes nothing; a backup that ended stays as it ended.
#[utoipa::path(post, path = "/departments/{department}/backups/{name}/cancellation", tag = "recovery", operation_id = "cancelBackup",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the backup."),
    ),
    responses(
        (status = 202, description = "The backup, to be cancelled.", body = Backup),
        Problems, WriteProblems, QueryProblems,
    )
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<(StatusCode, axum::Json<Backup>), Problem> {
    let cancelled: Resource = run::cancel(&state, &caller, &at).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Backup::from(&cancelled))))
}
