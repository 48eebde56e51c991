//! What is written down after a decision.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;
use zhengyun_crds::migration::{
    Blocker, CopyProgress, MachineRoomStatus, MigrationStage as M, MigrationStep as S, MigrationWaveStatus, Party,
    RollbackLoss, RoomPhase, SystemMigrationStatus, WorkloadStatus,
};
use zhengyun_crds::{Condition, Reason};
use zhengyun_domain::finding::Finding;
use zhengyun_domain::migration::follow::{Act, Next};
use zhengyun_domain::migration::machine::{Event as E, Place, step};
use zhengyun_domain::migration::status::{Ground, migration, room, wave};
use zhengyun_domain::migration::wave::Member;
use zhengyun_domain::migration::window::Open;

use crate::at;
use crate::scene::{HOUR, Scene};

const NOW: &str = "2027-03-05T15:00:00Z";

fn ground(before: &SystemMigrationStatus) -> Ground<'_> {
    let window = Open { start: at("2027-03-05T14:00:00Z"), end: at("2027-03-05T22:00:00Z") };
    Ground {
        before,
        generation: Some(7),
        wave: Some("first"),
        window: Some(window),
        retention: SignedDuration::from_hours(24 * 90),
        now: at(NOW),
    }
}

fn next(place: Place, event: Option<E>, blocker: Option<Blocker>) -> Next {
    Next { at: place, event, epoch: 5, round: 1, act: Act::Wait, blocker }
}

fn blocker(reason: Reason) -> Option<Blocker> {
    let message = "it says why".to_owned();
    Some(Blocker { reason: reason.as_str().to_owned(), owner: Party::Department, message })
}

fn said(conditions: &[Condition], type_: &str) -> Option<(String, String)> {
    let found = conditions.iter().find(|condition| condition.type_ == type_)?;
    Some((found.status.to_string(), found.reason.clone()))
}

fn pair(status: &str, reason: &str) -> Option<(String, String)> {
    Some((status.to_owned(), reason.to_owned()))
}

/// Everything that happens in a cutover is dated, and only then.
#[test]
fn moments_are_written_when_they_come() {
    let frozen = Some(Time(at("2027-03-05T14:48:00Z")));
    let begun = migration(
        &ground(&SystemMigrationStatus::default()),
        &next(Place::cutover(S::FreezeSource), Some(E::CutoverBegun), None),
    );
    assert_eq!(begun.frozen_at, Some(Time(at(NOW))));
    assert_eq!((begun.traffic_admitted_at.clone(), begun.downtime.clone()), (None, None));
    let before = SystemMigrationStatus { frozen_at: frozen.clone(), ..SystemMigrationStatus::default() };
    let after = |place, event, before: &SystemMigrationStatus| migration(&ground(before), &next(place, event, None));
    let admitted = after(Place::cutover(S::Open), Some(E::TrafficAdmitted), &before);
    assert_eq!((admitted.traffic_admitted_at.clone(), admitted.downtime.clone()), (Some(Time(at(NOW))), None));
    let opened = after(Place::cutover(S::Switch), Some(E::TargetOpened), &admitted);
    assert_eq!(opened.downtime, Some("12m".into()));
    // On the way back before traffic was admitted neither side was open; after it, the target was.
    assert_eq!(after(Place::back(S::SwitchBack), Some(E::SourceOpened), &before).downtime, Some("12m".into()));
    assert_eq!(after(Place::back(S::SwitchBack), Some(E::SourceOpened), &admitted).downtime, None);
    let kept = after(Place::at(M::Retained), Some(E::Kept), &opened);
    assert_eq!(kept.retained_until, Some(Time(at("2027-06-03T15:00:00Z"))));
    // A look that changes nothing writes the same once more.
    let quiet = after(Place::at(M::Retained), None, &kept);
    assert_eq!(after(Place::at(M::Retained), None, &quiet), quiet);
}

