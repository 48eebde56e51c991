//! Revocation: frozen, removed, proven, released, and only then recorded.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use zhengyun_crds::grant::{ClaimRecord, InventoryEntry, ResourceGrant, ResourceGrantStatus, RevokeStep};
use zhengyun_crds::ledger::ObjectCharge;
use zhengyun_crds::request::Disposition;
use zhengyun_crds::{GrantPhase, Reason, RequestPhase, ResourceRequest};
use zhengyun_domain::delivery::desired;
use zhengyun_domain::grant;
use zhengyun_domain::ledger::{Change, Charge};
use zhengyun_domain::seeded::{self, Bug};

use super::super::Context;
use super::charge::charged_object;
use super::deliver::intend;
use super::looked::{LONG_END, Seen};
use super::{StepError, keep, namespace_of, watch_kinds, write};
use crate::ledger::{LedgerError, SiteLedger};
use crate::runtime::watches::key;
use crate::site::driver::{Removal, SiteDriver, Zero};
use crate::site::link::SiteLink;

/// How soon a removal under way is looked at again, and later how seldom; the site's watch usually comes first.
const SOON: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(15);
/// A removal that takes longer tells what is left; namespaces take some seconds to go.
const WORTH_A_WORD: SignedDuration = SignedDuration::from_secs(15);
/// How often residue is looked for again.
const RESIDUE: Duration = Duration::from_secs(10);

pub(super) async fn freeze(
    context: &Context,
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    link: &Arc<SiteLink>,
    until: Timestamp,
    now: Timestamp,
) -> Result<Action, StepError> {
    let message = format!(
        "frozen until {until}: network denied, workloads stopped, data kept; the authority may undo it until then"
    );
    let held = frozen(api, held, link, &message, now).await?;
    if held.spec.revocation.as_ref().is_some_and(|r| r.disposition == Disposition::KeepBackup) {
        let message = format!("{message}; {}", keep::ahead(context, &held, now).await?);
        write(api, &held, &grant::revoking(&held, RevokeStep::Frozen, &message, None, now)).await?;
    }
    if seeded::is(Bug::HoldNeverEnds) {
        return Ok(Action::await_change());
    }
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    // Pods that a controller makes again in spite of the quota are looked for meanwhile.
    Ok(Action::requeue(wait.min(Duration::from_secs(30)).max(Duration::from_millis(50))))
}

/// Network and workloads are stopped, data stays.
pub(super) async fn frozen(
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    link: &Arc<SiteLink>,
    message: &str,
    now: Timestamp,
) -> Result<ResourceGrant, StepError> {
    let namespace = namespace_of(held)?.to_owned();
    // Begun before anything is stopped: whoever resumes knows why the network is denied.
    let begun = |held: &ResourceGrant| grant::revoking(held, RevokeStep::Frozen, message, None, now);
    let held = begin(api, held, RevokeStep::Frozen, begun(held)).await?;
    let wanted = desired(&held, &namespace, true);
    let held = intend(api, &held, &wanted).await?;
    watch_kinds(link, &held);
    let status = held.status.clone().unwrap_or_default();
    let uid = held.uid().unwrap_or_default();
    let applied = link.freeze(&wanted, &status.inventory, &uid, &namespace).await?;
    let inventory = with_uids(&status.inventory, &applied.inventory);
    let keeps = held.spec.revocation.as_ref().is_some_and(|r| r.disposition == Disposition::KeepBackup);
    // What is said of a restore point stands until there is more to say.
    let said = if keeps { held.status.clone().unwrap_or_default() } else { begun(&held) };
    Ok(write(api, &held, &ResourceGrantStatus { inventory, ..said }).await?)
}

