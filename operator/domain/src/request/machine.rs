//! The request's phases: one enum of events, one step function.

use zhengyun_crds::request::RequestPhase;

/// What can happen to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Submitted, and its charge is reserved.
    EnteredReview,
    /// Submitted under a policy without stages, and its charge is reserved.
    EnteredApproved,
    /// A stage that is not the last approved.
    StageApproved,
    /// The last stage approved.
    LastStageApproved,
    /// An approver sent it back.
    Returned,
    /// An approver refused it.
    Rejected,
    /// The department took it back; on an approved Revoke, the authority undid it during the hold.
    Withdrawn,
    /// It ran out of time.
    Expired,
    /// It was carried out.
    Applied,
}

impl Event {
    /// Every event, for exhaustive tests.
    pub const ALL: [Self; 9] = [
        Self::EnteredReview,
        Self::EnteredApproved,
        Self::StageApproved,
        Self::LastStageApproved,
        Self::Returned,
        Self::Rejected,
        Self::Withdrawn,
        Self::Expired,
        Self::Applied,
    ];
}

/// A transition that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("IllegalTransition: a request in phase {phase} has no transition for {event:?}")]
pub struct Illegal {
    /// Where it stood.
    pub phase: RequestPhase,
    /// What happened.
    pub event: Event,
}

/// The phase that follows.
///
/// # Errors
/// When the table has no such transition.
pub const fn step(phase: RequestPhase, event: Event) -> Result<RequestPhase, Illegal> {
    use RequestPhase as P;
    match (phase, event) {
        (P::Draft | P::ReturnedForCorrection, Event::EnteredReview) | (P::InReview, Event::StageApproved) => {
            Ok(P::InReview)
        }
        (P::Draft | P::ReturnedForCorrection, Event::EnteredApproved) | (P::InReview, Event::LastStageApproved) => {
            Ok(P::Approved)
        }
        (P::InReview, Event::Returned) => Ok(P::ReturnedForCorrection),
        (P::InReview, Event::Rejected) => Ok(P::Rejected),
        (P::Draft | P::InReview | P::ReturnedForCorrection | P::Approved, Event::Withdrawn) => Ok(P::Withdrawn),
        (P::Draft | P::InReview | P::ReturnedForCorrection, Event::Expired) => Ok(P::Expired),
        (P::Approved, Event::Applied) => Ok(P::Applied),
        (phase, event) => Err(Illegal { phase, event }),
    }
}

#[cfg(test)]
mod tests {
    use zhengyun_crds::request::RequestPhase;

    use super::{Event, step};

    /// Every state beside every event: the legal ones are these and no others.
    #[test]
    fn the_table_is_complete() {
        use Event as E;
        use RequestPhase as P;
        let legal = [
            (P::Draft, E::EnteredReview, P::InReview),
            (P::Draft, E::EnteredApproved, P::Approved),
            (P::Draft, E::Withdrawn, P::Withdrawn),
            (P::Draft, E::Expired, P::Expired),
            (P::ReturnedForCorrection, E::EnteredReview, P::InReview),
            (P::ReturnedForCorrection, E::EnteredApproved, P::Approved),
            (P::ReturnedForCorrection, E::Withdrawn, P::Withdrawn),
            (P::ReturnedForCorrection, E::Expired, P::Expired),
            (P::InReview, E::StageApproved, P::InReview),
            (P::InReview, E::LastStageApproved, P::Approved),
            (P::InReview, E::Returned, P::ReturnedForCorrection),
            (P::InReview, E::Rejected, P::Rejected),
            (P::InReview, E::Withdrawn, P::Withdrawn),
            (P::InReview, E::Expired, P::Expired),
            (P::Approved, E::Applied, P::Applied),
            (P::Approved, E::Withdrawn, P::Withdrawn),
        ];
        for phase in RequestPhase::ALL.iter().copied() {
            for event in Event::ALL {
                let expected = legal.iter().find(|(p, e, _)| *p == phase && *e == event).map(|(_, _, next)| *next);
                assert_eq!(step(phase, event).ok(), expected, "{phase} × {event:?}");
                if phase.is_terminal() {
                    assert!(expected.is_none(), "{phase} is terminal");
                }
            }
        }
    }
}
