//! Who agreed to what.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::wire_enum;

wire_enum! {
    /// On whose behalf somebody acts.
    pub enum Party {
        /// The department whose system it is.
        Department = "Department",
        /// The authority over the region's cloud.
        Authority = "Authority",
        /// The cloud provider (云服务商).
        Provider = "Provider",
    }
}

wire_enum! {
    /// What a signature agrees to.
    pub enum SignedPurpose {
        /// The cutover, in one change window.
        Cutover = "Cutover",
        /// That nothing writes to a source whose closing cannot be proven.
        DeclaredFreeze = "DeclaredFreeze",
        /// That the system runs on the cloud as it should (迁云确认报告).
        Acceptance = "Acceptance",
        /// The way back, and what is lost by it.
        Rollback = "Rollback",
        /// That what the source holds is erased.
        Erasure = "Erasure",
    }
}

/// A signature: one person, one purpose, one digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// What is agreed to.
    pub purpose: SignedPurpose,
    /// On whose behalf.
    pub party: Party,
    /// Who signs, as the API server knows the person.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// The digest that was seen in `status.evidence`.
    #[schemars(length(min = 71, max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
}

/// Who may sign for each party.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.department.exists(p, p in self.authority || p in self.provider) && !self.authority.exists(p, p in self.provider)")
    .message("nobody may sign for two parties: name different people under department, authority and provider"))]
pub struct Signers {
    /// For the department.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub department: Vec<String>,
    /// For the authority.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub authority: Vec<String>,
    /// For the cloud provider.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub provider: Vec<String>,
}

impl Signers {
    /// The people of a party.
    pub fn of(&self, party: Party) -> &[String] {
        match party {
            Party::Department => &self.department,
            Party::Authority => &self.authority,
            Party::Provider => &self.provider,
        }
    }
}

/// A signature that does not count, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedSignature {
    /// What it was to agree to.
    pub purpose: SignedPurpose,
    /// On whose behalf.
    pub party: Party,
    /// Who signed.
    #[schemars(length(max = 256))]
    pub by: String,
    /// What was signed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 71))]
    pub digest: String,
    /// Stable code.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// Why it does not count, and what to do.
    #[schemars(length(max = 512))]
    pub message: String,
}
