//! Who may sign, who did, and what.

use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::migration as crd;

use crate::shapes;
use crate::words::{EvidenceKindWord, PartyWord, SignedPurposeWord};

/// Who may sign for each party.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Signers {
    /// For the department.
    department: Vec<String>,
    /// For the authority.
    authority: Vec<String>,
    /// For the cloud provider.
    provider: Vec<String>,
}

/// A digest that people and gates rely on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Evidence {
    /// What it shows.
    #[schema(value_type = EvidenceKindWord)]
    kind: String,
    /// Workload; empty for all of them.
    workload: String,
    /// SHA-256 over the canonical report or statement.
    digest: String,
    /// When it was taken.
    #[schema(format = DateTime)]
    at: String,
}

/// A signature that counts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Signature {
    /// What was agreed to.
    #[schema(value_type = SignedPurposeWord)]
    purpose: String,
    /// On whose behalf.
    #[schema(value_type = PartyWord)]
    party: String,
    /// Who signed.
    by: String,
    /// What was signed.
    digest: String,
    /// When the operator first saw it.
    #[schema(format = DateTime)]
    at: String,
}

/// A signature that does not count, and why.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusedSignature {
    /// What it was to agree to.
    #[schema(value_type = SignedPurposeWord)]
    purpose: String,
    /// On whose behalf.
    #[schema(value_type = PartyWord)]
    party: String,
    /// Who signed.
    by: String,
    /// Stable code.
    reason: String,
    /// Why it does not count, and what to do.
    message: String,
}

impl From<&crd::Signers> for Signers {
    fn from(signers: &crd::Signers) -> Self {
        let crd::Signers { department, authority, provider } = signers.clone();
        Self { department, authority, provider }
    }
}

impl From<&crd::EvidenceRecord> for Evidence {
    fn from(record: &crd::EvidenceRecord) -> Self {
        Self {
            kind: record.kind.to_string(),
            workload: record.workload.clone(),
            digest: record.digest.clone(),
            at: shapes::moment(&record.at),
        }
    }
}

impl From<&crd::CountedSignature> for Signature {
    fn from(signature: &crd::CountedSignature) -> Self {
        Self {
            purpose: signature.purpose.to_string(),
            party: signature.party.to_string(),
            by: signature.by.clone(),
            digest: signature.digest.clone(),
            at: shapes::moment(&signature.at),
        }
    }
}

impl From<&crd::RefusedSignature> for RefusedSignature {
    fn from(signature: &crd::RefusedSignature) -> Self {
        Self {
            purpose: signature.purpose.to_string(),
            party: signature.party.to_string(),
            by: signature.by.clone(),
            reason: signature.reason.clone(),
            message: signature.message.clone(),
        }
    }
}
