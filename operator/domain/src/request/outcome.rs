//! What a request says once the ledger answered.

use jiff::Timestamp;
use zhengyun_crds::ledger::ObjectCharge;
use zhengyun_crds::request::{Refusal, RequestPhase, ResourceRequest, ResourceRequestStatus};

use super::machine::{Event, step};
use super::plan::Observed;
use super::status;
use crate::amounts::Amounts;
use crate::ledger::Charge;
use crate::quota;

/// The status once the ledger reserved under `sequence`.
pub fn entered(
    mut status: ResourceRequestStatus,
    site: &str,
    sequence: Option<i64>,
    charge: &Amounts,
) -> ResourceRequestStatus {
    if let Some(sequence) = sequence {
        status.charge = Some(ObjectCharge {
            site: site.to_owned(),
            sequence,
            reserved: quota::texts(charge),
            granted: zhengyun_crds::Amounts::new(),
        });
    }
    status
}

/// The status of a request whose reservation the ledger refused.
pub fn refused(observed: &Observed<'_>, refusal: &crate::ledger::Refusal, now: Timestamp) -> ResourceRequestStatus {
    let before = observed.request.status.clone().unwrap_or_default();
    let phase = before.phase.unwrap_or(RequestPhase::Draft);
    let shortfalls = match refusal {
        crate::ledger::Refusal::DoesNotFit { effects, .. } => effects.clone(),
        _ => Vec::new(),
    };
    let refusal = Refusal {
        submission: observed.request.spec.submission,
        reason: refusal.reason().as_str().to_owned(),
        message: crate::condition::cut(refusal.to_string(), 2000),
        shortfalls,
    };
    status::refused(observed, &before, phase, refusal, now)
}

/// Whether the next status of a request has to say that it holds nothing, although nothing is left to release.
///
/// Its charge was released, but whoever released it ended, or was overtaken by another write, before the request could say so.
/// Then it shows a charge that the books do not have; or it shows none, as when it was withdrawn before it could show its
/// reservation, and the ledger's journal keeps the decision for it under the sequence `unshown` until it shows that one.
pub fn owes_zero(request: &ResourceRequest, booked: &Charge, unshown: Option<i64>) -> bool {
    let own = request.status.as_ref().and_then(|s| s.charge.as_ref());
    let shows = own.is_some_and(|c| !c.reserved.is_empty() || !c.granted.is_empty());
    let waited_for = unshown.is_some_and(|decided| own.is_none_or(|c| c.sequence < decided));
    booked.is_zero() && (shows || waited_for)
}

/// The status of a Create request once its grant holds the charge.
pub fn applied(observed: &Observed<'_>, grant: &str, now: Timestamp) -> ResourceRequestStatus {
    let before = observed.request.status.clone().unwrap_or_default();
    let phase = step(RequestPhase::Approved, Event::Applied).unwrap_or(RequestPhase::Applied);
    let mut status = status::ended(observed, &before, phase, None, now);
    status.grant = Some(grant.to_owned());
    status
}
