//! The one next step, place by place: what opens a gate, what keeps it shut and who can open it, and what a failure leads to.

use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_crds::migration::{
    MigrationFinding, MigrationStage as M, MigrationStep as S, MigrationVerb as V, Party as P, Severity, Strategy,
};
use zhengyun_domain::migration::facts::{Grant, Stale, Told};
use zhengyun_domain::migration::finding;
use zhengyun_domain::migration::follow::{Act, Next, follows, verb};
use zhengyun_domain::migration::machine::{Event as E, Place};
use zhengyun_domain::recovery::run::{Order, Sighting};

use crate::scene::{HOUR, Scene, failed, following, missing, proven, running};

fn run(next: &Next) -> Option<(String, V, i64, Order)> {
    match &next.act {
        Act::Run { workload, verb, epoch, order } => Some((workload.clone(), *verb, *epoch, *order)),
        _ => None,
    }
}

fn blocked(next: &Next) -> Option<(&str, P)> {
    next.blocker.as_ref().map(|blocker| (blocker.reason.as_str(), blocker.owner))
}

/// With everything as it should be, each place leads to the next one, and nothing is done before that is written.
#[rstest]
#[case(Place::at(M::Discovered), E::Assessed)]
#[case(Place::at(M::Assessed), E::Planned)]
#[case(Place::at(M::Planned), E::Scheduled)]
#[case(Place::at(M::Scheduled), E::Admitted)]
#[case(Place::at(M::Landing), E::Landed)]
#[case(Place::at(M::FullCopy), E::Copied)]
#[case(Place::at(M::Replicating), E::Rehearsed)]
#[case(Place::at(M::Rehearsed), E::Approved)]
#[case(Place::at(M::ReadyForCutover), E::CutoverBegun)]
#[case(Place::cutover(S::FreezeSource), E::SourceClosed)]
#[case(Place::cutover(S::Finish), E::Finished)]
#[case(Place::cutover(S::Compare), E::ComparedEqual)]
#[case(Place::cutover(S::Probe), E::TrafficAdmitted)]
#[case(Place::cutover(S::Open), E::TargetOpened)]
#[case(Place::cutover(S::Switch), E::Switched)]
#[case(Place::cutover(S::CloseSource), E::ClosedForGood)]
#[case(Place::at(M::ParallelRun), E::Accepted)]
#[case(Place::at(M::Accepted), E::ClosedForGood)]
#[case(Place::at(M::SourceFrozen), E::Kept)]
#[case(Place::at(M::Retained), E::Erased)]
#[case(Place::back(S::CloseTarget), E::TargetClosed)]
#[case(Place::back(S::ThawSource), E::SourceOpened)]
#[case(Place::back(S::SwitchBack), E::SwitchedBack)]
#[case(Place::back(S::Drop), E::Dropped)]
fn a_good_place_leads_on(#[case] place: Place, #[case] event: E) {
    let scene = Scene::good(place);
    let next = scene.next();
    assert_eq!(
        (next.event, next.act.clone(), next.blocker.clone()),
        (Some(event), Act::Wait, None),
        "{place}: {next:?}"
    );
    assert_eq!(next.epoch, scene.epoch + i64::from(event.is_turn()), "{place}");
}

