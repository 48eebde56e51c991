//! **CEL as Kubernetes speaks it**, for validation rules of custom resources and for admission policies.
//!
//! The `cel` crate parses and expands the macros. The evaluation is here, because the crate's own cannot express what the rules
//! rest on: lists that are compared by their list type, names of fields that are escaped, optional fields that are null, strings
//! with a format that are times, variables that are computed at their first use, and an authorizer.
//!
//! Modelled: operators, ternary, `in`, `has`, `all`, `exists`, `exists_one`, `map`, `filter`, `optMap`, optionals, string
//! functions, conversions, quantities, the authorizer. Any other function, and any name that is not declared, is an error when
//! the expression is loaded. Not modelled: **static types** (what the real API server refuses when an expression is stored, such
//! as a field that the schema does not know, fails here when it is evaluated), and cost limits.

mod arithmetic;
mod authorizer;
mod equality;
mod evaluate;
mod functions;
mod names;
mod pattern;
mod quantity;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use std::fmt;

use anyhow::Result;

pub(crate) use authorizer::Question;
pub use authorizer::{Access, Authorize};
pub(crate) use evaluate::Variables;
pub(crate) use pattern::compile as compile_pattern;
pub use value::Fault;
pub(crate) use value::{Outcome, Val};

use tree::Tree;

/// Whether a text is a duration as Go writes it.
pub(crate) fn is_duration(text: &str) -> bool {
    functions::span(text).is_some()
}

/// A compiled expression.
pub struct Program {
    source: String,
    tree: Tree,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({})", self.source)
    }
}

impl Program {
    /// Compiles an expression that may use these variables. `variables.x` declares an entry of a variable `variables` that is
    /// asked for by itself.
    ///
    /// # Errors
    /// What cannot be parsed, or needs a function or variable that there is not.
    pub fn compile(source: &str, variables: &[String]) -> Result<Self> {
        Ok(Self { source: source.to_owned(), tree: Tree::compile(source, variables)? })
    }

    /// The expression as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it uses the variable of this index.
    pub(crate) fn uses(&self, variable: usize) -> bool {
        self.tree.used.contains(&variable)
    }

    /// Its value.
    pub(crate) fn evaluate<'a>(&'a self, variables: &dyn Variables<'a>) -> Outcome<'a> {
        evaluate::Machine::new(variables).evaluate(&self.tree.root)
    }
}
