//! Disaster recovery: schedules, retention, objectives, levels, plans and charges.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test says what is wrong by failing"
)]
#![allow(clippy::needless_pass_by_value, reason = "a line of a table is handed over as it stands")]

mod backup;
mod charge;
mod drill;
mod duration;
mod files;
mod keep;
mod level;
mod objective;
mod plan;
mod restore;
mod retention;
mod round;
mod schedule;

/// A moment.
fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}
