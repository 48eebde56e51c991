//! Department: a node of the tenancy tree.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, conditions_schema};
use crate::names::DisplayNames;
use crate::wire::wire_enum;

wire_enum! {
    /// What a node of the tree is in law.
    pub enum UnitType {
        /// 行政区划: the region, a league or a banner itself.
        Division = "Division",
        /// 委办厅局: an organ of government.
        Organ = "Organ",
        /// 事业单位: a public institution.
        Institution = "Institution",
        /// 企业: an enterprise.
        Enterprise = "Enterprise",
    }
}

wire_enum! {
    /// Administrative level, highest first.
    pub enum Level {
        /// 自治区
        Region = "Region",
        /// 盟市
        League = "League",
        /// 旗县区
        Banner = "Banner",
        /// 苏木乡镇街道
        Township = "Township",
    }
}

wire_enum! {
    /// What a person may do for a department.
    pub enum DepartmentRole {
        /// 经办人: writes and submits requests, confirms deliveries.
        Clerk = "Clerk",
        /// 单位分管领导: decides the stage `department`.
        Head = "Head",
        /// 属地审核: decides the stage `local`.
        LocalReviewer = "LocalReviewer",
        /// Reads everything of the department.
        Viewer = "Viewer",
    }
}

wire_enum! {
    /// How far down the tree a role reaches.
    pub enum RoleScope {
        /// The department alone.
        SelfOnly = "Self",
        /// The department and everything below it.
        Subtree = "Subtree",
    }
}

wire_enum! {
    /// Kind of a subject.
    pub enum SubjectKind {
        /// One person, by username.
        User = "User",
        /// A group of the identity provider.
        Group = "Group",
    }
}

/// A person or group that holds a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleSubject {
    /// Person or group.
    pub kind: SubjectKind,
    /// Name as the hub's authenticators give it; names that begin with `system:` are Kubernetes' own.
    #[schemars(length(min = 1, max = 128), extend("x-kubernetes-validations" = [{
        "rule": "!self.startsWith('system:')",
        "message": "roles go to people and their groups; names that begin with system: are Kubernetes' own"
    }]))]
    pub name: String,
}

/// A role and who holds it. The operator turns it into RoleBindings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignment {
    /// The role.
    pub role: DepartmentRole,
    /// Where it holds; the department alone unless stated.
    #[serde(default = "RoleAssignment::self_only")]
    pub scope: RoleScope,
    /// Who holds it.
    #[schemars(length(min = 1, max = 64))]
    pub subjects: Vec<RoleSubject>,
}

impl RoleAssignment {
    fn self_only() -> RoleScope {
        RoleScope::SelfOnly
    }
}

/// A department (部门): a node of the tenancy tree region → league → banner, with its names, its parent and its people.
///
/// Its objects live in the hub namespace `dept-<name>`.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "Department", plural = "departments", singular = "department",
    shortname = "dept", category = "zhengyun", status = "DepartmentStatus", derive = "PartialEq",
    doc = "A department (部门): a node of the tenancy tree region, league, banner. Its objects live in the hub namespace dept-<name>.",
    selectable = ".spec.parent", selectable = ".spec.level", selectable = ".spec.type",
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.displayNames.zh-CN.full", description = "Full legal name"),
    printcolumn(name = "Level", type_ = "string", json_path = ".spec.level", description = "Administrative level"),
    printcolumn(name = "Parent", type_ = "string", json_path = ".status.parent", description = "Parent in force"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 58 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 58 characters: the hub namespace is dept-<name>"),
    validation = Rule::new("!has(self.spec.parent) || self.spec.parent != self.metadata.name")
        .message("spec.parent must name another department"),
    validation = Rule::new("self.spec.level == 'Region' && self.spec.type == 'Division' ? !has(self.spec.parent) : has(self.spec.parent)")
        .message("spec.parent is required, except for the region itself, which has none")
)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentSpec {
    /// What it is in law.
    #[serde(rename = "type")]
    pub type_: UnitType,
    /// Administrative level.
    pub level: Level,
    /// Name of the parent department. A Division's parent is a Division one level up; a unit's parent is a Division or unit of its level or above. Takes effect (status.parent) only when the subtree holds no charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 58))]
    pub parent: Option<String>,
    /// Names for people.
    pub display_names: DisplayNames,
    /// Code of the administrative division (GB/T 2260), 6 to 12 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 12), regex(pattern = r"^[0-9]{6,12}$"))]
    pub division_code: Option<String>,
    /// Unified social credit code (GB 32100), 18 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 18), regex(pattern = r"^[0-9A-HJ-NPQRTUWXY]{18}$"))]
    pub credit_code: Option<String>,
    /// Who may do what for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub roles: Vec<RoleAssignment>,
}

/// What the operator says about a department.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Parent in force; decisions follow this one, not the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 58))]
    pub parent: Option<String>,
    /// Whether the place in the tree was decided; a root has no parent but is placed.
    #[serde(default)]
    pub placed: bool,
    /// From the root to this department, joined by `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 600))]
    pub path: Option<String>,
    /// Hub namespace that holds its objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
