//! POST /departments/{department}/migrations/{name}/cutover

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

/// Approve the cutover in the change window that `window` of the migration names.
///
/// It begins by itself in that window once enough of the named people signed its digest and a fresh backup stands. Repeating the
/// call changes nothing; the signature cannot be taken back, but holds for that one window only.
#[utoipa::path(post, path = "/departments/{department}/migrations/{name}/cutover", tag = "migration", operation_id = "cutOverMigration",
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
pub(crate) async fn cut_over(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
    Json(body): Json<NewSignature>,
) -> Result<(StatusCode, axum::Json<Migration>), Problem> {
    let signed = sign(&state, &caller, &at, SignedPurpose::Cutover, &body).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Migration::from(&signed))))
}
