//! The backup's phases: one enum of events, one step function.

use zhengyun_crds::recovery::BackupPhase;

/// What can happen to a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Sources and stores are as they must be; its bytes are asked for.
    Accepted,
    /// Its bytes are reserved, and the repository's lease is held.
    Reserved,
    /// It was refused before anything was written: no such plan, no room.
    Refused,
    /// What must stand still stands still.
    Quiesced,
    /// Every source was read to its end.
    Captured,
    /// What stood still goes on.
    Resumed,
    /// The merged snapshot was written and read back, and the manifest signed.
    Sealed,
    /// The other stores hold the snapshot.
    Replicated,
    /// Every copy is equal to the manifest, and everything that should be covered is.
    VerifiedWhole,
    /// What stands is equal to the manifest, but not everything is covered, or not every store has it.
    VerifiedPart,
    /// The worker is gone; another one takes the run up under the next attempt.
    WorkerLost,
    /// It cannot go on.
    Failed,
    /// Somebody asked to end it.
    CancelAsked,
    /// Its worker is stopped, what stood still goes on, its batches are dropped and its charge is settled.
    Cleared,
}

impl Event {
    /// Every event, for exhaustive tests.
    pub const ALL: [Self; 14] = [
        Self::Accepted,
        Self::Reserved,
        Self::Refused,
        Self::Quiesced,
        Self::Captured,
        Self::Resumed,
        Self::Sealed,
        Self::Replicated,
        Self::VerifiedWhole,
        Self::VerifiedPart,
        Self::WorkerLost,
        Self::Failed,
        Self::CancelAsked,
        Self::Cleared,
    ];
}

/// A transition that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("IllegalTransition: a backup in phase {phase} has no transition for {event:?}")]
pub struct Illegal {
    /// Where it stood.
    pub phase: BackupPhase,
    /// What happened.
    pub event: Event,
}

/// The phase that follows.
///
/// A store that is down or a disk that is full is no event: the run waits where it is, and its conditions tell.
///
/// # Errors
/// When the table has no such transition.
pub const fn step(phase: BackupPhase, event: Event) -> Result<BackupPhase, Illegal> {
    use BackupPhase as P;
    match (phase, event) {
        (P::Pending, Event::Accepted) => Ok(P::Reserving),
        (P::Reserving, Event::Reserved) => Ok(P::Quiescing),
        // Nothing was read or written yet: there is nothing to clear away.
        (P::Pending | P::Reserving, Event::Refused) | (P::Failing, Event::Cleared) => Ok(P::Failed),
        (P::Quiescing, Event::Quiesced) => Ok(P::Capturing),
        (P::Capturing, Event::Captured) => Ok(P::Resuming),
        (P::Resuming, Event::Resumed) => Ok(P::Sealing),
        (P::Sealing, Event::Sealed) => Ok(P::Replicating),
        (P::Replicating, Event::Replicated) => Ok(P::Verifying),
        (P::Verifying, Event::VerifiedWhole) => Ok(P::Completed),
        // One sealed copy is worth keeping even if the others never come.
        (P::Replicating | P::Verifying, Event::VerifiedPart) => Ok(P::Incomplete),
        (P::Quiescing | P::Capturing | P::Resuming | P::Sealing | P::Replicating | P::Verifying, Event::WorkerLost) => {
            Ok(phase)
        }
        (P::Quiescing | P::Capturing | P::Resuming | P::Sealing | P::Replicating | P::Verifying, Event::Failed) => {
            Ok(P::Failing)
        }
        (P::Pending, Event::CancelAsked) | (P::Cancelling, Event::Cleared) => Ok(P::Cancelled),
        (
            P::Reserving | P::Quiescing | P::Capturing | P::Resuming | P::Sealing | P::Replicating | P::Verifying,
            Event::CancelAsked,
        ) => Ok(P::Cancelling),
        (phase, event) => Err(Illegal { phase, event }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use zhengyun_crds::recovery::BackupPhase as P;

    use super::{Event as E, step};
    use crate::recovery::walk;

    /// Every state beside every event: the legal ones are these and no others.
    #[test]
    fn the_table_is_complete() {
        let worked = [P::Quiescing, P::Capturing, P::Resuming, P::Sealing, P::Replicating, P::Verifying];
        let mut legal = vec![
            (P::Pending, E::Accepted, P::Reserving),
            (P::Pending, E::Refused, P::Failed),
            (P::Pending, E::CancelAsked, P::Cancelled),
            (P::Reserving, E::Reserved, P::Quiescing),
            (P::Reserving, E::Refused, P::Failed),
            (P::Reserving, E::CancelAsked, P::Cancelling),
            (P::Quiescing, E::Quiesced, P::Capturing),
            (P::Capturing, E::Captured, P::Resuming),
            (P::Resuming, E::Resumed, P::Sealing),
            (P::Sealing, E::Sealed, P::Replicating),
            (P::Replicating, E::Replicated, P::Verifying),
            (P::Replicating, E::VerifiedPart, P::Incomplete),
            (P::Verifying, E::VerifiedPart, P::Incomplete),
            (P::Verifying, E::VerifiedWhole, P::Completed),
            (P::Failing, E::Cleared, P::Failed),
            (P::Cancelling, E::Cleared, P::Cancelled),
        ];
        for phase in worked {
            legal.extend([
                (phase, E::WorkerLost, phase),
                (phase, E::Failed, P::Failing),
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

    /// No way leads to `Completed` past any of the things that make a backup good.
    #[test]
    fn nothing_completes_unless_everything_was_done() {
        for needed in [E::Reserved, E::Quiesced, E::Captured, E::Resumed, E::Sealed, E::Replicated, E::VerifiedWhole] {
            assert!(!reachable(P::Pending, Some(needed)).contains(&P::Completed), "completed without {needed:?}");
        }
        assert!(
            !reachable(P::Pending, Some(E::Sealed)).contains(&P::Incomplete),
            "a backup that was not sealed stands"
        );
    }

    /// Whatever was begun is cleared away before it counts as failed or cancelled, and every run can end.
    #[test]
    fn every_run_can_end() {
        for phase in P::ALL.iter().copied().filter(|phase| !phase.is_terminal()) {
            assert!(reachable(phase, None).iter().any(|phase| phase.is_terminal()), "{phase} never ends");
        }
        for phase in [P::Quiescing, P::Capturing, P::Resuming, P::Sealing, P::Replicating, P::Verifying] {
            for event in E::ALL {
                let next = step(phase, event).ok();
                assert!(!matches!(next, Some(P::Failed | P::Cancelled)), "{phase} × {event:?} skips the clearing");
            }
        }
    }
}
