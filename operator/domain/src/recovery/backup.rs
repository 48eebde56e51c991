//! SystemBackup: its phases, and what a run would do.

mod follow;
mod machine;
mod plan;

pub use follow::{Facts, Next, Stage, follow, stage};
pub use machine::{Event, Illegal, step};
pub use plan::{
    BackupPlan, GrantFacts, Observed, PlannedRun, PlannedSource, PlannedStore, StoreFacts, objective, plan, run,
};
