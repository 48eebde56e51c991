//! Progress and forecasts on simulated links.

use jiff::SignedDuration;
use proptest::prelude::*;
use zhengyun_crds::DurationText;
use zhengyun_crds::migration::CopyProgress;
use zhengyun_domain::migration::forecast::{Reading, anew, next, shown, together};
use zhengyun_domain::recovery::duration;

fn seconds(text: Option<&DurationText>) -> Option<f64> {
    text.map(|text| duration::parse("t", text).unwrap().as_secs_f64())
}

fn reading(second: i64, done: i64, total: i64) -> Reading {
    Reading { second, bytes_done: done, bytes_total: total, ..Reading::default() }
}

/// Plays a copy at rates of bytes a second, looked at every so many seconds, and tells what was shown at each look with the truth.
fn play(total: i64, every: i64, mut rate: impl FnMut(i64) -> i64) -> Vec<(CopyProgress, f64, f64)> {
    let mut done_at = Vec::new();
    let (mut done, mut second) = (0_i64, 0_i64);
    while done < total {
        done = (done + rate(second)).min(total);
        second += 1;
        done_at.push(done);
    }
    let end = second;
    let mut progress = next(&CopyProgress::default(), &reading(1_000_000, 0, total));
    let mut told = Vec::new();
    for second in (every..end).step_by(usize::try_from(every).unwrap()) {
        let done = done_at[usize::try_from(second - 1).unwrap()];
        progress = next(&progress, &reading(1_000_000 + second, done, total));
        let part = f64::from(u32::try_from(second).unwrap()) / f64::from(u32::try_from(end).unwrap());
        told.push((progress.clone(), f64::from(u32::try_from(end - second).unwrap()), part));
    }
    told
}

/// A number that looks drawn, the same at every run: SplitMix64.
fn noise(seed: u64, n: i64) -> f64 {
    let mut z = seed.wrapping_add(u64::try_from(n).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// On a steady link, with every second its own luck, the error is under 20 % of what is left after the first third.
    #[test]
    fn a_steady_link_is_told_within_a_fifth(
        seed in any::<u64>(), rate in 50_000_i64..5_000_000, minutes in 5_i64..300, every in 1_i64..20, luck in 0.0_f64..0.5,
    ) {
        let bytes = |second: i64| -> i64 {
            let factor = 1.0 + luck * (2.0 * noise(seed, second) - 1.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "it is a made-up rate")]
            let bytes = (rate as f64 * factor) as i64;
            bytes
        };
        for (progress, truth, part) in play(rate * minutes * 60, every, bytes) {
            if part < 1.0 / 3.0 {
                continue;
            }
            let told = seconds(progress.time_left.as_ref());
            prop_assert!(told.is_some(), "nothing is told at {part}");
            let error = (told.unwrap() - truth).abs();
            // Of the last half minute luck decides, and times are told in whole seconds.
            prop_assert!(error <= truth.max(30.0) * 0.2 + 1.0, "{told:?} of {truth} at {part}");
            let low = seconds(progress.time_left_low.as_ref()).unwrap();
            let high = seconds(progress.time_left_high.as_ref()).unwrap();
            prop_assert!(low <= told.unwrap() && told.unwrap() <= high, "{low} {told:?} {high}");
        }
    }

    /// Whatever a mover says, in whatever order: nothing shown runs backwards, 0 % means that nothing moved, and 100 % that all did.
    #[test]
    fn progress_never_runs_backwards(
        looks in prop::collection::vec((0_i64..100, -5_i64..1 << 40, -5_i64..1 << 40, prop::bool::weighted(0.05)), 1..120),
    ) {
        let mut progress = CopyProgress::default();
        let mut second = 0;
        let mut complete = false;
        for (passed, done, total, ends) in looks {
            second += passed - 3;
            complete |= ends;
            let after = next(&progress, &Reading { complete: ends, objects_done: done / 7, ..reading(second, done, total) });
            prop_assert!(after.percent >= progress.percent && after.bytes_done >= progress.bytes_done);
            prop_assert!(after.objects_done >= progress.objects_done);
            prop_assert!((0..=100).contains(&after.percent) && after.bytes_done <= after.bytes_total);
            prop_assert!(after.percent > 0 || after.bytes_done == 0, "{after:?}");
            prop_assert!(after.percent < 100 || complete, "{after:?}");
            prop_assert!(after.samples.len() <= 32, "{}", after.samples.len());
            prop_assert!(after.samples.windows(2).all(|pair| pair[0].second < pair[1].second), "{:?}", after.samples);
            if let (Some(low), Some(high)) = (seconds(after.time_left_low.as_ref()), seconds(after.time_left_high.as_ref())) {
                let told = seconds(after.time_left.as_ref()).unwrap();
                prop_assert!(low <= told && told <= high);
            }
            progress = after;
        }
    }
}

