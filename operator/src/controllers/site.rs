//! Sites: connected, fenced, identified, measured; their ledgers opened.

mod observe;
mod report;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use zhengyun_crds::site::{Site, SiteStatus};
use zhengyun_crds::{ConditionType, Reason, marks};
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
    if site.metadata.deletion_timestamp.is_some() {
        return remove(&context, &site).await;
    }
    if !has_finalizer(site.as_ref(), marks::FINALIZER_SITE) {
        add_finalizer(&api, site.as_ref(), marks::FINALIZER_SITE).await?;
        return Ok(Action::await_change());
    }
    let ledger = context
        .ledger
        .open(&context.hub.calls, &site, &context.identity, &context.metrics)
        .await
        .map_err(|e| ReconcileError::Transient(e.to_string()))?;
    let found = observe::observe(&context, &site, &ledger).await;
    let status = report::report(&site, &ledger, &found, context.clock.now()).await?;
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

async fn remove(context: &Context, site: &Site) -> Outcome {
    let name = site.name_any();
    let api = context.cluster::<Site>();
    if !has_finalizer(site, marks::FINALIZER_SITE) {
        return Ok(Action::await_change());
    }
    let charged = context.ledger.site(&name).is_ok_and(|l| !l.books().totals().is_zero());
    let grants = context
        .watches
        .grants
        .all()
        .iter()
        .filter(|g| g.spec.site == name && super::grant::phase(g) != zhengyun_crds::GrantPhase::Revoked)
        .count();
    if !charged && grants == 0 {
        context.links.drop_site(&name);
        remove_finalizer(&api, site, marks::FINALIZER_SITE).await?;
        return Ok(Action::await_change());
    }
    let message = format!(
        "the site cannot be deleted while {grants} grants or charges rest on it; revoke them, then the deletion goes on by itself"
    );
    let before = site.status.clone().unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, site.metadata.generation, context.clock.now());
    set.stalled(Reason::InUse, message.clone()).yes(ConditionType::DeletionBlocked, Reason::InUse, message);
    set.keep(ConditionType::Reachable).keep(ConditionType::IdentityConfirmed).keep(ConditionType::CredentialValid);
    let status = SiteStatus { conditions: set.finish(), ..before };
    if site.status.as_ref() != Some(&status) {
        replace_status(&api, site, site.status.as_ref(), &status).await?;
    }
    Ok(Action::requeue(Duration::from_secs(10)))
}
