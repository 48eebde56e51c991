//! kill -9 at every write, at any time, SIGTERM, and a full disk.

mod at_random;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rstest::rstest;

use crate::support::{Place, assert_equal, hostile_tree, refused, report, succeeded};

fn noise(root: &Path, files: usize, size: usize) {
    let mut random = fastrand::Rng::with_seed(11);
    for n in 0..files {
        let dir = root.join(format!("d{}", n % 5));
        std::fs::create_dir_all(&dir).unwrap();
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(size).collect();
        std::fs::write(dir.join(format!("f{n}")), noise).unwrap();
    }
}

pub(crate) fn quiet(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits for a state, or for the end of the process.
pub(crate) fn until(child: &mut Child, reached: impl Fn() -> bool) {
    while !reached() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes of packs that are whole: one that is being written has another name.
fn stored_bytes(place: &Place) -> u64 {
    let whole = |file: &PathBuf| !file.to_string_lossy().contains('#');
    place
        .stored("data")
        .iter()
        .filter(|file| whole(file))
        .filter_map(|file| file.metadata().ok())
        .map(|m| m.len())
        .sum()
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn a_backup_that_is_killed_at_every_write_in_turn_comes_to_its_end(#[case] place: Place) {
    let undisturbed = Place::new();
    let source = place.path("source");
    noise(&source, 30, 200_000);
    let run = |place: &Place| {
        let mut backup = place.backup(&source);
        backup.args(["--run", "nightly", "--batch-mib", "1"]);
        backup
    };
    report(&mut run(&undisturbed));
    let mut kills = 0;
    // Each process gets one write further than the one before, counted from its own start.
    for write in 1.. {
        let output = run(&place).args(["--crash-after-store-write", &write.to_string()]).output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{output:?}");
        kills += 1;
        assert!(kills < 200, "it does not come to its end");
        let listed = report(&mut place.worker("snapshots"));
        let done = listed["backups"].as_array().unwrap();
        // A backup is whole or not there.
        for backup in done {
            report(place.worker("verify").args(["--backup", backup["snapshot"].as_str().unwrap()]));
        }
    }
    assert!(kills > 5, "{kills}");
    report(&mut run(&place));
    let listed = report(&mut place.worker("snapshots"));
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(listed["unfinished"], serde_json::json!([]));
    report(&mut place.worker("verify"));
    place.restic_agrees();
    report(&mut place.restore(&place.path("target")));
    assert_equal(&source, &place.path("target"));
    let (ours, theirs) = (stored_bytes(&place), stored_bytes(&undisturbed));
    assert!(ours < theirs + (1 << 20), "{ours} bytes stored, undisturbed {theirs}");
}

#[test]
fn what_a_killed_run_left_is_no_damage_to_who_knows_the_head() {
    let place = Place::new();
    let source = place.path("source");
    noise(&source, 3, 1000);
    let before = report(&mut place.backup(&source));
    std::fs::write(place.path("head"), before["chain"].to_string()).unwrap();
    std::fs::write(source.join("more"), "more").unwrap();
    let mut unsigned = 0;
    for write in 1.. {
        let output = place.backup(&source).args(["--crash-after-store-write", &write.to_string()]).output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{output:?}");
        assert!(write < 100, "it does not come to its end");
        let told = report(place.worker("verify").arg("--known-head-file").arg(place.path("head")));
        assert_eq!(told["findings"], serde_json::json!([]), "killed after write {write}");
        // Who does not know the head cannot tell: a link may have been removed.
        unsigned += usize::from(!place.worker("verify").output().unwrap().status.success());
    }
    assert!(unsigned > 0, "no run died between its snapshot and its link");
}

#[test]
fn a_backup_that_is_killed_on_the_way_uploads_what_is_stored_only_once() {
    let place = Place::new();
    let source = place.path("source");
    noise(&source, 60, 1_000_000);
    let run = || {
        let mut backup = place.backup(&source);
        backup.args(["--run", "r", "--batch-mib", "24"]);
        backup
    };
    // Twice in the first batch, and in the second.
    for stored in [1_000_000, 20_000_000, 30_000_000] {
        let mut child = quiet(run().args(["--limit-kib", "30000"]));
        until(&mut child, || stored_bytes(&place) >= stored);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it was done before {stored} bytes");
    }
    let stored = stored_bytes(&place);
    let last = report(&mut run());
    assert!(last["resumedBatches"].as_u64().unwrap() >= 1, "{last:#}");
    let uploaded = last["uploaded"].as_u64().unwrap();
    assert!(uploaded + stored < 60_000_000 + (1 << 20), "{uploaded} uploaded, {stored} were there");
    place.restic_agrees();
    report(&mut place.worker("verify"));
    report(&mut place.restore(&place.path("target")));
    assert_equal(&source, &place.path("target"));
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn a_restore_that_is_killed_goes_on(#[case] place: Place) {
    let source = place.path("source");
    std::fs::create_dir(&source).unwrap();
    hostile_tree(&source);
    noise(&source, 300, 20_000);
    report(&mut place.backup(&source));
    let target = place.path("target");
    let mut killed = 0;
    for restored in [1, 2, 50, 200, 340] {
        let mut child = quiet(&mut place.restore(&target));
        until(&mut child, || crate::support::tree_len(&target) >= restored);
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed >= 3, "{killed} of them were not done yet");
    report(&mut place.restore(&target));
    assert_equal(&source, &target);
    // Killed after its last write, it would find everything done.
    let again = report(&mut place.restore(&target));
    assert_eq!((&again["created"], &again["failed"]), (&0.into(), &0.into()), "{again:#}");
    std::fs::write(target.join("d0/f0"), "another").unwrap();
    let (reason, _) = refused(&mut place.restore(&target));
    assert_eq!(reason, "TargetInvalid");
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn sigterm_ends_a_run_cleanly_and_it_can_be_resumed(#[case] place: Place) {
    let source = place.path("source");
    noise(&source, 40, 500_000);
    let run = |limit: &str| {
        let mut backup = place.backup(&source);
        backup.args(["--run", "r", "--batch-mib", "2", "--limit-kib", limit]);
        backup
    };
    let mut child = run("2000").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(&mut child, || stored_bytes(&place) > 0);
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"Cancelled\""), "{output:?}");
    let resumed = report(&mut run("0"));
    assert_eq!(resumed["items"], 47);
    place.restic_agrees();
    report(&mut place.worker("verify"));
}

#[test]
fn a_run_that_is_done_says_the_same_again() {
    let place = Place::new();
    let source = place.path("source");
    noise(&source, 3, 1000);
    let run = || report(place.backup(&source).args(["--run", "r"]));
    let (first, again) = (run(), run());
    for field in ["snapshot", "root", "items", "bytes", "capturedAt", "sources", "chain"] {
        assert_eq!(first[field], again[field], "{field}");
    }
    assert_eq!(first["sources"][0]["name"], "tree");
    assert_eq!(place.stored("snapshots").len(), 1);
}

#[test]
fn a_run_that_failed_holds_nobody_up_and_what_it_left_is_taken_over() {
    let place = Place::new();
    let source = place.path("source");
    noise(&source, 20, 10_000);
    // Deeper than is followed.
    let odd = source.join("z");
    std::fs::create_dir(&odd).unwrap();
    let mut deep = odd.clone();
    for _ in 0..520 {
        deep.push("d");
        std::fs::create_dir(&deep).unwrap();
    }
    let (reason, message) = refused(place.backup(&source).args(["--run", "one"]));
    assert_eq!(reason, "SourceUnreadable", "{message}");
    // Of a write that did not come to its end.
    let staged = place.path("store/data/00").join(format!("{}#1", "0".repeat(64)));
    std::fs::create_dir_all(staged.parent().unwrap()).unwrap();
    std::fs::write(&staged, "half a pack").unwrap();
    std::fs::remove_dir_all(&odd).unwrap();
    report(place.backup(&source).args(["--run", "two"]));
    assert!(!staged.exists());
    report(&mut place.worker("verify"));
    place.restic_agrees();
}

#[test]
fn a_heartbeat_is_shown_while_the_process_lives() {
    let place = Place::new();
    let source = place.path("source");
    noise(&source, 10, 500_000);
    let heartbeat = place.path("heartbeat");
    let mut backup = place.backup(&source);
    report(backup.args(["--limit-kib", "1000", "--heartbeat-file"]).arg(&heartbeat));
    let beat: serde_json::Value = serde_json::from_slice(&std::fs::read(heartbeat).unwrap()).unwrap();
    assert!(beat["beat"].as_u64().unwrap() >= 2, "{beat}");
    assert!(beat["standing"]["uploaded"].is_u64(), "{beat}");
}

#[test]
fn a_full_disk_fails_cleanly_and_the_backup_before_stays_good() {
    let place = Place::new();
    let (small, large) = (place.path("small"), place.path("large"));
    noise(&small, 4, 100_000);
    noise(&large, 30, 1_000_000);
    let worker = env!("CARGO_BIN_EXE_zhengyun-worker");
    let script = format!(
        "set -u; cd {dir}; mkdir disk; mount -t tmpfs -o size=14m none disk || exit 77
         w() {{ {worker} --progress json \"$@\"; }}
         keys='--key-file key2 --store disk/store'
         w init $keys --signing-key-file signing2 --escrow-out escrow2 --generate || exit 1
         back() {{ w backup $keys --signing-key-file signing2 --state-dir state2 --files tree=$1 --run $2; }}
         back small one || exit 2
         back large two && exit 3
         w verify $keys || exit 4
         restic --no-cache -q -r disk/store --password-file escrow2 check --read-data || exit 5
         mount -o remount,size=100m disk
         back large two || exit 6
         w verify $keys || exit 7
         w restore $keys --target out || exit 8
         diff -r large out",
        dir = place.path("").display(),
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .output()
        .expect("unshare is missing: `make deps` installs util-linux");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || stderr.contains("unshare failed") {
        eprintln!("not shown: this machine lets nobody mount a small disk ({stderr})");
        return;
    }
    succeeded(&output);
    assert!(stderr.contains("\"StoreFull\""), "{stderr}");
}

#[test]
fn a_store_that_is_not_there_is_an_error_with_its_name() {
    let place = Place::new();
    let source = place.path("source");
    noise(&source, 1, 10);
    std::fs::rename(place.path("store"), place.path("gone")).unwrap();
    let (reason, message) = refused(&mut place.backup(&source));
    assert_eq!(reason, "InvalidInput", "{message}");
    assert!(message.contains("store"), "{message}");
    std::fs::create_dir(place.path("store")).unwrap();
    let (reason, message) = refused(&mut place.backup(&source));
    assert_eq!(reason, "NoRepository", "{message}");
}
