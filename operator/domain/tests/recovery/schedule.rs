use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rstest::rstest;
use zhengyun_crds::recovery::{MissedRuns, Schedule as Text};
use zhengyun_domain::recovery::schedule::{Due, DueRun, Schedule, due};

use crate::at;

fn cron(expression: &str, zone: &str) -> Text {
    Text {
        cron: Some(expression.to_owned()),
        every: None,
        time_zone: zone.to_owned(),
        jitter: None,
        missed: MissedRuns::RunOnce,
    }
}

fn every(step: &str) -> Text {
    Text { cron: None, every: Some(step.into()), ..cron("", "UTC") }
}

fn read(text: &Text) -> Schedule {
    Schedule::read("/spec/schedule", text, at("2026-01-01T00:00:00Z")).unwrap()
}

fn next(text: &Text, from: &str, count: usize) -> Vec<String> {
    let schedule = read(text);
    let mut moment = at(from);
    (0..count)
        .map(|_| {
            moment = schedule.after(moment).unwrap();
            moment.to_string()
        })
        .collect()
}

#[rstest]
#[case::daily_in_china("30 2 * * *", "Asia/Shanghai", "2026-03-01T00:00:00Z", &["2026-03-01T18:30:00Z", "2026-03-02T18:30:00Z"])]
#[case::workdays("0 22 * * 1-5", "UTC", "2026-11-27T21:00:00Z", &["2026-11-27T22:00:00Z", "2026-11-30T22:00:00Z"])]
#[case::sunday_is_0_and_7("0 0 * * 7", "UTC", "2026-11-27T00:00:00Z", &["2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"])]
#[case::names("0 0 * jan,JUL sun", "UTC", "2026-01-26T00:00:00Z", &["2026-07-05T00:00:00Z", "2026-07-12T00:00:00Z"])]
#[case::either_day_field("0 0 13 * 5", "UTC", "2026-11-10T00:00:00Z", &["2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"])]
#[case::a_step_over_the_days_is_no_restriction("0 0 */2 * 1", "UTC", "2026-11-01T12:00:00Z", &["2026-11-09T00:00:00Z", "2026-11-23T00:00:00Z"])]
#[case::steps("5/20 */12 * * *", "UTC", "2026-01-01T00:00:00Z", &["2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z", "2026-01-01T00:45:00Z", "2026-01-01T12:05:00Z"])]
#[case::last_of_the_month_when_there_is_one("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", &["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"])]
#[case::leap_days("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", &["2104-02-29T00:00:00Z"])]
#[case::a_date_on_a_weekday("0 0 1 1 */7", "UTC", "2023-01-02T00:00:00Z", &["2034-01-01T00:00:00Z"])]
#[case::leap_days_on_sundays("0 0 29 2 */7", "UTC", "2088-03-01T00:00:00Z", &["2128-02-29T00:00:00Z"])]
#[case::shorthand("@weekly", "UTC", "2026-11-27T00:00:00Z", &["2026-11-29T00:00:00Z"])]
fn cron_times(#[case] expression: &str, #[case] zone: &str, #[case] from: &str, #[case] expected: &[&str]) {
    assert_eq!(next(&cron(expression, zone), from, expected.len()), expected);
}

/// Berlin: 2026-03-29 02:00 becomes 03:00 (01:00Z), 2026-10-25 03:00 becomes 02:00 (01:00Z).
#[rstest]
#[case::skipped_time_is_due_when_the_clocks_go_forward("30 2 * * *", "2026-03-28T02:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"])]
#[case::several_skipped_times_are_one_run("0,30 2 * * *", "2026-03-28T02:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"])]
#[case::repeated_time_is_due_once("30 2 * * *", "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"])]
#[case::every_hour_goes_on_through_the_gap("0 * * * *", "2026-03-28T23:30:00Z", &["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"])]
#[case::every_hour_goes_on_through_the_repeat("0 * * * *", "2026-10-24T23:30:00Z", &["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"])]
fn daylight_changes(#[case] expression: &str, #[case] from: &str, #[case] expected: &[&str]) {
    assert_eq!(next(&cron(expression, "Europe/Berlin"), from, expected.len()), expected);
}

/// In Beirut the clocks go forward at midnight: the day begins at 01:00.
#[test]
fn a_midnight_that_does_not_exist_is_due_when_the_day_begins() {
    assert_eq!(
        next(&cron("0 0 * * *", "Asia/Beirut"), "2026-03-28T12:00:00Z", 2),
        ["2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"]
    );
}

/// Samoa left out 30 December 2011 altogether; no run is lost, and none comes twice.
#[test]
fn a_whole_day_can_be_missing() {
    assert_eq!(
        next(&cron("0 12 * * *", "Pacific/Apia"), "2011-12-29T00:00:00Z", 3),
        ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]
    );
}

