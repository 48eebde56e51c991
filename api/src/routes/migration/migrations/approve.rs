//! POST /departments/{department}/migrations/{name}/approval

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use zhengyun_crds::migration::{Party, SignedPurpose};

use super::sign::{NewSignature, sign};
use super::view::Migration;
use crate::auth::Caller;
use crate::extract::{InDepartment, Json, NoQuery};
use crate::openapi::{BodyProblems, Problems, WriteProblems};
use crate::problem::Problem;
use crate::state::AppState;
use crate::words::PartyWord;

/// What is approved, besides a cutover and a way back, which have routes of their own.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub(crate) enum Approved {
    /// That the system runs on the cloud as it should (迁云确认报告).
    Acceptance,
    /// That nothing writes to a source whose closing cannot be proven.
    DeclaredFreeze,
    /// That what the source holds is erased.
    Erasure,
}

/// An approval.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewApproval {
    /// What is approved.
    purpose: Approved,
    /// On whose behalf the caller signs.
    #[schema(value_type = PartyWord)]
    party: Party,
    /// The digest that is signed, as `evidence` of the migration shows it.
    #[schema(min_length = 71, max_length = 71, pattern = "^sha256:[0-9a-f]{64}$")]
    digest: String,
}

/// Sign for the acceptance, a declared freeze, or the erasure of the source.
///
/// The signature is the caller's own and is about one digest; it is a record and cannot be taken back. Repeating the call changes
/// nothing.
#[utoipa::path(post, path = "/departments/{department}/migrations/{name}/approval", tag = "migration", operation_id = "approveMigration",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the migration."),
    ),
    request_body(content = NewApproval, description = "What is approved."),
    responses(
        (status = 202, description = "The migration, with the signature.", body = Migration),
        Problems, WriteProblems, BodyProblems,
    )
)]
pub(crate) async fn approve(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
    Json(body): Json<NewApproval>,
) -> Result<(StatusCode, axum::Json<Migration>), Problem> {
    let purpose = match body.purpose {
        Approved::Acceptance => SignedPurpose::Acceptance,
        Approved::DeclaredFreeze => SignedPurpose::DeclaredFreeze,
        Approved::Erasure => SignedPurpose::Erasure,
    };
    let signature = NewSignature { party: body.party, digest: body.digest };
    let signed = sign(&state, &caller, &at, purpose, &signature).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Migration::from(&signed))))
}
