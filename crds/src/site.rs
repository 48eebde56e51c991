//! Site: a member cluster.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amounts::{Amounts, amounts_schema};
use crate::condition::{Condition, conditions_schema};
use crate::names::DisplayNames;
use crate::wire::wire_enum;

wire_enum! {
    /// Network zone of a government system.
    pub enum NetworkZone {
        /// 政务外网
        GovernmentExtranet = "GovernmentExtranet",
        /// 互联网区
        Internet = "Internet",
    }
}

wire_enum! {
    /// CPU architecture.
    pub enum Architecture {
        /// x86-64
        Amd64 = "amd64",
        /// AArch64 (Kunpeng, Phytium)
        Arm64 = "arm64",
        /// LoongArch
        Loong64 = "loong64",
    }
}

/// Where the cluster stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// Address or name of the place.
    #[schemars(length(min = 1, max = 128))]
    pub address: String,
    /// Degrees north, as text such as `40.84`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^-?[0-9]{1,2}(\.[0-9]{1,8})?$"))]
    pub latitude: Option<String>,
    /// Degrees east, as text such as `111.75`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^-?[0-9]{1,3}(\.[0-9]{1,8})?$"))]
    pub longitude: Option<String>,
}

/// What fails together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureDomains {
    /// Building.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub building: Option<String>,
    /// Power supply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub power: Option<String>,
    /// Network carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub carrier: Option<String>,
}

/// How objects reach the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Delivery {
    /// The operator speaks to the cluster's API server.
    Direct(DirectDelivery),
}

/// Delivery by kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectDelivery {
    /// Secret in `zhengyun-system` whose key `kubeconfig` holds server, CA and token or certificate. `exec`, file paths, proxies and insecure TLS are refused.
    #[schemars(length(min = 1, max = 63))]
    pub secret_name: String,
}

/// A database outside the cloud that recovery plans may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// Name that plans use.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Department whose plans may name it.
    #[schemars(length(min = 1, max = 58))]
    pub department: String,
    /// Host name or address of the PostgreSQL server.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$"))]
    pub host: String,
    /// TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Databases of that server that the department's plans may name.
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_$-]*$"))
    )]
    pub databases: Vec<String>,
    /// Secret in `zhengyun-system`, marked as the department's, with the keys `username`, `password` and `ca.crt`, the authority that
    /// signed the server's certificate.
    #[schemars(length(min = 1, max = 63))]
    pub secret_name: String,
}

/// A folder outside the cloud below which recovery plans may name folders.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalFileRoot {
    /// Name that plans use.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Department whose plans may name it.
    #[schemars(length(min = 1, max = 58))]
    pub department: String,
    /// Name of the folder with whoever carries runs out: `NAME` of `zhengyun-operator --file-root NAME=PATH`. A path is not accepted here.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub folder: String,
    /// What of that folder is the department's: a folder below it; empty for all of it.
    #[serde(default)]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new(r"!self.startsWith('/') && !self.endsWith('/') && !self.contains('//') && !self.matches('(^|/)[.]{1,2}(/|$)')")
        .message("subpath must lie below the folder: relative, without . or .. elements, doubled or closing slashes"))]
    pub subpath: String,
}

/// What outside the cloud may be backed up from this site. Plans name these things; addresses and paths stand only here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSources {
    /// Databases.
    #[serde(default)]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub databases: Vec<ExternalDatabase>,
    /// File roots.
    #[serde(default)]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub file_roots: Vec<ExternalFileRoot>,
}

/// A PostgreSQL server on which drills at this site may make databases of their own. It is no server that anybody works with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillServer {
    /// Host name or address of the PostgreSQL server.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$"))]
    pub host: String,
    /// TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Database from which others are created; nothing is written to it.
    #[serde(default = "maintenance_database")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_$-]*$"))]
    pub database: String,
    /// Database that they are made like: one of the administrator's where backups hold extensions that only a superuser may create.
    #[serde(default = "template_database")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_$-]*$"))]
    pub template: String,
    /// Secret in `zhengyun-system`, marked with the department `drill`, with the keys `username`, `password` and `ca.crt`, the authority
    /// that signed the server's certificate. The user may create databases and is no superuser.
    #[schemars(length(min = 1, max = 63))]
    pub secret_name: String,
}

fn maintenance_database() -> String {
    "postgres".to_owned()
}

fn template_database() -> String {
    "template0".to_owned()
}

/// A site (站点): a member cluster that resources are delivered to.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "Site", plural = "sites", singular = "site",
    shortname = "site", category = "zhengyun", status = "SiteStatus", derive = "PartialEq",
    doc = "A site (站点): a member cluster that resources are delivered to.",
    selectable = ".spec.protectionLevel",
    printcolumn(name = "Name", type_ = "string", json_path = ".spec.displayNames.zh-CN.full", description = "Name"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "Kubernetes version"),
    printcolumn(name = "Use", type_ = "string", json_path = ".status.summary", description = "Use of the capacity"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label of at most 40 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct SiteSpec {
    /// Names for people.
    pub display_names: DisplayNames,
    /// Where it stands.
    pub location: Location,
    /// What fails together with other sites.
    #[serde(default)]
    pub failure_domains: FailureDomains,
    /// CPU architectures of its nodes.
    #[schemars(length(min = 1, max = 4))]
    pub architectures: Vec<Architecture>,
    /// Highest protection level (等保, GB/T 22239) of a system that may run here.
    #[schemars(range(min = 1, max = 4))]
    pub protection_level: i32,
    /// Network zones that it serves.
    #[schemars(length(min = 1, max = 4))]
    pub zones: Vec<NetworkZone>,
    /// What may be charged here in all; a resource that is absent is 0.
    #[schemars(schema_with = "amounts_schema")]
    pub capacity: Amounts,
    /// How objects reach it.
    pub delivery: Delivery,
    /// Identity of the cluster. Set it to the identity in the message of `IdentityConfirmed` to accept a replaced cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub expected_identity: Option<String>,
    /// What outside the cloud may be backed up from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_sources: Option<ExternalSources>,
    /// Where drills that are held here restore databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_server: Option<DrillServer>,
}

/// The capacity that decisions follow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdoptedCapacity {
    /// Generation of the site that it was taken from.
    pub generation: i64,
    /// Ledger sequence from which on it is in force.
    pub sequence: i64,
    /// The capacity.
    #[schemars(schema_with = "amounts_schema")]
    pub capacity: Amounts,
}

/// What the operator says about a site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Kubernetes version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
    /// UID of the cluster's `kube-system` namespace and of our fence object, pinned at joining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub identity: Option<String>,
    /// Epoch that the fence at the site carries.
    #[serde(default)]
    pub fence_epoch: i64,
    /// Capacity in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<AdoptedCapacity>,
    /// Charged here in all: reserved and granted.
    #[serde(default)]
    #[schemars(schema_with = "amounts_schema")]
    pub used: Amounts,
    /// Use in one line.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub summary: String,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}
