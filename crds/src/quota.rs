//! DepartmentQuota: what a department and everything below it may hold at each site.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amounts::{Amounts, Limits, amounts_schema, limits_schema};
use crate::condition::{Condition, conditions_schema};
use crate::wire::wire_enum;

wire_enum! {
    /// What children without a quota of their own may do.
    pub enum UnlistedChildren {
        /// They may hold nothing.
        Refuse = "Refuse",
        /// They are bound by the ancestors only.
        Share = "Share",
    }
}

/// The limits at one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteLimit {
    /// Name of the site.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// Limit per resource; what is absent is 0, `unlimited` must be written.
    #[schemars(schema_with = "limits_schema")]
    pub hard: Limits,
}

/// A department's quota (部门配额): what it and everything below it may hold, per site. Named like the department.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "DepartmentQuota", plural = "departmentquotas", singular = "departmentquota",
    shortname = "dq", category = "zhengyun", status = "DepartmentQuotaStatus", derive = "PartialEq",
    doc = "A department's quota (部门配额): what it and everything below it may hold, per site. Named like the department.",
    selectable = ".spec.unlistedChildren",
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status", description = "Whether the limits are in force"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Use", type_ = "string", json_path = ".status.summary", description = "Use of the limit per site and resource"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 58").message("metadata.name must be the name of a department, at most 58 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentQuotaSpec {
    /// Limits per site; a site that is absent has the limit 0.
    #[serde(default)]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["site"]))]
    pub limits: Vec<SiteLimit>,
    /// What children without their own quota may do.
    #[serde(default = "DepartmentQuotaSpec::refuse")]
    pub unlisted_children: UnlistedChildren,
    /// How much the children's limits may add up to, in percent of this limit; 100 means no overcommitment.
    #[serde(default = "DepartmentQuotaSpec::no_overcommit")]
    #[schemars(range(min = 100, max = 1000))]
    pub overcommit_percent: i32,
}

impl DepartmentQuotaSpec {
    fn refuse() -> UnlistedChildren {
        UnlistedChildren::Refuse
    }
    fn no_overcommit() -> i32 {
        100
    }
}

/// The limit that decisions follow, and when it came into force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdoptedLimit {
    /// Name of the site.
    #[schemars(length(max = 40))]
    pub site: String,
    /// Generation of the quota that this limit was taken from.
    pub generation: i64,
    /// Ledger sequence from which on it is in force.
    pub sequence: i64,
    /// The limits.
    #[schemars(schema_with = "limits_schema")]
    pub hard: Limits,
}

/// Use at one site, a report: no decision reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteUse {
    /// Name of the site.
    #[schemars(length(max = 40))]
    pub site: String,
    /// Reserved by requests under review, children included.
    #[schemars(schema_with = "amounts_schema")]
    pub reserved: Amounts,
    /// Held by grants, children included.
    #[schemars(schema_with = "amounts_schema")]
    pub granted: Amounts,
    /// What may still be asked for under this limit alone.
    #[schemars(schema_with = "amounts_schema")]
    pub available: Amounts,
    /// Highest use of any resource, in percent of its limit.
    #[serde(default)]
    pub utilisation_percent: i64,
}

/// What the operator says about a quota.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepartmentQuotaStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Limits in force per site.
    #[serde(default)]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["site"]))]
    pub adopted: Vec<AdoptedLimit>,
    /// What children without their own quota may do, as in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlisted_children: Option<UnlistedChildren>,
    /// Use per site.
    #[serde(default)]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["site"]))]
    pub usage: Vec<SiteUse>,
    /// Use of every limit in one line.
    #[serde(default)]
    #[schemars(length(max = 2048))]
    pub summary: String,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
