use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rstest::rstest;
use zhengyun_crds::Reason;
use zhengyun_domain::recovery::objective::{
    CopyEvidence, DrillResult, Judgement, Objective, RestorePoint, judge, window,
};

use crate::at;

const NOW: &str = "2026-11-26T12:00:00Z";

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn objective() -> Objective {
    Objective { rpo: hours(6), rto: hours(2), drill_valid_for: hours(24 * 92) }
}

fn point(captured: &str, verified: &str) -> RestorePoint {
    RestorePoint { captured_at: at(captured), verified_at: at(verified) }
}

/// A copy of which everything is proven.
fn good(store: &str) -> CopyEvidence {
    let before = point("2026-11-26T04:00:00Z", "2026-11-26T04:20:00Z");
    let last = point("2026-11-26T08:00:00Z", "2026-11-26T08:30:00Z");
    CopyEvidence {
        store: store.to_owned(),
        last: Some(last),
        window: window(Some(before), last),
        drill: Some(DrillResult { finished_at: at("2026-11-01T00:00:00Z"), rto: Some(SignedDuration::from_mins(40)) }),
        skipped: None,
    }
}

fn judged(copies: &[CopyEvidence]) -> Judgement {
    judge(copies, objective(), at(NOW))
}

fn reasons(judgement: &Judgement) -> Vec<(Reason, &str)> {
    judgement.misses.iter().map(|miss| (miss.reason, miss.store.as_str())).collect()
}

#[test]
fn measured_and_met() {
    // A drill that found no room takes nothing away from the one before it.
    assert!(judged(&[CopyEvidence { skipped: Some(at("2026-11-02T00:00:00Z")), ..good("near") }]).is_met());
    let judgement = judged(&[good("near"), good("far")]);
    assert!(judgement.is_met(), "{judgement:?}");
    // A disaster just before 08:30 would have cost everything since 04:00.
    assert_eq!(judgement.worst_rpo, Some(SignedDuration::from_mins(270)));
    assert_eq!(judgement.measured_rto, Some(SignedDuration::from_mins(40)));
    assert_eq!(judgement.lapses_at, Some(at("2026-11-26T14:00:00.000000001Z")));
}

#[test]
fn a_copy_that_proves_nothing_leaves_the_plan_unproven() {
    let unproven = CopyEvidence { store: "far".to_owned(), ..CopyEvidence::default() };
    let judgement = judged(&[good("near"), unproven]);
    assert_eq!(reasons(&judgement), [(Reason::NotMeasured, "far"), (Reason::NotMeasured, "far")]);
    assert_eq!((judgement.worst_rpo, judgement.measured_rto), (None, None));
    assert_eq!(reasons(&judged(&[])), [(Reason::NotMeasured, "")]);
}

#[rstest]
#[case::too_old(|c: &mut CopyEvidence| c.last = Some(point("2026-11-26T05:59:59Z", "2026-11-26T06:30:00Z")), Reason::RpoExceeded)]
#[case::from_the_future(|c: &mut CopyEvidence| c.last = Some(point("2026-11-26T12:00:01Z", "2026-11-26T12:10:00Z")), Reason::ClockWentBack)]
#[case::verified_in_the_future(|c: &mut CopyEvidence| c.last = Some(point("2026-11-26T11:00:00Z", "2026-11-26T12:10:00Z")), Reason::ClockWentBack)]
#[case::long_window(|c: &mut CopyEvidence| c.window = Some(hours(7)), Reason::RpoExceeded)]
#[case::window_unknown(|c: &mut CopyEvidence| c.window = None, Reason::NotMeasured)]
#[case::no_drill(|c: &mut CopyEvidence| c.drill = None, Reason::NotMeasured)]
#[case::drill_failed(|c: &mut CopyEvidence| c.drill.as_mut().unwrap().rto = None, Reason::NotMeasured)]
#[case::drill_skipped(|c: &mut CopyEvidence| (c.drill, c.skipped) = (None, Some(at("2026-11-02T00:00:00Z"))), Reason::DrillSkipped)]
#[case::drill_failed_then_skipped(|c: &mut CopyEvidence| { c.drill.as_mut().unwrap().rto = None; c.skipped = Some(at("2026-11-02T00:00:00Z")); }, Reason::NotMeasured)]
#[case::drill_too_old_then_skipped(|c: &mut CopyEvidence| { c.drill.as_mut().unwrap().finished_at = at("2026-08-01T00:00:00Z"); c.skipped = Some(at("2026-11-02T00:00:00Z")); }, Reason::DrillSkipped)]
#[case::drill_too_slow(|c: &mut CopyEvidence| c.drill.as_mut().unwrap().rto = Some(hours(3)), Reason::RtoExceeded)]
#[case::drill_too_old(|c: &mut CopyEvidence| c.drill.as_mut().unwrap().finished_at = at("2026-08-01T00:00:00Z"), Reason::DrillOverdue)]
#[case::drill_from_the_future(|c: &mut CopyEvidence| c.drill.as_mut().unwrap().finished_at = at("2027-01-01T00:00:00Z"), Reason::ClockWentBack)]
fn one_thing_wrong(#[case] change: fn(&mut CopyEvidence), #[case] reason: Reason) {
    let mut copy = good("near");
    change(&mut copy);
    let judgement = judged(&[copy]);
    assert_eq!(reasons(&judgement), [(reason, "near")]);
    assert!(judgement.misses[0].message.contains("near"), "{:?}", judgement.misses);
}

