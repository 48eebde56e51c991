//! What changed between two objects.

use serde_json::{Map, Value};

use super::shape::{ListShape, MapShape};
use super::{Fields, Path, Shape, Step, insert};

/// What changed.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) added: Fields,
    pub(crate) modified: Fields,
    pub(crate) removed: Fields,
}

impl Comparison {
    /// Leaves out what is in these fields.
    pub(crate) fn without(mut self, outer: &[Path]) -> Self {
        for fields in [&mut self.added, &mut self.modified, &mut self.removed] {
            fields.retain(|path| !path.in_any(outer));
        }
        self
    }

    /// What is there now and was not, or was otherwise.
    pub(crate) fn written(&self) -> Fields {
        self.added.union(&self.modified).cloned().collect()
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>, path: &Path) {
        match (old, new) {
            (None, _) => insert(&mut self.added, path),
            (_, None) => insert(&mut self.removed, path),
            (Some(old), Some(new)) if old != new => insert(&mut self.modified, path),
            _ => {}
        }
    }
}

/// Compares two objects.
pub(crate) fn compare(shape: &Shape, old: &Value, new: &Value) -> Comparison {
    let mut found = Comparison::default();
    walk(shape, Some(old), Some(new), &Path::default(), &mut found);
    found
}

fn walk(shape: &Shape, old: Option<&Value>, new: Option<&Value>, path: &Path, found: &mut Comparison) {
    let maps = |v: Option<&Value>| v.is_none_or(|v| v.is_object() || v.is_null());
    let lists = |v: Option<&Value>| v.is_none_or(|v| v.is_array() || v.is_null());
    let empty = |v: Option<&Value>| match v {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    };
    let nothing = empty(old) && empty(new);
    let some_map = old.is_some_and(Value::is_object) || new.is_some_and(Value::is_object);
    let some_list = old.is_some_and(Value::is_array) || new.is_some_and(Value::is_array);
    let descended = match (shape.map(), shape.list()) {
        (Some(of), _) if some_map && maps(old) && maps(new) && !of.atomic && !nothing => {
            fields(of, old.and_then(Value::as_object), new.and_then(Value::as_object), path, found);
            true
        }
        (_, Some(of)) if some_list && lists(old) && lists(new) && of.associative() && !nothing => {
            items(of, old.and_then(Value::as_array), new.and_then(Value::as_array), path, found);
            true
        }
        _ => false,
    };
    if !descended {
        found.leaf(old, new, path);
        // A map that came in the place of a value, or went, has fields all the same.
        if let (Some(of), Some(was), Some(is)) = (shape.map(), old, new)
            && !of.atomic
            && was.is_object() != is.is_object()
            && !was.is_null()
            && !is.is_null()
        {
            fields(of, was.as_object(), is.as_object(), path, found);
        }
    } else if old.is_none() {
        insert(&mut found.added, path);
    } else if new.is_none() {
        insert(&mut found.removed, path);
    }
}

fn fields(
    of: &MapShape,
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    path: &Path,
    found: &mut Comparison,
) {
    let names = old.into_iter().flatten().chain(new.into_iter().flatten()).map(|(name, _)| name);
    let names: std::collections::BTreeSet<&String> = names.collect();
    for name in names {
        let (old, new) = (old.and_then(|m| m.get(name)), new.and_then(|m| m.get(name)));
        let path = path.below(Step::Field(name.clone()));
        match of.field(name) {
            Some((inner, _)) => walk(inner, old, new, &path, found),
            None => found.leaf(old, new, &path),
        }
    }
}

fn items(of: &ListShape, old: Option<&Vec<Value>>, new: Option<&Vec<Value>>, path: &Path, found: &mut Comparison) {
    let steps = |list: Option<&Vec<Value>>| -> Vec<(Step, Value)> {
        list.into_iter().flatten().filter_map(|item| of.step(item).ok().map(|step| (step, item.clone()))).collect()
    };
    let (old, new) = (steps(old), steps(new));
    let all: std::collections::BTreeSet<&Step> = old.iter().chain(&new).map(|(step, _)| step).collect();
    for step in all {
        let at = |list: &[(Step, Value)]| -> Vec<Value> {
            list.iter().filter(|(s, _)| s == step).map(|(_, item)| item.clone()).collect()
        };
        let (was, is) = (at(&old), at(&new));
        let path = path.below(step.clone());
        match (was.len(), is.len()) {
            (0 | 1, 0 | 1) => walk(of.items(), was.first(), is.first(), &path, found),
            (0 | 1, _) => {
                if let Some(was) = was.first() {
                    walk(of.items(), Some(was), None, &path, found);
                }
                insert(&mut found.added, &path);
            }
            (_, 0 | 1) => {
                if let Some(is) = is.first() {
                    walk(of.items(), None, Some(is), &path, found);
                }
                insert(&mut found.removed, &path);
            }
            _ if was != is => insert(&mut found.modified, &path),
            _ => {}
        }
    }
}
