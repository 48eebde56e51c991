//! Every place beside every event.

use std::collections::BTreeSet;

use zhengyun_crds::migration::{CopiedData, MigrationStage as M, MigrationStep as S};
use zhengyun_domain::migration::facts::Asked;
use zhengyun_domain::migration::follow::deletes_copy;
use zhengyun_domain::migration::machine::{Event as E, Place, Undo, step, undo};

fn legal() -> Vec<(Place, E, Place)> {
    let (at, cutover, back) = (Place::at, Place::cutover, Place::back);
    let mut legal = vec![
        (at(M::Discovered), E::Assessed, at(M::Assessed)),
        (at(M::Assessed), E::Planned, at(M::Planned)),
        (at(M::Planned), E::Scheduled, at(M::Scheduled)),
        (at(M::Scheduled), E::Admitted, at(M::Landing)),
        (at(M::Scheduled), E::RetirementBegun, cutover(S::CloseSource)),
        (cutover(S::CloseSource), E::ClosedForGood, at(M::SourceFrozen)),
        (at(M::Landing), E::Landed, at(M::FullCopy)),
        (at(M::FullCopy), E::Copied, at(M::Replicating)),
        (at(M::Replicating), E::Rehearsed, at(M::Rehearsed)),
        (at(M::Rehearsed), E::Approved, at(M::ReadyForCutover)),
        (at(M::ReadyForCutover), E::WindowMissed, at(M::Rehearsed)),
        (at(M::ReadyForCutover), E::CutoverBegun, cutover(S::FreezeSource)),
        (cutover(S::FreezeSource), E::SourceClosed, cutover(S::Finish)),
        (cutover(S::Finish), E::Finished, cutover(S::Compare)),
        (cutover(S::Compare), E::ComparedEqual, cutover(S::Probe)),
        (cutover(S::Probe), E::TrafficAdmitted, cutover(S::Open)),
        (cutover(S::Open), E::TargetOpened, cutover(S::Switch)),
        (cutover(S::Switch), E::Switched, at(M::ParallelRun)),
        (at(M::ParallelRun), E::Accepted, at(M::Accepted)),
        (at(M::Accepted), E::ClosedForGood, at(M::SourceFrozen)),
        (at(M::SourceFrozen), E::Kept, at(M::Retained)),
        (at(M::Retained), E::Erased, at(M::Erased)),
        (back(S::CloseTarget), E::TargetClosed, back(S::ThawSource)),
        (back(S::ThawSource), E::SourceOpened, back(S::SwitchBack)),
        (back(S::SwitchBack), E::SwitchedBack, at(M::RolledBack)),
        (back(S::Drop), E::Dropped, at(M::Cancelled)),
        (at(M::RolledBack), E::TriedAgain, at(M::Scheduled)),
        (at(M::Scheduled), E::CopyGivenUp, back(S::Drop)),
    ];
    for stage in [M::Discovered, M::Assessed, M::Planned, M::Scheduled] {
        legal.push((at(stage), E::CancelAsked, at(M::Cancelled)));
    }
    for stage in [M::Landing, M::FullCopy, M::Replicating, M::Rehearsed, M::ReadyForCutover, M::RolledBack] {
        legal.push((at(stage), E::CancelAsked, back(S::Drop)));
    }
    for stage in [M::Replicating, M::Rehearsed, M::ReadyForCutover] {
        legal.push((at(stage), E::FellBehind, at(M::FullCopy)));
    }
    for here in [S::FreezeSource, S::Finish, S::Compare, S::Probe, S::CloseSource] {
        legal.push((cutover(here), E::RollbackBegun, back(S::CloseTarget)));
        legal.push((cutover(here), E::CancelAsked, back(S::CloseTarget)));
    }
    for here in [cutover(S::Open), cutover(S::Switch), at(M::ParallelRun), at(M::Accepted)] {
        legal.push((here, E::LossSigned, back(S::CloseTarget)));
    }
    legal
}

/// The legal ones are these and no others.
#[test]
fn the_table_is_complete() {
    let legal = legal();
    for place in Place::all() {
        for event in E::ALL {
            let expected = legal.iter().find(|(p, e, _)| *p == place && *e == event).map(|(_, _, next)| *next);
            assert_eq!(step(place, event).ok(), expected, "{place} × {event:?}");
            assert!(expected.is_none() || !place.stage.is_terminal(), "{place} is terminal");
        }
    }
    let stages: BTreeSet<M> = Place::all().into_iter().map(|place| place.stage).collect();
    assert_eq!(stages.len(), M::ALL.len(), "every stage is a place");
}

/// A stage with steps and none told, or with one that is not its own, leads nowhere.
#[test]
fn a_place_that_is_none_leads_nowhere() {
    let known: BTreeSet<Place> = Place::all().into_iter().collect();
    let steps = S::ALL.iter().copied().map(Some).chain([None]);
    for place in steps.flat_map(|step| M::ALL.iter().map(move |stage| Place { stage: *stage, step })) {
        if !known.contains(&place) {
            assert!(E::ALL.iter().all(|event| step(place, *event).is_err()), "{place}");
        }
    }
}

