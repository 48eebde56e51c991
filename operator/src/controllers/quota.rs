//! Quotas: limits are held against parent and siblings, then adopted; use is reported.

mod force;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use zhengyun_crds::quota::{
    AdoptedLimit, DepartmentQuota, DepartmentQuotaSpec, DepartmentQuotaStatus, SiteUse, UnlistedChildren,
};
use zhengyun_crds::{ConditionType, Department, Reason, marks};
use zhengyun_domain::amounts::{Amounts, Limit, Limits};
use zhengyun_domain::condition::ConditionSet;
use zhengyun_domain::ledger::Charge;
use zhengyun_domain::quota::{self, QuotaLine};

use self::force::{catch_up, is_in_force, put_in_force, restrict};
use super::Context;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::{add_finalizer, has_finalizer, remove_finalizer, replace_status};

/// A report is written at most this often per quota; no decision reads it.
const REPORT_PERIOD: Duration = Duration::from_secs(1);

/// Quotas whose report follows from a charge of this department: its own and every ancestor's.
pub fn above(context: &Context, department: &str) -> Vec<ObjectRef<DepartmentQuota>> {
    let chain = context.ledger.tree().chain(department).unwrap_or_default();
    chain.iter().filter(|name| context.watches.quotas.get(name).is_some()).map(|name| ObjectRef::new(name)).collect()
}

/// What decides where a department's quota stands among the others.
///
/// The tree in memory follows the recorded place a moment later; `Ready` is written after both.
pub fn place(department: &Department) -> (bool, Option<String>, bool) {
    let status = department.status.as_ref();
    (
        status.is_some_and(|s| s.placed),
        status.and_then(|s| s.parent.clone()),
        status.is_some_and(|s| zhengyun_crds::condition::is_true(&s.conditions, ConditionType::Ready)),
    )
}

/// Quotas with a line at a site.
pub fn naming(context: &Context, site: &str) -> Vec<ObjectRef<DepartmentQuota>> {
    let quotas = context.watches.quotas.all();
    let named = quotas.iter().filter(|q| q.spec.limits.iter().any(|line| line.site == site));
    named.map(|q| ObjectRef::from_obj(q.as_ref())).collect()
}

/// What other quotas are held against.
pub fn in_force(quota: &DepartmentQuota) -> (Option<i64>, Vec<AdoptedLimit>, Option<UnlistedChildren>) {
    let status = quota.status.as_ref();
    (
        quota.metadata.generation,
        status.map(|s| s.adopted.clone()).unwrap_or_default(),
        status.and_then(|s| s.unlisted_children),
    )
}

/// Quotas of a department and everything below it: their ancestors changed with its place.
pub fn below(context: &Context, department: &str) -> Vec<ObjectRef<DepartmentQuota>> {
    related(context, |chain| chain.iter().any(|name| name == department))
}

/// Quotas that are reviewed against this one: those right below it, and its siblings.
pub fn relatives(context: &Context, quota: &str) -> Vec<ObjectRef<DepartmentQuota>> {
    let has_quota = |name: &String| context.watches.quotas.get(name).is_some();
    let nearest = |chain: &[String]| chain.iter().skip(1).find(|name| has_quota(name)).cloned();
    let above = context.ledger.tree().chain(quota).ok().and_then(|chain| nearest(&chain));
    related(context, |chain| {
        let own = nearest(chain);
        own.is_some() && (own.as_deref() == Some(quota) || own == above)
    })
}

fn related(context: &Context, wanted: impl Fn(&[String]) -> bool) -> Vec<ObjectRef<DepartmentQuota>> {
    let tree = context.ledger.tree();
    let quotas = context.watches.quotas.all();
    quotas
        .iter()
        // One that has no place yet waits for any change of the tree.
        .filter(|q| tree.chain(&q.name_any()).map_or(true, |chain| wanted(&chain)))
        .map(|q| ObjectRef::from_obj(q.as_ref()))
        .collect()
}

/// Brings a quota up to date.
///
/// # Errors
/// When the hub does not answer or the quota changed meanwhile.
pub async fn reconcile(context: Arc<Context>, quota: Arc<DepartmentQuota>, reported: Arc<Pace>) -> Outcome {
    let api = context.cluster::<DepartmentQuota>();
    if quota.metadata.deletion_timestamp.is_some() {
        return remove(&context, &quota).await;
    }
    if !has_finalizer(quota.as_ref(), marks::FINALIZER_QUOTA) {
        add_finalizer(&api, quota.as_ref(), marks::FINALIZER_QUOTA).await?;
        return Ok(Action::await_change());
    }
    let name = quota.name_any();
    // What follows from charges only is a report, and waits its turn before anything is looked up.
    if is_settled(&quota)
        && let Some(wait) = reported.wait(&name)
    {
        return Ok(Action::requeue(wait));
    }
    let fault = observe_fault(&context, &quota);
    let adopted = match &fault {
        Some(_) => quota.status.as_ref().map(|s| s.adopted.clone()).unwrap_or_default(),
        None => plan_adoption(&context, &quota).await?,
    };
    let status = report(&context, &quota, fault.as_ref(), adopted, context.clock.now())?;
    if quota.status.as_ref() == Some(&status) {
        if !is_in_force(&context, &name, &status)? {
            catch_up(&context, &quota).await?;
        }
        return Ok(Action::await_change());
    }
    let in_force_differs = quota.status.as_ref().is_none_or(|s| {
        s.adopted != status.adopted
            || s.unlisted_children != status.unlisted_children
            || s.conditions != status.conditions
    });
    if !in_force_differs && let Some(wait) = reported.wait(&name) {
        return Ok(Action::requeue(wait));
    }
    restrict(&context, &name, &status)?;
    replace_status(&api, quota.as_ref(), quota.status.as_ref(), &status).await?;
    put_in_force(&context, &name, &status)?;
    reported.mark(&name);
    Ok(Action::await_change())
}

