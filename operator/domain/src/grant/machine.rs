//! The grant's phases: one enum of events, one step function.

use zhengyun_crds::grant::GrantPhase;

/// What can happen to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The ledger moved the charge from the request to it.
    Charged,
    /// Everything is ready and confirmed.
    Accepted,
    /// Something that was ready is not any more.
    Degraded,
    /// An approved order ends it.
    RevocationOrdered,
    /// The order was undone during its hold.
    RevocationUndone,
    /// Zero was proven and the ledger released the charge.
    ZeroProven,
    /// It was never charged, so nothing was made for it, and it is not wanted any more.
    Dropped,
}

impl Event {
    /// Every event, for exhaustive tests.
    pub const ALL: [Self; 7] = [
        Self::Charged,
        Self::Accepted,
        Self::Degraded,
        Self::RevocationOrdered,
        Self::RevocationUndone,
        Self::ZeroProven,
        Self::Dropped,
    ];
}

/// A transition that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("IllegalTransition: a grant in phase {phase} has no transition for {event:?}")]
pub struct Illegal {
    /// Where it stood.
    pub phase: GrantPhase,
    /// What happened.
    pub event: Event,
}

/// The phase that follows.
///
/// # Errors
/// When the table has no such transition.
pub const fn step(phase: GrantPhase, event: Event) -> Result<GrantPhase, Illegal> {
    use GrantPhase as P;
    match (phase, event) {
        (P::Pending, Event::Charged) | (P::Revoking, Event::RevocationUndone) => Ok(P::Provisioning),
        // A grant in service stays in service while an object is repaired; its conditions tell.
        (P::Provisioning, Event::Accepted) | (P::InService, Event::Degraded) => Ok(P::InService),
        (P::Provisioning | P::InService, Event::RevocationOrdered) => Ok(P::Revoking),
        (P::Revoking, Event::ZeroProven) | (P::Pending, Event::Dropped) => Ok(P::Revoked),
        (phase, event) => Err(Illegal { phase, event }),
    }
}

#[cfg(test)]
mod tests {
    use zhengyun_crds::grant::GrantPhase;

    use super::{Event, step};

    #[test]
    fn the_table_is_complete() {
        use Event as E;
        use GrantPhase as P;
        let legal = [
            (P::Pending, E::Charged, P::Provisioning),
            (P::Provisioning, E::Accepted, P::InService),
            (P::InService, E::Degraded, P::InService),
            (P::Provisioning, E::RevocationOrdered, P::Revoking),
            (P::InService, E::RevocationOrdered, P::Revoking),
            (P::Revoking, E::RevocationUndone, P::Provisioning),
            (P::Revoking, E::ZeroProven, P::Revoked),
            (P::Pending, E::Dropped, P::Revoked),
        ];
        for phase in GrantPhase::ALL.iter().copied() {
            for event in Event::ALL {
                let expected = legal.iter().find(|(p, e, _)| *p == phase && *e == event).map(|(_, _, next)| *next);
                assert_eq!(step(phase, event).ok(), expected, "{phase} × {event:?}");
            }
        }
    }
}
