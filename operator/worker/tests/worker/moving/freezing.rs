//! The source closed, the target opened, and back: never both.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::Move;
use super::placing::unshared;
use crate::support::{noise, refused, report, succeeded};

/// A declared freeze that waits; `meanwhile` happens between its two readings. The reason of its failure, if it failed.
fn with_a_write_between(place: &Move, meanwhile: impl FnOnce()) -> Option<String> {
    let mut freeze = place.verb("freeze");
    freeze.args(["--declared-by", "Li Lei", "--quiet-seconds", "3"]);
    let mut child = freeze.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.by_ref().find(|line| line.contains("\"waiting\"")).expect("it waits");
    meanwhile();
    let last = lines.last().unwrap();
    let error: serde_json::Value = serde_json::from_str(&last).unwrap();
    (!child.wait().unwrap().success()).then(|| error["error"]["message"].as_str().unwrap().to_owned())
}

#[test]
fn what_is_declared_stopped_and_is_written_between_two_readings_is_not_frozen() {
    let place = Move::hostile();
    place.copied();
    let file = place.source().join("deep-er");
    // The same content with the same time: only the change time tells.
    let message = with_a_write_between(&place, || {
        let modified = file.metadata().unwrap().modified().unwrap();
        std::fs::write(&file, "dash").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    });
    assert!(message.as_ref().is_some_and(|message| message.contains("deep-er")), "{message:?}");
    assert_eq!(place.record()["state"], "following");
    let (reason, _) = refused(&mut place.verb("finish"));
    assert_eq!(reason, "NotFrozen");
    assert_eq!(with_a_write_between(&place, || {}), None, "nobody writes");
    assert_eq!(place.record()["state"], "frozen");
}

#[test]
fn nothing_is_proven_of_a_source_that_can_be_written() {
    let place = Move::hostile();
    place.copied();
    let (reason, message) = refused(&mut place.verb("freeze"));
    assert_eq!(reason, "NotFrozen", "{message}");
    assert!(message.contains("--declared-by"), "{message}");
    let (reason, message) = refused(place.verb("freeze").arg("--remount"));
    assert_eq!(reason, "NotFrozen", "{message}");
    assert!(message.contains("root of its file system"), "{message}");
    assert_eq!(place.record()["state"], "following");
    assert!(place.record()["freeze"].is_null());
}

