//! A grant as it stands in answers.

use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::ResourceGrant as Resource;
use zhengyun_crds::grant as crd;
use zhengyun_crds::grant::GrantPhase;

use crate::shapes::{self, Amounts, Condition, Readiness};
use crate::words::{DispositionWord, GrantClassWord, GrantPhaseWord, RevokeStepWord};

/// A grant in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrantSummary {
    /// Department that holds it.
    department: String,
    /// Its name.
    name: String,
    /// Information system that it is for.
    system: String,
    /// Site.
    site: String,
    /// Where it stands.
    #[schema(value_type = GrantPhaseWord)]
    phase: String,
    /// Step of the revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RevokeStepWord>)]
    step: Option<String>,
    /// What is charged for it now.
    charged: Amounts,
    /// Whether it is as intended.
    ready: Readiness,
    /// When it was granted.
    #[schema(format = DateTime)]
    created_at: String,
}

/// What a department holds at a site (资源授予).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Grant {
    /// Department that holds it.
    department: String,
    /// Its name.
    name: String,
    /// Its UID.
    uid: String,
    /// Information system that it is for.
    system: String,
    /// Site.
    site: String,
    /// Request that it came of.
    request: String,
    /// Counts approved changes, from 1.
    revision: i64,
    /// How long it is meant to live.
    #[schema(value_type = GrantClassWord)]
    class: String,
    /// Day on which the lease ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    lease_end: Option<String>,
    /// Revisions of the services that it was approved with.
    items: Vec<GrantedItem>,
    /// What it is charged while it lives.
    charge: Amounts,
    /// What is charged for it now: nothing before it is granted and after zero was proven.
    charged: Amounts,
    /// Where it stands.
    #[schema(value_type = GrantPhaseWord)]
    phase: String,
    /// Step of the revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RevokeStepWord>)]
    step: Option<String>,
    /// Namespace at the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Everything at the site.
    inventory: Vec<InventoryEntry>,
    /// Whether the department must confirm the delivery.
    confirm: bool,
    /// Who confirmed the delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_by: Option<String>,
    /// The order to end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation: Option<Revocation>,
    /// How zero was proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    zero_proof: Option<ZeroProof>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
    /// When it was granted.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A revision of a service that was granted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrantedItem {
    /// Service of the catalogue.
    item: String,
    /// Generation of its definition.
    generation: i64,
    /// SHA-256 of its definition.
    digest: String,
}

/// A thing at the site.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InventoryEntry {
    /// API group; empty for the core group.
    group: String,
    /// API version.
    version: String,
    /// Kind.
    kind: String,
    /// Namespace; empty for the grant's namespace itself.
    namespace: String,
    /// Name.
    name: String,
    /// `Ready`, `Progressing` or `Failed`; empty before it exists.
    state: String,
    /// What it says about itself.
    message: String,
}

/// The order to end a grant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revocation {
    /// Request that was approved.
    request: String,
    /// What happens to data.
    #[schema(value_type = DispositionWord)]
    disposition: String,
    /// When removal may begin; until then the authority can undo it.
    #[schema(format = DateTime)]
    hold_until: String,
}

/// How zero was proven.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ZeroProof {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// What was looked at, one line per check.
    checks: Vec<String>,
}

/// Where the operator says that a grant stands.
pub(super) fn phase(grant: &Resource) -> GrantPhase {
    grant.status.as_ref().and_then(|s| s.phase).unwrap_or(GrantPhase::Pending)
}

fn charged(grant: &Resource) -> Amounts {
    grant.status.as_ref().and_then(|s| s.charge.as_ref()).map(|c| shapes::amounts(&c.granted)).unwrap_or_default()
}

impl From<&Resource> for GrantSummary {
    fn from(grant: &Resource) -> Self {
        let (spec, status) = (&grant.spec, grant.status.as_ref());
        Self {
            department: spec.department.clone(),
            name: shapes::name(&grant.metadata),
            system: spec.system.clone(),
            site: spec.site.clone(),
            phase: phase(grant).to_string(),
            step: status.and_then(|s| s.step).map(|s| s.to_string()),
            charged: charged(grant),
            ready: shapes::readiness(status.map(|s| &s.conditions)),
            created_at: shapes::created(&grant.metadata),
        }
    }
}

impl From<&Resource> for Grant {
    fn from(grant: &Resource) -> Self {
        let spec = &grant.spec;
        let status = grant.status.clone().unwrap_or_default();
        Self {
            department: spec.department.clone(),
            name: shapes::name(&grant.metadata),
            uid: grant.metadata.uid.clone().unwrap_or_default(),
            system: spec.system.clone(),
            site: spec.site.clone(),
            request: spec.request.name.clone(),
            revision: spec.revision,
            class: spec.class.to_string(),
            lease_end: spec.lease_end.clone(),
            items: spec.items.iter().map(GrantedItem::from).collect(),
            charge: shapes::amounts(&spec.charge),
            charged: charged(grant),
            phase: phase(grant).to_string(),
            step: status.step.map(|s| s.to_string()),
            namespace: status.namespace,
            inventory: status.inventory.into_iter().map(InventoryEntry::from).collect(),
            confirm: spec.confirm,
            confirmed_by: status.confirmed_by,
            revocation: spec.revocation.as_ref().map(Revocation::from),
            zero_proof: status.zero_proof.map(ZeroProof::from),
            conditions: shapes::conditions(Some(&status.conditions)),
            created_at: shapes::created(&grant.metadata),
        }
    }
}

impl From<&zhengyun_crds::request::ItemRevision> for GrantedItem {
    fn from(revision: &zhengyun_crds::request::ItemRevision) -> Self {
        Self { item: revision.item.clone(), generation: revision.generation, digest: revision.digest.clone() }
    }
}

impl From<crd::InventoryEntry> for InventoryEntry {
    fn from(entry: crd::InventoryEntry) -> Self {
        Self {
            group: entry.group,
            version: entry.version,
            kind: entry.kind,
            namespace: entry.namespace,
            name: entry.name,
            state: entry.state,
            message: entry.message,
        }
    }
}

impl From<&crd::Revocation> for Revocation {
    fn from(revocation: &crd::Revocation) -> Self {
        Self {
            request: revocation.request.name.clone(),
            disposition: revocation.disposition.to_string(),
            hold_until: shapes::moment(&revocation.hold_until),
        }
    }
}

impl From<crd::ZeroProof> for ZeroProof {
    fn from(proof: crd::ZeroProof) -> Self {
        Self { at: shapes::moment(&proof.at), checks: proof.checks }
    }
}
