//! Wiring: arguments, telemetry, leader election, watches, the controllers' loop, shutdown. No decisions.

pub mod args;
pub mod backoff;
pub mod clock;
pub mod controller;
pub mod events;
pub mod health;
pub mod hub;
pub mod leader;
pub mod metrics;
mod signals;
mod start;
pub mod telemetry;
pub mod watches;
pub mod writes;
pub mod written;

pub use start::{Setup, lead, run};
