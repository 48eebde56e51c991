//! Whether a delivered object does what it was delivered for.
//!
//! Follows kstatus (sigs.k8s.io/cli-utils, `pkg/kstatus`), with three deliberate differences, all on the careful side:
//!
//! - A custom resource that says nothing about itself, no `Ready` and no `Available` condition, is *not* ready (kstatus
//!   counts it as ready, so a database would be handed over before its controller has seen it). Its item needs a
//!   [`ReadinessRule`].
//! - A `Service` of type LoadBalancer is ready when it has an address.
//! - A `Job` is ready when it is complete, not when it has started.
//!
//! There is no clock here: what kstatus decides by age (a pod that cannot be scheduled) stays in progress, with the reason.

mod kinds;
mod status;

use serde_json::Value;

use crate::expression::{Bindings, CostLimits, Expression, ExpressionError};
use status::Status;

/// How far an object has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does what it was delivered for.
    Ready,
    /// It is on its way, or waits for something.
    Progressing {
        /// What it waits for.
        reason: String,
    },
    /// It will not get there by itself.
    Failed {
        /// What is wrong.
        reason: String,
    },
}

impl Readiness {
    /// Whether the object does what it was delivered for.
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }

    fn progressing(reason: impl Into<String>) -> Self {
        Self::Progressing { reason: reason.into() }
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into() }
    }
}

/// An item's own rule for a kind: CEL over `object` that yields true when the object is ready.
#[derive(Debug)]
pub struct ReadinessRule(Expression);

impl ReadinessRule {
    /// Compiles a rule.
    pub fn compile(source: &str, limits: &CostLimits) -> Result<Self, ExpressionError> {
        Expression::compile(source, &["object"], limits).map(Self)
    }

    /// What the rule says of an object. A field that is not there yet means "not yet"; a rule that is wrong is a failure.
    fn judge(&self, object: &Value) -> Readiness {
        let verdict = Bindings::new().with("object", object).and_then(|bindings| self.0.evaluate_bool(&bindings));
        match verdict {
            Ok(true) => Readiness::Ready,
            Ok(false) => Readiness::progressing(format!("`{}` does not hold yet", self.0.source())),
            Err(error @ ExpressionError::Failed { .. }) => {
                Readiness::progressing(format!("`{}` cannot be told yet: {error}", self.0.source()))
            }
            Err(error) => Readiness::failed(format!("the readiness rule `{}` is wrong: {error}", self.0.source())),
        }
    }
}

/// How far an observed object has come, by the item's rule for its kind if there is one.
///
/// Whatever the rule says, an object that is being deleted is not ready, one whose status is about an older generation is
/// not ready, and one that reports `Stalled` or `Failed` has failed.
pub fn readiness(object: &Value, rule: Option<&ReadinessRule>) -> Readiness {
    let status = Status::of(object);
    if let Some(verdict) = status.common() {
        return verdict;
    }
    match rule {
        Some(rule) => rule.judge(object),
        None => kinds::judge(&status),
    }
}
