//! The old value that belongs to a new one, for ratcheting: what was wrong before and has not changed is forgiven.

use std::cell::OnceCell;

use serde_json::{Map, Value};

use super::node::{ListType, Node};

/// A new value beside the old one at the same place.
#[derive(Debug)]
pub(super) struct Correlated<'a> {
    new: &'a Value,
    old: &'a Value,
    node: &'a Node,
    unchanged: OnceCell<bool>,
}

impl<'a> Correlated<'a> {
    pub(super) const fn root(new: &'a Value, old: &'a Value, node: &'a Node) -> Self {
        Self { new, old, node, unchanged: OnceCell::new() }
    }

    /// A field or entry that is in both, and that the schema knows.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let (new, old) = (self.new.as_object()?, self.old.as_object()?);
        Some(Self::root(new.get(name)?, old.get(name)?, self.node.written(name)?))
    }

    /// An element of a list whose elements are told apart by keys.
    pub(super) fn index(&self, at: usize) -> Option<Self> {
        let new = self.new.as_array()?.get(at)?;
        let old = keyed(self.node, self.old.as_array()?, new)?;
        Some(Self::root(new, old, self.node.items.as_deref()?))
    }

    /// Whether nothing changed, as far as the schema tells.
    pub(super) fn unchanged(&self) -> bool {
        *self.unchanged.get_or_init(|| self.compare())
    }

    fn compare(&self) -> bool {
        match (self.new, self.old) {
            (Value::Array(new), Value::Array(old)) if self.node.list_type == ListType::Map => {
                new.len() == old.len()
                    && (0..new.len()).all(|at| self.index(at).is_some_and(|element| element.unchanged()))
            }
            (Value::Object(new), Value::Object(old)) => {
                new.len() == old.len() && new.keys().all(|name| self.field(name).is_some_and(|field| field.unchanged()))
            }
            (new, old) => new == old,
        }
    }
}

/// The element of a list that has the keys of this one; `None` in lists that are not told apart by keys.
pub(super) fn keyed<'a>(node: &Node, list: &'a [Value], element: &Value) -> Option<&'a Value> {
    if node.list_type != ListType::Map || node.list_keys.is_empty() {
        return None;
    }
    let has_keys = |map: &Map<String, Value>| {
        let scalar = |value: &Value| matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_));
        node.list_keys.iter().all(|key| map.get(key).is_some_and(scalar))
    };
    let wanted = element.as_object().filter(|map| has_keys(map))?;
    list.iter().find(|candidate| {
        let candidate = candidate.as_object();
        candidate.is_some_and(|map| node.list_keys.iter().all(|key| map.get(key) == wanted.get(key)))
    })
}
