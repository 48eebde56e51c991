//! What a grant says about itself.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zhengyun_crds::ConditionType as C;
use zhengyun_crds::Reason;
use zhengyun_crds::grant::{GrantPhase, InventoryEntry, ResourceGrant, ResourceGrantStatus, RevokeStep, ZeroProof};
use zhengyun_crds::ledger::ObjectCharge;

use super::machine::{Event, step};
use crate::condition::ConditionSet;
use crate::seeded::{self, Bug};

/// What was found at the site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Everything that should be there, with UID and state.
    pub inventory: Vec<InventoryEntry>,
    /// Failures that wait for a user, one sentence each.
    pub failures: Vec<String>,
    /// The department's confirmation, if given: who.
    pub confirmed_by: Option<String>,
}

impl Delivery {
    fn all_ready(&self) -> bool {
        let ready = |e: &InventoryEntry| e.state == "Ready" || seeded::is(Bug::ReadyTooEarly);
        self.failures.is_empty() && !self.inventory.is_empty() && self.inventory.iter().all(ready)
    }
}

fn base(grant: &ResourceGrant) -> ResourceGrantStatus {
    ResourceGrantStatus {
        observed_generation: grant.metadata.generation.unwrap_or_default(),
        ..grant.status.clone().unwrap_or_default()
    }
}

fn conditions(grant: &ResourceGrant, now: Timestamp) -> ConditionSet<'_> {
    let before = grant.status.as_ref().map_or(&[][..], |s| s.conditions.as_slice());
    ConditionSet::new(before, grant.metadata.generation, now)
}

/// The ledger moved the charge to the grant: delivery may begin.
pub fn charged(grant: &ResourceGrant, namespace: &str, charge: ObjectCharge, now: Timestamp) -> ResourceGrantStatus {
    let before = base(grant);
    let phase = before.phase.unwrap_or(GrantPhase::Pending);
    let mut set = conditions(grant, now);
    set.reconciling(Reason::Provisioning, format!("charged; delivery to site {} begins", grant.spec.site));
    set.no(C::Delivered, Reason::Provisioning, "nothing is delivered yet");
    ResourceGrantStatus {
        phase: Some(step(phase, Event::Charged).unwrap_or(phase)),
        summary: crate::condition::cut(line(&charge), 500),
        charge: Some(charge),
        namespace: Some(namespace.to_owned()),
        conditions: set.finish(),
        ..before
    }
}

/// The state of a delivery.
pub fn delivering(grant: &ResourceGrant, delivery: Delivery, now: Timestamp) -> ResourceGrantStatus {
    let before = base(grant);
    let was_revoking = before.phase == Some(GrantPhase::Revoking);
    let mut phase = before.phase.unwrap_or(GrantPhase::Pending);
    if was_revoking {
        phase = step(phase, Event::RevocationUndone).unwrap_or(phase);
    }
    let ready = delivery.inventory.iter().filter(|e| e.state == "Ready").count();
    let count = delivery.inventory.len();
    let confirmed = !grant.spec.confirm || delivery.confirmed_by.is_some();
    let mut set = conditions(grant, now);
    let site = &grant.spec.site;
    if delivery.all_ready() {
        set.yes(C::Delivered, Reason::InService, format!("all {count} objects stand at site {site}"));
        if confirmed {
            phase = step(phase, Event::Accepted).unwrap_or(phase);
            set.yes(C::Ready, Reason::InService, format!("in service at site {site}"));
        } else {
            set.yes(
                C::Ready,
                Reason::AwaitingConfirmation,
                "delivered; the department must confirm it: set spec.deliveryConfirmed on the request, or use the API",
            );
        }
    } else if delivery.failures.is_empty() {
        let waiting: Vec<String> =
            delivery.inventory.iter().filter(|e| e.state != "Ready").take(5).map(describe).collect();
        let message =
            format!("{ready} of {count} objects are ready at site {site}; waiting for {}", waiting.join("; "));
        set.no(C::Delivered, Reason::Provisioning, message.clone());
        set.reconciling(Reason::Provisioning, message);
    } else {
        let message = format!("{ready} of {count} objects are ready at site {site}; {}", delivery.failures.join("; "));
        let reason = if delivery.failures.iter().any(|f| f.contains("is not ours")) {
            Reason::ForeignObject
        } else {
            Reason::ApplyRefused
        };
        set.no(C::Delivered, reason, message.clone());
        set.stalled(reason, message);
    }
    if grant.spec.confirm {
        match &delivery.confirmed_by {
            Some(who) => set.yes(C::Confirmed, Reason::AsIntended, format!("confirmed by {who}")),
            None => {
                set.unknown(C::Confirmed, Reason::AwaitingConfirmation, "the department has not confirmed the delivery")
            }
        };
    }
    ResourceGrantStatus {
        phase: Some(phase),
        step: None,
        inventory: delivery.inventory,
        confirmed_by: delivery.confirmed_by,
        conditions: set.finish(),
        ..before
    }
}

