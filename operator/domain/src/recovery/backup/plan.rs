//! What a run of a recovery plan would do: sources resolved, stores chosen, and everything that a reader must know about it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{PlanSource, RecoveryPlanSpec, SourceOrigin};
use zhengyun_crds::site::ExternalSources;

use super::copies::{away, damaged, unusable};
use crate::digest;
use crate::finding::Finding;
use crate::quantity::Quantity;
use crate::recovery::files::{self, Folder, listed, undeclared};
use crate::recovery::level::{LevelTable, outside_row};
use crate::recovery::place::{Independence, Place};
use crate::recovery::schedule::Schedule;
use crate::recovery::{duration, objective::Objective};

/// How many steps of the schedule are held against the recovery point objective.
const STEPS_LOOKED_AT: usize = 64;

/// A grant of the department.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFacts {
    /// Department that holds it.
    pub department: String,
    /// Information system that it is for.
    pub system: String,
    /// Site.
    pub site: String,
    /// Namespace at the site, once there is one.
    pub namespace: Option<String>,
    /// Whether it is in service or being ended, so that there is something to read.
    pub live: bool,
    /// Names of the order lines that it delivered.
    pub items: BTreeSet<String>,
}

/// A store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFacts {
    /// Site that it stands at.
    pub site: String,
    /// Why it cannot be used, if so.
    pub unusable: Option<String>,
    /// What the checks found damaged in it, by department.
    pub damaged: BTreeMap<String, String>,
}

/// Everything that the decision looks at.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Department whose plan it is.
    pub department: String,
    /// Grants by name.
    pub grants: BTreeMap<String, GrantFacts>,
    /// Stores by name.
    pub stores: BTreeMap<String, StoreFacts>,
    /// Sites by name.
    pub places: BTreeMap<String, Place>,
    /// What sites declare of what is outside the cloud, by site.
    pub declared: BTreeMap<String, ExternalSources>,
    /// Folders that the operator was started with, by name.
    pub folders: BTreeMap<String, Folder>,
    /// Creation of the plan; intervals count from it.
    pub created: Timestamp,
}

/// A source and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedSource {
    /// Name within the plan.
    pub name: String,
    /// Site at which it is read.
    pub site: String,
    /// Namespace at the site, for what a grant delivered.
    pub namespace: Option<String>,
    /// What is read there: `namespace`, `item NAME`, `database NAME at ENDPOINT`, `files ROOT/SUBPATH`.
    pub what: String,
}

/// A store of the run, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedStore {
    /// Store.
    pub store: String,
    /// Site whose ledger is charged.
    pub site: String,
}

/// What a run would do.
#[derive(Clone, Debug)]
pub struct BackupPlan {
    /// Sources, in the plan's order.
    pub sources: Vec<PlannedSource>,
    /// Stores; the first is written, the others are copied from it.
    pub stores: Vec<PlannedStore>,
    /// Bytes that the backups may take up in each store.
    pub ceiling: Quantity,
    /// When backups are due.
    pub schedule: Schedule,
    /// When drills are due, and at which site.
    pub drill: Option<(Schedule, String)>,
    /// What is held against measurements.
    pub objective: Objective,
    /// How independent the copies are.
    pub independence: Independence,
    /// What is no reason to refuse, but must be known.
    pub findings: Vec<Finding>,
}

impl BackupPlan {
    /// `sha256:<hex>` of sources, stores and ceiling: what a worker is told to do and nothing else.
    pub fn digest(&self) -> String {
        digest::of(&(&self.sources, &self.stores, &self.ceiling))
    }
}

/// What one run of a plan reads and writes, without anything that only a schedule or a judgement needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRun {
    /// Sources, in the plan's order.
    pub sources: Vec<PlannedSource>,
    /// Stores; the first is written, the others are copied from it.
    pub stores: Vec<PlannedStore>,
}