/// Whether the limits as written are in force, so that only use can have changed.
fn is_settled(quota: &DepartmentQuota) -> bool {
    quota.status.as_ref().is_some_and(|s| {
        Some(s.observed_generation) == quota.metadata.generation
            && zhengyun_crds::condition::is_true(&s.conditions, ConditionType::Accepted)
    })
}

/// When each quota was last reported.
#[derive(Debug, Default)]
pub struct Pace(std::sync::Mutex<BTreeMap<String, tokio::time::Instant>>);

impl Pace {
    fn wait(&self, name: &str) -> Option<Duration> {
        let last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(name).copied()?;
        REPORT_PERIOD.checked_sub(last.elapsed()).filter(|wait| !wait.is_zero())
    }
    fn mark(&self, name: &str) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(name.to_owned(), tokio::time::Instant::now());
    }
}

fn observe_fault(context: &Context, own: &DepartmentQuota) -> Option<(Reason, String)> {
    let name = own.name_any();
    if context.watches.departments.get(&name).is_none() {
        return Some((
            Reason::DepartmentNotFound,
            format!("metadata.name: there is no department {name}; a quota is named like its department"),
        ));
    }
    for line in &own.spec.limits {
        if context.watches.sites.get(&line.site).is_none() {
            return Some((
                Reason::SiteNotFound,
                format!(
                    "spec.limits[{}].site: there is no site {}; choose one of `kubectl get sites`",
                    line.site, line.site
                ),
            ));
        }
    }
    let tree = context.ledger.tree();
    let Ok(chain) = tree.chain(&name) else {
        return Some((Reason::DepartmentNotFound, format!("department {name} has no place in the tree yet")));
    };
    let nearest = |of: &[String]| of.iter().skip(1).find_map(|a| context.watches.quotas.get(a));
    let parent = nearest(&chain);
    let siblings: Vec<Arc<DepartmentQuota>> = match parent.as_ref().map(|p| p.name_any()) {
        Some(parent) => {
            let is_sibling = |q: &Arc<DepartmentQuota>| {
                let own = q.name_any();
                own != name && tree.chain(&own).is_ok_and(|c| nearest(&c).is_some_and(|n| n.name_any() == parent))
            };
            context.watches.quotas.all().into_iter().filter(is_sibling).collect()
        }
        None => Vec::new(),
    };
    // Siblings count with what is in force, so that a refused one does not take room from the rest.
    let in_force: Vec<(String, DepartmentQuotaSpec)> = siblings.iter().map(|q| (q.name_any(), as_adopted(q))).collect();
    let parent_spec = parent.as_ref().map(|p| (p.name_any(), as_adopted(p)));
    let refs: Vec<(&str, &DepartmentQuotaSpec)> = in_force.iter().map(|(n, s)| (n.as_str(), s)).collect();
    let faults = quota::review(&own.spec, parent_spec.as_ref().map(|(n, s)| (n.as_str(), s)), &refs);
    let first = faults.first()?;
    Some((first.reason(), faults.iter().map(|f| f.message().to_owned()).collect::<Vec<_>>().join("; ")))
}

fn as_adopted(quota: &DepartmentQuota) -> DepartmentQuotaSpec {
    let adopted = quota.status.as_ref().map(|s| s.adopted.clone()).unwrap_or_default();
    DepartmentQuotaSpec {
        limits: adopted.into_iter().map(|a| zhengyun_crds::quota::SiteLimit { site: a.site, hard: a.hard }).collect(),
        ..quota.spec.clone()
    }
}

/// The limits to put in force, with the sequence of each ledger from which on they hold.
async fn plan_adoption(context: &Context, quota: &DepartmentQuota) -> Result<Vec<AdoptedLimit>, ReconcileError> {
    let before = quota.status.as_ref().map(|s| s.adopted.clone()).unwrap_or_default();
    let mut adopted = Vec::new();
    for line in &quota.spec.limits {
        if let Some(same) = before.iter().find(|a| a.site == line.site && a.hard == line.hard) {
            adopted.push(same.clone());
            continue;
        }
        let ledger = context.ledger.site(&line.site).map_err(|e| ReconcileError::Transient(e.to_string()))?;
        let sequence = ledger.mark().await.map_err(|e| ReconcileError::Transient(e.to_string()))?;
        adopted.push(AdoptedLimit {
            site: line.site.clone(),
            generation: quota.metadata.generation.unwrap_or_default(),
            sequence,
            hard: line.hard.clone(),
        });
    }
    Ok(adopted)
}

