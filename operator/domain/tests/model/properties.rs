//! What must hold in every state, what must come at the end of every run, and what must be possible at all.

use stateright::Property;

use super::books::{Decision, Verdict};
use super::fault::property;
use super::looks::books;
use super::protocol::Protocol;
use super::state::{
    Column, Entry, GrantAt, GrantTask, Holding, OPERATORS, REQUESTS, RequestAt, RequestTask, Stage, State, alarm,
};
use super::town::Town;

/// The properties of a configuration.
pub(crate) fn properties(town: &Town) -> Vec<Property<Protocol>> {
    let mut all: Vec<Property<Protocol>> = vec![
        Property::always(property::NO_OVERSELL, no_oversell),
        Property::always(property::ONE_GRANT, |_: &Protocol, s: &State| s.columns.iter().all(one_grant)),
        Property::always(property::STANDS_CHARGED, |_: &Protocol, s: &State| {
            s.columns.iter().all(|c| !c.standing || c.holding.charged())
        }),
        Property::always(property::REVOKED_IS_OVER, |_: &Protocol, s: &State| {
            s.columns.iter().all(|c| !(c.standing && c.grant == GrantAt::Revoked))
        }),
        Property::always(property::NEVER_FALLS, |_: &Protocol, s: &State| s.alarms & alarm::FELL == 0),
        Property::always(property::NOTHING_LOST, |_: &Protocol, s: &State| s.columns.iter().all(nothing_lost)),
        Property::always(property::TOTALS, |_: &Protocol, s: &State| {
            s.columns.iter().all(|c| [c.reservation, c.holding].iter().all(|r| r.counted == r.charged()))
        }),
        Property::always(property::NO_STALE_COMMIT, |_: &Protocol, s: &State| s.alarms & alarm::STALE_COMMIT == 0),
        Property::always(property::BALANCED, |_: &Protocol, s: &State| s.alarms & alarm::HELD == 0),
        Property::always(property::TRUE_BOOKS, |_: &Protocol, s: &State| true_books(s)),
        Property::always(property::INTENT_FIRST, |_: &Protocol, s: &State| {
            s.columns.iter().all(|c| !c.standing || c.intended)
        }),
        Property::always(property::LEGAL, |_: &Protocol, s: &State| s.alarms & alarm::ILLEGAL == 0),
        Property::always(property::FORWARD, |_: &Protocol, s: &State| s.alarms & alarm::CIRCLE == 0),
        // Exact, although stateright's `eventually` misses runs that join others: no step leads backward, so that a run ends where
        // no step is left, and what has ended stays ended.
        Property::eventually(property::ENDS, |p: &Protocol, s: &State| {
            s.columns.iter().take(p.town.requests()).all(has_ended)
        }),
        Property::sometimes(property::ALL_REVOKED, |p: &Protocol, s: &State| {
            s.columns.iter().take(p.town.requests()).all(|c| c.grant == GrantAt::Revoked && has_ended(c))
        }),
        Property::sometimes(property::TWO_LEADERS, |_: &Protocol, s: &State| (0..OPERATORS).all(|x| s.leads(x))),
        Property::sometimes(property::REPLAY, |_: &Protocol, s: &State| {
            s.operators.iter().any(|o| o.stage == Stage::Opened)
                && s.columns.iter().any(|c| c.reservation.pending() && c.holding.pending())
        }),
        Property::sometimes(property::LATE_DELIVERY, |_: &Protocol, s: &State| {
            s.has_stale_leader()
                && s.columns
                    .iter()
                    .any(|c| c.grant == GrantAt::Removing && c.memory.iter().any(|m| m.grant == GrantTask::Delivering))
        }),
    ];
    if town.requests() == REQUESTS {
        all.push(Property::sometimes(property::REFUSED_BY_DEPARTMENT, |p: &Protocol, s: &State| {
            refused(p, s, Verdict::Department)
        }));
        all.push(Property::sometimes(property::REFUSED_BY_ANCESTOR, |p: &Protocol, s: &State| {
            refused(p, s, Verdict::Ancestor)
        }));
        all.push(Property::sometimes(property::REFUSED_BY_SITE, |p: &Protocol, s: &State| {
            refused(p, s, Verdict::Site)
        }));
    }
    all
}

/// Both sums of every department and of the site, over what the objects say and the journal adds.
fn no_oversell(protocol: &Protocol, state: &State) -> bool {
    protocol.town.fits(|i| {
        let column = &state.columns[i];
        u8::from(column.reservation.charged()) + u8::from(column.holding.charged())
    })
}

fn one_grant(column: &Column) -> bool {
    let twice = column.twin || (column.reservation.charged() && column.holding.charged());
    let without = column.request == RequestAt::Applied && column.grant < GrantAt::Provisioning;
    !twice && !without
}

/// A request under review and a grant that may deliver are charged, the one or the other and never in between.
fn nothing_lost(column: &Column) -> bool {
    let (reserved, granted) = (column.reservation.charged(), column.holding.charged());
    let review = column.request != RequestAt::InReview || column.withdrawn || reserved;
    let approved = column.request != RequestAt::Approved || column.grant > GrantAt::Pending || reserved != granted;
    let live = !(GrantAt::Provisioning..=GrantAt::Removing).contains(&column.grant) || granted;
    review && approved && live
}

fn true_books(state: &State) -> bool {
    (0..OPERATORS).filter(|x| state.leads(*x) && state.current(*x)).all(|x| {
        state.columns.iter().all(|c| {
            let memory = &c.memory[x];
            let request = match memory.request {
                RequestTask::Reserving => true,
                RequestTask::Releasing | RequestTask::Moving => false,
                _ => c.reservation.charged(),
            };
            let grant = match (memory.request, memory.grant) {
                (RequestTask::Moving, _) => true,
                (_, GrantTask::Freeing) => false,
                _ => c.holding.charged(),
            };
            (request, grant) == (memory.books_request, memory.books_grant)
        })
    })
}

/// Decided; if granted, revoked with nothing left at the site; and no record of it waits for anything.
fn has_ended(column: &Column) -> bool {
    let decided = match column.request {
        RequestAt::Applied => column.grant == GrantAt::Revoked,
        RequestAt::Withdrawn | RequestAt::Refused => column.grant == GrantAt::Absent,
        _ => false,
    };
    let settled = [column.reservation, column.holding]
        .iter()
        .all(|r| r.own != Holding::Held && r.entry == Entry::Absent && !r.counted);
    decided && settled && !column.standing
}

fn refused(protocol: &Protocol, state: &State, by: Verdict) -> bool {
    (0..OPERATORS).filter(|x| state.leads(*x) && state.current(*x)).any(|x| {
        let charges = books(state, x);
        (0..protocol.town.requests()).any(|i| {
            state.columns[i].request == RequestAt::Submitted
                && protocol.verdicts.verdict(charges, Decision::Reserve, i) == by
        })
    })
}
