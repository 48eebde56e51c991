//! What came of every object of a plan, and what is left to do after an interruption.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zhengyun_crds::recovery::OutcomeCounts;

use super::machine::Event;
use super::plan::{Action, ObjectKey, PlannedObject, RestorePlan};

/// What came of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Made anew.
    Created,
    /// Replaced.
    Replaced,
    /// There already, and equal.
    Unchanged,
    /// There already, different, left as it is.
    Skipped,
    /// The target refused it or it failed, with the reason. It is tried again when the restore is taken up again.
    Failed(String),
}

/// The outcomes so far. Written as objects are done, so that a restore that was killed knows where it stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    entries: BTreeMap<ObjectKey, Outcome>,
}

impl Journal {
    /// Records an outcome. A later one of the same object stands for it, except that nothing done comes undone by a failure.
    pub fn record(&mut self, key: &ObjectKey, outcome: Outcome) {
        let done = self.entries.get(key).is_some_and(|before| !matches!(before, Outcome::Failed(_)));
        if !(done && matches!(outcome, Outcome::Failed(_))) {
            self.entries.insert(key.clone(), outcome);
        }
    }

    /// What came of an object.
    pub fn get(&self, key: &ObjectKey) -> Option<&Outcome> {
        self.entries.get(key)
    }

    /// What of a plan is still to be done, layer by layer: nothing that is done comes again, nothing that is not done is left out.
    pub fn remaining<'a>(&'a self, plan: &'a RestorePlan) -> impl Iterator<Item = &'a PlannedObject> {
        plan.objects
            .iter()
            .filter(|object| object.action.writes())
            .filter(|object| self.entries.get(&object.key).is_none_or(|outcome| matches!(outcome, Outcome::Failed(_))))
    }

    /// How many objects of the plan came to what. What the plan leaves alone counts by the plan.
    pub fn counts(&self, plan: &RestorePlan) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        for object in &plan.objects {
            let counter = match (self.entries.get(&object.key), object.action) {
                (Some(Outcome::Created), _) => &mut counts.created,
                (Some(Outcome::Replaced), _) => &mut counts.replaced,
                (Some(Outcome::Failed(_)), _) => &mut counts.failed,
                (Some(Outcome::Unchanged), _) | (None, Action::Leave) => &mut counts.unchanged,
                (Some(Outcome::Skipped), _) | (None, Action::Skip) => &mut counts.skipped,
                (None, Action::Delivered) => &mut counts.delivered,
                (None, Action::Create | Action::Replace) => continue,
            };
            *counter = counter.saturating_add(1);
        }
        counts
    }

    /// How the comparison ends: everything in the plan stands, or not.
    ///
    /// An object that was skipped by policy is as the plan says. One that was to be written and was found in the way is not.
    pub fn compared(&self, plan: &RestorePlan) -> Event {
        let stands = plan.objects.iter().all(|object| match (object.action, self.entries.get(&object.key)) {
            (Action::Create | Action::Replace, Some(outcome)) => {
                matches!(outcome, Outcome::Created | Outcome::Replaced | Outcome::Unchanged)
            }
            (Action::Create | Action::Replace, None) => false,
            (Action::Leave | Action::Skip | Action::Delivered, _) => true,
        });
        if stands { Event::ComparedEqual } else { Event::ComparedUnequal }
    }
}