fn reachable(from: Place, without: &[E]) -> BTreeSet<Place> {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(place) = open.pop() {
        for event in E::ALL.into_iter().filter(|event| !without.contains(event)) {
            if let Ok(next) = step(place, event)
                && seen.insert(next)
            {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn at_no_place_may_both_sides_be_open() {
    for place in Place::all() {
        assert!(!(place.source_may_be_open() && place.target_may_be_open()), "{place}");
    }
}

/// From an open source to an open target only past the proof that the source is closed, and back only past the other one.
#[test]
fn between_two_open_sides_stands_a_proof() {
    let source_open: Vec<Place> = Place::all().into_iter().filter(|place| place.source_may_be_open()).collect();
    for place in source_open {
        let without = [E::SourceClosed, E::ClosedForGood, E::LossSigned];
        // What was open at the target before is closed on the way back, so only places that come after an opening count.
        let seen = reachable(place, &without);
        let opened = seen.iter().find(|place| place.target_may_be_open() && **place != Place::back(S::CloseTarget));
        assert_eq!(opened, None, "from {place} without a proof that the source is closed");
    }
    for place in Place::all().into_iter().filter(|place| place.target_may_be_open()) {
        let seen = reachable(place, &[E::TargetClosed]);
        let opened = seen.iter().find(|place| place.source_may_be_open());
        assert_eq!(opened, None, "from {place} without a proof that the target is closed");
    }
}

#[test]
fn traffic_is_admitted_only_after_everything_was_proven() {
    let needed = [
        E::Assessed,
        E::Planned,
        E::Scheduled,
        E::Admitted,
        E::Landed,
        E::Copied,
        E::Rehearsed,
        E::Approved,
        E::CutoverBegun,
        E::SourceClosed,
        E::Finished,
        E::ComparedEqual,
        E::TrafficAdmitted,
    ];
    for event in needed {
        let seen = reachable(Place::at(M::Discovered), &[event]);
        assert!(!seen.contains(&Place::cutover(S::Open)), "opens without {event:?}");
    }
    for event in [E::Accepted, E::ClosedForGood, E::Kept, E::Erased] {
        // A system that is retired instead is signed for as well, before it is closed.
        let seen = reachable(Place::cutover(S::Switch), &[event, E::RetirementBegun]);
        assert!(!seen.contains(&Place::at(M::Erased)), "erases without {event:?}");
    }
}

#[test]
fn there_is_no_way_back_from_a_source_that_is_closed_for_good_and_one_from_everywhere_else() {
    for place in Place::all() {
        let seen = reachable(place, &[]);
        let back = seen.contains(&Place::at(M::RolledBack)) || seen.contains(&Place::at(M::Cancelled));
        assert_eq!(back, !place.stage.is_past_return(), "{place}");
        assert_eq!(undo(place) == Undo::NoWayBack, place.stage.is_past_return(), "{place}");
        assert!(seen.iter().any(|place| place.stage.is_terminal()), "{place} never ends");
    }
}

/// Who undoes a place decides whether a signature is asked for.
#[test]
fn what_undoes_a_place_is_what_its_table_says() {
    for place in Place::all() {
        assert_eq!(place.goes_back_by_itself(), step(place, E::RollbackBegun).is_ok(), "{place}");
        assert_eq!(place.goes_back_signed(), step(place, E::LossSigned).is_ok(), "{place}");
        let expected = match undo(place) {
            Undo::Signed => place.goes_back_signed(),
            Undo::ByItself => place.goes_back_by_itself() || place.stage == M::RollingBack,
            Undo::DropCopy => step(place, E::CancelAsked) == Ok(Place::back(S::Drop)),
            Undo::ReleasePlace => step(place, E::CancelAsked) == Ok(Place::at(M::Cancelled)),
            Undo::Nothing => place.stage == M::Cancelled || step(place, E::CancelAsked) == Ok(Place::at(M::Cancelled)),
            Undo::NoWayBack => step(place, E::LossSigned).is_err() && step(place, E::CancelAsked).is_err(),
        };
        assert!(expected, "{place}: {:?}", undo(place));
    }
}

/// Nothing of what applications may work on is deleted, whatever somebody asks for.
#[test]
fn a_copy_is_deleted_only_of_a_migration_that_is_given_up() {
    let given_up = Asked { cancel: true, ..Asked::default() };
    for place in Place::all() {
        let deletes = deletes_copy(place, given_up, CopiedData::Delete);
        assert_eq!(deletes, place == Place::back(S::Drop), "{place}");
        assert!(!(deletes && place.target_may_be_open()), "{place}");
        assert!(!deletes_copy(place, given_up, CopiedData::Keep), "{place}");
        assert!(!deletes_copy(place, Asked::default(), CopiedData::Delete), "{place}");
    }
}
