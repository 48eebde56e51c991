//! What to start now, and when to look again.

use jiff::{SignedDuration, Timestamp};
use zhengyun_crds::recovery::MissedRuns;

use super::Schedule;

/// Missed due times are counted up to this number; beyond it the number means "at least".
const COUNTED: u32 = 1_000;

/// A recorded due time may be this far ahead of the clock before the clock counts as having gone back.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(300);

/// How many steps ahead tell how far apart runs are.
const STEPS_LOOKED_AT: usize = 8;

/// With [`MissedRuns::Skip`], a run that could not be started for this long after its time was missed.
const LATE: SignedDuration = SignedDuration::from_secs(600);

/// A run to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRun {
    /// Its due time, which names it: started twice, it is the same run.
    pub at: Timestamp,
    /// Due times before it that are left out, at most 1000.
    pub missed: u32,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// What to start now.
    pub run: Option<DueRun>,
    /// When the next run starts, jitter included; absent only if the calendar ends.
    pub next: Option<Timestamp>,
    /// The clock is behind the last recorded run by this much: nothing counted on it, due times are taken from now on.
    pub clock_back: Option<SignedDuration>,
}

/// Decides what is due.
///
/// `last` is the due time of the last run that was started; `created` counts when there was none. A clock that jumped forward
/// starts one run, not one for every time that seems to have passed. A clock that was set back starts nothing that was started
/// already. A record that is further ahead than runs are apart was written by a wrong clock: it is left aside.
pub fn due(schedule: &Schedule, uid: &str, last: Option<Timestamp>, created: Timestamp, now: Timestamp) -> Due {
    let delay = schedule.delay(uid);
    let shifted = |moment: Timestamp| moment.checked_add(delay).unwrap_or(Timestamp::MAX);
    // What is due at a moment, jitter considered, is what was due a delay before.
    let horizon = now.checked_sub(delay).unwrap_or(Timestamp::MIN);
    let clock_back = last.map(|last| last.duration_since(horizon)).filter(|ahead| *ahead > CLOCK_TOLERANCE);
    if let (Some(last), Some(ahead)) = (last, clock_back)
        && ahead <= schedule.longest_step(horizon, STEPS_LOOKED_AT)
    {
        return Due { run: None, next: schedule.after(last).map(shifted), clock_back };
    }
    let from = last.filter(|_| clock_back.is_none()).unwrap_or(created);
    let run = schedule
        .until(horizon)
        .filter(|at| *at > from)
        .filter(|at| schedule.missed == MissedRuns::RunOnce || horizon.duration_since(*at) <= LATE)
        .map(|at| DueRun { at, missed: missed(schedule, from, at) });
    Due { run, next: schedule.after(horizon).map(shifted), clock_back }
}

/// How many due times lie between two, neither of them counted.
fn missed(schedule: &Schedule, from: Timestamp, run: Timestamp) -> u32 {
    let mut count: u32 = 0;
    let mut moment = from;
    while count < COUNTED {
        match schedule.after(moment).filter(|at| *at < run) {
            Some(at) => moment = at,
            None => break,
        }
        count = count.saturating_add(1);
    }
    count
}
