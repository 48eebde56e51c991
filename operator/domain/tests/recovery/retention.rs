use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use zhengyun_crds::recovery::{Hold, Retention};
use zhengyun_domain::recovery::retention::{Decision, Dropped, Fate, Kept, Point, Worth, decide};

use crate::at;

fn point(captured_at: &str) -> Point {
    Point {
        name: captured_at.to_owned(),
        captured_at: at(captured_at),
        worth: Worth::Verified,
        stores: BTreeSet::from(["near".to_owned()]),
        in_use: false,
    }
}

/// One verified backup a day at 02:00 UTC, the newest on 26 November 2026.
fn daily(days: i64) -> Vec<Point> {
    (0..days)
        .map(|day| point(&(at("2026-11-26T02:00:00Z") - SignedDuration::from_hours(24 * day)).to_string()))
        .collect()
}

fn policy(last: i32, daily: i32, weekly: i32, monthly: i32, yearly: i32) -> Retention {
    Retention { last, daily, weekly, monthly, yearly, minimum: 1, history: 2 }
}

fn run(policy: &Retention, holds: &[Hold], points: &[Point]) -> Vec<Decision> {
    decide(policy, holds, points, &TimeZone::UTC, at("2026-11-26T12:00:00Z"))
}

fn kept(decisions: &[Decision]) -> Vec<&str> {
    decisions.iter().filter(|d| d.keeps()).map(|d| d.name.as_str()).collect()
}

fn why<'a>(decisions: &'a [Decision], name: &str) -> &'a Fate {
    &decisions.iter().find(|d| d.name.starts_with(name)).unwrap().fate
}

#[test]
fn grandfather_father_son() {
    let decisions = run(&policy(0, 3, 2, 3, 2), &[], &daily(800));
    let days: Vec<&str> = kept(&decisions).into_iter().map(|name| &name[..10]).collect();
    assert_eq!(
        days,
        [
            "2026-11-26", // day, week, month and year so far
            "2026-11-25",
            "2026-11-24",
            "2026-11-22", // Sunday: the week before
            "2026-10-31",
            "2026-09-30",
            "2025-12-31",
        ]
    );
    let Fate::Keep(reasons) = why(&decisions, "2026-11-26") else { panic!() };
    for reason in [
        Kept::LastVerified,
        Kept::Day("2026-11-26".parse().unwrap()),
        Kept::Week(2026, 48),
        Kept::Month(2026, 11),
        Kept::Year(2026),
    ] {
        assert!(reasons.contains(&reason), "{reason}: {reasons:?}");
    }
    assert_eq!(why(&decisions, "2026-11-23"), &Fate::Drop(Dropped::Thinned { instead: None }));
}

#[test]
fn days_are_those_of_the_plan() {
    // 17:00 UTC is the next day in China: these two are of different days there, and of one in UTC.
    let points = [point("2026-11-20T15:00:00Z"), point("2026-11-20T17:00:00Z")];
    let china = TimeZone::fixed(jiff::tz::offset(8));
    let in_china = decide(&policy(0, 2, 0, 0, 0), &[], &points, &china, at("2026-11-26T12:00:00Z"));
    assert_eq!(kept(&in_china).len(), 2);
    let in_utc = run(&policy(0, 2, 0, 0, 0), &[], &points);
    assert_eq!(kept(&in_utc), ["2026-11-20T17:00:00Z"]);
    assert_eq!(
        why(&in_utc, "2026-11-20T15"),
        &Fate::Drop(Dropped::Thinned { instead: Some("2026-11-20T17:00:00Z".to_owned()) })
    );
}

#[test]
fn the_last_verified_one_stays_whatever_the_plan_says() {
    let mut points = daily(3);
    points[0].worth = Worth::Poor;
    points[1].worth = Worth::Poor;
    let decisions = run(&policy(0, 0, 0, 0, 0), &[], &points);
    // The newer ones are no good, but nothing better is newer.
    assert_eq!(kept(&decisions).len(), 3);
    points[1].worth = Worth::Verified;
    let decisions = run(&policy(0, 0, 0, 0, 0), &[], &points);
    assert_eq!(kept(&decisions), [&points[0].name, &points[1].name]);
    points[0].worth = Worth::Verified;
    points[1].worth = Worth::Poor;
    let decisions = run(&policy(0, 0, 0, 0, 0), &[], &points);
    assert_eq!(why(&decisions, "2026-11-25"), &Fate::Drop(Dropped::Superseded { by: points[0].name.clone() }));
}

#[test]
fn the_last_verified_one_in_each_store_stays() {
    let mut points = daily(5);
    points[3].stores.insert("far".to_owned());
    let decisions = run(&policy(1, 0, 0, 0, 0), &[], &points);
    assert_eq!(kept(&decisions), [&points[0].name, &points[3].name]);
    let Fate::Keep(reasons) = why(&decisions, &points[3].name) else { panic!() };
    assert_eq!(reasons.iter().map(ToString::to_string).collect::<Vec<_>>(), ["the last verified backup in far"]);
}

