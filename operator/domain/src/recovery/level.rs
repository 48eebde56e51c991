//! Recovery levels (GB/T 20988): what the evidence supports, and the first clause that it does not.
//!
//! A level asks something of seven elements. Each clause is met by a measurement, or where nothing can measure it by a person's
//! word with a document that has not run out. An element's level is the highest up to which all its clauses are met, and the
//! system's level is the lowest of the seven. The clauses are data: [`LevelTable`].

mod evaluate;
mod evidence;
mod table;

pub use evaluate::{ElementLevel, Evaluation, Unmet, evaluate, outside_row};
pub use evidence::{Evidence, Metric, Reading};
pub use table::{Clause, LevelRow, LevelTable, Proof, Range, RowElement, TableError, Texts, built_in};
