//! The restore's phases: one enum of events, one step function.

use zhengyun_crds::recovery::RestorePhase;

/// What can happen to a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Backup and target are as they must be; a worker works out the plan.
    Accepted,
    /// It was refused before anything was written: another department's, damaged, not the agreed plan, objects in the way.
    Refused,
    /// The plan stands (mode Plan).
    Planned,
    /// The plan is the one with the agreed digest (mode Execute).
    Agreed,
    /// Signature and every part that will be used are as they were written.
    Checked,
    /// Every object of the plan was tried.
    Restored,
    /// Everything in the plan stands at the target.
    ComparedEqual,
    /// Something in the plan does not.
    ComparedUnequal,
    /// The worker is gone; another one takes the restore up under the next attempt.
    WorkerLost,
    /// It cannot go on, and something may have been written.
    BrokeOff,
    /// Somebody asked to end it.
    CancelAsked,
    /// Its worker is stopped, and what was written until then is recorded.
    Stopped,
}

impl Event {
    /// Every event, for exhaustive tests.
    pub const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Refused,
        Self::Planned,
        Self::Agreed,
        Self::Checked,
        Self::Restored,
        Self::ComparedEqual,
        Self::ComparedUnequal,
        Self::WorkerLost,
        Self::BrokeOff,
        Self::CancelAsked,
        Self::Stopped,
    ];
}

/// A transition that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("IllegalTransition: a restore in phase {phase} has no transition for {event:?}")]
pub struct Illegal {
    /// Where it stood.
    pub phase: RestorePhase,
    /// What happened.
    pub event: Event,
}

/// The phase that follows. `Refused` and `Planned` promise that nothing was written, so nothing leads there from `Restoring` on.
///
/// # Errors
/// When the table has no such transition.
pub const fn step(phase: RestorePhase, event: Event) -> Result<RestorePhase, Illegal> {
    use RestorePhase as P;
    match (phase, event) {
        (P::Pending, Event::Accepted) => Ok(P::Planning),
        (P::Pending | P::Planning | P::Checking, Event::Refused) => Ok(P::Refused),
        (P::Planning, Event::Planned) => Ok(P::Planned),
        (P::Planning, Event::Agreed) => Ok(P::Checking),
        (P::Checking, Event::Checked) => Ok(P::Restoring),
        (P::Restoring, Event::Restored) => Ok(P::Comparing),
        (P::Comparing, Event::ComparedEqual) => Ok(P::Completed),
        (P::Comparing, Event::ComparedUnequal) => Ok(P::Incomplete),
        (P::Planning | P::Checking | P::Restoring | P::Comparing, Event::WorkerLost) => Ok(phase),
        // A process may have written before its phase was seen.
        (P::Planning | P::Checking | P::Restoring | P::Comparing, Event::BrokeOff) => Ok(P::Failed),
        (P::Pending, Event::CancelAsked) | (P::Cancelling, Event::Stopped) => Ok(P::Cancelled),
        (P::Planning | P::Checking | P::Restoring | P::Comparing, Event::CancelAsked) => Ok(P::Cancelling),
        (phase, event) => Err(Illegal { phase, event }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use zhengyun_crds::recovery::RestorePhase as P;

    use super::{Event as E, step};
    use crate::recovery::walk;

    /// Every state beside every event: the legal ones are these and no others.
    #[test]
    fn the_table_is_complete() {
        let mut legal = vec![
            (P::Pending, E::Accepted, P::Planning),
            (P::Pending, E::Refused, P::Refused),
            (P::Pending, E::CancelAsked, P::Cancelled),
            (P::Planning, E::Refused, P::Refused),
            (P::Planning, E::Planned, P::Planned),
            (P::Planning, E::Agreed, P::Checking),
            (P::Checking, E::Refused, P::Refused),
            (P::Checking, E::Checked, P::Restoring),
            (P::Restoring, E::Restored, P::Comparing),
            (P::Planning, E::BrokeOff, P::Failed),
            (P::Checking, E::BrokeOff, P::Failed),
            (P::Restoring, E::BrokeOff, P::Failed),
            (P::Comparing, E::BrokeOff, P::Failed),
            (P::Comparing, E::ComparedEqual, P::Completed),
            (P::Comparing, E::ComparedUnequal, P::Incomplete),
            (P::Cancelling, E::Stopped, P::Cancelled),
        ];
        for phase in [P::Planning, P::Checking, P::Restoring, P::Comparing] {
            legal.extend([(phase, E::WorkerLost, phase), (phase, E::CancelAsked, P::Cancelling)]);
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
    fn nothing_is_written_before_the_plan_is_agreed_and_everything_is_checked() {
        for needed in [E::Accepted, E::Agreed, E::Checked] {
            assert!(!reachable(P::Pending, Some(needed)).contains(&P::Restoring), "writes without {needed:?}");
        }
    }

    #[test]
    fn refused_and_planned_mean_that_nothing_was_written() {
        for phase in [P::Restoring, P::Comparing] {
            let seen = reachable(phase, None);
            assert!(!seen.contains(&P::Refused) && !seen.contains(&P::Planned), "{phase}");
        }
    }

    #[test]
    fn every_restore_can_end_and_completes_only_compared() {
        assert!(!reachable(P::Pending, Some(E::ComparedEqual)).contains(&P::Completed));
        for phase in P::ALL.iter().copied().filter(|phase| !phase.is_terminal()) {
            assert!(reachable(phase, None).iter().any(|phase| phase.is_terminal()), "{phase} never ends");
        }
    }
}
