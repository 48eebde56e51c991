//! InformationSystem: what resources, backups and migrations belong to.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, conditions_schema};
use crate::names::DisplayNames;
use crate::site::{Architecture, NetworkZone};
use crate::wire::wire_enum;

wire_enum! {
    /// Class of the data that a system holds (data security law, article 21).
    pub enum DataClass {
        /// 核心数据
        Core = "Core",
        /// 重要数据
        Important = "Important",
        /// 一般数据
        General = "General",
    }
}

/// Protection level (等保, GB/T 22239) and its filing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Protection {
    /// Level 1 to 5.
    #[schemars(range(min = 1, max = 5))]
    pub level: i32,
    /// Filing number at the public security organ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub filing_number: Option<String>,
    /// Day on which the last assessment expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub assessment_expires: Option<String>,
}

/// An information system (政务信息系统) of a department.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "InformationSystem", plural = "informationsystems", singular = "informationsystem",
    shortname = "isys", category = "zhengyun", namespaced, status = "InformationSystemStatus", derive = "PartialEq",
    doc = "An information system (政务信息系统) of a department: what resources, backups and migrations belong to.",
    selectable = ".spec.dataClass", selectable = ".spec.zone",
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.displayNames.zh-CN.full", description = "Name"),
    printcolumn(name = "MLPS", type_ = "integer", json_path = ".spec.protection.level", description = "Protection level (等保)"),
    printcolumn(name = "Zone", type_ = "string", json_path = ".spec.zone", description = "Network zone"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 58").message("metadata.name must be at most 58 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct InformationSystemSpec {
    /// Names for people.
    pub display_names: DisplayNames,
    /// Person or office that answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub owner: Option<String>,
    /// Protection level and its filing.
    pub protection: Protection,
    /// Whether the commercial cryptography assessment (密评) was passed.
    #[serde(default)]
    pub cryptography_assessed: bool,
    /// Class of its data.
    pub data_class: DataClass,
    /// Whether it is critical information infrastructure (关基).
    #[serde(default)]
    pub critical_infrastructure: bool,
    /// CPU architecture that it needs; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// Network zone.
    pub zone: NetworkZone,
    /// Whether it handles state secrets (涉密). Such a system may not be on this cloud.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!self").message("a system that handles state secrets (涉密) may not be registered on this cloud; use a classified network under the secrecy authority"))]
    pub classified: bool,
}

/// What the operator says about a system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InformationSystemStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
