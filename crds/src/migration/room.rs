//! MachineRoom: a department's own room, to be emptied and closed or kept for a stated time.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stage::MigrationStage;
use super::status::CountedSignature;
use crate::condition::{Condition, conditions_schema};
use crate::names::DisplayNames;
use crate::site::{ExternalSources, Location};
use crate::wire::wire_enum;

wire_enum! {
    /// Where a room stands.
    pub enum RoomPhase {
        /// Recorded.
        Registered = "Registered",
        /// What it hosts was recognised (认定).
        Assessed = "Assessed",
        /// It is kept for a stated time.
        Retained = "Retained",
        /// It is to be given up.
        ToWithdraw = "ToWithdraw",
        /// Its systems are leaving it.
        Migrating = "Migrating",
        /// Every system that it hosted runs on the cloud or is retired.
        Emptied = "Emptied",
        /// Its media are wiped (介质清除).
        Sanitised = "Sanitised",
        /// Its assets are reused, scrapped or handed over (利旧、报废、移交).
        AssetsDisposed = "AssetsDisposed",
        /// Its lines are cut.
        LinksCut = "LinksCut",
        /// It is closed.
        Closed = "Closed",
        /// The authority verified that it is closed (主管部门核验).
        Verified = "Verified",
    }
}

/// A room that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomKept {
    /// Last day.
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub until: String,
    /// Why.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
}

/// A room that is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomWithdrawn {
    /// Day by which it is to be closed.
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub by: String,
}

/// What becomes of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RoomDecision {
    /// It is kept for a stated time.
    Retain(RoomKept),
    /// It is given up.
    Withdraw(RoomWithdrawn),
}

/// A system that the room hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostedSystem {
    /// Department.
    #[schemars(length(min = 1, max = 58))]
    pub department: String,
    /// InformationSystem of that department.
    #[schemars(length(min = 1, max = 58))]
    pub system: String,
}

/// A document that says that a step of the closure was done.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(self.phase in ['Registered', 'Retained', 'ToWithdraw', 'Migrating', 'Emptied'])")
    .message("records are of what people do: Assessed, Sanitised, AssetsDisposed, LinksCut, Closed and Verified; the other phases follow from the systems"))]
pub struct ClosureRecord {
    /// Phase that it proves.
    pub phase: RoomPhase,
    /// What it is.
    #[schemars(length(min = 1, max = 256))]
    pub title: String,
    /// Digest of the document.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// Who answers for it, as the API server knows the person.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
}

/// A machine room (部门机房): what is to be emptied and closed.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "MachineRoom", plural = "machinerooms", singular = "machineroom",
    shortname = "room", shortname = "rooms", category = "zhengyun", status = "MachineRoomStatus", derive = "PartialEq",
    doc = "A machine room (部门机房) of a department: what it hosts, whether it is kept or given up, and how far its closure is.",
    selectable = ".spec.department", selectable = ".status.phase",
    printcolumn(name = "Department", type_ = "string", json_path = ".spec.department", description = "Department that owns it"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Where it stands"),
    printcolumn(name = "Left", type_ = "integer", json_path = ".status.left", description = "Systems that it still hosts"),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.total", description = "Systems in all"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.decision.withdraw.by", description = "Day by which it is to be closed"),
    printcolumn(name = "Forecast", type_ = "string", json_path = ".status.forecast", description = "Day on which the last system is expected to have left it"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 40 characters"),
    validation = Rule::new("self.spec.department == oldSelf.spec.department").message("spec.department cannot change: register the room of the other department"),
    validation = Rule::new("oldSelf.spec.records.all(r, r in self.spec.records)").message("a record of the closure cannot be changed or taken away"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase != 'Verified' || (has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)")
        .message("a room whose closure was verified stays closed: register another one")
)]
#[serde(rename_all = "camelCase")]
pub struct MachineRoomSpec {
    /// Names for people.
    pub display_names: DisplayNames,
    /// Department that owns it.
    #[schemars(length(min = 1, max = 58))]
    pub department: String,
    /// Where it is.
    pub location: Location,
    /// Address ranges that it uses.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 4, max = 43), regex(pattern = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")))]
    pub networks: Vec<String>,
    /// What becomes of it; absent before that is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<RoomDecision>,
    /// Systems that it hosts.
    #[serde(default)]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department", "system"]))]
    pub systems: Vec<HostedSystem>,
    /// Databases and file roots that migrations may name. Addresses and folders stand only here.
    #[serde(default)]
    pub sources: ExternalSources,
    /// What proves the steps of its closure. Entries are added, never changed.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub records: Vec<ClosureRecord>,
}

wire_enum! {
    /// What came of a system that a room hosts.
    pub enum SystemOutcome {
        /// It is still there, and nothing brings it away.
        Hosted = "Hosted",
        /// A migration is at work on it.
        Migrating = "Migrating",
        /// It runs on the cloud and is signed for.
        Accepted = "Accepted",
        /// It is closed for good.
        Retired = "Retired",
    }
}

/// What was signed of a migration out of the room. It stays when the migration is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedMigration {
    /// Migration.
    #[schemars(length(max = 40))]
    pub migration: String,
    /// Its UID: another one may have the same name.
    #[schemars(length(max = 63))]
    pub uid: String,
    /// What counted for its acceptance and for the erasure of what its source held.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub signatures: Vec<CountedSignature>,
}

/// How a system of the room stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomSystemStatus {
    /// Department.
    #[schemars(length(max = 58))]
    pub department: String,
    /// System.
    #[schemars(length(max = 58))]
    pub system: String,
    /// What came of it.
    pub outcome: SystemOutcome,
    /// Migration that brings it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub migration: Option<String>,
    /// Where that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<MigrationStage>,
    /// Digest of what was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub evidence: Option<String>,
    /// What was signed of its migrations, those that were deleted among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub signed: Vec<SignedMigration>,
}

/// What the operator says about a room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineRoomStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RoomPhase>,
    /// Systems in all.
    #[serde(default)]
    pub total: i64,
    /// Systems that it still hosts.
    #[serde(default)]
    pub left: i64,
    /// By system.
    #[serde(default)]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["department", "system"]))]
    pub systems: Vec<RoomSystemStatus>,
    /// Day on which the last system is expected to have left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub forecast: Option<String>,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