#[test]
fn a_file_system_that_is_read_only_is_proven_and_thawed_as_it_was() {
    let place = Move::new();
    let worker = env!("CARGO_BIN_EXE_zhengyun-worker");
    let script = format!(
        "set -u; cd {dir}; mkdir disk; mount -t tmpfs -o size=40m,nosuid none disk || exit 77
         mkdir disk/sub; echo one > disk/sub/file; mkdir bound
         w() {{ v=$1; shift; {worker} --progress json move files $v --migration m --epoch 1 --source {dir}/disk --target {dir}/target \"$@\"; }}
         w prepare && w copy || exit 1
         [ -e .zhengyun-migration-disk ] && exit 20
         # A mount that is read-only over a file system that is not proves nothing.
         mount --bind disk bound && mount -o remount,ro,bind bound || exit 2
         {worker} --progress json move files prepare --migration o --epoch 1 --source {dir}/bound --target {dir}/other || exit 3
         {worker} --progress json move files freeze --migration o --epoch 1 --source {dir}/bound --target {dir}/other && exit 4
         umount bound
         # Somebody has a file open for writing.
         exec 9>> disk/sub/file
         w freeze --remount && exit 5
         echo two >&9; exec 9>&-
         w freeze && exit 6
         w freeze --remount | grep -q '\"strength\": \"Proven\"' || exit 7
         echo three > disk/sub/file && exit 8
         w freeze | grep -q '\"remounted\": true' || exit 9
         w open && exit 10
         w finish && w open || exit 11
         w drop --data && exit 12
         w thaw && exit 13
         echo four > target/sub/file
         w close || exit 14
         w finish && exit 15
         # It was open in this namespace, where not every process of the machine can be seen.
         w thaw --declared-by 'Li Lei' || exit 16
         echo five >> disk/sub/file || exit 17
         grep ' {dir}/disk ' /proc/self/mountinfo | grep -q nosuid || exit 18
         w copy && exit 21
         w copy --discard-writes || exit 22
         diff -r disk target -x .zhengyun-migration || exit 23
         w freeze --remount && w drop && exit 24
         # Made writable behind our back.
         mount -o remount,rw disk; w finish && exit 25
         w thaw --declared-by 'Li Lei' && w drop --data && ls -A target | grep -v '^.zhengyun-migration$' && exit 26
         exit 0",
        dir = place.path("").display().to_string().trim_end_matches('/'),
    );
    let output = unshared(&script);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || stderr.contains("unshare failed") {
        return eprintln!("not shown: this machine lets nobody mount a file system ({stderr})");
    }
    succeeded(&output);
    for told in ["can be written by another mount", "open for writing", "NotFinished", "TargetOpen", "TargetWritten"] {
        assert!(stderr.contains(told), "{told}: {stderr}");
    }
}

#[test]
fn a_write_after_the_freeze_keeps_the_target_closed() {
    let place = Move::hostile();
    place.copied();
    report(&mut place.freeze());
    std::fs::write(place.source().join("deep-er"), "late").unwrap();
    let (reason, message) = refused(&mut place.verb("finish"));
    assert_eq!(reason, "SourceWritten", "{message}");
    report(&mut place.freeze());
    report(&mut place.verb("finish"));
    std::fs::write(place.source().join("later"), "x").unwrap();
    let (reason, message) = refused(&mut place.verb("open"));
    assert_eq!(reason, "SourceWritten", "{message}");
    assert!(message.contains("later"), "{message}");
    assert_eq!(place.target().metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_target_is_closed_to_others_until_it_is_opened_and_after_it_is_closed() {
    let place = Move::new();
    noise(&place.source().join("file"), 1, 1000);
    std::fs::set_permissions(place.source(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // Whoever runs this is kept out by nothing, so somebody else looks.
    let others_may = || {
        let mut look = Command::new("cat");
        look.arg(place.target().join("file")).stdout(Stdio::null()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::uid(&mut look, 65534);
        rustix::process::geteuid().is_root().then(|| look.status().unwrap().success())
    };
    place.finished();
    assert_ne!(others_may(), Some(true));
    report(&mut place.verb("open"));
    assert_ne!(others_may(), Some(false));
    for verb in ["copy", "finish", "thaw", "prepare"] {
        assert_eq!(refused(&mut place.verb(verb)).0, "TargetOpen", "{verb}");
    }
    // Somebody has a file open from before.
    let mut held = std::fs::File::options().append(true).open(place.target().join("file")).unwrap();
    let (reason, message) = refused(&mut place.verb("close"));
    assert_eq!(reason, "TargetInUse", "{message}");
    assert!(message.contains(&std::process::id().to_string()), "{message}");
    assert_eq!(place.record()["state"], "open", "not proved, not said");
    assert_eq!(refused(&mut place.verb("thaw")).0, "TargetOpen");
    held.write_all(b"acknowledged").unwrap();
    drop(held);
    let closed = report(&mut place.verb("close"));
    assert_eq!(closed["state"], "frozen", "{closed:#}");
    assert_ne!(others_may(), Some(true));
    // What applications wrote there is not overwritten unless somebody says so.
    let (reason, message) = refused(&mut place.verb("finish"));
    assert_eq!(reason, "TargetWritten", "{message}");
    let thawed = report(place.verb("thaw").args(["--declared-by", "Li Lei"]));
    assert_eq!(thawed["state"], "following", "{thawed:#}");
    assert_eq!(refused(&mut place.verb("open")).0, "NotFrozen");
    // A root that somebody opened by hand is not followed into.
    report(place.verb("copy").arg("--discard-writes"));
    std::fs::set_permissions(place.target(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(refused(&mut place.verb("copy")).0, "TargetNotClosed");
    assert_eq!(refused(&mut place.verb("thaw")).0, "TargetNotClosed");
    report(&mut place.verb("close"));
    report(&mut place.verb("copy"));
}

#[test]
fn dropping_takes_what_was_copied_only_when_told() {
    let place = Move::hostile();
    place.copied();
    let dropped = report(&mut place.verb("drop"));
    assert!(
        !place.beside().exists() && place.target().join("noise").exists() && place.record()["dropped"] == true,
        "{dropped:#}"
    );
    let place = Move::hostile();
    place.copied();
    let dropped = report(place.verb("drop").arg("--data"));
    assert!(dropped["items"].as_u64().unwrap() > 20, "{dropped:#}");
    assert_eq!(std::fs::read_dir(place.target()).unwrap().count(), 1, "the record");
    assert!(place.source().join("noise").exists());
}

#[test]
fn whoever_comes_late_to_what_is_over_is_refused_and_a_further_migration_is_not() {
    let mut place = Move::hostile();
    place.epoch = 3;
    place.copied();
    report(&mut place.verb("drop"));
    place.epoch = 2;
    for verb in ["prepare", "copy", "freeze", "open", "drop"] {
        assert_eq!(refused(&mut place.verb(verb)).0, "EpochOutrun", "{verb}");
    }
    place.epoch = 3;
    for verb in ["copy", "freeze", "open"] {
        assert_eq!(refused(&mut place.verb(verb)).0, "NotPrepared", "{verb}");
    }
    // What it copied stands there: nothing else may be moved to it, as to any folder that is not empty.
    (place.epoch, place.migration) = (0, "another");
    let (reason, message) = refused(&mut place.verb("prepare"));
    assert_eq!(reason, "TargetInvalid", "{message}");
    for entry in std::fs::read_dir(place.target()).unwrap().map(Result::unwrap) {
        if entry.path() == place.state() {
        } else if entry.file_type().unwrap().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap();
        } else {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    report(&mut place.verb("prepare"));
    assert_eq!((&place.record()["migration"], &place.record()["epoch"]), (&"another".into(), &0.into()));
    report(&mut place.verb("copy"));
    place.assert_moved();
}

#[test]
fn a_source_is_held_against_its_freeze_once_more_while_applications_have_the_target() {
    let place = Move::hostile();
    place.copied();
    report(&mut place.freeze());
    report(&mut place.verb("finish"));
    report(&mut place.verb("open"));
    std::fs::write(place.target().join("theirs"), "written by applications").unwrap();
    let again = report(&mut place.freeze());
    assert_eq!((&again["state"], &again["strength"]), (&"open".into(), &"Declared".into()), "{again:#}");
    assert!(again["evidence"].to_string().contains("read once more"), "{again:#}");
    std::fs::write(place.source().join("deep-er"), "late").unwrap();
    assert_eq!(refused(&mut place.freeze()).0, "SourceWritten");
    assert_eq!(place.record()["state"], "open");
}

#[test]
fn a_probe_looks_at_single_files_and_follows_no_link() {
    let place = Move::hostile();
    place.copied();
    let probe = |expected: &str| {
        let mut probe = place.verb("probe");
        probe.args(["--expect", expected]);
        probe
    };
    let found = report(&mut probe(r#"{"path": "deep-er"}"#));
    let digest = found["files"][0]["digest"].as_str().unwrap().to_owned();
    report(&mut probe(&format!(r#"{{"path": "deep-er", "digest": "{digest}"}}"#)));
    let other = format!(r#"{{"path": "deep-er", "digest": "sha256:{}"}}"#, "0".repeat(64));
    for wrong in [other.as_str(), r#"{"path": "not-there"}"#, r#"{"path": "deep"}"#] {
        let (reason, message) = refused(&mut probe(wrong));
        assert_eq!(reason, "ProbeFailed", "{wrong}: {message}");
    }
    std::os::unix::fs::symlink("/etc/passwd", place.target().join("way-out")).unwrap();
    assert_eq!(refused(&mut probe(r#"{"path": "way-out"}"#)).0, "ProbeFailed");
    let output = probe(r#"{"path": "../x"}"#).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