/// Works out what one run reads and writes.
///
/// # Errors
/// Everything that keeps it from running, each with field, value and fix.
pub fn run(spec: &RecoveryPlanSpec, observed: &Observed) -> Result<PlannedRun, Vec<Finding>> {
    let mut refusals = Vec::new();
    let run = resolved(spec, observed, &mut refusals);
    if refusals.is_empty() { Ok(run) } else { Err(refusals) }
}

fn resolved(spec: &RecoveryPlanSpec, observed: &Observed, refusals: &mut Vec<Finding>) -> PlannedRun {
    let sources = spec
        .sources
        .iter()
        .enumerate()
        .filter_map(|(at, source)| keep(resolve(at, source, &spec.system, observed), refusals))
        .collect();
    let stores = spec
        .copies
        .iter()
        .enumerate()
        .filter_map(|(at, copy)| keep(store(at, &copy.store, observed), refusals))
        .collect();
    PlannedRun { sources, stores }
}

/// Works out what a run of a plan would do.
///
/// # Errors
/// Everything that keeps it from running, each with field, value and fix.
pub fn plan(spec: &RecoveryPlanSpec, table: &LevelTable, observed: &Observed) -> Result<BackupPlan, Vec<Finding>> {
    let mut refusals = Vec::new();
    let PlannedRun { sources, stores } = resolved(spec, observed, &mut refusals);
    let schedule = match Schedule::read("/spec/schedule", &spec.schedule, observed.created) {
        Ok(schedule) => Some(schedule),
        Err(found) => {
            refusals.extend(found);
            None
        }
    };
    let drill = match &spec.drill {
        None => Ok(None),
        Some(drill) => Schedule::read("/spec/drill/schedule", &drill.schedule, observed.created)
            .map(|schedule| Some((schedule, drill.site.clone()))),
    };
    let drill = drill.unwrap_or_else(|found| {
        refusals.extend(found);
        None
    });
    if let Some((_, site)) = drill.as_ref().filter(|(_, site)| !observed.places.contains_key(site)) {
        refusals.push(Finding::new(
            "/spec/drill/site",
            Reason::SiteNotFound.as_str(),
            format!("there is no site {site}: choose one of {}", listed(observed.places.keys())),
        ));
    }
    let objective = keep(objective(spec), &mut refusals);
    let ceiling = keep(ceiling(spec), &mut refusals);
    let (Some(schedule), Some(objective), Some(ceiling), true) = (schedule, objective, ceiling, refusals.is_empty())
    else {
        return Err(refusals);
    };
    let independence = independence(&sources, &stores, observed);
    let mut findings = apart(spec, &independence);
    findings.extend(away(spec, observed));
    findings.extend(damaged(spec, observed));
    findings.extend(pace(&schedule, objective, observed.created));
    findings.extend(outside_row(table, spec.level, objective.rpo, objective.rto));
    Ok(BackupPlan { sources, stores, ceiling, schedule, drill, objective, independence, findings })
}

fn keep<T>(result: Result<T, Finding>, refusals: &mut Vec<Finding>) -> Option<T> {
    result.map_err(|finding| refusals.push(finding)).ok()
}

