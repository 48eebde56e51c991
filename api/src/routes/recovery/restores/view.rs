//! A restore as it stands in answers.

use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::recovery as crd;
use zhengyun_crds::recovery::SystemRestore as Resource;

use super::super::run::{Failure, Progress};
use super::phase;
use crate::names::department_of;
use crate::shapes::{self, Condition, Readiness};
use crate::words::{ExistingPolicyWord, RestoreModeWord, RestorePhaseWord};

/// A restore in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestoreSummary {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// Backup that is brought back.
    backup: String,
    /// What it does.
    #[schema(value_type = RestoreModeWord)]
    mode: String,
    /// Where it stands.
    #[schema(value_type = RestorePhaseWord)]
    phase: String,
    /// What would be or was done, in one line.
    summary: String,
    /// Whether it is as intended.
    ready: Readiness,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Bringing a backup back (系统恢复).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Restore {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// Its UID.
    uid: String,
    /// Backup that is brought back.
    backup: String,
    /// What it does.
    #[schema(value_type = RestoreModeWord)]
    mode: String,
    /// Digest of the plan: worked out in mode `Plan`, for the restore in mode `Execute` to carry out.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_digest: Option<String>,
    /// What becomes of objects that are there already and differ.
    #[schema(value_type = ExistingPolicyWord)]
    existing: String,
    /// Sources that are brought back; all when empty.
    sources: Vec<String>,
    /// Sources that go elsewhere.
    redirects: Vec<Redirect>,
    /// Who asked for it.
    requested_by: String,
    /// Whether somebody asked to end it early.
    cancel: bool,
    /// Where it stands.
    #[schema(value_type = RestorePhaseWord)]
    phase: String,
    /// Counts workers that took it up.
    attempt: i32,
    /// Store that is read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// What the plan would come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<Outcome>,
    /// What came of it so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    /// Objects that did not come to what the plan says, the first ones, each with its reason.
    failures: Vec<Failure>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    /// When the first worker began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Why it ended other than as intended.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Where a source goes if not where it came from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Redirect {
    /// Source, as the backup names it.
    source: String,
    /// Grant that it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// Folder that a file tree goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Folder>,
    /// Declared database that one goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<DeclaredDatabase>,
}

/// A database that a site declares for the department.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeclaredDatabase {
    /// Site that declares it.
    site: String,
    /// Name under which it is declared.
    endpoint: String,
    /// Database.
    database: String,
}

/// A folder below a file root that a site declares for the department.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Folder {
    /// Site that declares the root.
    site: String,
    /// Name under which the root is declared.
    root: String,
    /// Folder below the root; empty for all of it.
    subpath: String,
}

/// How many objects came, or would come, to what.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    /// Made anew.
    created: i64,
    /// Replaced.
    replaced: i64,
    /// There already, and equal.
    unchanged: i64,
    /// There already, different, left as they are.
    skipped: i64,
    /// There already, different, and in the way.
    conflicts: i64,
    /// Of kinds that the target does not serve.
    unserved: i64,
    /// Refused by the target, or failed.
    failed: i64,
}

fn department(restore: &Resource) -> String {
    restore.metadata.namespace.as_deref().and_then(department_of).unwrap_or_default().to_owned()
}

impl From<&Resource> for RestoreSummary {
    fn from(restore: &Resource) -> Self {
        let status = restore.status.as_ref();
        Self {
            department: department(restore),
            name: shapes::name(&restore.metadata),
            backup: restore.spec.backup.clone(),
            mode: restore.spec.mode.to_string(),
            phase: phase(restore).to_string(),
            summary: status.map(|s| s.summary.clone()).unwrap_or_default(),
            ready: shapes::readiness(status.map(|s| &s.conditions)),
            created_at: shapes::created(&restore.metadata),
        }
    }
}

impl From<&Resource> for Restore {
    fn from(restore: &Resource) -> Self {
        let (spec, status) = (&restore.spec, restore.status.clone().unwrap_or_default());
        Self {
            department: department(restore),
            name: shapes::name(&restore.metadata),
            uid: restore.metadata.uid.clone().unwrap_or_default(),
            backup: spec.backup.clone(),
            mode: spec.mode.to_string(),
            plan_digest: status.plan_digest.or_else(|| spec.plan_digest.clone()),
            existing: spec.existing.to_string(),
            sources: spec.sources.clone(),
            redirects: spec.redirects.iter().map(Redirect::from).collect(),
            requested_by: spec.requested_by.clone(),
            cancel: spec.cancel,
            phase: phase(restore).to_string(),
            attempt: status.attempt,
            store: status.store.or_else(|| spec.store.clone()),
            planned: status.planned.as_ref().map(Outcome::from),
            outcome: status.outcome.as_ref().map(Outcome::from),
            failures: status.failures.iter().map(Failure::from).collect(),
            progress: status.progress.as_ref().map(Progress::from),
            started_at: status.started_at.as_ref().map(shapes::moment),
            finished_at: status.finished_at.as_ref().map(shapes::moment),
            failure: status.failure.as_ref().map(Failure::from),
            conditions: shapes::conditions(Some(&status.conditions)),
            created_at: shapes::created(&restore.metadata),
        }
    }
}

impl From<&crd::RestoreRedirect> for Redirect {
    fn from(redirect: &crd::RestoreRedirect) -> Self {
        let folder =
            |at: &crd::FileSource| Folder { site: at.site.clone(), root: at.root.clone(), subpath: at.subpath.clone() };
        Self {
            source: redirect.source.clone(),
            grant: redirect.grant.clone(),
            files: redirect.files.as_ref().map(folder),
            database: redirect.database.as_ref().map(|at| DeclaredDatabase {
                site: at.site.clone(),
                endpoint: at.endpoint.clone(),
                database: at.database.clone(),
            }),
        }
    }
}

impl From<&crd::OutcomeCounts> for Outcome {
    fn from(counts: &crd::OutcomeCounts) -> Self {
        Self {
            created: counts.created,
            replaced: counts.replaced,
            unchanged: counts.unchanged,
            skipped: counts.skipped,
            conflicts: counts.conflicts,
            unserved: counts.unserved,
            failed: counts.failed,
        }
    }
}
