//! Forgetting, pruning, what unfinished runs left; and killed at every write of it.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Place, assert_equal, noise, refused, report};

fn snapshot_of(report: &Value) -> String {
    report["snapshot"].as_str().unwrap().to_owned()
}

/// Three backups: `common` is in all of them, each has a file of its own that the next does not have.
fn three(place: &Place) -> Vec<String> {
    let source = place.path("source");
    noise(&source.join("common"), 1, 300_000);
    (2..5)
        .map(|seed| {
            noise(&source.join("own"), seed, 700_000);
            snapshot_of(&report(place.backup(&source).args(["--run", &format!("run-{seed}")])))
        })
        .collect()
}

/// Forgetting, without what is forgotten.
pub(crate) fn forget(place: &Place) -> Command {
    let mut worker = place.worker("forget");
    worker.arg("--signing-key-file").arg(place.path("signing")).args(["--run", "retention"]);
    worker
}

fn prune(place: &Place, hours: &str) -> Command {
    let mut worker = place.worker("prune");
    worker.arg("--signing-key-file").arg(place.path("signing")).args(["--run", "retention"]);
    worker.args(["--keep-deleted-hours", hours]);
    worker
}

fn stored_bytes(place: &Place) -> u64 {
    place.stored("data").iter().map(|file| file.metadata().unwrap().len()).sum()
}

fn listed(place: &Place) -> Vec<String> {
    let listed = report(&mut place.worker("snapshots"));
    listed["backups"].as_array().unwrap().iter().map(snapshot_of).collect()
}

/// Everything that is there proves, also to restic, and the last backup comes back.
fn is_whole(place: &Place) {
    let verified = report(&mut place.worker("verify"));
    assert_eq!(verified["findings"], serde_json::json!([]), "{verified:#}");
    place.restic_agrees();
    let target = place.path(&format!("target-{}", fastrand::u64(..)));
    report(&mut place.restore(&target));
    assert_equal(&place.path("source"), &target);
}

#[test]
fn what_is_forgotten_is_gone_days_later_and_the_rest_stays() {
    let place = Place::new();
    let all = three(&place);
    let before = stored_bytes(&place);
    let done = report(forget(&place).args(["--snapshot", &all[0], "--snapshot", &all[1], "--prune"]));
    assert!(done["pruned"]["marked"].as_u64().unwrap() > 1_000_000, "{done:#}");
    assert_eq!(done["pruned"]["packs"], 0, "nothing that was not marked before is deleted: {done:#}");
    assert_eq!(listed(&place), [all[2].clone()]);
    assert!(stored_bytes(&place) >= before);
    is_whole(&place);
    // Marked for less than that.
    assert_eq!(report(&mut prune(&place, "1"))["packs"], 0);
    assert!(stored_bytes(&place) >= before);
    let pruned = report(&mut prune(&place, "0"));
    assert!(pruned["packs"].as_u64().unwrap() >= 2 && pruned["bytes"].as_u64().unwrap() > 1_000_000, "{pruned:#}");
    assert!(stored_bytes(&place) + 1_300_000 < before, "{} of {before} bytes are left", stored_bytes(&place));
    is_whole(&place);
    // With nothing to do, nothing is signed.
    let idle = report(&mut prune(&place, "0"));
    assert_eq!(idle["chain"], report(&mut prune(&place, "0"))["chain"]);
    // The same again is no error: whoever asks may have been killed before it was told.
    report(forget(&place).args(["--snapshot", &all[0]]));
    assert_eq!(report(&mut place.worker("snapshots"))["unfinished"], serde_json::json!([]));
    // And what comes after builds on what is left.
    noise(&place.path("source/later"), 9, 100_000);
    report(place.backup(&place.path("source")).args(["--run", "later"]));
    is_whole(&place);
}

#[test]
fn the_chain_tells_a_forgotten_backup_from_a_stolen_one() {
    let place = Place::new();
    let all = three(&place);
    report(forget(&place).args(["--snapshot", &all[0]]));
    is_whole(&place);
    std::fs::remove_file(place.path("store/snapshots").join(&all[1])).unwrap();
    let output = place.worker("verify").output().unwrap();
    assert!(!output.status.success());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["findings"].to_string();
    assert!(findings.contains(&all[1]) && !findings.contains(&all[0]), "{found:#}");
    // A link that says so cannot be taken from the end, if its head is known elsewhere.
    let head = place.path("head.json");
    std::fs::write(&head, found["chain"].to_string()).unwrap();
    std::fs::remove_file(place.stored("zhengyun/chain").last().unwrap()).unwrap();
    let (reason, message) = refused(place.worker("verify").arg("--known-head-file").arg(&head));
    assert_eq!(reason, "EvidenceInvalid", "{message}");
}

