//! One thing that is wrong with what somebody wrote: where, against which rule, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A fault in a document, placed by JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Where it is, as a JSON pointer (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// The rule that is broken: a fixed word that tests and translations can rely on.
    pub rule: String,
    /// The field, the value and what to write instead, for people.
    pub message: String,
}

impl Finding {
    /// A finding at a place in a document.
    pub fn new(pointer: impl Into<String>, rule: &str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), rule: rule.to_owned(), message: message.into() }
    }
}

/// Prints `/metadata/name (manifest.name): ...`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{place} ({}): {}", self.rule, self.message)
    }
}

/// The pointer to a field or element below another one (RFC 6901, section 3).
pub fn pointer_to(parent: &str, step: &str) -> String {
    format!("{parent}/{}", step.replace('~', "~0").replace('/', "~1"))
}
