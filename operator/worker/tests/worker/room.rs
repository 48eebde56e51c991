//! A repository with a limit: a run stops before it would pass it, and what was there before stays good.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Place, assert_equal, refused, report, worker};

fn noise(file: &Path, seed: u64, size: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(size).collect();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, noise).unwrap();
}

/// Bytes of all files of the repository, counted here.
fn bytes(place: &Place) -> u64 {
    place.stored("").iter().map(|file| file.metadata().unwrap().len()).sum()
}

fn limited(place: &Place, run: &str, limit: u64) -> Command {
    let mut backup = place.backup(&place.path("source"));
    backup.args(["--run", run, "--batch-mib", "1", "--repository-limit", &limit.to_string()]);
    backup
}

fn number(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("no {key} in {report:#}"))
}

/// What is reported is what stands, but for the words by which the lease is given back afterwards.
fn assert_measured(report: &Value, place: &Place) {
    let (told, stands) = (number(report, "stored"), bytes(place));
    assert!(told.abs_diff(stands) < 64, "{told} bytes are reported, {stands} stand");
}

/// Without what nobody needs any more, in whichever order it came.
fn is_whole(place: &Place) {
    let verified = report(&mut place.worker("verify"));
    assert_eq!(verified["findings"], serde_json::json!([]), "{verified:#}");
}

fn stops_at_its_limit(place: &Place) {
    noise(&place.path("source/first"), 1, 2_000_000);
    let first = report(&mut limited(place, "first", 4_000_000));
    assert_measured(&first, place);
    let before = place.path("before");
    report(place.restore(&before).arg("--backup").arg(first["snapshot"].as_str().unwrap()));
    noise(&place.path("source/second"), 2, 6_000_000);
    let limit = bytes(place) + 3_000_000;
    // However often it is tried: what an attempt left counts in the next one.
    for attempt in 0..3 {
        let (reason, message) = refused(&mut limited(place, "second", limit));
        assert_eq!(reason, "QuotaExceeded", "{message}");
        assert!(message.contains(&limit.to_string()) && message.contains("the backups before it stay"), "{message}");
        assert!(bytes(place) <= limit, "attempt {attempt}: {} of {limit} bytes", bytes(place));
    }
    assert!(bytes(place) > limit - 2_500_000, "it stopped long before its limit: {} of {limit}", bytes(place));
    // The backup before stands, and comes back as it was.
    let listed = report(&mut place.worker("snapshots"));
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{listed:#}");
    let after = place.path("after");
    report(place.restore(&after).arg("--backup").arg(first["snapshot"].as_str().unwrap()));
    assert_equal(&before, &after);
    // What it left is removed and measured; with room the same run comes to its end.
    let mut forget = place.worker("forget");
    forget.arg("--signing-key-file").arg(place.path("signing")).args(["--run", "retention", "--leftovers", "--prune"]);
    let tidied = report(&mut forget);
    assert_measured(&tidied, place);
    let done = report(&mut limited(place, "second", limit + 20_000_000));
    assert_measured(&done, place);
    is_whole(place);
}

#[test]
fn a_run_stops_before_it_passes_its_limit_and_the_backup_before_stays() {
    stops_at_its_limit(&Place::new());
}

#[test]
fn in_a_bucket_as_well() {
    stops_at_its_limit(&Place::on_s3());
}

#[test]
fn a_limit_below_what_stands_lets_nothing_be_written() {
    let place = Place::new();
    noise(&place.path("source/first"), 1, 100_000);
    report(place.backup(&place.path("source")).args(["--run", "first"]));
    noise(&place.path("source/second"), 2, 100_000);
    let (packs, (reason, message)) = (place.stored("data"), refused(&mut limited(&place, "second", 1)));
    assert_eq!((reason.as_str(), place.stored("data")), ("QuotaExceeded", packs), "{message}");
    is_whole(&place);
}

#[test]
fn a_copy_stops_at_the_limit_of_its_own_repository() {
    let place = Place::new();
    noise(&place.path("source/first"), 1, 3_000_000);
    let first = report(place.backup(&place.path("source")).args(["--run", "first"]));
    let mut init = worker("init");
    init.arg("--store").arg(place.path("second")).arg("--key-file").arg(place.path("key"));
    init.arg("--signing-key-file").arg(place.path("signing")).arg("--escrow-out").arg(place.path("second-escrow"));
    report(&mut init);
    let copy = |limit: &str| {
        let mut copy = worker("replicate");
        copy.arg("--store").arg(place.path("second")).arg("--key-file").arg(place.path("key"));
        copy.arg("--from").arg(place.path("store")).arg("--signing-key-file").arg(place.path("signing"));
        copy.args(["--run", "copy", "--backup", first["snapshot"].as_str().unwrap(), "--repository-limit", limit]);
        copy
    };
    let (reason, message) = refused(&mut copy("1000000"));
    assert_eq!(reason, "QuotaExceeded", "{message}");
    let copied = report(&mut copy("100000000"));
    assert!(number(&copied, "stored") > 3_000_000, "{copied:#}");
}

#[test]
fn pruning_without_room_stores_nothing_anew() {
    let place = Place::new();
    // Two files in one pack, of which one is not needed any more.
    noise(&place.path("source/stays"), 1, 400_000);
    noise(&place.path("source/goes"), 2, 400_000);
    let first = report(place.backup(&place.path("source")).args(["--run", "first"]));
    std::fs::remove_file(place.path("source/goes")).unwrap();
    report(place.backup(&place.path("source")).args(["--run", "second"]));
    let mut forget = place.worker("forget");
    forget.arg("--signing-key-file").arg(place.path("signing")).args(["--run", "retention"]);
    report(forget.arg("--snapshot").arg(first["snapshot"].as_str().unwrap()));
    let packs = place.stored("data");
    let prune = |more: &[&str]| {
        let mut prune = place.worker("prune");
        prune.arg("--signing-key-file").arg(place.path("signing")).args(["--run", "retention"]).args(more);
        report(&mut prune)
    };
    prune(&["--no-repack"]);
    assert!(place.stored("data").iter().all(|pack| packs.contains(pack)), "a pack was written");
    prune(&[]);
    assert!(place.stored("data").iter().any(|pack| !packs.contains(pack)), "nothing had to be stored anew");
    is_whole(&place);
}