#[test]
fn the_last_backup_and_what_is_not_there_are_not_forgotten() {
    let place = Place::new();
    let all = three(&place);
    let (reason, message) = refused(forget(&place).args(["--snapshot", &"0".repeat(64)]));
    assert_eq!(reason, "NoSuchBackup", "{message}");
    let (reason, message) =
        refused(forget(&place).args(["--snapshot", &all[0], "--snapshot", &all[1], "--snapshot", &all[2]]));
    assert!(reason == "InvalidInput" && message.contains("keep at least one"), "{message}");
    assert_eq!(refused(&mut forget(&place)).0, "InvalidInput");
    assert_eq!(listed(&place), all);
    is_whole(&place);
}

#[test]
fn nothing_is_removed_beside_a_backup_that_was_taken_away() {
    let place = Place::new();
    let all = three(&place);
    let links = place.stored("zhengyun/chain").len();
    let stolen = place.path("store/snapshots").join(&all[1]);
    let content = std::fs::read(&stolen).unwrap();
    std::fs::remove_file(&stolen).unwrap();
    let mut dropping = forget(&place);
    dropping.args(["--snapshot", &all[0], "--prune"]);
    for mut run in [dropping, prune(&place, "0"), prune(&place, "0")] {
        let (reason, message) = refused(&mut run);
        assert!(reason == "RepositoryDamaged" && message.contains(&all[1]), "{reason}: {message}");
    }
    assert_eq!(place.stored("zhengyun/chain").len(), links, "nothing was signed");
    // It was one small file; with it everything is back.
    std::fs::write(&stolen, content).unwrap();
    is_whole(&place);
    assert_eq!(listed(&place), all);
    // One that is to go anyway may be gone.
    std::fs::remove_file(place.path("store/snapshots").join(&all[0])).unwrap();
    report(forget(&place).args(["--snapshot", &all[0], "--prune"]));
    is_whole(&place);
    // The same for an index file.
    let stolen = place.stored("index").pop().unwrap();
    std::fs::remove_file(&stolen).unwrap();
    let (reason, message) = refused(&mut prune(&place, "0"));
    assert!(reason == "RepositoryDamaged" && message.contains("index/"), "{reason}: {message}");
}

#[test]
fn what_is_signed_away_is_told_although_the_rest_fails() {
    let place = Place::new();
    let all = three(&place);
    let changed = |file: &std::path::PathBuf| file.metadata().unwrap().modified().unwrap();
    let large = place.stored("data").into_iter().filter(|file| file.metadata().unwrap().len() > 500_000);
    let newest = large.max_by_key(changed).unwrap();
    let content = std::fs::read(&newest).unwrap();
    std::fs::remove_file(&newest).unwrap();
    let done = report(forget(&place).args(["--snapshot", &all[0], "--leftovers", "--prune"]));
    assert_eq!(done["forgotten"], serde_json::json!([all[0]]), "{done:#}");
    assert!(done["unfinished"]["reason"].is_string() && done["pruned"].is_null(), "{done:#}");
    assert_eq!(listed(&place), all[1..]);
    // Whoever was not told asks again, and need not name it.
    std::fs::write(&newest, content).unwrap();
    let told = report(forget(&place).args(["--leftovers", "--prune"]));
    assert_eq!(told["forgotten"], serde_json::json!([all[0]]), "{told:#}");
    assert!(told["unfinished"].is_null() && told["pruned"].is_object(), "{told:#}");
    is_whole(&place);
}

/// Kills at every write in turn, each process counted from its own start; what stands in between proves every time.
fn killed_at_every_write(place: &Place, run: impl Fn() -> Command) -> usize {
    let mut kills = 0;
    for write in 1.. {
        let output = run().args(["--crash-after-store-write", &write.to_string()]).output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{output:?}");
        kills += 1;
        assert!(kills < 200, "it does not come to its end");
        let verified = place.worker("verify").output().unwrap();
        assert!(
            verified.status.success(),
            "after write {write}: {}{}",
            String::from_utf8_lossy(&verified.stdout),
            String::from_utf8_lossy(&verified.stderr)
        );
        place.restic_agrees();
    }
    kills
}

