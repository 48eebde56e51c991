//! Grants: phases, and what a grant says about itself.

mod keep;
mod machine;
mod status;

pub use keep::{Facts, Kept, REVOCATION, keep, proves};
pub use machine::{Event, Illegal, step};
pub use status::{Delivery, charged, delivering, dropped, keeping, refused, revoked, revoking};

use jiff::Timestamp;
use zhengyun_crds::grant::{GrantPhase, ResourceGrant, RevokeStep};
use zhengyun_crds::request::Disposition;

use crate::seeded::{self, Bug};

/// The next thing to do with a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Nothing is charged yet: the request's reconcile goes on.
    AwaitCharge,
    /// Bring the objects at the site to what was granted.
    Deliver,
    /// Stop network and workloads, keep data, until the given time.
    Freeze(Timestamp),
    /// Keep data, stopped as in the hold, until a restore point is proven.
    Keep,
    /// Remove what was delivered.
    Remove,
    /// Prove that nothing is left, then release the charge.
    Prove,
    /// It is over.
    Rest,
}

/// Decides the next thing to do.
pub fn task(grant: &ResourceGrant, now: Timestamp) -> Task {
    let status = grant.status.as_ref();
    let phase = status.and_then(|s| s.phase).unwrap_or(GrantPhase::Pending);
    if phase == GrantPhase::Revoked && !seeded::is(Bug::EndNotFinal) {
        return Task::Rest;
    }
    if status.and_then(|s| s.charge.as_ref()).is_none() {
        return Task::AwaitCharge;
    }
    let Some(revocation) = &grant.spec.revocation else { return Task::Deliver };
    match status.and_then(|s| s.step) {
        Some(RevokeStep::Proving) => Task::Prove,
        Some(RevokeStep::Frozen) | None if revocation.hold_until.0 > now && !seeded::is(Bug::HoldIgnored) => {
            Task::Freeze(revocation.hold_until.0)
        }
        Some(RevokeStep::Frozen) | None if revocation.disposition == Disposition::KeepBackup => Task::Keep,
        Some(RevokeStep::Removing | RevokeStep::Frozen) | None => Task::Remove,
    }
}

/// Whether a grant is being ended and its data is kept until a restore point is proven: it is there to be read.
pub fn awaits_backup(grant: &ResourceGrant) -> bool {
    let status = grant.status.as_ref();
    let keeps = grant.spec.revocation.as_ref().is_some_and(|r| r.disposition == Disposition::KeepBackup);
    let removing = matches!(status.and_then(|s| s.step), Some(RevokeStep::Removing | RevokeStep::Proving));
    keeps && !removing && status.and_then(|s| s.phase) == Some(GrantPhase::Revoking)
}
