//! RecoveryPlan: what of an information system is protected, and what was measured of it.

mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::amounts::AmountText;
use crate::duration::DurationText;
use crate::wire::wire_enum;

pub use status::{Basis, CopyStatus, ElementStatus, RecoveryPlanStatus, UnmetClause};

wire_enum! {
    /// The edition of the standard whose levels are meant.
    pub enum Edition {
        /// In force since 2026-01-01.
        Gbt2025 = "GB/T 20988-2025",
        /// Replaced, but named in contracts and filings.
        Gbt2007 = "GB/T 20988-2007",
    }
}

wire_enum! {
    /// The seven elements of disaster recovery (GB/T 20988, 灾难恢复资源要素), in the standard's order.
    pub enum Element {
        /// 数据备份系统
        DataBackup = "DataBackup",
        /// 备用数据处理系统
        StandbyProcessing = "StandbyProcessing",
        /// 备用网络系统
        StandbyNetwork = "StandbyNetwork",
        /// 备用基础设施
        Infrastructure = "Infrastructure",
        /// 专业技术支持能力
        TechnicalSupport = "TechnicalSupport",
        /// 运行维护管理能力
        Operations = "Operations",
        /// 灾难恢复预案
        Plan = "Plan",
    }
}

/// Everything that a grant delivered: its namespace at its site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantSource {
    /// Grant of the same department.
    #[schemars(length(min = 1, max = 63))]
    pub grant: String,
}

/// A database or volume that a grant delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantItemSource {
    /// Grant of the same department.
    #[schemars(length(min = 1, max = 63))]
    pub grant: String,
    /// Name of the order line that delivered it.
    #[schemars(length(min = 1, max = 30))]
    pub item: String,
}

/// A database outside the cloud that the administrator declared on a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSource {
    /// Site that declares it.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// Name under which it is declared; an address is not accepted here.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub endpoint: String,
    /// Database.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_$-]*$"))]
    pub database: String,
}

/// A folder below a file root that the administrator declared on a site.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSource {
    /// Site that declares the root.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// Name under which the root is declared; a path is not accepted here.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub root: String,
    /// Folder below the root; empty for all of it.
    #[serde(default)]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new(r"!self.startsWith('/') && !self.endsWith('/') && !self.contains('//') && !self.matches('(^|/)[.]{1,2}(/|$)')")
        .message("subpath must lie below the root: relative, without . or .. elements, doubled or closing slashes"))]
    pub subpath: String,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SourceOrigin {
    /// Everything that a grant delivered.
    Namespace(GrantSource),
    /// A database or volume that a grant delivered.
    Item(GrantItemSource),
    /// A declared database outside the cloud.
    Database(DatabaseSource),
    /// A folder below a declared file root.
    Files(FileSource),
}

/// One thing that is protected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSource {
    /// Name within the plan, a DNS label.
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What it is.
    pub origin: SourceOrigin,
}

/// How many backups are kept. Of each day, week, month and year the newest verified one counts, by the schedule's time zone.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.last + self.daily + self.weekly + self.monthly + self.yearly > 0").message("retention must keep something: set last, daily, weekly, monthly or yearly to at least 1"))]
pub struct Retention {
    /// How many of the newest.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub last: i32,
    /// Of how many days.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub daily: i32,
    /// Of how many weeks (ISO 8601, from Monday).
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub weekly: i32,
    /// Of how many months.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub monthly: i32,
    /// Of how many years.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub yearly: i32,
    /// Verified backups that are kept in any case, the newest ones.
    #[serde(default = "Retention::one")]
    #[schemars(range(min = 1, max = 100))]
    pub minimum: i32,
    /// SystemBackup objects without data that are kept for the record: dropped, failed and cancelled ones, the newest.
    #[serde(default = "Retention::records")]
    #[schemars(range(min = 0, max = 1000))]
    pub history: i32,
}

impl Retention {
    fn one() -> i32 {
        1
    }
    fn records() -> i32 {
        30
    }
}

/// A backup that must not be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Name of the SystemBackup.
    #[schemars(length(min = 1, max = 63))]
    pub backup: String,
    /// Why: case number, audit, order.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
    /// Last day of the hold; until it is taken away when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub until: Option<String>,
}

/// One copy of every backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanCopy {
    /// Store that holds it.
    #[schemars(length(min = 1, max = 40))]
    pub store: String,
}

/// How far the copies must be from what they protect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// Copies that must share no failure domain with the sources nor with one another.
    #[serde(default = "Topology::one")]
    #[schemars(range(min = 0, max = 4))]
    pub independent_copies: i32,
    /// Kilometres that at least one of them must be away from every source; 0 for no demand.
    #[serde(default)]
    #[schemars(range(min = 0, max = 5000))]
    pub minimum_kilometres: i32,
}

impl Topology {
    fn one() -> i32 {
        1
    }
}

/// What may be lost, and for how long the service may be away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Objectives {
    /// Recovery point objective: data of at most this long may be lost.
    pub rpo: DurationText,
    /// Recovery time objective: the system is back within this long.
    pub rto: DurationText,
}

/// A document that proves an attestation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attested {
    /// Its title.
    #[schemars(length(min = 1, max = 128))]
    pub title: String,
    /// SHA-256 of the document, 64 hexadecimal digits.
    #[schemars(length(min = 64, max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// Where it is kept.
    #[schemars(length(min = 1, max = 512))]
    pub reference: String,
}

