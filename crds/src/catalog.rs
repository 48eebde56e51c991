//! CatalogItem: a service that departments can order.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::amounts::any_object;
use crate::condition::{Condition, conditions_schema};
use crate::names::DisplayNames;

/// A kind that the template may render.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedKind {
    /// API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub group: String,
    /// API version.
    #[schemars(length(min = 1, max = 32))]
    pub version: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Plural resource name.
    #[schemars(length(min = 1, max = 63))]
    pub plural: String,
}

/// When a delivered object counts as ready, where the usual rules (kstatus) do not know the kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessRule {
    /// Kind that the rule is for.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// CEL over `object`, yielding a bool.
    #[schemars(length(min = 1, max = 1024))]
    pub expression: String,
}

/// Cluster-wide things that a namespaced object leaves behind; zero is not proven while one refers to the grant's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResidueRule {
    /// API group of the cluster-scoped kind; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub group: String,
    /// API version.
    #[schemars(length(min = 1, max = 32))]
    pub version: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Plural resource name.
    #[schemars(length(min = 1, max = 63))]
    pub plural: String,
    /// JSON pointer to the reference (`namespace`, `name`, `uid`) back to the claim, such as `/spec/claimRef`.
    #[schemars(length(min = 2, max = 128), regex(pattern = r"^(/[A-Za-z0-9]+)+$"))]
    pub reference: String,
}

/// What the pods of an item may talk to; everything else is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkAllowance {
    /// TCP port that pods of the same grant may reach on one another.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// A service of the catalogue (服务目录项).
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "CatalogItem", plural = "catalogitems", singular = "catalogitem",
    shortname = "item", category = "zhengyun", status = "CatalogItemStatus", derive = "PartialEq",
    doc = "A service of the catalogue (服务目录项): parameters, what it is charged, and what is delivered.",
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.displayNames.zh-CN.full", description = "Name"),
    printcolumn(name = "Charges", type_ = "string", json_path = ".status.summary", description = "Resources that it is charged"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it can be ordered"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    selectable = ".status.digest",
    validation = Rule::new("size(self.metadata.name) <= 40").message("metadata.name must be at most 40 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct CatalogItemSpec {
    /// Names for people.
    pub display_names: DisplayNames,
    /// What it is, in Chinese.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub description_zh: String,
    /// What it is, in English.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub description_en: String,
    /// JSON schema (2020-12) of the parameters: `type: object`, `additionalProperties: false`.
    #[schemars(schema_with = "any_object")]
    pub parameters: Map<String, Value>,
    /// What one order is charged: resource name to CEL over `parameters` and `count`, yielding an exact quantity.
    #[schemars(length(max = 24), extend("maxProperties" = 24))]
    pub charges: BTreeMap<String, String>,
    /// What the charge pays for at the site: ResourceQuota key (`requests.cpu`, `count/clusters.postgresql.cnpg.io`, ...) to CEL, summed over all items of a grant.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 32))]
    pub ceilings: BTreeMap<String, String>,
    /// Namespaced manifests with `${CEL}` over `parameters`, `name`, `count`, `index`, `grant`, `department`, `system`. Empty: the namespace with its quota is the product.
    #[serde(default)]
    #[schemars(schema_with = "template_schema")]
    pub template: Vec<Map<String, Value>>,
    /// Kinds that the template may render.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub allowed_kinds: Vec<AllowedKind>,
    /// When delivered objects count as ready.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub readiness: Vec<ReadinessRule>,
    /// Cluster-wide things to look for before zero counts as proven.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub residue: Vec<ResidueRule>,
    /// What its pods may talk to.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub network: Vec<NetworkAllowance>,
    /// Sites that offer it; all when empty.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub sites: Vec<String>,
}

fn template_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let object = any_object(generator);
    schemars::json_schema!({ "type": "array", "maxItems": 16, "items": object })
}

/// What the operator says about an item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogItemStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// SHA-256 of the spec: requests pin it when they enter review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub digest: Option<String>,
    /// Resources that it is charged, in one line.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub summary: String,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
