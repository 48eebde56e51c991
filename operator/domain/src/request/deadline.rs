//! Deadlines in working days.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// The clock of the region: decisions are due by its days.
const ZONE_OFFSET_HOURS: i8 = 8;

/// The end of the last of `days` working days after `opened`. Monday to Friday count; public holidays do not shift it.
pub fn due(opened: Timestamp, days: i32) -> Timestamp {
    let zone = TimeZone::fixed(jiff::tz::offset(ZONE_OFFSET_HOURS));
    let mut day = Zoned::new(opened, zone).date();
    let mut left = days;
    while left > 0 {
        let Ok(next) = day.checked_add(1.day()) else { break };
        day = next;
        if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            left = left.saturating_sub(1);
        }
    }
    day.at(23, 59, 59, 0)
        .to_zoned(TimeZone::fixed(jiff::tz::offset(ZONE_OFFSET_HOURS)))
        .map_or(opened, |z| z.timestamp())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case::monday("2026-11-23T02:00:00Z", 1, "2026-11-24T15:59:59Z")]
    #[case::over_the_weekend("2026-11-27T02:00:00Z", 1, "2026-11-30T15:59:59Z")]
    #[case::five_days("2026-11-25T02:00:00Z", 5, "2026-12-02T15:59:59Z")]
    #[case::late_evening_counts_by_local_day("2026-11-22T17:00:00Z", 1, "2026-11-24T15:59:59Z")]
    fn weekends_do_not_count(#[case] opened: &str, #[case] days: i32, #[case] due: &str) {
        assert_eq!(super::due(opened.parse().unwrap(), days).to_string(), due);
    }
}
