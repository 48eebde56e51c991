//! Copies in further repositories: each stands by itself, and remembers the others.

use std::process::Command;

use serde_json::Value;

use crate::support::{Place, assert_equal, hostile_tree, noise, refused, report, succeeded, tree, worker};

fn text<'a>(report: &'a Value, key: &str) -> &'a str {
    report[key].as_str().unwrap()
}

/// A second repository with the same two keys.
fn second(place: &Place, name: &str) {
    let mut init = worker("init");
    init.arg("--store").arg(place.path(name)).arg("--key-file").arg(place.path("key"));
    init.arg("--signing-key-file").arg(place.path("signing"));
    report(init.arg("--escrow-out").arg(place.path(&format!("{name}-escrow"))));
}

fn on(place: &Place, command: &str, store: &str) -> Command {
    let mut worker = worker(command);
    worker.arg("--store").arg(place.path(store)).arg("--key-file").arg(place.path("key"));
    worker
}

fn replicate(place: &Place, to: &str, backup: &str) -> Command {
    let mut run = on(place, "replicate", to);
    run.arg("--from").arg(place.path("store")).arg("--signing-key-file").arg(place.path("signing"));
    run.args(["--run", "copy", "--backup", backup]);
    run
}

fn restic_agrees(place: &Place, store: &str) {
    let mut restic = Command::new("restic");
    restic.args(["--no-cache", "--quiet", "--repo"]).arg(place.path(store)).arg("--password-file");
    succeeded(&restic.arg(place.path(&format!("{store}-escrow"))).args(["check", "--read-data"]).output().unwrap());
}

fn backup(place: &Place, run: &str) -> Value {
    report(place.backup(&place.path("source")).args(["--run", run]))
}

fn prepared() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("source")).unwrap();
    hostile_tree(&place.path("source"));
    noise(&place.path("source/noise"), 1, 3_000_000);
    second(&place, "second");
    place
}

#[test]
fn a_copy_proves_and_restores_when_the_first_repository_is_gone() {
    let place = prepared();
    let first = backup(&place, "one");
    let copied = report(&mut replicate(&place, "second", text(&first, "snapshot")));
    assert_eq!((&copied["root"], &copied["items"]), (&first["root"], &first["items"]));
    assert_ne!(copied["snapshot"], first["snapshot"]);
    // What is there already is not copied again.
    noise(&place.path("source/more"), 2, 50_000);
    let next = backup(&place, "two");
    let copied = report(&mut replicate(&place, "second", text(&next, "snapshot")));
    assert!(copied["uploaded"].as_u64().unwrap() < 1_000_000, "{copied:#}");
    let again = report(&mut replicate(&place, "second", text(&next, "snapshot")));
    assert_eq!((&again["snapshot"], &again["uploaded"]), (&copied["snapshot"], &0.into()));
    std::fs::remove_dir_all(place.path("store")).unwrap();
    let verified = report(&mut on(&place, "verify", "second"));
    assert_eq!(verified["intact"].as_array().unwrap().len(), 2, "{verified:#}");
    restic_agrees(&place, "second");
    report(on(&place, "restore", "second").arg("--target").arg(place.path("target")));
    assert_equal(&place.path("source"), &place.path("target"));
    // Neither the department's key nor the hub is needed.
    let mut restore = worker("restore");
    restore.arg("--store").arg(place.path("second")).arg("--escrow-file").arg(place.path("second-escrow"));
    report(restore.arg("--target").arg(place.path("again")));
    assert_equal(&place.path("source"), &place.path("again"));
}

#[test]
fn a_copy_that_is_killed_at_every_write_comes_to_its_end() {
    let place = prepared();
    let first = backup(&place, "one");
    let mut kills = 0;
    for write in 1.. {
        let mut run = replicate(&place, "second", text(&first, "snapshot"));
        let output = run.args(["--crash-after-store-write", &write.to_string()]).output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{output:?}");
        kills += 1;
        assert!(kills < 100, "it does not come to its end");
        // A copy is whole or not there.
        let listed = report(&mut on(&place, "snapshots", "second"));
        for backup in listed["backups"].as_array().unwrap() {
            report(on(&place, "verify", "second").args(["--backup", text(backup, "snapshot")]));
        }
    }
    assert!(kills > 4, "{kills}");
    let listed = report(&mut on(&place, "snapshots", "second"));
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(listed["unfinished"], serde_json::json!([]));
    report(&mut on(&place, "verify", "second"));
    restic_agrees(&place, "second");
    report(on(&place, "restore", "second").arg("--target").arg(place.path("target")));
    assert_equal(&place.path("source"), &place.path("target"));
}

