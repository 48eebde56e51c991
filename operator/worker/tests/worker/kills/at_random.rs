//! kill -9 at moments drawn by a seed: of a backup, and of the restore of what came of it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{noise, quiet, stored_bytes};
use crate::support::{Place, assert_equal, hostile_tree, report, tree_len};

/// Moments in one backup and one restore each, unless `ZHENGYUN_KILLS` says more.
const KILLS: u64 = 10;
const SEED: u64 = 20_988;
/// What one batch holds, in MiB.
const BATCH: u64 = 1;
/// What may be uploaded again: a batch, and what the store keeps about it.
const AGAIN: u64 = (BATCH << 20) + (1 << 20);

fn kills() -> u64 {
    std::env::var("ZHENGYUN_KILLS").ok().map_or(KILLS, |many| many.parse().expect("ZHENGYUN_KILLS is a number"))
}

/// How long a command takes that nobody disturbs.
fn takes(command: &mut Command) -> Duration {
    let begun = Instant::now();
    report(command);
    begun.elapsed()
}

/// Kills a command at a moment of the time that it takes undisturbed; says whether it was still running.
fn killed(command: &mut Command, whole: Duration, random: &mut fastrand::Rng) -> bool {
    let mut child = quiet(command.stdin(Stdio::null()));
    // Nothing is awaited here: the moment is the point.
    std::thread::sleep(whole.mul_f64(random.f64()));
    let _ = child.kill();
    !child.wait().unwrap().success()
}

#[test]
fn a_run_that_is_killed_at_any_moment_goes_on_and_ends_the_same() {
    let kills = kills();
    let mut random = fastrand::Rng::with_seed(SEED);
    let undisturbed = Place::new();
    let source = undisturbed.path("source");
    std::fs::create_dir(&source).unwrap();
    hostile_tree(&source);
    noise(&source, 60, 150_000);
    let backup = |place: &Place| {
        let mut backup = place.backup(&source);
        backup.args(["--run", "nightly", "--batch-mib", &BATCH.to_string()]);
        backup
    };
    let (backing_up, all) = (takes(&mut backup(&undisturbed)), stored_bytes(&undisturbed));
    let restoring = takes(&mut undisturbed.restore(&undisturbed.path("target")));
    let items = tree_len(&source);
    let (mut backups, mut restores) = (0, 0);
    for _ in 0..kills {
        let place = Place::new();
        backups += u64::from(killed(&mut backup(&place), backing_up, &mut random));
        let before = stored_bytes(&place);
        let ended = report(&mut backup(&place));
        let uploaded = ended["uploaded"].as_u64().unwrap();
        assert!(uploaded + before <= all + AGAIN, "{uploaded} bytes uploaded, {before} of {all} were there");
        report(&mut place.worker("verify"));
        let listed = report(&mut place.worker("snapshots"));
        assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed:#}");
        assert_eq!(listed["unfinished"], serde_json::json!([]));
        let target = place.path("target");
        restores += u64::from(killed(&mut place.restore(&target), restoring, &mut random));
        report(&mut place.restore(&target));
        assert_equal(&source, &target);
        assert_eq!(tree_len(&target), items);
    }
    eprintln!("{backups} backups and {restores} restores of {kills} each were killed on the way");
    // A machine that is busy shifts some behind their end.
    assert!(backups * 3 >= kills && restores * 3 >= kills, "{backups} and {restores} of {kills} were under way");
}
