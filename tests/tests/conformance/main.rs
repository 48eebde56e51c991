//! **Conformance** of the in-memory API server: random sequences of requests go to it and to a real kube-apiserver of the lab,
//! and both must answer alike, down to the events of watches. `ZHENGYUN_CONFORMANCE` says how many sequences (300 by default),
//! `ZHENGYUN_CONFORMANCE_SEED` plays one of them alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

mod generate;
mod ground;
mod kinds;
mod memory;
mod play;
mod side;
mod step;

use std::collections::BTreeMap;
use std::time::Instant;

use futures::StreamExt as _;

use ground::Ground;

/// Sequences that run at once: the real server is waited for most of the time.
const AT_ONCE: usize = 16;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_sequences_are_answered_as_by_a_real_api_server() {
    let seeds = match number("ZHENGYUN_CONFORMANCE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ZHENGYUN_CONFORMANCE").unwrap_or(300),
    };
    let count = seeds.end - seeds.start;
    let ground = Ground::prepare().await.unwrap();
    let begun = Instant::now();
    let mut divergences = Vec::new();
    let mut tally: BTreeMap<(String, u16), usize> = BTreeMap::new();
    let mut played = futures::stream::iter(seeds)
        .map(|seed| {
            let ground = &ground;
            async move {
                (
                    seed,
                    play::sequence(ground, &format!("ZHENGYUN_CONFORMANCE_SEED={seed}"), &generate::sequence(seed))
                        .await,
                )
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some((seed, outcome)) = played.next().await {
        match outcome.unwrap_or_else(|error| panic!("sequence {seed}: {error:#}")) {
            play::Outcome::Agreed(answered) => answered.into_iter().for_each(|a| *tally.entry(a).or_default() += 1),
            play::Outcome::Diverged(told) => divergences.push(told),
        }
    }
    let passed = begun.elapsed().as_secs_f64();
    for ((sort, code), times) in &tally {
        eprintln!("{times:>8} {sort}: {code}");
    }
    let steps: usize = tally.values().sum();
    eprintln!(
        "{count} sequences, {steps} answers and events in those that agreed, {passed:.1} s, {:.1} sequences/s",
        f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / passed
    );
    assert!(
        divergences.is_empty(),
        "{} of {count} sequences diverge:\n\n{}",
        divergences.len(),
        divergences.join("\n\n")
    );
}
