//! What the product does when its operator, or its hub, breaks at the worst moment: killed at every kind of write, paused and
//! overtaken, restored to the past. On real control planes; each scene ends with the books audited from outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

mod audit;
mod crash;
mod life;
mod restore;
mod takeover;

use std::sync::Arc;
use std::time::Instant;

use zhengyun_tests::lab::{LabOptions, client};
use zhengyun_tests::town::Town;

/// One lab for all scenes: a lab costs more than a scene. The last scene leaves a hub with a lost past behind.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_left_behind() {
    client::install_crypto_provider();
    let options = LabOptions::new(&["hohhot", "ulanqab"]).unwrap();
    // A short lease, so that a takeover takes seconds.
    let town = Arc::new(Town::start_with(options, &life::flags("first", None)).await.unwrap());
    life::prepare(&town).await.unwrap();
    let begun = Instant::now();
    crash::killed_at_every_kind_of_write(&town).await.unwrap();
    eprintln!("killed at every kind of write: {:.0} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    takeover::a_former_leader_is_refused(&town).await.unwrap();
    eprintln!("former leader refused: {:.0} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    restore::a_hub_restored_to_the_past_is_held(&town).await.unwrap();
    eprintln!("restored hub held: {:.0} s", begun.elapsed().as_secs_f64());
}
