//! The way back: the source as it was, the target closed, and never both.

use std::time::{Duration, Instant};

use serde_json::json;

use super::applications::{Prober, Writer, can_write};
use super::{DATABASE, Move, privileges, sql};
use crate::support::{refused, report};

/// In which the source must be given back.
const BACK: Duration = Duration::from_secs(60);

#[test]
fn after_finishing_the_source_is_given_back_as_it_was_and_the_target_follows_again() {
    let place = Move::new();
    let grants = format!(
        "GRANT CONNECT ON DATABASE {DATABASE} TO app WITH GRANT OPTION; REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC; \
         SET ROLE app; GRANT CONNECT ON DATABASE {DATABASE} TO reader; RESET ROLE"
    );
    sql(&place.source, &grants);
    let before = privileges(&place.source);
    let (writer, prober) = (Writer::start(&place), Prober::start(&place));
    place.copied();
    let frozen = Instant::now();
    report(&mut place.verb("freeze"));
    assert_eq!(report(&mut place.verb("finish"))["equal"], true);
    assert!(!can_write(place.source.port) && !can_write(place.target.port), "both are closed");
    assert_ne!(privileges(&place.source), before);
    let thawed = report(&mut place.verb("thaw"));
    let back = Instant::now();
    assert!(frozen.elapsed() < BACK, "{:?}", frozen.elapsed());
    assert_eq!((&thawed["state"], &thawed["loses"]), (&json!("following"), &json!(null)), "{thawed:#}");
    assert_eq!(privileges(&place.source), before);
    assert!(can_write(place.source.port) && !can_write(place.target.port));
    assert_eq!(report(&mut place.verb("thaw"))["state"], "following", "it may be said again");
    let count = writer.acknowledged();
    place.until("further commits", |_| writer.acknowledged() > count + 20);
    let (reason, message) = refused(&mut place.verb("open"));
    assert_eq!(reason, "NotFinished", "{message}");
    // And once more, to the end.
    assert_eq!(report(&mut place.verb("copy"))["restarted"], false, "what was copied is of use");
    let again = Instant::now();
    report(&mut place.verb("freeze"));
    report(&mut place.verb("finish"));
    report(&mut place.verb("open"));
    let written = writer.stop_after_target();
    prober.assert_one_side(&[(frozen, Some(back)), (again, None)]);
    written.assert_there_once(&place.target);
}

#[test]
fn after_opening_the_way_back_says_what_it_loses_and_a_new_copy_must_be_told_to_lose_it() {
    let place = Move::new();
    let prober = Prober::start(&place);
    place.copied();
    let frozen = Instant::now();
    for verb in ["freeze", "finish", "open"] {
        report(&mut place.verb(verb));
    }
    let (reason, message) = refused(&mut place.verb("thaw"));
    assert_eq!(reason, "TargetOpen", "{message}");
    // While applications have the target, a freeze closes nothing anew and holds the source against what it was.
    let again = report(&mut place.verb("freeze"));
    assert!(again["strength"] == "Proven" && !again["evidence"].as_array().unwrap().is_empty(), "{again:#}");
    assert!(!can_write(place.source.port) && can_write(place.target.port));
    place.source.sql("postgres", "CREATE ROLE intruder LOGIN; GRANT CONNECT ON DATABASE archive TO intruder").unwrap();
    let (reason, message) = refused(&mut place.verb("freeze"));
    assert_eq!(reason, "NotClosed", "{message}");
    place.source.sql("postgres", "REVOKE CONNECT ON DATABASE archive FROM intruder; DROP ROLE intruder").unwrap();
    sql(&place.target, "INSERT INTO log (n) VALUES (4711)");
    let begun = Instant::now();
    assert_eq!(report(&mut place.verb("close"))["strength"], "Proven");
    assert!(!can_write(place.source.port) && !can_write(place.target.port));
    // The source is open before the process says so.
    let back = Instant::now();
    let thawed = report(&mut place.verb("thaw"));
    assert!(begun.elapsed() < BACK, "{:?}", begun.elapsed());
    assert!(thawed["loses"].as_str().unwrap().contains("since the source's 0/"), "{thawed:#}");
    assert!(can_write(place.source.port) && !can_write(place.target.port));
    let (reason, message) = refused(&mut place.verb("copy"));
    assert_eq!(reason, "TargetWritten", "{message}");
    assert_eq!(sql(&place.target, "SELECT count(*) FROM log"), "1");
    assert_eq!(report(place.verb("copy").arg("--discard-writes"))["restarted"], true);
    assert_eq!(sql(&place.target, "SELECT count(*) FROM log"), "0");
    let again = Instant::now();
    for verb in ["freeze", "finish", "open"] {
        report(&mut place.verb(verb));
    }
    place.until("a write to the target", |_| prober.last(1).is_some_and(|at| at > again));
    prober.assert_one_side(&[(frozen, Some(back)), (again, None)]);
}

