//! ResourceGrant: what a department holds.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::amounts::{Amounts, amounts_schema, any_object};
use crate::catalog::{AllowedKind, NetworkAllowance, ReadinessRule, ResidueRule};
use crate::condition::{Condition, conditions_schema};
use crate::ledger::ObjectCharge;
use crate::request::{Disposition, ItemRevision};
use crate::wire::wire_enum;

wire_enum! {
    /// How long a grant is meant to live.
    pub enum GrantClass {
        /// For as long as its lease is renewed.
        Standard = "Standard",
        /// Ends with its lease.
        Temporary = "Temporary",
        /// Ends with its lease, for tests.
        Test = "Test",
    }
}

wire_enum! {
    /// Where a grant stands.
    pub enum GrantPhase {
        /// Recorded; nothing charged, nothing delivered.
        Pending = "Pending",
        /// Being delivered.
        Provisioning = "Provisioning",
        /// In use.
        InService = "InService",
        /// Being ended.
        Revoking = "Revoking",
        /// Ended; zero was proven and the charge released.
        Revoked = "Revoked",
    }
}

wire_enum! {
    /// Steps of a revocation.
    pub enum RevokeStep {
        /// Network and workloads are stopped, data is kept, until the hold ends.
        Frozen = "Frozen",
        /// Things are being removed.
        Removing = "Removing",
        /// Removal is done and is being proven.
        Proving = "Proving",
    }
}

/// What is delivered: rendered once, when the request entered review, and kept with the grant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// Objects for the grant's namespace.
    #[serde(default)]
    #[schemars(schema_with = "objects_schema")]
    pub objects: Vec<Map<String, Value>>,
    /// Kinds of the objects, with their plural resource names.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub kinds: Vec<AllowedKind>,
    /// Hard limits of the ResourceQuota at the site.
    #[serde(default)]
    #[schemars(schema_with = "ceilings_schema")]
    pub ceilings: Amounts,
    /// When objects count as ready.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub readiness: Vec<ReadinessRule>,
    /// Cluster-wide things to look for before zero counts as proven.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub residue: Vec<ResidueRule>,
    /// What pods may talk to.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub network: Vec<NetworkAllowance>,
}

fn objects_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let object = any_object(generator);
    schemars::json_schema!({ "type": "array", "maxItems": 256, "items": object })
}

fn ceilings_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 64,
        "additionalProperties": { "type": "string", "minLength": 1, "maxLength": 40 }
    })
}

/// Which request a grant comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRef {
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// UID.
    #[schemars(length(min = 1, max = 63))]
    pub uid: String,
}

/// The order to end a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// Approved Revoke request.
    pub request: RequestRef,
    /// What happens to data.
    pub disposition: Disposition,
    /// When removal may begin.
    pub hold_until: Time,
    /// When it was ordered: a restore point that keeps data must be newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<Time>,
}

/// What a department holds at a site (资源授予), written by the operator.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zhengyun.io", version = "v1alpha1", kind = "ResourceGrant", plural = "resourcegrants", singular = "resourcegrant",
    shortname = "rg", category = "zhengyun", namespaced, status = "ResourceGrantStatus", derive = "PartialEq",
    doc = "What a department holds at a site (资源授予). Written by the operator; ended by a Revoke request.",
    selectable = ".status.phase", selectable = ".spec.site", selectable = ".spec.system",
    printcolumn(name = "System", type_ = "string", json_path = ".spec.system", description = "Information system"),
    printcolumn(name = "Site", type_ = "string", json_path = ".spec.site", description = "Where"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Where it stands"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.step", description = "Step of the revocation"),
    printcolumn(name = "Charge", type_ = "string", json_path = ".status.summary", description = "What is charged"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether it is as intended"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", description = "What happened and what to do", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it exists"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.charge) || (has(self.status) && has(self.status.charge) && self.status.charge.sequence >= oldSelf.status.charge.sequence)")
        .message("status.charge.sequence never falls"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase != 'Revoked' || (has(self.status) && has(self.status.phase) && self.status.phase == 'Revoked')")
        .message("a revoked grant stays revoked: it is a record")
)]
#[serde(rename_all = "camelCase")]
pub struct ResourceGrantSpec {
    /// Department that holds it.
    #[schemars(length(min = 1, max = 58))]
    pub department: String,
    /// Information system that it is for.
    #[schemars(length(min = 1, max = 58))]
    pub system: String,
    /// Site.
    #[schemars(length(min = 1, max = 40))]
    pub site: String,
    /// Request that it comes from.
    pub request: RequestRef,
    /// Counts approved changes, from 1.
    #[schemars(range(min = 1))]
    pub revision: i64,
    /// How long it is meant to live.
    pub class: GrantClass,
    /// Day on which the lease ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub lease_end: Option<String>,
    /// Item revisions that it was approved with.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub items: Vec<ItemRevision>,
    /// What it is charged while it lives.
    #[schemars(schema_with = "amounts_schema")]
    pub charge: Amounts,
    /// What is delivered.
    pub bundle: Bundle,
    /// Whether the department must confirm the delivery.
    #[serde(default)]
    pub confirm: bool,
    /// Set by the operator when an approved order ends the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
}

/// A thing at the site, written down before it exists there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryEntry {
    /// API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub group: String,
    /// API version.
    #[schemars(length(max = 32))]
    pub version: String,
    /// Kind.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Plural resource name.
    #[schemars(length(max = 63))]
    pub plural: String,
    /// Namespace; empty for the grant's namespace object itself.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID once it exists; every later write and delete carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub uid: Option<String>,
    /// `Ready`, `Progressing` or `Failed`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub state: String,
    /// What the object says about itself.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub message: String,
}

/// A claim whose cluster-wide residue is looked for after its deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRecord {
    /// Kind.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID.
    #[schemars(length(max = 63))]
    pub uid: String,
}

/// How zero was proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ZeroProof {
    /// When.
    pub at: Time,
    /// What was looked at: one line per check.
    #[schemars(length(max = 64))]
    pub checks: Vec<String>,
}

/// What the operator says about a grant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceGrantStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<GrantPhase>,
    /// Step of the revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<RevokeStep>,
    /// What it holds in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ObjectCharge>,
    /// Namespace at the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Everything at the site, written down before it exists there.
    #[serde(default)]
    #[schemars(length(max = 300))]
    pub inventory: Vec<InventoryEntry>,
    /// Claims whose residue is looked for after their deletion.
    #[serde(default)]
    #[schemars(length(max = 300))]
    pub claims: Vec<ClaimRecord>,
    /// When the department confirmed the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// How zero was proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_proof: Option<ZeroProof>,
    /// What is charged, in one line.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub summary: String,
    /// Conditions.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// Amounts by ResourceQuota key.
pub type Ceilings = BTreeMap<String, String>;
