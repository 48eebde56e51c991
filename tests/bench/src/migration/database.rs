//! A database moved while it is written, and the same by a dump and its restore.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use zhengyun_tests::figures::Gate;
use zhengyun_tests::lab::postgres::{PASSWORD, Postgres};

use super::load::{COMMITS_A_SECOND, Heard, Load};
use super::worker::{server_cpu, verb};
use crate::outcome::{Outcome, short};
use crate::program::{self, Running, Took};
use crate::run::Run;

/// The database on either side.
pub(super) const DATABASE: &str = "archive";
/// Who writes.
pub(super) const APPLICATION: &str = "app";
/// What a dump is restored into.
const DUMPED: &str = "archive_dumped";
/// Bytes of the database for each account, which has one row of its own and one and a half in the ledger; indexes are in it.
const BYTES_AN_ACCOUNT: usize = 440;
/// How long the copy may take to be in step.
const PATIENCE: Duration = Duration::from_mins(30);
/// How long it follows after everything was compared once.
const FOLLOWED: Duration = Duration::from_mins(1);
/// How long the writers go on at the target.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// Both servers, and logins of them in files.
struct Ground {
    source: Postgres,
    target: Postgres,
    folder: tempfile::TempDir,
}

/// What each verb took.
#[derive(Debug, Default)]
struct Verbs {
    took: BTreeMap<&'static str, Took>,
    finished: Value,
    downtime: f64,
    servers_cpu: f64,
    /// Seconds until both sides had been compared once.
    compared: f64,
}

