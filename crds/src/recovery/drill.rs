//! RecoveryDrill: a restore into scratch, compared and timed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Progress, RunFailure, SignatureAlgorithm};
use crate::condition::{Condition, conditions_schema};
use crate::duration::DurationText;
use crate::grant::ZeroProof;
use crate::wire::wire_enum;

wire_enum! {
    /// Why a drill was held.
    pub enum DrillTrigger {
        /// It was due.
        Scheduled = "Scheduled",
        /// A person asked for it.
        Manual = "Manual",
    }
}

wire_enum! {
    /// Where a drill stands.
    pub enum DrillPhase {
        /// Recorded; nothing charged, nothing made.
        Pending = "Pending",
        /// Room for the scratch is being reserved.
        Reserving = "Reserving",
        /// The scratch is being made at the drill site; the clock of the recovery time runs.
        Preparing = "Preparing",
        /// The copy is being restored into the scratch.
        Restoring = "Restoring",
        /// What stands in the scratch is compared with the manifest.
        Comparing = "Comparing",
        /// It passed, and the scratch is being removed.
        Removing = "Removing",
        /// It did not pass, and the scratch is being removed.
        Abandoning = "Abandoning",
        /// Somebody asked to end it, and the scratch is being removed.
        Cancelling = "Cancelling",
        /// It passed: restored, compared equal, timed, and nothing is left of the scratch.
        Passed = "Passed",
        /// It did not pass; nothing is left of the scratch.
        Failed = "Failed",
        /// There was no room for it; nothing was made.
        Skipped = "Skipped",
        /// It was cancelled; nothing is left of the scratch.
        Cancelled = "Cancelled",
    }
}

wire_enum! {
    /// What a source of a backup is.
    pub enum DrillPartKind {
        /// The namespace of a grant.
        Namespace = "Namespace",
        /// A file tree.
        Files = "Files",
        /// A PostgreSQL database.
        Database = "Database",
    }
}

impl DrillPhase {
    /// Whether nothing changes any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Passed | Self::Failed | Self::Skipped | Self::Cancelled)
    }

    /// Whether the scratch is being removed.
    pub const fn removes(self) -> bool {
        matches!(self, Self::Removing | Self::Abandoning | Self::Cancelling)
    }
}

/// A drill (灾备演练): restores one copy into scratch, compares it object by object, takes the time, and removes it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "RecoveryDrill", plural = "recoverydrills", singular = "recoverydrill",
    shortname = "drill", category = "zhengyun", namespaced, status = "RecoveryDrillStatus", derive = "PartialEq",
    doc = "A drill (灾备演练): restores one copy into scratch, compares it object by object, takes the time, and removes it.",
    selectable = ".spec.plan", selectable = ".spec.store", selectable = ".spec.site", selectable = ".status.phase",
    printcolumn(name = "Plan", type_ = "string", json_path = ".spec.plan", description = "Recovery plan"),
    printcolumn(name = "Store", type_ = "string", json_path = ".spec.store", description = "Store whose copy is tried"),
    printcolumn(name = "Site", type_ = "string", json_path = ".spec.site", description = "Where it is restored"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Where it stands"),
    printcolumn(name = "RTO", type_ = "string", json_path = ".status.measuredRto", description = "Recovery time that was measured"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 63 characters"),
    validation = Rule::new("self.spec.plan == oldSelf.spec.plan && self.spec.planUID == oldSelf.spec.planUID && has(self.spec.backup) == has(oldSelf.spec.backup) && (!has(self.spec.backup) || self.spec.backup == oldSelf.spec.backup) && self.spec.store == oldSelf.spec.store && self.spec.site == oldSelf.spec.site && self.spec.trigger == oldSelf.spec.trigger && has(self.spec.due) == has(oldSelf.spec.due) && (!has(self.spec.due) || self.spec.due == oldSelf.spec.due) && self.spec.requestedBy == oldSelf.spec.requestedBy")
        .message("a drill cannot be changed once it was asked for, only cancelled: set spec.cancel, and ask for another one"),
    validation = Rule::new("self.spec.cancel || !oldSelf.spec.cancel").message("spec.cancel cannot be taken back: ask for another drill"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in ['Passed', 'Failed', 'Skipped', 'Cancelled']) || (has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)")
        .message("a drill that ended stays as it ended: it is a record")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.trigger == 'Scheduled') == has(self.due)").message("due is the due time of a scheduled drill, and of no other"))]
pub struct RecoveryDrillSpec {
    /// Recovery plan of the same department.
    #[schemars(length(min = 1, max = 40))]
    pub plan: String,
    /// UID of that plan.
    #[serde(rename = "planUID")]
    #[schemars(length(min = 1, max = 63))]
    pub plan_uid: String,
    /// Backup to try; the newest verified one in the store when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub backup: Option<String>,
    /// Store whose copy is tried.
    #[schemars(length(min = 1, max = 40))]
    pub store: String,
    /// Site at which it is restored.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// Why it is held.
    pub trigger: DrillTrigger,
    /// Due time (Scheduled).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// Who asked for it.
    #[schemars(length(min = 1, max = 256))]
    pub requested_by: String,
    /// Set to end it early. A drill that ended stays as it ended.
    #[serde(default)]
    pub cancel: bool,
}

/// Where a namespace is restored, for the time of the drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scratch {
    /// Grant that pays for it.
    #[schemars(length(max = 63))]
    pub grant: String,
    /// Namespace at the site.
    #[schemars(length(max = 63))]
    pub namespace: String,
}

