//! Requests: what a submission means, and what to do next with one.

mod assess;
mod deadline;
mod machine;
mod outcome;
mod plan;
mod status;
mod undo;

pub use assess::{Assessment, Submission, Surroundings, assess, order_digest};
pub(crate) use assess::{finding, item_is_ready};
pub use deadline::due;
pub use machine::{Event, Illegal, step};
pub use outcome::{applied, entered, owes_zero, refused};
pub use plan::{Observed, Plan, plan};

#[cfg(test)]
mod tests;
