//! Grants: phases, and what a grant says about itself.

mod machine;
mod status;

pub use machine::{Event, Illegal, step};
pub use status::{Delivery, charged, delivering, dropped, refused, revoked, revoking};

use jiff::Timestamp;
use zhengyun_crds::grant::{GrantPhase, ResourceGrant, RevokeStep};

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
        Some(RevokeStep::Removing | RevokeStep::Frozen) | None => Task::Remove,
    }
}