#[test]
fn forgetting_and_pruning_that_are_killed_at_every_write_lose_nothing() {
    let place = Place::new();
    let all = three(&place);
    let kills = killed_at_every_write(&place, || {
        let mut run = forget(&place);
        run.args(["--snapshot", &all[0], "--snapshot", &all[1], "--prune"]);
        run
    });
    // Link, two snapshots, note, index files, link, old index files, note; and the leases around them.
    assert!(kills > 8, "{kills}");
    assert_eq!(listed(&place), [all[2].clone()]);
    is_whole(&place);
    // Now packs go, too.
    let before = stored_bytes(&place);
    let kills = killed_at_every_write(&place, || prune(&place, "0"));
    assert!(kills > 4, "{kills}");
    for _ in 0..3 {
        report(&mut prune(&place, "0"));
    }
    assert!(stored_bytes(&place) + 1_300_000 < before, "{} of {before} bytes are left", stored_bytes(&place));
    is_whole(&place);
}

#[test]
fn a_backup_goes_on_between_a_killed_prune_and_the_next() {
    for write in [4, 5, 6, 7, 8, 9, 10] {
        let place = Place::new();
        let all = three(&place);
        report(forget(&place).args(["--snapshot", &all[0]]));
        let crash = ["--crash-after-store-write", &write.to_string()];
        let output = prune(&place, "0").args(crash).output().unwrap();
        noise(&place.path("source/own"), 2, 700_000);
        // The content of the forgotten backup comes back: it may be marked by now.
        let mut backup = place.backup(&place.path("source"));
        // Of the same name, it need not wait until the killed one is silent.
        report(backup.args(["--run", "retention"]));
        is_whole(&place);
        report(&mut prune(&place, "0"));
        report(&mut prune(&place, "0"));
        is_whole(&place);
        if output.status.success() {
            break;
        }
    }
}

#[test]
fn what_unfinished_runs_left_goes_and_what_may_go_on_stays() {
    let place = Place::new();
    let source = place.path("source");
    noise(&source.join("good"), 1, 100_000);
    report(place.backup(&source).args(["--run", "good"]));
    let half = |run: &str, seed: u64| {
        let tree = place.path(run);
        for n in 0..6 {
            noise(&tree.join(format!("f{n}")), seed + n, 900_000);
        }
        let mut backup = place.backup(&tree);
        backup.args(["--run", run, "--batch-mib", "1", "--limit-kib", "4000"]);
        let mut child = backup.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let before = place.stored("snapshots").len();
        while place.stored("snapshots").len() < before + 2 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
    };
    half("failed", 10);
    // The same run takes itself over; another one would wait until the first is silent.
    let mut tidy = place.worker("forget");
    tidy.arg("--signing-key-file").arg(place.path("signing")).args(["--run", "failed", "--leftovers"]);
    let kept = report(tidy.args(["--keep-run", "failed"]));
    assert_eq!(kept["leftovers"], serde_json::json!([]), "{kept:#}");
    let unfinished = report(&mut place.worker("snapshots"))["unfinished"].as_array().unwrap().len();
    assert!(unfinished >= 1, "nothing was left");
    let tidied = report(forget(&place).args(["--leftovers", "--prune"]));
    assert_eq!(tidied["leftovers"].as_array().unwrap().len(), unfinished, "{tidied:#}");
    assert!(report(&mut prune(&place, "0"))["bytes"].as_u64().unwrap() > 900_000);
    assert_eq!(report(&mut place.worker("snapshots"))["unfinished"], serde_json::json!([]));
    is_whole(&place);
    // Its journal names batches that are gone: it begins anew.
    report(place.backup(&place.path("failed")).args(["--run", "failed"]));
    report(&mut place.worker("verify"));
    place.restic_agrees();
}

#[test]
fn pruning_waits_for_whoever_holds_the_repository() {
    let place = Place::new();
    three(&place);
    let large = place.path("large");
    noise(&large.join("f"), 7, 6_000_000);
    let mut backup = place.backup(&large);
    backup.args(["--run", "slow", "--limit-kib", "1500", "--batch-mib", "1"]);
    let packs = place.stored("data").len();
    let mut child = backup.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while place.stored("data").len() == packs && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let (reason, message) = refused(&mut prune(&place, "0"));
    assert!(reason == "RepositoryBusy" && message.contains("slow"), "{reason}: {message}");
    assert!(child.wait().unwrap().success());
    report(&mut prune(&place, "0"));
    report(&mut place.worker("verify"));
}
