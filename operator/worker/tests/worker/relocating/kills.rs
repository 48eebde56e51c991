//! kill -9 at moments drawn by a seed, workers that wake up late, and epochs.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::applications::{Prober, Writer, can_write};
use super::{DATABASE, Move, privileges, sql};
use crate::kills::quiet;
use crate::support::{refused, report};
use rustix::process::{Pid, Signal, kill_process};

/// Moments, unless `ZHENGYUN_KILLS` says more.
const KILLS: u64 = 10;
const SEED: u64 = 1_949;

pub(super) fn kills() -> u64 {
    std::env::var("ZHENGYUN_KILLS").ok().map_or(KILLS, |many| many.parse().expect("ZHENGYUN_KILLS is a number"))
}

/// Kills a command at a moment of this time; says whether it was still running.
pub(super) fn killed(command: &mut Command, whole: Duration, random: &mut fastrand::Rng) -> bool {
    let mut child = quiet(command.stdin(Stdio::null()));
    // Nothing is awaited here: the moment is the point.
    std::thread::sleep(whole.mul_f64(random.f64()));
    let _ = child.kill();
    !child.wait().unwrap().success()
}

#[test]
fn every_verb_that_is_killed_is_done_when_it_is_said_again() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..kills().div_ceil(10) {
        let place = Move::new();
        let before = privileges(&place.source);
        let (writer, prober) = (Writer::start(&place), Prober::start(&place));
        let mut caught = 0;
        let mut say = |verb: &str| {
            for _ in 0..2 {
                caught += u64::from(killed(&mut place.verb(verb), Duration::from_millis(500), &mut random));
                assert!(
                    !(can_write(place.source.port) && can_write(place.target.port)),
                    "{verb}: both sides are writable"
                );
            }
            let mut last = place.verb(verb);
            report(last.stdout(Stdio::piped()).stderr(Stdio::piped()))
        };
        say("prepare");
        say("copy");
        let frozen = Instant::now();
        say("freeze");
        say("finish");
        say("thaw");
        let back = Instant::now();
        assert_eq!(privileges(&place.source), before);
        say("copy");
        let again = Instant::now();
        say("freeze");
        assert_eq!(say("finish")["equal"], true);
        say("open");
        let written = writer.stop_after_target();
        prober.assert_one_side(&[(frozen, Some(back)), (again, None)]);
        written.assert_there_once(&place.target);
        say("close");
        assert!(!can_write(place.source.port) && !can_write(place.target.port));
        say("open");
        say("drop");
        assert_eq!(place.traces(), [""; 0]);
        assert!(caught >= 8, "{caught} were killed on the way");
    }
}

/// It is killed after it had subscribed and before it said so: the tables may not be dropped while they are to be copied.
#[test]
fn a_subscription_that_nobody_wrote_down_is_made_anew() {
    let place = Move::new();
    report(&mut place.verb("prepare"));
    let unsaid =
        "UPDATE zhengyun_move.fence SET record = (record::jsonb || '{\"loaded\": false, \"prepared\": false}')::json";
    place.target.sql(DATABASE, unsaid).unwrap();
    assert_eq!(report(&mut place.verb("prepare"))["prepared"], true);
    report(&mut place.verb("copy"));
}

#[test]
fn a_lower_epoch_is_refused_before_it_changes_anything() {
    let mut place = Move::new();
    place.copied();
    place.epoch = 3;
    let follower = place.following();
    place.until("the epoch", |place| sql(&place.source, "SELECT record ->> 'epoch' FROM zhengyun_move.fence") == "3");
    place.epoch = 2;
    let before = (privileges(&place.source), privileges(&place.target));
    for verb in ["prepare", "copy", "compare", "freeze", "finish", "open", "close", "thaw", "drop"] {
        let (reason, message) = refused(&mut place.verb(verb));
        assert!(reason == "EpochOutrun" && message.contains('3'), "{verb}: {message}");
    }
    assert_eq!((privileges(&place.source), privileges(&place.target)), before);
    // The same epoch waits its turn, a higher one takes over.
    place.epoch = 3;
    let (reason, message) = refused(place.verb("compare").args(["--wait-seconds", "0"]));
    assert_eq!(reason, "MoverBusy", "{message}");
    place.epoch = 4;
    report(&mut place.verb("compare"));
    let (reason, message) = follower.fails();
    assert!(
        ["EpochOutrun", "DatabaseUnreachable", "DatabaseRefused"].contains(&reason.as_str()),
        "{reason}: {message}"
    );
    let (reason, _) = {
        let mut other = place.verb_of_source("assess");
        other.args(["--mode", "dump"]);
        report(&mut other);
        let mut other = place.verb("copy");
        other.arg("--target-database-file");
        refused(&mut other)
    };
    assert_eq!(reason, "InvalidInput");
}

#[test]
fn a_worker_that_was_stopped_and_wakes_up_opens_nothing() {
    let mut place = Move::new();
    place.copied();
    for wait in [0, 40, 80, 120, 200] {
        report(&mut place.verb("copy"));
        report(&mut place.verb("freeze"));
        report(&mut place.verb("finish"));
        let mut late = place.verb("open").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        kill_process(Pid::from_child(&late), Signal::STOP).unwrap();
        place.epoch += 1;
        // It may have been done already.
        let mut thaw = place.verb("thaw");
        if !thaw.output().unwrap().status.success() {
            report(&mut place.verb("close"));
            report(&mut place.verb("thaw"));
        }
        kill_process(Pid::from_child(&late), Signal::CONT).unwrap();
        late.wait().unwrap();
        assert!(can_write(place.source.port), "the source was given back");
        assert!(!can_write(place.target.port), "after {wait} ms: a late worker opened the target");
        let state = sql(&place.target, "SELECT record ->> 'wasOpen' FROM zhengyun_move.fence");
        if state == "true" {
            report(place.verb("copy").arg("--discard-writes"));
        }
    }
    assert_eq!(
        place
            .source
            .sql("postgres", &format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{DATABASE}'"))
            .unwrap(),
        "1"
    );
}
