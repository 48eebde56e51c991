//! How far a copy is and how long it still takes: never 0 % while bytes move, never backwards, with a band.
//!
//! The estimate rests on a bounded number of samples that reach back to the beginning: when there are too many, every second one goes,
//! so that they grow further apart as the copy grows longer.

use jiff::SignedDuration;
use zhengyun_crds::migration::{CopyProgress, ProgressSample};

use crate::recovery::duration;

/// How many samples are kept.
const KEPT: usize = 32;
/// How many parts of the time rates are taken over, for the band.
const PARTS: usize = 4;
/// The band is at least this share of the estimate to either side, in percent: nobody knows a link better.
const LEAST_BAND: i64 = 10;
/// Longest time that is told, in seconds: beyond it nothing is known.
const LONGEST: i64 = 100 * 365 * 86_400;

/// What a mover says of its copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Seconds since 1970.
    pub second: i64,
    /// Items that are done.
    pub objects_done: i64,
    /// Items in all.
    pub objects_total: i64,
    /// Bytes that are done.
    pub bytes_done: i64,
    /// Bytes in all.
    pub bytes_total: i64,
    /// Whether everything was copied once.
    pub complete: bool,
    /// How far the target is behind.
    pub lag: Option<SignedDuration>,
}

/// What a status says next.
///
/// What was done stays done: a process that was taken up and counts from the beginning shows nothing less than the one before.
pub fn next(before: &CopyProgress, reading: &Reading) -> CopyProgress {
    let bytes_done = reading.bytes_done.max(before.bytes_done).max(0);
    let bytes_total = reading.bytes_total.max(bytes_done);
    let samples = sampled(&before.samples, ProgressSample { second: reading.second, bytes: bytes_done });
    let percent = percent(bytes_done, bytes_total, reading.complete).max(before.percent).clamp(0, 100);
    let mut after = CopyProgress {
        percent,
        repeats: before.repeats,
        objects_done: reading.objects_done.max(before.objects_done),
        objects_total: reading.objects_total.max(before.objects_done).max(reading.objects_done),
        bytes_done,
        bytes_total,
        bytes_per_second: 0,
        lag: reading.lag.map(duration::print),
        time_left: None,
        time_left_low: None,
        time_left_high: None,
        samples,
    };
    if reading.complete {
        after.percent = 100;
        after.bytes_per_second = lately(&after.samples);
        return after;
    }
    let left = bytes_total.saturating_sub(bytes_done);
    if let Some(estimate) = estimate(&after.samples, left) {
        after.bytes_per_second = lately(&after.samples);
        after.time_left = Some(told(estimate.middle));
        after.time_left_low = Some(told(estimate.low));
        after.time_left_high = Some(told(estimate.high));
    }
    after
}

/// What a status says once a copy is begun anew. How far the one before had come stays shown; what is done and the estimate are the new one's.
pub fn anew(before: &CopyProgress) -> CopyProgress {
    if before.bytes_done == 0 && before.objects_done == 0 {
        return before.clone();
    }
    CopyProgress {
        percent: before.percent,
        repeats: before.repeats.saturating_add(1),
        objects_total: before.objects_total,
        bytes_total: before.bytes_total,
        ..CopyProgress::default()
    }
}

/// Whether something that was copied before is being copied again.
const fn is_repeating(progress: &CopyProgress) -> bool {
    progress.repeats > 0 && progress.bytes_done < progress.bytes_total
}

fn told(seconds: i64) -> zhengyun_crds::DurationText {
    duration::print(SignedDuration::from_secs(seconds))
}

/// At least 1 once anything is done, at most 99 before everything is.
fn percent(done: i64, total: i64, complete: bool) -> i32 {
    if complete {
        return 100;
    }
    if done <= 0 {
        return 0;
    }
    let exact = i128::from(done).saturating_mul(100).checked_div(i128::from(total)).unwrap_or_default();
    i32::try_from(exact.clamp(1, 99)).unwrap_or(99)
}

/// The samples with another one: the first and the last stay, of those in between every second one when there are too many.
fn sampled(before: &[ProgressSample], sample: ProgressSample) -> Vec<ProgressSample> {
    let mut all: Vec<ProgressSample> = before.iter().copied().filter(|known| known.second < sample.second).collect();
    if all.len() >= KEPT {
        let last = all.last().copied();
        all = all.into_iter().step_by(2).collect();
        if let Some(last) = last.filter(|last| all.last() != Some(last)) {
            all.push(last);
        }
    }
    // Samples that are closer together than the present spacing replace the last one, so that the spacing holds.
    let spacing = match (all.first(), all.len()) {
        (Some(first), count) if count > 2 => {
            let span = sample.second.saturating_sub(first.second);
            span.checked_div(i64::try_from(KEPT).unwrap_or(i64::MAX)).unwrap_or_default()
        }
        _ => 0,
    };
    if let [.., before, last] = all.as_slice()
        && last.second.saturating_sub(before.second) < spacing
    {
        all.pop();
    }
    all.push(sample);
    all
}

/// Seconds that are left: the estimate and its band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    low: i64,
    middle: i64,
    high: i64,
}

