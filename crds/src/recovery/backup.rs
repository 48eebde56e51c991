//! SystemBackup: one run of a recovery plan.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Progress, RunFailure, SignatureAlgorithm, SourceOrigin};
use crate::condition::{Condition, conditions_schema};
use crate::wire::wire_enum;

wire_enum! {
    /// Why a backup was made.
    pub enum BackupTrigger {
        /// It was due.
        Scheduled = "Scheduled",
        /// A person asked for it.
        Manual = "Manual",
        /// A grant is being revoked and its data is kept.
        Revocation = "Revocation",
    }
}

wire_enum! {
    /// Where a backup stands.
    pub enum BackupPhase {
        /// Recorded; nothing reserved, nothing read.
        Pending = "Pending",
        /// Its bytes are being reserved up to the plan's ceiling.
        Reserving = "Reserving",
        /// What must stand still is being brought to rest (hooks before the capture).
        Quiescing = "Quiescing",
        /// Sources are being read and written to the first store.
        Capturing = "Capturing",
        /// What stood still is being let go (hooks after the capture).
        Resuming = "Resuming",
        /// Batches are merged into one snapshot, read back, and the manifest is signed.
        Sealing = "Sealing",
        /// The snapshot is copied to the other stores.
        Replicating = "Replicating",
        /// Every copy is read back and compared with the manifest.
        Verifying = "Verifying",
        /// It stands, complete and verified in every store.
        Completed = "Completed",
        /// It stands and is readable, but does not cover all it should; no objective is met by it.
        Incomplete = "Incomplete",
        /// It is being cleared away after a failure.
        Failing = "Failing",
        /// It failed; nothing of it is left.
        Failed = "Failed",
        /// It is being cleared away because somebody asked for it.
        Cancelling = "Cancelling",
        /// It was cancelled; nothing of it is left.
        Cancelled = "Cancelled",
    }
}

impl BackupPhase {
    /// Whether nothing changes any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Incomplete | Self::Failed | Self::Cancelled)
    }
}

wire_enum! {
    /// What may be said about the moment that a captured source shows.
    pub enum Consistency {
        /// All of it at one moment.
        PointInTime = "PointInTime",
        /// Each kind of object at one moment, changes in between followed to a barrier.
        PerKind = "PerKind",
        /// Each file at some moment of the capture.
        PerFile = "PerFile",
    }
}

wire_enum! {
    /// What is known of a copy.
    pub enum CopyState {
        /// Not there yet.
        Missing = "Missing",
        /// Written, not read back.
        Stored = "Stored",
        /// Read back and equal to the manifest.
        Verified = "Verified",
        /// Read back and different from the manifest.
        Damaged = "Damaged",
        /// Deleted by retention.
        Forgotten = "Forgotten",
    }
}

/// A backup (系统备份): one run of a recovery plan. What was asked for does not change; `spec.cancel` ends it early.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "SystemBackup", plural = "systembackups", singular = "systembackup",
    shortname = "sbk", category = "zhengyun", namespaced, status = "SystemBackupStatus", derive = "PartialEq",
    doc = "A backup (系统备份): one run of a recovery plan. What was asked for does not change; spec.cancel ends it early.",
    selectable = ".spec.plan", selectable = ".status.phase", selectable = ".spec.trigger",
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.plan", description = "Recovery plan"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Where it stands"),
    printcolumn(name = "Captured", type_ = "date", json_path = ".status.capturedAt", description = "Moment whose data it holds: the oldest of its sources"),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.summary", description = "Objects and bytes, and how far it is"),
    printcolumn(name = "Verified", type_ = "string", json_path = ".status.conditions[?(@.type==\"Verified\")].status", description = "Whether every copy was read back and compared"),
    printcolumn(name = "Data", type_ = "string", json_path = ".status.retention.fate", description = "What becomes of its data: Keep, Drop, Dropped"),
    printcolumn(name = "Why", type_ = "string", json_path = ".status.retention.reasons[0]", description = "Why it is kept or dropped", priority = 1),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 63 characters"),
    validation = Rule::new("self.spec.plan == oldSelf.spec.plan && self.spec.planUID == oldSelf.spec.planUID && self.spec.trigger == oldSelf.spec.trigger && has(self.spec.due) == has(oldSelf.spec.due) && (!has(self.spec.due) || self.spec.due == oldSelf.spec.due) && has(self.spec.grant) == has(oldSelf.spec.grant) && (!has(self.spec.grant) || self.spec.grant == oldSelf.spec.grant) && self.spec.requestedBy == oldSelf.spec.requestedBy")
        .message("a backup cannot be changed once it was asked for, only cancelled: set spec.cancel, and ask for another one"),
    validation = Rule::new("self.spec.cancel || !oldSelf.spec.cancel").message("spec.cancel cannot be taken back: ask for another backup"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in ['Completed', 'Incomplete', 'Failed', 'Cancelled']) || (has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)")
        .message("a backup that ended stays as it ended: it is a record")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.trigger == 'Scheduled') == has(self.due)").message("due is the due time of a scheduled backup, and of no other"))]
