//! Keys: the right one opens, a wrong one writes nothing, and none is ever shown.

use std::path::PathBuf;
use std::time::SystemTime;

use rstest::rstest;

use crate::support::{Place, assert_equal, refused, report, succeeded, worker};

fn small(place: &Place) -> PathBuf {
    let source = place.path("source");
    std::fs::create_dir_all(&source).unwrap();
    std::fs::write(source.join("file"), "content").unwrap();
    source
}

fn state(place: &Place) -> Vec<(PathBuf, SystemTime)> {
    let stored = place.stored("");
    stored.into_iter().map(|path| (path.clone(), path.metadata().unwrap().modified().unwrap())).collect()
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn a_wrong_key_has_its_own_error_and_writes_nothing(#[case] place: Place) {
    let other = Place::new();
    let source = small(&place);
    report(&mut place.backup(&source));
    let before = state(&place);
    for (argument, file) in [("--key-file", "key"), ("--escrow-file", "escrow")] {
        for command in ["snapshots", "verify", "restore", "backup"] {
            let mut tried = worker(command);
            place.at(&mut tried);
            tried.arg(argument).arg(other.path(file));
            match command {
                "restore" => tried.arg("--target").arg(place.path("target")),
                "backup" => tried
                    .arg("--signing-key-file")
                    .arg(place.path("signing"))
                    .arg("--state-dir")
                    .arg(place.path("state"))
                    .arg("--files")
                    .arg(format!("tree={}", source.display())),
                _ => &mut tried,
            };
            let (reason, message) = refused(&mut tried);
            assert_eq!(reason, "WrongKey", "{command}: {message}");
        }
    }
    assert_eq!(state(&place), before);
    assert!(!place.path("target").exists());
}

#[test]
fn another_signer_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    let source = small(&place);
    let before = state(&place);
    let mut backup = place.worker("backup");
    backup.arg("--signing-key-file").arg(other.path("signing")).arg("--state-dir").arg(place.path("state"));
    let (reason, message) = refused(backup.arg("--files").arg(format!("tree={}", source.display())));
    assert_eq!(reason, "EvidenceInvalid", "{message}");
    assert_eq!(state(&place), before);
    report(&mut place.backup(&source));
    let public = other.path("public");
    let listed = report(&mut other.worker("verify"));
    std::fs::write(&public, listed["signer"].as_str().unwrap()).unwrap();
    let (reason, _) = refused(place.worker("verify").arg("--public-key-file").arg(&public));
    assert_eq!(reason, "EvidenceInvalid");
}

#[rstest]
#[case::directory(Place::new())]
#[case::s3(Place::on_s3())]
fn the_escrow_password_alone_verifies_and_restores(#[case] place: Place) {
    let source = small(&place);
    report(&mut place.backup(&source));
    std::fs::remove_file(place.path("key")).unwrap();
    std::fs::remove_file(place.path("signing")).unwrap();
    let mut verify = worker("verify");
    place.at(&mut verify);
    report(verify.arg("--escrow-file").arg(place.path("escrow")));
    let mut restore = worker("restore");
    place.at(&mut restore);
    restore.arg("--escrow-file").arg(place.path("escrow"));
    report(restore.arg("--target").arg(place.path("target")));
    assert_equal(&source, &place.path("target"));
}

#[test]
fn no_secret_is_in_any_output_and_none_is_asked_for_in_an_argument() {
    let place = Place::new();
    let source = small(&place);
    let secrets: Vec<String> = ["key", "escrow", "signing"]
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(place.path(file)).unwrap();
            text.lines().filter(|line| line.len() > 20 && !line.contains("---")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(secrets.len(), 3 + usize::from(secrets.len() > 3));
    let mut said = String::new();
    for command in [&mut place.backup(&source), &mut place.worker("verify"), &mut place.worker("snapshots")] {
        let output = command.output().unwrap();
        succeeded(&output);
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    for secret in secrets {
        assert!(!said.contains(&secret));
        for file in place.stored("") {
            let content = std::fs::read(file).unwrap();
            assert!(!content.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
    for file in ["key", "escrow", "signing"] {
        let mode = std::os::unix::fs::MetadataExt::mode(&place.path(file).metadata().unwrap());
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}

#[test]
fn a_repository_is_not_created_over_another() {
    let place = Place::new();
    let before = state(&place);
    std::fs::remove_file(place.path("escrow")).unwrap();
    let (reason, _) = refused(&mut place.init());
    assert_eq!(reason, "RepositoryExists");
    assert_eq!(state(&place), before);
    assert!(!place.path("escrow").exists());
}

#[test]
fn what_the_key_opens_is_damaged_and_not_the_key_wrong() {
    let place = Place::new();
    let source = small(&place);
    report(&mut place.backup(&source));
    for name in ["zhengyun/key.json", "config"] {
        let file = place.path("store").join(name);
        let pristine = std::fs::read(&file).unwrap();
        let mut changed = pristine.clone();
        // In the content, not in the form around it.
        let at = changed.len() - 12;
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        std::fs::write(&file, changed).unwrap();
        let (reason, message) = refused(&mut place.backup(&source));
        assert_eq!(reason, "RepositoryDamaged", "{name}: {message}");
        assert!(message.contains(name), "{message}");
        std::fs::write(&file, pristine).unwrap();
    }
    report(&mut place.backup(&source));
}

#[test]
fn a_creation_that_is_killed_at_every_write_in_turn_comes_to_its_end() {
    let place = Place::new();
    for file in ["store", "key", "signing", "escrow"] {
        std::fs::rename(place.path(file), place.path(&format!("other-{file}"))).unwrap();
    }
    let mut kills = 0;
    for write in 1.. {
        let output = place.init().args(["--crash-after-store-write", &write.to_string()]).output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{output:?}");
        kills += 1;
        assert!(kills < 50, "it does not come to its end");
    }
    assert!(kills > 4, "{kills}");
    assert!(!place.path("escrow.next").exists());
    let (reason, _) = refused(&mut place.init());
    assert_eq!(reason, "RepositoryExists");
    let source = small(&place);
    report(&mut place.backup(&source));
    report(&mut place.worker("verify"));
    place.restic_agrees();
}

#[test]
fn a_repository_of_somebody_else_is_left_alone() {
    let place = Place::new();
    std::fs::rename(place.path("escrow"), place.path("password")).unwrap();
    std::fs::remove_dir_all(place.path("store")).unwrap();
    let mut restic = std::process::Command::new("restic");
    restic.args(["--no-cache", "--quiet", "--repo"]).arg(place.path("store"));
    succeeded(&restic.arg("--password-file").arg(place.path("password")).arg("init").output().unwrap());
    let before = state(&place);
    let (reason, _) = refused(&mut place.init());
    assert_eq!(reason, "RepositoryExists");
    assert_eq!(state(&place), before);
}
