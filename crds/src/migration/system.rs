//! SystemMigration: one information system on its way onto the cloud, or out of use.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sign::{Signature, Signers};
use super::stage::Strategy;
use super::status::SystemMigrationStatus;
use crate::duration::DurationText;
use crate::recovery::FileSource;
use crate::wire::wire_enum;

wire_enum! {
    /// What becomes of what was copied by a migration that is given up.
    pub enum CopiedData {
        /// It stays where it is.
        Keep = "Keep",
        /// It is deleted. Nothing is deleted of what applications work on.
        Delete = "Delete",
    }
}

impl CopiedData {
    const fn keep() -> Self {
        Self::Keep
    }
}

/// A database that the room declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomDatabase {
    /// Name under which the room declares it; an address is not accepted here.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub endpoint: String,
    /// Database.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_$-]*$"))]
    pub database: String,
    /// Roles that applications log in with, besides those that are found at the source: they lose it in the freeze.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub application_roles: Vec<String>,
    /// MiB of its log that the source may keep for the copy; at half of it the copy is given up and begins anew. The server's
    /// `max_slot_wal_keep_size` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 16_777_216))]
    pub wal_budget_mib: Option<i64>,
}

/// A database that is declared at a site and receives one: it must exist and be empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteDatabase {
    /// Site of the grant.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// Name under which the site declares it; an address is not accepted here.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub endpoint: String,
    /// Database.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_$-]*$"))]
    pub database: String,
    /// Role there that everything will belong to and that applications log in with; the roles and rights of the source are then left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub owner: Option<String>,
}

/// A folder below a file root that the room declares.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomFiles {
    /// Name under which the room declares the root; a path is not accepted here.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub root: String,
    /// Folder below the root; empty for all of it.
    #[serde(default)]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new(r"!self.startsWith('/') && !self.endsWith('/') && !self.contains('//') && !self.matches('(^|/)[.]{1,2}(/|$)')")
        .message("subpath must lie below the root: relative, without . or .. elements, doubled or closing slashes"))]
    pub subpath: String,
}

/// What a workload is in its room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MigrationSource {
    /// A PostgreSQL database.
    Database(RoomDatabase),
    /// A file tree.
    Files(RoomFiles),
}

/// Where a workload goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MigrationTarget {
    /// A database that is declared at a site.
    Database(SiteDatabase),
    /// A folder below a file root that is declared at a site.
    Files(FileSource),
}

/// One thing that moves: a database or a file tree.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.source.files) ? (!has(self.target) || has(self.target.files)) : (!has(self.target) || has(self.target.database))")
    .message("target must be of the same type as source: files go to files, a database goes to a database"))]
pub struct Workload {
    /// Name within the migration, a DNS label.
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What it is in its room.
    pub source: MigrationSource,
    /// Where it goes; absent for a system that is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<MigrationTarget>,
}

/// Something that the system needs and that is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Name for people, such as the interface of another system.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Person or office that answers for it; nothing is planned while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub owner: Option<String>,
}

/// A file of which the system itself would be the first to miss it: looked at in the target before applications get it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Workload, a file tree.
    #[schemars(length(min = 1, max = 30))]
    pub workload: String,
    /// Its path below the root of the workload.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new(r"!self.startsWith('/') && !self.endsWith('/') && !self.contains('//') && !self.matches('(^|/)[.]{1,2}(/|$)')")
        .message("path must lie below the workload: relative, without . or .. elements, doubled or closing slashes"))]
    pub path: String,
    /// What it must hold; absent if any content will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
}

/// What a cutover keeps to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cutover {
    /// Longest time for which neither side is open. A cutover that would take longer goes back by itself.
    pub downtime_budget: DurationText,
    /// People who may approve it. The change windows are the wave's.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub approvers: Vec<String>,
    /// How many of them must.
    #[serde(default = "Cutover::one")]
    #[schemars(range(min = 1, max = 8))]
    pub approvals: i32,
    /// How far the target may be behind.
    #[serde(default = "Cutover::minute")]
    pub max_lag: DurationText,
    /// For how long it must not have been further behind.
    #[serde(default = "Cutover::ten_minutes")]
    pub in_step_for: DurationText,
    /// How old the last verified backup of the system may be.
    #[serde(default = "Cutover::day")]
    pub backup_age: DurationText,
    /// How long nothing may be written to a source of which people declare that nothing writes.
    #[serde(default = "Cutover::minute")]
    pub quiet: DurationText,
    /// What must be in the target before applications get it. One that is not takes the cutover back.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub probes: Vec<Probe>,
    /// What is done to go back, and by whom: for the people who approve.
    #[schemars(length(min = 1, max = 2048))]
    pub rollback_plan: String,
}

impl Cutover {
    fn one() -> i32 {
        1
    }
    fn minute() -> DurationText {
        DurationText::from("1m")
    }
    fn ten_minutes() -> DurationText {
        DurationText::from("10m")
    }
    fn day() -> DurationText {
        DurationText::from("1d")
    }
}

/// How long the system runs on the cloud before it is signed for, and how long its source is kept after that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Length of the parallel run.
    #[serde(default = "Trial::month")]
    pub length: DurationText,
    /// How long what the source holds is kept once it is closed for good.
    #[serde(default = "Trial::quarter")]
    pub retention: DurationText,
}

impl Trial {
    fn month() -> DurationText {
        DurationText::from("30d")
    }
    fn quarter() -> DurationText {
        DurationText::from("90d")
    }
}

impl Default for Trial {
    fn default() -> Self {
        Self { length: Self::month(), retention: Self::quarter() }
    }
}