#[test]
fn holds_count_to_the_end_of_their_last_day() {
    let points = daily(10);
    let hold = |until: Option<&str>| {
        vec![Hold { backup: points[9].name.clone(), reason: "audit 7".to_owned(), until: until.map(str::to_owned) }]
    };
    let is_kept = |until| kept(&run(&policy(1, 0, 0, 0, 0), &hold(until), &points)).contains(&points[9].name.as_str());
    assert!(is_kept(None) && is_kept(Some("2026-11-26")) && is_kept(Some("2027-01-01")));
    assert!(!is_kept(Some("2026-11-25")));
    assert!(is_kept(Some("2026-13-45")), "nothing is deleted on a typing error");
}

#[test]
fn what_runs_is_used_or_comes_from_the_future_stays() {
    let mut points = daily(6);
    points[2].worth = Worth::Open;
    points[4].in_use = true;
    let mut future = point("2031-01-01T00:00:00Z");
    future.name = "future".to_owned();
    points.push(future);
    let decisions = run(&policy(1, 0, 0, 0, 0), &[], &points);
    assert_eq!(kept(&decisions), ["future", &points[0].name, &points[2].name, &points[4].name]);
    // What comes from the future stands for nothing: it must not push a real one out.
    let Fate::Keep(reasons) = why(&decisions, "future") else { panic!() };
    assert_eq!(reasons, &BTreeSet::from([Kept::Future]));
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    let one = (
        1_600_000_000_i64..1_780_000_000,
        prop_oneof![5 => Just(Worth::Verified), 1 => Just(Worth::Open), 2 => Just(Worth::Poor)],
        prop::collection::btree_set(prop_oneof![Just("near".to_owned()), Just("far".to_owned())], 0..=2),
        prop::bool::weighted(0.05),
    );
    prop::collection::vec(one, 0..120).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(n, (second, worth, stores, in_use))| Point {
                name: format!("b{n}"),
                captured_at: Timestamp::from_second(second).unwrap(),
                worth,
                stores: if worth == Worth::Verified { stores } else { BTreeSet::new() },
                in_use,
            })
            .collect()
    })
}

fn policies() -> impl Strategy<Value = Retention> {
    (0..5, 0..10, 0..8, 0..14, 0..6, 1..5).prop_map(|(last, daily, weekly, monthly, yearly, minimum)| Retention {
        last,
        daily,
        weekly,
        monthly,
        yearly,
        minimum,
        history: 2,
    })
}

fn all(policy: &Retention, points: &[Point]) -> Vec<Decision> {
    decide(policy, &[], points, &TimeZone::UTC, Timestamp::from_second(1_780_000_000).unwrap())
}

fn names(decisions: &[Decision]) -> BTreeSet<String> {
    decisions.iter().filter(|d| d.keeps()).map(|d| d.name.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_the_plan_says(policy in policies(), points in points()) {
        let decisions = all(&policy, &points);
        prop_assert_eq!(decisions.len(), points.len(), "every backup is decided on once");
        let kept = names(&decisions);
        let mut verified: Vec<&Point> = points.iter().filter(|p| p.worth == Worth::Verified).collect();
        verified.sort_by_key(|p| std::cmp::Reverse((p.captured_at, p.name.clone())));
        // The newest verified one overall and in each store, and the minimum, always stay.
        for point in verified.iter().take(usize::try_from(policy.minimum).unwrap()) {
            prop_assert!(kept.contains(&point.name));
        }
        for store in ["near", "far"] {
            if let Some(point) = verified.iter().find(|p| p.stores.contains(store)) {
                prop_assert!(kept.contains(&point.name), "{}", store);
            }
        }
        for point in &points {
            if point.in_use || point.worth == Worth::Open {
                prop_assert!(kept.contains(&point.name));
            }
        }
    }

    #[test]
    fn order_does_not_matter_and_a_second_run_drops_nothing(policy in policies(), points in points()) {
        let first = all(&policy, &points);
        let reversed: Vec<Point> = points.iter().rev().cloned().collect();
        prop_assert_eq!(&first, &all(&policy, &reversed));
        let kept = names(&first);
        let left: Vec<Point> = points.into_iter().filter(|p| kept.contains(&p.name)).collect();
        prop_assert!(all(&policy, &left).iter().all(Decision::keeps));
    }

    #[test]
    fn a_more_generous_plan_keeps_no_less(policy in policies(), more in 0_i32..4, points in points()) {
        let generous = Retention {
            last: policy.last + more, daily: policy.daily + more, weekly: policy.weekly + more,
            monthly: policy.monthly + more, yearly: policy.yearly + more, minimum: policy.minimum + more, history: 2,
        };
        prop_assert!(names(&all(&policy, &points)).is_subset(&names(&all(&generous, &points))));
    }
}