pub(super) async fn measure(outcome: &mut Outcome, run: &Run<'_>, bytes: usize) -> Result<()> {
    run.say("two servers, and a database on one of them");
    let (ground, accounts) = (Ground::start()?, bytes / BYTES_AN_ACCOUNT);
    ground.fill(accounts)?;
    let size: f64 = ground.source.sql(DATABASE, "SELECT pg_database_size(current_database())")?.parse()?;
    run.say("a dump, restored as it comes");
    let (dump, dump_servers) = ground.dump()?;
    run.say("the same database moved while it is written");
    let load = Load::start([ground.source.port, ground.target.port], accounts);
    let verbs = ground.moved(run)?;
    let begun = Instant::now();
    while begun.elapsed() < AFTERWARDS || load.on_target() == 0 {
        ensure!(begun.elapsed() < Duration::from_mins(1), "no application was let in at the target");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let heard = load.stop().await?;
    let once = ground.found_once(&heard)?;
    report(outcome, &verbs, &heard, size, once);
    let copied = verbs.wall(&["prepare", "copy"]);
    let dumped = dump.iter().map(|took| took.wall).fold(0.0, f64::max);
    outcome.figure(
        "database, pg_dump | pg_restore",
        dumped,
        "s",
        None,
        format!(
            "at rest, and so long it would be closed; CPU {} s, of the servers {} s; the move was in step, under load, after {} s",
            short(dump.iter().map(|took| took.cpu).sum()),
            short(dump_servers),
            short(copied),
        ),
    );
    outcome.figure(
        "database, downtime of the dump",
        dumped / verbs.downtime,
        "×",
        None,
        "of that of the move, without any comparison of what was restored",
    );
    Ok(())
}

fn report(outcome: &mut Outcome, verbs: &Verbs, heard: &Heard, size: f64, once: usize) {
    let number = |field: &str| verbs.finished.get(field).and_then(Value::as_f64).unwrap_or_default();
    let steps = ["freeze", "finish", "open"].map(|step| format!("{step} {} s", short(verbs.wall(&[step])))).join(", ");
    outcome.figure(
        "database, downtime",
        verbs.downtime,
        "s",
        Some(Gate::AtMost(5.0)),
        format!("from the begin of freeze to the end of open, {} MB: {steps}", short(size / 1e6)),
    );
    outcome.figure(
        "database, commits a second",
        heard.rate,
        "",
        Some(Gate::AtLeast(f64::from(COMMITS_A_SECOND) * 0.95)),
        "acknowledged by the source while it was copied, each a row of the log, a row of the ledger and a change of any account",
    );
    outcome.figure(
        "database, pause",
        heard.pause,
        "s",
        None,
        "for applications: from the last commit at the source to the first at the target",
    );
    outcome.figure(
        "database, dirty share",
        number("dirtyShare") * 100.0,
        "%",
        None,
        format!("{} of {} chunks were read in the freeze, on both sides", number("read"), number("chunks")),
    );
    outcome.figure(
        "database, in step after",
        verbs.wall(&["prepare", "copy"]),
        "s",
        None,
        format!(
            "under load, and compared after {} s; CPU of the worker {} s in all, of both servers {} s until the freeze, applications in it",
            short(verbs.compared),
            short(verbs.took.values().map(|took| took.cpu).sum()),
            short(verbs.servers_cpu)
        ),
    );
    let peak = verbs.took.values().map(|took| took.peak_mb).fold(0.0, f64::max);
    outcome.figure("database, peak memory", peak, "MB", None, "of the worker, the highest of all verbs");
    outcome.figure(
        "commits, acknowledged",
        heard.numbers.len() as f64,
        "",
        None,
        format!("{} of them by the target", heard.on_target),
    );
    outcome.figure(
        "commits, found once",
        once as f64,
        "",
        None,
        "of the acknowledged ones, at the target, and every account holds what was added to it",
    );
    outcome.note(format!("finish took, in ms: {}", verbs.finished.get("took").unwrap_or(&Value::Null)));
}

impl Verbs {
    fn wall(&self, verbs: &[&str]) -> f64 {
        verbs.iter().filter_map(|verb| self.took.get(verb)).map(|took| took.wall).sum()
    }
}

impl Ground {
    fn start() -> Result<Self> {
        let source = ["wal_level=logical", "max_slot_wal_keep_size=4GB", "shared_buffers=256MB"];
        // By default, a server waits for seconds before it follows again.
        let target = ["wal_retrieve_retry_interval=50ms", "shared_buffers=256MB"];
        Ok(Self {
            source: Postgres::start_with(&source)?,
            target: Postgres::start_with(&target)?,
            folder: tempfile::Builder::new().prefix("zhengyun-bench-migration-").tempdir()?,
        })
    }

    /// Accounts, the ledger, and the numbers of commits.
    fn fill(&self, accounts: usize) -> Result<()> {
        self.source.sql(
            "postgres",
            &format!("CREATE ROLE {APPLICATION} LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE {DATABASE}"),
        )?;
        self.source.sql(
            DATABASE,
            &format!(
                "GRANT CREATE ON SCHEMA public TO {APPLICATION}; SET ROLE {APPLICATION}; \
                 CREATE TABLE log (id bigserial PRIMARY KEY, n bigint NOT NULL); \
                 CREATE TABLE account (id bigint PRIMARY KEY, amount bigint NOT NULL, owner text NOT NULL); \
                 CREATE TABLE entry (id bigserial PRIMARY KEY, account bigint NOT NULL, amount bigint NOT NULL, note text NOT NULL); \
                 INSERT INTO account SELECT n, 0, repeat(md5(n::text), 3) FROM generate_series(1, {accounts}) n; \
                 INSERT INTO entry (account, amount, note) SELECT 1 + n % {accounts}, 0, repeat(md5(n::text), 3) \
                   FROM generate_series(1, {}) n; \
                 RESET ROLE; ANALYZE",
                accounts * 3 / 2
            ),
        )?;
        self.target.sql("postgres", &format!("CREATE DATABASE {DATABASE}; CREATE DATABASE {DUMPED}"))?;
        Ok(())
    }

    fn servers_cpu(&self) -> Result<f64> {
        let both = server_cpu(self.source.process().0)? + server_cpu(self.target.process().0)?;
        Ok(both.as_secs_f64())
    }

    fn dump(&self) -> Result<([Took; 2], f64)> {
        let program = |name: &str, server: &Postgres, database: &str| {
            let mut command = Command::new(server.bin().join(name));
            command.env("PGPASSWORD", PASSWORD).args(["-h", "127.0.0.1", "-U", "postgres", "-d", database, "-p"]);
            command.arg(server.port.to_string());
            command
        };
        let before = self.servers_cpu()?;
        let mut dump = program("pg_dump", &self.source, DATABASE);
        dump.args(["--format=custom", "--compress=0"]);
        let mut restore = program("pg_restore", &self.target, DUMPED);
        restore.args(["--no-owner", "--no-privileges", "--exit-on-error"]);
        let [dump, restore] = program::run_piped(&mut dump, &mut restore)?;
        let both = [dump.succeeded("pg_dump")?, restore.succeeded("pg_restore")?];
        let servers = self.servers_cpu()? - before;
        self.target.sql("postgres", &format!("DROP DATABASE {DUMPED}"))?;
        Ok((both, servers))
    }

    /// The verbs in their order; the copy follows until it is in step.
    fn moved(&self, run: &Run<'_>) -> Result<Verbs> {
        let (mut verbs, before) = (Verbs::default(), self.servers_cpu()?);
        verbs.took.insert("prepare", program::run(&mut self.verb("prepare")?)?.succeeded("prepare")?);
        let copying = Instant::now();
        let follower = Running::start(self.verb("copy")?.arg("--follow"))?;
        let (mut copied, mut compared) = (None, false);
        follower.until(PATIENCE, |line| {
            if copied.is_none() && is_in_step(line) {
                copied = Some(copying.elapsed().as_secs_f64());
            }
            compared |= line.contains("everything was compared once");
            copied.is_some() && compared
        })?;
        verbs.compared = copying.elapsed().as_secs_f64();
        run.say("the copy is in step, and everything was compared once");
        // A copy follows for days; what was written while everything was read is read again in the next rounds.
        std::thread::sleep(FOLLOWED);
        follower.stop()?;
        let mut follower = follower.end()?.succeeded("copy")?;
        follower.wall = copied.unwrap_or_default();
        verbs.servers_cpu = self.servers_cpu()? - before;
        verbs.took.insert("copy", follower);
        let closed = Instant::now();
        for step in ["freeze", "finish", "open"] {
            let took = program::run(&mut self.verb(step)?)?.succeeded(step)?;
            if step == "finish" {
                verbs.finished = took.report()?;
            }
            verbs.took.insert(step, took);
        }
        verbs.downtime = closed.elapsed().as_secs_f64();
        ensure!(verbs.finished.get("equal") == Some(&Value::Bool(true)), "both sides were not found equal");
        Ok(verbs)
    }

    fn verb(&self, name: &str) -> Result<Command> {
        let mut command = verb("database", name)?;
        command.arg("--lab-local-databases").arg("--postgres-bin").arg(self.source.bin());
        command.arg("--source-database-file").arg(login(self.folder.path(), "source", &self.source)?);
        command.arg("--target-database-file").arg(login(self.folder.path(), "target", &self.target)?);
        Ok(command)
    }

    /// How many acknowledged commits are at the target exactly once; all of them, or it is an error. What the accounts hold is what
    /// all commits that are there added.
    fn found_once(&self, heard: &Heard) -> Result<usize> {
        let rows = self.target.sql(DATABASE, "SELECT n, count(*) FROM log GROUP BY n")?;
        let mut there = BTreeMap::new();
        for row in rows.lines() {
            let (number, count) = row.split_once('|').context("a number and a count")?;
            there.insert(number.parse::<u64>()?, count.parse::<u64>()?);
        }
        let once = heard.numbers.iter().filter(|number| there.get(number) == Some(&1)).count();
        ensure!(
            once == heard.numbers.len(),
            "{} acknowledged commits, {once} of them once at the target",
            heard.numbers.len()
        );
        let sums = self.target.sql(
            DATABASE,
            "SELECT (SELECT sum(amount) FROM account), (SELECT sum(amount) FROM entry), (SELECT count(*) FROM log)",
        )?;
        let sums: Vec<&str> = sums.split('|').collect();
        ensure!(sums.windows(2).all(|pair| pair.first() == pair.last()), "half a commit is at the target: {sums:?}");
        Ok(once)
    }
}

/// Whether a line of progress says that the target follows and has everything of a moment ago.
fn is_in_step(line: &str) -> bool {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let progress = |field: &str| line.get("progress").and_then(|progress| progress.get(field));
    progress("phase").and_then(Value::as_str) == Some("following")
        && progress("lagSeconds").and_then(Value::as_u64).is_some_and(|seconds| seconds <= 3)
}

fn login(folder: &Path, name: &str, server: &Postgres) -> Result<PathBuf> {
    let login = json!({
        "host": "127.0.0.1", "port": server.port, "database": DATABASE, "user": "postgres", "password": PASSWORD
    });
    let file = folder.join(name);
    std::fs::write(&file, login.to_string())?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}
