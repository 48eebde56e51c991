//! Ledger: the commit point of every charge at a site.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amounts::{Amounts, amounts_schema};
use crate::condition::{Condition, conditions_schema};

/// What one object holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    /// Reserved by a request under review, or by a recovery plan for a run under way.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    #[schemars(schema_with = "amounts_schema")]
    pub reserved: Amounts,
    /// Held by a grant, or by the backups of a recovery plan.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    #[schemars(schema_with = "amounts_schema")]
    pub granted: Amounts,
}

/// What an object holds, with the ledger sequence of the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectCharge {
    /// Site whose ledger decided.
    #[schemars(length(max = 40))]
    pub site: String,
    /// Ledger sequence of the decision; never falls.
    pub sequence: i64,
    /// Reserved.
    #[serde(default)]
    #[schemars(schema_with = "amounts_schema")]
    pub reserved: Amounts,
    /// Held.
    #[serde(default)]
    #[schemars(schema_with = "amounts_schema")]
    pub granted: Amounts,
}

/// A charged object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargedObject {
    /// `ResourceRequest`, `ResourceGrant` or `RecoveryPlan`.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// UID.
    #[schemars(length(max = 63))]
    pub uid: String,
}

/// A decision that is not yet visible on its own object: the new absolute charge, so that replaying it changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// Sequence of the commit.
    pub sequence: i64,
    /// Whose charge it is.
    pub object: ChargedObject,
    /// Department that is charged.
    #[schemars(length(max = 58))]
    pub department: String,
    /// New absolute charge.
    pub charge: Charge,
}

/// A charged object that vanished: still counted, blocks its department only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedCharge {
    /// What vanished.
    pub object: ChargedObject,
    /// Department that is charged.
    #[schemars(length(max = 58))]
    pub department: String,
    /// What it held.
    pub charge: Charge,
}

/// Why a ledger takes no new charges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Stable code.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// Which object, and by how much.
    #[schemars(length(max = 2048))]
    pub message: String,
    /// Digest of the audit that an administrator accepts with `audit-ledger --accept`.
    #[schemars(length(max = 71))]
    pub digest: String,
}

/// An administrator's decision to accept the books as audited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acceptance {
    /// Digest of the audit.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// Why.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Username of the administrator.
    #[schemars(length(max = 256))]
    pub by: String,
}

/// The commit point of every charge at a site (配额账本). Written by the operator alone, but for `spec.acceptance`.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "Ledger", plural = "ledgers", singular = "ledger",
    shortname = "ledger", category = "zhengyun", status = "LedgerStatus", derive = "PartialEq",
    doc = "The commit point of every charge at a site (配额账本). Named like the site.",
    selectable = ".status.holder",
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch", description = "Counts operators that took over"),
    printcolumn(name = "Sequence", type_ = "integer", json_path = ".status.sequence", description = "Counts commits"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it takes new charges"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Total", type_ = "string", json_path = ".status.summary", description = "Charged in all"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 40").message("metadata.name must be the name of a site"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.epoch) || (has(self.status) && self.status.epoch >= oldSelf.status.epoch && self.status.sequence >= oldSelf.status.sequence)")
        .message("status.epoch and status.sequence never fall")
)]
#[serde(rename_all = "camelCase")]
pub struct LedgerSpec {
    /// Site, the same as the name.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// An administrator's decision that ends `Held`, written by `zhengyun-operator audit-ledger --accept`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceptance: Option<Acceptance>,
}

/// The books.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Raised by every operator that takes over, before it decides anything.
    pub epoch: i64,
    /// Counts commits.
    pub sequence: i64,
    /// Operator that holds the epoch.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub holder: String,
    /// Reserved and granted in all.
    pub totals: Charge,
    /// Decisions that are not yet visible on their own objects.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub journal: Vec<JournalEntry>,
    /// Charges of objects that vanished.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub quarantine: Vec<QuarantinedCharge>,
    /// Set while no new charge is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Charged in all, in one line.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub summary: String,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
