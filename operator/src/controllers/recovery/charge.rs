//! Bytes of backups in the ledger: held before a process may write, settled once what stands is known.
//!
//! The decision is the domain's, for all plans of a department at once. It is made on what the hub itself says at that moment, one at a
//! time: what one look lowers, another one may be about to rest on. A plan shows what was decided; a decision that it does not show yet
//! stands in the ledger's journal, so a crash at any point leaves nothing undone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tokio::sync::MutexGuard;
use zhengyun_crds::ledger::{ChargedObject, ObjectCharge};
use zhengyun_crds::recovery::{RecoveryPlanStatus, SystemBackup};
use zhengyun_crds::{Reason, RecoveryPlan, marks};
use zhengyun_domain::ledger::{Change, Charge};
use zhengyun_domain::quota;
use zhengyun_domain::recovery::charge::{Bearer, ChargeError, Place, Shares, changes, may_begin, room, shares, wanted};
use zhengyun_domain::recovery::run::Sighting;

use super::{Context, keys, of, run_id};
use crate::controllers::department_of;
use crate::ledger::{LedgerError, SiteLedger};
use crate::runtime::controller::ReconcileError;
use crate::runtime::hub::{has_finalizer, is_conflict, is_not_found, replace_status};

/// What is held for a process.
#[derive(Debug)]
pub struct Held<'a> {
    /// Bytes that the department's repository in each store may hold.
    room: BTreeMap<String, u64>,
    /// Nothing falls before the process can be seen.
    _turn: MutexGuard<'a, ()>,
}

impl Held<'_> {
    /// Bytes that the department's repository in a store may hold.
    pub fn room(&self, store: &str) -> u64 {
        self.room.get(store).copied().unwrap_or_default()
    }
}

/// Why nothing is held.
#[derive(Debug)]
pub enum Unheld {
    /// There is no room; it is tried again.
    NoRoom(Reason, String),
    /// Something has to pass first.
    Waits(String),
}

/// For whom room is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A run that begins: it is refused where its plan's ceiling is passed already.
    Run,
    /// A process of a run that began, or of retention.
    Process,
}

/// Everything that is known of a department.
struct Seen {
    plans: Vec<Arc<RecoveryPlan>>,
    bearers: Vec<Bearer>,
    places: BTreeMap<String, Place>,
    shares: Shares,
}

/// Holds the ceiling of a plan in stores, before a process that writes there is started.
///
/// # Errors
/// When the hub does not answer, or the folder of the runs cannot be used.
pub async fn hold<'a>(
    context: &'a Context,
    plan: &RecoveryPlan,
    stores: &[String],
    whom: For,
) -> Result<Result<Held<'a>, Unheld>, ReconcileError> {
    let turn = context.charging.lock().await;
    let (uid, department) = (plan.uid().unwrap_or_default(), namespace_of(plan));
    let asked = (uid.clone(), stores.iter().cloned().collect());
    let seen = observe(context, &department, true, Some(&asked)).await?;
    let charged = seen.plans.iter().find(|plan| plan.uid().as_ref() == Some(&uid));
    let (Some(plan), Some(bearer)) = (charged, seen.bearers.iter().find(|bearer| bearer.uid == uid)) else {
        return Ok(Err(Unheld::Waits("its plan is gone".to_owned())));
    };
    if !has_finalizer(plan.as_ref(), marks::FINALIZER_CHARGE) {
        return Ok(Err(Unheld::Waits(format!("plan {} is looked at for the first time", plan.name_any()))));
    }
    if let Some(unknown) = stores.iter().find(|store| !seen.places.contains_key(*store)) {
        return Ok(Err(Unheld::Waits(format!("store {unknown} is not registered here any more"))));
    }
    if whom == For::Run
        && let Err(full) = may_begin(bearer, &seen.shares, &asked.1)
    {
        return Ok(Err(Unheld::NoRoom(Reason::QuotaExceeded, full.to_string())));
    }
    if let Err(error) = decided(context, &seen).await? {
        let told = format!(
            "plan {} holds spec.ceiling {} in each store while a run is under way: {error}",
            plan.name_any(),
            plan.spec.ceiling.as_str()
        );
        return Ok(Err(match error {
            LedgerError::Refused(refusal) if !refusal.is_transient() => Unheld::NoRoom(refusal.reason(), told),
            _ => Unheld::Waits(told),
        }));
    }
    shown(context, &seen).await?;
    let room = stores.iter().map(|store| (store.clone(), room(&seen.shares, store))).collect();
    Ok(Ok(Held { room, _turn: turn }))
}