#[test]
fn a_turn_forgets_the_attempts_of_before_and_a_new_copy_that_it_was_in_step() {
    let progress = CopyProgress { percent: 100, bytes_done: 5, bytes_total: 5, ..CopyProgress::default() };
    let in_step_since = Some(Time(at(NOW)));
    let workload = WorkloadStatus { attempt: 4, in_step_since, progress, ..WorkloadStatus::default() };
    let before = SystemMigrationStatus { epoch: 4, workloads: vec![workload], ..SystemMigrationStatus::default() };
    let after = migration(&ground(&before), &next(Place::at(M::FullCopy), Some(E::FellBehind), None));
    assert_eq!((after.epoch, after.round, after.workloads[0].attempt), (5, 1, 0));
    assert_eq!(after.workloads[0].in_step_since, None);
    let copied = &after.workloads[0].progress;
    assert_eq!((copied.percent, copied.repeats, copied.bytes_done), (100, 1, 0));
    let same = Next { epoch: 4, ..next(Place::at(M::Replicating), Some(E::Copied), None) };
    let after = migration(&ground(&before), &same);
    assert_eq!((after.workloads[0].attempt, after.workloads[0].in_step_since.is_some()), (4, true));
}

#[test]
fn the_window_is_shown_before_it_is_approved_and_stays_when_it_is() {
    let shown = migration(&ground(&SystemMigrationStatus::default()), &next(Place::at(M::Rehearsed), None, None));
    assert_eq!(shown.window, Some(Time(at("2027-03-05T14:00:00Z"))));
    let later = Ground {
        window: Some(Open { start: at("2027-03-12T14:00:00Z"), end: at("2027-03-12T22:00:00Z") }),
        ..ground(&shown)
    };
    assert_eq!(migration(&later, &next(Place::at(M::ReadyForCutover), Some(E::Approved), None)).window, shown.window);
    assert_ne!(migration(&later, &next(Place::at(M::Rehearsed), Some(E::WindowMissed), None)).window, shown.window);
}

#[test]
fn what_the_way_back_costs_is_what_the_table_says() {
    for place in Place::all() {
        let status = migration(&ground(&SystemMigrationStatus::default()), &next(place, None, None));
        let expected = if step(place, E::LossSigned).is_ok() {
            RollbackLoss::SinceAdmitted
        } else if place.stage.is_past_return() {
            RollbackLoss::NoWayBack
        } else {
            RollbackLoss::Nothing
        };
        assert_eq!(
            (status.rollback, status.stage, status.step),
            (Some(expected), Some(place.stage), place.step),
            "{place}"
        );
    }
}

#[rstest]
#[case::at_work(M::FullCopy, None, "Unknown", "InProgress", false)]
#[case::comes_by_itself(M::ReadyForCutover, Some(Reason::OutsideWindow), "Unknown", "OutsideWindow", false)]
#[case::on_trial(M::ParallelRun, Some(Reason::TrialRunning), "Unknown", "TrialRunning", false)]
#[case::somebody_must_act(M::Rehearsed, Some(Reason::AwaitingSignature), "False", "AwaitingSignature", true)]
#[case::as_it_should(M::Accepted, Some(Reason::SourceKept), "True", "SourceKept", false)]
#[case::kept(M::Retained, Some(Reason::RetentionRunning), "True", "RetentionRunning", false)]
#[case::erased(M::Erased, None, "True", "AsIntended", false)]
#[case::cancelled(M::Cancelled, None, "False", "Cancelled", false)]
fn a_condition_says_whether_somebody_must_act(
    #[case] stage: M,
    #[case] reason: Option<Reason>,
    #[case] ready: &str,
    #[case] why: &str,
    #[case] stalled: bool,
) {
    let blocked = reason.and_then(blocker);
    let status = migration(&ground(&SystemMigrationStatus::default()), &next(Place::at(stage), None, blocked.clone()));
    assert_eq!(said(&status.conditions, "Ready"), pair(ready, why));
    assert_eq!(said(&status.conditions, "Stalled").is_some(), stalled);
    assert_eq!(said(&status.conditions, "Complete").is_some(), stage.is_terminal());
    assert_eq!(status.blocker, blocked);
}

#[test]
fn why_it_went_back_is_told_until_the_next_cutover() {
    let why = blocker(Reason::DowntimeTooLong);
    let back = migration(
        &ground(&SystemMigrationStatus::default()),
        &next(Place::back(S::CloseTarget), Some(E::RollbackBegun), why.clone()),
    );
    assert_eq!(back.went_back, why);
    let rests = migration(&ground(&back), &next(Place::at(M::RolledBack), None, blocker(Reason::RolledBack)));
    let message = &rests.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap().message;
    assert!(message.contains("DowntimeTooLong"), "{message}");
    let again = migration(&ground(&rests), &next(Place::cutover(S::FreezeSource), Some(E::CutoverBegun), None));
    assert_eq!(again.went_back, None);
}

