//! Applications: one that numbers its commits, and one that tries to write on both sides all the time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls};

use super::{DATABASE, Move};
use crate::postgres::{PASSWORD, Postgres};

/// How long a try to connect or to write may take.
const TRY: Duration = Duration::from_secs(5);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn connect(port: u16) -> Option<Client> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("app").password(PASSWORD).dbname(DATABASE).connect_timeout(TRY);
    let (client, connection) = tokio::time::timeout(TRY, config.connect(NoTls)).await.ok()?.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// Writes numbered rows and changes others, on whichever side lets it.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    written: Arc<Mutex<Written>>,
    thread: JoinHandle<()>,
}

/// What was acknowledged.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) acknowledged: Vec<u64>,
    pub(super) on_target: usize,
}

impl Writer {
    pub(super) fn start(place: &Move) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Written::default())));
        let (ending, all, ports) = (Arc::clone(&stop), Arc::clone(&written), [place.source.port, place.target.port]);
        let thread = std::thread::spawn(move || runtime().block_on(write(&ports, &ending, &all)));
        Self { stop, written, thread }
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.written.lock().unwrap().acknowledged.len()
    }

    pub(super) fn on_target(&self) -> usize {
        self.written.lock().unwrap().on_target
    }

    pub(super) fn stop(self) -> Written {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap();
        Arc::try_unwrap(self.written).unwrap().into_inner().unwrap()
    }

    /// Once it wrote to the target as well.
    pub(super) fn stop_after_target(self) -> Written {
        let begun = Instant::now();
        while self.on_target() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never wrote to the target");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.stop()
    }
}

/// Notes a commit that the server acknowledged. A function of its own, so that the lock is given back before any wait.
fn acknowledge(all: &Mutex<Written>, number: u64, side: usize) {
    let mut all = all.lock().unwrap();
    all.acknowledged.push(number);
    all.on_target += side;
}

async fn write(ports: &[u16; 2], ending: &AtomicBool, all: &Mutex<Written>) {
    let mut number = 0_u64;
    while !ending.load(Ordering::Acquire) {
        for (side, port) in ports.iter().enumerate() {
            let Some(client) = connect(*port).await else { continue };
            loop {
                number += 1;
                // What becomes of one that fails is not known; its number is not used again.
                let statements = format!(
                    "BEGIN; INSERT INTO log (n) VALUES ({number}); UPDATE account SET amount = amount + 1, note = md5('{number}') \
                     WHERE id = {}; COMMIT",
                    number % 5000 + 1
                );
                if client.batch_execute(&statements).await.is_err() {
                    break;
                }
                acknowledge(all, number, side);
                if ending.load(Ordering::Acquire) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Written {
    /// Every acknowledged commit is there, and none twice.
    pub(super) fn assert_there_once(&self, server: &Postgres) {
        let rows = server.sql(DATABASE, "SELECT n, count(*) FROM log GROUP BY 1").unwrap();
        let there: BTreeMap<u64, u64> = rows
            .lines()
            .map(|line| line.split_once('|').unwrap())
            .map(|(n, count)| (n.parse().unwrap(), count.parse().unwrap()))
            .collect();
        let lost: Vec<_> = self.acknowledged.iter().filter(|n| !there.contains_key(n)).collect();
        assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), self.acknowledged.len());
        let twice: Vec<_> = there.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        assert!(self.acknowledged.len() > 20, "too few commits to say anything: {}", self.acknowledged.len());
    }
}

/// Tries to write on both sides, each with a new session and with one that it keeps.
pub(super) struct Prober {
    stop: Arc<AtomicBool>,
    /// When a write on a side was begun and acknowledged.
    wrote: Arc<Mutex<Vec<(usize, Instant, Instant)>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Prober {
    pub(super) fn start(place: &Move) -> Self {
        let (stop, wrote) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let probe = |side: usize, port: u16| {
            let (stop, wrote) = (Arc::clone(&stop), Arc::clone(&wrote));
            std::thread::spawn(move || runtime().block_on(probe(side, port, &stop, &wrote)))
        };
        let threads = vec![probe(0, place.source.port), probe(1, place.target.port)];
        Self { stop, wrote, threads }
    }

    pub(super) fn wrote_to(&self, side: usize) -> usize {
        self.wrote.lock().unwrap().iter().filter(|(of, _, _)| *of == side).count()
    }

    /// The last write that was acknowledged on a side.
    pub(super) fn last(&self, side: usize) -> Option<Instant> {
        self.wrote.lock().unwrap().iter().filter(|(of, _, _)| *of == side).map(|(_, _, at)| *at).max()
    }

    /// The source was never written after the target, but where the way back was taken: each pair is when the source was frozen and
    /// when it was given back.
    pub(super) fn assert_one_side(mut self, frozen: &[(Instant, Option<Instant>)]) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        let wrote = self.wrote.lock().unwrap().clone();
        let within = |at: Instant| frozen.iter().any(|(from, to)| at >= *from && to.is_none_or(|to| at <= to));
        for (side, begun, ended) in &wrote {
            if *side == 1 {
                assert!(within(*begun) && within(*ended), "the target was written outside of a freeze");
            }
        }
        for (from, to) in frozen {
            let inside = |side: usize| {
                wrote
                    .iter()
                    .filter(move |(of, begun, _)| *of == side && begun >= from && to.is_none_or(|to| *begun <= to))
            };
            let first_of_target = inside(1).map(|(_, begun, _)| *begun).min();
            let last_of_source = inside(0).map(|(_, _, ended)| *ended).max();
            if let (Some(target), Some(source)) = (first_of_target, last_of_source) {
                assert!(source < target, "both sides were writable");
            }
        }
        assert!(wrote.iter().any(|(side, _, _)| *side == 0), "it never wrote to the source");
    }
}

async fn probe(side: usize, port: u16, stop: &AtomicBool, wrote: &Mutex<Vec<(usize, Instant, Instant)>>) {
    let mut kept: Option<Client> = None;
    while !stop.load(Ordering::Acquire) {
        let fresh = connect(port).await;
        for client in [&kept, &fresh].into_iter().flatten() {
            let begun = Instant::now();
            if client.batch_execute("UPDATE account SET note = 'probed' WHERE id = 1").await.is_ok() {
                wrote.lock().unwrap().push((side, begun, Instant::now()));
            }
        }
        if fresh.is_some() {
            kept = fresh;
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// Whether an application can write on a server now.
pub(super) fn can_write(port: u16) -> bool {
    runtime().block_on(async {
        let Some(client) = connect(port).await else { return false };
        client.batch_execute("UPDATE account SET note = 'asked' WHERE id = 2").await.is_ok()
    })
}
