//! Databases moved from one server to another: two real servers, applications that write all the time, and what each verb refuses.

mod applications;
mod bounds;
mod kills;
mod known;
mod proofs;
mod refusals;
mod rollback;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::postgres::{PASSWORD, Postgres};
use crate::support::{report, worker};
use applications::{Prober, Writer};

/// The database on either side.
const DATABASE: &str = "archive";

/// Two servers, a database on each, and a migration between them.
pub(crate) struct Move {
    source: Postgres,
    target: Postgres,
    dir: tempfile::TempDir,
    epoch: u64,
}

/// What a source needs for replication.
const LOGICAL: [&str; 3] = ["wal_level=logical", "max_slot_wal_keep_size=2GB", "max_prepared_transactions=2"];

/// What applications work with: rows that are numbered, rows that change, and all that replication does not carry by itself.
const CONTENT: &str = "SET ROLE app;
    CREATE TABLE log (id bigserial PRIMARY KEY, n bigint NOT NULL, at timestamptz DEFAULT now());
    CREATE TABLE account (id int PRIMARY KEY, amount numeric(12,2) NOT NULL DEFAULT 0, note text);
    INSERT INTO account SELECT n, n / 7.0, md5(n::text) FROM generate_series(1, 5000) n;
    CREATE TABLE \"票据 \"\"odd\" (\"列\" text PRIMARY KEY, b bytea, j jsonb, f float8, a int[]);
    INSERT INTO \"票据 \"\"odd\" SELECT E'x\\\\' || n, decode(md5(n::text), 'hex'), jsonb_build_object('n', n), n / 3.0, ARRAY[n, NULL] FROM generate_series(1, 500) n;
    CREATE TABLE part (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE part_a PARTITION OF part FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE part_b PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO part SELECT n, date '2025-06-01' + n FROM generate_series(1, 400) n;
    CREATE TABLE child (id int PRIMARY KEY REFERENCES account, v int GENERATED ALWAYS AS (id * 2) STORED);
    INSERT INTO child SELECT n FROM generate_series(1, 100) n;
    CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM account;
    CREATE VIEW open_accounts AS SELECT * FROM account WHERE amount > 0;
    CREATE SEQUENCE ticket START 100; SELECT nextval('ticket') FROM generate_series(1, 17);
    CREATE SEQUENCE untouched;
    GRANT SELECT ON account TO reader;
    RESET ROLE;";

impl Move {
    fn new() -> Self {
        Self::with(&LOGICAL)
    }

    /// With settings of the source's server.
    fn with(settings: &[&str]) -> Self {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let place = Self {
            source: Postgres::start_copied(kept, "source", settings).unwrap(),
            // By default, a server waits for seconds before it follows again.
            target: Postgres::start_copied(kept, "target", &["wal_retrieve_retry_interval=50ms"]).unwrap(),
            dir: tempfile::tempdir().unwrap(),
            epoch: 1,
        };
        let create = format!(
            "CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE {DATABASE}"
        );
        place.source.sql("postgres", &create).unwrap();
        place.source.sql(DATABASE, &format!("GRANT CREATE ON SCHEMA public TO app; {CONTENT}")).unwrap();
        place.target.sql("postgres", &format!("CREATE DATABASE {DATABASE}")).unwrap();
        place
    }

    fn login(&self, name: &str, server: &Postgres, change: &Value) -> PathBuf {
        let mut login = json!({
            "host": "127.0.0.1", "port": server.port, "database": DATABASE, "user": "postgres", "password": PASSWORD
        });
        login.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let file = self.dir.path().join(name);
        std::fs::write(&file, login.to_string()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    fn verb(&self, verb: &str) -> Command {
        let mut worker = worker("move");
        worker.args(["database", verb, "--migration", "finance/archive", "--epoch", &self.epoch.to_string()]);
        worker.arg("--lab-local-databases");
        worker.arg("--source-database-file").arg(self.login("source", &self.source, &json!({})));
        worker.arg("--target-database-file").arg(self.login("target", &self.target, &json!({})));
        worker
    }

    fn prepared(&self) -> Value {
        report(&mut self.verb("prepare"))
    }

    /// Prepared, and copied once.
    fn copied(&self) -> Value {
        self.prepared();
        report(&mut self.verb("copy"))
    }

    /// Keeps in step until it is ended.
    fn following(&self) -> Follower {
        let mut copy = self.verb("copy");
        copy.arg("--follow").stdout(Stdio::piped()).stderr(Stdio::piped());
        Follower(Some(copy.spawn().unwrap()))
    }

    /// Waits for the state of the world.
    fn until(&self, what: &str, mut seen: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !seen(self) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the migration left behind on either side.
    fn traces(&self) -> Vec<String> {
        let query = "SELECT 'slot ' || slot_name FROM pg_replication_slots UNION ALL SELECT 'publication ' || pubname FROM pg_publication \
             UNION ALL SELECT 'subscription ' || subname FROM pg_subscription UNION ALL SELECT 'schema ' || nspname FROM pg_namespace \
             WHERE nspname = 'zhengyun_move' UNION ALL SELECT 'extension ' || extname FROM pg_extension WHERE extname <> 'plpgsql'";
        let both = [sql(&self.source, query), sql(&self.target, query)];
        both.iter().flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Both sides hold the same rows, as the servers themselves say.
    fn assert_equal(&self) {
        let (source, target) = (self.source.digests(DATABASE).unwrap(), self.target.digests(DATABASE).unwrap());
        let of_people =
            |all: Vec<String>| all.into_iter().filter(|line| !line.contains("zhengyun_move")).collect::<Vec<_>>();
        let (source, target) = (of_people(source), of_people(target));
        assert!(source.len() >= 6, "{source:?}");
        assert_eq!(source, target);
    }
}

fn sql(side: &Postgres, statements: &str) -> String {
    side.sql(DATABASE, statements).unwrap()
}

/// Who may come into a database, in its server's own words.
fn privileges(server: &Postgres) -> String {
    let query = format!(
        "SELECT a.grantor::regrole, a.grantee, a.privilege_type, a.is_grantable FROM pg_database d, \
         aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE datname = '{DATABASE}' ORDER BY 1, 2, 3; \
         SELECT rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1"
    );
    server.sql("postgres", &query).unwrap()
}

/// A copy that follows.
struct Follower(Option<Child>);

impl Follower {
    /// Asks it to stop, and takes its report.
    fn stop(mut self) -> Value {
        let child = self.0.take().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        crate::support::succeeded(&output);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits for it to fail; the reason and the message.
    fn fails(mut self) -> (String, String) {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "it ended well");
        let error: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
        (error["error"]["reason"].as_str().unwrap().to_owned(), error["error"]["message"].as_str().unwrap().to_owned())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_database_is_moved_while_it_is_written_and_every_commit_is_there_once() {
    let place = Move::new();
    let assessed = report(&mut place.verb_of_source("assess"));
    assert_eq!(
        (&assessed["mode"], &assessed["inventory"]["tables"]),
        (&json!("replication"), &json!(6)),
        "{assessed:#}"
    );
    assert_eq!(place.traces(), [""; 0], "assessing writes nothing");
    let writer = Writer::start(&place);
    let prober = Prober::start(&place);
    let prepared = place.prepared();
    assert_eq!(prepared["prepared"], true, "{prepared:#}");
    assert_eq!(place.prepared()["made"], json!([]), "it may be said again");
    let follower = place.following();
    let complete = "SELECT record ->> 'complete' IS NOT NULL FROM zhengyun_move.fence";
    place.until("a copy", |place| sql(&place.target, complete) == "t");
    let followed = follower.stop();
    assert_eq!(followed["tables"], 6, "{followed:#}");
    let compared = report(&mut place.verb("compare"));
    assert_eq!(compared["equal"], true, "{compared:#}");
    let begun = Instant::now();
    let frozen = report(&mut place.verb("freeze"));
    assert_eq!((&frozen["strength"], &frozen["state"]), (&json!("Proven"), &json!("frozen")), "{frozen:#}");
    let finished = report(&mut place.verb("finish"));
    assert_eq!((&finished["equal"], &finished["sequences"]), (&json!(true), &json!(3)), "{finished:#}");
    assert_eq!(finished["sourceDigest"], finished["targetDigest"]);
    assert!(prober.wrote_to(1) == 0, "the target was open too early");
    let opened = report(&mut place.verb("open"));
    let downtime = begun.elapsed();
    assert_eq!(opened["state"], "open", "{opened:#}");
    assert_eq!(report(&mut place.verb("open"))["state"], "open", "it may be said again");
    place.until("a write to the target", |_| prober.wrote_to(1) > 0);
    let written = writer.stop_after_target();
    prober.assert_one_side(&[(begun, None)]);
    assert_eq!(sql(&place.target, "SELECT n FROM sums"), "5000");
    assert_eq!(sql(&place.target, "SELECT nextval('ticket')"), "117");
    assert_eq!(sql(&place.target, "SELECT nextval('untouched')"), "1");
    written.assert_there_once(&place.target);
    eprintln!("{} commits, {} on the target, closed for {downtime:?}", written.acknowledged.len(), written.on_target);
    report(&mut place.verb("drop"));
    assert_eq!(place.traces(), [""; 0]);
    assert_eq!(report(&mut place.verb("drop"))["removed"], json!([]), "it may be said again");
}

impl Move {
    fn verb_of_source(&self, verb: &str) -> Command {
        let mut worker = worker("move");
        worker.args(["database", verb, "--migration", "finance/archive", "--epoch", "1", "--lab-local-databases"]);
        worker.arg("--source-database-file").arg(self.login("source", &self.source, &json!({})));
        worker
    }
}
