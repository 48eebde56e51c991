//! SystemRestore: its phases, the plan that is agreed to, and what came of every object.

mod follow;
mod layer;
mod machine;
mod outcome;
mod plan;
mod strip;

pub use follow::{Facts, Next, follow};
pub use layer::{Layer, layers};
pub use machine::{Event, Illegal, step};
pub use outcome::{Journal, Outcome};
pub use plan::{
    Action, Backed, Blocker, Existing, ObjectKey, PlannedObject, QuotaEffect, QuotaKey, RestorePlan, SourceObject,
    TargetFacts, agree, plan,
};
pub use strip::{content_digest, strip};
