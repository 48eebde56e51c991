//! The protocol by which charges are decided, written down, taken over and given back, as a model whose every state is visited.
//!
//! Ledger, journal, lease, epoch, fence, requests, grants and what stands at the site are one small state; people, crashes, pauses
//! and each single write of two operators are its steps. What is decided in a step is decided by the functions of the product.
//! `cargo test` explores small configurations, `make prove-model` the large one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a model that is wrong fails by panicking")]

mod books;
mod canonical;
mod coarse;
mod effects;
mod explore;
mod fault;
mod grants;
mod looks;
mod properties;
mod protocol;
mod recovery;
mod requests;
mod state;
mod steps;
mod town;

use explore::{every_fine_state_is_coarse, everything, finds};
use fault::Fault;
use protocol::Protocol;
use town::{FULL, Late, ONE, PAIR, Town};

/// Everything about one request, however many others there are: they may take the room it asks for, or not.
#[test]
fn one_request_among_any_number() {
    everything("one", Protocol::of(ONE));
}

#[test]
fn two_requests_and_one_fault() {
    everything("pair, paused", Protocol::of(Town { crashes: 0, late: Late::Finishes, ..PAIR }));
    everything("pair, crashed", Protocol::of(Town { pauses: 0, ..PAIR }));
}

#[test]
fn coarse_steps_lose_nothing() {
    every_fine_state_is_coarse(Town { late: Late::Finishes, crashes: 1, ..ONE });
}

#[test]
fn every_seeded_error_is_found() {
    for fault in Fault::ALL {
        finds(fault);
    }
}

#[test]
#[ignore = "explored by `make prove-model`, optimised"]
fn two_requests_and_a_leader_that_goes_on() {
    everything("pair", Protocol::of(PAIR));
}

#[test]
#[ignore = "explored by `make prove-model`, optimised"]
fn coarse_steps_lose_nothing_of_two_requests() {
    every_fine_state_is_coarse(Town { late: Late::Finishes, crashes: 2, ..PAIR });
}

#[test]
#[ignore = "explored by `make prove-model`, optimised"]
fn full() {
    everything("full", Protocol::coarse(FULL));
}