/// What is spoilt, where, and who has to mend it.
#[rstest]
#[case("nobody answers for an interface", M::Discovered, |s: &mut Scene| s.unowned.push("ledger interface".to_owned()), "DependencyUnowned", P::Department)]
#[case("no grant", M::Assessed, |s: &mut Scene| s.grant = Grant::Absent, "GrantNotFound", P::Department)]
#[case("no downtime", M::Assessed, |s: &mut Scene| s.limits.downtime = None, "Invalid", P::Department)]
#[case("no wave", M::Planned, |s: &mut Scene| s.wave.name = None, "NoWave", P::Provider)]
#[case("the wave is full", M::Scheduled, |s: &mut Scene| s.wave.hold = Some((zhengyun_crds::Reason::WaveFull, "2 of 2".to_owned())), "WaveFull", P::Provider)]
#[case("the grant is coming", M::Landing, |s: &mut Scene| s.grant = Grant::Coming("waits".to_owned()), "TargetNotReady", P::Provider)]
#[case("the target lags", M::Replicating, |s: &mut Scene| s.works[1].in_step_since = None, "LagTooLong", P::Provider)]
#[case("in step too short", M::Replicating, |s: &mut Scene| s.works[0].in_step_since = Some(s.now), "LagTooLong", P::Provider)]
#[case("no rehearsal", M::Replicating, |s: &mut Scene| s.backups.rehearsed = None, "NotRehearsed", P::Provider)]
#[case("the rehearsal took too long", M::Replicating, |s: &mut Scene| s.backups.rehearsed = Some(HOUR * 2), "DowntimeTooLong", P::Department)]
#[case("no window", M::Rehearsed, |s: &mut Scene| s.wave.window = None, "OutsideWindow", P::Provider)]
#[case("no approval", M::Rehearsed, |s: &mut Scene| s.signed.cutover = missing(), "AwaitingSignature", P::Department)]
#[case("the backup is old", M::Rehearsed, |s: &mut Scene| s.backups.age = Some(HOUR * 25), "BackupTooOld", P::Department)]
#[case("no backup", M::Rehearsed, |s: &mut Scene| s.backups.age = None, "BackupTooOld", P::Department)]
#[case("the window is not open", M::ReadyForCutover, |s: &mut Scene| s.now -= HOUR, "OutsideWindow", P::Provider)]
#[case("the target fell back", M::ReadyForCutover, |s: &mut Scene| s.works[0].in_step_since = None, "LagTooLong", P::Provider)]
#[case("the approval does not stand any more", M::ReadyForCutover, |s: &mut Scene| s.signed.cutover = missing(), "AwaitingSignature", P::Department)]
#[case("the trial runs", M::ParallelRun, |s: &mut Scene| s.moments.admitted = Some(s.now - HOUR), "TrialRunning", P::Department)]
#[case("trouble", M::ParallelRun, |s: &mut Scene| s.outside.trouble = Some("errors are up".to_owned()), "TrialFailed", P::Provider)]
#[case("not signed", M::ParallelRun, |s: &mut Scene| s.signed.acceptance = missing(), "AwaitingSignature", P::Department)]
#[case("nobody asked to close it for good", M::Accepted, |s: &mut Scene| s.asked.close_source = false, "SourceKept", P::Department)]
#[case("one place only", M::SourceFrozen, |s: &mut Scene| s.backups.places = 1, "BackupTooOld", P::Department)]
#[case("it is kept", M::Retained, |s: &mut Scene| s.moments.retained_until = Some(s.now + HOUR), "RetentionRunning", P::Department)]
#[case("one place is gone", M::Retained, |s: &mut Scene| s.backups.places = 1, "BackupTooOld", P::Department)]
#[case("no second approval", M::Retained, |s: &mut Scene| s.signed.erasure = missing(), "AwaitingSignature", P::Authority)]
#[case("no record", M::Retained, |s: &mut Scene| s.erasure_recorded = false, "RecordMissing", P::Department)]
#[case("rolled back", M::RolledBack, |_: &mut Scene| {}, "RolledBack", P::Provider)]
fn a_gate_says_what_it_waits_for(
    #[case] what: &str,
    #[case] stage: M,
    #[case] spoil: fn(&mut Scene),
    #[case] reason: &str,
    #[case] owner: P,
) {
    let mut scene = Scene::good(Place::at(stage));
    spoil(&mut scene);
    let next = scene.next();
    assert_eq!((next.at, &next.act), (scene.at, &Act::Wait), "{what}");
    assert_eq!(blocked(&next), Some((reason, owner)), "{what}: {:?}", next.blocker);
}

fn found(severity: Severity) -> MigrationFinding {
    let report = json!({ "findings": [{
        "code": "SourceOwnerIsSuperuser", "severity": severity, "subject": "role app", "evidence": "rolsuper is true",
        "remedy": "give the application a role of its own",
    }] });
    finding::read("books", V::Assess, &report).unwrap().remove(0)
}