/// Brings the charges of a department's plans to what stands, and shows them. Tells why that is refused, if so.
///
/// # Errors
/// When the hub does not answer, or the folder of the runs cannot be used.
pub async fn settle(context: &Context, plan: &RecoveryPlan) -> Result<Option<(Reason, String)>, ReconcileError> {
    let department = namespace_of(plan);
    // Most looks find nothing to do, and what a late watch hides is looked at again when it shows.
    let glance = observe(context, &department, false, None).await?;
    let unshown = |ledger: &SiteLedger| glance.bearers.iter().any(|bearer| ledger.unshown(&bearer.uid).is_some());
    if pending(context, &glance)?.is_empty() && !context.ledger.all().iter().any(unshown) {
        return Ok(None);
    }
    let _turn = context.charging.lock().await;
    let seen = observe(context, &department, true, None).await?;
    let refused = match decided(context, &seen).await? {
        Ok(()) => None,
        Err(LedgerError::Refused(refusal)) if !refusal.is_transient() => {
            let told = format!("what stands in stores is more than what is charged for it: {refusal}");
            Some((refusal.reason(), told))
        }
        Err(error) => return Err(ReconcileError::Transient(error.to_string())),
    };
    shown(context, &seen).await?;
    Ok(refused)
}

fn namespace_of(plan: &RecoveryPlan) -> String {
    plan.namespace().unwrap_or_default()
}

async fn observe(
    context: &Context,
    namespace: &str,
    fresh: bool,
    asked: Option<&(String, BTreeSet<String>)>,
) -> Result<Seen, ReconcileError> {
    let (plans, backups): (Vec<Arc<RecoveryPlan>>, Vec<Arc<SystemBackup>>) = if fresh {
        let (plans, backups): (Api<RecoveryPlan>, Api<SystemBackup>) =
            (context.namespaced(namespace), context.namespaced(namespace));
        let all = ListParams::default();
        let (plans, backups) = (plans.list(&all).await?, backups.list(&all).await?);
        (plans.items.into_iter().map(Arc::new).collect(), backups.items.into_iter().map(Arc::new).collect())
    } else {
        let ours = |object: Option<String>| object.as_deref() == Some(namespace);
        let plans = context.watches.plans.matching(|plan| ours(plan.namespace()));
        (plans, context.watches.backups.matching(|backup| ours(backup.namespace())))
    };
    let department = department_of(namespace);
    let mut places = BTreeMap::new();
    for store in context.watches.stores.all() {
        let known = keys::repository(context, &store.name_any(), department).await?;
        let bytes = known.and_then(|known| known.measured).map_or(0, |measured| measured.bytes);
        places.insert(store.name_any(), Place { site: store.spec.site.clone(), bytes });
    }
    let backups: Vec<&SystemBackup> = backups.iter().map(AsRef::as_ref).collect();
    let mut bearers = Vec::new();
    for plan in &plans {
        let mut bearer = Bearer::of(plan, &backups);
        for store in places.keys() {
            if forgets(context, &bearer.uid, store).await? {
                bearer.writes.insert(store.clone());
            }
        }
        if let Some((_, stores)) = asked.filter(|(uid, _)| *uid == bearer.uid) {
            bearer.writes.extend(stores.iter().cloned());
        }
        bearers.push(bearer);
    }
    let shares = shares(&bearers, &places);
    Ok(Seen { plans, bearers, places, shares })
}

/// Whether a process of retention may be writing, or ended and was not read.
async fn forgets(context: &Context, uid: &str, store: &str) -> Result<bool, ReconcileError> {
    let Some(recovery) = of(context) else { return Ok(false) };
    let seen = recovery.observe(&run_id(Some(uid), &format!("retention-{store}"))?).await?;
    Ok(!matches!(seen, Sighting::Absent))
}

