//! Migration: stages, the one next step, waves, windows, forecasts, signatures and rooms.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test says what is wrong by failing"
)]
#![allow(clippy::needless_pass_by_value, reason = "a line of a table is handed over as it stands")]
#![allow(clippy::unnecessary_wraps, reason = "what a table expects has the type of what it is compared with")]

mod evidence;
mod follow;
mod forecast;
mod machine;
mod names;
mod noted;
mod room;
mod scene;
mod sign;
mod status;
mod walks;
mod wave;
mod window;
mod world;

/// A moment.
fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}