fn resolve(at: usize, source: &PlanSource, system: &str, observed: &Observed) -> Result<PlannedSource, Finding> {
    let refuse = |field: &str, reason: Reason, message: String| {
        Finding::new(format!("/spec/sources/{at}/origin/{field}"), reason.as_str(), message)
    };
    let planned = |site: &str, namespace: Option<String>, what: String| PlannedSource {
        name: source.name.clone(),
        site: site.to_owned(),
        namespace,
        what,
    };
    match &source.origin {
        SourceOrigin::Namespace(from) => {
            let grant = grant(&from.grant, system, observed).map_err(|(r, m)| refuse("namespace/grant", r, m))?;
            Ok(planned(&grant.site, grant.namespace.clone(), "namespace".to_owned()))
        }
        SourceOrigin::Item(from) => {
            let grant = grant(&from.grant, system, observed).map_err(|(r, m)| refuse("item/grant", r, m))?;
            if !grant.items.contains(&from.item) {
                let known = listed(grant.items.iter());
                let message = format!("grant {} has no order line {}: it has {known}", from.grant, from.item);
                return Err(refuse("item/item", Reason::SourceRefused, message));
            }
            Ok(planned(&grant.site, grant.namespace.clone(), format!("item {}", from.item)))
        }
        SourceOrigin::Database(from) => {
            let declared = observed.declared.get(&from.site).map(|declared| &declared.databases);
            let known = declared.into_iter().flatten().filter(|d| d.department == observed.department);
            if !known.clone().any(|database| database.name == from.endpoint) {
                let known = listed(known.map(|database| &database.name));
                let message = undeclared("database", &from.endpoint, &from.site, &observed.department, &known);
                return Err(refuse("database/endpoint", Reason::SourceRefused, message));
            }
            Ok(planned(&from.site, None, format!("database {} at {}", from.database, from.endpoint)))
        }
        SourceOrigin::Files(from) => {
            let known = files::Known {
                department: &observed.department,
                declared: &observed.declared,
                folders: &observed.folders,
            };
            let place = files::place(from, &known, files::Use::Read)
                .map_err(|no| refuse(&format!("files/{}", no.field), no.reason, no.message))?;
            Ok(planned(&place.site, None, place.shown()))
        }
    }
}

fn grant<'a>(name: &str, system: &str, observed: &'a Observed) -> Result<&'a GrantFacts, (Reason, String)> {
    // Another department's grant is answered like one that does not exist: a plan is no way to find out what others have.
    let own = |grant: &&GrantFacts| grant.department == observed.department;
    let Some(grant) = observed.grants.get(name).filter(own) else {
        let known = listed(observed.grants.iter().filter(|(_, grant)| own(grant)).map(|(name, _)| name));
        return Err((
            Reason::GrantNotFound,
            format!("department {} holds no grant {name}: it holds {known}", observed.department),
        ));
    };
    if grant.system != system {
        let message = format!(
            "grant {name} is of system {}, the plan protects {system}: write a plan for that system",
            grant.system
        );
        return Err((Reason::SourceRefused, message));
    }
    if !grant.live || grant.namespace.is_none() {
        return Err((
            Reason::GrantNotLive,
            format!("grant {name} is not in service: there is nothing to back up yet or any more"),
        ));
    }
    Ok(grant)
}

fn store(at: usize, name: &str, observed: &Observed) -> Result<PlannedStore, Finding> {
    let pointer = format!("/spec/copies/{at}/store");
    let Some(store) = observed.stores.get(name) else {
        let known = listed(observed.stores.keys());
        return Err(Finding::new(
            pointer,
            Reason::StoreNotFound.as_str(),
            format!("there is no store {name}: choose one of {known}"),
        ));
    };
    if !observed.places.contains_key(&store.site) {
        return Err(Finding::new(
            pointer,
            Reason::SiteNotFound.as_str(),
            format!(
                "store {name} is registered at site {}, which does not exist: the cloud administrator corrects it",
                store.site
            ),
        ));
    }
    match &store.unusable {
        Some(why) if at == 0 => Err(unusable(at, name, why)),
        _ => Ok(PlannedStore { store: name.to_owned(), site: store.site.clone() }),
    }
}

