//! Where a target may be, and whose it is.

use std::process::Command;

use super::Move;
use crate::support::{noise, refused, report, succeeded};

#[test]
fn a_target_that_holds_something_else_is_left_as_it_is() {
    let place = Move::hostile();
    std::fs::create_dir(place.target()).unwrap();
    std::fs::write(place.target().join("theirs"), "precious").unwrap();
    let before = crate::support::tree(&place.target());
    let (reason, message) = refused(&mut place.verb("prepare"));
    assert_eq!(reason, "TargetInvalid", "{message}");
    assert!(message.contains("theirs"), "{message}");
    for verb in ["copy", "compare", "finish", "open", "close", "thaw"] {
        assert_eq!(refused(&mut place.verb(verb)).0, "NotPrepared", "{verb}");
    }
    assert_eq!(crate::support::tree(&place.target()), before);
    assert_eq!(report(&mut place.verb("drop"))["removed"], serde_json::json!([]));
    assert_eq!(crate::support::tree(&place.target()), before);
    // A folder with the name of the state makes nothing ours.
    std::fs::create_dir(place.state()).unwrap();
    assert_eq!(refused(&mut place.verb("prepare")).0, "TargetInvalid");
}

#[test]
fn neither_side_may_lie_in_the_other() {
    let place = Move::hostile();
    let (source, deep) = (place.source(), place.source().join("deep/er"));
    let outer = place.path("");
    for (from, to) in
        [(&source, &deep), (&deep, &source), (&source, &source), (&source, &deep.join("new")), (&source, &outer)]
    {
        let (reason, message) = refused(&mut place.between("prepare", from, to));
        assert_eq!(reason, "TargetInvalid", "{} to {}: {message}", from.display(), to.display());
        assert!(!to.join(".zhengyun-migration").exists());
    }
    // By another way as well.
    let way = place.path("way");
    std::os::unix::fs::symlink(&deep, &way).unwrap();
    assert_eq!(refused(&mut place.between("prepare", &source, &way)).0, "TargetInvalid");
    let worker = env!("CARGO_BIN_EXE_zhengyun-worker");
    let script = format!(
        "cd {dir}; mkdir in bound; mkdir source/inner; mount --bind source/inner bound || exit 77
         exec {worker} --progress json move files prepare --migration m --epoch 1 --source {dir}/source --target {dir}/bound",
        dir = place.path("").display().to_string().trim_end_matches('/'),
    );
    let output = unshared(&script);
    if output.status.code() == Some(77) {
        return eprintln!("not shown: this machine lets nobody mount");
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains("it lies in the source as inner"), "{stderr}");
}

/// A script in which mounts are its own.
pub(super) fn unshared(script: &str) -> std::process::Output {
    Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .output()
        .expect("unshare is missing: `make deps` installs util-linux")
}

#[test]
fn a_lower_epoch_and_another_migration_are_refused_before_anything_changes() {
    let mut place = Move::hostile();
    place.copied();
    place.epoch = 7;
    report(&mut place.verb("prepare"));
    assert_eq!(place.record()["epoch"], 7);
    let beside: serde_json::Value = serde_json::from_slice(&std::fs::read(place.beside()).unwrap()).unwrap();
    assert_eq!((&beside["epoch"], &beside["migration"]), (&7.into(), &"archive".into()));
    std::fs::write(place.source().join("new"), "new").unwrap();
    let before = crate::support::tree(&place.target());
    place.epoch = 6;
    for verb in ["prepare", "copy", "compare", "freeze", "finish", "open", "close", "thaw", "drop"] {
        let (reason, message) = refused(&mut place.verb(verb));
        assert_eq!(reason, "EpochOutrun", "{verb}: {message}");
        assert!(message.contains("epoch 6") && message.contains("epoch 7"), "{message}");
    }
    assert_eq!(crate::support::tree(&place.target()), before);
    place.epoch = 9;
    place.migration = "another";
    for verb in ["prepare", "copy", "compare", "freeze", "finish", "open", "close", "thaw", "drop"] {
        assert_eq!(refused(&mut place.verb(verb)).0, "OtherMigration", "{verb}");
    }
    assert_eq!(crate::support::tree(&place.target()), before);
    // The record beside the source holds for other targets too.
    place.migration = "archive";
    let (reason, message) = refused(&mut place.between("prepare", &place.source(), &place.path("second")));
    assert_eq!(reason, "OtherMigration", "{message}");
    assert!(!place.path("second").exists());
    report(&mut place.verb("copy"));
    assert_eq!(place.record()["epoch"], 9, "a higher one takes over");
}

#[test]
fn a_target_without_room_is_refused_and_a_full_one_goes_on_with_room() {
    let place = Move::new();
    for n in 0..30 {
        noise(&place.source().join(format!("d{}/f{n}", n % 5)), n, 1_000_000);
    }
    let worker = env!("CARGO_BIN_EXE_zhengyun-worker");
    let script = format!(
        "set -u; cd {dir}; mkdir disk; mount -t tmpfs -o size=40m none disk || exit 77
         w() {{ {worker} --progress json move files $1 --migration m --epoch 1 --source {dir}/source --target {dir}/disk/target; }}
         mount -o remount,size=10m disk
         w prepare && exit 1
         mount -o remount,size=40m disk
         w prepare || exit 2
         mount -o remount,size=12m disk
         w copy && exit 3
         mount -o remount,size=40m,nr_inodes=60 disk
         w copy || exit 4
         w compare | grep -q '^  \"equal\": true' || exit 5
         mount -o remount,nr_inodes=66 disk
         for n in $(seq 40); do echo > {dir}/source/more$n; done
         w copy && exit 6
         mount -o remount,nr_inodes=1000 disk
         w copy && w compare | grep -q '^  \"equal\": true' || exit 7
         find disk/target -name '*.part' | grep . && exit 8
         exit 0",
        dir = place.path("").display().to_string().trim_end_matches('/'),
    );
    let output = unshared(&script);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || stderr.contains("unshare failed") {
        return eprintln!("not shown: this machine lets nobody mount a small disk ({stderr})");
    }
    succeeded(&output);
    assert!(stderr.contains("\"TargetFull\"") && stderr.contains("bytes are needed"), "{stderr}");
}

#[test]
fn no_link_leads_a_write_out_of_the_target() {
    let place = Move::new();
    noise(&place.source().join("sub/file"), 1, 1000);
    place.copied();
    let outside = place.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "precious").unwrap();
    std::fs::remove_dir_all(place.target().join("sub")).unwrap();
    std::os::unix::fs::symlink(&outside, place.target().join("sub")).unwrap();
    report(&mut place.verb("copy"));
    assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"precious");
    place.assert_moved();
    let (reason, _) = refused(&mut place.between("assess", &place.path("source/sub/../sub"), &place.target()));
    assert_eq!(reason, "InvalidInput");
}
