//! Sites: connected, fenced, identified, measured; their ledgers opened.

mod observe;
mod report;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use zhengyun_crds::site::{Site, SiteStatus};
use zhengyun_crds::{Condition, ConditionType, Reason, marks};
use zhengyun_domain::amounts::Limits;
use zhengyun_domain::condition::ConditionSet;
use zhengyun_domain::quota;

use super::Context;
use crate::ledger::SiteLedger;
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::{add_finalizer, has_finalizer, remove_finalizer, replace_status};

/// How often a site is looked at although nothing was seen to change.
const LOOK: Duration = Duration::from_secs(30);
/// How soon a site that may go but for its ledger is looked at again.
const AGAIN: Duration = Duration::from_secs(2);

/// Whether a site takes deliveries.
pub fn is_ready(site: &Site) -> bool {
    site.status.as_ref().is_some_and(|s| zhengyun_crds::condition::is_true(&s.conditions, ConditionType::Ready))
}

/// Brings a site up to date.
///
/// # Errors
/// When the hub does not answer or the site object changed meanwhile. A site that does not answer is a condition.
pub async fn reconcile(context: Arc<Context>, site: Arc<Site>) -> Outcome {
    let api = context.cluster::<Site>();
    let leaves = site.metadata.deletion_timestamp.is_some();
    if !has_finalizer(site.as_ref(), marks::FINALIZER_SITE) {
        if !leaves {
            add_finalizer(&api, site.as_ref(), marks::FINALIZER_SITE).await?;
        }
        return Ok(Action::await_change());
    }
    let ledger = context
        .ledger
        .open(&context.hub.calls, &site, &context.identity, &context.metrics)
        .await
        .map_err(|e| ReconcileError::Transient(e.to_string()))?;
    let resting = if leaves { resting(&context, &site) } else { 0 };
    if leaves && resting == 0 && ledger.books().totals().is_zero() {
        // Its ledger stays as a record, and says nothing then that is not so.
        return if ledger.is_tidy().await { remove(&context, &site).await } else { Ok(Action::requeue(AGAIN)) };
    }
    // A site that leaves is served until nothing rests on it: what stands there can only be revoked through it.
    let found = observe::observe(&context, &site, &ledger).await;
    let mut status = report::report(&site, &ledger, &found, context.clock.now()).await?;
    if leaves {
        status.conditions = blocked(&site, status.conditions, resting, context.clock.now());
    }
    // A capacity that was cut holds at once; a raise only after it is recorded.
    let wanted = adopted_capacity(&status)?;
    let current = ledger.books().limits().capacity.clone();
    put_in_force(&ledger, current.lower_of(&wanted));
    if site.status.as_ref() != Some(&status) {
        replace_status(&api, site.as_ref(), site.status.as_ref(), &status).await?;
    }
    put_in_force(&ledger, wanted);
    Ok(Action::requeue(spread(LOOK, &site.name_any(), 0)))
}

fn adopted_capacity(status: &SiteStatus) -> Result<Limits, ReconcileError> {
    let adopted = status.adopted.as_ref().map(|a| quota::amounts("status.adopted.capacity", &a.capacity)).transpose();
    Ok(adopted.map_err(|e| ReconcileError::Transient(e.to_string()))?.unwrap_or_default().into())
}

fn put_in_force(ledger: &SiteLedger, capacity: Limits) {
    // The books are asked first and let go: setting takes their lock again.
    let differs = ledger.books().limits().capacity != capacity;
    if differs {
        ledger.set_capacity(capacity);
    }
}

/// Grants at a site that have not ended.
fn resting(context: &Context, site: &Site) -> usize {
    let name = site.name_any();
    let grants = context.watches.grants.all();
    grants
        .iter()
        .filter(|g| g.spec.site == name && super::grant::phase(g) != zhengyun_crds::GrantPhase::Revoked)
        .count()
}

/// Nothing rests on the site: its ledger is closed, so that one of the same name begins anew, and the object may go.
async fn remove(context: &Context, site: &Site) -> Outcome {
    let name = site.name_any();
    context.links.drop_site(&name);
    context.ledger.close(&name);
    remove_finalizer(&context.cluster::<Site>(), site, marks::FINALIZER_SITE).await?;
    Ok(Action::await_change())
}

/// What a site says that is to be deleted and cannot be yet; the rest of what was found out about it stays.
fn blocked(site: &Site, mut found: Vec<Condition>, grants: usize, now: Timestamp) -> Vec<Condition> {
    let message = format!(
        "the site cannot be deleted while {grants} grants or charges rest on it; revoke them, then the deletion goes on by itself"
    );
    let before = site.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    let mut set = ConditionSet::new(&before, site.metadata.generation, now);
    set.stalled(Reason::InUse, message.clone()).yes(ConditionType::DeletionBlocked, Reason::InUse, message);
    let mut all = set.finish();
    found.retain(|c| all.iter().all(|said| said.type_ != c.type_));
    all.extend(found);
    all.sort_by(|a, b| a.type_.cmp(&b.type_));
    all
}
