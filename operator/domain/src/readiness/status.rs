//! Reading what an object says about itself.

use serde_json::Value;

use super::Readiness;

/// How much of a condition's message is repeated, in characters.
const SHOWN_CHARS: usize = 256;

/// An object, with the fields that every kind reports in the same way.
pub(super) struct Status<'a> {
    object: &'a Value,
}

impl<'a> Status<'a> {
    pub(super) const fn of(object: &'a Value) -> Self {
        Self { object }
    }

    /// The API group, empty for the core group.
    pub(super) fn group(&self) -> &'a str {
        self.text("/apiVersion").split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn kind(&self) -> &'a str {
        self.text("/kind")
    }

    /// A text by its JSON pointer; empty if there is none.
    pub(super) fn text(&self, pointer: &str) -> &'a str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// A whole number by its JSON pointer.
    pub(super) fn number(&self, pointer: &str) -> Option<i64> {
        self.object.pointer(pointer).and_then(Value::as_i64)
    }

    /// A count that is left out while it is zero.
    pub(super) fn count(&self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or(0)
    }

    /// The elements of a list; none if there is no list.
    pub(super) fn list(&self, pointer: &str) -> &'a [Value] {
        self.object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn condition(&self, kind: &str) -> Option<Condition<'a>> {
        let found =
            self.list("/status/conditions").iter().find(|c| c.get("type").and_then(Value::as_str) == Some(kind));
        found.map(|condition| Condition { condition })
    }

    /// What holds for every kind before its own rules: deletion, an outdated status, and the conditions of kstatus.
    pub(super) fn common(&self) -> Option<Readiness> {
        if self.object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()) {
            return Some(Readiness::progressing("it is being deleted"));
        }
        if let Some(verdict) = self.outdated() {
            return Some(verdict);
        }
        if let Some(stalled) = self.condition("Stalled").filter(Condition::is_true) {
            return Some(Readiness::failed(stalled.words("it is stalled")));
        }
        // A Job's `Failed` means the same and is found here too.
        if let Some(failed) = self.condition("Failed").filter(Condition::is_true) {
            return Some(Readiness::failed(failed.words("it has failed")));
        }
        let reconciling = self.condition("Reconciling").filter(Condition::is_true)?;
        Some(Readiness::progressing(reconciling.words("it is being reconciled")))
    }

    fn outdated(&self) -> Option<Readiness> {
        let (generation, observed) = (self.number("/metadata/generation")?, self.number("/status/observedGeneration")?);
        if observed >= generation {
            return None;
        }
        Some(Readiness::progressing(format!(
            "its controller has seen generation {observed}, the newest is {generation}"
        )))
    }

    /// Whether the status is about the newest generation, for kinds that always say so.
    pub(super) fn is_observed(&self) -> bool {
        self.number("/status/observedGeneration").is_some()
    }
}

/// One entry of `status.conditions`.
pub(super) struct Condition<'a> {
    condition: &'a Value,
}

impl<'a> Condition<'a> {
    fn field(&self, field: &str) -> &'a str {
        self.condition.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn is_true(&self) -> bool {
        self.field("status") == "True"
    }

    pub(super) fn reason(&self) -> &'a str {
        self.field("reason")
    }

    /// Its message, or its reason, or the given words.
    pub(super) fn words(&self, otherwise: &str) -> String {
        let words = [self.field("message"), self.field("reason")].into_iter().find(|words| !words.is_empty());
        words.unwrap_or(otherwise).chars().take(SHOWN_CHARS).collect()
    }
}
