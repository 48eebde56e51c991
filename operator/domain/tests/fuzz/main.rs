//! What strangers can send to the decisions, in masses: texts of amounts, templates, expressions, books.
//!
//! Each target tries some hundred or thousand values with every run of the tests; `make prove-fuzz` tries many more.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod books;
mod bounds;
mod expression;
mod grammar;
mod ledger;
mod quantity;
#[path = "../../../../tests/fuzz/run.rs"]
mod run;
mod template;
mod values;
