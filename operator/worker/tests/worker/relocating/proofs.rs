//! What would make a side look closed, or equal, that is not.

use std::io::Write as _;

use serde_json::json;

use super::applications::can_write;
use super::{DATABASE, Move, sql};
use crate::postgres::PASSWORD;
use crate::support::{refused, report};

#[test]
fn what_was_equal_under_a_freeze_before_opens_nothing() {
    let place = Move::new();
    place.copied();
    report(&mut place.verb("freeze"));
    report(&mut place.verb("finish"));
    let finished = sql(&place.target, "SELECT record ->> 'finished' FROM zhengyun_move.fence");
    report(&mut place.verb("thaw"));
    // As a process leaves it that is killed once it gave the source back.
    sql(
        &place.target,
        &format!(
            "UPDATE zhengyun_move.fence SET record = (record::jsonb || jsonb_build_object('finished', '{finished}'::jsonb))::json"
        ),
    );
    sql(&place.source, "SELECT nextval('ticket')");
    report(&mut place.verb("copy"));
    report(&mut place.verb("freeze"));
    let (reason, message) = refused(&mut place.verb("open"));
    assert_eq!(reason, "NotFinished", "{message}");
    assert!(!can_write(place.target.port));
    report(&mut place.verb("finish"));
    report(&mut place.verb("open"));
    assert_eq!(sql(&place.target, "SELECT nextval('ticket')"), "118");
}

#[test]
fn what_is_found_in_the_freeze_does_not_keep_the_source_closed() {
    let place = Move::new();
    place.copied();
    report(&mut place.verb("freeze"));
    sql(&place.source, "CREATE ROLE chief SUPERUSER LOGIN; ALTER SEQUENCE ticket OWNER TO chief");
    let (reason, message) = refused(&mut place.verb("prepare"));
    assert_eq!(reason, "NotFollowing", "{message}");
    report(&mut place.verb("thaw"));
    assert!(can_write(place.source.port));
}

#[test]
fn an_application_that_is_a_superuser_of_the_target_is_not_let_near_it() {
    let place = Move::new();
    place.target.sql("postgres", &format!("CREATE ROLE app SUPERUSER LOGIN PASSWORD '{PASSWORD}'")).unwrap();
    let (reason, message) = refused(&mut place.verb("prepare"));
    assert!(reason == "FindingsBlock" && message.contains("superuser of the target"), "{message}");
    assert_eq!(place.traces(), [""; 0]);
    place.target.sql("postgres", "ALTER ROLE app NOSUPERUSER").unwrap();
    place.prepared();
    assert!(!can_write(place.target.port));
}

#[test]
fn a_session_that_asked_for_replication_is_ended_like_any_other() {
    let place = Move::new();
    place.source.sql("postgres", "ALTER ROLE app REPLICATION").unwrap();
    place.copied();
    let login = format!("dbname={DATABASE} user=app replication=database");
    let mut session = place.source.session(&login).unwrap();
    let there = |place: &Move, note: &str| {
        sql(&place.source, &format!("SELECT count(*) FROM account WHERE note = '{note}'")) == "1"
    };
    let stdin = session.stdin.as_mut().unwrap();
    stdin.write_all(b"UPDATE account SET note = 'before' WHERE id = 11;\n").unwrap();
    place.until("a write", |place| there(place, "before"));
    let frozen = report(&mut place.verb("freeze"));
    assert_eq!(frozen["closed"], json!(["app", "reader"]), "{frozen:#}");
    // It may be gone already; then this is not taken.
    let _ = session.stdin.as_mut().unwrap().write_all(b"UPDATE account SET note = 'after' WHERE id = 11;\n");
    assert!(!session.wait().unwrap().success());
    assert!(!there(&place, "after"));
    assert_eq!(report(&mut place.verb("finish"))["equal"], true);
}

#[test]
fn a_table_that_came_before_the_first_copy_is_copied() {
    let place = Move::new();
    place.prepared();
    let change = "CREATE TABLE later (id int PRIMARY KEY)";
    sql(&place.source, &format!("{change}; INSERT INTO later VALUES (1), (2)"));
    let (reason, message) = refused(&mut place.verb("copy"));
    assert!(reason == "SchemaChanged" && message.contains("public.later"), "{message}");
    sql(&place.target, change);
    place.copied();
    place.assert_equal();
    report(&mut place.verb("freeze"));
    assert_eq!(report(&mut place.verb("finish"))["equal"], true);
}
