//! Which backups are kept, and why.
//!
//! Grandfather, father, son: of each day, week, month and year the newest verified backup stands for the others, for as many days,
//! weeks, months and years as the plan says. Beyond that, whatever the plan says: the last verified backup stays, overall and in
//! each store; so do the plan's minimum, what is on hold, what is in use, what runs, and what the clock cannot place.

mod round;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::recovery::{Hold, Retention};

use crate::seeded::{self, Bug};

pub use round::{Facts, Round, asked, covered, forgotten, gone, is_asked, left_behind, round, stands_in, tidied};

/// A backup may be this far ahead of the clock before it counts as dated wrongly.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(300);

/// What a backup is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// Complete, read back and equal in at least one store.
    Verified,
    /// Still under way, or not read back yet.
    Open,
    /// It ended without being a good restore point: incomplete or damaged.
    Poor,
}

/// A backup as retention sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Name of the SystemBackup.
    pub name: String,
    /// Moment whose data it holds.
    pub captured_at: Timestamp,
    /// What it is good for.
    pub worth: Worth,
    /// Stores that hold a verified copy.
    pub stores: BTreeSet<String>,
    /// A restore, a drill or a revocation rests on it.
    pub in_use: bool,
}

/// Why a backup is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// It is the last verified one.
    LastVerified,
    /// It is the last verified one in a store.
    LastVerifiedIn(String),
    /// It is among the plan's minimum of verified ones.
    Minimum(i32),
    /// It is among the newest.
    Last(i32),
    /// It stands for a day.
    Day(Date),
    /// It stands for a week: ISO year and week.
    Week(i16, i8),
    /// It stands for a month: year and month.
    Month(i16, i8),
    /// It stands for a year.
    Year(i16),
    /// Somebody holds it: reason, and last day if there is one.
    Held(String, Option<Date>),
    /// A restore, a drill or a revocation rests on it.
    InUse,
    /// It is under way or not verified yet.
    Open,
    /// There is no verified backup that is newer.
    NothingBetter,
    /// It is dated after the present: the clock was or is wrong.
    Future,
}

/// Why a backup is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// A newer one stands for its day, week, month and year, or they are past what the plan keeps.
    Thinned {
        /// The newer backup that stands for the same day, if one is kept.
        instead: Option<String>,
    },
    /// It is no good restore point, and this newer one is.
    Superseded {
        /// The newer, verified one.
        by: String,
    },
}

/// What becomes of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept, for at least one reason.
    Keep(BTreeSet<Kept>),
    /// It is dropped.
    Drop(Dropped),
}

/// A backup and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Name of the SystemBackup.
    pub name: String,
    /// What becomes of it.
    pub fate: Fate,
}

impl Decision {
    /// Whether it is kept.
    pub const fn keeps(&self) -> bool {
        matches!(self.fate, Fate::Keep(_))
    }
}

/// A period that a backup may stand for.
struct Period {
    count: i32,
    of: fn(Date) -> Kept,
}

/// Decides on every backup of a plan, newest first. The order in which they are given does not matter.
pub fn decide(policy: &Retention, holds: &[Hold], points: &[Point], zone: &TimeZone, now: Timestamp) -> Vec<Decision> {
    let mut ordered: Vec<&Point> = points.iter().collect();
    // Two of one moment: the name decides, so that every run decides alike.
    ordered.sort_by(|a, b| b.captured_at.cmp(&a.captured_at).then_with(|| b.name.cmp(&a.name)));
    let trusted = now.checked_add(CLOCK_TOLERANCE).unwrap_or(Timestamp::MAX);
    let blind = seeded::is(Bug::PoorStandsForGood);
    let good = |point: &&Point| point.worth == Worth::Verified || (blind && point.worth == Worth::Poor);
    let verified: Vec<&Point> = ordered.iter().copied().filter(good).filter(|p| p.captured_at <= trusted).collect();
    let mut reasons: BTreeMap<&str, BTreeSet<Kept>> = BTreeMap::new();
    let mut keep = |point: &str, why: Kept| {
        // Names are looked up again, so that the map borrows from the points alone.
        if let Some(point) = points.iter().find(|p| p.name == point) {
            reasons.entry(point.name.as_str()).or_default().insert(why);
        }
    };
    by_count(policy, &verified, &mut keep);
    by_period(policy, &verified, zone, &mut keep);
    last_of_each(if blind { verified.get(..1).unwrap_or_default() } else { &verified }, &mut keep);
    for point in &ordered {
        let newer_verified = verified.iter().any(|v| v.captured_at > point.captured_at);
        match point.worth {
            _ if point.captured_at > trusted => keep(&point.name, Kept::Future),
            Worth::Open => keep(&point.name, Kept::Open),
            Worth::Poor if !newer_verified => keep(&point.name, Kept::NothingBetter),
            Worth::Poor | Worth::Verified => {}
        }
        if point.in_use {
            keep(&point.name, Kept::InUse);
        }
        for hold in holds.iter().filter(|hold| hold.backup == point.name) {
            if let Some(why) = held(hold, zone, now) {
                keep(&point.name, why);
            }
        }
    }
    let kept: BTreeSet<String> = reasons.keys().map(|name| (*name).to_owned()).collect();
    let day = |point: &Point| zone.to_datetime(point.captured_at).date();
    ordered
        .into_iter()
        .map(|point| {
            let fate = match reasons.remove(point.name.as_str()) {
                Some(why) => Fate::Keep(why),
                None => Fate::Drop(dropped(point, &verified, &kept, &day)),
            };
            Decision { name: point.name.clone(), fate }
        })
        .collect()
}

