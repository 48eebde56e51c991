//! The kinds that sequences are about, with objects that are fine.

mod built_in;
mod project;
mod widget;

use std::sync::LazyLock;

use serde_json::{Value, json};

pub(crate) use widget::definition as widget_definition;

/// A kind.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "an object's own field is called kind")]
pub(crate) struct Kind {
    pub(crate) kind: &'static str,
    pub(crate) api: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
    /// A status that is fine, where it is written by itself.
    pub(crate) status: Option<fn() -> Value>,
    /// What there is beside the metadata.
    pub(crate) content: fn() -> Value,
    /// Changes that are fine, as merge patches.
    pub(crate) changes: fn() -> Vec<Value>,
    /// Changes of the status that are fine.
    pub(crate) status_changes: fn() -> Vec<Value>,
    /// Fields that may be selected, with values that occur.
    pub(crate) selectable: &'static [(&'static str, &'static [&'static str])],
}

impl Kind {
    /// The path of its objects.
    pub(crate) fn collection(&self, namespace: &str) -> String {
        let root = if self.api.contains('/') { "apis" } else { "api" };
        if self.namespaced {
            format!("/{root}/{}/namespaces/{namespace}/{}", self.api, self.plural)
        } else {
            format!("/{root}/{}/{}", self.api, self.plural)
        }
    }

    /// An object that is fine.
    pub(crate) fn object(&self, name: &str) -> Value {
        let mut object = json!({ "apiVersion": self.api, "kind": self.kind, "metadata": { "name": name } });
        json_patch::merge(&mut object, &(self.content)());
        object
    }
}

fn none() -> Vec<Value> {
    Vec::new()
}

/// All of them.
pub(crate) static KINDS: LazyLock<Vec<&'static Kind>> =
    LazyLock::new(|| project::KINDS.iter().chain([&widget::WIDGET]).chain(built_in::KINDS).collect());
