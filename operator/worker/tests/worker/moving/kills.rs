//! kill -9 at moments drawn by a seed, of a copy and of what comes after it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Move;
use crate::kills::quiet;
use crate::support::{hostile_tree, noise, report};

/// Moments, unless `ZHENGYUN_KILLS` says more.
const KILLS: u64 = 10;
const SEED: u64 = 4_711;
/// What one batch holds.
const BATCH: u64 = 1 << 20;
/// The largest file: with it, a batch may pass its limit.
const LARGEST: u64 = 3 << 20;

fn kills() -> u64 {
    std::env::var("ZHENGYUN_KILLS").ok().map_or(KILLS, |many| many.parse().expect("ZHENGYUN_KILLS is a number"))
}

fn filled() -> Move {
    let place = Move::new();
    hostile_tree(&place.source());
    // It would be a batch of its own, larger than all others.
    std::fs::remove_file(place.source().join("sparse")).unwrap();
    for n in 0..60 {
        noise(&place.source().join(format!("d{}/f{n}", n % 5)), n, 150_000);
    }
    place
}

fn copy(place: &Move) -> Command {
    let mut copy = place.verb("copy");
    copy.args(["--batch-mib", "1", "--limit-kib", "20000"]);
    copy
}

/// Kills a command at a moment of the time that it takes undisturbed; says whether it was still running.
fn killed(command: &mut Command, whole: Duration, random: &mut fastrand::Rng) -> bool {
    let mut child = quiet(command.stdin(Stdio::null()));
    // Nothing is awaited here: the moment is the point.
    std::thread::sleep(whole.mul_f64(random.f64()));
    let _ = child.kill();
    !child.wait().unwrap().success()
}

/// Bytes that the lists say are in the target.
fn listed(place: &Move) -> u64 {
    let sizes = |name: &str| {
        let text = std::fs::read_to_string(place.state().join(name)).unwrap_or_default();
        let lines: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let files = lines.into_iter().filter(|known| known["d"] != "");
        files.map(|known| (known["p"].as_str().unwrap().to_owned(), known["n"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    let all: BTreeMap<_, _> = sizes("known.jsonl").into_iter().chain(sizes("pass.jsonl")).collect();
    all.values().sum()
}

/// Bytes of files that have their names, each once.
fn standing(target: &Path) -> u64 {
    let mut seen = BTreeMap::new();
    let mut open = vec![target.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let (name, meta) = (entry.file_name(), entry.metadata().unwrap());
            let ours = name == ".zhengyun-migration" || name.to_string_lossy().starts_with(".zhengyun-move-");
            if meta.is_dir() && !ours {
                open.push(entry.path());
            } else if meta.is_file() && !ours {
                seen.insert(meta.ino(), meta.len());
            }
        }
    }
    seen.values().sum()
}

#[test]
fn a_copy_that_is_killed_at_any_moment_goes_on_and_repeats_one_batch_at_most() {
    let (kills, mut random) = (kills(), fastrand::Rng::with_seed(SEED));
    let undisturbed = filled();
    report(&mut undisturbed.verb("prepare"));
    let begun = Instant::now();
    let all = report(&mut copy(&undisturbed))["written"].as_u64().unwrap();
    let whole = begun.elapsed();
    let mut caught = 0;
    for _ in 0..kills {
        let place = filled();
        report(&mut place.verb("prepare"));
        for _ in 0..2 {
            caught += u64::from(killed(&mut copy(&place), whole, &mut random));
            // What stands and is not listed is what is done again.
            let (stands, before) = (standing(&place.target()), listed(&place));
            assert!(stands <= before + BATCH + LARGEST, "{stands} bytes stand, {before} are listed");
        }
        let before = listed(&place);
        let written = report(&mut copy(&place))["written"].as_u64().unwrap();
        assert!(written + before <= all, "{written} bytes written, {before} of {all} were listed");
        place.assert_moved();
        let compared = report(&mut place.verb("compare"));
        assert_eq!(compared["equal"], true, "{compared:#}");
    }
    eprintln!("{caught} copies of {} were killed on the way", 2 * kills);
    assert!(caught * 3 >= kills, "{caught} of {} were under way", 2 * kills);
    assert!(all > 10 * BATCH);
}

#[test]
fn what_was_shown_does_not_run_backwards_after_a_kill() {
    let place = filled();
    report(&mut place.verb("prepare"));
    let mut slow = place.verb("copy");
    slow.args(["--batch-mib", "1", "--limit-kib", "4000"]);
    let mut child = quiet(&mut slow);
    crate::kills::until(&mut child, || listed(&place) > 3_000_000);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = listed(&place);
    let mut resumed = place.verb("copy");
    let output = resumed.args(["--limit-kib", "2500"]).output().unwrap();
    let shown: Vec<(u64, u64)> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|line| Some((line["progress"]["bytes"].as_u64()?, line["progress"]["totalBytes"].as_u64()?)))
        .collect();
    assert!(shown.len() >= 2, "{output:?}");
    assert!(shown[0].0 >= before, "{shown:?} began below {before}");
    assert!(shown.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{shown:?}");
    assert!(shown.iter().all(|(done, total)| done <= total), "{shown:?}");
    place.assert_moved();
}

#[test]
fn every_verb_that_is_killed_is_done_when_it_is_said_again() {
    let (kills, mut random) = (kills(), fastrand::Rng::with_seed(SEED + 1));
    for _ in 0..kills.div_ceil(3) {
        let place = filled();
        let mut thaw = place.verb("thaw");
        thaw.args(["--declared-by", "Li Lei"]);
        let verbs = [
            place.verb("prepare"),
            copy(&place),
            place.freeze(),
            place.verb("finish"),
            place.verb("open"),
            place.verb("close"),
            thaw,
            place.freeze(),
            place.verb("finish"),
            place.verb("open"),
            place.verb("drop"),
        ];
        for mut verb in verbs {
            if verb.get_args().any(|argument| argument == "finish") && place.record()["wasOpen"] == true {
                verb.arg("--discard-writes");
            }
            killed(&mut verb, Duration::from_millis(60), &mut random);
            report(verb.stdout(Stdio::piped()).stderr(Stdio::piped()));
        }
        place.assert_dropped();
    }
}
