//! SystemBackup: its phases, and what a run would do.

mod machine;
mod plan;

pub use machine::{Event, Illegal, step};
pub use plan::{BackupPlan, GrantFacts, Observed, PlannedSource, PlannedStore, StoreFacts, plan};