#[test]
fn an_old_copy_of_a_repository_shows_to_every_other_store() {
    let place = prepared();
    second(&place, "third");
    let old = backup(&place, "one");
    report(&mut replicate(&place, "second", text(&old, "snapshot")));
    crate::damage::copy(&place.path("store"), &place.path("old-store"));
    crate::damage::copy(&place.path("second"), &place.path("old-second"));
    noise(&place.path("source/more"), 2, 50_000);
    let new = backup(&place, "two");
    for store in ["second", "third"] {
        report(&mut replicate(&place, store, text(&new, "snapshot")));
    }
    let verify = |store: &str, peer: &str| {
        let mut verify = on(&place, "verify", store);
        verify.arg("--peer").arg(place.path(peer));
        verify
    };
    for (store, peer) in [("store", "second"), ("store", "third"), ("second", "store"), ("third", "store")] {
        report(&mut verify(store, peer));
    }
    for (store, old, peers) in
        [("store", "old-store", ["second", "third"]), ("second", "old-second", ["store", "third"])]
    {
        std::fs::rename(place.path(store), place.path("aside")).unwrap();
        std::fs::rename(place.path(old), place.path(store)).unwrap();
        report(&mut on(&place, "verify", store));
        for peer in peers {
            let (reason, message) = refused(&mut verify(store, peer));
            assert!(reason == "EvidenceInvalid" && message.contains("known elsewhere"), "{store} {peer}: {message}");
        }
        std::fs::rename(place.path(store), place.path(old)).unwrap();
        std::fs::rename(place.path("aside"), place.path(store)).unwrap();
    }
    // What is remembered is signed: another hand's does not count, and shows.
    let remembered = place.stored("zhengyun/heads").pop().unwrap();
    let written = std::fs::read_to_string(&remembered).unwrap();
    let forged = written.replacen("counter\\\":", "counter\\\":1", 1);
    assert_ne!(written, forged);
    std::fs::write(&remembered, forged).unwrap();
    assert!(!on(&place, "verify", "store").output().unwrap().status.success());
}

#[test]
fn an_old_copy_of_a_repository_is_not_written_on() {
    let place = prepared();
    let first = backup(&place, "one");
    let copied = report(&mut replicate(&place, "second", text(&first, "snapshot")));
    let head = place.path("head.json");
    std::fs::write(&head, copied["chain"].to_string()).unwrap();
    let links = std::fs::read_dir(place.path("second/zhengyun/chain")).unwrap();
    std::fs::remove_file(links.map(|link| link.unwrap().path()).max().unwrap()).unwrap();
    let before = tree(&place.path("second"));
    let signed = |command: &str| {
        let mut run = on(&place, command, "second");
        run.arg("--signing-key-file").arg(place.path("signing"));
        run
    };
    let mut forget = signed("forget");
    forget.args(["--leftovers", "--prune"]);
    let mut capture = signed("backup");
    capture.arg("--state-dir").arg(place.path("state"));
    capture.arg("--files").arg(format!("tree={}", place.path("source").display()));
    let copy = || replicate(&place, "second", text(&first, "snapshot"));
    for mut run in [copy(), forget, signed("prune"), capture] {
        let (reason, message) = refused(run.arg("--known-head-file").arg(&head));
        assert!(reason == "EvidenceInvalid" && message.contains("known elsewhere"), "{reason}: {message}");
    }
    assert_eq!(tree(&place.path("second")), before, "nothing was written");
    // The store that it was copied from remembers it too, and goes on doing so however far the old copy gets.
    assert_eq!(refused(&mut copy()).0, "EvidenceInvalid");
    for run in ["two", "three"] {
        report(
            signed("backup")
                .arg("--state-dir")
                .arg(place.path("state"))
                .args(["--run", run])
                .args(["--files", &format!("tree={}", place.path("source").display())]),
        );
        assert_eq!(refused(&mut copy()).0, "EvidenceInvalid");
        let (reason, message) = refused(on(&place, "verify", "second").arg("--peer").arg(place.path("store")));
        assert_eq!(reason, "EvidenceInvalid", "{message}");
    }
}

#[test]
fn what_is_damaged_is_not_copied() {
    let place = prepared();
    let first = backup(&place, "one");
    let largest = place.stored("data").into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    let pristine = std::fs::read(&largest).unwrap();
    let mut flipped = pristine.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&largest, flipped).unwrap();
    let (reason, message) = refused(&mut replicate(&place, "second", text(&first, "snapshot")));
    assert_eq!(reason, "RepositoryDamaged", "{message}");
    assert!(message.contains(largest.file_name().unwrap().to_str().unwrap()), "{message}");
    assert_eq!(report(&mut on(&place, "snapshots", "second"))["backups"], serde_json::json!([]));
    std::fs::write(&largest, pristine).unwrap();
    report(&mut replicate(&place, "second", text(&first, "snapshot")));
    report(&mut on(&place, "verify", "second"));
    restic_agrees(&place, "second");
    let (reason, _) = refused(&mut replicate(&place, "store", text(&first, "snapshot")));
    assert_eq!(reason, "InvalidInput", "a repository is no copy of itself");
}