#[test]
fn a_blocking_finding_blocks_and_another_does_not() {
    for (severity, blocks) in [(Severity::Blocking, true), (Severity::Warning, false), (Severity::Info, false)] {
        for stage in [M::Discovered, M::Landing, M::Replicating, M::ReadyForCutover] {
            let mut scene = Scene::good(Place::at(stage));
            scene.findings = vec![found(severity)];
            let next = scene.next();
            assert_eq!(blocked(&next), blocks.then_some(("FindingBlocks", P::Department)), "{stage} {severity}");
            assert_eq!(next.at != scene.at, !blocks, "{stage} {severity}");
        }
    }
    let mut scene = Scene::good(Place::at(M::Discovered));
    scene.findings = vec![found(Severity::Blocking)];
    let message = scene.next().blocker.unwrap().message;
    for part in ["role app", "rolsuper is true", "a role of its own", "spec.round", "books"] {
        assert!(message.contains(part), "{message}");
    }
}

/// A process is started, waited for, taken up, and killed when it hangs; whoever has to be started comes first.
#[test]
fn processes_are_ordered_one_at_a_time() {
    for place in Place::all().into_iter().filter(|place| verb(*place).is_some() && place.stage != M::Replicating) {
        let mut scene = Scene::good(place);
        let mut decide = |first: Sighting, second: Sighting| {
            (scene.works[0].sighting, scene.works[1].sighting) = (first, second);
            scene.next()
        };
        let order =
            |next: &Next| run(next).map(|(workload, what, _, order)| (workload, what == verb(place).unwrap(), order));
        let start = |name: &str| Some((name.to_owned(), true, Order::Start));
        assert_eq!(order(&decide(running("x"), Sighting::Absent)), start("books"), "{place}");
        assert_eq!(order(&decide(Sighting::Lost, Sighting::Absent)), start("scans"), "{place}");
        assert_eq!(decide(running("x"), Sighting::Done(proven())).act, Act::Wait, "{place}");
        let mut hung = running("x");
        if let Sighting::Running { silent_seconds, .. } = &mut hung {
            *silent_seconds = 301;
        }
        assert_eq!(
            order(&decide(hung, Sighting::Done(proven()))),
            Some(("scans".to_owned(), true, Order::Kill)),
            "{place}"
        );
        assert_eq!(order(&decide(failed("Busy", true), running("x"))), start("scans"), "{place}");
    }
}

#[test]
fn what_follows_the_source_is_kept_running_where_it_must_be() {
    for place in Place::all().into_iter().filter(|place| follows(*place)) {
        let mut scene = Scene::good(place);
        scene.works[1].follower = Sighting::Lost;
        let expected = Some(("books".to_owned(), V::Copy, scene.epoch, Order::Start));
        assert_eq!(run(&scene.next()), expected, "{place}");
        scene.works[1].follower = failed("SlotOverBudget", false);
        let next = scene.next();
        if place.stage == M::FullCopy {
            assert_eq!(run(&next), expected);
        } else {
            assert_eq!((next.event, next.epoch), (Some(E::FellBehind), scene.epoch + 1), "{place}");
        }
        scene.works[1].follower = failed("NoSpace", false);
        assert_eq!(blocked(&scene.next()), Some(("RunFailed", P::Provider)), "{place}");
        // It is not copied before it says so.
        scene.works[1].follower = running("copying");
        assert_eq!((scene.next().at, scene.next().act), (place, Act::Wait), "{place}");
    }
}