fn report(
    context: &Context,
    quota: &DepartmentQuota,
    fault: Option<&(Reason, String)>,
    adopted: Vec<AdoptedLimit>,
    now: Timestamp,
) -> Result<DepartmentQuotaStatus, ReconcileError> {
    let before = quota.status.clone().unwrap_or_default();
    let name = quota.name_any();
    let mut usage = Vec::new();
    let mut over = Vec::new();
    for line in &adopted {
        let Ok(ledger) = context.ledger.site(&line.site) else { continue };
        let charge = ledger.books().subtree(&name);
        let hard = quota::limits("status.adopted", &line.hard).map_err(|e| ReconcileError::Transient(e.to_string()))?;
        let total = charge.total().map_err(|e| ReconcileError::Transient(e.to_string()))?;
        for s in hard.exceeded_by(&total).map_err(|e| ReconcileError::Transient(e.to_string()))? {
            over.push(format!(
                "{} at {}: {} is used, the limit is {}, over by {}",
                s.resource, line.site, s.used, s.limit, s.short_by
            ));
        }
        usage.push(site_use(&line.site, &charge, &total, &hard));
    }
    let mut set = ConditionSet::new(&before.conditions, quota.metadata.generation, now);
    if let Some((reason, message)) = &fault {
        let message = format!("{message}; the limits in force stay as they were");
        set.no(ConditionType::Accepted, *reason, message.clone());
        set.stalled(*reason, message);
    } else {
        set.yes(ConditionType::Accepted, Reason::Accepted, "the limits are in force");
        set.yes(ConditionType::Ready, Reason::AsIntended, "the limits are in force");
    }
    if over.is_empty() {
        set.no(ConditionType::OverLimit, Reason::WithinLimit, "use is within the limits");
    } else {
        let message = format!(
            "{}; nothing is taken away, and nothing new is granted until use is under the limit",
            over.join("; ")
        );
        set.yes(ConditionType::OverLimit, Reason::UseAboveLimit, message);
    }
    let unlisted = if fault.is_none() { Some(quota.spec.unlisted_children) } else { before.unlisted_children };
    Ok(DepartmentQuotaStatus {
        observed_generation: quota.metadata.generation.unwrap_or_default(),
        summary: zhengyun_domain::condition::cut(
            usage.iter().map(|u| format!("{}: {} %", u.site, u.utilisation_percent)).collect::<Vec<_>>().join(", "),
            2000,
        ),
        adopted,
        unlisted_children: unlisted,
        usage,
        conditions: set.finish(),
    })
}

fn site_use(site: &str, charge: &Charge, total: &Amounts, hard: &Limits) -> SiteUse {
    let mut available = Amounts::new();
    let mut highest = 0_i64;
    for (resource, limit) in hard.iter() {
        let Limit::AtMost(limit) = limit else { continue };
        let used = total.get(resource);
        if let Ok(left) = limit.checked_sub(&used)
            && !left.is_negative()
        {
            available.set(resource.clone(), left);
        }
        let percent = used.milli().saturating_mul(100).checked_div(limit.milli()).unwrap_or(0);
        highest = highest.max(i64::try_from(percent).unwrap_or(i64::MAX));
    }
    SiteUse {
        site: site.to_owned(),
        reserved: quota::texts(&charge.reserved),
        granted: quota::texts(&charge.granted),
        available: quota::texts(&available),
        utilisation_percent: highest,
    }
}

async fn remove(context: &Context, own: &DepartmentQuota) -> Outcome {
    let name = own.name_any();
    let api = context.cluster::<DepartmentQuota>();
    if !has_finalizer(own, marks::FINALIZER_QUOTA) {
        return Ok(Action::await_change());
    }
    let charged = context.ledger.charged_at(&name);
    if charged.is_empty() {
        for ledger in context.ledger.all() {
            // Zero first: nothing may be charged between here and the moment at which the object is gone.
            ledger.set_line(&name, Some(QuotaLine::default()));
        }
        if context.ledger.charged_at(&name).is_empty() {
            remove_finalizer(&api, own, marks::FINALIZER_QUOTA).await?;
            for ledger in context.ledger.all() {
                ledger.set_line(&name, None);
            }
            return Ok(Action::await_change());
        }
    }
    let message = format!(
        "the quota cannot be deleted while charges at {} rest on it; revoke them, then the deletion goes on by itself",
        charged.join(", ")
    );
    let before = own.status.clone().unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, own.metadata.generation, context.clock.now());
    set.stalled(Reason::InUse, message.clone())
        .yes(ConditionType::DeletionBlocked, Reason::InUse, message)
        .keep(ConditionType::Accepted);
    let status = DepartmentQuotaStatus { conditions: set.finish(), ..before };
    if own.status.as_ref() != Some(&status) {
        replace_status(&api, own, own.status.as_ref(), &status).await?;
    }
    Ok(Action::requeue(Duration::from_secs(10)))
}