/// A source of the backup, in the order in which they are restored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillPart {
    /// Source, as the backup names it.
    #[schemars(length(max = 30))]
    pub source: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<DrillPartKind>,
    /// Where a namespace is restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<Scratch>,
    /// Database into which it is restored, on the server that the site names for drills (`spec.drillServer`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub database: Option<String>,
    /// Counts workers that took it up.
    #[serde(default)]
    pub attempt: i32,
    /// When it was restored and compared equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<Time>,
    /// How long that took: since the part before it was equal, or since `startedAt` of the drill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationText>,
}

/// How much was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Objects and files that were compared.
    #[serde(default)]
    pub objects_compared: i64,
    /// Objects and files in the manifest, without what Zhengyun delivers itself.
    #[serde(default)]
    pub objects_total: i64,
    /// Objects in the manifest that Zhengyun delivered: in an emergency they come with a grant and are not restored. They were read and found intact.
    #[serde(default)]
    pub objects_delivered: i64,
    /// Bytes that were compared.
    #[serde(default)]
    pub bytes_compared: i64,
    /// Bytes in the manifest, without what Zhengyun delivers itself.
    #[serde(default)]
    pub bytes_total: i64,
}

/// One thing that is not as the manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Source, as the backup names it.
    #[schemars(length(max = 30))]
    pub source: String,
    /// Object or file.
    #[schemars(length(max = 512))]
    pub path: String,
    /// How it differs.
    #[schemars(length(max = 512))]
    pub message: String,
}

/// The signed record of a drill: what was found, as text, so that it can be kept and checked without this cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillRecord {
    /// What is signed, to the byte: JSON with drill, plan, backup, manifest root, site, times, coverage, differences and result.
    #[schemars(length(max = 8192))]
    pub statement: String,
    /// Digest of the statement.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// How it is signed.
    pub algorithm: SignatureAlgorithm,
    /// Public key that signed it: `ed25519` and the key in base64, as every repository names it.
    #[schemars(length(max = 71))]
    pub key: String,
    /// Signature of the statement in base64.
    #[schemars(length(max = 128))]
    pub signature: String,
}

/// What the operator says about a drill.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryDrillStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DrillPhase>,
    /// Counts workers that took it up.
    #[serde(default)]
    pub attempt: i32,
    /// Backup that is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub backup: Option<String>,
    /// Root of that backup's manifest: another one under its name is not tried instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub manifest_root: Option<String>,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub parts: Vec<DrillPart>,
    /// Folder into which its file trees are restored, below the one that the operator was started with for the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub folder: Option<String>,
    /// When the clock of the recovery time began: room was reserved, nothing made at the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When everything was restored and compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Recovery time, from `startedAt` to `restoredAt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_rto: Option<DurationText>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// How much was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// How many things are not as the manifest says.
    #[serde(default)]
    pub difference_count: i64,
    /// The first of them.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub differences: Vec<Difference>,
    /// Why it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
    /// How it was proven that nothing is left of the scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_proof: Option<ZeroProof>,
    /// The signed record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<DrillRecord>,
    /// How far it is, or how it ended, in one line.
    #[serde(default)]
    #[schemars(length(max = 300))]
    pub summary: String,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
