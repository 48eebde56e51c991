//! What a plan would do: the operator's own decisions over the API's watch cache.
//!
//! Which folders the operator was started with is not known here; that a declared root is in one of them shows in the plan's `Ready`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{RecoveryPlan as Resource, RecoveryPlanSpec};
use zhengyun_crds::site::ExternalSources;
use zhengyun_domain::recovery::backup::{self, BackupPlan, Observed, grant_facts, store_facts};
use zhengyun_domain::recovery::files::Folder;
use zhengyun_domain::recovery::level::built_in;
use zhengyun_domain::recovery::place::{Place, PlacedCopy};

use super::PART;
use crate::names::department_of;
use crate::problem::{Finding, Problem};
use crate::state::AppState;

/// How many due times a preview tells.
const RUNS_TOLD: usize = 3;

/// What a recovery plan would do.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanPreview {
    /// What keeps it from starting runs; empty when it would. While there is anything, the rest is empty.
    findings: Vec<Finding>,
    /// What is no reason to start none, but must be known: copies that are not independent, a schedule that cannot meet the objective.
    notes: Vec<Finding>,
    /// What a run would read, and where.
    sources: Vec<SourceSeen>,
    /// Where the copies would be.
    copies: Vec<CopySeen>,
    /// The first due times from now on, without `jitter`; none while it is paused.
    next_runs: Vec<String>,
}

/// What a run would read.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceSeen {
    /// Name within the plan.
    name: String,
    /// Site at which it is read.
    site: String,
    /// What is read there.
    #[schema(example = "namespace")]
    what: String,
}

/// Where a copy would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CopySeen {
    /// Store.
    store: String,
    /// Site of the store.
    site: String,
    /// What it would be lost together with; absent when it stands alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_to: Option<String>,
    /// Kilometres from the nearest source; absent when a site does not say where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    kilometres: Option<i64>,
}

/// Works out what a plan would do.
pub(super) fn preview(state: &AppState, department: &str, plan: &Resource) -> Result<PlanPreview, Problem> {
    let now = Timestamp::now();
    let table = built_in(plan.spec.edition).map_err(|error| Problem::internal(&error))?;
    let written = plan.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    Ok(match backup::plan(&plan.spec, &table, &observed(state, department, written)) {
        Ok(outlook) => seen(&plan.spec, outlook, now),
        Err(refusals) => PlanPreview { findings: told(refusals), ..PlanPreview::default() },
    })
}

fn seen(spec: &RecoveryPlanSpec, outlook: BackupPlan, now: Timestamp) -> PlanPreview {
    let BackupPlan { sources, stores, schedule, independence, findings, .. } = outlook;
    let due = std::iter::successors(schedule.after(now), |last| schedule.after(*last));
    let next_runs = if spec.paused { Vec::new() } else { due.take(RUNS_TOLD).map(|at| at.to_string()).collect() };
    let judged = |store: &str| -> Option<&PlacedCopy> { independence.copies.iter().find(|copy| copy.store == store) };
    PlanPreview {
        findings: Vec::new(),
        notes: told(findings),
        sources: sources.into_iter().map(|s| SourceSeen { name: s.name, site: s.site, what: s.what }).collect(),
        copies: stores
            .iter()
            .map(|at| CopySeen {
                store: at.store.clone(),
                site: at.site.clone(),
                bound_to: judged(&at.store).and_then(|copy| copy.bound_to.clone()),
                kilometres: judged(&at.store).and_then(|copy| copy.kilometres).map(whole),
            })
            .collect(),
        next_runs,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "no two places on earth are farther apart than 20,038 km")]
fn whole(kilometres: f64) -> i64 {
    kilometres.round() as i64
}

/// Refuses sources that a write adds and that the department does not have. Another department's is answered like one that is not
/// there.
///
/// Only what is added: a plan whose grant is gone must still be paused. The hub decides first whether the caller may write at all, so
/// nobody learns what a department holds who could not see it.
pub(super) fn refuse_foreign(
    state: &AppState,
    department: &str,
    wanted: &RecoveryPlanSpec,
    stands: Option<&RecoveryPlanSpec>,
) -> Result<(), Problem> {
    let foreign = [Reason::GrantNotFound.as_str(), Reason::SourceRefused.as_str()];
    let is_added = |pointer: &str| {
        let at = pointer.strip_prefix("/spec/sources/").and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
        let source = at.and_then(|at| wanted.sources.get(at));
        source.is_some_and(|source| !stands.is_some_and(|stands| stands.sources.contains(source)))
    };
    let Err(refusals) = backup::run(wanted, &observed(state, department, Timestamp::now())) else { return Ok(()) };
    let refused: Vec<_> =
        refusals.into_iter().filter(|f| foreign.contains(&f.rule.as_str()) && is_added(&f.pointer)).collect();
    if refused.is_empty() { Ok(()) } else { Err(Problem::invalid(told(refused))) }
}

/// Findings that point into the custom resource, as findings that point into the body.
fn told(findings: Vec<zhengyun_domain::finding::Finding>) -> Vec<Finding> {
    let place =
        |pointer: &str| pointer.strip_prefix("/spec").map_or_else(|| pointer.to_owned(), |at| format!("{PART}{at}"));
    findings.into_iter().map(|f| Finding::new(place(&f.pointer), f.rule, f.message)).collect()
}

/// What the planner looks at, for one department.
fn observed(state: &AppState, department: &str, created: Timestamp) -> Observed {
    let caches = &state.cache;
    let sites = caches.sites.all();
    let declared: BTreeMap<String, ExternalSources> =
        sites.iter().filter_map(|site| Some((site.name_any(), site.spec.external_sources.clone()?))).collect();
    let roots = declared.values().flat_map(|sources| &sources.file_roots);
    let folders = roots.map(|root| (root.folder.clone(), Folder { writable: true })).collect();
    let grants = caches.grants.filter(|grant| grant.namespace().as_deref().and_then(department_of) == Some(department));
    Observed {
        department: department.to_owned(),
        grants: grants.iter().map(|grant| (grant.name_any(), grant_facts(department, grant))).collect(),
        stores: caches.stores.all().iter().map(|store| (store.name_any(), store_facts(store))).collect(),
        places: sites.iter().map(|site| (site.name_any(), Place::of(&site.name_any(), &site.spec))).collect(),
        declared,
        folders,
        created,
    }
}