#[x_kube(validation = Rule::new("(self.trigger == 'Revocation') == has(self.grant)").message("grant names the grant that is revoked, and only where trigger is Revocation"))]
pub struct SystemBackupSpec {
    /// Recovery plan of the same department.
    #[schemars(length(min = 1, max = 40))]
    pub plan: String,
    /// UID of that plan: a plan made again under the same name is another one.
    #[serde(rename = "planUID")]
    #[schemars(length(min = 1, max = 63))]
    pub plan_uid: String,
    /// Why it is made.
    pub trigger: BackupTrigger,
    /// Due time (Scheduled).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// Grant whose data is kept (Revocation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub grant: Option<String>,
    /// Who asked for it.
    #[schemars(length(min = 1, max = 256))]
    pub requested_by: String,
    /// Set to end it early. A backup that ended stays as it ended.
    #[serde(default)]
    pub cancel: bool,
}

/// What was captured of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapturedSource {
    /// Source, as the plan names it.
    #[schemars(length(max = 30))]
    pub name: String,
    /// What is read, as the plan said when the run began. It is brought back there unless a restore says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<SourceOrigin>,
    /// Moment whose data it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<Time>,
    /// What may be said about that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// Version of the server that was read: Kubernetes or PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub server_version: Option<String>,
    /// Place in the write-ahead log of a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub lsn: Option<String>,
    /// Objects or files.
    #[serde(default)]
    pub objects: i64,
    /// Bytes that were read.
    #[serde(default)]
    pub bytes: i64,
    /// How many objects changed while they were read.
    #[serde(default)]
    pub changed_count: i64,
    /// The first of them.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub changed: Vec<String>,
    /// What of it should be covered and is not, such as volumes.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub uncovered: Vec<String>,
}

/// A copy of the backup in one store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredCopy {
    /// Store.
    #[schemars(length(max = 40))]
    pub store: String,
    /// What is known of it.
    pub state: CopyState,
    /// Snapshot in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub snapshot: Option<String>,
    /// Bytes that it added to the store.
    #[serde(default)]
    pub bytes_added: i64,
    /// When it was last read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
    /// Why there is none, or why it is no good: this copy is not tried any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub failure: Option<String>,
}

wire_enum! {
    /// What becomes of a backup's data.
    pub enum RetentionFate {
        /// It is kept.
        Keep = "Keep",
        /// It is dropped as soon as the repository is free.
        Drop = "Drop",
        /// It is gone; the record stays for a while.
        Dropped = "Dropped",
    }
}

/// What becomes of a backup's data, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionRecord {
    /// What becomes of it.
    pub fate: RetentionFate,
    /// Every reason to keep it, or the one to drop it.
    #[schemars(length(max = 16))]
    pub reasons: Vec<String>,
    /// When it was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_at: Option<Time>,
}

/// The signed list of everything in the backup, by its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestRecord {
    /// Root of the Merkle tree over source, path, digest and size.
    #[schemars(length(max = 71))]
    pub root: String,
    /// Place in the chain of its repository.
    pub counter: i64,
    /// SHA-256 of the link at that place: an older copy of the repository does not have it.
    #[schemars(length(max = 71))]
    pub head: String,
    /// How it is signed.
    pub algorithm: SignatureAlgorithm,
    /// Fingerprint of the key that signed it.
    #[schemars(length(max = 71))]
    pub key: String,
}

/// What the operator says about a backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemBackupStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// Counts workers that took it up.
    #[serde(default)]
    pub attempt: i32,
    /// When the first worker began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Moment whose data it holds: the oldest of its sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<Time>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What was captured.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sources: Vec<CapturedSource>,
    /// Copies by store.
    #[serde(default)]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["store"]))]
    pub copies: Vec<StoredCopy>,
    /// The signed list of everything in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestRecord>,
    /// What becomes of its data, and why; absent until it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionRecord>,
    /// Why it ended other than as intended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
    /// Objects and bytes, in one line.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub summary: String,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
