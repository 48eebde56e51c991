//! Which kinds are watched at a site, and which of them the site lets nobody watch.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Kinds by group and plural: two groups may use one plural.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// Whether the site refuses the watch of a kind at present.
    refused: Mutex<BTreeMap<(String, String), bool>>,
}

impl Kinds {
    /// Adds a kind; whether it was not there before.
    pub(super) fn add(&self, group: &str, plural: &str) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = false;
        refused.entry((group.to_owned(), plural.to_owned())).or_insert_with(|| {
            fresh = true;
            false
        });
        fresh
    }

    /// Remembers whether a kind can be watched.
    pub(super) fn set_watched(&self, group: &str, plural: &str, watched: bool) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert((group.to_owned(), plural.to_owned()), !watched);
    }

    /// Whether no kind is refused.
    pub(super) fn all_watched(&self) -> bool {
        !self.refused.lock().unwrap_or_else(PoisonError::into_inner).values().any(|refused| *refused)
    }
}

#[cfg(test)]
mod tests {
    use super::Kinds;

    #[test]
    fn a_kind_that_may_not_be_watched_is_missed_until_it_may_and_its_namesake_does_not_count_for_it() {
        let kinds = Kinds::default();
        assert!(kinds.add("", "services"));
        assert!(!kinds.add("", "services"), "a second watch of one kind would tell everything twice");
        assert!(kinds.add("serving.knative.dev", "services"));
        assert!(kinds.all_watched());
        kinds.set_watched("", "services", false);
        kinds.set_watched("serving.knative.dev", "services", true);
        assert!(!kinds.all_watched(), "the other group's watch says nothing of this one");
        kinds.set_watched("", "services", true);
        assert!(kinds.all_watched());
    }
}
