//! Two workers, one repository.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use rstest::rstest;

use crate::support::{Place, assert_equal, refused, report};

fn noise(root: &Path, seed: u64) {
    std::fs::create_dir_all(root).unwrap();
    let mut random = fastrand::Rng::with_seed(seed);
    for n in 0..20 {
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(500_000).collect();
        std::fs::write(root.join(format!("f{n}")), noise).unwrap();
    }
}

/// A backup that takes some seconds, once it has the lease.
fn slow(place: &Place, source: &Path, run: &str) -> Child {
    let mut backup = place.backup(source);
    backup.args(["--run", run, "--limit-kib", "2000", "--batch-mib", "1"]);
    let child = backup.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while place.stored("data").len() < 2 {
        assert!(started.elapsed() < Duration::from_secs(120), "it does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn the_second_is_told_who_holds_the_repository_and_may_wait_for_it(#[case] place: Place) {
    let (one, two) = (place.path("one"), place.path("two"));
    noise(&one, 1);
    noise(&two, 2);
    let first = slow(&place, &one, "first");
    let (reason, message) = refused(place.backup(&two).args(["--run", "second"]));
    assert_eq!(reason, "RepositoryBusy", "{message}");
    assert!(message.contains("first"), "{message}");
    report(place.backup(&two).args(["--run", "second", "--lease-wait", "300"]));
    assert!(first.wait_with_output().unwrap().status.success());
    let verified = report(&mut place.worker("verify"));
    assert_eq!(verified["intact"].as_array().unwrap().len(), 2, "{verified:#}");
    place.restic_agrees();
    report(&mut place.restore(&place.path("target")));
    assert_equal(&two, &place.path("target"));
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn one_that_was_stopped_and_outrun_writes_nothing_that_counts(#[case] place: Place) {
    let source = place.path("source");
    noise(&source, 3);
    let outrun = slow(&place, &source, "run");
    let id = Pid::from_child(&outrun);
    kill_process(id, Signal::STOP).unwrap();
    // Its starter takes it for dead and starts the next attempt.
    report(place.backup(&source).args(["--run", "run", "--attempt", "2"]));
    kill_process(id, Signal::CONT).unwrap();
    let output = outrun.wait_with_output().unwrap();
    assert!(!output.status.success());
    // The next attempt has the same journal and takes it away at its end: the outrun one hears of the lease or misses its journal, whichever
    // comes first.
    let told = String::from_utf8_lossy(&output.stderr);
    let missed = told.contains("\"LocalFailure\"") && told.contains("/state/");
    assert!(told.contains("\"LeaseLost\"") || missed, "{output:?}");
    let listed = report(&mut place.worker("snapshots"));
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed:#}");
    report(&mut place.worker("verify"));
    place.restic_agrees();
    report(&mut place.restore(&place.path("target")));
    assert_equal(&source, &place.path("target"));
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn a_damaged_lease_is_a_holder_that_nobody_knows(#[case] place: Place) {
    let source = place.path("source");
    noise(&source, 4);
    report(place.backup(&source).args(["--run", "first"]));
    let lease = place.stored("zhengyun/lease").pop().unwrap();
    std::fs::write(&lease, "{").unwrap();
    let (reason, message) = refused(place.backup(&source).args(["--run", "second"]));
    assert_eq!(reason, "RepositoryBusy", "{message}");
    assert!(message.contains("damaged"), "{message}");
}