/// The site or something at it stands in the way; nothing else changes.
pub fn refused(
    grant: &ResourceGrant,
    reason: Reason,
    message: &str,
    retrying: bool,
    now: Timestamp,
) -> ResourceGrantStatus {
    let before = base(grant);
    let mut set = conditions(grant, now);
    if retrying {
        set.set(C::Ready, zhengyun_crds::ConditionStatus::False, reason, message);
        set.yes(C::Reconciling, reason, message);
    } else {
        set.stalled(reason, message);
    }
    set.keep(C::Delivered).keep(C::Confirmed).keep(C::RetainedStorage);
    if reason == Reason::SiteUnreachable {
        set.no(C::Reachable, reason, message);
    }
    // An approved revocation has begun even while its site does not answer: the charge stays, and so does the phase.
    let phase = match (before.phase, &grant.spec.revocation) {
        (Some(phase @ (GrantPhase::Provisioning | GrantPhase::InService)), Some(_)) => {
            step(phase, Event::RevocationOrdered).unwrap_or(phase)
        }
        (phase, _) => phase.unwrap_or(GrantPhase::Pending),
    };
    ResourceGrantStatus { phase: Some(phase), conditions: set.finish(), ..before }
}

/// The state of a revocation.
pub fn revoking(
    grant: &ResourceGrant,
    step_: RevokeStep,
    message: &str,
    residue: Option<&str>,
    now: Timestamp,
) -> ResourceGrantStatus {
    let before = base(grant);
    let phase = before.phase.unwrap_or(GrantPhase::Pending);
    let phase =
        if phase == GrantPhase::Revoking { phase } else { step(phase, Event::RevocationOrdered).unwrap_or(phase) };
    let reason = match step_ {
        RevokeStep::Frozen => Reason::Frozen,
        RevokeStep::Removing => Reason::Removing,
        RevokeStep::Proving => Reason::Proving,
    };
    let mut set = conditions(grant, now);
    match residue {
        Some(what) => {
            let message = format!(
                "still charged: {what}; remove it at site {} and the revocation finishes by itself",
                grant.spec.site
            );
            set.stalled(Reason::RetainedStorage, message.clone());
            set.yes(C::RetainedStorage, Reason::RetainedStorage, message);
        }
        None => {
            set.reconciling(reason, message);
        }
    }
    set.no(C::Delivered, reason, message);
    ResourceGrantStatus { phase: Some(phase), step: Some(step_), conditions: set.finish(), ..before }
}

/// The hold is over, and a restore point is waited for: what is there stays, stopped and charged.
pub fn keeping(
    grant: &ResourceGrant,
    reason: Reason,
    message: &str,
    for_a_person: bool,
    now: Timestamp,
) -> ResourceGrantStatus {
    let before = revoking(grant, RevokeStep::Frozen, message, None, now);
    let mut set = conditions(grant, now);
    if for_a_person {
        set.stalled(reason, message);
    } else {
        set.reconciling(reason, message);
    }
    set.no(
        C::Delivered,
        Reason::Frozen,
        "network denied, workloads stopped, data kept until a restore point is proven",
    );
    ResourceGrantStatus { conditions: set.finish(), ..before }
}

/// Zero was proven and the ledger released the charge: the record of the end.
pub fn revoked(
    grant: &ResourceGrant,
    charge: ObjectCharge,
    checks: Vec<String>,
    now: Timestamp,
) -> ResourceGrantStatus {
    let before = base(grant);
    let phase = before.phase.unwrap_or(GrantPhase::Pending);
    let mut set = conditions(grant, now);
    let message = format!(
        "ended; zero was proven at site {} by {} checks and the charge was released",
        grant.spec.site,
        checks.len()
    );
    set.yes(C::Ready, Reason::Revoked, message.clone()).yes(C::Complete, Reason::Revoked, message);
    set.no(C::Delivered, Reason::Revoked, "nothing is left");
    ResourceGrantStatus {
        phase: Some(step(phase, Event::ZeroProven).unwrap_or(phase)),
        step: None,
        charge: Some(charge),
        inventory: Vec::new(),
        claims: Vec::new(),
        zero_proof: Some(ZeroProof { at: Time(now), checks }),
        summary: "nothing".to_owned(),
        conditions: set.finish(),
        ..before
    }
}

/// It was never charged, so nothing of it was ever made: the record of that.
pub fn dropped(grant: &ResourceGrant, why: &str, now: Timestamp) -> ResourceGrantStatus {
    let before = base(grant);
    let phase = before.phase.unwrap_or(GrantPhase::Pending);
    let mut set = conditions(grant, now);
    set.no(C::Ready, Reason::Revoked, why).yes(C::Complete, Reason::Revoked, why);
    set.no(C::Delivered, Reason::Revoked, "nothing was ever made");
    ResourceGrantStatus {
        phase: Some(step(phase, Event::Dropped).unwrap_or(phase)),
        zero_proof: Some(ZeroProof {
            at: Time(now),
            checks: vec!["it was never charged, so nothing was made".to_owned()],
        }),
        summary: "nothing".to_owned(),
        conditions: set.finish(),
        ..before
    }
}

fn describe(entry: &InventoryEntry) -> String {
    let state =
        if entry.message.is_empty() { entry.state.clone() } else { format!("{}: {}", entry.state, entry.message) };
    format!("{} {} ({state})", entry.kind, entry.name)
}

fn line(charge: &ObjectCharge) -> String {
    let parts: Vec<String> = charge.granted.iter().map(|(r, q)| format!("{r} {q}")).collect();
    parts.join(", ")
}
