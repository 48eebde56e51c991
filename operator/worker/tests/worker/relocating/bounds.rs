//! What a copy costs the source, what it shows, and what it does where replication does not carry everything.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::applications::can_write;
use super::{DATABASE, Move, privileges, sql};
use crate::postgres::PASSWORD;
use crate::support::{refused, report};

#[test]
fn a_slot_that_keeps_too_much_is_dropped_and_the_copy_begins_anew() {
    let place = Move::new();
    place.copied();
    // The target cannot apply.
    let mut holder = place.target.session(DATABASE).unwrap();
    holder.stdin.as_mut().unwrap().write_all(b"BEGIN; LOCK TABLE account IN ACCESS EXCLUSIVE MODE;\n").unwrap();
    place.until("a lock", |place| {
        place
            .target
            .sql("postgres", "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted")
            .unwrap()
            != "0"
    });
    let mut copy = place.verb("copy");
    copy.args(["--follow", "--wal-budget-mib", "48"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped());
    let follower = super::Follower(Some(copy.spawn().unwrap()));
    let write = "UPDATE account SET note = note || 'x'; INSERT INTO log (n) SELECT 0 FROM generate_series(1, 250000)";
    sql(&place.source, write);
    let (reason, message) = follower.fails();
    assert!(reason == "SlotOverBudget" && message.contains("begins anew"), "{message}");
    assert_eq!(place.source.sql("postgres", "SELECT count(*) FROM pg_replication_slots").unwrap(), "0");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let again = report(&mut place.verb("copy"));
    assert_eq!(again["restarted"], true, "{again:#}");
    report(&mut place.verb("freeze"));
    assert_eq!(report(&mut place.verb("finish"))["equal"], true);
    place.assert_equal();
}

#[test]
fn a_source_without_a_bound_is_not_copied_without_one() {
    let place = Move::with(&["wal_level=logical"]);
    let prepared = place.prepared();
    assert!(prepared["findings"].to_string().contains("SlotUnbounded"), "{prepared:#}");
    let (reason, message) = refused(&mut place.verb("copy"));
    assert!(reason == "InvalidInput" && message.contains("--wal-budget-mib"), "{message}");
    assert_eq!(place.source.sql("postgres", "SELECT count(*) FROM pg_replication_slots").unwrap(), "0");
    report(place.verb("copy").args(["--wal-budget-mib", "512"]));
    place.assert_equal();
}

#[test]
fn what_is_shown_grows_only_and_is_not_nothing_while_bytes_move() {
    let place = Move::new();
    sql(
        &place.source,
        "SET ROLE app; CREATE TABLE bulk (id int PRIMARY KEY, t text); ALTER TABLE bulk ALTER t SET STORAGE EXTERNAL; \
         INSERT INTO bulk SELECT n, repeat(md5(n::text), 40) FROM generate_series(1, 80000) n; ANALYZE bulk",
    );
    place.prepared();
    let output = place.verb("copy").output().unwrap();
    crate::support::succeeded(&output);
    let lines = String::from_utf8_lossy(&output.stderr).into_owned();
    let shown: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let shown: Vec<(u64, u64)> = shown
        .iter()
        .filter_map(|line| Some((line["progress"]["bytes"].as_u64()?, line["progress"]["totalBytes"].as_u64()?)))
        .collect();
    assert!(shown.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{shown:?}");
    assert!(shown.iter().all(|(done, total)| done <= total && *total > 100_000_000), "{shown:?}");
    let copied: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        copied["bytes"].as_u64().unwrap() > 100_000_000 && copied["rows"].as_u64().unwrap() >= 80_000,
        "{copied:#}"
    );
    // Once said, it is not taken back by the next process.
    let again = report(&mut place.verb("copy"));
    assert!(again["bytes"].as_u64() >= copied["bytes"].as_u64(), "{again:#}");
}

#[test]
fn what_replication_does_not_carry_comes_by_a_dump() {
    let place = Move::with(&["wal_level=replica"]);
    sql(
        &place.source,
        "SET ROLE app; SELECT lo_from_bytea(4711, '\\xdeadbeef'); CREATE UNLOGGED TABLE fleeting (a int); INSERT INTO fleeting VALUES (1), (2); \
         CREATE TABLE keyless (a int); INSERT INTO keyless VALUES (1), (1)",
    );
    let prepared = place.prepared();
    assert_eq!(prepared["mode"], "dump", "{prepared:#}");
    report(&mut place.verb("copy"));
    place.assert_equal();
    sql(&place.source, "INSERT INTO keyless VALUES (3); SELECT lo_unlink(4711); SELECT lo_from_bytea(4712, '\\xcafe')");
    assert_eq!(report(&mut place.verb("compare"))["equal"], false);
    report(&mut place.verb("freeze"));
    let finished = report(&mut place.verb("finish"));
    assert_eq!(finished["equal"], true, "{finished:#}");
    report(&mut place.verb("open"));
    place.assert_equal();
    assert_eq!(
        sql(
            &place.target,
            "SELECT string_agg(oid::text || encode(lo_get(oid), 'hex'), ',') FROM pg_largeobject_metadata"
        ),
        "4712cafe"
    );
    assert_eq!(sql(&place.target, "SELECT nextval('ticket')"), "117");
    assert!(can_write(place.target.port) && !can_write(place.source.port));
    report(&mut place.verb("drop"));
    assert_eq!(place.traces(), [""; 0]);
}

#[test]
fn everything_can_belong_to_one_role_of_the_target() {
    let place = Move::new();
    place
        .target
        .sql(
            "postgres",
            &format!("CREATE ROLE tenant LOGIN PASSWORD '{PASSWORD}'; ALTER DATABASE {DATABASE} OWNER TO tenant"),
        )
        .unwrap();
    let prepared = report(place.verb("prepare").args(["--owner", "tenant"]));
    assert_eq!(prepared["applications"], json!(["tenant"]), "{prepared:#}");
    assert_eq!(privileges(&place.target).matches("tenant|f").count(), 1, "it cannot log in");
    for verb in ["copy", "freeze", "finish", "open"] {
        report(&mut place.verb(verb));
    }
    assert_eq!(sql(&place.target, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"), "tenant");
    assert_eq!(privileges(&place.target).matches("tenant|t").count(), 1);
    place.assert_equal();
    let (reason, message) = refused(place.verb("prepare").args(["--owner", "nobody"]));
    assert!(reason == "InvalidInput" && message.contains("nobody"), "{message}");
}

#[test]
fn a_user_with_the_rights_that_are_named_needs_no_more() {
    let place = Move::new();
    let login = json!({ "user": "carrier" });
    place.source.sql("postgres", &format!("CREATE ROLE carrier LOGIN PASSWORD '{PASSWORD}'")).unwrap();
    let verb = |verb: &str| {
        let mut command = crate::support::worker("move");
        command.args(["database", verb, "--migration", "finance/archive", "--epoch", "1", "--lab-local-databases"]);
        command.arg("--source-database-file").arg(place.login("carrier", &place.source, &login));
        command.arg("--target-database-file").arg(place.login("target", &place.target, &json!({})));
        command
    };
    let found = report(&mut verb("assess")).to_string();
    for right in
        ["RightsMissing", "REPLICATION", "CREATEROLE", "pg_read_all_stats", "pg_signal_backend", "PasswordsUnreadable"]
    {
        assert!(found.contains(right), "{right}: {found}");
    }
    place
        .source
        .sql(
            "postgres",
            &format!(
                "ALTER ROLE carrier REPLICATION CREATEROLE; GRANT pg_monitor, pg_signal_backend, pg_read_all_data, app TO carrier; \
                 ALTER DATABASE {DATABASE} OWNER TO carrier"
            ),
        )
        .unwrap();
    let before = privileges(&place.source);
    for name in ["prepare", "copy", "freeze", "finish"] {
        report(&mut verb(name));
    }
    assert!(!can_write(place.source.port));
    report(&mut verb("thaw"));
    assert!(can_write(place.source.port));
    assert_eq!(privileges(&place.source), before);
    for name in ["copy", "freeze", "finish", "open", "drop"] {
        report(&mut verb(name));
    }
    place.assert_equal();
    assert_eq!(place.traces(), [""; 0]);
}

#[test]
fn freezing_waits_for_nobody_who_does_not_end() {
    let place = Move::new();
    place.copied();
    let mut session = place.source.superuser().session(DATABASE).unwrap();
    session
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"SET ROLE app; BEGIN; UPDATE account SET note = 'open' WHERE id = 9;\n")
        .unwrap();
    place.until("a transaction", |place| {
        place
            .source
            .sql(
                "postgres",
                "SELECT count(*) FROM pg_stat_activity WHERE datname = 'archive' AND backend_xid IS NOT NULL",
            )
            .unwrap()
            != "0"
    });
    let begun = std::time::Instant::now();
    report(&mut place.verb("freeze"));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    session.kill().unwrap();
    session.wait().unwrap();
    assert_eq!(report(&mut place.verb("finish"))["equal"], true);
    assert_eq!(sql(&place.target, "SELECT count(*) FROM account WHERE note = 'open'"), "0");
}