/// A workload has one process at a time: what follows stops for the comparison, and goes on after it.
#[test]
fn what_follows_makes_room_for_the_comparison() {
    let mut scene = Scene::good(Place::at(M::Replicating));
    let epoch = scene.epoch;
    scene.works[1].sighting = Sighting::Absent;
    assert_eq!(run(&scene.next()), Some(("books".to_owned(), V::Copy, epoch, Order::Cancel)));
    scene.works[1].follower = Sighting::Done(json!({}));
    assert_eq!(run(&scene.next()), Some(("books".to_owned(), V::Compare, epoch, Order::Start)));
    scene.works[1].sighting = running("comparing");
    assert_eq!(scene.next().act, Act::Wait);
    scene.works[1].sighting = Sighting::Done(json!({ "equal": false, "differences": [{ "path": "a/b" }] }));
    let next = scene.next();
    assert_eq!((next.at, blocked(&next)), (scene.at, Some(("Differs", P::Provider))));
    assert!(next.blocker.unwrap().message.contains("a/b"));
    scene.works[1].sighting = Sighting::Done(proven());
    assert_eq!(run(&scene.next()), Some(("books".to_owned(), V::Copy, epoch, Order::Start)));
    scene.works[1].follower = following();
    assert_eq!(scene.next().event, Some(E::Rehearsed));
}

/// Until traffic is admitted everything that fails leads back by itself; after that nothing does.
#[rstest]
#[case::refused(S::FreezeSource, |s: &mut Scene| s.works[0].sighting = failed("FreezeRefused", false))]
#[case::unproven(S::FreezeSource, |s: &mut Scene| s.works[0].sighting = Sighting::Done(json!({ "evidence": "x" })))]
#[case::no_evidence(S::FreezeSource, |s: &mut Scene| s.works[1].sighting = Sighting::Done(json!({ "strength": "Proven" })))]
#[case::declared_and_unsigned(S::FreezeSource, |s: &mut Scene| s.works[0].sighting = Sighting::Done(json!({ "strength": "Declared", "evidence": "quiet" })))]
#[case::late_freeze(S::FreezeSource, |s: &mut Scene| s.moments.frozen = Some(s.now - HOUR * 2))]
#[case::finish(S::Finish, |s: &mut Scene| s.works[0].sighting = failed("NoSpace", false))]
#[case::late_finish(S::Finish, |s: &mut Scene| { s.works[0].sighting = running("x"); s.moments.frozen = Some(s.now - HOUR * 2) })]
#[case::unequal(S::Compare, |s: &mut Scene| s.works[1].sighting = Sighting::Done(json!({ "equal": false, "differences": ["table a"] })))]
#[case::nothing_said(S::Compare, |s: &mut Scene| s.works[1].sighting = Sighting::Done(json!({})))]
#[case::probe(S::Probe, |s: &mut Scene| s.outside.probe = Told::Failed("404".to_owned()))]
#[case::late_probe(S::Probe, |s: &mut Scene| s.moments.frozen = Some(s.now - HOUR * 2))]
#[case::cancelled(S::Probe, |s: &mut Scene| s.asked.cancel = true)]
#[case::retired_and_refused(S::CloseSource, |s: &mut Scene| s.works[0].sighting = failed("FreezeRefused", false))]
fn before_traffic_is_admitted_a_failure_leads_back(#[case] at: S, #[case] spoil: fn(&mut Scene)) {
    let mut scene = Scene::good(Place::cutover(at));
    spoil(&mut scene);
    let next = scene.next();
    assert_eq!((next.at, next.epoch), (Place::back(S::CloseTarget), scene.epoch + 1));
    assert_eq!(next.act, Act::Wait, "nothing is done before it is written");
    assert!(next.blocker.is_some() || scene.asked.cancel, "it says why");
}

#[test]
fn a_declared_freeze_counts_when_somebody_signed_for_it() {
    let mut scene = Scene::good(Place::cutover(S::FreezeSource));
    scene.works[0].sighting = Sighting::Done(json!({ "strength": "Declared", "evidence": "quiet for 10m" }));
    assert_eq!(blocked(&scene.next()), Some(("AwaitingSignature", P::Department)));
    scene.signed.declared = Ok(());
    assert_eq!(scene.next().event, Some(E::SourceClosed));
    scene.works[0].sighting = Sighting::Done(json!({ "strength": "Hoped", "evidence": "x" }));
    assert_eq!(blocked(&scene.next()), Some(("NotProvenClosed", P::Provider)));
}

