//! Server-side apply: who owns which field, and what an apply changes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::Refusal;
use super::fields::{self, Comparison, Fields, Path, Shape, compare, fields_of};
use super::kinds::KindInfo;

/// Who owns which fields of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ownership {
    managers: BTreeMap<Manager, Fields>,
    /// What an apply left in the store that is not shown: empty maps, nulls. The next write drops it, and is a write for that.
    pub(crate) unseen: Value,
}

/// Somebody who owns fields: a name, and in which way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) applies: bool,
    /// Part of the object that it wrote; empty for the object itself.
    pub(crate) part: String,
}

impl Manager {
    pub(crate) fn new(name: &str, applies: bool, part: &str) -> Self {
        let name = if name.is_empty() { "unknown" } else { name };
        Self { name: name.to_owned(), applies, part: part.to_owned() }
    }
}

/// Fields that nobody owns.
const NOBODYS: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// Fields that a write of a part of an object does not reach, and so does not own.
fn out_of_reach(kind: &KindInfo, part: &str) -> Vec<Path> {
    let named = |names: &[&str]| names.iter().map(|n| Path::named(&[n])).collect();
    match part {
        "status" if kind.schema.is_some() => named(&["metadata", "spec"]),
        "status" => named(&["spec"]),
        _ if kind.status => named(&["status"]),
        _ => Vec::new(),
    }
}

fn not_nobodys(fields: &mut Fields) {
    for names in NOBODYS {
        fields.remove(&Path::named(names));
    }
}

impl Ownership {
    /// Notes an ordinary write: what it changed is its manager's now. `before` is none for a new object.
    pub(crate) fn wrote(&mut self, kind: &KindInfo, manager: &Manager, before: Option<&Value>, after: &Value) {
        self.unseen = Value::Null;
        if self.managers.is_empty() && before.is_some() {
            // Nobody began to count.
            return;
        }
        let empty = kind.empty();
        let shape = &kind.shape;
        let before = before.unwrap_or(&empty);
        if shape.check_stored(before).and_then(|()| shape.check_stored(after)).is_err() {
            // What cannot be read by its schema ends the counting.
            self.managers.clear();
            return;
        }
        let found = compare(shape, before, after).without(&out_of_reach(kind, &manager.part));
        self.yields(&found, None);
        let mut own = found.written();
        not_nobodys(&mut own);
        if !own.is_empty() {
            self.managers.entry(manager.clone()).or_default().extend(own);
        }
    }

    /// Applies what a manager wants to an object; `live` is none for a new one.
    pub(crate) fn apply(
        &mut self,
        kind: &KindInfo,
        manager: &Manager,
        force: bool,
        live: Option<&Value>,
        wanted: &Value,
    ) -> Result<Value, Refusal> {
        let shape: &Shape = &kind.shape;
        let empty = kind.empty();
        if let Some(live) = live
            && self.managers.is_empty()
        {
            let mut found = compare(shape, &empty, live).written();
            not_nobodys(&mut found);
            self.managers.insert(Manager::new("before-first-apply", false, ""), found);
        }
        let mistyped =
            |what: &str, told: String| Refusal::new(500, "", format!("failed to create typed {what} object: {told}"));
        shape.check(wanted).map_err(|told| mistyped("patch", told))?;
        let live = live.unwrap_or(&empty);
        shape.check_stored(live).map_err(|told| mistyped("live", told))?;
        let merged = fields::merge(shape, live, wanted);
        let hidden = out_of_reach(kind, &manager.part);
        let mut own = fields_of(shape, wanted);
        own.retain(|path| !path.in_any(&hidden));
        let last = self.managers.insert(manager.clone(), own).unwrap_or_default();
        let owned: Fields = self.managers.values().flatten().cloned().collect();
        let pruned = fields::prune(shape, &merged, &last, &owned);
        let found = compare(shape, live, &pruned).without(&hidden);
        if !force {
            self.conflicts(manager, &found)?;
        }
        self.yields(&found, Some(manager));
        if let Some(own) = self.managers.get_mut(manager) {
            not_nobodys(own);
        }
        self.managers.retain(|_, owned| !owned.is_empty());
        Ok(pruned)
    }

    /// Everybody but one gives up what was written or removed.
    fn yields(&mut self, found: &Comparison, but: Option<&Manager>) {
        let written = found.written();
        for (_, owned) in self.managers.iter_mut().filter(|(manager, _)| Some(*manager) != but) {
            owned.retain(|path| !written.contains(path) && !found.removed.contains(path));
        }
        self.managers.retain(|_, owned| !owned.is_empty());
    }

    fn conflicts(&self, manager: &Manager, found: &Comparison) -> Result<(), Refusal> {
        let written = found.written();
        let mut conflicts = Vec::new();
        for (other, owned) in self.managers.iter().filter(|(other, _)| *other != manager) {
            let how = match (other.applies, other.part.as_str()) {
                (true, _) => String::new(),
                (false, "") => " using an update".to_owned(),
                (false, part) => format!(" with subresource \"{part}\" using an update"),
            };
            conflicts.extend(owned.intersection(&written).map(|path| {
                json!({
                    "reason": "FieldManagerConflict", "field": path.to_string(),
                    "message": format!("conflict with \"{}\"{how}", other.name)
                })
            }));
        }
        if conflicts.is_empty() {
            return Ok(());
        }
        let mut refusal = Refusal::new(409, "Conflict", format!("Apply failed with {} conflicts", conflicts.len()));
        refusal.details = json!({ "causes": conflicts });
        Err(refusal)
    }
}
