//! Simulation: the real controllers and the real ledger on in-memory API servers, on a paused clock, with faults.
//!
//! A **workload** is a script of what people do. A **plan** says which faults happen meanwhile. A run starts from a snapshot of an
//! established world, plays workload and plan until nothing moves any more, and gives the recorded order of all writes to the
//! checker. The same workload, seed and plan give the same record, write for write.

pub mod base;
pub mod campaign;
pub mod check;
pub mod door;
pub mod fault;
pub mod mutants;
pub mod people;
pub mod plan;
pub mod process;
pub mod recovery;
pub mod run;
pub mod stage;
pub mod workload;
