//! POST /departments/{department}/restores

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use zhengyun_crds::recovery::{
    DatabaseSource, ExistingPolicy, FileSource, RestoreMode, RestoreRedirect, SystemRestore as Resource,
    SystemRestoreSpec,
};

use super::super::run;
use super::view::Restore;
use crate::auth::Caller;
use crate::extract::{Json, NoQuery, OfDepartment};
use crate::openapi::{BodyProblems, Problems, WriteProblems};
use crate::problem::Problem;
use crate::routes::writing::check_name;
use crate::state::AppState;
use crate::words::{ExistingPolicyWord, RestoreModeWord};

/// Where a source goes if not where it came from: a grant for what came from one, a folder for a file tree, a database for one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRedirect {
    /// Source, as the backup names it.
    #[schema(min_length = 1, max_length = 30)]
    source: String,
    /// Grant of the same department, at the same or another site. Either this, `files` or `database`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 63)]
    grant: Option<String>,
    /// Folder for a file tree.
    #[serde(default)]
    files: Option<NewFolder>,
    /// Database for a declared one. Everything in it belongs to its own user then.
    #[serde(default)]
    database: Option<NewDatabase>,
}

/// A database that a site declares for the department.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDatabase {
    /// Site that declares it.
    #[schema(min_length = 1, max_length = 40)]
    site: String,
    /// Name under which it is declared; an address is not accepted here.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    endpoint: String,
    /// Database.
    #[schema(min_length = 1, max_length = 63, pattern = "^[A-Za-z_][A-Za-z0-9_$-]*$")]
    database: String,
}

/// A folder below a file root that a site declares for the department.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewFolder {
    /// Site that declares the root.
    #[schema(min_length = 1, max_length = 40)]
    site: String,
    /// Name under which the root is declared; a path is not accepted here.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    root: String,
    /// Folder below the root, relative and without `.` or `..`; one that is not there is made, in a folder that is. Empty for all of the root.
    #[serde(default)]
    #[schema(max_length = 512)]
    subpath: String,
}

impl From<NewRedirect> for RestoreRedirect {
    fn from(to: NewRedirect) -> Self {
        let folder = |files: NewFolder| FileSource { site: files.site, root: files.root, subpath: files.subpath };
        let database = |to: NewDatabase| DatabaseSource { site: to.site, endpoint: to.endpoint, database: to.database };
        Self { source: to.source, grant: to.grant, files: to.files.map(folder), database: to.database.map(database) }
    }
}

/// A restore.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRestore {
    /// Its name, a DNS label.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    name: String,
    /// Backup of the department that is brought back.
    #[schema(min_length = 1, max_length = 63)]
    backup: String,
    /// `Plan` works out what would be done and writes nothing; `Execute` carries out exactly the plan whose digest is given.
    #[schema(value_type = RestoreModeWord)]
    mode: RestoreMode,
    /// `planDigest` of the plan (Execute).
    #[serde(default)]
    #[schema(min_length = 71, max_length = 71, pattern = "^sha256:[0-9a-f]{64}$")]
    plan_digest: Option<String>,
    /// Store to read from; the first that holds a verified copy unless stated.
    #[serde(default)]
    store: Option<String>,
    /// What becomes of objects that are there already and differ; `Fail` unless stated.
    #[serde(default)]
    #[schema(value_type = Option<ExistingPolicyWord>)]
    existing: Option<ExistingPolicy>,
    /// Sources to bring back; all unless stated.
    #[serde(default)]
    #[schema(max_items = 16)]
    sources: Vec<String>,
    /// Sources that go elsewhere.
    #[serde(default)]
    #[schema(max_items = 16)]
    redirects: Vec<NewRedirect>,
}

/// Ask for a restore.
///
/// Ask for one with mode `Plan` first, look at what it would do, then ask for one with mode `Execute` and its digest. If the
/// plan is another one by then, nothing is written. Repeating the call with the same content answers 200 with the same restore.
#[utoipa::path(post, path = "/departments/{department}/restores", tag = "recovery", operation_id = "createRestore",
    params(("department" = String, Path, description = "Name of the department.")),
    request_body(content = NewRestore, description = "The restore."),
    responses(
        (status = 201, description = "The restore, pending.", body = Restore, headers(
            ("Location" = String, description = "Where the restore is."),
        )),
        (status = 200, description = "The same restore existed already.", body = Restore),
        Problems, WriteProblems, BodyProblems,
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    at: OfDepartment,
    _: NoQuery,
    Json(body): Json<NewRestore>,
) -> Result<Response, Problem> {
    check_name(&body.name)?;
    let mut restore = Resource::new(
        &body.name,
        SystemRestoreSpec {
            backup: body.backup,
            store: body.store,
            mode: body.mode,
            plan_digest: body.plan_digest,
            existing: body.existing.unwrap_or(ExistingPolicy::Fail),
            sources: body.sources,
            redirects: body.redirects.into_iter().map(RestoreRedirect::from).collect(),
            requested_by: caller.username().to_owned(),
            cancel: false,
        },
    );
    restore.metadata.namespace = Some(at.namespace.clone());
    run::start::<Resource, Restore>(&state, &caller, &at, &restore).await
}