/// Writes down that a step begins, once: what a later look found says more, and saying it in turns would have the grant looked at
/// without end.
async fn begin(
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    step: RevokeStep,
    begun: ResourceGrantStatus,
) -> Result<ResourceGrant, StepError> {
    let under_way = |s: &ResourceGrantStatus| s.phase == Some(GrantPhase::Revoking) && s.step == Some(step);
    if held.status.as_ref().is_some_and(under_way) {
        return Ok(held.clone());
    }
    Ok(write(api, held, &begun).await?)
}

pub(super) async fn remove(
    context: &Context,
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    link: &Arc<SiteLink>,
    seen: Seen,
    now: Timestamp,
) -> Result<Action, StepError> {
    let namespace = namespace_of(held)?.to_owned();
    if was_undone(context, held).await? {
        return Ok(Action::requeue(RESIDUE));
    }
    let begun = grant::revoking(
        held,
        RevokeStep::Removing,
        "the hold is over; workloads, data and namespace are being removed",
        None,
        now,
    );
    let held = begin(api, held, RevokeStep::Removing, begun).await?;
    if seeded::is(Bug::ReleasedBeforeZero) {
        release(&context.ledger.site(&held.spec.site)?, &held).await?;
    }
    watch_kinds(link, &held);
    let status = held.status.clone().unwrap_or_default();
    let claims = merged(&status.claims, link.claims(&namespace, &status.inventory).await?);
    // The UIDs of claims are written down before the claims go: what they leave behind is found by them.
    let held = write(api, &held, &ResourceGrantStatus { claims, ..status }).await?;
    let status = held.status.clone().unwrap_or_default();
    let uid = held.uid().unwrap_or_default();
    let removal = link.remove(&namespace, &status.inventory, &uid).await?;
    if !removal.remaining.is_empty() {
        return being_removed(context, api, &held, RevokeStep::Removing, (&removal, seen), link, now).await;
    }
    settle(context, api, &held, link, now).await
}

/// Whether the order to end a grant was taken back before anything was removed: asked of the hub itself, because what is removed
/// does not come back. The request's own controller then takes the revocation off the grant.
async fn was_undone(context: &Context, held: &ResourceGrant) -> Result<bool, StepError> {
    let begun = held.status.as_ref().is_some_and(|s| s.step == Some(RevokeStep::Removing));
    let Some(revocation) = held.spec.revocation.as_ref().filter(|_| !begun) else { return Ok(false) };
    let requests: Api<ResourceRequest> = context.namespaced(&held.namespace().unwrap_or_default());
    let order = requests.get_opt(&revocation.request.name).await?;
    let order = order.filter(|r| r.uid().as_deref() == Some(revocation.request.uid.as_str()));
    Ok(order.is_some_and(|r| super::super::request::phase(&r) == RequestPhase::Withdrawn))
}

async fn being_removed(
    context: &Context,
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    step: RevokeStep,
    (removal, seen): (&Removal, Seen),
    link: &SiteLink,
    now: Timestamp,
) -> Result<Action, StepError> {
    // What goes as fast as usual needs no word for each part of it.
    let due = held.spec.revocation.as_ref().map_or(now, |r| r.hold_until.0);
    let lasted = now.duration_since(due);
    let mut version = held.metadata.resource_version.clone();
    if lasted >= WORTH_A_WORD {
        let what = removal.remaining.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
        let next = grant::revoking(held, step, &format!("being removed: {what}"), None, now);
        version = write(api, held, &next).await?.metadata.resource_version;
    }
    // Where many namespaces go at a time each takes long, and to ask for each of them again and again makes all of them slower.
    if removal.namespace_alone && link.sees_all() {
        context.looked.done(&key(held), version, seen);
        return Ok(Action::requeue(LONG_END));
    }
    Ok(Action::requeue(Duration::try_from(lasted).unwrap_or_default().clamp(SOON, SELDOM)))
}

