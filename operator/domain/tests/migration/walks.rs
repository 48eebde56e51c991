//! Random walks: whatever dies when, two sides are never open at once, and every way back ends with the source open.

use jiff::SignedDuration;
use proptest::prelude::*;
use zhengyun_crds::migration::{MigrationStage as M, Strategy};
use zhengyun_domain::migration::facts::Told;
use zhengyun_domain::migration::machine::Place;

use crate::scene::missing;
use crate::world::{Fate, World};

/// What happens next.
#[derive(Clone, Debug)]
enum Happening {
    Look,
    LookAndStop,
    Resume(usize),
    Process(usize, Fate),
    Ghost(usize),
    Outside(usize, bool),
    Minutes(u8),
    Round,
    Cancel,
    Pause(bool),
    SignLoss(bool),
    SignAcceptance,
    CloseSource,
    Trouble(bool),
    NextWindow,
}

fn fates() -> impl Strategy_<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Begins),
        12 => Just(Fate::Ends),
        2 => Just(Fate::DiesAfter),
        2 => Just(Fate::DiesBefore),
        2 => Just(Fate::Vanishes),
        1 => Just(Fate::Fails),
        1 => Just(Fate::FailsForNow),
        1 => Just(Fate::EndsUnproven),
    ]
}

use proptest::strategy::Strategy as Strategy_;

fn happenings() -> impl Strategy_<Value = Happening> {
    prop_oneof![
        30 => Just(Happening::Look),
        3 => Just(Happening::LookAndStop),
        3 => any::<usize>().prop_map(Happening::Resume),
        40 => (any::<usize>(), fates()).prop_map(|(pick, fate)| Happening::Process(pick, fate)),
        4 => any::<usize>().prop_map(Happening::Ghost),
        8 => (0_usize..3, prop::bool::weighted(0.9)).prop_map(|(which, good)| Happening::Outside(which, good)),
        3 => (0_u8..40).prop_map(Happening::Minutes),
        2 => Just(Happening::Round),
        1 => Just(Happening::Cancel),
        1 => any::<bool>().prop_map(Happening::Pause),
        1 => any::<bool>().prop_map(Happening::SignLoss),
        2 => Just(Happening::SignAcceptance),
        1 => Just(Happening::CloseSource),
        1 => any::<bool>().prop_map(Happening::Trouble),
        1 => Just(Happening::NextWindow),
    ]
}

fn happens(world: &mut World, what: &Happening) {
    match what {
        Happening::Look => world.look(),
        Happening::LookAndStop => world.look_and_stop(),
        Happening::Resume(pick) => world.resume(*pick),
        Happening::Process(pick, fate) => world.happens(*pick, *fate),
        Happening::Ghost(pick) => world.haunts(*pick),
        Happening::Outside(which, good) => {
            let outside = &mut world.scene.outside;
            let told =
                [&mut outside.probe, &mut outside.switch, &mut outside.switch_back].into_iter().nth(*which).unwrap();
            if *told == Told::Running {
                *told = if *good { Told::Done } else { Told::Failed("it does not answer".to_owned()) };
            }
        }
        Happening::Minutes(minutes) => world.scene.now += SignedDuration::from_mins(i64::from(*minutes)),
        Happening::Round => world.scene.asked.round += 1,
        Happening::Cancel => world.scene.asked.cancel = true,
        Happening::Pause(paused) => world.scene.asked.paused = *paused,
        Happening::SignLoss(signed) => world.scene.signed.rollback = if *signed { Ok(()) } else { missing() },
        Happening::SignAcceptance => {
            world.scene.signed.acceptance = Ok(());
            world.scene.now += SignedDuration::from_hours(25);
        }
        Happening::CloseSource => world.scene.asked.close_source = true,
        Happening::Trouble(there) => world.scene.outside.trouble = there.then(|| "errors are up".to_owned()),
        Happening::NextWindow => {
            if let Some(window) = world.scene.wave.window.as_mut() {
                window.start = world.scene.now;
                window.end = world.scene.now + SignedDuration::from_hours(8);
            }
        }
    }
}

fn strategies() -> impl Strategy_<Value = Strategy> {
    prop_oneof![6 => Just(Strategy::Rehost), 1 => Just(Strategy::Retire)]
}