/// The rate of the later half decides, for a link may have changed; the slowest and the fastest part make the band.
fn estimate(samples: &[ProgressSample], left: i64) -> Option<Estimate> {
    let rate = half(samples).filter(|rate| rate.bytes > 0)?;
    let middle = rate.seconds_for(left)?;
    let parts: Vec<Rate> = parts(samples);
    let low = parts.iter().filter_map(|part| part.seconds_for(left)).min().unwrap_or(middle).min(middle);
    let high = parts.iter().map(|part| part.seconds_for(left).unwrap_or(LONGEST)).max().unwrap_or(middle).max(middle);
    let margin = middle.saturating_mul(LEAST_BAND).checked_div(100).unwrap_or_default();
    Some(Estimate {
        low: low.min(middle.saturating_sub(margin)).max(0),
        middle,
        high: high.max(middle.saturating_add(margin)).min(LONGEST),
    })
}

/// Bytes over seconds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    bytes: i64,
    seconds: i64,
}

impl Rate {
    fn between(from: ProgressSample, to: ProgressSample) -> Self {
        Self { bytes: to.bytes.saturating_sub(from.bytes), seconds: to.second.saturating_sub(from.second) }
    }

    /// Seconds that so many bytes take; none when nothing moves.
    fn seconds_for(self, bytes: i64) -> Option<i64> {
        let seconds = i128::from(bytes).saturating_mul(i128::from(self.seconds)).checked_div(i128::from(self.bytes))?;
        i64::try_from(seconds).ok().map(|seconds| seconds.min(LONGEST))
    }
}

/// The rate from the middle of the time to its end.
fn half(samples: &[ProgressSample]) -> Option<Rate> {
    let (first, last) = (samples.first()?, samples.last()?);
    let middle = first.second.saturating_add(last.second.saturating_sub(first.second).checked_div(2)?);
    let from = samples.iter().rev().find(|sample| sample.second <= middle)?;
    let rate = Rate::between(*from, *last);
    (rate.seconds > 0).then_some(rate)
}

/// The rates of equal parts of the time, as far as the samples tell them apart.
fn parts(samples: &[ProgressSample]) -> Vec<Rate> {
    let size = samples.len().saturating_sub(1).checked_div(PARTS).unwrap_or_default().max(1);
    let marks: Vec<ProgressSample> = samples.iter().step_by(size).copied().collect();
    marks
        .windows(2)
        .filter_map(|pair| match pair {
            [from, to] => Some(Rate::between(*from, *to)),
            _ => None,
        })
        .filter(|rate| rate.seconds > 0)
        .collect()
}

/// Bytes a second over the last part of the time.
fn lately(samples: &[ProgressSample]) -> i64 {
    let Some(rate) = half(samples) else { return 0 };
    rate.bytes.checked_div(rate.seconds).unwrap_or_default().max(0)
}

/// The progress of several workloads together, of which `shown` percent were told before. They move side by side, so that the longest
/// one decides when all are done.
pub fn together(shown: i32, all: &[&CopyProgress]) -> CopyProgress {
    let sum = |of: fn(&CopyProgress) -> i64| all.iter().fold(0_i64, |sum, one| sum.saturating_add(of(one)));
    let longest = |of: fn(&CopyProgress) -> Option<&zhengyun_crds::DurationText>| {
        let known = all.iter().filter_map(|one| of(one));
        let read = known.filter_map(|text| duration::parse("timeLeft", text).ok());
        read.max().map(duration::print)
    };
    let (bytes_done, bytes_total) = (sum(|p| p.bytes_done), sum(|p| p.bytes_total));
    let complete = !all.is_empty() && all.iter().all(|one| one.percent == 100);
    // What cannot be told of one cannot be told of all.
    let told = all.iter().all(|one| (one.percent == 100 && !is_repeating(one)) || one.time_left.is_some());
    CopyProgress {
        percent: percent(bytes_done, bytes_total, complete).max(shown),
        repeats: all.iter().map(|one| one.repeats).max().unwrap_or_default(),
        objects_done: sum(|p| p.objects_done),
        objects_total: sum(|p| p.objects_total),
        bytes_done,
        bytes_total,
        bytes_per_second: sum(|p| p.bytes_per_second),
        lag: longest(|p| p.lag.as_ref()),
        time_left: longest(|p| p.time_left.as_ref()).filter(|_| told),
        time_left_low: longest(|p| p.time_left_low.as_ref()).filter(|_| told),
        time_left_high: longest(|p| p.time_left_high.as_ref()).filter(|_| told),
        samples: Vec::new(),
    }
}

/// As people read it: `2h30m (2h to 3h10m)`, and whether it is copied again.
pub fn shown(progress: &CopyProgress) -> Option<String> {
    let left = match (&progress.time_left, &progress.time_left_low, &progress.time_left_high) {
        (Some(left), Some(low), Some(high)) => Some(format!("{left} ({low} to {high})")),
        _ => None,
    };
    match left {
        Some(left) if is_repeating(progress) => Some(format!("again: {left}")),
        None if is_repeating(progress) => Some("again".to_owned()),
        left => left,
    }
}
