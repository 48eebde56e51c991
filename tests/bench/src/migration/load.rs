//! Applications that number their commits and write on whichever side lets them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::{Client, Config, NoTls};
use zhengyun_tests::lab::postgres::PASSWORD;

use super::database::{APPLICATION, DATABASE};
use crate::chance::Chance;

/// Commits a second, of all writers together.
pub(super) const COMMITS_A_SECOND: u32 = 500;
/// Sessions that write.
const WRITERS: u32 = 10;
/// How long a try to connect or to write may take.
const TRY: Duration = Duration::from_secs(5);
/// Between two tries to connect.
const AGAIN: Duration = Duration::from_millis(20);

/// A commit that a server acknowledged.
#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    number: u64,
    at: Instant,
    on_target: bool,
}

/// What all writers share.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// The number that was given last.
    number: AtomicU64,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

/// Writers at work.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    writers: JoinSet<()>,
    begun: Instant,
}

/// What the writers heard.
#[derive(Debug)]
pub(super) struct Heard {
    /// Numbers of acknowledged commits.
    pub(super) numbers: BTreeSet<u64>,
    /// Those that the target acknowledged.
    pub(super) on_target: usize,
    /// Commits a second that the source acknowledged, up to its freeze.
    pub(super) rate: f64,
    /// Seconds from the last acknowledged commit at the source to the first at the target.
    pub(super) pause: f64,
}

impl Load {
    /// Starts writers that change these accounts, numbered from 1.
    pub(super) fn start(ports: [u16; 2], accounts: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(Arc::clone(&shared), ports, accounts as u64, u64::from(writer)));
        }
        Self { shared, writers, begun: Instant::now() }
    }

    /// Commits that were acknowledged by the target.
    pub(super) fn on_target(&self) -> usize {
        let all = self.shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|commit| commit.on_target).count()
    }

    /// Ends the writers.
    ///
    /// # Errors
    /// When a side never acknowledged anything, or a number was acknowledged twice.
    pub(super) async fn stop(self) -> Result<Heard> {
        self.shared.stop.store(true, Ordering::Release);
        self.writers.join_all().await;
        let all = self.shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let numbers: BTreeSet<u64> = all.iter().map(|commit| commit.number).collect();
        ensure!(numbers.len() == all.len(), "a number was given twice");
        let of =
            |on_target: bool| all.iter().filter(move |commit| commit.on_target == on_target).map(|commit| commit.at);
        let (last, first) = (of(false).max(), of(true).min());
        let (Some(last), Some(first)) = (last, first) else {
            anyhow::bail!("the writers were not let in on both sides: {} commits", all.len())
        };
        Ok(Heard {
            on_target: of(true).count(),
            rate: of(false).count() as f64 / last.duration_since(self.begun).as_secs_f64(),
            pause: first.saturating_duration_since(last).as_secs_f64(),
            numbers,
        })
    }
}

async fn connect(port: u16) -> Option<Client> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user(APPLICATION).password(PASSWORD).dbname(DATABASE).connect_timeout(TRY);
    let (client, connection) = timeout(TRY, config.connect(NoTls)).await.ok()?.ok()?;
    tokio::spawn(connection);
    Some(client)
}

async fn write(shared: Arc<Shared>, ports: [u16; 2], accounts: u64, seed: u64) {
    let mut chance = Chance::new(seed);
    let mut tick = interval(Duration::from_secs(1) * WRITERS / COMMITS_A_SECOND);
    // What could not be written while both sides were closed is not made up for.
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !shared.stop.load(Ordering::Acquire) {
        for (side, port) in ports.into_iter().enumerate() {
            let Some(client) = connect(port).await else { continue };
            while !shared.stop.load(Ordering::Acquire) {
                tick.tick().await;
                // What becomes of one that fails is not known; its number is not used again.
                let number = shared.number.fetch_add(1, Ordering::Relaxed) + 1;
                let account = 1 + chance.below(accounts);
                let statements = format!(
                    "BEGIN; INSERT INTO log (n) VALUES ({number}); \
                     INSERT INTO entry (account, amount, note) VALUES ({account}, 1, md5('{number}')); \
                     UPDATE account SET amount = amount + 1 WHERE id = {account}; COMMIT"
                );
                match timeout(TRY, client.batch_execute(&statements)).await {
                    Ok(Ok(())) => {
                        let commit = Acknowledged { number, at: Instant::now(), on_target: side == 1 };
                        shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(commit);
                    }
                    _ => break,
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
