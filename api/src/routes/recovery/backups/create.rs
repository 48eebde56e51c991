//! POST /departments/{department}/backups

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use zhengyun_crds::recovery::{BackupTrigger, SystemBackup as Resource, SystemBackupSpec};

use super::super::run;
use super::view::Backup;
use crate::auth::Caller;
use crate::extract::{Json, NoQuery, OfDepartment};
use crate::openapi::{BodyProblems, Problems, WriteProblems};
use crate::problem::Problem;
use crate::routes::writing::check_name;
use crate::state::AppState;

/// A backup outside the schedule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewBackup {
    /// Its name, a DNS label.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    name: String,
    /// Recovery plan of the department.
    #[schema(min_length = 1, max_length = 40)]
    plan: String,
}

/// Ask for a backup now.
///
/// Repeating the call with the same content answers 200 with the same backup.
#[utoipa::path(post, path = "/departments/{department}/backups", tag = "recovery", operation_id = "createBackup",
    params(("department" = String, Path, description = "Name of the department.")),
    request_body(content = NewBackup, description = "The backup."),
    responses(
        (status = 201, description = "The backup, pending.", body = Backup, headers(
            ("Location" = String, description = "Where the backup is."),
        )),
        (status = 200, description = "The same backup existed already.", body = Backup),
        Problems, WriteProblems, BodyProblems,
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    at: OfDepartment,
    _: NoQuery,
    Json(body): Json<NewBackup>,
) -> Result<Response, Problem> {
    let NewBackup { name, plan } = body;
    check_name(&name)?;
    let found = run::plan(&state, &caller, &at, &plan).await?;
    let mut backup = Resource::new(
        &name,
        SystemBackupSpec {
            plan,
            plan_uid: found.metadata.uid.unwrap_or_default(),
            trigger: BackupTrigger::Manual,
            due: None,
            grant: None,
            requested_by: caller.username().to_owned(),
            cancel: false,
        },
    );
    backup.metadata.namespace = Some(at.namespace.clone());
    run::start::<Resource, Backup>(&state, &caller, &at, &backup).await
}
