//! Change windows and freeze days, across changes of the clocks.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rstest::rstest;
use zhengyun_crds::migration::{ChangeWindow, FreezeDays};
use zhengyun_domain::migration::window::{Calendar, Open};

use crate::at;

fn calendar(zone: &str, windows: &[(&str, &str)], freezes: &[(&str, &str)]) -> Calendar {
    let windows: Vec<ChangeWindow> = windows
        .iter()
        .map(|(opens, length)| ChangeWindow { opens: (*opens).to_owned(), length: (*length).into() })
        .collect();
    let freezes: Vec<FreezeDays> = freezes.iter().map(|(from, to)| freeze(from, to)).collect();
    Calendar::read(zone, &windows, &freezes).unwrap()
}

fn freeze(from: &str, to: &str) -> FreezeDays {
    FreezeDays { from: from.to_owned(), to: to.to_owned(), reason: "important meeting".to_owned() }
}

fn open(start: &str, end: &str) -> Option<Open> {
    Some(Open { start: at(start), end: at(end) })
}

const NEEDED: SignedDuration = SignedDuration::from_hours(1);
const FRIDAY: &[(&str, &str)] = &[("0 22 * * 5", "8h")];

/// Fridays from 22:00 to 06:00 in China: 14:00Z to 22:00Z.
#[rstest]
#[case::before("2027-03-01T00:00:00Z", open("2027-03-05T14:00:00Z", "2027-03-05T22:00:00Z"))]
#[case::at_the_opening("2027-03-05T14:00:00Z", open("2027-03-05T14:00:00Z", "2027-03-05T22:00:00Z"))]
#[case::in_it("2027-03-05T18:00:00Z", open("2027-03-05T14:00:00Z", "2027-03-05T22:00:00Z"))]
#[case::just_long_enough("2027-03-05T21:00:00Z", open("2027-03-05T14:00:00Z", "2027-03-05T22:00:00Z"))]
#[case::not_long_enough_any_more("2027-03-05T21:00:01Z", open("2027-03-12T14:00:00Z", "2027-03-12T22:00:00Z"))]
#[case::after("2027-03-05T22:00:00Z", open("2027-03-12T14:00:00Z", "2027-03-12T22:00:00Z"))]
fn the_window_that_is_open_or_the_next_one(#[case] now: &str, #[case] expected: Option<Open>) {
    assert_eq!(calendar("Asia/Shanghai", FRIDAY, &[]).window(at(now), NEEDED), expected);
}

/// A freeze cuts off what falls onto its days by the wave's own clock, and what is left counts if it is long enough.
#[rstest]
#[case::the_evening("2027-03-05", "2027-03-05", open("2027-03-05T16:00:00Z", "2027-03-05T22:00:00Z"))]
#[case::the_morning("2027-03-06", "2027-03-06", open("2027-03-05T14:00:00Z", "2027-03-05T16:00:00Z"))]
#[case::both("2027-03-05", "2027-03-06", open("2027-03-12T14:00:00Z", "2027-03-12T22:00:00Z"))]
#[case::the_day_before("2027-03-04", "2027-03-04", open("2027-03-05T14:00:00Z", "2027-03-05T22:00:00Z"))]
#[case::weeks("2027-03-01", "2027-03-31", open("2027-04-02T14:00:00Z", "2027-04-02T22:00:00Z"))]
fn nothing_changes_on_freeze_days(#[case] from: &str, #[case] to: &str, #[case] expected: Option<Open>) {
    let calendar = calendar("Asia/Shanghai", FRIDAY, &[(from, to)]);
    assert_eq!(calendar.window(at("2027-03-01T00:00:00Z"), NEEDED), expected);
}

#[test]
fn a_moment_is_frozen_by_the_waves_clock() {
    let calendar = calendar("Asia/Shanghai", FRIDAY, &[("2027-03-05", "2027-03-06")]);
    for (now, frozen) in [
        ("2027-03-04T15:59:59Z", false),
        ("2027-03-04T16:00:00Z", true),
        ("2027-03-06T15:59:59Z", true),
        ("2027-03-06T16:00:00Z", false),
    ] {
        assert_eq!(calendar.frozen(at(now)).is_some(), frozen, "{now}");
    }
    assert_eq!(calendar.frozen(at("2027-03-05T00:00:00Z")), Some((jiff::civil::date(2027, 3, 6), "important meeting")));
}

