//! When systems may be cut over: change windows, less the days on which nothing changes.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{ChangeWindow, FreezeDays};
use zhengyun_crds::recovery::{MissedRuns, Schedule as ScheduleText};

use crate::finding::Finding;
use crate::recovery::duration;
use crate::recovery::schedule::{Schedule, zone};

/// Longest window. One that is longer is a mistake, and would let openings pile up.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many openings are looked at for one that is not frozen away.
const OPENINGS_LOOKED_AT: usize = 400;

/// An open window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Open {
    /// When it opens.
    pub start: Timestamp,
    /// When it closes; that moment does not belong to it.
    pub end: Timestamp,
}

/// The windows and freeze days of a wave, read.
#[derive(Clone, Debug)]
pub struct Calendar {
    windows: Vec<(Schedule, SignedDuration)>,
    freezes: Vec<(Date, Date, String)>,
    zone: TimeZone,
}

impl Calendar {
    /// Reads windows and freeze days in a time zone.
    ///
    /// # Errors
    /// Everything that is wrong, placed.
    pub fn read(zone_name: &str, windows: &[ChangeWindow], freezes: &[FreezeDays]) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let invalid =
            |pointer: String, message: String| Finding::new(pointer, Reason::ScheduleInvalid.as_str(), message);
        let zone = zone(zone_name).unwrap_or_else(|| {
            let message =
                format!("{zone_name} is no time zone of the IANA database: write one such as Asia/Shanghai or UTC");
            findings.push(invalid("/spec/timeZone".to_owned(), message));
            TimeZone::UTC
        });
        let mut read = Vec::new();
        for (at, window) in windows.iter().enumerate() {
            let pointer = format!("/spec/windows/{at}");
            let length = duration::parse_positive("length", &window.length)
                .map_err(|error| error.cause)
                .and_then(|length| {
                    if length > LONGEST {
                        Err(format!("{} is longer than a week: write several windows", window.length))
                    } else {
                        Ok(length)
                    }
                })
                .map_err(|cause| findings.push(invalid(format!("{pointer}/length"), cause)));
            let text = ScheduleText {
                cron: Some(window.opens.clone()),
                every: None,
                // A zone that cannot be read was told above.
                time_zone: if zone == TimeZone::UTC { "UTC".to_owned() } else { zone_name.to_owned() },
                jitter: None,
                missed: MissedRuns::Skip,
            };
            let opens = Schedule::read(&pointer, &text, Timestamp::UNIX_EPOCH).map_err(|all| {
                let there = format!("{pointer}/opens");
                findings.extend(all.into_iter().map(|found| Finding { pointer: there.clone(), ..found }));
            });
            if let (Ok(length), Ok(opens)) = (length, opens) {
                read.push((opens, length));
            }
        }
        let mut days = Vec::new();
        for (at, freeze) in freezes.iter().enumerate() {
            let mut day = |field: &str, text: &str| {
                text.parse::<Date>().map_err(|_| {
                    let message = format!("{text} is no day: write one such as 2027-01-31");
                    findings.push(invalid(format!("/spec/freezes/{at}/{field}"), message));
                })
            };
            if let (Ok(from), Ok(to)) = (day("from", &freeze.from), day("to", &freeze.to)) {
                days.push((from, to, freeze.reason.clone()));
            }
        }
        if findings.is_empty() { Ok(Self { windows: read, freezes: days, zone }) } else { Err(findings) }
    }

    /// Why nothing changes at a moment, if it is in a freeze.
    pub fn frozen(&self, now: Timestamp) -> Option<(Date, &str)> {
        let today = self.zone.to_datetime(now).date();
        let freeze = self.freezes.iter().find(|(from, to, _)| (*from..=*to).contains(&today));
        freeze.map(|(_, to, reason)| (*to, reason.as_str()))
    }

    /// The window that is open now and for `needed` more, or the next one that is long enough.
    ///
    /// Of one that freeze days cut into, the first part that is long enough counts. A window is open for its length in elapsed time, so
    /// that a change of the clocks makes it neither longer nor shorter.
    pub fn window(&self, now: Timestamp, needed: SignedDuration) -> Option<Open> {
        self.windows.iter().filter_map(|(opens, length)| self.first(opens, *length, now, needed)).min()
    }

    fn first(&self, opens: &Schedule, length: SignedDuration, now: Timestamp, needed: SignedDuration) -> Option<Open> {
        // One that opened up to its length ago may still be open, and so may one before it that overlaps.
        let mut moment = now.checked_sub(length).ok()?;
        for _ in 0..OPENINGS_LOOKED_AT {
            let start = opens.after(moment)?;
            let open = Open { start, end: start.checked_add(length).ok()? };
            if let Some(part) = self.thawed(open).into_iter().find(|part| part.holds(now, needed)) {
                return Some(part);
            }
            moment = start;
        }
        None
    }

    /// What freeze days leave of a window.
    fn thawed(&self, open: Open) -> Vec<Open> {
        let mut parts = vec![open];
        for (from, to, _) in &self.freezes {
            let midnight = |date: Date| date.to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp());
            let (Some(begins), Some(ends)) = (midnight(*from), to.tomorrow().ok().and_then(midnight)) else { continue };
            parts = parts
                .into_iter()
                .flat_map(|part| {
                    let before = Open { start: part.start, end: part.end.min(begins) };
                    let after = Open { start: part.start.max(ends), end: part.end };
                    [before, after]
                })
                .filter(|part| part.start < part.end)
                .collect();
        }
        parts.sort();
        parts
    }
}

impl Open {
    /// Whether something that takes so long may still begin in it, now or later.
    fn holds(&self, now: Timestamp, needed: SignedDuration) -> bool {
        let begin = self.start.max(now);
        begin < self.end && self.end.duration_since(begin) >= needed
    }
}