/// What a status says leads to the same decision as what was decided on.
#[test]
fn a_decision_is_written_whole() {
    for place in Place::all() {
        let decided = Scene::good(place).next();
        let status = migration(&ground(&SystemMigrationStatus::default()), &decided);
        let read = Place { stage: status.stage.unwrap(), step: status.step };
        assert_eq!((read, status.epoch, status.round), (decided.at, decided.epoch, decided.round), "{place}");
        assert!(Place::all().contains(&read), "{read}");
    }
    assert!(HOUR > SignedDuration::ZERO);
}

fn member(name: &str, stage: Option<M>, admitted: bool) -> Member {
    Member { key: ("finance".to_owned(), name.to_owned()), stage, admitted, waits: false }
}

#[test]
fn a_wave_counts_its_migrations_and_says_why_each_waits() {
    let members = [
        member("a", Some(M::ParallelRun), true),
        member("b", Some(M::FullCopy), true),
        member("c", Some(M::Scheduled), false),
        member("d", Some(M::RolledBack), false),
        member("e", None, false),
    ];
    let hold = |reason| Some((reason, "it says why".to_owned()));
    let verdicts: Vec<_> = members
        .iter()
        .zip([hold(Reason::Pending), None, hold(Reason::WaveFull), hold(Reason::Pending), hold(Reason::Pending)])
        .map(|(member, hold)| (member.key.clone(), hold))
        .collect();
    let before = MigrationWaveStatus::default();
    let status = wave(&before, Some(3), &members, &Ok(verdicts.clone()), None, at(NOW));
    assert_eq!((status.total, status.done, status.running, status.failed), (5, 1, 1, 1));
    let told: Vec<_> = status.members.iter().map(|member| (member.admitted, member.reason.as_deref())).collect();
    let pending = (false, Some("Pending"));
    assert_eq!(told, [pending, (true, None), (false, Some("WaveFull")), pending, pending]);
    assert_eq!(said(&status.conditions, "Ready"), pair("True", "AsIntended"));
    let mut stopped = verdicts;
    stopped[2].1 = hold(Reason::WaveStopped);
    let status = wave(&before, Some(3), &members, &Ok(stopped), None, at(NOW));
    assert_eq!(said(&status.conditions, "Stalled"), pair("True", "WaveStopped"));
    let wrong = vec![Finding::new("/spec/windows/0/opens", "ScheduleInvalid", "four fields")];
    let status = wave(&before, Some(3), &members, &Err(wrong), None, at(NOW));
    assert_eq!(said(&status.conditions, "Stalled"), pair("True", "ScheduleInvalid"));
    let admitted: Vec<bool> = status.members.iter().map(|member| member.admitted).collect();
    assert_eq!(admitted, [true, true, false, false, false], "what was let in stays in, and nothing else comes in");
}

#[test]
fn a_room_says_what_it_waits_for() {
    let before = MachineRoomStatus::default();
    for (phase, waits, ready, stalled) in [
        (RoomPhase::Retained, None, "True", false),
        (RoomPhase::Migrating, Some(Reason::SystemsLeft), "Unknown", false),
        (RoomPhase::Sanitised, Some(Reason::SystemsLeft), "False", true),
        (RoomPhase::Emptied, Some(Reason::RecordMissing), "False", true),
    ] {
        let waits = waits.map(|reason| (reason, "it says why".to_owned()));
        let next = zhengyun_domain::migration::room::Next { phase, waits };
        let day = Some(jiff::civil::date(2027, 6, 1));
        let status = room(&before, Some(2), Vec::new(), &next, day, at(NOW));
        assert_eq!((status.phase, status.forecast.as_deref()), (Some(phase), Some("2027-06-01")));
        assert_eq!(said(&status.conditions, "Ready").map(|(status, _)| status).as_deref(), Some(ready), "{phase}");
        assert_eq!(said(&status.conditions, "Stalled").is_some(), stalled, "{phase}");
    }
}
