//! Taking fields away: what a manager applied before and applies no longer.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Fields, Path, Shape, Step, fields_of};

/// Fields with the declared fields that they are in.
pub(crate) fn all_of(shape: &Shape, fields: &Fields) -> Fields {
    let mut all = fields.clone();
    for path in fields {
        let mut at = Some(shape);
        let mut outer = Path::default();
        let (_, inner) = path.steps().split_last().map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
        for step in inner {
            outer = outer.below(step.clone());
            let (below, declared) = step_into(at, step);
            if declared {
                all.insert(outer.clone());
            }
            at = below;
        }
    }
    all
}

/// What a step leads to, and whether it is a field that is declared.
fn step_into<'a>(at: Option<&'a Shape>, step: &Step) -> (Option<&'a Shape>, bool) {
    match step {
        Step::Field(name) => match at.and_then(Shape::map).and_then(|of| of.field(name)) {
            Some((inner, declared)) => (Some(inner), declared),
            None => (None, false),
        },
        Step::Keys(_) => (at.and_then(Shape::list).map(super::shape::ListShape::items), false),
        Step::Item(_) => (None, false),
    }
}

/// A value without these fields. What nothing is left of is null.
fn remove(shape: &Shape, value: &Value, fields: &Fields) -> Value {
    let below = |step: &Step| -> Fields {
        fields
            .iter()
            .filter_map(|path| path.steps().split_first().filter(|(first, rest)| *first == step && !rest.is_empty()))
            .map(|(_, rest)| Path(rest.to_vec()))
            .collect()
    };
    let itself = |step: &Step| fields.contains(&Path(vec![step.clone()]));
    match value {
        Value::Object(map) => {
            let Some(of) = shape.map().filter(|of| !of.atomic && !map.is_empty()) else { return Value::Null };
            let mut kept = Map::new();
            for (name, value) in map {
                let step = Step::Field(name.clone());
                if itself(&step) {
                    continue;
                }
                let inner = below(&step);
                let value = match of.field(name) {
                    Some((shape, _)) if !inner.is_empty() => remove(shape, value, &inner),
                    _ => value.clone(),
                };
                kept.insert(name.clone(), value);
            }
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        Value::Array(items) => {
            let Some(of) = shape.list().filter(|of| of.associative() && !items.is_empty()) else { return Value::Null };
            let mut kept = Vec::new();
            for item in items {
                let Ok(step) = of.step(item) else { continue };
                if itself(&step) {
                    continue;
                }
                let inner = below(&step);
                kept.push(if inner.is_empty() { item.clone() } else { remove(of.items(), item, &inner) });
            }
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        other => other.clone(),
    }
}

fn difference(of: &Fields, without: &Fields) -> Fields {
    of.difference(without).cloned().collect()
}

/// A merged object without what its manager applied before (`last`) and nobody owns now (`owned`).
pub(crate) fn prune(shape: &Shape, merged: &Value, last: &Fields, owned: &Fields) -> Value {
    if last.is_empty() {
        return merged.clone();
    }
    let last = all_of(shape, last);
    let pruned = remove(shape, merged, &last);
    // What somebody owns stays, and what is left when that stays.
    let there = all_of(shape, &fields_of(shape, merged));
    let left = all_of(shape, &fields_of(shape, &pruned));
    let kept: Fields = left.union(&all_of(shape, owned)).cloned().collect();
    let pruned = remove(shape, merged, &difference(&there, &kept));
    // Only what was applied before goes.
    let left = all_of(shape, &fields_of(shape, &pruned));
    let gone: BTreeSet<Path> = difference(&there, &left).intersection(&last).cloned().collect();
    remove(shape, merged, &gone)
}
