//! What a site says about itself.

use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::site::{AdoptedCapacity, Site, SiteStatus};
use zhengyun_crds::{ConditionType as C, Reason};
use zhengyun_domain::amounts::{Amounts, Limits};
use zhengyun_domain::condition::ConditionSet;
use zhengyun_domain::quota;

use super::observe::Found;
use crate::ledger::SiteLedger;
use crate::runtime::controller::ReconcileError;

/// A credential that ends sooner than this is announced. Tokens that live shorter by design are rotated by their owner.
const EXPIRY_NOTICE: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) async fn report(
    site: &Site,
    ledger: &SiteLedger,
    found: &Found,
    now: Timestamp,
) -> Result<SiteStatus, ReconcileError> {
    let before = site.status.clone().unwrap_or_default();
    let generation = site.metadata.generation.unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, Some(generation), now);
    credential(&mut set, found, now);
    reachability(&mut set, site, found);
    let adopted = match &before.adopted {
        Some(adopted) if adopted.capacity == site.spec.capacity => adopted.clone(),
        _ => AdoptedCapacity {
            generation,
            sequence: ledger.mark().await.map_err(ReconcileError::from)?,
            capacity: site.spec.capacity.clone(),
        },
    };
    let capacity =
        quota::amounts("spec.capacity", &adopted.capacity).map_err(|e| ReconcileError::Transient(e.to_string()))?;
    let total = ledger.books().totals().total().map_err(|e| ReconcileError::Transient(e.to_string()))?;
    let held = ledger.books().held().map(str::to_owned);
    capacities(&mut set, &capacity, &total, found);
    if !found.swept {
        set.keep(C::Swept);
    } else if found.strangers.is_empty() {
        set.yes(C::Swept, Reason::AsIntended, "everything labelled at the site belongs to a live grant");
    } else {
        set.no(
            C::Swept,
            Reason::UnknownGrantAtSite,
            format!("at the site without a live grant: {}", found.strangers.join(", ")),
        );
    }
    verdict(&mut set, site, found, held.as_deref());
    Ok(SiteStatus {
        observed_generation: generation,
        version: found.version.clone().or(before.version),
        identity: found.identity.clone().or(before.identity),
        fence_epoch: found.fence_epoch.unwrap_or(before.fence_epoch),
        adopted: Some(adopted),
        used: quota::texts(&total),
        summary: zhengyun_domain::condition::cut(use_line(&capacity, &total), 1000),
        conditions: set.finish(),
    })
}

fn credential(set: &mut ConditionSet<'_>, found: &Found, now: Timestamp) {
    match (&found.credential_fault, found.expires) {
        (Some(fault), _) => set.no(C::CredentialValid, Reason::KubeconfigRefused, fault.clone()),
        (None, Some(end)) if end <= now => set.no(
            C::CredentialValid,
            Reason::ExpiresSoon,
            format!("the credential expired at {end}; put a new kubeconfig into the Secret"),
        ),
        // The time itself would change the message at every rotation of a short-lived token, so only its nearness is told.
        (None, Some(end)) if end.duration_since(now) < EXPIRY_NOTICE => set.yes(
            C::CredentialValid,
            Reason::ExpiresSoon,
            "the credential expires within 30 days; renew it in the Secret, unless something rotates it",
        ),
        (None, _) => set.yes(C::CredentialValid, Reason::AsIntended, "the kubeconfig is usable"),
    };
}

fn reachability(set: &mut ConditionSet<'_>, site: &Site, found: &Found) {
    match (&found.credential_fault, &found.unreachable) {
        (Some(_), _) => set.unknown(C::Reachable, Reason::KubeconfigRefused, "there is no usable kubeconfig"),
        (None, Some(why)) => set.no(C::Reachable, Reason::SiteUnreachable, why.clone()),
        (None, None) => set.yes(C::Reachable, Reason::Reachable, "the site answers"),
    };
    match (&found.identity_fault, &found.identity) {
        (Some((reason, message)), _) => set.no(C::IdentityConfirmed, *reason, message.clone()),
        (None, Some(_)) => set.yes(
            C::IdentityConfirmed,
            Reason::AsIntended,
            "the site is the cluster that was joined, and its fence is ours",
        ),
        (None, None) if site.status.is_some() => set.keep(C::IdentityConfirmed),
        (None, None) => set.unknown(C::IdentityConfirmed, Reason::Pending, "not seen yet"),
    };
}

fn capacities(set: &mut ConditionSet<'_>, capacity: &Amounts, total: &Amounts, found: &Found) {
    let limits: Limits = capacity.clone().into();
    let over = limits.exceeded_by(total).unwrap_or_default();
    if over.is_empty() {
        set.no(C::OverLimit, Reason::WithinLimit, "what is charged is within the capacity");
    } else {
        let message: Vec<String> = over
            .iter()
            .map(|s| {
                format!("{}: {} is charged, the capacity is {}, over by {}", s.resource, s.used, s.limit, s.short_by)
            })
            .collect();
        set.yes(
            C::OverLimit,
            Reason::UseAboveLimit,
            format!("{}; nothing is taken away, nothing new is granted until it fits", message.join("; ")),
        );
    }
    let Some(allocatable) = &found.allocatable else { return };
    let short: Vec<String> = Limits::from(allocatable.clone())
        .exceeded_by(
            &capacity
                .iter()
                .filter(|(r, _)| matches!(r.as_str(), "cpu" | "memory"))
                .map(|(r, q)| (r.clone(), *q))
                .collect(),
        )
        .unwrap_or_default()
        .iter()
        .map(|s| format!("{}: {} is declared, the nodes offer {}", s.resource, s.used, s.limit))
        .collect();
    if short.is_empty() {
        set.yes(C::CapacityBacked, Reason::AsIntended, "the nodes offer what is declared");
    } else {
        set.no(C::CapacityBacked, Reason::CapacityShort, format!("{}; declare less, or add nodes", short.join("; ")));
    }
}

fn verdict(set: &mut ConditionSet<'_>, site: &Site, found: &Found, held: Option<&str>) {
    if let Some(fault) = &found.credential_fault {
        set.stalled(Reason::KubeconfigRefused, fault.clone());
    } else if let Some(why) = &found.unreachable {
        set.no(
            C::Ready,
            Reason::SiteUnreachable,
            format!("{why}; what stands there goes on, new deliveries and revocations wait"),
        );
    } else if let Some((reason, message)) = &found.identity_fault {
        set.stalled(*reason, message.clone());
    } else if let Some(held) = held {
        set.stalled(Reason::LedgerHeld, held);
    } else {
        let name = site.metadata.name.as_deref().unwrap_or_default();
        set.yes(C::Ready, Reason::AsIntended, format!("site {name} answers and takes deliveries"));
    }
}

fn use_line(capacity: &Amounts, total: &Amounts) -> String {
    capacity
        .iter()
        .map(|(resource, limit)| format!("{resource} {}/{limit}", total.get(resource)))
        .collect::<Vec<_>>()
        .join(", ")
}
