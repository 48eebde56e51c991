//! The application of the system that moves: it numbers its commits, and tries to write on both sides all the time.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};

use crate::lab::postgres::{PASSWORD, Superuser};
use crate::lab::wait::settled;

/// How long a try to connect or to write may take.
const TRY: Duration = Duration::from_secs(5);
/// Between two commits.
const PACE: Duration = Duration::from_millis(4);
/// A side that does not let it in is tried again after this.
const AGAIN: Duration = Duration::from_millis(50);
/// Longest wait for a side to be written.
const PATIENCE: Duration = Duration::from_mins(2);
/// Rows that its commits change, besides the one that they add.
pub(super) const SECTORS: u64 = 5_000;

/// Where a commit was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Room,
    Cloud,
}

/// A commit that the server acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commit {
    number: u64,
    side: Side,
    begun: Instant,
    pub(super) acknowledged: Instant,
}

/// Runs until it is dropped.
pub(super) struct Application {
    commits: Arc<Mutex<Vec<Commit>>>,
    sides: JoinSet<()>,
}

impl Application {
    /// Starts to write to a database on both servers.
    pub(super) fn start(database: &'static str, room: u16, cloud: u16) -> Self {
        let (commits, numbers) = (Arc::default(), Arc::new(AtomicU64::new(0)));
        let mut sides = JoinSet::new();
        for (side, port) in [(Side::Room, room), (Side::Cloud, cloud)] {
            sides.spawn(write(side, port, database, Arc::clone(&numbers), Arc::clone(&commits)));
        }
        Self { commits, sides }
    }

    fn commits(&self) -> std::sync::MutexGuard<'_, Vec<Commit>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many commits were acknowledged.
    pub(super) fn count(&self) -> usize {
        self.commits().len()
    }

    /// The first commit that a side acknowledged after a moment; it is waited for.
    pub(super) async fn writes(&self, side: Side, since: Instant) -> Result<Commit> {
        settled(&format!("the application writes to the {side:?} side"), PATIENCE, || async {
            let found = self.commits().iter().find(|one| one.side == side && one.acknowledged > since).copied();
            Ok(found.ok_or_else(|| format!("{} commits so far, none of them there since", self.count())))
        })
        .await
    }

    /// How long nothing had been acknowledged before a commit.
    pub(super) fn silence_before(&self, commit: &Commit) -> Result<Duration> {
        let commits = self.commits();
        let before = commits.iter().map(|one| one.acknowledged).filter(|at| *at < commit.acknowledged).max();
        Ok(commit.acknowledged - before.context("it wrote before")?)
    }

    /// Ends it. What was under way and not acknowledged does not count.
    pub(super) async fn stop(mut self) -> Written {
        self.sides.shutdown().await;
        Written(std::mem::take(&mut *self.commits()))
    }
}

async fn connect(port: u16, database: &str) -> Option<Client> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("app").password(PASSWORD).dbname(database).connect_timeout(TRY);
    let (client, connection) = tokio::time::timeout(TRY, config.connect(NoTls)).await.ok()?.ok()?;
    tokio::spawn(connection);
    Some(client)
}

async fn write(side: Side, port: u16, database: &str, numbers: Arc<AtomicU64>, commits: Arc<Mutex<Vec<Commit>>>) {
    loop {
        if let Some(client) = connect(port, database).await {
            loop {
                // What becomes of one that fails is not known; its number is not used again.
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let statements = format!(
                    "BEGIN; INSERT INTO commit_log (n) VALUES ({number}); \
                     UPDATE sector SET visits = visits + 1 WHERE id = {}; COMMIT",
                    number % SECTORS + 1
                );
                let begun = Instant::now();
                let Ok(Ok(())) = tokio::time::timeout(TRY, client.batch_execute(&statements)).await else { break };
                let commit = Commit { number, side, begun, acknowledged: Instant::now() };
                commits.lock().unwrap_or_else(PoisonError::into_inner).push(commit);
                tokio::time::sleep(PACE).await;
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Everything that was acknowledged.
pub(super) struct Written(Vec<Commit>);

impl Written {
    /// How long both sides were writable, by what they acknowledged: the room must not have acknowledged anything after the cloud began to.
    pub(super) fn both_writable(&self) -> Duration {
        let of = |side: Side| self.0.iter().filter(move |one| one.side == side);
        let cloud = of(Side::Cloud).map(|one| one.begun).min();
        let room = of(Side::Room).map(|one| one.acknowledged).max();
        match (cloud, room) {
            (Some(cloud), Some(room)) => room.saturating_duration_since(cloud),
            _ => Duration::ZERO,
        }
    }

    /// How many a side acknowledged.
    pub(super) fn on(&self, side: Side) -> usize {
        self.0.iter().filter(|one| one.side == side).count()
    }

    /// Looks for each of them in a database, by SQL; how many are there once.
    ///
    /// # Errors
    /// When one is not there, or there more than once.
    pub(super) fn found_in(&self, server: &Superuser, database: &str) -> Result<usize> {
        let mut statements =
            "CREATE TEMP TABLE acknowledged (n bigint PRIMARY KEY);\nCOPY acknowledged FROM stdin;\n".to_owned();
        for commit in &self.0 {
            writeln!(statements, "{}", commit.number)?;
        }
        statements.push_str(
            "\\.\nSELECT count(*) FILTER (WHERE times = 1), count(*) FILTER (WHERE times = 0), count(*) FILTER (WHERE times > 1) \
             FROM (SELECT a.n, count(c.n) AS times FROM acknowledged a LEFT JOIN commit_log c ON c.n = a.n GROUP BY a.n) counted;",
        );
        let answer = server.sql(database, &statements)?;
        let counts: Result<Vec<usize>, _> = answer.split('|').map(str::parse).collect();
        let Ok(&[once, missing, repeated]) = counts.as_deref() else { anyhow::bail!("psql answers {answer}") };
        ensure!(
            missing == 0 && repeated == 0 && once == self.0.len(),
            "of {} acknowledged commits, {once} are on the target once, {missing} are missing, {repeated} are there more than once",
            self.0.len()
        );
        Ok(once)
    }
}
