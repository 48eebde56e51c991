//! The writer's journal: decisions that their objects are not known to show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use zhengyun_crds::ledger::JournalEntry;

/// What those who look at an object may know of the journal: the sequence of the decision that it does not show, by UID.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unshown(Arc<Mutex<BTreeMap<String, i64>>>);

impl Unshown {
    /// The sequence, if there is such a decision about the object.
    pub(crate) fn sequence(&self, uid: &str) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).copied()
    }

    fn set(&self, uid: &str, sequence: Option<i64>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match sequence {
            Some(sequence) => all.insert(uid.to_owned(), sequence),
            None => all.remove(uid),
        };
    }
}

/// The entries, by UID.
#[derive(Debug)]
pub(super) struct Journal {
    entries: BTreeMap<String, JournalEntry>,
    unshown: Unshown,
}

impl Journal {
    pub(super) fn new(entries: impl Iterator<Item = JournalEntry>, unshown: Unshown) -> Self {
        let mut journal = Self { entries: BTreeMap::new(), unshown };
        for entry in entries {
            journal.insert(entry);
        }
        journal
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, uid: &str) -> bool {
        self.entries.contains_key(uid)
    }

    pub(super) fn get(&self, uid: &str) -> Option<&JournalEntry> {
        self.entries.get(uid)
    }

    pub(super) fn insert(&mut self, entry: JournalEntry) {
        self.unshown.set(&entry.object.uid, Some(entry.sequence));
        self.entries.insert(entry.object.uid.clone(), entry);
    }

    pub(super) fn remove(&mut self, uid: &str) {
        self.unshown.set(uid, None);
        self.entries.remove(uid);
    }

    pub(super) fn to_stored(&self) -> Vec<JournalEntry> {
        self.entries.values().cloned().collect()
    }
}
