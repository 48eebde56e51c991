//! The door as callers meet it, over a stand-in hub.

mod door;
mod events;
mod fuzz;
mod limits;
mod own_writes;
mod plans;
pub(crate) mod recovery;
mod serving;
mod sight;
mod writing;
