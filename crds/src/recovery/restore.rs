//! SystemRestore: bringing a backup back, planned first and then carried out exactly so.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::{DatabaseSource, FileSource};
use super::{Progress, RunFailure};
use crate::condition::{Condition, conditions_schema};
use crate::wire::wire_enum;

wire_enum! {
    /// What a restore does.
    pub enum RestoreMode {
        /// Works out what would be done, and writes nothing.
        Plan = "Plan",
        /// Carries out the plan with the given digest.
        Execute = "Execute",
    }
}

wire_enum! {
    /// What becomes of objects that are there already and differ.
    pub enum ExistingPolicy {
        /// They are a conflict, and nothing is restored.
        Fail = "Fail",
        /// They stay as they are.
        Skip = "Skip",
        /// They are replaced.
        Replace = "Replace",
    }
}

wire_enum! {
    /// Where a restore stands.
    pub enum RestorePhase {
        /// Recorded; nothing read, nothing written.
        Pending = "Pending",
        /// What would be done is being worked out.
        Planning = "Planning",
        /// The plan stands; nothing was written. The end of a restore in mode Plan.
        Planned = "Planned",
        /// Signature and every part that will be used are being checked, before the first write.
        Checking = "Checking",
        /// Objects and files are being written, layer by layer.
        Restoring = "Restoring",
        /// What stands at the target is being compared with the manifest.
        Comparing = "Comparing",
        /// Everything in the plan stands at the target.
        Completed = "Completed",
        /// It ran to its end, but not everything in the plan stands at the target.
        Incomplete = "Incomplete",
        /// It was refused; nothing was written.
        Refused = "Refused",
        /// It broke off; what was written until then is recorded.
        Failed = "Failed",
        /// It is being stopped because somebody asked for it.
        Cancelling = "Cancelling",
        /// It was cancelled; what was written until then is recorded.
        Cancelled = "Cancelled",
    }
}

impl RestorePhase {
    /// Whether nothing changes any more.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Planned | Self::Completed | Self::Incomplete | Self::Refused | Self::Failed | Self::Cancelled
        )
    }
}

/// Where a source goes if not where it came from: a grant for what came from one, a folder for a file tree, a declared database for one.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.grant), has(self.files), has(self.database)].exists_one(there, there)").message("a source goes to one place: a grant, files or a database"))]
pub struct RestoreRedirect {
    /// Source, as the backup names it.
    #[schemars(length(min = 1, max = 30))]
    pub source: String,
    /// Grant of the same department, at the same or another site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub grant: Option<String>,
    /// Folder below a file root of the same department; one that is not there is made, in a folder that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FileSource>,
    /// Database that an administrator declared for the same department, at the same or another site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseSource>,
}

/// A restore (系统恢复): brings a backup back. What was asked for does not change; `spec.cancel` ends it early.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "SystemRestore", plural = "systemrestores", singular = "systemrestore",
    shortname = "srs", category = "zhengyun", namespaced, status = "SystemRestoreStatus", derive = "PartialEq",
    doc = "A restore (系统恢复): brings a backup back, planned first and then carried out exactly so.",
    selectable = ".spec.backup", selectable = ".spec.mode", selectable = ".status.phase",
    printcolumn(name = "Backup", type_ = "string", json_path = ".spec.backup", description = "Backup that is brought back"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", description = "Plan or Execute"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Where it stands"),
    printcolumn(name = "Objects", type_ = "string", json_path = ".status.summary", description = "What would be or was done, and how far it is"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.planDigest", description = "Digest of the plan, for spec.planDigest of the execution", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 63 characters"),
    validation = Rule::new("self.spec.backup == oldSelf.spec.backup && has(self.spec.store) == has(oldSelf.spec.store) && (!has(self.spec.store) || self.spec.store == oldSelf.spec.store) && self.spec.mode == oldSelf.spec.mode && has(self.spec.planDigest) == has(oldSelf.spec.planDigest) && (!has(self.spec.planDigest) || self.spec.planDigest == oldSelf.spec.planDigest) && self.spec.existing == oldSelf.spec.existing && self.spec.sources == oldSelf.spec.sources && self.spec.redirects == oldSelf.spec.redirects && self.spec.requestedBy == oldSelf.spec.requestedBy")
        .message("a restore cannot be changed once it was asked for, only cancelled: set spec.cancel, and ask for another one"),
    validation = Rule::new("self.spec.cancel || !oldSelf.spec.cancel").message("spec.cancel cannot be taken back: ask for another restore"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in ['Planned', 'Completed', 'Incomplete', 'Refused', 'Failed', 'Cancelled']) || (has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)")
        .message("a restore that ended stays as it ended: it is a record")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.mode == 'Execute') == has(self.planDigest)").message("planDigest names the plan that is carried out: required in mode Execute, absent in mode Plan"))]
pub struct SystemRestoreSpec {
    /// Name of the SystemBackup of the same department.
    #[schemars(length(min = 1, max = 63))]
    pub backup: String,
    /// Store to read from; the first that holds a verified copy when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub store: Option<String>,
    /// What it does.
    pub mode: RestoreMode,
    /// `status.planDigest` of the plan that is carried out (Execute).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub plan_digest: Option<String>,
    /// What becomes of objects that are there already and differ.
    #[serde(default = "SystemRestoreSpec::fail")]
    pub existing: ExistingPolicy,
    /// Sources to bring back; all when empty.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub sources: Vec<String>,
    /// Sources that go elsewhere.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["source"]))]
    pub redirects: Vec<RestoreRedirect>,
    /// Who asked for it.
    #[schemars(length(min = 1, max = 256))]
    pub requested_by: String,
    /// Set to end it early. A restore that ended stays as it ended.
    #[serde(default)]
    pub cancel: bool,
}

impl SystemRestoreSpec {
    fn fail() -> ExistingPolicy {
        ExistingPolicy::Fail
    }
}

/// How many objects came to what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeCounts {
    /// Made anew.
    #[serde(default)]
    pub created: i64,
    /// Replaced.
    #[serde(default)]
    pub replaced: i64,
    /// There already, and equal.
    #[serde(default)]
    pub unchanged: i64,
    /// There already, different, left as they are.
    #[serde(default)]
    pub skipped: i64,
    /// Delivered by Zhengyun at the source: what was ordered for the target grant stands there instead.
    #[serde(default)]
    pub delivered: i64,
    /// There already, different, and in the way.
    #[serde(default)]
    pub conflicts: i64,
    /// Of kinds that the target does not serve.
    #[serde(default)]
    pub unserved: i64,
    /// Refused by the target, or failed.
    #[serde(default)]
    pub failed: i64,
}

/// What the operator says about a restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemRestoreStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// Counts workers that took it up.
    #[serde(default)]
    pub attempt: i32,
    /// Store that is read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub store: Option<String>,
    /// Digest of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub plan_digest: Option<String>,
    /// What the plan would come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<OutcomeCounts>,
    /// What came of it so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeCounts>,
    /// Objects that did not come to what the plan says, the first ones, each with its reason.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub failures: Vec<RunFailure>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// When the first worker began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Why it ended other than as intended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
    /// What would be or was done, in one line.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub summary: String,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
