//! A backup as it stands in answers.

use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::recovery as crd;
use zhengyun_crds::recovery::SystemBackup as Resource;

use super::super::run::{Failure, Progress};
use super::phase;
use crate::names::department_of;
use crate::shapes::{self, Condition, Readiness};
use crate::words::{BackupPhaseWord, BackupTriggerWord, ConsistencyWord, CopyStateWord, RetentionFateWord};

/// A backup in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupSummary {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// Recovery plan.
    plan: String,
    /// Why it was made.
    #[schema(value_type = BackupTriggerWord)]
    trigger: String,
    /// Where it stands.
    #[schema(value_type = BackupPhaseWord)]
    phase: String,
    /// Moment whose data it holds: the oldest of its sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    captured_at: Option<String>,
    /// Objects and bytes, in one line.
    summary: String,
    /// Whether it is as intended.
    ready: Readiness,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created_at: String,
}

/// One run of a recovery plan (系统备份).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backup {
    /// Department.
    department: String,
    /// Its name.
    name: String,
    /// Its UID.
    uid: String,
    /// Recovery plan.
    plan: String,
    /// Why it was made.
    #[schema(value_type = BackupTriggerWord)]
    trigger: String,
    /// Due time of a scheduled backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    due: Option<String>,
    /// Who asked for it.
    requested_by: String,
    /// Whether somebody asked to end it early.
    cancel: bool,
    /// Where it stands.
    #[schema(value_type = BackupPhaseWord)]
    phase: String,
    /// Counts workers that took it up.
    attempt: i32,
    /// When the first worker began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Moment whose data it holds: the oldest of its sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    captured_at: Option<String>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    /// What was captured.
    sources: Vec<CapturedSource>,
    /// Copies by store.
    copies: Vec<StoredCopy>,
    /// The signed list of everything in it, by its root.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Manifest>,
    /// What becomes of its data, and why; absent until it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Retained>,
    /// Why it ended other than as intended.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created_at: String,
}

/// What was captured of one source.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CapturedSource {
    /// Source, as the plan names it.
    name: String,
    /// Moment whose data it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    captured_at: Option<String>,
    /// What may be said about that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ConsistencyWord>)]
    consistency: Option<String>,
    /// Version of the server that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_version: Option<String>,
    /// Place in the write-ahead log of a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    lsn: Option<String>,
    /// Objects or files.
    objects: i64,
    /// Bytes that were read.
    bytes: i64,
    /// How many objects changed while they were read.
    changed_count: i64,
    /// The first of them.
    changed: Vec<String>,
    /// What of it should be covered and is not, such as volumes.
    uncovered: Vec<String>,
}

/// A copy of the backup in one store.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredCopy {
    /// Store.
    store: String,
    /// What is known of it.
    #[schema(value_type = CopyStateWord)]
    state: String,
    /// Snapshot in the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    /// Bytes that it added to the store.
    bytes_added: i64,
    /// When it was last read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    verified_at: Option<String>,
    /// Why there is none, or why it is no good.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// What becomes of a backup's data, and why.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retained {
    /// What becomes of it.
    #[schema(value_type = RetentionFateWord)]
    fate: String,
    /// Every reason to keep it, or the one to drop it.
    reasons: Vec<String>,
    /// When it was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    dropped_at: Option<String>,
}

/// The signed list of everything in a backup, by its root.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    /// Root of the Merkle tree over source, path, digest and size.
    root: String,
    /// Place in the chain of manifests of its repository.
    counter: i64,
    /// Digest of this link of the chain.
    head: String,
    /// How it is signed.
    #[schema(example = "ed25519-sha256")]
    algorithm: String,
    /// Fingerprint of the key that signed it.
    key: String,
}

fn department(backup: &Resource) -> String {
    backup.metadata.namespace.as_deref().and_then(department_of).unwrap_or_default().to_owned()
}

impl From<&Resource> for BackupSummary {
    fn from(backup: &Resource) -> Self {
        let status = backup.status.as_ref();
        Self {
            department: department(backup),
            name: shapes::name(&backup.metadata),
            plan: backup.spec.plan.clone(),
            trigger: backup.spec.trigger.to_string(),
            phase: phase(backup).to_string(),
            captured_at: status.and_then(|s| s.captured_at.as_ref()).map(shapes::moment),
            summary: status.map(|s| s.summary.clone()).unwrap_or_default(),
            ready: shapes::readiness(status.map(|s| &s.conditions)),
            created_at: shapes::created(&backup.metadata),
        }
    }
}

impl From<&Resource> for Backup {
    fn from(backup: &Resource) -> Self {
        let (spec, status) = (&backup.spec, backup.status.clone().unwrap_or_default());
        Self {
            department: department(backup),
            name: shapes::name(&backup.metadata),
            uid: backup.metadata.uid.clone().unwrap_or_default(),
            plan: spec.plan.clone(),
            trigger: spec.trigger.to_string(),
            due: spec.due.as_ref().map(shapes::moment),
            requested_by: spec.requested_by.clone(),
            cancel: spec.cancel,
            phase: phase(backup).to_string(),
            attempt: status.attempt,
            started_at: status.started_at.as_ref().map(shapes::moment),
            finished_at: status.finished_at.as_ref().map(shapes::moment),
            captured_at: status.captured_at.as_ref().map(shapes::moment),
            progress: status.progress.as_ref().map(Progress::from),
            sources: status.sources.into_iter().map(CapturedSource::from).collect(),
            copies: status.copies.into_iter().map(StoredCopy::from).collect(),
            manifest: status.manifest.map(Manifest::from),
            retention: status.retention.map(Retained::from),
            failure: status.failure.as_ref().map(Failure::from),
            conditions: shapes::conditions(Some(&status.conditions)),
            created_at: shapes::created(&backup.metadata),
        }
    }
}

impl From<crd::CapturedSource> for CapturedSource {
    fn from(source: crd::CapturedSource) -> Self {
        Self {
            captured_at: source.captured_at.as_ref().map(shapes::moment),
            consistency: source.consistency.map(|c| c.to_string()),
            name: source.name,
            server_version: source.server_version,
            lsn: source.lsn,
            objects: source.objects,
            bytes: source.bytes,
            changed_count: source.changed_count,
            changed: source.changed,
            uncovered: source.uncovered,
        }
    }
}

impl From<crd::StoredCopy> for StoredCopy {
    fn from(copy: crd::StoredCopy) -> Self {
        Self {
            verified_at: copy.verified_at.as_ref().map(shapes::moment),
            state: copy.state.to_string(),
            store: copy.store,
            snapshot: copy.snapshot,
            bytes_added: copy.bytes_added,
            failure: copy.failure,
        }
    }
}

impl From<crd::RetentionRecord> for Retained {
    fn from(record: crd::RetentionRecord) -> Self {
        Self {
            fate: record.fate.to_string(),
            reasons: record.reasons,
            dropped_at: record.dropped_at.as_ref().map(shapes::moment),
        }
    }
}

impl From<crd::ManifestRecord> for Manifest {
    fn from(record: crd::ManifestRecord) -> Self {
        Self {
            algorithm: record.algorithm.to_string(),
            root: record.root,
            counter: record.counter,
            head: record.head,
            key: record.key,
        }
    }
}