/// That nothing writes to the source says nothing of the target: once applications had it, who signs for the way back answers for that.
#[test]
fn a_target_that_is_declared_closed_counts_by_the_signature_for_the_way_back() {
    let mut scene = Scene::good(Place::back(S::CloseTarget));
    scene.works[0].sighting = Sighting::Done(json!({ "strength": "Declared", "evidence": "x" }));
    scene.signed.declared = Ok(());
    assert_eq!(blocked(&scene.next()), Some(("AwaitingSignature", P::Department)));
    scene.signed.rollback = Ok(());
    assert_eq!(scene.next().event, Some(E::TargetClosed));
    scene.moments.admitted = None;
    scene.signed.rollback = missing();
    assert_eq!(scene.next().event, Some(E::TargetClosed), "applications never had it");
}

/// What copying needed at the source is taken away before people are asked to erase it.
#[test]
fn nothing_is_left_at_the_source_before_it_is_erased() {
    let mut scene = Scene::good(Place::at(M::Retained));
    scene.erasure_recorded = false;
    scene.works[1].sighting = Sighting::Absent;
    assert_eq!(run(&scene.next()), Some(("books".to_owned(), V::Drop, scene.epoch, Order::Start)));
    scene.works[1].sighting = Sighting::Done(proven());
    assert_eq!(blocked(&scene.next()), Some(("RecordMissing", P::Department)));
}

#[test]
fn after_traffic_is_admitted_only_a_signature_leads_back() {
    for place in [Place::cutover(S::Open), Place::cutover(S::Switch), Place::at(M::ParallelRun), Place::at(M::Accepted)]
    {
        let mut scene = Scene::good(place);
        scene.moments.frozen = Some(scene.now - HOUR * 100);
        for work in &mut scene.works {
            work.sighting = failed("NoSpace", false);
        }
        scene.outside.switch = Told::Failed("no DNS".to_owned());
        scene.asked.cancel = true;
        let next = scene.next();
        assert_eq!((next.at, next.epoch), (place, scene.epoch), "{place}");
        assert!(next.blocker.is_some(), "{place}");
        scene.signed.rollback = Ok(());
        let next = scene.next();
        assert_eq!((next.at, next.event), (Place::back(S::CloseTarget), Some(E::LossSigned)), "{place}");
    }
    for stage in [M::SourceFrozen, M::Retained] {
        let mut scene = Scene::good(Place::at(stage));
        scene.signed.rollback = Ok(());
        scene.asked.cancel = true;
        let next = scene.next();
        assert_eq!((next.at, blocked(&next)), (Place::at(stage), Some(("NotProvenClosed", P::Department))), "{stage}");
    }
}

/// No proof that the target is closed means that the source is not opened, however often it is tried.
#[rstest]
#[case(json!({}))]
#[case(json!({ "evidence": null }))]
#[case(json!({ "evidence": "" }))]
#[case(json!({ "evidence": [] }))]
#[case(json!({ "evidence": false }))]
#[case(json!({ "evidence": ["x"], "strength": "Hoped" }))]
fn a_target_that_is_not_proven_closed_keeps_the_source_closed(#[case] report: Value) {
    let mut scene = Scene::good(Place::back(S::CloseTarget));
    scene.works[1].sighting = Sighting::Done(report);
    let next = scene.next();
    assert_eq!((next.at, blocked(&next)), (scene.at, Some(("NotProvenClosed", P::Provider))));
    scene.works[1].sighting = failed("TargetUnreachable", false);
    scene.works[1].attempt = 1_000;
    let next = scene.next();
    assert_eq!(next.at, scene.at);
    assert_eq!(
        run(&next),
        Some(("books".to_owned(), V::Close, scene.epoch, Order::Start)),
        "it is tried until it is done"
    );
    assert_eq!(blocked(&next), Some(("RunFailed", P::Provider)), "and it says so meanwhile");
}