/// What an earlier look removed is proven gone.
pub(super) async fn prove(
    context: &Context,
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    link: &Arc<SiteLink>,
    seen: Seen,
    now: Timestamp,
) -> Result<Action, StepError> {
    let namespace = namespace_of(held)?.to_owned();
    let status = held.status.clone().unwrap_or_default();
    let uid = held.uid().unwrap_or_default();
    // Another operator may have delivered between the removal and this look, when one of the two did not know yet that it lost the
    // ledger: what came after the removal is removed as well.
    let removal = link.remove(&namespace, &status.inventory, &uid).await?;
    if !removal.remaining.is_empty() {
        return being_removed(context, api, held, RevokeStep::Proving, (&removal, seen), link, now).await;
    }
    settle(context, api, held, link, now).await
}

/// Zero is proven once nothing is left to remove, then the ledger releases the charge, then one write records the end.
async fn settle(
    context: &Context,
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    link: &Arc<SiteLink>,
    now: Timestamp,
) -> Result<Action, StepError> {
    let namespace = namespace_of(held)?.to_owned();
    let status = held.status.clone().unwrap_or_default();
    let checks = match link.prove_zero(&namespace, &status.inventory, &held.spec.bundle.residue, &status.claims).await?
    {
        Zero::Proven(checks) => checks,
        Zero::Residue(left) => {
            let what = left.join(", ");
            let next = grant::revoking(held, RevokeStep::Proving, "zero is not proven", Some(&what), now);
            if held.status.as_ref() != Some(&next) {
                context.events.warn(held, "Prove", Reason::RetainedStorage.as_str(), &what);
            }
            write(api, held, &next).await?;
            return Ok(Action::requeue(RESIDUE));
        }
    };
    conclude(context, api, held, checks, now).await
}

/// The end, after zero was proven: the ledger releases the charge, then one write records that.
pub(super) async fn conclude(
    context: &Context,
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    checks: Vec<String>,
    now: Timestamp,
) -> Result<Action, StepError> {
    let ledger = context.ledger.site(&held.spec.site)?;
    let early = seeded::is(Bug::StatusBeforeCommit);
    let sequence = if early { ledger.mark().await?.saturating_add(1) } else { release(&ledger, held).await? };
    let charge = ObjectCharge { site: held.spec.site.clone(), sequence, ..ObjectCharge::default() };
    let next = grant::revoked(held, charge, checks, now);
    write(api, held, &next).await?;
    if early {
        release(&ledger, held).await?;
    }
    ledger.acknowledge(&held.uid().unwrap_or_default(), sequence).await;
    context.events.normal(
        held,
        "Revoke",
        Reason::Revoked.as_str(),
        &format!("zero was proven at site {}, the charge is released", held.spec.site),
    );
    Ok(Action::await_change())
}

/// Brings the charge in the ledger to zero, once, and tells the sequence.
async fn release(ledger: &SiteLedger, held: &ResourceGrant) -> Result<i64, LedgerError> {
    let uid = held.uid().unwrap_or_default();
    if ledger.booked(&uid).is_zero() {
        // Released before a crash: the journal or the last commit has the sequence.
        return ledger.mark().await;
    }
    let change =
        Change { object: charged_object(held), department: held.spec.department.clone(), charge: Charge::zero() };
    ledger.decide(vec![change]).await
}

fn merged(known: &[ClaimRecord], found: Vec<ClaimRecord>) -> Vec<ClaimRecord> {
    let mut all = known.to_vec();
    for claim in found {
        if !all.iter().any(|c| c.uid == claim.uid) {
            all.push(claim);
        }
    }
    all
}

/// The inventory with the UIDs and states that were found; entries that were not looked at stay.
fn with_uids(inventory: &[InventoryEntry], found: &[InventoryEntry]) -> Vec<InventoryEntry> {
    let mut all = inventory.to_vec();
    for entry in &mut all {
        if let Some(seen) = found.iter().find(|f| {
            (&f.group, &f.kind, &f.namespace, &f.name) == (&entry.group, &entry.kind, &entry.namespace, &entry.name)
        }) {
            entry.clone_from(seen);
        }
    }
    all
}
