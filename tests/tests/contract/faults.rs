//! Disagreements between the API and its contract, collected so that one run shows them all.

use std::sync::{Arc, Mutex};

/// Fewest answers that a whole run must have held to the document: far fewer mean that the cases did not run.
const FEWEST_ANSWERS: usize = 400;

/// Everything that was not as it must be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<String>>>);

impl Faults {
    /// Notes a disagreement.
    pub(crate) fn add(&self, fault: impl Into<String>) {
        self.0.lock().unwrap().push(fault.into());
    }

    /// Notes a disagreement unless something holds.
    pub(crate) fn check(&self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.add(fault());
        }
    }

    /// Fails with everything that was noted.
    pub(crate) fn none(&self, answers: usize) {
        let mut faults = self.0.lock().unwrap().clone();
        faults.sort();
        faults.dedup();
        eprintln!("{answers} answers held to the document");
        assert!(faults.is_empty(), "{} disagreements:\n- {}", faults.len(), faults.join("\n- "));
        assert!(answers >= FEWEST_ANSWERS, "only {answers} answers were held to the document");
    }
}
