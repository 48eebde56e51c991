//! The drill's phases: one enum of events, one step function.

use zhengyun_crds::recovery::DrillPhase;

/// What can happen to a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Plan, copy and site are as they must be; room is asked for.
    Accepted,
    /// It was refused before anything was made: no such plan, no verified copy.
    Refused,
    /// Room is reserved.
    Reserved,
    /// There is no room.
    NoRoom,
    /// The scratch stands.
    Prepared,
    /// Everything of a part was restored and is ready.
    Restored,
    /// What was restored is equal to the manifest, and the backup holds more.
    PartEqual,
    /// All of it is equal to the manifest.
    ComparedEqual,
    /// Some of it is not.
    ComparedUnequal,
    /// The worker is gone; another one takes the drill up under the next attempt.
    WorkerLost,
    /// It cannot go on.
    Failed,
    /// Somebody asked to end it.
    CancelAsked,
    /// Nothing is left of the scratch, and its charge is released.
    ZeroProven,
}

impl Event {
    /// Every event, for exhaustive tests.
    pub const ALL: [Self; 13] = [
        Self::Accepted,
        Self::Refused,
        Self::Reserved,
        Self::NoRoom,
        Self::Prepared,
        Self::Restored,
        Self::PartEqual,
        Self::ComparedEqual,
        Self::ComparedUnequal,
        Self::WorkerLost,
        Self::Failed,
        Self::CancelAsked,
        Self::ZeroProven,
    ];
}

/// A transition that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("IllegalTransition: a drill in phase {phase} has no transition for {event:?}")]
pub struct Illegal {
    /// Where it stood.
    pub phase: DrillPhase,
    /// What happened.
    pub event: Event,
}

/// The phase that follows. Whatever the result, the scratch goes first: three phases remove it, one for each result.
///
/// # Errors
/// When the table has no such transition.
pub const fn step(phase: DrillPhase, event: Event) -> Result<DrillPhase, Illegal> {
    use DrillPhase as P;
    match (phase, event) {
        (P::Pending, Event::Accepted) => Ok(P::Reserving),
        (P::Pending | P::Reserving, Event::Refused) | (P::Abandoning, Event::ZeroProven) => Ok(P::Failed),
        (P::Reserving, Event::NoRoom) => Ok(P::Skipped),
        (P::Reserving, Event::Reserved) => Ok(P::Preparing),
        (P::Preparing, Event::Prepared) | (P::Comparing, Event::PartEqual) => Ok(P::Restoring),
        (P::Restoring, Event::Restored) => Ok(P::Comparing),
        (P::Comparing, Event::ComparedEqual) => Ok(P::Removing),
        (P::Comparing, Event::ComparedUnequal)
        | (P::Reserving | P::Preparing | P::Restoring | P::Comparing, Event::Failed) => Ok(P::Abandoning),
        (P::Preparing | P::Restoring | P::Comparing, Event::WorkerLost) => Ok(phase),
        (P::Pending, Event::CancelAsked) | (P::Cancelling, Event::ZeroProven) => Ok(P::Cancelled),
        (P::Reserving | P::Preparing | P::Restoring | P::Comparing, Event::CancelAsked) => Ok(P::Cancelling),
        (P::Removing, Event::ZeroProven) => Ok(P::Passed),
        (phase, event) => Err(Illegal { phase, event }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use zhengyun_crds::recovery::DrillPhase as P;

    use super::{Event as E, step};
    use crate::recovery::walk;

    /// Every state beside every event: the legal ones are these and no others.
    #[test]
    fn the_table_is_complete() {
        let mut legal = vec![
            (P::Pending, E::Accepted, P::Reserving),
            (P::Pending, E::Refused, P::Failed),
            (P::Pending, E::CancelAsked, P::Cancelled),
            (P::Reserving, E::Refused, P::Failed),
            (P::Reserving, E::NoRoom, P::Skipped),
            (P::Reserving, E::Reserved, P::Preparing),
            // Room may be taken already, although nobody could say so yet.
            (P::Reserving, E::Failed, P::Abandoning),
            (P::Reserving, E::CancelAsked, P::Cancelling),
            (P::Preparing, E::Prepared, P::Restoring),
            (P::Restoring, E::Restored, P::Comparing),
            (P::Comparing, E::PartEqual, P::Restoring),
            (P::Comparing, E::ComparedEqual, P::Removing),
            (P::Comparing, E::ComparedUnequal, P::Abandoning),
            (P::Removing, E::ZeroProven, P::Passed),
            (P::Abandoning, E::ZeroProven, P::Failed),
            (P::Cancelling, E::ZeroProven, P::Cancelled),
        ];
        for phase in [P::Preparing, P::Restoring, P::Comparing] {
            legal.extend([
                (phase, E::WorkerLost, phase),
                (phase, E::Failed, P::Abandoning),
                (phase, E::CancelAsked, P::Cancelling),
            ]);
        }
        for phase in P::ALL.iter().copied() {
            for event in E::ALL {
                let expected = legal.iter().find(|(p, e, _)| *p == phase && *e == event).map(|(_, _, next)| *next);
                assert_eq!(step(phase, event).ok(), expected, "{phase} × {event:?}");
                assert!(expected.is_none() || !phase.is_terminal(), "{phase} is terminal");
            }
        }
    }

    fn reachable(from: P, banned: Option<E>) -> BTreeSet<P> {
        walk::reachable(from, &E::ALL, banned, |phase, event| step(phase, event).ok())
    }

    #[test]
    fn nothing_passes_unless_restored_compared_and_removed() {
        for needed in [E::Reserved, E::Prepared, E::Restored, E::ComparedEqual, E::ZeroProven] {
            assert!(!reachable(P::Pending, Some(needed)).contains(&P::Passed), "passed without {needed:?}");
        }
        // What was found unequal or was cancelled cannot come to pass after all.
        for phase in [P::Abandoning, P::Cancelling] {
            assert!(!reachable(phase, None).contains(&P::Passed), "{phase}");
        }
    }

    #[test]
    fn a_scratch_that_was_made_is_always_removed() {
        let ends = |phase: P| -> Vec<P> {
            reachable(phase, Some(E::ZeroProven)).into_iter().filter(|phase| phase.is_terminal()).collect()
        };
        for phase in [P::Preparing, P::Restoring, P::Comparing, P::Removing, P::Abandoning, P::Cancelling] {
            assert!(ends(phase).is_empty(), "{phase} ends without a proof of zero: {:?}", ends(phase));
            assert!(reachable(phase, None).iter().any(|phase| phase.is_terminal()), "{phase} never ends");
        }
    }
}
