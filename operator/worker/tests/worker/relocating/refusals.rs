//! What each verb refuses, by name, and before anything is changed.

use std::process::Command;

use serde_json::{Value, json};

use super::applications::can_write;
use super::{DATABASE, Move, privileges, sql};
use crate::postgres::PASSWORD;
use crate::support::{refused, report};

fn codes(report: &Value, severity: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == severity);
    findings.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

/// The report of a command that failed.
fn told(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_stands_in_the_way_is_found_before_anything_is_made() {
    let place = Move::with(&["wal_level=replica", "max_prepared_transactions=2"]);
    let source = &place.source;
    sql(
        source,
        "CREATE ROLE chief SUPERUSER LOGIN; CREATE TABLE keyless (a int); ALTER TABLE keyless OWNER TO chief; \
         CREATE TABLE whole (a int); ALTER TABLE whole REPLICA IDENTITY FULL; CREATE UNLOGGED TABLE fleeting (a int PRIMARY KEY); \
         SELECT lo_create(7); CREATE EXTENSION pg_trgm; UPDATE pg_extension SET extname = 'not_offered' WHERE extname = 'pg_trgm'; \
         CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TRIGGER always AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION noop(); ALTER TABLE log ENABLE ALWAYS TRIGGER always; \
         BEGIN; INSERT INTO whole VALUES (1); PREPARE TRANSACTION 'half'; ALTER DATABASE archive SET work_mem = '8MB'; CREATE PUBLICATION papers; \
         ALTER DATABASE archive OWNER TO app",
    );
    place.target.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0").unwrap();
    place.target.sql("latin", "CREATE TABLE in_the_way (a int)").unwrap();
    let mut assess = place.verb_of_source("assess");
    assess.arg("--target-database-file").arg(place.login("latin", &place.target, &json!({ "database": "latin" })));
    let found = report(assess.args(["--mode", "replication"]));
    let blocking = codes(&found, "Blocking");
    for code in [
        "ApplicationIsSuperuser",
        "ApplicationOwnsDatabase",
        "WalLevel",
        "TableWithoutKey",
        "TriggerFires",
        "LargeObject",
        "UnloggedTable",
        "EncodingMismatch",
        "ExtensionMissing",
        "TargetNotEmpty",
    ] {
        assert!(blocking.iter().any(|found| found == code), "{code}: {found:#}");
    }
    let warnings = codes(&found, "Warning");
    for code in
        ["SlotUnbounded", "PreparedTransaction", "WholeRowKey", "DatabaseSetting", "Publication", "CollationMismatch"]
    {
        assert!(warnings.iter().any(|found| found == code), "{code}: {found:#}");
    }
    let all = found["findings"].as_array().unwrap();
    for field in ["subject", "evidence", "remedy"] {
        assert!(
            all.iter().all(|finding| finding[field].as_str().is_some_and(|text| text.len() > 2)),
            "{field}: {found:#}"
        );
    }
    // Left to itself, it takes a dump; the rest blocks all the same, and nothing is made.
    let prepared = told(&mut place.verb("prepare"));
    assert_eq!((&prepared["mode"], &prepared["prepared"]), (&json!("dump"), &json!(false)), "{prepared:#}");
    assert!(
        !codes(&prepared, "Blocking").iter().any(|code| code == "WalLevel" || code == "TableWithoutKey"),
        "{prepared:#}"
    );
    let (reason, message) = refused(&mut place.verb("prepare"));
    assert!(reason == "FindingsBlock" && message.contains("app owns the database"), "{message}");
    assert_eq!(
        place
            .traces()
            .iter()
            .filter(|trace| *trace != "publication papers" && *trace != "extension not_offered")
            .count(),
        0
    );
    let (reason, _) = refused(&mut place.verb("copy"));
    assert_eq!(reason, "NotPrepared");
}

#[test]
fn a_source_that_could_be_written_all_the_same_is_not_closed_at_all() {
    let place = Move::new();
    place.copied();
    let before = privileges(&place.source);
    let refusals = [
        (
            "ALTER DATABASE archive OWNER TO app",
            "ALTER DATABASE archive OWNER TO postgres",
            "ApplicationOwnsDatabase",
            "app",
        ),
        (
            "CREATE ROLE g; GRANT g TO app; ALTER DATABASE archive OWNER TO g",
            "ALTER DATABASE archive OWNER TO postgres; DROP ROLE g",
            "ApplicationOwnsDatabase",
            "app",
        ),
        (
            "CREATE ROLE c SUPERUSER LOGIN; CREATE TABLE of_c (a int PRIMARY KEY); ALTER TABLE of_c OWNER TO c",
            "DROP TABLE of_c; DROP ROLE c",
            "SchemaChanged",
            "of_c",
        ),
        (
            "CREATE ROLE c SUPERUSER LOGIN; ALTER SEQUENCE ticket OWNER TO c",
            "ALTER SEQUENCE ticket OWNER TO app; DROP ROLE c",
            "ApplicationIsSuperuser",
            "role c",
        ),
        (
            "BEGIN; UPDATE account SET note = 'half' WHERE id = 3; PREPARE TRANSACTION 'half'",
            "ROLLBACK PREPARED 'half'",
            "PreparedTransaction",
            "half",
        ),
    ];
    for (make, undo, expected, named) in refusals {
        sql(&place.source, make);
        let (reason, message) = refused(&mut place.verb("freeze"));
        assert!(reason == expected && message.contains(named), "{reason}: {message}");
        assert!(can_write(place.source.port), "{expected}: applications still work");
        sql(&place.source, undo);
    }
    assert_eq!(privileges(&place.source), before);
    for verb in ["finish", "open"] {
        let (reason, _) = refused(&mut place.verb(verb));
        assert!(reason == "NotFrozen" || reason == "NotFinished", "{verb}: {reason}");
    }
    report(&mut place.verb("freeze"));
}

#[test]
fn whoever_writes_in_the_freeze_is_found_out() {
    let place = Move::new();
    place.copied();
    report(&mut place.verb("freeze"));
    // Nothing keeps a superuser out.
    sql(&place.source, "UPDATE account SET note = 'late' WHERE id = 7");
    let (reason, message) = refused(&mut place.verb("finish"));
    assert_eq!(reason, "SourceWritten", "{message}");
    report(&mut place.verb("thaw"));
    report(&mut place.verb("copy"));
    report(&mut place.verb("freeze"));
    report(&mut place.verb("finish"));
    sql(&place.source, "DELETE FROM child WHERE id = 7");
    let (reason, message) = refused(&mut place.verb("open"));
    assert_eq!(reason, "SourceWritten", "{message}");
    assert!(!can_write(place.target.port));
}

#[test]
fn finishing_refuses_by_name_what_is_not_equal() {
    let place = Move::new();
    // A column may have the name that a statement gives the table.
    sql(
        &place.source,
        "SET ROLE app; CREATE TABLE odd (id int PRIMARY KEY, t text, u text); INSERT INTO odd VALUES (1, 'a', 'b')",
    );
    place.copied();
    sql(
        &place.target,
        "UPDATE account SET amount = 0 WHERE id = 4097; DELETE FROM part_b WHERE id = 300; UPDATE odd SET u = 'c'",
    );
    let compared = report(&mut place.verb("compare"));
    assert_eq!(compared["equal"], false, "{compared:#}");
    report(&mut place.verb("freeze"));
    let (reason, message) = refused(&mut place.verb("finish"));
    assert!(reason == "NotEqual" && message.contains("public.account"), "{message}");
    let finished = told(&mut place.verb("finish"));
    let differences = finished["differences"].to_string();
    assert!(differences.contains("id in 4096 to 4351") && differences.contains("part_b"), "{finished:#}");
    assert!(differences.contains("public.odd"), "{finished:#}");
    let (reason, _) = refused(&mut place.verb("open"));
    assert_eq!(reason, "NotFinished");
}

#[test]
fn a_schema_that_changes_in_the_middle_blocks_until_both_sides_have_it() {
    let place = Move::new();
    place.prepared();
    let follower = place.following();
    place.until("a copy", |place| sql(&place.target, "SELECT count(*) FROM account") == "5000");
    let change = "ALTER TABLE account ADD COLUMN extra int DEFAULT 7; CREATE INDEX by_note ON account (note)";
    sql(&place.source, change);
    let (reason, message) = follower.fails();
    assert_eq!(reason, "SchemaChanged", "{message}");
    assert!(
        message.contains("column public.account.extra is new") && message.contains("index public.by_note is new"),
        "{message}"
    );
    for verb in ["copy", "freeze", "prepare"] {
        let (reason, message) = refused(&mut place.verb(verb));
        assert_eq!(reason, "SchemaChanged", "{verb}: {message}");
    }
    sql(&place.target, change);
    sql(&place.source, "UPDATE account SET extra = 8 WHERE id < 10");
    place.prepared();
    report(&mut place.verb("copy"));
    report(&mut place.verb("freeze"));
    assert_eq!(report(&mut place.verb("finish"))["equal"], true);
    place.assert_equal();
}

#[test]
fn nobody_shares_a_side_and_a_side_is_not_its_own_target() {
    let place = Move::new();
    place.prepared();
    let mut other = place.verb("prepare");
    other.args(["--migration", "other"]);
    let mut itself = place.verb("prepare");
    itself.arg("--target-database-file").arg(place.login("itself", &place.source, &json!({ "host": "localhost" })));
    let mut again = place.verb("copy");
    // The last of an argument that is said twice is not taken silently.
    again.arg("--epoch").arg("7");
    for mut command in [itself, again] {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!other.output().unwrap().status.success());
    // A password stands in no report, error or log of a server.
    for server in [&place.source, &place.target] {
        let log = std::fs::read_to_string(server.process().1).unwrap();
        assert!(!log.contains(PASSWORD), "{log}");
    }
    let other = format!("CREATE DATABASE second; ALTER DATABASE {DATABASE} CONNECTION LIMIT -1");
    for statement in other.split(';') {
        place.target.sql("postgres", statement).unwrap();
    }
}