/// A window that is open from now on, so that a settled world can go on.
fn opened(world: &mut World) {
    if let Some(window) = world.scene.wave.window.as_mut() {
        window.start = world.scene.now;
        window.end = world.scene.now + SignedDuration::from_hours(24 * 30);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// I15: never two writable sides, whatever happens in which order, with movers that refuse nothing but an older epoch.
    #[test]
    fn never_are_both_sides_open(strategy in strategies(), story in prop::collection::vec(happenings(), 1..600)) {
        let mut world = World::new(strategy);
        for what in &story {
            let terminal = world.scene.at.stage.is_terminal().then_some(world.scene.at);
            happens(&mut world, what);
            prop_assert!(!world.both_open(), "after {what:?} at {}: {:?}", world.scene.at, world.trail);
            if let Some(ended) = terminal {
                prop_assert_eq!(world.scene.at, ended, "what ended changed");
            }
            if matches!(world.scene.at.stage, M::RolledBack | M::Cancelled) {
                let back = world.sides.iter().all(|sides| sides.source_open && !sides.target_open);
                prop_assert!(back, "{} with {:?}: {:?}", world.scene.at, world.sides, world.trail);
            }
            if world.scene.at == Place::at(M::ParallelRun) {
                let over = world.sides.iter().all(|sides| !sides.source_open && sides.target_open);
                prop_assert!(over, "{} with {:?}: {:?}", world.scene.at, world.sides, world.trail);
            }
        }
    }

    /// Given up anywhere before the point of no return, it ends with the source open and the target closed; beyond it, erased.
    #[test]
    fn every_way_back_ends_with_the_source_open(
        strategy in strategies(), story in prop::collection::vec(happenings(), 1..400),
    ) {
        let mut world = World::new(strategy);
        for what in &story {
            happens(&mut world, what);
        }
        opened(&mut world);
        let past = world.scene.at.stage.is_past_return();
        world.settle(!past);
        prop_assert!(!world.both_open());
        let expected = if past { M::Erased } else { M::Cancelled };
        prop_assert_eq!(world.scene.at, Place::at(expected), "{:?}", world.trail);
        if !past {
            prop_assert!(world.sides.iter().all(|sides| sides.source_open && !sides.target_open), "{:?}", world.sides);
        }
    }

    /// Left alone after whatever happened, with people who sign, it comes to its end: nothing is stuck.
    #[test]
    fn everything_comes_to_its_end(strategy in strategies(), story in prop::collection::vec(happenings(), 1..300)) {
        let mut world = World::new(strategy);
        let kept = |what: &&Happening| !matches!(what, Happening::Cancel | Happening::SignLoss(true) | Happening::Trouble(true));
        for what in story.iter().filter(kept) {
            happens(&mut world, what);
        }
        opened(&mut world);
        world.settle(false);
        prop_assert_eq!(world.scene.at, Place::at(M::Erased), "{:?}", world.trail);
        let target = strategy != Strategy::Retire;
        prop_assert!(world.sides.iter().all(|sides| !sides.source_open && sides.target_open == target), "{:?}", world.sides);
    }
}

/// The plain way, so that a walk that finds nothing is known to come past everything.
#[test]
fn a_good_migration_passes_every_stage_and_step() {
    let mut world = World::new(Strategy::Rehost);
    opened(&mut world);
    world.settle(false);
    let trail: Vec<String> = world.trail.iter().map(ToString::to_string).collect();
    assert_eq!(
        trail,
        [
            "Assessed",
            "Planned",
            "Scheduled",
            "Landing",
            "FullCopy",
            "Replicating",
            "Rehearsed",
            "ReadyForCutover",
            "CuttingOver (FreezeSource)",
            "CuttingOver (Finish)",
            "CuttingOver (Compare)",
            "CuttingOver (Probe)",
            "CuttingOver (Open)",
            "CuttingOver (Switch)",
            "ParallelRun",
            "Accepted",
            "SourceFrozen",
            "Retained",
            "Erased",
        ]
    );
    let mut retired = World::new(Strategy::Retire);
    retired.settle(false);
    let trail: Vec<String> = retired.trail.iter().map(ToString::to_string).collect();
    assert_eq!(
        trail,
        ["Assessed", "Planned", "Scheduled", "CuttingOver (CloseSource)", "SourceFrozen", "Retained", "Erased"]
    );
}
