//! Delivery: intents are written down before effects, UIDs after them.

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use zhengyun_crds::grant::{InventoryEntry, ResourceGrant, ResourceGrantStatus};
use zhengyun_crds::{GrantPhase, Reason};
use zhengyun_domain::delivery::{Desired, desired};
use zhengyun_domain::grant::{self, Delivery};
use zhengyun_domain::seeded::{self, Bug};

use super::super::Context;
use super::looked::Seen;
use super::{StepError, look_again, namespace_of, phase, watch_kinds, write};
use crate::runtime::metrics::SiteLabel;
use crate::runtime::watches::key;
use crate::site::driver::SiteDriver;
use crate::site::link::SiteLink;

pub(super) async fn deliver(
    context: &Context,
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    link: &Arc<SiteLink>,
    seen: Seen,
    now: Timestamp,
) -> Result<Action, StepError> {
    let namespace = namespace_of(held)?.to_owned();
    let wanted = desired(held, &namespace, false);
    let held = intend(api, held, &wanted).await?;
    watch_kinds(link, &held);
    let status = held.status.clone().unwrap_or_default();
    let uid = held.uid().unwrap_or_default();
    let applied = link.apply(&wanted, &status.inventory, &uid, &held.spec.bundle.readiness).await?;
    let delivery = Delivery {
        inventory: applied.inventory,
        failures: applied.failures,
        confirmed_by: confirmation(context, &held),
    };
    context.metrics.delivered.get_or_create(&SiteLabel { site: held.spec.site.clone() }).inc_by(applied.changed);
    let failures = delivery.failures.clone();
    let next = grant::delivering(&held, delivery, now);
    announce(context, &held, &next, &failures);
    let ready = next.inventory.iter().all(|e| e.state == "Ready");
    let written = write(api, &held, &next).await?;
    let in_place = ready && failures.is_empty();
    context.looked.done(&key(&held), written.metadata.resource_version.filter(|_| in_place), seen);
    // Progress arrives by the site's watch; the timer is for what no watch shows.
    Ok(if in_place { look_again(link, &held) } else { Action::requeue(std::time::Duration::from_secs(5)) })
}

/// Writes every object into the inventory before the first of them exists.
pub(super) async fn intend(
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    wanted: &[Desired],
) -> Result<ResourceGrant, StepError> {
    let status = held.status.clone().unwrap_or_default();
    let mut inventory = status.inventory.clone();
    for entry in wanted.iter().map(|d| &d.entry) {
        if !inventory.iter().any(|known| same(known, entry)) {
            inventory.push(entry.clone());
        }
    }
    if inventory == status.inventory || seeded::is(Bug::InventoryAfterEffect) {
        return Ok(held.clone());
    }
    Ok(write(api, held, &ResourceGrantStatus { inventory, ..status }).await?)
}

fn same(a: &InventoryEntry, b: &InventoryEntry) -> bool {
    (&a.group, &a.kind, &a.namespace, &a.name) == (&b.group, &b.kind, &b.namespace, &b.name)
}

/// Who confirmed the delivery, by the request that the grant comes from.
fn confirmation(context: &Context, held: &ResourceGrant) -> Option<String> {
    if let Some(who) = held.status.as_ref().and_then(|s| s.confirmed_by.clone()) {
        return Some(who);
    }
    let namespace = held.namespace()?;
    let request = context.watches.requests.get_in(&namespace, &held.spec.request.name)?;
    let ours = request.uid().as_deref() == Some(held.spec.request.uid.as_str());
    (ours && request.spec.delivery_confirmed).then(|| request.spec.edited_by.clone())
}

fn announce(context: &Context, held: &ResourceGrant, next: &ResourceGrantStatus, failures: &[String]) {
    let before = held.status.as_ref().and_then(|s| s.phase);
    if before != next.phase && next.phase == Some(GrantPhase::InService) {
        context.events.normal(
            held,
            "Deliver",
            Reason::InService.as_str(),
            &format!("in service at site {}", held.spec.site),
        );
    }
    if phase(held) != GrantPhase::InService && !failures.is_empty() {
        context.events.warn(held, "Deliver", Reason::ApplyRefused.as_str(), &failures.join("; "));
    }
}
