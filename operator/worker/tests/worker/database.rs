//! Databases there and back: real servers of PostgreSQL, its own programs, and rows compared by the server.

mod kills;
mod scratch;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::postgres::{PASSWORD, Postgres};
use crate::support::{Place, refused, report, succeeded};

/// A server, a repository, and logins.
struct Stage {
    server: Postgres,
    place: Place,
}

/// A user without rights beyond its own database.
const USERS: &str = "CREATE ROLE app LOGIN PASSWORD 'secret-of-the-lab-7c1f'; CREATE ROLE reader;";

/// Everything that a department's database has, and so many rows.
fn content(rows: usize) -> String {
    format!(
        "CREATE TABLE invoice (id bigserial PRIMARY KEY, code text NOT NULL, amount numeric(12,2), at timestamptz, raw bytea);
         INSERT INTO invoice (code, amount, at, raw)
           SELECT md5(n::text), n / 7.0, timestamptz '2026-01-01' + n * interval '1 minute', decode(md5(n::text), 'hex')
           FROM generate_series(1, {rows}) n;
         CREATE INDEX by_code ON invoice (code);
         CREATE SCHEMA \"财政 票据\";
         CREATE TABLE \"财政 票据\".\"odd\n;\"\"name\" (\"列\" text, n int DEFAULT 7, UNIQUE (n));
         INSERT INTO \"财政 票据\".\"odd\n;\"\"name\" VALUES (E'-- a\\tb\\nc\\\\.', 1), (NULL, 2), ('SET x = 1;', 3);
         CREATE TYPE state AS ENUM ('open', 'done');
         CREATE TABLE task (id int PRIMARY KEY, invoice bigint REFERENCES invoice, state state);
         INSERT INTO task SELECT n, n, 'open' FROM generate_series(1, 50) n;
         CREATE VIEW open_tasks AS SELECT * FROM task WHERE state = 'open';
         CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS $$ SELECT n * 2 $$;
         CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM invoice;
         SELECT lo_from_bytea(4711, '\\xdeadbeef'::bytea);
         GRANT SELECT ON invoice TO reader;"
    )
}

impl Stage {
    fn new(rows: usize) -> Self {
        Self::with(Postgres::start().unwrap(), rows)
    }

    fn with(server: Postgres, rows: usize) -> Self {
        let stage = Self { server, place: Place::new() };
        stage.server.sql("postgres", USERS).unwrap();
        stage.create("app");
        stage.server.sql("app", &format!("SET ROLE app; {}", content(rows))).unwrap();
        stage
    }

    fn create(&self, database: &str) {
        let create = format!("CREATE DATABASE \"{database}\" OWNER app");
        self.server.sql("postgres", &create).unwrap();
    }

    fn renew(&self, database: &str) {
        self.server.sql("postgres", &format!("DROP DATABASE IF EXISTS \"{database}\" WITH (FORCE)")).unwrap();
        self.create(database);
    }

    fn login(&self, database: &str, change: &Value) -> Value {
        let mut login = json!({
            "host": "127.0.0.1", "port": self.server.port, "database": database, "user": "app", "password": PASSWORD
        });
        login.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        login
    }

