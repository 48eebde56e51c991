//! SystemBackup: its phases, and what a run would do.

mod copies;
mod follow;
mod machine;
mod plan;

pub use copies::{Work, patience, stored, work};
pub use follow::{Facts, Next, follow};
pub use machine::{Event, Illegal, step};
pub use plan::{
    BackupPlan, GrantFacts, Observed, PlannedRun, PlannedSource, PlannedStore, StoreFacts, objective, plan, run,
};
