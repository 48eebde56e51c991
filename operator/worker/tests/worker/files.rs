//! File trees there and back.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::{Place, assert_equal, assert_equal_but, hostile_tree, refused, report, succeeded};

/// Somebody who may nothing.
const NOBODY: u32 = 65534;

#[test]
fn a_tree_with_everything_comes_back_equal_and_restic_brings_back_the_same() {
    let place = Place::new();
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

#[test]
fn many_batches_are_one_backup() {
    let place = Place::new();
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

#[test]
fn what_is_unchanged_is_neither_read_nor_stored_again_and_what_changed_is() {
    let place = Place::new();
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
    assert_eq!((&skipped["skipped"], &skipped["created"]), (&2.into(), &2.into()), "{skipped:#}");
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
