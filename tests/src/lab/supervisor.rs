//! The lab that outlives its terminal: one supervisor process owns every other, in a session of its own.
//!
//! `launch` starts it and waits, `run` is what it does, `state` is what it writes down for everybody
//! else, `socket` is how others ask it to stop or start a site.

mod launch;
mod run;
mod socket;
mod state;

pub use launch::{UpOptions, down, up};
pub use run::supervise;
pub use socket::{Command, request};
pub use state::{Phase, ProcessRecord, State};
