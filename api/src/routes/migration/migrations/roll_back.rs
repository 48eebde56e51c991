//! POST /departments/{department}/migrations/{name}/rollback

use axum::extract::State;
use http::StatusCode;
use zhengyun_crds::migration::SignedPurpose;

use super::sign::{NewSignature, sign};
use super::view::Migration;
use crate::auth::Caller;
use crate::extract::{InDepartment, Json, NoQuery};
use crate::openapi::{BodyProblems, Problems, WriteProblems};
use crate::problem::Problem;
use crate::state::AppState;

/// Sign for the way back after applications got the target.
///
/// What was written since then is lost: `rollback` of the migration says it. The way back is gone once the department and the
/// authority have signed. Before applications got the target a cutover goes back by itself, or by `cancellation`.
#[utoipa::path(post, path = "/departments/{department}/migrations/{name}/rollback", tag = "migration", operation_id = "rollBackMigration",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the migration."),
    ),
    request_body(content = NewSignature, description = "The signature."),
    responses(
        (status = 202, description = "The migration, with the signature.", body = Migration),
        Problems, WriteProblems, BodyProblems,
    )
)]
pub(crate) async fn roll_back(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
    Json(body): Json<NewSignature>,
) -> Result<(StatusCode, axum::Json<Migration>), Problem> {
    let signed = sign(&state, &caller, &at, SignedPurpose::Rollback, &body).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Migration::from(&signed))))
}
