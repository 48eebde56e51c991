//! What a submission would mean: the operator's own decisions over the API's watch cache, except for the site's check.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::Reason;
use zhengyun_crds::amounts::Amounts as AmountsText;
use zhengyun_crds::ledger::ChargedObject;
use zhengyun_crds::request as crd;
use zhengyun_domain::amounts::Amounts as Charge;
use zhengyun_domain::ledger::{Books, ObjectRecord, recover};
use zhengyun_domain::naming::grant_name;
use zhengyun_domain::quota;
use zhengyun_domain::request::{Submission, Surroundings, assess};
use zhengyun_domain::tree::Tree;

use crate::cache::{Cache, Cached};
use crate::names::department_of;
use crate::problem::Finding;
use crate::shapes::{self, Amounts};
use crate::state::AppState;

/// What would happen on submission.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preview {
    /// Digest of the order and its documents.
    order_digest: String,
    /// What would be charged.
    charge: Amounts,
    /// Effect at the department, each ancestor and the site.
    ancestors: Vec<AncestorEffect>,
    /// Approval path.
    stages: Vec<StageRef>,
    /// What stands in the way; empty when it may be submitted.
    findings: Vec<Finding>,
    /// Whether the site tried what would be delivered.
    site_check: SiteCheck,
}

/// Whether the site tried what would be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SiteCheck {
    /// The site tried it, or the finding says why not.
    Checked,
    /// The site tries it once the request is saved.
    CheckedWhenSaved,
}

/// The effect of a charge on one node of the tree.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AncestorEffect {
    /// Department; empty for the site's capacity.
    department: String,
    /// Resource.
    resource: String,
    /// Limit in force, or `unlimited`.
    limit: String,
    /// Used before.
    used: String,
    /// Asked for.
    asked: String,
    /// How much is missing; 0 when it fits.
    short_by: String,
}

/// A stage of the approval path.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StageRef {
    /// Its name.
    name: String,
    /// How many people must approve.
    quorum: i32,
    /// Working days in which a decision is due.
    deadline_working_days: i32,
}

impl Preview {
    /// The operator's preview of a saved request.
    pub(super) fn checked(preview: crd::Preview) -> Self {
        Self {
            order_digest: preview.order_digest,
            charge: shapes::amounts(&preview.charge),
            ancestors: preview.ancestors.into_iter().map(AncestorEffect::from).collect(),
            stages: preview.stages.into_iter().map(StageRef::from).collect(),
            findings: preview.findings.into_iter().map(Finding::from).collect(),
            site_check: SiteCheck::Checked,
        }
    }
}

impl From<crd::AncestorEffect> for AncestorEffect {
    fn from(effect: crd::AncestorEffect) -> Self {
        let crd::AncestorEffect { department, resource, limit, used, asked, short_by } = effect;
        Self { department, resource, limit, used, asked, short_by }
    }
}

impl From<crd::StageRef> for StageRef {
    fn from(stage: crd::StageRef) -> Self {
        Self { name: stage.name, quorum: stage.quorum, deadline_working_days: stage.deadline_working_days }
    }
}

/// What a submission of this request would mean now.
pub(super) fn preview(state: &AppState, department: &str, request: &zhengyun_crds::ResourceRequest) -> Preview {
    let order = &request.spec.order;
    let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
    let cache = &state.cache;
    let in_department = |name: &Option<String>| name.clone().unwrap_or_default();
    let here = cache.departments.get(department);
    let system = cache.systems.get_in(namespace, &in_department(&order.system));
    let site = cache.sites.get(&order.site);
    let grant = cache.grants.get_in(namespace, &in_department(&order.grant));
    let items: Vec<_> =
        order.items.iter().filter_map(|line| Some((line.item.clone(), cache.items.get(&line.item)?))).collect();
    let policies = cache.policies.all();
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let grant_name = grant_name(name, request.metadata.uid.as_deref().unwrap_or_default());
    let submission = Submission {
        department,
        grant_name: &grant_name,
        requested_by: &request.spec.requested_by,
        order,
        materials: &request.spec.materials,
    };
    let around = Surroundings {
        department: here.as_deref(),
        system: system.as_deref(),
        site: site.as_deref(),
        items: items.iter().map(|(name, item)| (name.clone(), &**item)).collect::<BTreeMap<_, _>>(),
        policies: policies.iter().map(|policy| &**policy).collect(),
        grant: grant.as_deref(),
    };
    let assessment = assess(&submission, &around);
    let mut findings: Vec<Finding> = assessment.findings.into_iter().map(Finding::from).collect();
    let ancestors = effects(state, department, &order.site, own_uid(request), &assessment.charge, &mut findings);
    Preview {
        order_digest: assessment.order_digest,
        charge: shapes::amounts(&quota::texts(&assessment.charge)),
        ancestors,
        stages: assessment.policy.into_iter().flat_map(|p| p.stages).map(StageRef::from).collect(),
        findings,
        site_check: SiteCheck::CheckedWhenSaved,
    }
}

