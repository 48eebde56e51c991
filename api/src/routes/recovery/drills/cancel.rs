//! POST /departments/{department}/drills/{name}/cancellation

use axum::extract::State;
use http::StatusCode;
use zhengyun_crds::recovery::RecoveryDrill as Resource;

use super::super::run;
use super::view::Drill;
use crate::auth::Caller;
use crate::extract::{InDepartment, NoQuery};
use crate::openapi::{Problems, QueryProblems, WriteProblems};
use crate::problem::Problem;
use crate::state::AppState;

/// End a drill early.
///
/// It cannot be taken back. Repeating the call changes nothing; a drill that ended stays as it ended.
#[utoipa::path(post, path = "/departments/{department}/drills/{name}/cancellation", tag = "recovery", operation_id = "cancelDrill",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the drill."),
    ),
    responses(
        (status = 202, description = "The drill, to be cancelled.", body = Drill),
        Problems, WriteProblems, QueryProblems,
    )
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
) -> Result<(StatusCode, axum::Json<Drill>), Problem> {
    let cancelled: Resource = run::cancel(&state, &caller, &at).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Drill::from(&cancelled))))
}