/// Berlin, 2026-03-29 02:00 becomes 03:00 (01:00Z) and 2026-10-25 03:00 becomes 02:00 (01:00Z): a window stays as long as it says.
#[rstest]
#[case::over_the_jump(("0 23 * * *", "6h"), "2026-03-28T20:00:00Z", open("2026-03-28T22:00:00Z", "2026-03-29T04:00:00Z"))]
#[case::an_opening_that_is_left_out(("30 2 * * *", "2h"), "2026-03-28T20:00:00Z", open("2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"))]
#[case::over_the_repeat(("0 23 * * *", "6h"), "2026-10-24T20:00:00Z", open("2026-10-24T21:00:00Z", "2026-10-25T03:00:00Z"))]
#[case::an_opening_that_comes_twice(("30 2 * * *", "2h"), "2026-10-24T20:00:00Z", open("2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"))]
fn clocks_that_change_make_a_window_neither_longer_nor_shorter(
    #[case] window: (&str, &str),
    #[case] now: &str,
    #[case] expected: Option<Open>,
) {
    assert_eq!(calendar("Europe/Berlin", &[window], &[]).window(at(now), NEEDED), expected);
}

/// A frozen day of 23 or 25 hours is frozen from midnight to midnight.
#[test]
fn a_day_on_which_the_clocks_change_is_frozen_from_midnight_to_midnight() {
    let jump = calendar("Europe/Berlin", &[("0 22 * * 6", "30h")], &[("2026-03-29", "2026-03-29")]);
    let first = jump.window(at("2026-03-28T21:00:00Z"), NEEDED);
    assert_eq!(first, open("2026-03-28T21:00:00Z", "2026-03-28T23:00:00Z"));
    assert_eq!(jump.window(at("2026-03-28T23:00:00Z"), NEEDED), open("2026-03-29T22:00:00Z", "2026-03-30T03:00:00Z"));
}

#[test]
fn the_earliest_of_several_windows_counts_if_it_is_long_enough() {
    let calendar = calendar("UTC", &[("0 22 * * 5", "8h"), ("0 3 * * 3", "30m")], &[]);
    let now = at("2027-03-01T00:00:00Z");
    assert_eq!(calendar.window(now, SignedDuration::from_mins(30)).unwrap().start, at("2027-03-03T03:00:00Z"));
    assert_eq!(calendar.window(now, NEEDED).unwrap().start, at("2027-03-05T22:00:00Z"));
    assert_eq!(calendar.window(now, NEEDED * 9), None, "none is long enough, ever");
}

#[test]
fn what_is_wrong_is_placed() {
    let window = |opens: &str, length: &str| ChangeWindow { opens: opens.to_owned(), length: length.into() };
    let windows =
        [window("0 22 * *", "8h"), window("0 22 * * 5", "0s"), window("0 0 30 2 *", "1h"), window("0 0 * * *", "8d")];
    let findings = Calendar::read("Mars/Olympus", &windows, &[freeze("2027-02-30", "2027-03-01")]).unwrap_err();
    let placed: Vec<&str> = findings.iter().map(|finding| finding.pointer.as_str()).collect();
    assert_eq!(
        placed,
        [
            "/spec/timeZone",
            "/spec/windows/0/opens",
            "/spec/windows/1/length",
            "/spec/windows/2/opens",
            "/spec/windows/3/length",
            "/spec/freezes/0/from",
        ]
    );
    assert!(findings.iter().all(|finding| finding.message.len() > 20), "{findings:?}");
}

proptest! {
    /// What is told is open at the moment it is asked for or later, long enough, never frozen, and never later than need be.
    #[test]
    fn a_window_that_is_told_can_be_used(
        second in 1_767_225_600_i64..1_830_297_600, hour in 0_u8..24, day in 0_u8..7, length in 1_i64..40,
        needed in 1_i64..6, from in 0_i64..60, days in 0_i64..20,
        zone in prop::sample::select(vec!["Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "UTC"]),
    ) {
        let now = Timestamp::from_second(second).unwrap();
        let begins = jiff::civil::date(2026, 1, 1).checked_add(jiff::Span::new().days(from * 12)).unwrap();
        let ends = begins.checked_add(jiff::Span::new().days(days)).unwrap();
        let calendar = calendar(
            zone,
            &[(&format!("0 {hour} * * {day}"), &format!("{length}h"))],
            &[(&begins.to_string(), &ends.to_string())],
        );
        let needed = SignedDuration::from_hours(needed);
        let told = calendar.window(now, needed);
        prop_assert_eq!(told.is_none(), needed > SignedDuration::from_hours(length));
        if let Some(open) = told {
            let begin = open.start.max(now);
            prop_assert!(open.end.duration_since(begin) >= needed, "{:?}", open);
            prop_assert!(open.end.duration_since(open.start) <= SignedDuration::from_hours(length));
            for part in 0..8 {
                let moment = begin + needed * part / 8;
                prop_assert!(calendar.frozen(moment).is_none(), "{} in {:?} is frozen", moment, open);
            }
            prop_assert_eq!(calendar.window(begin, needed), Some(open), "asked again when it opens");
        }
    }
}
