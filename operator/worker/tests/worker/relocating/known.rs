//! What is read under the freeze: what was written since both sides were found equal, all of it, and little else.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::applications::Writer;
use super::kills::{killed, kills};
use super::{Move, sql};
use crate::support::{refused, report};

const SEED: u64 = 1_978;

impl Move {
    /// Follows until everything was compared once.
    fn read_once(&self) -> Value {
        let follower = self.following();
        self.until("a slot of the marks", |place| slots(place) == "2");
        let complete = "SELECT record #>> '{known,complete}' IS NOT NULL FROM zhengyun_move.fence";
        self.until("a comparison of everything", |place| sql(&place.target, complete) == "t");
        follower.stop()
    }

    fn finished_again(&self, whole: bool) -> Value {
        let mut finish = self.verb("finish");
        report(if whole { finish.arg("--whole") } else { &mut finish })
    }
}

/// The report of a command that need not end well.
fn told(command: &mut Command) -> Value {
    serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
}

fn slots(place: &Move) -> String {
    place.source.sql("postgres", "SELECT count(*) FROM pg_replication_slots").unwrap()
}

#[test]
fn under_the_freeze_only_what_was_written_is_read() {
    let place = Move::new();
    place.prepared();
    let followed = place.read_once();
    // Of accounts 20 chunks, and one of each other table with rows.
    assert_eq!((&followed["knownChunks"], slots(&place).as_str()), (&json!(24), "2"), "{followed:#}");
    sql(
        &place.source,
        "INSERT INTO account VALUES (90000); DELETE FROM account WHERE id = 1000; UPDATE account SET id = 70000 WHERE id = 3000",
    );
    report(&mut place.verb("copy"));
    report(&mut place.verb("freeze"));
    let finished = place.finished_again(false);
    assert_eq!((&finished["equal"], &finished["read"], &finished["chunks"]), (&json!(true), &json!(4), &json!(26)));
    assert!(finished["dirtyShare"].as_f64().unwrap() < 0.2 && finished["databaseBytes"].as_u64() > Some(1_000_000));
    let whole = place.finished_again(true);
    assert_eq!((&whole["equal"], &whole["read"], &whole["chunks"]), (&json!(true), &json!(26), &json!(26)));
    assert_eq!(finished["sourceDigest"], whole["sourceDigest"], "what is known is what is there");
    // After a way back it is known still, and once applications had the target it is not.
    report(&mut place.verb("thaw"));
    sql(&place.source, "UPDATE account SET note = 'again' WHERE id = 2000");
    report(&mut place.verb("copy"));
    report(&mut place.verb("freeze"));
    assert_eq!(place.finished_again(false)["read"], 5);
    report(&mut place.verb("open"));
    assert_eq!(slots(&place), "0");
    place.assert_equal();
    for verb in ["close", "thaw"] {
        report(&mut place.verb(verb));
    }
    report(place.verb("copy").arg("--discard-writes"));
    report(&mut place.verb("freeze"));
    let finished = place.finished_again(false);
    assert_eq!(finished["read"], finished["chunks"]);
}

#[test]
fn whoever_wrote_at_the_target_is_found_where_the_source_was_written_and_by_compare_elsewhere() {
    let place = Move::new();
    // Keys that others are given later.
    sql(&place.source, "DELETE FROM account WHERE id IN (1301, 1601)");
    place.prepared();
    place.read_once();
    let wrong = |id: u32| format!("UPDATE account SET note = 'wrong' WHERE id = {id}");
    let right = |id: u32| format!("UPDATE account SET note = md5('{id}') WHERE id = {id}");
    let no_child = "DELETE FROM child".to_owned();
    let cases = [
        ("UPDATE account SET amount = 1 WHERE id = 301", wrong(300), right(300), "public.account"),
        ("DELETE FROM account WHERE id = 601", wrong(600), right(600), "public.account"),
        ("UPDATE account SET id = 70001 WHERE id = 801", wrong(800), right(800), "public.account"),
        ("UPDATE account SET id = 1301 WHERE id = 70001", wrong(1300), right(1300), "public.account"),
        ("INSERT INTO account VALUES (1601)", wrong(1600), right(1600), "public.account"),
        ("TRUNCATE child", "INSERT INTO child VALUES (5)".to_owned(), no_child, "public.child"),
        // What no stream tells: every row is another one.
        (
            "ALTER TABLE \"票据 \"\"odd\" ALTER b TYPE bytea USING b || '\\x00'",
            String::new(),
            "UPDATE \"票据 \"\"odd\" SET b = b || '\\x00'".to_owned(),
            "票据",
        ),
    ];
    for (written, wrong, right, table) in cases {
        sql(&place.source, written);
        report(&mut place.verb("copy"));
        sql(&place.target, &wrong);
        report(&mut place.verb("freeze"));
        let finished = told(&mut place.verb("finish"));
        let differences = finished["differences"].to_string();
        assert!(differences.contains(table) && finished["equal"] == false, "{written}: {finished:#}");
        assert!(finished["read"].as_u64() < finished["chunks"].as_u64(), "{written}: {finished:#}");
        report(&mut place.verb("thaw"));
        sql(&place.target, &right);
    }
    // Where nobody wrote, it is not looked at in the freeze.
    sql(&place.target, &wrong(4000));
    report(&mut place.verb("copy"));
    report(&mut place.verb("freeze"));
    assert_eq!(place.finished_again(false)["equal"], true);
    assert_eq!(told(place.verb("finish").arg("--whole"))["equal"], false);
    let compared = report(&mut place.verb("compare"));
    assert!(compared["equal"] == false && compared["differences"].to_string().contains("3840 to 4095"), "{compared:#}");
    // And from then on nothing is taken for known.
    let (reason, message) = refused(&mut place.verb("finish"));
    assert_eq!(reason, "NotEqual", "{message}");
}