fn dropped(point: &Point, verified: &[&Point], kept: &BTreeSet<String>, day: &dyn Fn(&Point) -> Date) -> Dropped {
    let newer = verified.iter().rev().find(|v| v.captured_at > point.captured_at);
    match (point.worth, newer) {
        (Worth::Poor, Some(newer)) => Dropped::Superseded { by: newer.name.clone() },
        _ => Dropped::Thinned {
            instead: verified
                .iter()
                .find(|v| v.captured_at >= point.captured_at && day(v) == day(point) && kept.contains(&v.name))
                .map(|v| v.name.clone()),
        },
    }
}

fn by_count(policy: &Retention, verified: &[&Point], keep: &mut impl FnMut(&str, Kept)) {
    let first = |count: i32| verified.iter().take(usize::try_from(count).unwrap_or_default());
    first(policy.last).for_each(|point| keep(&point.name, Kept::Last(policy.last)));
    first(policy.minimum.max(1)).for_each(|point| keep(&point.name, Kept::Minimum(policy.minimum.max(1))));
}

fn by_period(policy: &Retention, verified: &[&Point], zone: &TimeZone, keep: &mut impl FnMut(&str, Kept)) {
    let week = |date: Date| {
        let week = date.iso_week_date();
        Kept::Week(week.year(), week.week())
    };
    let periods = [
        Period { count: policy.daily, of: Kept::Day },
        Period { count: policy.weekly, of: week },
        Period { count: policy.monthly, of: |date| Kept::Month(date.year(), date.month()) },
        Period { count: policy.yearly, of: |date| Kept::Year(date.year()) },
    ];
    for period in periods {
        let mut left = period.count;
        let mut last = None;
        for point in verified {
            let stands_for = (period.of)(zone.to_datetime(point.captured_at).date());
            if left <= 0 {
                break;
            }
            if last.as_ref() != Some(&stands_for) {
                keep(&point.name, stands_for.clone());
                left = left.saturating_sub(1);
                last = Some(stands_for);
            }
        }
    }
}

fn last_of_each(verified: &[&Point], keep: &mut impl FnMut(&str, Kept)) {
    if let Some(point) = verified.first() {
        keep(&point.name, Kept::LastVerified);
    }
    let mut seen = BTreeSet::new();
    for point in verified {
        for store in point.stores.iter().filter(|store| seen.insert(store.as_str())) {
            keep(&point.name, Kept::LastVerifiedIn(store.clone()));
        }
    }
}

/// A hold whose last day cannot be read holds: nothing is deleted on a typing error.
fn held(hold: &Hold, zone: &TimeZone, now: Timestamp) -> Option<Kept> {
    let until: Option<Date> = hold.until.as_ref().and_then(|text| text.parse().ok());
    let over = until.is_some_and(|until| zone.to_datetime(now).date() > until);
    (!over).then(|| Kept::Held(hold.reason.clone(), until))
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LastVerified => f.write_str("the last verified backup"),
            Self::LastVerifiedIn(store) => write!(f, "the last verified backup in {store}"),
            Self::Minimum(count) => write!(f, "among the {count} verified ones that always stay"),
            Self::Last(count) => write!(f, "among the last {count}"),
            Self::Day(date) => write!(f, "the newest of {date}"),
            Self::Week(year, week) => write!(f, "the newest of week {year}-W{week:02}"),
            Self::Month(year, month) => write!(f, "the newest of {year}-{month:02}"),
            Self::Year(year) => write!(f, "the newest of {year}"),
            Self::Held(reason, None) => write!(f, "on hold: {reason}"),
            Self::Held(reason, Some(until)) => write!(f, "on hold until {until}: {reason}"),
            Self::InUse => f.write_str("in use by a restore, a drill or a revocation"),
            Self::Open => f.write_str("not verified yet"),
            Self::NothingBetter => f.write_str("no newer verified backup exists"),
            Self::Future => f.write_str("dated after the present; the clock was or is wrong"),
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thinned { instead: Some(name) } => write!(f, "{name} stands for the same day"),
            Self::Thinned { instead: None } => f.write_str("past what the plan keeps"),
            Self::Superseded { by } => write!(f, "not a good restore point, and {by} is newer and verified"),
        }
    }
}

/// Prints `keep NAME: reasons` or `drop NAME: reason`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fate {
            Fate::Keep(why) => {
                let why: Vec<String> = why.iter().map(ToString::to_string).collect();
                write!(f, "keep {}: {}", self.name, why.join("; "))
            }
            Fate::Drop(why) => write!(f, "drop {}: {why}", self.name),
        }
    }
}