#[test]
fn the_first_point_has_no_point_before_it() {
    let first = point("2026-11-26T08:00:00Z", "2026-11-26T08:30:00Z");
    assert_eq!(window(None, first), Some(SignedDuration::from_mins(30)));
    let clock_back = point("2026-11-26T08:00:00Z", "2026-11-26T07:00:00Z");
    assert_eq!(window(None, clock_back), None);
}

fn evidence() -> impl Strategy<Value = CopyEvidence> {
    let seconds = 0_i64..200_000;
    let last = prop::option::of((seconds.clone(), 0_i64..20_000).prop_map(|(age, took)| {
        let captured_at = at(NOW) - SignedDuration::from_secs(age);
        RestorePoint { captured_at, verified_at: (captured_at + SignedDuration::from_secs(took)).min(at(NOW)) }
    }));
    let drill = prop::option::of((0_i64..10_000_000, prop::option::of(0_i64..20_000)).prop_map(|(age, rto)| {
        DrillResult { finished_at: at(NOW) - SignedDuration::from_secs(age), rto: rto.map(SignedDuration::from_secs) }
    }));
    (last, prop::option::of(seconds.prop_map(SignedDuration::from_secs)), drill)
        .prop_map(|(last, window, drill)| CopyEvidence { store: "s".to_owned(), last, window, drill, skipped: None })
}

proptest! {
    /// Met means what it says, by the numbers and by nothing else.
    #[test]
    fn met_means_measured(copies in prop::collection::vec(evidence(), 1..4)) {
        let judgement = judged(&copies);
        let proven = |copy: &CopyEvidence| {
            copy.last.is_some_and(|last| at(NOW).duration_since(last.captured_at) <= objective().rpo)
                && copy.window.is_some_and(|window| window <= objective().rpo)
                && copy.drill.is_some_and(|drill| {
                    drill.rto.is_some_and(|rto| rto <= objective().rto)
                        && at(NOW).duration_since(drill.finished_at) <= objective().drill_valid_for
                })
        };
        prop_assert_eq!(judgement.is_met(), copies.iter().all(proven));
        if judgement.is_met() {
            prop_assert!(judgement.worst_rpo.unwrap() <= objective().rpo);
            prop_assert!(judgement.measured_rto.unwrap() <= objective().rto);
        }
    }

    /// Without anything new, what is met stays met until the stated moment, and is not met then.
    #[test]
    fn the_judgement_lapses_when_it_says(copies in prop::collection::vec(evidence(), 1..4)) {
        let judgement = judged(&copies);
        if let Some(lapses_at) = judgement.lapses_at.filter(|_| judgement.is_met()) {
            let just_before: Timestamp = lapses_at - SignedDuration::from_nanos(1);
            prop_assert!(just_before >= at(NOW));
            prop_assert!(judge(&copies, objective(), just_before).is_met());
            prop_assert!(!judge(&copies, objective(), lapses_at).is_met());
        }
    }
}