/// What is to be decided, by site.
fn pending(context: &Context, seen: &Seen) -> Result<Vec<(SiteLedger, Vec<Change>)>, ReconcileError> {
    let broken = |error: ChargeError| ReconcileError::Transient(error.to_string());
    let wanted = wanted(&seen.shares, &seen.places).map_err(broken)?;
    let mut all = Vec::new();
    for ledger in context.ledger.all() {
        let booked: BTreeMap<String, Charge> =
            seen.bearers.iter().map(|bearer| (bearer.uid.clone(), ledger.booked(&bearer.uid))).collect();
        let here = wanted.get(&ledger.site).cloned().unwrap_or_default();
        let next = changes(&seen.bearers, &seen.places, &ledger.site, &here, &booked).map_err(broken)?;
        let changes: Vec<Change> = next.into_iter().filter_map(|(uid, charge)| change(seen, &uid, charge)).collect();
        if !changes.is_empty() {
            all.push((ledger, changes));
        }
    }
    Ok(all)
}

fn change(seen: &Seen, uid: &str, charge: Charge) -> Option<Change> {
    let plan = seen.plans.iter().find(|plan| plan.uid().as_deref() == Some(uid))?;
    let namespace = namespace_of(plan);
    let department = department_of(&namespace).to_owned();
    let object =
        ChargedObject { kind: "RecoveryPlan".to_owned(), name: plan.name_any(), uid: uid.to_owned(), namespace };
    Some(Change { object, department, charge })
}

/// Decides at every site, or at none if one of them would refuse.
async fn decided(context: &Context, seen: &Seen) -> Result<Result<(), LedgerError>, ReconcileError> {
    let pending = pending(context, seen)?;
    for (ledger, changes) in &pending {
        if let Some(refusal) = ledger.would_refuse(changes) {
            return Ok(Err(refusal.into()));
        }
    }
    for (ledger, changes) in pending {
        if let Err(error) = ledger.decide(changes).await {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// Writes what was decided into the plans that do not show it. One that changed meanwhile is looked at again anyway.
async fn shown(context: &Context, seen: &Seen) -> Result<(), ReconcileError> {
    for plan in &seen.plans {
        let uid = plan.uid().unwrap_or_default();
        let before = plan.status.clone().unwrap_or_default();
        let mut charges = before.charges.clone();
        let mut told = Vec::new();
        for ledger in context.ledger.all() {
            let Some(sequence) = ledger.unshown(&uid) else { continue };
            if charges.iter().all(|charge| charge.site != ledger.site || charge.sequence < sequence) {
                let text = ledger.booked(&uid).to_text();
                charges.retain(|charge| charge.site != ledger.site);
                charges.push(ObjectCharge {
                    site: ledger.site.clone(),
                    sequence,
                    reserved: text.reserved,
                    granted: text.granted,
                });
            }
            told.push(ledger);
        }
        charges.sort_by(|a, b| a.site.cmp(&b.site));
        if charges != before.charges {
            let after = RecoveryPlanStatus { charges: charges.clone(), ..before };
            let api: Api<RecoveryPlan> = context.namespaced(&namespace_of(plan));
            match replace_status(&api, plan.as_ref(), plan.status.as_ref(), &after).await {
                Err(error) if is_conflict(&error) || is_not_found(&error) => continue,
                other => other?,
            };
        }
        for ledger in told {
            if let Some(charge) = charges.iter().find(|charge| charge.site == ledger.site) {
                ledger.acknowledge(&uid, charge.sequence).await;
            }
        }
    }
    Ok(())
}

/// Whether a ledger charges a plan anything, or has decided something that it does not show yet.
pub fn is_booked(context: &Context, plan: &RecoveryPlan) -> bool {
    let uid = plan.uid().unwrap_or_default();
    context.ledger.all().iter().any(|ledger| !ledger.booked(&uid).is_zero() || ledger.unshown(&uid).is_some())
}

/// What a plan shows that it is charged, in a line; none if nothing is.
pub fn told(charges: &[ObjectCharge]) -> Option<String> {
    let charged = charges.iter().filter_map(|charge| {
        let amounts = |text| quota::amounts("status.charges", text).unwrap_or_default();
        let total = amounts(&charge.reserved).checked_add(&amounts(&charge.granted)).unwrap_or_default();
        (!total.is_zero()).then(|| format!("{total} at {}", charge.site))
    });
    let lines: Vec<String> = charged.collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}
