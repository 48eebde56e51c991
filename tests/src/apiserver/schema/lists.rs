//! `x-kubernetes-list-type`: elements of sets and keys of maps come once.

use serde_json::{Map, Value};

use super::causes::Cause;
use super::fields::{child, index, key};
use super::node::{Additional, ListType, Node};

pub(super) fn check(node: &Node, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !node.has_list_types {
        return;
    }
    match value {
        Value::Array(list) => array(node, list, path, causes),
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(property) = node.properties.get(name) {
                    check(property, value, &child(path, name), causes);
                } else if let Additional::Each(each) = &node.additional {
                    check(each, value, &key(path, name), causes);
                }
            }
        }
        _ => {}
    }
}

fn array(node: &Node, list: &[Value], path: &str, causes: &mut Vec<Cause>) {
    match node.list_type {
        ListType::Atomic => {}
        ListType::Set => {
            let repeated = repeated(list).into_iter().filter_map(|at| Some((at, list.get(at)?)));
            causes.extend(repeated.map(|(at, value)| Cause::duplicate(&index(path, at), Some(value))));
        }
        ListType::Map => keyed(node, list, path, causes),
    }
    if let Some(items) = &node.items {
        for (at, element) in list.iter().enumerate() {
            check(items, element, &index(path, at), causes);
        }
    }
}

fn keyed(node: &Node, list: &[Value], path: &str, causes: &mut Vec<Cause>) {
    if let Some((at, wrong)) = list.iter().enumerate().find(|(_, v)| !v.is_object() && !v.is_null()) {
        let detail = "must be an object for an array of list-type map";
        causes.push(Cause::invalid(&index(path, at), wrong, detail));
        return;
    }
    let keys: Vec<Value> = list
        .iter()
        .map(|element| {
            let given = |name: &String| Some((name.clone(), element.get(name)?.clone()));
            Value::Object(node.list_keys.iter().filter_map(given).collect::<Map<_, _>>())
        })
        .collect();
    let repeated = repeated(&keys).into_iter().filter_map(|at| Some((at, keys.get(at)?)));
    causes.extend(repeated.map(|(at, keys)| Cause::duplicate(&index(path, at), Some(keys))));
}

/// Where a value comes for the second time; its later returns are not told.
fn repeated(values: &[Value]) -> Vec<usize> {
    let seen = |at: usize, value: &Value| values.iter().take(at).filter(|before| *before == value).count();
    values.iter().enumerate().filter(|(at, value)| seen(*at, value) == 1).map(|(at, _)| at).collect()
}