/// What a turn leaves behind is ended first, at once where applications wait.
#[test]
fn a_process_of_before_is_ended_first() {
    for (place, order) in [
        (Place::at(M::Landing), Order::Cancel),
        (Place::cutover(S::FreezeSource), Order::Cancel),
        (Place::cutover(S::Open), Order::Kill),
        (Place::back(S::CloseTarget), Order::Kill),
    ] {
        let mut scene = Scene::good(place);
        scene.works[1].stale = Some(Stale { verb: V::Copy, epoch: 3, hangs: false });
        assert_eq!(run(&scene.next()), Some(("books".to_owned(), V::Copy, 3, order)), "{place}");
    }
}

#[test]
fn a_raised_round_begins_anew_under_another_epoch_and_a_pause_holds() {
    for place in Place::all().into_iter().filter(|place| !place.stage.is_terminal()) {
        let mut scene = Scene::good(place);
        scene.asked.round = 1;
        let next = scene.next();
        let expected = if place.stage == M::RolledBack { Place::at(M::Scheduled) } else { place };
        assert_eq!((next.at, next.epoch, next.round, &next.act), (expected, 5, 1, &Act::Wait), "{place}");
        let mut scene = Scene::good(place);
        scene.asked.paused = true;
        let next = scene.next();
        let safe = matches!(place.stage, M::CuttingOver | M::RollingBack);
        assert_eq!(next.blocker.as_ref().is_some_and(|shut| shut.reason == "Paused"), !safe, "{place}");
        assert_eq!(next.at == place, !safe, "{place}");
    }
}

#[test]
fn an_approval_is_for_one_window() {
    let mut scene = Scene::good(Place::at(M::ReadyForCutover));
    scene.wave.approved = Some(scene.now - HOUR * 24 * 7);
    assert_eq!(scene.next().event, Some(E::WindowMissed));
    scene.wave.window = None;
    assert_eq!(scene.next().event, Some(E::WindowMissed));
}

#[test]
fn a_system_that_is_retired_needs_neither_grant_nor_target() {
    let mut scene = Scene::good(Place::at(M::Assessed));
    (scene.strategy, scene.grant, scene.limits.downtime) = (Strategy::Retire, Grant::Absent, None);
    assert_eq!(scene.next().event, Some(E::Planned));
    scene.at = Place::at(M::Scheduled);
    assert_eq!(scene.next().event, Some(E::RetirementBegun));
    scene.signed.acceptance = missing();
    assert_eq!(blocked(&scene.next()), Some(("AwaitingSignature", P::Department)));
    scene.at = Place::back(S::CloseTarget);
    assert_eq!(scene.next().event, Some(E::TargetClosed));
}

#[test]
fn what_ended_stays() {
    for stage in [M::Erased, M::Cancelled] {
        let mut scene = Scene::good(Place::at(stage));
        scene.asked.round = 9;
        scene.asked.cancel = true;
        scene.signed.rollback = Ok(());
        scene.works[0].stale = Some(Stale { verb: V::Open, epoch: 1, hangs: true });
        scene.works[0].follower = following();
        let next = scene.next();
        assert_eq!((next.at, next.epoch, next.round, next.act), (Place::at(stage), 4, 0, Act::Wait));
    }
}

/// What waits to be tried again copied before it was rolled back: that is taken away when it is given up instead.
#[test]
fn what_was_copied_before_goes_with_what_is_given_up() {
    let mut scene = Scene::good(Place::at(M::Scheduled));
    scene.asked.cancel = true;
    let next = scene.next();
    assert_eq!((next.at, next.event, next.epoch), (Place::back(S::Drop), Some(E::CopyGivenUp), scene.epoch + 1));
    scene.moments.frozen = None;
    assert_eq!(scene.next().at, Place::at(M::Cancelled));
}

/// What was refused because another migration holds the target made nothing: giving it up does not wait for the other one.
#[test]
fn what_another_migration_holds_keeps_nobody_from_giving_up() {
    let mut scene = Scene::good(Place::back(S::Drop));
    scene.works[1].sighting = failed("OtherMigration", false);
    assert_eq!(scene.next().at, Place::at(M::Cancelled));
    scene.works[1].sighting = failed("SourceFrozen", false);
    assert_eq!(scene.next().at, scene.at);
}