/// Nobody follows the source after the way back, and nobody watches what a slot keeps of its log.
#[test]
fn a_slot_that_nothing_bounds_is_given_up_with_the_way_back() {
    let slots = |place: &Move| place.source.sql("postgres", "SELECT count(*) FROM pg_replication_slots").unwrap();
    let frozen = |place: &Move| {
        place.prepared();
        report(place.verb("copy").args(["--wal-budget-mib", "512"]));
        report(&mut place.verb("freeze"));
    };
    // The server sets no bound.
    let place = Move::with(&["wal_level=logical"]);
    frozen(&place);
    let thawed = report(&mut place.verb("thaw"));
    assert!(thawed["released"].as_str().unwrap().contains("slot zhengyun_move_"), "{thawed:#}");
    assert!(can_write(place.source.port) && slots(&place) == "0");
    assert_eq!(report(&mut place.verb("thaw"))["released"], json!(null), "it may be said again");
    sql(&place.source, "INSERT INTO log (n) VALUES (815)");
    let copied = report(place.verb("copy").args(["--wal-budget-mib", "512"]));
    assert_eq!(copied["restarted"], true, "{copied:#}");
    place.assert_equal();
    // It sets one that is more than may be kept, and one that is not.
    let place = Move::new();
    frozen(&place);
    assert_eq!(report(place.verb("thaw").args(["--wal-budget-mib", "4096"]))["released"], json!(null));
    assert_eq!(slots(&place), "1");
    report(place.verb("thaw").args(["--wal-budget-mib", "512"]));
    assert_eq!(slots(&place), "0");
}

#[test]
fn without_proof_that_the_target_is_closed_the_source_is_not_opened() {
    let place = Move::new();
    place.copied();
    report(&mut place.verb("freeze"));
    // Somebody at the target lets applications in by hand.
    place
        .target
        .sql("postgres", &format!("GRANT CONNECT ON DATABASE {DATABASE} TO app; ALTER ROLE app LOGIN"))
        .unwrap();
    for verb in ["thaw", "finish"] {
        let (reason, message) = refused(&mut place.verb(verb));
        assert!(reason == "NotClosed" && message.contains("app"), "{verb}: {message}");
    }
    assert!(!can_write(place.source.port));
    report(&mut place.verb("close"));
    report(&mut place.verb("thaw"));
    assert!(can_write(place.source.port) && !can_write(place.target.port));
    // And of a target that nobody reaches, nothing is proven.
    report(&mut place.verb("copy"));
    report(&mut place.verb("freeze"));
    let mut thaw = place.verb("thaw");
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    thaw.arg("--target-database-file").arg(place.login("nowhere", &place.target, &json!({ "port": closed })));
    let (reason, message) = refused(&mut thaw);
    assert!(["DatabaseUnreachable", "InvalidInput"].contains(&reason.as_str()), "{message}");
    assert!(!can_write(place.source.port));
}

#[test]
fn what_is_taken_away_leaves_the_source_untouched_and_the_target_empty() {
    let place = Move::new();
    let before = privileges(&place.source);
    place.copied();
    let (reason, _) = {
        report(&mut place.verb("freeze"));
        refused(&mut place.verb("drop"))
    };
    assert_eq!(reason, "SourceFrozen");
    report(&mut place.verb("thaw"));
    let dropped = report(place.verb("drop").arg("--data"));
    assert_eq!(place.traces(), [""; 0], "{dropped:#}");
    assert_eq!(privileges(&place.source), before);
    assert_eq!(place.target.digests(DATABASE).unwrap(), [""; 0]);
    assert_eq!(
        place.target.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname IN ('app', 'reader')").unwrap(),
        "0"
    );
    // It can begin again.
    place.copied();
    place.assert_equal();
}
