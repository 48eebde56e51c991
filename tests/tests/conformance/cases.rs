//! Sequences that the two servers once disagreed about, or that chance would not come upon.

mod admitting;
mod deleting;
mod listing;
mod merging;
mod naming;
mod reading;
mod watching;

use serde_json::{Value, json};

use super::kinds::{KINDS, Kind};
use super::step::{Call, Step, create};

/// A sequence with a name.
pub(crate) struct Case {
    /// What it shows; letters and dashes, and unique.
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// All of them, named for an attempt.
pub(crate) fn all(attempt: u32) -> Vec<Case> {
    [
        admitting::cases(attempt),
        deleting::cases(attempt),
        listing::cases(attempt),
        merging::cases(attempt),
        naming::cases(attempt),
        reading::cases(attempt),
        watching::cases(attempt),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Writes a case: its namespace is made first.
fn case(attempt: u32, name: &'static str, write: impl FnOnce(&Place) -> Vec<Step>) -> Case {
    in_namespace(attempt, name, json!({}), write)
}

/// Writes a case in whose namespace the policies of this test are in force. They are from the first moment on: the real server
/// learns of a change of labels a little later.
fn guarded_case(attempt: u32, name: &'static str, write: impl FnOnce(&Place) -> Vec<Step>) -> Case {
    in_namespace(attempt, name, json!({ "guarded": "yes" }), write)
}

fn in_namespace(attempt: u32, name: &'static str, mut labels: Value, write: impl FnOnce(&Place) -> Vec<Step>) -> Case {
    let place = Place { run: format!("case-{name}{}", crate::again(attempt)) };
    labels["run"] = json!(place.run);
    let space = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": place.run, "labels": labels } });
    let mut steps = vec![create("/api/v1/namespaces", space).into()];
    steps.extend(write(&place));
    Case { name, steps }
}

/// Where a case takes place.
struct Place {
    run: String,
}

impl Place {
    fn kind(kind: &str) -> &'static Kind {
        KINDS.iter().copied().find(|k| k.kind == kind).expect("a kind")
    }

    /// The collection of a kind.
    fn collection(&self, kind: &str) -> String {
        Self::kind(kind).collection(&self.run)
    }

    /// The name of an object: that of the case goes before it where there are no namespaces.
    fn name(&self, kind: &str, name: &str) -> String {
        if Self::kind(kind).namespaced { name.to_owned() } else { format!("{}-{name}", self.run) }
    }

    /// The path of an object.
    fn path(&self, kind: &str, name: &str) -> String {
        format!("{}/{}", self.collection(kind), self.name(kind, name))
    }

    /// An object that is fine, changed.
    fn object(&self, kind: &str, name: &str, change: &Value) -> Value {
        let mut object = Self::kind(kind).object(&self.name(kind, name));
        object["metadata"]["labels"] = json!({ "run": self.run });
        json_patch::merge(&mut object, change);
        object
    }

    /// POST of an object.
    fn create(&self, kind: &str, name: &str, change: &Value) -> Call {
        create(&self.collection(kind), self.object(kind, name, change))
    }
}

/// Requests in a row.
fn calls(calls: impl IntoIterator<Item = Call>) -> Vec<Step> {
    calls.into_iter().map(Step::from).collect()
}