/// A person's word, with a document, that an element meets a level where nothing can measure it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Element that it is about.
    pub element: Element,
    /// Level whose clauses it covers, with those below it.
    #[schemars(range(min = 1, max = 6))]
    pub level: i32,
    /// Who attests: person and office.
    #[schemars(length(min = 1, max = 128))]
    pub by: String,
    /// Last day on which it counts.
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub until: String,
    /// The document.
    pub document: Attested,
}

/// How restores are proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillPolicy {
    /// When drills are due.
    pub schedule: Schedule,
    /// Site at which copies are restored into scratch.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// How long a passed drill counts as evidence.
    #[serde(default = "DrillPolicy::quarter")]
    pub valid_for: DurationText,
}

impl DrillPolicy {
    fn quarter() -> DurationText {
        DurationText::from("92d")
    }
}

/// The department's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// Secret in `zhengyun-system` that wraps the keys of this plan's repositories.
    #[schemars(length(min = 1, max = 63))]
    pub secret_name: String,
}

/// A person's word that the password key of a repository lies in a safe place outside this cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Escrow {
    /// Store of the repository.
    #[schemars(length(min = 1, max = 40))]
    pub store: String,
    /// Fingerprint of the key, as shown with it.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub fingerprint: String,
    /// Who keeps it: person and office.
    #[schemars(length(min = 1, max = 128))]
    pub keeper: String,
}

/// A recovery plan (灾备方案) of a department: what of an information system is protected, where, for how long.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "RecoveryPlan", plural = "recoveryplans", singular = "recoveryplan",
    shortname = "rplan", category = "zhengyun", namespaced, status = "RecoveryPlanStatus", derive = "PartialEq",
    doc = "A recovery plan (灾备方案): what of an information system is protected, where, for how long, and what was measured of it.",
    selectable = ".spec.system", selectable = ".spec.edition",
    printcolumn(name = "System", type_ = "string", json_path = ".spec.system", description = "Information system"),
    printcolumn(name = "Level", type_ = "integer", json_path = ".spec.level", description = "Recovery level asked for (GB/T 20988)"),
    printcolumn(name = "Achieved", type_ = "integer", json_path = ".status.achievedLevel", description = "Recovery level that the evidence supports"),
    printcolumn(name = "RPO", type_ = "string", json_path = ".spec.objectives.rpo", description = "Recovery point objective"),
    printcolumn(name = "Worst", type_ = "string", json_path = ".status.worstRpo", description = "Data that a disaster could have cost at worst, measured, by the worst copy"),
    printcolumn(name = "RTO", type_ = "string", json_path = ".spec.objectives.rto", description = "Recovery time objective"),
    printcolumn(name = "Measured", type_ = "string", json_path = ".status.lastMeasuredRto", description = "Recovery time of the last passed drills, by the worst copy"),
    printcolumn(name = "Met", type_ = "string", json_path = ".status.conditions[?(@.type==\"ObjectiveMet\")].status", description = "Whether measurements meet the objectives"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 40 characters: the names of its runs begin with it"),
    validation = Rule::new("self.spec.system == oldSelf.spec.system")
        .message("spec.system cannot change, its backups are of that system: write another plan"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.charges) || (has(self.status) && has(self.status.charges) && oldSelf.status.charges.all(o, self.status.charges.exists(n, n.site == o.site && n.sequence >= o.sequence)))")
        .message("status.charges[].sequence never falls, and no site leaves the list")
)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryPlanSpec {
    /// Information system that is protected.
    #[schemars(length(min = 1, max = 58))]
    pub system: String,
    /// What is protected.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sources: Vec<PlanSource>,
    /// When a backup is due.
    pub schedule: Schedule,
    /// How many backups are kept.
    pub retention: Retention,
    /// Backups that must not be deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["backup"]))]
    pub holds: Vec<Hold>,
    /// Stores; the first is written first, the others are copied from it.
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["store"]))]
    pub copies: Vec<PlanCopy>,
    /// How far the copies must be from what they protect.
    #[serde(default = "RecoveryPlanSpec::one_elsewhere")]
    pub topology: Topology,
    /// Bytes that the backups may take up in each store (`storage.backup`). Reserved while a run is under way; a run that would pass it stops.
    pub ceiling: AmountText,
    /// What may be lost, and for how long.
    pub objectives: Objectives,
    /// Recovery level asked for.
    #[schemars(range(min = 1, max = 6))]
    pub level: i32,
    /// Edition of the standard that defines the level.
    #[serde(default = "RecoveryPlanSpec::current_edition")]
    pub edition: Edition,
    /// What people attest where nothing can measure it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["element"]))]
    pub attestations: Vec<Attestation>,
    /// How restores are proven. Without drills no recovery time is measured, and no objective is met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillPolicy>,
    /// The department's key.
    pub encryption: Encryption,
    /// Password keys that people put into a safe place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["store"]))]
    pub escrow: Vec<Escrow>,
    /// Starts no further run while set. What runs goes on; what is measured goes on ageing.
    #[serde(default)]
    pub paused: bool,
}

impl RecoveryPlanSpec {
    fn current_edition() -> Edition {
        Edition::Gbt2025
    }
    fn one_elsewhere() -> Topology {
        Topology { independent_copies: 1, minimum_kilometres: 0 }
    }
}
