//! Passes: what changed is followed, what did not is not read again.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use super::Move;
use crate::kills::until;
use crate::support::{noise, refused, report};

#[test]
fn what_changed_is_followed_and_what_did_not_is_not_read_again() {
    let place = Move::hostile();
    place.copied();
    place.settled();
    let again = report(&mut place.verb("copy"));
    assert_eq!(
        (&again["copied"], &again["written"], &again["removed"]),
        (&0.into(), &0.into(), &0.into()),
        "{again:#}"
    );
    let at = |name: &str| place.source().join(name);
    // Gone, renamed, replaced by another kind, linked, no longer linked, its mode and attributes alone, one byte of many.
    std::fs::remove_file(at("deep.er")).unwrap();
    std::fs::remove_dir_all(at("in")).unwrap();
    std::fs::rename(at("deep/er"), at("deeper")).unwrap();
    std::fs::remove_file(at("empty")).unwrap();
    std::fs::create_dir_all(at("empty/now a directory")).unwrap();
    std::fs::remove_dir(at("empty-dir")).unwrap();
    std::os::unix::fs::symlink("deep-er", at("empty-dir")).unwrap();
    std::fs::hard_link(at("deep-er"), at("a second name")).unwrap();
    let twin = std::fs::read(at("noise")).unwrap();
    std::fs::remove_file(at("deep/second-name")).unwrap();
    std::fs::write(at("deep/second-name"), twin).unwrap();
    std::fs::set_permissions(at("sparse"), std::os::unix::fs::PermissionsExt::from_mode(0o604)).unwrap();
    let _ = rustix::fs::setxattr(at("sparse"), "user.new", b"1", rustix::fs::XattrFlags::empty());
    let _ = rustix::fs::removexattr(at("deeper"), "user.origin");
    let changed = report(&mut place.verb("copy"));
    assert!(changed["removed"].as_u64().unwrap() > 10, "{changed:#}");
    place.assert_moved();
    let blocks = |name: &str| std::os::unix::fs::MetadataExt::blocks(&place.target().join(name).metadata().unwrap());
    assert_eq!(blocks("sparse"), 0);
    // The content was there already: only what belongs to it was set.
    assert!(changed["written"].as_u64().unwrap() < 40 << 20, "{changed:#}");
    place.settled();
    assert_eq!(report(&mut place.verb("compare"))["equal"], true);
}

#[test]
fn a_content_that_changes_under_the_same_size_and_time_is_seen_by_the_change_time() {
    let place = Move::hostile();
    place.copied();
    place.settled();
    let file = place.source().join("deep-er");
    let modified = file.metadata().unwrap().modified().unwrap();
    std::fs::write(&file, "DASH").unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    let copied = report(&mut place.verb("copy"));
    assert_eq!((&copied["copied"], &copied["written"]), (&1.into(), &4.into()), "{copied:#}");
    place.assert_moved();
}

#[test]
fn a_file_that_changes_while_it_is_read_is_counted_and_read_again() {
    let place = Move::new();
    noise(&place.source().join("big"), 1, 3_000_000);
    noise(&place.source().join("calm"), 2, 1000);
    report(&mut place.verb("prepare"));
    let mut copy = place.verb("copy");
    let mut child = copy.args(["--limit-kib", "2000"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let staged = || {
        let parts = std::fs::read_dir(place.target()).unwrap().flatten();
        parts
            .filter(|e| e.file_name().to_string_lossy().ends_with(".part"))
            .any(|e| e.metadata().is_ok_and(|m| m.len() > 0))
    };
    until(&mut child, staged);
    std::fs::File::options().append(true).open(place.source().join("big")).unwrap().write_all(b"more").unwrap();
    let output = child.wait_with_output().unwrap();
    let copied: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&copied["changedWhileRead"], &copied["changedWhileReadTotal"]),
        (&json!(["big"]), &1.into()),
        "{copied:#}"
    );
    let again = report(&mut place.verb("copy"));
    assert_eq!(again["changedWhileReadTotal"], 0, "{again:#}");
    place.assert_moved();
}

#[test]
fn following_keeps_in_step_until_it_is_told_to_stop() {
    let place = Move::hostile();
    report(&mut place.verb("prepare"));
    let mut copy = place.verb("copy");
    copy.args(["--follow", "--interval-seconds", "0"]);
    let mut child = copy.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(&mut child, || place.record()["passes"].as_u64().unwrap() > 0);
    noise(&place.source().join("late"), 3, 5000);
    until(&mut child, || place.target().join("late").exists());
    std::fs::remove_file(place.source().join("late")).unwrap();
    until(&mut child, || !place.target().join("late").exists());
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // The third may have been told to stop after it took the file away and before it was counted.
    assert!(told["passes"].as_u64().unwrap() >= 2 && told["lag"]["seconds"].is_f64(), "{told:#}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("pass 1:"), "{output:?}");
    place.settled();
    place.assert_moved();
}

#[test]
fn whoever_takes_over_ends_the_one_before() {
    let mut place = Move::hostile();
    place.copied();
    let mut copy = place.verb("copy");
    let child = copy.args(["--follow", "--interval-seconds", "0"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let passes = place.record()["passes"].as_u64().unwrap();
    until(&mut child, || place.record()["passes"].as_u64().unwrap() > passes);
    // In the same epoch, one at a time.
    let (reason, message) = refused(place.verb("copy").args(["--wait-seconds", "0"]));
    assert_eq!(reason, "MoverBusy", "{message}");
    place.epoch = 2;
    report(&mut place.verb("copy"));
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains("\"EpochOutrun\""), "{stderr}");
}
