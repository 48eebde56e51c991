//! A drill as it stands in answers.

use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::recovery as crd;
use zhengyun_crds::recovery::RecoveryDrill as Resource;

use super::super::run::{Failure, Progress};
use super::phase;
use crate::names::department_of;
use crate::shapes::{self, Condition, Readiness};
use crate::words::{DrillPartKindWord, DrillPhaseWord, DrillTriggerWord};

/// A drill in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrillSummary {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// Recovery plan.
    plan: String,
    /// Store whose copy is tried.
    store: String,
    /// Site at which it is restored.
    site: String,
    /// Where it stands.
    #[schema(value_type = DrillPhaseWord)]
    phase: String,
    /// Recovery time that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_rto: Option<String>,
    /// How far it is, or how it ended, in one line.
    summary: String,
    /// Whether it is as intended.
    ready: Readiness,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A copy restored into scratch, compared, timed and removed (灾备演练).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Drill {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// Recovery plan.
    plan: String,
    /// Store whose copy is tried.
    store: String,
    /// Site at which it is restored.
    site: String,
    /// Where it stands.
    #[schema(value_type = DrillPhaseWord)]
    phase: String,
    /// Recovery time that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_rto: Option<String>,
    /// How far it is, or how it ended, in one line.
    summary: String,
    /// Whether it is as intended.
    ready: Readiness,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created_at: String,
    /// Its UID.
    uid: String,
    /// Why it is held.
    #[schema(value_type = DrillTriggerWord)]
    trigger: String,
    /// Due time of a scheduled drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    due: Option<String>,
    /// Who asked for it.
    requested_by: String,
    /// Whether somebody asked to end it early.
    cancel: bool,
    /// Backup that is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
    /// Sources of the backup, in the order in which they are restored.
    parts: Vec<DrillPart>,
    /// Folder into which its file trees are restored, below the one that the cloud administrator named for the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    /// How much was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<DrillCoverage>,
    /// How many things are not as they were backed up.
    difference_count: i64,
    /// The first of them.
    differences: Vec<DrillDifference>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    /// When the clock of the recovery time began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When everything was restored and compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    restored_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Why it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// The signed record of what was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<SignedRecord>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
}

/// A source of the backup, and where it is restored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrillPart {
    /// Source, as the backup names it.
    source: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DrillPartKindWord>)]
    kind: Option<String>,
    /// Namespace at the site into which it is restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Database into which it is restored, on the server that the cloud administrator named for drills at the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// When it was restored and compared equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    restored_at: Option<String>,
    /// How long that took.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
}

/// How much was compared.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrillCoverage {
    /// Objects and files that were compared.
    objects_compared: i64,
    /// Objects and files in the manifest, without what the cloud delivers itself.
    objects_total: i64,
    /// Objects that the cloud delivers itself: they come with a grant and are not restored. They were read and found intact.
    objects_delivered: i64,
    /// Bytes that were compared.
    bytes_compared: i64,
    /// Bytes in the manifest.
    bytes_total: i64,
}

/// One thing that is not as it was backed up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrillDifference {
    /// Source, as the backup names it.
    source: String,
    /// Object or file.
    path: String,
    /// How it differs.
    message: String,
}

/// A signed record: what was found, as text, so that it can be kept and checked without this cloud.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignedRecord {
    /// What is signed, to the byte.
    statement: String,
    /// Digest of the statement.
    digest: String,
    /// How it is signed.
    algorithm: String,
    /// Public key that signed it.
    key: String,
    /// Signature of the statement in base64.
    signature: String,
}

impl From<&Resource> for DrillSummary {
    fn from(drill: &Resource) -> Self {
        let status = drill.status.as_ref();
        Self {
            department: drill.metadata.namespace.as_deref().and_then(department_of).unwrap_or_default().to_owned(),
            name: shapes::name(&drill.metadata),
            plan: drill.spec.plan.clone(),
            store: drill.spec.store.clone(),
            site: drill.spec.site.clone(),
            phase: phase(drill).to_string(),
            measured_rto: status.and_then(|s| s.measured_rto.as_ref()).map(|rto| rto.as_str().to_owned()),
            summary: status.map(|s| s.summary.clone()).unwrap_or_default(),
            ready: shapes::readiness(status.map(|s| &s.conditions)),
            created_at: shapes::created(&drill.metadata),
        }
    }
}

impl From<&Resource> for Drill {
    fn from(drill: &Resource) -> Self {
        let (spec, status) = (&drill.spec, drill.status.clone().unwrap_or_default());
        let short = DrillSummary::from(drill);
        Self {
            department: short.department,
            name: short.name,
            plan: short.plan,
            store: short.store,
            site: short.site,
            phase: short.phase,
            measured_rto: short.measured_rto,
            summary: short.summary,
            ready: short.ready,
            created_at: short.created_at,
            uid: drill.metadata.uid.clone().unwrap_or_default(),
            trigger: spec.trigger.to_string(),
            due: spec.due.as_ref().map(shapes::moment),
            requested_by: spec.requested_by.clone(),
            cancel: spec.cancel,
            backup: status.backup.or_else(|| spec.backup.clone()),
            parts: status.parts.iter().map(DrillPart::from).collect(),
            folder: status.folder,
            coverage: status.coverage.as_ref().map(DrillCoverage::from),
            difference_count: status.difference_count,
            differences: status.differences.iter().map(DrillDifference::from).collect(),
            progress: status.progress.as_ref().map(Progress::from),
            started_at: status.started_at.as_ref().map(shapes::moment),
            restored_at: status.restored_at.as_ref().map(shapes::moment),
            finished_at: status.finished_at.as_ref().map(shapes::moment),
            failure: status.failure.as_ref().map(Failure::from),
            record: status.record.as_ref().map(SignedRecord::from),
            conditions: shapes::conditions(Some(&status.conditions)),
        }
    }
}

impl From<&crd::DrillPart> for DrillPart {
    fn from(part: &crd::DrillPart) -> Self {
        Self {
            source: part.source.clone(),
            kind: part.kind.map(|kind| kind.to_string()),
            namespace: part.scratch.as_ref().map(|scratch| scratch.namespace.clone()),
            database: part.database.clone(),
            restored_at: part.restored_at.as_ref().map(shapes::moment),
            duration: part.duration.as_ref().map(|took| took.as_str().to_owned()),
        }
    }
}

impl From<&crd::Coverage> for DrillCoverage {
    fn from(coverage: &crd::Coverage) -> Self {
        Self {
            objects_compared: coverage.objects_compared,
            objects_total: coverage.objects_total,
            objects_delivered: coverage.objects_delivered,
            bytes_compared: coverage.bytes_compared,
            bytes_total: coverage.bytes_total,
        }
    }
}

impl From<&crd::Difference> for DrillDifference {
    fn from(difference: &crd::Difference) -> Self {
        Self { source: difference.source.clone(), path: difference.path.clone(), message: difference.message.clone() }
    }
}

impl From<&crd::DrillRecord> for SignedRecord {
    fn from(record: &crd::DrillRecord) -> Self {
        Self {
            statement: record.statement.clone(),
            digest: record.digest.clone(),
            algorithm: record.algorithm.to_string(),
            key: record.key.clone(),
            signature: record.signature.clone(),
        }
    }
}