/// A migration (系统迁移): one information system, from its room onto the cloud.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "SystemMigration", plural = "systemmigrations", singular = "systemmigration",
    shortname = "migration", shortname = "migrations", category = "zhengyun", namespaced, status = "SystemMigrationStatus", derive = "PartialEq",
    doc = "A migration (系统迁移): one information system, from its room onto the cloud. The source is closed before the target is opened, and there is a way back until the source is closed for good.",
    selectable = ".spec.system", selectable = ".spec.room", selectable = ".status.wave", selectable = ".status.stage",
    printcolumn(name = "System", type_ = "string", json_path = ".spec.system", description = "Information system"),
    printcolumn(name = "Room", type_ = "string", json_path = ".spec.room", description = "Machine room that it leaves"),
    printcolumn(name = "Wave", type_ = "string", json_path = ".status.wave", description = "Wave that it belongs to"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage", description = "Where it stands"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step", description = "Step of the cutover or of the way back", priority = 1),
    printcolumn(name = "Percent", type_ = "integer", json_path = ".status.progress.percent", description = "How much is copied"),
    printcolumn(name = "Lag", type_ = "string", json_path = ".status.progress.lag", description = "How far the target is behind"),
    printcolumn(name = "Left", type_ = "string", json_path = ".status.timeLeft", description = "Estimate of what is left of the copy, and its band"),
    printcolumn(name = "Blocker", type_ = "string", json_path = ".status.blocker.reason", description = "What it waits for"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".status.blocker.owner", description = "Who can resolve that"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 40 characters"),
    validation = Rule::new("self.spec.system == oldSelf.spec.system && self.spec.room == oldSelf.spec.room && self.spec.strategy == oldSelf.spec.strategy")
        .message("spec.system, spec.room and spec.strategy cannot change: cancel this migration and ask for another one"),
    validation = Rule::new("self.spec.workloads == oldSelf.spec.workloads || !has(oldSelf.status) || !has(oldSelf.status.stage) || oldSelf.status.stage in ['Discovered', 'Assessed', 'Planned', 'Scheduled']")
        .message("spec.workloads cannot change once the migration has begun to land: cancel it and ask for another one"),
    validation = Rule::new("self.spec.round >= oldSelf.spec.round").message("spec.round never falls: raise it to try again"),
    validation = Rule::new("self.spec.cancel || !oldSelf.spec.cancel").message("spec.cancel cannot be taken back: ask for another migration"),
    validation = Rule::new("self.spec.closeSource || !oldSelf.spec.closeSource").message("spec.closeSource cannot be taken back: the source is closed for good"),
    validation = Rule::new("oldSelf.spec.signatures.all(s, s in self.spec.signatures)").message("a signature cannot be changed or taken away: it is a record"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.stage) || !(oldSelf.status.stage in ['Erased', 'Cancelled']) || (has(self.status) && has(self.status.stage) && self.status.stage == oldSelf.status.stage)")
        .message("a migration that ended stays as it ended: it is a record"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.epoch) || (has(self.status) && has(self.status.epoch) && self.status.epoch >= oldSelf.status.epoch)")
        .message("status.epoch never falls: it keeps processes of the past from writing")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.strategy == 'Retire' || (has(self.grant) && has(self.cutover))").message("a system that moves needs grant and cutover: name the grant that it lands on, its downtime budget and who approves"))]
#[x_kube(validation = Rule::new("self.strategy == 'Retire' ? self.workloads.all(w, !has(w.target)) : self.workloads.all(w, has(w.target))").message("every workload of a system that moves has a target, and none of a system that is retired"))]
#[x_kube(validation = Rule::new("!has(self.cutover) || self.cutover.probes.all(p, self.workloads.exists(w, w.name == p.workload && has(w.source.files)))").message("cutover.probes name workloads of this migration that are file trees"))]
#[x_kube(validation = Rule::new("!has(self.cutover) || self.cutover.approvals <= size(self.cutover.approvers)").message("cutover.approvals is more than there are approvers: name more of them"))]
pub struct SystemMigrationSpec {
    /// Information system of the same department.
    #[schemars(length(min = 1, max = 58))]
    pub system: String,
    /// Machine room that it leaves.
    #[schemars(length(min = 1, max = 40))]
    pub room: String,
    /// What becomes of it.
    pub strategy: Strategy,
    /// What moves.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub workloads: Vec<Workload>,
    /// Grant of the same department that it lands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub grant: Option<String>,
    /// Recovery plan of the same department whose backups prove that the source can be brought back, and whose drills rehearse it.
    #[schemars(length(min = 1, max = 40))]
    pub recovery_plan: String,
    /// What it needs that is not part of it.
    #[serde(default)]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub dependencies: Vec<Dependency>,
    /// What its cutover keeps to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutover: Option<Cutover>,
    /// How long it is tried, and how long its source is kept.
    #[serde(default)]
    pub trial: Trial,
    /// Who may sign for each party.
    pub signers: Signers,
    /// What was agreed to. Entries are added, never changed.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub signatures: Vec<Signature>,
    /// Raising it tries again what could not go on, or what was rolled back.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub round: i32,
    /// Begins nothing further while set. A cutover that has begun comes to its end or goes back.
    #[serde(default)]
    pub paused: bool,
    /// Closes the source for good once the migration is accepted. There is no way back from there.
    #[serde(default)]
    pub close_source: bool,
    /// Digest of the record that what the source held was erased, such as of its media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub erasure_record: Option<String>,
    /// Set to give it up. The way back is gone first; `copiedData` says what becomes of what was copied.
    #[serde(default)]
    pub cancel: bool,
    /// What becomes of what was copied once it is given up.
    #[serde(default = "CopiedData::keep")]
    pub copied_data: CopiedData,
}
