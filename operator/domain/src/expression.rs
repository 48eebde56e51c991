//! Expressions in CEL (Common Expression Language) that catalog items and policies are written with.
//!
//! An [`Expression`] is compiled once, when the object that carries it is saved, and evaluated over JSON
//! ([`Bindings`]). It can neither run away nor take the process down, and it gives the same answer every time:
//!
//! - **Size** of the source, number of nodes and nesting of the syntax tree are bounded when compiling
//!   ([`CostLimits`]); nesting bounds the stack.
//! - **Cost** is metered while evaluating. The `cel` crate has no budget of its own, so the syntax tree is rewritten
//!   before its first use: every loop pays for its list before it starts (length times the size of its body, plus
//!   the size of the elements that it copies), and every operand of a call and every element of a literal pays for its
//!   size before it is used. A loop inside a loop pays again on every round, so the price follows the work, whatever
//!   the data. An expression that has spent its limit fails, also where CEL's `||` and `&&` would swallow the error.
//!   What is left unpaid is the rest of the loops already entered, which was paid in advance.
//! - **Vocabulary** is closed: variables and functions that do not exist are found when compiling. `matches` is left
//!   out (each call would compile a regular expression, at a price that cannot be told from its size), as are struct
//!   literals and optional values, which nothing here yields.
//! - **Order**: CEL leaves the order of a map's keys open and the crate's differs from run to run; here they come
//!   sorted.
//! - **Panics** inside the crate become [`ExpressionError::Crashed`].
//!
//! Amounts are exact: `quantity("10Gi")` yields a quantity that can be added, subtracted, compared, and multiplied by
//! an int from either side. See [`functions`](self#functions).
//!
//! # Functions
//!
//! CEL's `size contains startsWith endsWith string int uint double bool bytes type dyn`, the macros `has all exists
//! exists_one map filter`, and for quantities, named as in Kubernetes' own CEL library: `quantity(x)`, `isQuantity(x)`,
//! `a.add(b)`, `a.sub(b)`, `a.compareTo(b)`, `a.isGreaterThan(b)`, `a.isLessThan(b)`, and `max(a, b)`, `min(a, b)` of two
//! quantities or two ints. `string(q)` is the canonical text, `int(q)` the whole units of a quantity without fraction.

mod amount;
mod bindings;
mod charges;
mod explain;
mod functions;
mod inspect;
mod memo;
mod meter;
mod outcome;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::IdedExpr;
use cel::{Context, Value as CelValue};

pub use bindings::Bindings;
pub use charges::{Ceilings, ChargeCause, ChargeError, Charges};
pub use outcome::Outcome;

use crate::quantity::Quantity;
pub(crate) use meter::Meter;
use meter::Metered;

/// How large an expression may be and how much work one evaluation may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CostLimits {
    /// Length of the source, in bytes.
    pub source_bytes: usize,
    /// Nodes of the syntax tree, macros expanded.
    pub nodes: usize,
    /// Nesting of the syntax tree.
    pub depth: usize,
    /// Work of one evaluation, in steps: about one node evaluated or 16 bytes of text touched each.
    pub steps: u64,
}

impl Default for CostLimits {
    /// Enough for any charge, template value or policy we know of; a runaway stops within a fraction of a second.
    fn default() -> Self {
        Self { source_bytes: 4096, nodes: 1000, depth: 48, steps: 200_000 }
    }
}

/// Why an expression cannot be used or has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The source is longer than allowed.
    #[error("the expression has {length} bytes, at most {max} are allowed")]
    TooLong {
        /// Length of the source in bytes.
        length: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// The source is not CEL.
    #[error("not a CEL expression: {message}")]
    Syntax {
        /// Line, column and what the parser met there.
        message: String,
    },
    /// The syntax tree is larger or deeper than allowed.
    #[error("the expression is too complex: more than {max} {what}")]
    TooComplex {
        /// What there is too much of.
        what: &'static str,
        /// The most that is allowed.
        max: usize,
    },
    /// A function or a construct that is not offered here.
    #[error("{what} is not available in expressions: {instead}")]
    Unavailable {
        /// The function or construct.
        what: String,
        /// What to write instead.
        instead: &'static str,
    },
    /// A variable that is not offered here.
    #[error("the variable \"{name}\" does not exist here: use one of {known}")]
    UnknownVariable {
        /// The variable as written.
        name: String,
        /// The variables that exist, separated by commas.
        known: String,
    },
    /// The evaluation met an error, such as a missing field.
    #[error("{message}")]
    Failed {
        /// What went wrong, without the values involved.
        message: String,
    },
    /// The evaluation did more work than allowed.
    #[error("the expression runs too long: it takes more than {max} steps")]
    TooCostly {
        /// The most steps that are allowed.
        max: u64,
    },
    /// The result is of another type than is needed here.
    #[error("the expression yields {got}, but {wanted} is needed")]
    WrongType {
        /// What is needed.
        wanted: &'static str,
        /// What the expression yields.
        got: String,
    },
    /// The data is nested deeper than an expression may look.
    #[error("the data in \"{variable}\" is nested deeper than {max} levels")]
    DataTooDeep {
        /// The variable that holds the data.
        variable: String,
        /// The most levels that are allowed.
        max: usize,
    },
    /// The expression engine itself failed; a defect of ours or of the engine, never of the data alone.
    #[error("the expression engine failed on this expression; please report it")]
    Crashed,
}