#[test]
fn without_the_slot_that_tells_what_was_written_everything_is_read() {
    let place = Move::new();
    place.prepared();
    place.read_once();
    let drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '_marks$'";
    place.source.sql("postgres", drop).unwrap();
    report(&mut place.verb("freeze"));
    let finished = place.finished_again(false);
    assert_eq!((&finished["equal"], &finished["read"]), (&json!(true), &finished["chunks"]), "{finished:#}");
    report(&mut place.verb("thaw"));
    // Another one begins with nothing.
    assert_eq!(place.read_once()["knownChunks"], 24);
    report(&mut place.verb("freeze"));
    assert_eq!(place.finished_again(false)["read"], 0);

    // Where the server does not bound what a slot keeps, none is left that nobody watches.
    let place = Move::with(&["wal_level=logical"]);
    place.prepared();
    let mut copy = place.verb("copy");
    copy.args(["--follow", "--wal-budget-mib", "512"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let follower = super::Follower(Some(copy.spawn().unwrap()));
    let complete = "SELECT record ->> 'complete' IS NOT NULL FROM zhengyun_move.fence";
    place.until("a copy", |place| sql(&place.target, complete) == "t");
    assert_eq!(follower.stop()["knownChunks"], 0);
    assert_eq!(slots(&place), "1");
    report(&mut place.verb("freeze"));
    let finished = place.finished_again(false);
    assert_eq!((&finished["equal"], &finished["read"]), (&json!(true), &finished["chunks"]), "{finished:#}");
}

#[test]
fn a_copy_that_is_killed_while_it_compares_takes_nothing_for_known_that_is_not() {
    let mut random = fastrand::Rng::with_seed(SEED);
    let place = Move::new();
    sql(
        &place.source,
        "SET ROLE app; CREATE TABLE bulk (id int PRIMARY KEY, t text); INSERT INTO bulk SELECT n, md5(n::text) FROM generate_series(1, 200000) n",
    );
    place.copied();
    let writer = Writer::start(&place);
    let mut caught = 0;
    for _ in 0..kills() {
        let mut copy = place.verb("copy");
        caught += u64::from(killed(copy.arg("--follow"), Duration::from_millis(1500), &mut random));
        let id = random.u32(1..200_000);
        sql(
            &place.source,
            &format!("UPDATE bulk SET t = 'written' WHERE id = {id}; DELETE FROM bulk WHERE id = {}", id + 1),
        );
    }
    assert!(caught > kills() / 2, "{caught} were killed on the way");
    place.read_once();
    report(&mut place.verb("freeze"));
    let finished = place.finished_again(false);
    let whole = place.finished_again(true);
    assert_eq!((&finished["equal"], &whole["equal"]), (&json!(true), &json!(true)), "{finished:#}");
    assert_eq!(finished["sourceDigest"], whole["sourceDigest"]);
    assert!(finished["read"].as_u64().unwrap() * 4 < whole["read"].as_u64().unwrap(), "{finished:#}");
    report(&mut place.verb("open"));
    writer.stop_after_target().assert_there_once(&place.target);
}