    fn file(&self, name: &str, content: &Value) -> PathBuf {
        let file = self.place.path(name);
        std::fs::write(&file, content.to_string()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// A backup of a database, with something changed about its login.
    fn backup_with(&self, database: &str, change: &Value) -> Command {
        let file =
            self.file(&format!("logins-{:x}", fastrand::u64(..)), &json!({ "db": self.login(database, change) }));
        let mut worker = self.place.worker("backup");
        worker.arg("--signing-key-file").arg(self.place.path("signing"));
        worker.arg("--state-dir").arg(self.place.path("state")).arg("--databases-file").arg(file);
        worker
    }

    fn backup(&self) -> Command {
        let mut worker = self.backup_with("app", &json!({}));
        worker.arg("--lab-local-databases");
        worker
    }

    fn restore(&self, database: &str) -> Command {
        let file = self.file(&format!("target-{database}"), &self.login(database, &json!({})));
        let mut worker = self.place.worker("restore");
        worker.arg("--lab-local-databases").arg("--target-database-file").arg(file);
        worker
    }

    fn same(&self, left: &str, right: &str) {
        let (left, right) = (self.server.digests(left).unwrap(), self.server.digests(right).unwrap());
        assert!(left.len() >= 3, "{left:?}");
        assert_eq!(left, right);
    }

    fn is_empty(&self, database: &str) -> bool {
        self.server.digests(database).unwrap().is_empty()
    }

    /// Waits for sessions of a program, or for its end.
    fn until(&self, application: &str, wanted: impl Fn(usize) -> bool) {
        let begun = Instant::now();
        while !wanted(self.server.sessions(application).unwrap()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{application}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn two_hundred_thousand_rows_come_back_equal_and_what_did_not_change_is_stored_once() {
    let stage = Stage::new(200_000);
    let begun = Instant::now();
    let first = report(&mut stage.backup());
    eprintln!("backup of 200,000 rows: {:.1} s, {} bytes", begun.elapsed().as_secs_f64(), first["bytes"]);
    let source = &first["sources"][0];
    assert_eq!((&source["kind"], &source["consistency"]), (&json!("database"), &json!("pointInTime")));
    let told = &source["database"];
    assert!(told["lsn"].as_str().unwrap().contains('/') && told["serverVersion"] == told["dumpVersion"], "{told}");
    assert_eq!(told["encoding"], "UTF8");
    stage.place.restic_agrees();
    report(&mut stage.place.worker("verify"));

    stage.server.sql("app", "INSERT INTO invoice (code) VALUES ('one more')").unwrap();
    let second = report(&mut stage.backup());
    let (whole, again) = (first["uploaded"].as_u64().unwrap(), second["uploaded"].as_u64().unwrap());
    assert!(again * 3 < whole, "{again} of {whole} bytes were stored again for one row");

    // Into an empty database beside it; killed after its last moment, it would find everything done.
    stage.create("back");
    let begun = Instant::now();
    let done = report(&mut stage.restore("back"));
    eprintln!("restore of 200,000 rows: {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!((&done["failed"], &done["database"]["equal"]), (&json!(0), &json!(true)), "{done:#}");
    assert!(done["database"]["rows"].as_u64().unwrap() > 120_000, "{done:#}");
    stage.same("app", "back");
    assert_eq!(
        stage.server.sql("back", "SELECT twice(21), (SELECT n FROM sums), lo_get(4711)").unwrap(),
        "42|200001|\\xdeadbeef"
    );
    assert_eq!(stage.server.sql("back", "SELECT nextval('invoice_id_seq')").unwrap(), "200002");
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'invoice'";
    assert_eq!(stage.server.sql("back", owner).unwrap(), "app");

    // Plain restic and plain pg_restore bring back the same, without us.
    let theirs = stage.place.path("theirs");
    succeeded(&stage.place.restic(&["restore", "latest", "--target", theirs.to_str().unwrap()]));
    stage.create("theirs");
    let pipe =
        format!("cat {}/data/db/dump/* | {}/pg_restore -d theirs", theirs.display(), stage.server.bin().display());
    let mut by_hand = Command::new("sh");
    by_hand.args(["-c", &pipe]).env("PGPASSWORD", PASSWORD).env("PGHOST", "127.0.0.1").env("PGUSER", "app");
    succeeded(&by_hand.env("PGPORT", stage.server.port.to_string()).output().unwrap());
    stage.same("app", "theirs");
}

#[test]
fn what_is_there_already_is_dealt_with_as_told() {
    let stage = Stage::new(500);
    report(&mut stage.backup());
    stage.create("back");
    let planned = report(stage.restore("back").arg("--dry-run"));
    assert!(planned["created"].as_u64().unwrap() > 12 && stage.is_empty("back"), "{planned:#}");
    let digest = planned["database"]["digest"].clone();
    let done = report(&mut stage.restore("back"));
    assert_eq!(done["database"]["digest"], digest, "what was planned is what was done");
    let again = report(&mut stage.restore("back"));
    assert_eq!((&again["created"], &again["failed"]), (&json!(0), &json!(0)), "{again:#}");
    assert!(again["same"].as_u64().unwrap() > 12, "{again:#}");

    stage.server.sql("back", "SET ROLE app; DELETE FROM task; CREATE TABLE later (a int)").unwrap();
    let changed = stage.server.digests("back").unwrap();
    let (reason, message) = refused(&mut stage.restore("back"));
    assert_eq!(reason, "TargetInvalid", "{message}");
    assert!(message.contains("not empty") && message.contains("--existing"), "{message}");
    let blocked = report_of_a_failure(stage.restore("back").arg("--dry-run"));
    assert!(blocked["database"]["inTheWay"].to_string().contains("TABLE public later"), "{blocked:#}");
    let skipped = report(stage.restore("back").args(["--existing", "skip"]));
    assert!(skipped["skipped"].as_u64().unwrap() > 12 && skipped["created"] == 0, "{skipped:#}");
    assert_eq!(stage.server.digests("back").unwrap(), changed);
    let replaced = report(stage.restore("back").args(["--existing", "replace"]));
    assert!(replaced["replaced"].as_u64().unwrap() > 12, "{replaced:#}");
    // The sequence belongs to nobody else.
    assert_eq!(replaced["database"]["left"], json!(["TABLE public later"]), "{replaced:#}");
    stage.server.sql("back", "DROP TABLE later").unwrap();
    stage.same("app", "back");

    // What hangs on what would be replaced stops it as a whole.
    stage.server.sql("back", "SET ROLE app; DELETE FROM task; CREATE VIEW hangs AS SELECT * FROM invoice").unwrap();
    let changed = stage.server.digests("back").unwrap();
    let (reason, message) = refused(stage.restore("back").args(["--existing", "replace"]));
    assert_eq!(reason, "DatabaseNotRestored", "{message}");
    assert!(message.contains("nothing was changed") && message.contains("depends"), "{message}");
    assert_eq!(stage.server.digests("back").unwrap(), changed);
}

#[test]
fn equal_is_what_has_the_definitions_of_the_backup_too() {
    let stage = Stage::new(50);
    report(&mut stage.backup());
    stage.create("back");
    report(&mut stage.restore("back"));
    let broken = "SET ROLE app; CREATE OR REPLACE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS $$ SELECT n * 3 $$";
    stage.server.sql("back", broken).unwrap();
    let (reason, message) = refused(&mut stage.restore("back"));
    assert_eq!(reason, "TargetInvalid", "names and rows are those of the backup, and yet: {message}");
    let replaced = report(stage.restore("back").args(["--existing", "replace"]));
    assert!(replaced["replaced"].as_u64().unwrap() > 12, "{replaced:#}");
    assert_eq!(stage.server.sql("back", "SELECT twice(2)").unwrap(), "4");
    // A large object that the backup does not hold is no part of it.
    stage.server.sql("back", "SET ROLE app; SELECT lo_from_bytea(4712, '\\xff'::bytea)").unwrap();
    assert_eq!(refused(&mut stage.restore("back")).0, "TargetInvalid");
}

#[test]
fn what_a_killed_restore_wrote_is_told_by_its_rows() {
    let stage = Stage::new(50);
    // PostgreSQL words such a rule anew when it is dumped from where it was restored.
    let rule = "SET ROLE app; CREATE TABLE kind (k varchar(10) CHECK (k IN ('open', 'done')))";
    stage.server.sql("app", rule).unwrap();
    report(&mut stage.backup());
    stage.create("back");
    // Simulated is the end alone: everything was written when the server is said to be gone.
    let program = stage.server.bin().join("pg_restore");
    let lost = "pg_restore: error: could not execute query: server closed the connection unexpectedly";
    let script = format!(
        "case \"$*\" in *--single-transaction*) {0} \"$@\" && echo '{lost}' >&2 && exit 1;; *) exec {0} \"$@\";; esac",
        program.display()
    );
    let programs = stand_in(&stage, "pg_restore", &script);
    let (reason, message) = refused(stage.restore("back").arg("--postgres-bin").arg(&programs));
    assert_eq!(reason, "DatabaseOutcomeUnknown", "{message}");
    assert!(message.contains("not known") && !message.contains("nothing was changed"), "{message}");
    stage.same("app", "back");
    let again = report(stage.restore("back").arg("--resumes"));
    assert!(again["same"].as_u64().unwrap() > 12 && again["failed"] == 0, "{again:#}");
}

fn report_of_a_failure(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_database_that_cannot_be_read_is_an_error_with_field_value_and_fix_and_no_backup() {
    let stage = Stage::new(100);
    stage.server.sql("app", "CREATE TABLE hidden (a int); REVOKE ALL ON hidden FROM app").unwrap();
    let lab = |change: Value| {
        let mut backup = stage.backup_with("app", &change);
        backup.arg("--lab-local-databases");
        backup
    };
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut hub = lab(json!({}));
    hub.args(["--refuse-address", "127.0.0.1"]);
    let mut missing = stage.backup();
    missing.arg("--postgres-bin").arg(stage.place.path("nowhere"));
    // An older pg_dump is not at hand: only what one says of itself is simulated.
    let mut old = stage.backup();
    old.arg("--postgres-bin").arg(stand_in(&stage, "pg_dump", "echo 'pg_dump (PostgreSQL) 14.1'"));
    let cases = [
        (lab(json!({ "password": "wrong" })), "DatabaseLoginRefused", "app"),
        (lab(json!({ "user": "nobody" })), "DatabaseLoginRefused", "nobody"),
        (lab(json!({ "database": "absent" })), "DatabaseNotFound", "absent"),
        (lab(json!({ "port": closed })), "DatabaseUnreachable", "host and port"),
        (lab(json!({ "host": "no-such-host.invalid" })), "DatabaseUnreachable", "no-such-host"),
        (lab(json!({ "host": "/var/run/postgresql" })), "InvalidInput", "host"),
        (lab(json!({})), "DumpFailed", "hidden"),
        (hub, "AddressRefused", "control plane"),
        (missing, "ToolMissing", "postgresql-client"),
        (old, "ServerTooNew", "14.1"),
    ];
    for (mut command, expected, named) in cases {
        let (reason, message) = refused(&mut command);
        assert_eq!(reason, expected, "{message}");
        assert!(message.contains(named) && !message.contains(PASSWORD), "{message}");
    }
    // Outside a laboratory nothing on this machine is spoken to, whatever it is called.
    let ca = std::fs::read_to_string(certificate(&stage.place).0).unwrap();
    for host in ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254"] {
        let (reason, message) = refused(&mut stage.backup_with("app", &json!({ "host": host, "ca": ca })));
        assert_eq!(reason, "AddressRefused", "{host}: {message}");
    }
    let (reason, message) = refused(&mut stage.backup_with("app", &json!({})));
    assert!(reason == "InvalidInput" && message.contains("ca"), "{message}");
    let listed = report(&mut stage.place.worker("snapshots"));
    assert_eq!((&listed["backups"], &listed["unfinished"]), (&json!([]), &json!([])));
    stage.place.restic_agrees();
}

/// A folder with PostgreSQL's programs, one of them another one.
fn stand_in(stage: &Stage, name: &str, script: &str) -> PathBuf {
    let folder = stage.place.path("programs");
    std::fs::create_dir_all(&folder).unwrap();
    for program in ["pg_dump", "pg_restore"] {
        let link = folder.join(program);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(stage.server.bin().join(program), link).unwrap();
    }
    std::fs::remove_file(folder.join(name)).unwrap();
    std::fs::write(folder.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn a_target_that_cannot_take_it_is_refused_before_the_first_write() {
    let stage = Stage::new(100);
    stage.server.sql("app", "CREATE EXTENSION pg_trgm; COMMENT ON EXTENSION pg_trgm IS 'by somebody else'").unwrap();
    report(&mut stage.backup());
    let latin = "CREATE DATABASE latin OWNER app ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    stage.server.sql("postgres", latin).unwrap();
    let (reason, message) = refused(&mut stage.restore("latin"));
    assert_eq!(reason, "EncodingMismatch", "{message}");
    assert!(message.contains("LATIN1") && message.contains("UTF8"), "{message}");
    // It belongs to somebody else there, and is left as it is.
    stage.create("back");
    stage.server.sql("back", "CREATE EXTENSION pg_trgm").unwrap();
    report(&mut stage.restore("back"));
    stage.same("app", "back");
    // A role that the target does not have.
    stage.create("alone");
    stage.server.sql("postgres", "ALTER ROLE reader RENAME TO somebody").unwrap();
    stage.server.sql("app", "REVOKE ALL ON invoice FROM somebody").unwrap();
    let (reason, message) = refused(&mut stage.restore("alone"));
    assert_eq!(reason, "DatabaseNotRestored", "{message}");
    assert!(message.contains("--without-roles"), "{message}");
    assert!(stage.is_empty("alone"), "a restore that fails leaves nothing");
    report(stage.restore("alone").arg("--without-roles"));
    stage.same("app", "alone");
    // Only the name is another one: every server here offers what the packages bring.
    stage.server.sql("app", "UPDATE pg_extension SET extname = 'not_offered' WHERE extname = 'pg_trgm'").unwrap();
    report(&mut stage.backup());
    stage.create("without");
    let (reason, message) = refused(&mut stage.restore("without"));
    assert_eq!(reason, "ExtensionMissing", "{message}");
    assert!(message.contains("not_offered") && stage.is_empty("without"), "{message}");
}

/// An authority, and the certificate of a server that is called `localhost`; made by OpenSSL.
fn certificate(place: &Place) -> (PathBuf, PathBuf, PathBuf) {
    let (ca, cert, key) = (place.path("ca.pem"), place.path("server.pem"), place.path("server.key"));
    if ca.exists() {
        return (ca, cert, key);
    }
    let script = "set -e; cd \"$1\"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem";
    succeeded(&Command::new("sh").args(["-c", script, "sh"]).arg(place.path("")).output().unwrap());
    (ca, cert, key)
}

#[test]
fn with_an_authority_the_server_must_be_the_one_that_it_says_it_is() {
    let place = Place::new();
    let (ca, cert, key) = certificate(&place);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&key, Some(65534), Some(65534)).unwrap();
    }
    let server = Postgres::start_with(&[
        "ssl=on",
        &format!("ssl_cert_file={}", cert.display()),
        &format!("ssl_key_file={}", key.display()),
    ]);
    let stage = Stage::with(server.unwrap(), 100);
    let ca = std::fs::read_to_string(ca).unwrap();
    let backup = |host: &str, ca: &str| {
        let mut backup = stage.backup_with("app", &json!({ "host": host, "ca": ca }));
        backup.arg("--lab-local-databases");
        backup
    };
    report(&mut backup("localhost", &ca));
    let (reason, message) = refused(&mut backup("127.0.0.1", &ca));
    assert_eq!(reason, "DatabaseUnreachable", "another name than the certificate's: {message}");
    let other = std::fs::read_to_string(certificate(&stage.place).0).unwrap();
    let (reason, message) = refused(&mut backup("localhost", &other));
    assert_eq!(reason, "DatabaseUnreachable", "signed by another authority: {message}");
    let (reason, message) = refused(&mut backup("localhost", "none"));
    assert!(reason == "InvalidInput" && message.contains("ca"), "{message}");
}