/// A compiled CEL expression; cheap to clone.
#[derive(Clone, Debug)]
pub struct Expression(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    source: String,
    metered: Metered,
    variables: BTreeSet<String>,
    limits: CostLimits,
}

impl Expression {
    /// Compiles an expression that may use the given variables, and no others.
    pub fn compile(source: &str, variables: &[&str], limits: &CostLimits) -> Result<Self, ExpressionError> {
        if source.len() > limits.source_bytes {
            return Err(ExpressionError::TooLong { length: source.len(), max: limits.source_bytes });
        }
        memo::compiled(source, variables, limits, || {
            let tree = contain(|| parse(source))?;
            let found = inspect::inspect(&tree, limits)?;
            if let Some(name) = found.variables.iter().find(|name| !variables.contains(&name.as_str())) {
                return Err(ExpressionError::UnknownVariable { name: name.clone(), known: variables.join(", ") });
            }
            let metered = meter::instrument(tree);
            Ok(Compiled { source: source.to_owned(), metered, variables: found.variables, limits: *limits })
        })
        .map(Self)
    }

    /// The text that was compiled.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The variables that the expression uses.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.0.variables
    }

    /// Evaluates the expression.
    pub fn evaluate(&self, bindings: &Bindings) -> Result<Outcome, ExpressionError> {
        self.evaluate_on(bindings, &Meter::new(self.0.limits.steps))
    }

    /// Evaluates the expression on a meter that several expressions share.
    pub(crate) fn evaluate_on(&self, bindings: &Bindings, meter: &Meter) -> Result<Outcome, ExpressionError> {
        let too_costly = || ExpressionError::TooCostly { max: meter.limit() };
        meter.pay(self.0.metered.weight);
        let outcome = contain(|| {
            let scope = bindings.scope(meter);
            let mut context = Context::with_env(functions::environment()?);
            context.set_variable_resolver(&scope);
            let value =
                CelValue::resolve_val(&self.0.metered.tree, &context).map_err(|error| explain::explain(&error))?;
            // The result is copied out, so it is paid for like everything else that is copied.
            meter.pay_for(value.as_ref());
            if meter.is_spent() { Err(too_costly()) } else { Outcome::of(value.as_ref()) }
        });
        if meter.is_spent() { Err(too_costly()) } else { outcome }
    }

    /// Evaluates an expression that must yield true or false.
    pub fn evaluate_bool(&self, bindings: &Bindings) -> Result<bool, ExpressionError> {
        match self.evaluate(bindings)? {
            Outcome::Bool(value) => Ok(value),
            other => Err(other.wrong_type("true or false")),
        }
    }

    /// Evaluates an expression that must yield an amount: a quantity, a whole number or the text of a quantity.
    /// A floating-point number is refused because it is not exact.
    pub fn evaluate_quantity(&self, bindings: &Bindings) -> Result<Quantity, ExpressionError> {
        self.evaluate(bindings)?.into_quantity()
    }

    /// Evaluates an expression whose result is wanted as JSON; a quantity becomes its canonical text.
    pub fn evaluate_json(&self, bindings: &Bindings) -> Result<serde_json::Value, ExpressionError> {
        self.evaluate(bindings)?.into_json()
    }
}

/// Deeper nesting than any allowed one, so that the parser's own stack stays small: each level takes about ten frames.
const PARSER_DEPTH: u16 = 32;

fn parse(source: &str) -> Result<IdedExpr, ExpressionError> {
    let environment = functions::environment()?;
    let parser = environment.parser().enable_optional_syntax(false).max_recursion_depth(PARSER_DEPTH);
    parser.parse(source).map_err(|errors| explain::explain_syntax(&errors))
}

/// Runs the engine so that a panic inside it is an error of this one expression.
///
/// The crate is young and parses and evaluates text written by users; one panic must not end the process that keeps the
/// ledger. Asserting unwind safety is sound: whatever the closure was changing is its own and is dropped with it, and the
/// meter is a plain counter.
fn contain<T>(run: impl FnOnce() -> Result<T, ExpressionError>) -> Result<T, ExpressionError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(ExpressionError::Crashed))
}