/// The objectives of a plan.
///
/// # Errors
/// When one cannot be read, with field, value and fix.
pub fn objective(spec: &RecoveryPlanSpec) -> Result<Objective, Finding> {
    let invalid = |field: &str, cause: String| Finding::new(format!("/spec/{field}"), Reason::Invalid.as_str(), cause);
    let rpo = duration::parse("rpo", &spec.objectives.rpo).map_err(|e| invalid("objectives/rpo", e.cause))?;
    let rto = duration::parse_positive("rto", &spec.objectives.rto).map_err(|e| invalid("objectives/rto", e.cause))?;
    let drill_valid_for = match &spec.drill {
        Some(drill) => {
            duration::parse_positive("validFor", &drill.valid_for).map_err(|e| invalid("drill/validFor", e.cause))?
        }
        None => SignedDuration::ZERO,
    };
    Ok(Objective { rpo, rto, drill_valid_for })
}

fn ceiling(spec: &RecoveryPlanSpec) -> Result<Quantity, Finding> {
    let invalid = |cause: String| Finding::new("/spec/ceiling", Reason::Invalid.as_str(), cause);
    let ceiling: Quantity =
        spec.ceiling.as_str().parse().map_err(|e: crate::quantity::QuantityError| invalid(e.to_string()))?;
    match ceiling.whole_units() {
        Some(bytes) if bytes > 0 => Ok(ceiling),
        _ => Err(invalid(format!("{ceiling} is no number of bytes above zero: write one such as 50Gi"))),
    }
}

fn independence(sources: &[PlannedSource], stores: &[PlannedStore], observed: &Observed) -> Independence {
    let place = |site: &str| {
        observed.places.get(site).cloned().unwrap_or_else(|| Place { site: site.to_owned(), ..Place::default() })
    };
    let sites: BTreeSet<&str> = sources.iter().map(|source| source.site.as_str()).collect();
    let sources: Vec<Place> = sites.into_iter().map(place).collect();
    let copies: Vec<(String, Place)> = stores.iter().map(|store| (store.store.clone(), place(&store.site))).collect();
    Independence::of(&sources, &copies)
}

/// Whether the copies are as far apart as the plan asks for.
fn apart(spec: &RecoveryPlanSpec, independence: &Independence) -> Vec<Finding> {
    let mut findings = Vec::new();
    let asked = usize::try_from(spec.topology.independent_copies).unwrap_or_default();
    if independence.independent() < asked {
        let bound: Vec<String> = independence
            .copies
            .iter()
            .filter_map(|copy| copy.bound_to.as_ref().map(|why| format!("the copy in {} goes with {why}", copy.store)))
            .collect();
        findings.push(Finding::new(
            "/spec/copies",
            Reason::CopiesNotIndependent.as_str(),
            format!(
                "{} independent copies are asked for, there are {}: {}; add a store at a site that shares no building, power or carrier",
                asked,
                independence.independent(),
                if bound.is_empty() { "the plan has no further copy".to_owned() } else { bound.join(", ") }
            ),
        ));
    }
    let kilometres = spec.topology.minimum_kilometres;
    if kilometres > 0 {
        let farthest = independence.farthest_kilometres();
        if farthest.is_none_or(|have| have < f64::from(kilometres)) {
            let have = farthest.map_or_else(
                || "the distance of no independent copy is known".to_owned(),
                |have| format!("the farthest independent copy is {have:.0} km away"),
            );
            findings.push(Finding::new(
                "/spec/topology/minimumKilometres",
                Reason::CopiesTooClose.as_str(),
                format!("{kilometres} km are asked for, {have}: add a store at a site farther away, or give the sites their coordinates"),
            ));
        }
    }
    findings
}

/// Whether the schedule can meet the recovery point objective at all.
fn pace(schedule: &Schedule, objective: Objective, from: Timestamp) -> Option<Finding> {
    let longest = schedule.longest_step(from, STEPS_LOOKED_AT);
    (longest > objective.rpo).then(|| {
        Finding::new(
            "/spec/schedule",
            Reason::ScheduleTooSparse.as_str(),
            format!(
                "backups are up to {} apart and spec.objectives.rpo is {}: it cannot be met; back up more often, or allow for more loss",
                duration::print(longest),
                duration::print(objective.rpo)
            ),
        )
    })
}
