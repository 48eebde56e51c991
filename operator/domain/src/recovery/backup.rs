//! SystemBackup: its phases, and what a run would do.

mod copies;
mod facts;
mod follow;
mod machine;
mod plan;

pub use copies::{Work, patience, stored, work};
pub use facts::{delivered, grant_facts, is_database, is_readable, store_facts};
pub use follow::{Facts, Next, follow};
pub use machine::{Event, Illegal, step};
pub use plan::{
    BackupPlan, GrantFacts, Observed, PlannedRun, PlannedSource, PlannedStore, StoreFacts, objective, plan, run,
};
