//! **Conformance** of the in-memory API server: random sequences of requests go to it and to a real kube-apiserver of the lab,
//! and both must answer alike, down to the events of watches. `ZHENGYUN_CONFORMANCE` says how many sequences (300 by default),
//! `ZHENGYUN_CONFORMANCE_FROM` the seed of the first; `ZHENGYUN_CONFORMANCE_SEED` and `ZHENGYUN_CONFORMANCE_CASE` play one alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

mod cases;
mod generate;
mod ground;
mod guards;
mod kinds;
mod memory;
mod play;
mod side;
mod step;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;

use ground::Ground;
use play::Outcome;
use step::Step;

/// How often a sequence is begun anew because the real server was too busy, each time after four times the pause.
const ATTEMPTS: u32 = 5;

/// Sequences that run at once: the real server is waited for most of the time.
const AT_ONCE: usize = 16;

/// How often it is told how far it is.
const TELL: Duration = Duration::from_secs(10);

/// Sequences without being told how many.
const COUNT: u64 = 300;

/// What a run of [`COUNT`] random sequences must have met for it to say anything: requests or events, and their codes.
const MET: &[(&str, u16)] = &[
    ("POST", 201),
    ("POST", 400),
    ("POST", 404),
    ("POST", 409),
    ("POST", 422),
    ("POST, dry", 201),
    ("GET", 200),
    ("GET", 404),
    ("GET", 400),
    ("PUT", 200),
    ("PUT", 400),
    ("PUT", 404),
    ("PUT", 409),
    ("PUT", 422),
    ("PUT of the status", 200),
    ("PUT of the status", 422),
    ("merge patch", 200),
    ("merge patch", 404),
    ("merge patch", 422),
    ("merge patch of the status", 200),
    ("merge patch of the status", 422),
    ("JSON patch", 200),
    ("JSON patch", 422),
    ("apply", 200),
    ("apply", 201),
    ("apply", 409),
    ("apply", 422),
    ("apply of the status", 200),
    ("DELETE", 200),
    ("DELETE", 404),
    ("DELETE", 409),
    ("event ADDED", 200),
    ("event MODIFIED", 200),
    ("event DELETED", 200),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The end of the names of what a later attempt makes.
fn again(attempt: u32) -> String {
    if attempt == 0 { String::new() } else { format!("r{attempt}") }
}

/// A sequence, by how it is asked for alone.
#[derive(Clone, Copy, Debug)]
enum Which {
    Case(&'static str),
    Seed(u64),
}

impl Which {
    fn steps(self, attempt: u32) -> Vec<Step> {
        match self {
            Self::Case(name) => cases::all(attempt).into_iter().find(|case| case.name == name).expect("a case").steps,
            Self::Seed(seed) => generate::sequence(seed, attempt),
        }
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Case(name) => f.write_str(name),
            Self::Seed(seed) => write!(f, "{seed}"),
        }
    }
}

/// The named and the random sequences that are asked for.
fn sequences() -> (Vec<Which>, std::ops::Range<u64>) {
    let mut all: Vec<&str> = cases::all(0).into_iter().map(|case| case.name).collect();
    if let Ok(name) = std::env::var("ZHENGYUN_CONFORMANCE_CASE") {
        all.retain(|case| *case == name);
        assert!(!all.is_empty(), "no case is called {name}");
        return (all.into_iter().map(Which::Case).collect(), 0..0);
    }
    if let Some(seed) = number("ZHENGYUN_CONFORMANCE_SEED") {
        return (Vec::new(), seed..seed + 1);
    }
    let from = number("ZHENGYUN_CONFORMANCE_FROM").unwrap_or(0);
    (all.into_iter().map(Which::Case).collect(), from..from + number("ZHENGYUN_CONFORMANCE").unwrap_or(COUNT))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_servers_answer_alike() {
    let (named, seeds) = sequences();
    let (count, random) = (named.len() as u64 + seeds.end - seeds.start, seeds.end - seeds.start);
    let ground = Ground::prepare().await.unwrap();
    let mut played = futures::stream::iter(named.into_iter().chain(seeds.map(Which::Seed)))
        .map(|which| play_one(&ground, which))
        .buffer_unordered(AT_ONCE);
    let mut tally: BTreeMap<(String, u16), usize> = BTreeMap::new();
    let mut progress = Progress { begun: Instant::now(), told: Instant::now(), done: 0, operations: 0, divergences: 0 };
    while let Some(outcome) = played.next().await {
        match outcome.unwrap() {
            Outcome::Agreed(answered) => {
                progress.operations += answered.len();
                for answer in answered {
                    *tally.entry(answer).or_default() += 1;
                }
            }
            Outcome::Diverged(told) => {
                progress.divergences += 1;
                eprintln!("{told}\n");
            }
            Outcome::Busy(told) => panic!("the real server is too busy: {told}"),
        }
        progress.one_more();
    }
    for ((sort, code), times) in &tally {
        eprintln!("{times:>8} {sort}: {code}");
    }
    progress.tell();
    let divergences = progress.divergences;
    assert!(divergences == 0, "{divergences} of {count} sequences diverge");
    if random >= COUNT {
        let missing: Vec<_> =
            MET.iter().filter(|(sort, code)| !tally.contains_key(&((*sort).to_owned(), *code))).collect();
        assert!(missing.is_empty(), "the sequences have become poor: they never met {missing:?}");
    }
}

/// What has been played so far.
struct Progress {
    begun: Instant,
    /// When it was told last.
    told: Instant,
    done: u32,
    /// Requests, and events of watches, that both servers answered alike.
    operations: usize,
    divergences: usize,
}

impl Progress {
    fn one_more(&mut self) {
        self.done += 1;
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            self.tell();
        }
    }

    fn tell(&self) {
        let passed = self.begun.elapsed().as_secs_f64();
        eprintln!(
            "{} sequences, {} operations compared, {} divergences, {passed:.0} s, {:.1} sequences a second",
            self.done,
            self.operations,
            self.divergences,
            f64::from(self.done) / passed
        );
    }
}

async fn play_one(ground: &Ground, which: Which) -> Result<Outcome> {
    let mut busy = String::new();
    for attempt in 0..ATTEMPTS {
        let outcome = play::sequence(ground.sides(), &which.to_string(), &which.steps(attempt)).await;
        match outcome.with_context(|| which.to_string())? {
            Outcome::Busy(told) => {
                eprintln!("{which}: the real server is busy: {told}");
                busy = told;
                tokio::time::sleep(Duration::from_secs(4_u64.pow(attempt))).await;
            }
            other => return Ok(other),
        }
    }
    Ok(Outcome::Busy(busy))
}

/// Two servers of which one had something done to it are told apart: by an answer, and by an event.
#[tokio::test]
async fn a_difference_is_found() {
    let found = |told: &Outcome| matches!(told, Outcome::Diverged(_));
    for case in cases::all(0).into_iter().filter(|case| case.name == "nothing-changes-nothing") {
        let same = play::sequence(ground::in_memory(&[]).await.unwrap(), "same", &case.steps).await.unwrap();
        assert!(!found(&same), "{same:?}");
        let before = case.steps[..3].to_vec();
        let other = play::sequence(ground::in_memory(&before).await.unwrap(), "other", &case.steps).await.unwrap();
        assert!(found(&other), "an object that was there already was not noticed");
    }
}