#[test]
fn a_link_that_changes_is_followed_and_the_band_shows_it() {
    // 10 MB/s for the first third of the bytes, then 2 MB/s.
    let total = 6_000_000_000_i64;
    let told = play(total, 5, |second| if second < 200 { 10_000_000 } else { 2_000_000 });
    let (late, truth, _) = told.iter().rfind(|(_, _, part)| *part < 0.8).unwrap();
    let left = seconds(late.time_left.as_ref()).unwrap();
    assert!((left - truth).abs() < truth * 0.2, "{left} of {truth}");
    let (early, truth, _) = told.iter().find(|(_, _, part)| *part > 0.15).unwrap();
    assert!(seconds(early.time_left_high.as_ref()).unwrap() >= seconds(early.time_left.as_ref()).unwrap(), "{truth}");
    let (turn, truth, _) = told.iter().find(|(_, left, _)| *left < 1_900.0).unwrap();
    let high = seconds(turn.time_left_high.as_ref()).unwrap();
    assert!(high >= *truth * 0.8, "the band holds what comes soon after the change: {high} of {truth}");
}

#[test]
fn nothing_is_told_while_nothing_moves() {
    let mut progress = CopyProgress::default();
    for second in 0..100 {
        progress = next(&progress, &reading(second * 10, 0, 1 << 30));
    }
    assert_eq!((progress.percent, progress.time_left, progress.bytes_per_second), (0, None, 0));
}

#[test]
fn a_huge_copy_shows_that_it_has_begun_and_a_nearly_done_one_that_it_has_not_ended() {
    let begun = next(&CopyProgress::default(), &reading(0, 1, i64::MAX));
    assert_eq!(begun.percent, 1);
    let nearly = next(&begun, &reading(1, i64::MAX - 1, i64::MAX));
    assert_eq!(nearly.percent, 99);
    let done = next(
        &nearly,
        &Reading { complete: true, lag: Some(SignedDuration::from_secs(3)), ..reading(2, i64::MAX, i64::MAX) },
    );
    assert_eq!((done.percent, done.time_left.clone(), done.lag), (100, None, Some("3s".into())));
    let empty = next(&CopyProgress::default(), &Reading { complete: true, ..reading(0, 0, 0) });
    assert_eq!(empty.percent, 100);
}

/// A copy that is lost and made once more: what was reached stays shown, it is said that it repeats, and what is left is the new one's.
#[test]
fn a_copy_that_is_begun_anew_says_so() {
    let total = 1_000_000;
    let mut progress = next(&CopyProgress::default(), &reading(0, 0, total));
    for second in 1..=8 {
        progress = next(&progress, &reading(second * 10, second * 100_000, total));
    }
    assert_eq!((progress.percent, progress.repeats), (80, 0));
    progress = anew(&progress);
    assert_eq!((progress.percent, progress.repeats, progress.bytes_done), (80, 1, 0));
    assert_eq!(shown(&progress).as_deref(), Some("again"));
    assert_eq!(anew(&progress), progress, "nothing of the new one is done yet");
    // It goes on at a tenth of the rate.
    for second in 9..=29 {
        progress = next(&progress, &reading(second * 10, (second - 8) * 10_000, total));
        assert_eq!((progress.percent, progress.repeats), (80, 1));
    }
    let left = seconds(progress.time_left.as_ref()).unwrap();
    assert!((left - 790.0).abs() < 160.0, "{left}");
    let both = together(80, &[&progress, &CopyProgress { percent: 100, ..CopyProgress::default() }]);
    assert_eq!((both.percent, both.repeats), (80, 1));
    assert!(shown(&both).unwrap().starts_with("again: "), "{both:?}");
    // One that had come to its end and is made again is not told as if nothing were left.
    let done = next(&progress, &Reading { complete: true, ..reading(9_000, total, total) });
    assert_eq!((done.percent, shown(&done)), (100, None));
    let once_more = anew(&done);
    assert_eq!((once_more.percent, once_more.repeats), (100, 2));
    assert_eq!(together(100, &[&once_more, &progress]).time_left, None, "of one of them nothing is known");
    let ended = next(&once_more, &Reading { complete: true, ..reading(9_999, total, total) });
    assert_eq!((ended.percent, ended.repeats, shown(&ended)), (100, 2, None));
}

#[test]
fn workloads_together_end_with_the_longest() {
    let one = |done: i64, left: Option<&str>, lag: Option<&str>| CopyProgress {
        percent: if left.is_none() && done == 100 { 100 } else { 1 },
        bytes_done: done,
        bytes_total: 100,
        time_left: left.map(DurationText::from),
        time_left_low: left.map(DurationText::from),
        time_left_high: left.map(DurationText::from),
        lag: lag.map(DurationText::from),
        ..CopyProgress::default()
    };
    let all =
        together(0, &[&one(50, Some("10m"), Some("5s")), &one(25, Some("2h"), None), &one(100, None, Some("1m"))]);
    assert_eq!((all.percent, all.bytes_done, all.bytes_total), (58, 175, 300));
    assert_eq!((all.time_left.clone(), all.lag.clone()), (Some("2h".into()), Some("1m".into())));
    assert_eq!(shown(&all).as_deref(), Some("2h (2h to 2h)"));
    let unknown = together(70, &[&one(50, None, None), &one(25, Some("2h"), None)]);
    assert_eq!((unknown.percent, unknown.time_left.clone(), shown(&unknown)), (70, None, None));
    assert_eq!(together(0, &[]).percent, 0);
}
