//! Disaster recovery: when backups are due and which are kept, what a restore would do, and what the evidence is worth.
//!
//! [`schedule`] says when, [`retention`] what is kept and why, [`plan`] which run is due and what a plan may say of itself. [`backup`],
//! [`restore`] and [`drill`] hold the phases and plans of single runs, [`run`] is what is seen of the process that does the work.
//! [`files`] says which folder a file tree is in.
//! [`objective`] judges what was measured, [`level`] holds it against the standard, [`place`] says what fails together, [`charge`]
//! turns bytes into charges. Nothing here looks at a clock or a store: moments and facts are given.

pub mod backup;
pub mod charge;
pub mod check;
pub mod drill;
pub mod duration;
pub mod files;
pub mod level;
pub mod objective;
pub mod place;
pub mod plan;
pub mod restore;
pub mod retention;
pub mod run;
pub mod schedule;
#[cfg(test)]
mod walk;
