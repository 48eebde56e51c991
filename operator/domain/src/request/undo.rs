//! Undoing a revocation, for as long as nothing was removed.

use jiff::Timestamp;
use zhengyun_crds::grant::{GrantPhase, ResourceGrant, RevokeStep};
use zhengyun_crds::request::{Action, RequestPhase, ResourceRequestStatus};

use super::machine::{Event, step};
use super::plan::{Observed, Plan};
use super::status;

/// Whether a grant is still being ended by this request, and nothing was removed yet.
pub(super) fn still_ordered(observed: &Observed<'_>) -> bool {
    let own = observed.request.metadata.uid.as_deref();
    observed.grant.is_some_and(|g| {
        let ours = g.spec.revocation.as_ref().is_some_and(|r| Some(r.request.uid.as_str()) == own);
        ours && !is_being_removed(g)
    })
}

/// Whether a grant is beyond the point at which its revocation can be undone.
fn is_being_removed(grant: &ResourceGrant) -> bool {
    grant.status.as_ref().is_some_and(|s| {
        s.phase == Some(GrantPhase::Revoked) || matches!(s.step, Some(RevokeStep::Removing | RevokeStep::Proving))
    })
}

/// An approved Revoke may be undone by the authority while the grant is frozen; the API server lets nobody else.
pub(super) fn plan_undo(observed: &Observed<'_>, before: &ResourceRequestStatus, now: Timestamp) -> Option<Plan> {
    let request = observed.request;
    if request.spec.order.action != Action::Revoke {
        return None;
    }
    let grant = observed.grant?;
    let ours =
        grant.spec.revocation.as_ref().is_none_or(|r| Some(r.request.uid.as_str()) == request.metadata.uid.as_deref());
    let removing = grant.spec.revocation.as_ref().is_some_and(|r| r.hold_until.0 <= now) || is_being_removed(grant);
    if !ours || removing {
        return None;
    }
    let next = step(RequestPhase::Approved, Event::Withdrawn).ok()?;
    Some(Plan::Undo(status::ended(
        observed,
        before,
        next,
        Some("the authority undid the revocation during its hold"),
        now,
    )))
}
