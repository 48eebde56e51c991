//! Merging what is applied into what is there.

use serde_json::{Map, Value};

use super::shape::ListShape;
use super::{Shape, Step};

/// What is there with what is applied; where both say something, what is applied goes before.
pub(crate) fn merge(shape: &Shape, old: &Value, new: &Value) -> Value {
    match (shape.map(), shape.list(), old, new) {
        (Some(of), _, Value::Object(old), Value::Object(new)) if !of.atomic && (!old.is_empty() || !new.is_empty()) => {
            let mut merged = Map::new();
            for (name, value) in old {
                let value = match (new.get(name), of.field(name)) {
                    (Some(applied), Some((inner, _))) => merge(inner, value, applied),
                    (Some(applied), None) => applied.clone(),
                    (None, _) => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                merged.insert(name.clone(), value.clone());
            }
            Value::Object(merged)
        }
        // Nothing said about a map or a list is no wish to empty it.
        (Some(of), _, Value::Object(old), Value::Null) if !of.atomic && !old.is_empty() && shape.is_container() => {
            Value::Object(old.clone())
        }
        (_, Some(of), Value::Array(old), Value::Null) if of.associative() && !old.is_empty() => {
            Value::Array(old.clone())
        }
        (_, Some(of), Value::Array(old), Value::Array(new))
            if of.associative() && (!old.is_empty() || !new.is_empty()) =>
        {
            Value::Array(items(of, old, new))
        }
        _ => new.clone(),
    }
}

/// Items of both lists. Those that are in both stand in the order of the applied list, and the others where they stood beside them.
fn items(of: &ListShape, old: &[Value], new: &[Value]) -> Vec<Value> {
    let steps = |list: &[Value]| -> Vec<(Step, Value)> {
        list.iter().filter_map(|item| of.step(item).ok().map(|step| (step, item.clone()))).collect()
    };
    let (old, new) = (steps(old), steps(new));
    let has = |list: &[(Step, Value)], step: &Step| list.iter().any(|(s, _)| s == step);
    // An item that is there twice is replaced, not merged.
    let merged = |step: &Step, applied: &Value| {
        let mut twins = old.iter().filter(|(s, _)| s == step);
        match (twins.next(), twins.next()) {
            (Some((_, only)), None) => merge(of.items(), only, applied),
            _ => applied.clone(),
        }
    };
    let mut shared = new.iter().map(|(step, _)| step).filter(|step| has(&old, step));
    let mut next = shared.next();
    let (mut l, mut r) = (0, 0);
    let mut done: Vec<&Step> = Vec::new();
    let mut out = Vec::new();
    while l < old.len() || r < new.len() {
        if let (Some((left, _)), Some((right, applied))) = (old.get(l), new.get(r)) {
            if left == right {
                done.push(right);
                out.push(merged(right, applied));
                (l, r) = (l.saturating_add(1), r.saturating_add(1));
                next = shared.next();
                continue;
            }
            if has(&new, left) && next.is_some_and(|n| n != left) {
                // In both, but not the one whose turn it is.
                l = l.saturating_add(1);
                continue;
            }
        }
        if let Some((left, item)) = old.get(l) {
            if !has(&new, left) {
                out.push(item.clone());
                l = l.saturating_add(1);
                continue;
            }
            if done.contains(&left) {
                l = l.saturating_add(1);
            }
        }
        if let Some((right, applied)) = new.get(r) {
            done.push(right);
            out.push(merged(right, applied));
            r = r.saturating_add(1);
            if next == Some(right) {
                next = shared.next();
            }
        }
    }
    out
}
