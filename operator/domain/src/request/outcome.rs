//! What a request says once the ledger answered.

use jiff::Timestamp;
use zhengyun_crds::ledger::ObjectCharge;
use zhengyun_crds::request::{Refusal, RequestPhase, ResourceRequestStatus};

use super::machine::{Event, step};
use super::plan::Observed;
use super::status;
use crate::amounts::Amounts;
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

/// The status of a Create request once its grant holds the charge.
pub fn applied(observed: &Observed<'_>, grant: &str, now: Timestamp) -> ResourceRequestStatus {
    let before = observed.request.status.clone().unwrap_or_default();
    let phase = step(RequestPhase::Approved, Event::Applied).unwrap_or(RequestPhase::Applied);
    let mut status = status::ended(observed, &before, phase, None, now);
    status.grant = Some(grant.to_owned());
    status
}