fn own_uid(request: &zhengyun_crds::ResourceRequest) -> &str {
    request.metadata.uid.as_deref().unwrap_or_default()
}

/// The effect at every ancestor and the site; what does not fit, or why nothing is booked now, is a finding, too.
fn effects(
    state: &AppState,
    department: &str,
    site: &str,
    own: &str,
    charge: &Charge,
    findings: &mut Vec<Finding>,
) -> Vec<AncestorEffect> {
    if charge.is_zero() {
        return Vec::new();
    }
    let held = state.cache.ledgers.get(site).and_then(|ledger| ledger.status.as_ref()?.held.clone());
    if let Some(held) = held {
        findings.push(Finding::new("/order/site", Reason::LedgerHeld.as_str(), held.message));
    }
    let told =
        books(state, site, own).and_then(|books| books.effects(department, charge).map_err(|error| error.to_string()));
    let effects = match told {
        Ok(effects) => effects,
        Err(message) => {
            findings.push(Finding::new("", Reason::Invalid.as_str(), message));
            return Vec::new();
        }
    };
    for short in quota::shortfalls(&effects) {
        let reason = if short.department.is_empty() { Reason::CapacityExceeded } else { Reason::QuotaExceeded };
        findings.push(Finding::new("/order", reason.as_str(), quota::explain(&short, site)));
    }
    effects.into_iter().map(AncestorEffect::from).collect()
}

/// The books of a site as the cache shows them: what a decision would be made from, a moment old.
///
/// A request that is being corrected may hold a reservation of its own, which its next submission replaces: it is left out.
fn books(state: &AppState, site: &str, own: &str) -> Result<Books, String> {
    let cache = &state.cache;
    let (departments, quotas) = (cache.departments.all(), cache.quotas.all());
    let capacity: Option<AmountsText> = cache
        .sites
        .get(site)
        .and_then(|s| s.status.as_ref().and_then(|s| s.adopted.as_ref().map(|a| a.capacity.clone())));
    let limits =
        quota::adopted_book(site, capacity.as_ref(), quotas.iter().map(|q| &**q)).map_err(|e| e.to_string())?;
    let books = Books::new(site, Tree::in_force(departments.iter().map(|d| &**d)), limits);
    let mut records = records(&cache.requests, "ResourceRequest", |r| r.status.as_ref().and_then(|s| s.charge.clone()));
    records.extend(records_of_grants(state));
    let mut ledger = cache.ledgers.get(site).and_then(|l| l.status.clone()).unwrap_or_default();
    if !own.is_empty() {
        records.retain(|record| record.object.uid != own);
        ledger.journal.retain(|entry| entry.object.uid != own);
    }
    recover(books, site, &ledger, &records).map(|recovery| recovery.books).map_err(|e| e.to_string())
}

fn records_of_grants(state: &AppState) -> Vec<ObjectRecord> {
    records(&state.cache.grants, "ResourceGrant", |g| g.status.as_ref().and_then(|s| s.charge.clone()))
}

fn records<K: Cached>(
    cache: &Cache<K>,
    kind: &str,
    charge: impl Fn(&K) -> Option<zhengyun_crds::ledger::ObjectCharge>,
) -> Vec<ObjectRecord> {
    let record = |object: Arc<K>| {
        let metadata = object.meta();
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let department = department_of(&namespace)?.to_owned();
        let object_ref = ChargedObject {
            kind: kind.to_owned(),
            namespace,
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
        };
        Some(ObjectRecord { object: object_ref, department, charge: charge(&object) })
    };
    cache.all().into_iter().filter_map(record).collect()
}