#[rstest]
#[case("60 * * * *", "minute")]
#[case("* 24 * * *", "hour")]
#[case("* * 0 * *", "day of month")]
#[case("* * * 13 *", "month")]
#[case("* * * * 8", "day of week")]
#[case("* * * *", "has 4 fields")]
#[case("0 * * * * *", "has 6 fields")]
#[case("5-1 * * * *", "minute")]
#[case("*/0 * * * *", "minute")]
#[case("1,,2 * * * *", "minute")]
#[case("@reboot", "no shorthand")]
#[case("é * * * *", "minute")]
fn unreadable_expressions_are_refused_with_the_field(#[case] expression: &str, #[case] names: &str) {
    let findings = Schedule::read("/spec/schedule", &cron(expression, "UTC"), Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(findings[0].pointer, "/spec/schedule/cron");
    assert_eq!(findings[0].rule, "ScheduleInvalid");
    assert!(findings[0].message.contains(names), "{}", findings[0]);
}

#[test]
fn a_schedule_that_never_fires_is_refused() {
    let findings = Schedule::read("/s", &cron("0 0 30 2 *", "UTC"), Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!((findings[0].rule.as_str(), findings[0].pointer.as_str()), ("ScheduleNeverFires", "/s/cron"));
}

#[rstest]
#[case::zone(Text { time_zone: "Asia/Hohhot".to_owned(), ..cron("@daily", "") }, "/s/timeZone")]
#[case::too_often(every("59s"), "/s/every")]
#[case::jitter(Text { jitter: Some("soon".into()), ..cron("@daily", "UTC") }, "/s/jitter")]
fn other_faults_are_placed(#[case] text: Text, #[case] pointer: &str) {
    let findings = Schedule::read("/s", &text, Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(findings[0].pointer, pointer);
}

#[test]
fn an_interval_counts_from_its_anchor() {
    assert_eq!(next(&every("6h"), "2026-01-01T07:00:00Z", 2), ["2026-01-01T12:00:00Z", "2026-01-01T18:00:00Z"]);
}

const CREATED: &str = "2026-11-01T00:00:00Z";

fn decide(text: &Text, last: Option<&str>, now: &str) -> Due {
    due(&read(text), "plan-uid", last.map(at), at(CREATED), at(now))
}

#[test]
fn what_is_due_is_started_once() {
    let daily = cron("0 2 * * *", "UTC");
    let first = decide(&daily, None, "2026-11-01T02:00:00Z");
    assert_eq!(first.run, Some(DueRun { at: at("2026-11-01T02:00:00Z"), missed: 0 }));
    assert_eq!(first.next, Some(at("2026-11-02T02:00:00Z")));
    assert_eq!(decide(&daily, Some("2026-11-01T02:00:00Z"), "2026-11-01T02:00:01Z").run, None);
    assert_eq!(decide(&daily, None, "2026-11-01T01:59:59Z").run, None, "not before its time");
}

#[test]
fn missed_runs_are_one_run_and_counted() {
    let daily = cron("0 2 * * *", "UTC");
    let after_a_week = decide(&daily, Some("2026-11-01T02:00:00Z"), "2026-11-08T12:00:00Z");
    assert_eq!(after_a_week.run, Some(DueRun { at: at("2026-11-08T02:00:00Z"), missed: 6 }));
    let skipping = Text { missed: MissedRuns::Skip, ..daily };
    let skipped = decide(&skipping, Some("2026-11-01T02:00:00Z"), "2026-11-08T12:00:00Z");
    assert_eq!((skipped.run, skipped.next), (None, Some(at("2026-11-09T02:00:00Z"))));
    assert!(decide(&skipping, Some("2026-11-01T02:00:00Z"), "2026-11-08T02:05:00Z").run.is_some(), "just late");
}

#[test]
fn a_clock_that_jumps_years_ahead_starts_one_run() {
    let jumped = decide(&cron("* * * * *", "UTC"), Some(CREATED), "2036-11-01T00:00:30Z");
    assert_eq!(jumped.run, Some(DueRun { at: at("2036-11-01T00:00:00Z"), missed: 1000 }));
}

#[test]
fn a_clock_that_is_set_back_starts_nothing_twice() {
    let hourly = cron("0 * * * *", "UTC");
    let back = decide(&hourly, Some("2026-11-05T10:00:00Z"), "2026-11-05T09:10:00Z");
    assert_eq!(back.run, None);
    assert_eq!(back.next, Some(at("2026-11-05T11:00:00Z")));
    assert_eq!(back.clock_back, Some(SignedDuration::from_mins(50)));
    // Once the clock caught up, things go on as if nothing had been.
    assert_eq!(decide(&hourly, Some("2026-11-05T10:00:00Z"), "2026-11-05T11:00:00Z").run.unwrap().missed, 0);
}

#[test]
fn a_record_of_a_wrong_clock_does_not_stop_backups_for_years() {
    let hourly = cron("0 * * * *", "UTC");
    let decided = decide(&hourly, Some("2099-01-01T00:00:00Z"), "2026-11-05T09:10:00Z");
    assert_eq!(decided.run.unwrap().at, at("2026-11-05T09:00:00Z"));
    assert!(decided.clock_back.is_some());
}

#[test]
fn jitter_is_constant_and_bounded() {
    let text = Text { jitter: Some("1h".into()), ..cron("0 2 * * *", "UTC") };
    let schedule = read(&text);
    let delays: Vec<SignedDuration> = (0..100).map(|n| schedule.delay(&format!("uid-{n}"))).collect();
    assert_eq!(delays, (0..100).map(|n| schedule.delay(&format!("uid-{n}"))).collect::<Vec<_>>());
    assert!(delays.iter().all(|d| !d.is_negative() && *d <= SignedDuration::from_hours(1)));
    let (low, high) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!(*high - *low > SignedDuration::from_mins(50), "spread from {low} to {high}");
    let start = at("2026-11-02T02:00:00Z") + delays[7];
    let before = due(&schedule, "uid-7", None, at("2026-11-02T00:00:00Z"), start - SignedDuration::from_secs(1));
    assert_eq!((before.run, before.next), (None, Some(start)));
    // The due time, not the delayed start, names the run.
    let then = due(&schedule, "uid-7", None, at("2026-11-02T00:00:00Z"), start);
    assert_eq!(then.run.unwrap().at, at("2026-11-02T02:00:00Z"));
}

fn expressions() -> impl Strategy<Value = String> {
    let field = |low: u8, high: u8| {
        prop_oneof![
            3 => Just("*".to_owned()),
            2 => (low..=high).prop_map(|n| n.to_string()),
            1 => (low..=high, 1_u8..20).prop_map(|(n, step)| format!("{n}/{step}")),
            1 => (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => (1_u8..20).prop_map(|step| format!("*/{step}")),
        ]
    };
    (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7))
        .prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"))
}

fn zones() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("UTC"),
        Just("Asia/Shanghai"),
        Just("Europe/Berlin"),
        Just("America/New_York"),
        Just("Australia/Lord_Howe"),
        Just("Asia/Beirut"),
        Just("Africa/Casablanca")
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Forward and backward agree: between a due time and the next one there is none.
    #[test]
    fn due_times_are_in_order_and_found_both_ways(
        expression in expressions(), zone in zones(), second in 1_767_225_600_i64..1_830_000_000
    ) {
        let schedule = read(&cron(&expression, zone));
        let moment = Timestamp::from_second(second).unwrap();
        let next = schedule.after(moment).unwrap();
        prop_assert!(next > moment);
        prop_assert_eq!(schedule.until(next), Some(next));
        if let Some(last) = schedule.until(moment) {
            prop_assert!(last <= moment);
            prop_assert_eq!(schedule.after(last), Some(next));
        }
    }

    /// However often and whenever it is asked, no due time is started twice and none after the first is left out for good.
    #[test]
    fn every_run_is_started_once(
        expression in expressions(), zone in zones(), steps in prop::collection::vec(1_i64..200_000, 1..40)
    ) {
        let schedule = read(&cron(&expression, zone));
        let created = at(CREATED);
        let (mut now, mut last, mut covered) = (created, None, 0_usize);
        for step in steps {
            now += SignedDuration::from_secs(step);
            let decided = due(&schedule, "uid", last, created, now);
            if let Some(run) = decided.run {
                prop_assert!(Some(run.at) > last && run.at <= now);
                prop_assert_eq!(schedule.until(now), Some(run.at));
                covered += usize::try_from(run.missed).unwrap() + 1;
                prop_assert!(run.missed < 1000 || covered >= 1000);
                if run.missed == 1000 { return Ok(()); }
                last = Some(run.at);
            }
            prop_assert!(decided.next.is_none_or(|next| next > now));
        }
        let mut expected = 0_usize;
        let mut moment = created;
        while let Some(next) = schedule.after(moment).filter(|next| *next <= now) {
            (moment, expected) = (next, expected + 1);
        }
        prop_assert_eq!(covered, expected);
    }

    #[test]
    fn no_expression_panics(text in ".{0,40}", zone in ".{0,20}") {
        drop(Schedule::read("", &cron(&text, &zone), Timestamp::UNIX_EPOCH));
    }
}
