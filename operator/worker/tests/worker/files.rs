//! File trees there and back.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rstest::rstest;

use crate::support::{Place, assert_equal, assert_equal_but, hostile_tree, refused, report, succeeded};

/// Somebody who may nothing.
const NOBODY: u32 = 65534;

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn a_tree_with_everything_comes_back_equal_and_restic_brings_back_the_same(#[case] place: Place) {
    let source = place.path("source");
    std::fs::create_dir(&source).unwrap();
    hostile_tree(&source);
    let backup = report(&mut place.backup(&source));
    place.restic_agrees();
    let verified = report(&mut place.worker("verify"));
    assert_eq!(verified["intact"], serde_json::json!([backup["snapshot"]]), "{verified:#}");

    let restored = report(&mut place.restore(&place.path("ours")));
    assert_eq!(restored["failed"], 0, "{restored:#}");
    assert_equal(&source, &place.path("ours"));
    let blocks = |name: &str| std::os::unix::fs::MetadataExt::blocks(&place.path(name).metadata().unwrap());
    assert_eq!(blocks("ours/sparse"), 0, "holes stay holes");

    succeeded(&place.restic(&["restore", "latest", "--target", place.path("theirs").to_str().unwrap()]));
    // Older restics know no link targets that are not UTF-8.
    assert_equal_but(&source, &place.path("theirs/data/tree"), &["odd-link"]);
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn many_batches_are_one_backup(#[case] place: Place) {
    let source = place.path("source");
    let mut random = fastrand::Rng::with_seed(1);
    for n in 0..60 {
        let dir = source.join(format!("d{}/s{}", n % 3, n % 7));
        std::fs::create_dir_all(&dir).unwrap();
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(100_000).collect();
        std::fs::write(dir.join(format!("f\n{n}")), noise).unwrap();
    }
    let backup = report(place.backup(&source).args(["--batch-mib", "1"]));
    assert!(backup["batches"].as_u64().unwrap() >= 4, "{backup:#}");
    place.restic_agrees();
    report(&mut place.worker("verify"));
    report(&mut place.restore(&place.path("ours")));
    assert_equal(&source, &place.path("ours"));
    assert_eq!(place.stored("snapshots").len(), 1, "batches are forgotten");
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn what_is_unchanged_is_neither_read_nor_stored_again_and_what_changed_is(#[case] place: Place) {
    let source = place.path("source");
    std::fs::create_dir(&source).unwrap();
    hostile_tree(&source);
    let first = report(&mut place.backup(&source));
    let second = report(&mut place.backup(&source));
    assert!(second["uploaded"].as_u64().unwrap() < 100_000, "{second:#}");
    assert_eq!((&second["items"], &second["bytes"]), (&first["items"], &first["bytes"]));
    // The same size and time, another content: the inode's change time tells.
    let mtime = source.join("deep-er").metadata().unwrap().modified().unwrap();
    std::fs::write(source.join("deep-er"), "DASH").unwrap();
    std::fs::File::options().write(true).open(source.join("deep-er")).unwrap().set_modified(mtime).unwrap();
    std::fs::remove_file(source.join("deep.er")).unwrap();
    report(&mut place.backup(&source));
    let verified = report(&mut place.worker("verify"));
    assert_eq!(verified["intact"].as_array().unwrap().len(), 3, "{verified:#}");
    report(&mut place.restore(&place.path("last")));
    assert_equal(&source, &place.path("last"));
    let mut first_one = place.restore(&place.path("first"));
    report(first_one.arg("--backup").arg(first["snapshot"].as_str().unwrap()));
    assert_eq!(std::fs::read(place.path("first/deep-er")).unwrap(), b"dash");
    place.restic_agrees();
}

#[test]
fn an_unreadable_file_fails_the_run_by_its_name_and_leaves_no_snapshot() {
    let place = Place::new();
    let source = place.path("source");
    std::fs::create_dir_all(source.join("sub")).unwrap();
    std::fs::write(source.join("fine"), "x").unwrap();
    std::fs::write(source.join("sub/secret"), "x").unwrap();
    let forbid = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(source.join("sub/secret"), forbid).unwrap();
    let mut backup = place.backup(&source);
    if rustix::process::geteuid().is_root() {
        // Root reads everything, so the program runs as somebody who does not.
        succeeded(&Command::new("chown").args(["-R", "65534"]).arg(place.path("")).output().unwrap());
        succeeded(&Command::new("chown").arg("0").arg(source.join("sub/secret")).output().unwrap());
        // Nobody may not look into root's build directory.
        let program = place.path("program");
        std::fs::copy(backup.get_program(), &program).unwrap();
        let mut as_nobody = Command::new(program);
        as_nobody.args(backup.get_args()).uid(NOBODY);
        backup = as_nobody;
    }
    let (reason, message) = refused(&mut backup);
    assert_eq!(reason, "SourceUnreadable", "{message}");
    assert!(message.contains("sub/secret"), "{message}");
    let listed = report(&mut place.worker("snapshots"));
    assert_eq!(listed["backups"], serde_json::json!([]), "{listed:#}");
    assert_eq!(place.stored("snapshots").len(), 0);
    place.restic_agrees();
}

#[test]
fn a_target_with_something_in_it_is_left_alone_unless_told() {
    let place = Place::new();
    let source = place.path("source");
    std::fs::create_dir_all(source.join("sub")).unwrap();
    std::fs::write(source.join("sub/file"), "backup").unwrap();
    std::fs::write(source.join("new"), "backup").unwrap();
    report(&mut place.backup(&source));
    let target = place.path("target");
    std::fs::create_dir_all(target.join("sub")).unwrap();
    std::fs::write(target.join("sub/file"), "live").unwrap();
    let (reason, message) = refused(&mut place.restore(&target));
    assert_eq!(reason, "TargetInvalid", "{message}");
    assert!(!target.join("new").exists());
    let skipped = report(place.restore(&target).args(["--existing", "skip"]));
    // The target, a directory in it, and a file.
    assert_eq!((&skipped["skipped"], &skipped["created"]), (&3.into(), &1.into()), "{skipped:#}");
    assert_eq!(std::fs::read(target.join("sub/file")).unwrap(), b"live");
    report(place.restore(&target).args(["--existing", "replace"]));
    assert_eq!(std::fs::read(target.join("sub/file")).unwrap(), b"backup");
}

#[test]
fn a_link_in_the_target_leads_no_write_out_of_it() {
    let place = Place::new();
    let source = place.path("source");
    std::fs::create_dir_all(source.join("sub")).unwrap();
    std::fs::write(source.join("sub/file"), "backup").unwrap();
    report(&mut place.backup(&source));
    let (target, outside) = (place.path("target"), place.path("outside"));
    std::fs::create_dir_all(&target).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, target.join("sub")).unwrap();
    let (reason, _) = refused(place.restore(&target).args(["--existing", "replace"]));
    assert_eq!(reason, "RestoreIncomplete");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_tree_that_holds_its_own_store_is_refused() {
    let place = Place::new();
    let (reason, message) = refused(&mut place.backup(&place.path("")));
    assert_eq!(reason, "InvalidInput", "{message}");
}

#[test]
fn a_link_on_the_way_to_a_root_or_target_is_refused() {
    let place = Place::new();
    let (ours, theirs) = (place.path("ours"), place.path("theirs"));
    std::fs::create_dir_all(ours.join("sub")).unwrap();
    std::fs::create_dir_all(theirs.join("sub")).unwrap();
    std::fs::write(theirs.join("sub/secret"), "x").unwrap();
    std::fs::write(ours.join("sub/file"), "x").unwrap();
    std::os::unix::fs::symlink(&theirs, ours.join("way")).unwrap();
    for path in ["way/sub", "way", "sub/../way/sub", "../theirs/sub"] {
        let (reason, message) = refused(&mut place.backup(&ours.join(path)));
        assert_eq!(reason, "InvalidInput", "{message}");
    }
    report(&mut place.backup(&ours.join("sub")));
    for path in ["way/new", "way/sub", "way", "sub/../new"] {
        let (reason, message) = refused(place.restore(&ours.join(path)).args(["--existing", "replace"]));
        assert_eq!(reason, "TargetInvalid", "{message}");
    }
    assert_eq!(std::fs::read_dir(&theirs).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(theirs.join("sub")).unwrap().count(), 1);
}

#[test]
fn no_link_with_a_name_of_ours_is_written_through() {
    let place = Place::new();
    let (source, target, outside) = (place.path("source"), place.path("target"), place.path("outside"));
    std::fs::create_dir_all(&source).unwrap();
    std::fs::create_dir_all(&target).unwrap();
    std::fs::write(source.join("file"), "backup").unwrap();
    std::fs::write(&outside, "precious").unwrap();
    let backup = report(&mut place.backup(&source));
    let id = &backup["snapshot"].as_str().unwrap()[..32];
    std::os::unix::fs::symlink(&outside, target.join(".zhengyun-restore.part")).unwrap();
    std::os::unix::fs::symlink(place.path("nothing"), target.join(".zhengyun-restore-under-way")).unwrap();
    for end in ["part", "under-way"] {
        std::os::unix::fs::symlink(&outside, target.join(format!(".zhengyun-restore-{id}.{end}"))).unwrap();
    }
    report(place.restore(&target).args(["--existing", "replace"]));
    assert_eq!(std::fs::read(&outside).unwrap(), b"precious");
    assert!(!place.path("nothing").exists());
    assert_eq!(std::fs::read(target.join("file")).unwrap(), b"backup");
    assert!(target.join(".zhengyun-restore.part").is_symlink(), "what is not ours stays");
}

#[test]
fn a_name_of_an_attribute_that_the_format_does_not_have_fails_the_run_by_the_file() {
    let place = Place::new();
    let source = place.path("source");
    std::fs::create_dir_all(&source).unwrap();
    std::fs::write(source.join("odd"), "x").unwrap();
    let name = c"user.\xff";
    match rustix::fs::setxattr(source.join("odd"), name, b"v", rustix::fs::XattrFlags::empty()) {
        Err(rustix::io::Errno::NOTSUP) => eprintln!("not shown: this file system has no attributes"),
        set => {
            set.unwrap();
            let (reason, message) = refused(&mut place.backup(&source));
            assert_eq!(reason, "SourceUnreadable", "{message}");
            assert!(message.contains("odd") && message.contains("attribute"), "{message}");
        }
    }
}

#[test]
fn the_file_of_outcomes_is_whole_or_not_there() {
    let place = Place::new();
    let source = place.path("source");
    std::fs::create_dir_all(&source).unwrap();
    std::fs::write(source.join("file"), "x").unwrap();
    report(&mut place.backup(&source));
    let outcomes = place.path("outcomes");
    // A restore that was killed left the beginning of one.
    std::fs::write(place.path("outcomes.next"), "{").unwrap();
    for expected in ["created", "same"] {
        report(place.restore(&place.path("target")).arg("--outcomes").arg(&outcomes));
        let lines = std::fs::read_to_string(&outcomes).unwrap();
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert!(lines.contains(expected), "{lines}");
    }
    assert!(!place.path("outcomes.next").exists());
}

#[test]
fn wrong_usage_is_told_to_programs_in_their_form() {
    let (reason, message) = refused(crate::support::worker("backup").arg("--no-such-argument"));
    assert_eq!(reason, "InvalidInput", "{message}");
    assert!(message.contains("--no-such-argument"), "{message}");
    let output = crate::support::worker("backup").arg("--help").output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn a_restore_that_was_killed_does_not_forget_what_was_there_before_it() {
    let place = Place::new();
    let source = place.path("source");
    std::fs::create_dir_all(&source).unwrap();
    std::fs::write(source.join("file"), "backup").unwrap();
    let id = report(&mut place.backup(&source))["snapshot"].as_str().unwrap()[..32].to_owned();
    let target = place.path("target");
    std::fs::create_dir_all(&target).unwrap();
    std::fs::write(target.join("file"), "live").unwrap();
    // As a restore with --existing skip leaves its target when it is killed.
    std::fs::write(target.join(format!(".zhengyun-restore-{id}.under-way")), "").unwrap();
    let (reason, message) = refused(&mut place.restore(&target));
    assert_eq!(reason, "TargetInvalid", "{message}");
    report(place.restore(&target).args(["--existing", "skip"]));
    assert_eq!(std::fs::read(target.join("file")).unwrap(), b"live");
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 1, "the mark is gone");
}

#[test]
fn a_restore_says_what_it_would_do_and_does_that_and_reads_it_back() {
    let place = Place::new();
    let source = place.path("source");
    std::fs::create_dir(&source).unwrap();
    hostile_tree(&source);
    // What has the name of a mark in a target that is not empty is taken for one.
    std::fs::remove_file(source.join(".zhengyun-restore-0123456789abcdef.under-way")).unwrap();
    report(&mut place.backup(&source));
    let target = place.path("ours");
    let look = |existing: &str| report(place.restore(&target).args(["--dry-run", "--existing", existing]));
    let counts = |report: &serde_json::Value| {
        ["created", "replaced", "same", "skipped", "failed"].map(|key| report[key].as_u64().unwrap())
    };
    let digest = |report: &serde_json::Value| report["files"]["digest"].as_str().unwrap().to_owned();
    let looked = look("fail");
    assert!(!target.exists(), "a look writes nothing");
    assert_eq!(digest(&look("fail")), digest(&looked), "the same target gives the same digest");
    assert_ne!(digest(&look("skip")), digest(&looked), "the policy is a part of it");
    let done = report(place.restore(&target).arg("--compare"));
    assert_eq!(counts(&done), counts(&looked));
    assert_eq!(done["files"]["equal"], true, "{done:#}");
    // The root is made, not compared; of the others only a file whose mode forbids it may be left out.
    let all = done["created"].as_u64().unwrap();
    assert!(done["files"]["compared"].as_u64().unwrap() >= all - 2, "{done:#}");
    assert_equal(&source, &target);
    // There already, in every policy.
    let again = look("fail");
    assert_eq!((again["created"].as_u64(), again["failed"].as_u64()), (Some(0), Some(0)), "{again:#}");
    assert_ne!(digest(&again), digest(&looked));

    std::fs::write(target.join("deep.er"), "changed").unwrap();
    std::fs::remove_file(target.join("deep-er")).unwrap();
    std::fs::remove_file(target.join("fifo")).unwrap();
    std::fs::create_dir(target.join("fifo")).unwrap();
    let before = crate::support::tree(&target);
    let blocked = place.restore(&target).arg("--dry-run").output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&blocked.stdout).unwrap();
    assert_eq!((told["failed"].as_u64(), blocked.status.success()), (Some(1), false), "{told:#}");
    assert_eq!(told["files"]["inTheWay"].as_array().unwrap().len(), 20, "{told:#}");
    let skipping = look("skip");
    assert_eq!((skipping["created"].as_u64(), skipping["replaced"].as_u64()), (Some(1), Some(0)), "{skipping:#}");
    let replacing = place.restore(&target).args(["--dry-run", "--existing", "replace"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&replacing.stdout).unwrap();
    // A directory stands where the FIFO goes; the target itself counts as made anew.
    assert_eq!((told["failed"].as_u64(), told["created"].as_u64()), (Some(1), Some(2)), "{told:#}");
    assert!(told["failures"][0]["item"].as_str().unwrap().ends_with("/fifo"), "{told:#}");
    assert!(crate::support::tree(&target) == before, "a look writes nothing");
    std::fs::remove_dir(target.join("fifo")).unwrap();
    let looked = look("replace");
    let done = report(place.restore(&target).args(["--compare", "--existing", "replace"]));
    assert_eq!(counts(&done), counts(&looked), "{done:#}");
    assert_equal(&source, &target);
}

#[test]
fn a_look_follows_no_link_and_names_no_other_backups_target() {
    let place = Place::new();
    let (source, target, outside) = (place.path("source"), place.path("target"), place.path("outside"));
    std::fs::create_dir_all(source.join("sub")).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(&target).unwrap();
    std::fs::write(source.join("sub/file"), "backup").unwrap();
    report(&mut place.backup(&source));
    std::os::unix::fs::symlink(&outside, place.path("way")).unwrap();
    for path in ["way", "way/new", "none/new"] {
        let (reason, message) = refused(place.restore(&place.path(path)).arg("--dry-run"));
        assert_eq!(reason, "TargetInvalid", "{message}");
    }
    std::os::unix::fs::symlink(&outside, target.join("sub")).unwrap();
    let output = place.restore(&target).args(["--dry-run", "--existing", "replace"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["failures"][0]["cause"].as_str().unwrap().contains("move it away"), "{told:#}");
    std::fs::remove_file(target.join("sub")).unwrap();
    std::fs::write(target.join(".zhengyun-restore-0123456789abcdef.under-way"), "").unwrap();
    let (reason, message) = refused(place.restore(&target).args(["--dry-run", "--existing", "skip"]));
    assert!(reason == "TargetInvalid" && message.contains("another backup"), "{message}");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}
