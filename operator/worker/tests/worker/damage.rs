//! Every file of a repository, damaged in every way: found before the first write of a restore.

use std::path::{Path, PathBuf};

use rstest::rstest;

use crate::support::{Place, assert_equal, refused, report, tree};

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    FlipFirst,
    FlipMiddle,
    FlipLast,
    Truncate,
    Empty,
    Swap,
    Remove,
}

const ALL: [Damage; 7] = [
    Damage::FlipFirst,
    Damage::FlipMiddle,
    Damage::FlipLast,
    Damage::Truncate,
    Damage::Empty,
    Damage::Swap,
    Damage::Remove,
];

fn inflict(damage: Damage, file: &Path, other: &Path) {
    let content = std::fs::read(file).unwrap();
    let flip = |at: usize| {
        let mut changed = content.clone();
        changed[at] ^= 1;
        std::fs::write(file, changed).unwrap();
    };
    match damage {
        Damage::FlipFirst => flip(0),
        Damage::FlipMiddle => flip(content.len() / 2),
        Damage::FlipLast => flip(content.len() - 1),
        Damage::Truncate => std::fs::write(file, &content[..content.len() - 1]).unwrap(),
        Damage::Empty => std::fs::write(file, b"").unwrap(),
        Damage::Swap => drop(std::fs::copy(other, file).unwrap()),
        Damage::Remove => std::fs::remove_file(file).unwrap(),
    }
}

/// Another file of the same kind, or else any other.
fn another(files: &[PathBuf], file: &Path) -> PathBuf {
    let kind =
        |path: &Path| path.parent().map(|p| p.to_str().unwrap().replace(char::is_numeric, "")).unwrap_or_default();
    let others = || files.iter().filter(|other| *other != file);
    let same =
        others().find(|other| other.components().count() == file.components().count() && kind(other) == kind(file));
    let packs =
        others().find(|other| file.to_str().unwrap().contains("/data/") && other.to_str().unwrap().contains("/data/"));
    packs.or(same).or_else(|| others().next()).unwrap().clone()
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn every_damage_of_every_file_is_found_before_the_first_write(#[case] place: Place) {
    let source = place.path("source");
    std::fs::create_dir_all(source.join("sub")).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for name in ["a", "b", "sub/c", "sub/new\nline"] {
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(50_000).collect();
        std::fs::write(source.join(name), noise).unwrap();
    }
    report(&mut place.backup(&source));
    std::fs::write(source.join("later"), "x").unwrap();
    let last = report(&mut place.backup(&source))["snapshot"].as_str().unwrap().to_owned();
    let files = place.stored("");
    let (mut tried, mut stopped) = (0, 0);
    for file in &files {
        let pristine = std::fs::read(file).unwrap();
        for damage in ALL {
            inflict(damage, file, &another(&files, file));
            let told = format!("{damage:?} of {}", file.display());
            let target = place.path(&format!("target-{tried}"));
            let output = place.restore(&target).args(["--backup", &last]).output().unwrap();
            if output.status.success() {
                // What was damaged is not needed for this backup: it was said, and the restore is right.
                let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
                assert_ne!(report["findings"], serde_json::json!([]), "not found: {told}");
                assert_equal(&source, &target);
            } else {
                assert!(!target.exists(), "written before it was found: {told}");
                stopped += 1;
            }
            let verified = place.worker("verify").output().unwrap();
            assert!(!verified.status.success(), "verify does not find: {told}");
            std::fs::write(file, &pristine).unwrap();
            tried += 1;
        }
    }
    assert!(tried > 80 && stopped > tried / 2, "{tried} tried, {stopped} stopped the restore");
    report(&mut place.worker("verify"));
}

#[test]
fn an_old_copy_of_the_repository_shows_to_whoever_remembers_its_head() {
    let place = Place::new();
    let source = place.path("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "old").unwrap();
    let old = report(&mut place.backup(&source));
    copy(&place.path("store"), &place.path("copy"));
    std::fs::write(source.join("file"), "new").unwrap();
    let new = report(&mut place.backup(&source));
    let head = place.path("head.json");
    std::fs::write(&head, new["chain"].to_string()).unwrap();
    report(place.worker("verify").arg("--known-head-file").arg(&head));
    std::fs::rename(place.path("store"), place.path("away")).unwrap();
    std::fs::rename(place.path("copy"), place.path("store")).unwrap();
    for command in [&mut place.worker("verify"), &mut place.restore(&place.path("target"))] {
        let (reason, message) = refused(command.arg("--known-head-file").arg(&head));
        assert_eq!(reason, "EvidenceInvalid", "{message}");
    }
    assert!(!place.path("target").exists());
    // What was known before still holds.
    std::fs::write(&head, old["chain"].to_string()).unwrap();
    report(place.worker("verify").arg("--known-head-file").arg(&head));
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn of_a_damaged_backup_everything_else_comes_back_if_it_is_asked_for(#[case] place: Place) {
    let source = place.path("source");
    std::fs::create_dir(&source).unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    for n in 0..40 {
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(600_000).collect();
        std::fs::write(source.join(format!("f{n}")), noise).unwrap();
    }
    report(&mut place.backup(&source));
    let largest = place.stored("data").into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    inflict(Damage::FlipMiddle, &largest, &largest);
    let target = place.path("target");
    let (reason, message) = refused(&mut place.restore(&target));
    assert_eq!(reason, "NotIntact", "{message}");
    assert!(message.contains(largest.file_name().unwrap().to_str().unwrap()), "{message}");
    assert!(!target.exists());
    let output = place.restore(&target).arg("--despite-damage").output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = report["failures"].as_array().unwrap();
    assert!(!failed.is_empty() && failed.len() < 40, "{report:#}");
    for n in 0..40 {
        let lost = failed.iter().any(|failure| failure["item"] == format!("data/tree/f{n}"));
        let there = std::fs::read(target.join(format!("f{n}"))).ok();
        let expected = (!lost).then(|| std::fs::read(source.join(format!("f{n}"))).unwrap());
        assert!(there == expected, "f{n}");
    }
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn each_of_several_damages_is_named(#[case] place: Place) {
    let source = place.path("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "content").unwrap();
    report(&mut place.backup(&source));
    std::fs::write(source.join("other"), "more").unwrap();
    report(&mut place.backup(&source));
    let standing = tree(&place.path("store"));
    report(place.worker("verify").arg("--report-only"));
    assert!(tree(&place.path("store")) == standing, "reading everything writes nothing");
    let damaged = ["index", "snapshots", "data"].map(|kind| place.stored(kind)[0].clone());
    for file in &damaged {
        inflict(Damage::FlipMiddle, file, file);
    }
    let (huge, name) = (place.path("store/data/00"), "0".repeat(64));
    std::fs::create_dir_all(&huge).unwrap();
    std::fs::File::create(huge.join(&name)).unwrap().set_len(40 << 30).unwrap();
    let output = place.worker("verify").output().unwrap();
    assert!(!output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].to_string();
    for part in damaged.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).chain([name.as_str()]) {
        assert!(findings.contains(part), "{part} in {report:#}");
    }
    // Whoever asks for the report alone gets the same, and no failure.
    let told = place.worker("verify").arg("--report-only").output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["findings"], report["findings"]);
    assert!(told["bytesRead"].as_u64().is_some_and(|bytes| bytes > 0), "{told:#}");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
