//! Fields as server-side apply sees them: which there are, which changed, and how two objects are merged.
//!
//! After Kubernetes' structured merge: what counts as one field depends on the kind's schema. A map may be one value or one field
//! for each key; a list one value, a set of values, or a map of items that some of their own fields tell apart.

mod compare;
mod merge;
mod remove;
mod shape;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

pub(crate) use compare::{Comparison, compare};
pub(crate) use merge::merge;
pub(crate) use remove::prune;
pub(crate) use shape::Shape;

/// One step into an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A field.
    Field(String),
    /// The item of a list that has these keys, with their values as JSON.
    Keys(Vec<(String, String)>),
    /// The item of a list that is this value, as JSON.
    Item(String),
}

/// Where a field is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(Vec<Step>);

/// Fields.
pub(crate) type Fields = BTreeSet<Path>;

impl Path {
    /// The path of a field by the names of the fields that it is in.
    pub(crate) fn named(names: &[&str]) -> Self {
        Self(names.iter().map(|n| Step::Field((*n).to_owned())).collect())
    }

    pub(crate) fn below(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it is in one of these fields, or is one of them.
    pub(crate) fn in_any(&self, of: &[Self]) -> bool {
        of.iter().any(|outer| self.0.starts_with(&outer.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Keys(keys) => {
                    let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    write!(f, "[{}]", keys.join(","))?;
                }
                Step::Item(value) => write!(f, "[={value}]")?,
            }
        }
        Ok(())
    }
}

fn insert(fields: &mut Fields, path: &Path) {
    // Nobody owns an object as a whole.
    if !path.is_root() {
        fields.insert(path.clone());
    }
}

/// Every field of an object.
pub(crate) fn fields_of(shape: &Shape, value: &Value) -> Fields {
    let mut found = Fields::new();
    collect(shape, value, &Path::default(), &mut found);
    found
}

fn collect(shape: &Shape, value: &Value, path: &Path, found: &mut Fields) {
    match value {
        Value::Object(map) => match shape.map() {
            Some(of) if !of.atomic => {
                for (name, value) in map {
                    let Some((inner, declared)) = of.field(name) else { continue };
                    let path = path.below(Step::Field(name.clone()));
                    collect(inner, value, &path, found);
                    let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
                    if empty || !declared {
                        insert(found, &path);
                    }
                }
            }
            _ => insert(found, path),
        },
        Value::Array(items) => match shape.list() {
            Some(of) if of.associative() => {
                let steps: Vec<Step> = items.iter().filter_map(|i| of.step(i).ok()).collect();
                for (item, step) in items.iter().zip(&steps) {
                    let path = path.below(step.clone());
                    // Of what is there twice only the place is a field.
                    if steps.iter().filter(|s| *s == step).count() == 1 {
                        collect(of.items(), item, &path, found);
                    }
                    insert(found, &path);
                }
            }
            _ => insert(found, path),
        },
        Value::Null if shape.is_container() => {}
        _ => insert(found, path),
    }
}
