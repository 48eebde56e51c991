//! Bringing an object into form: pruning, nulls, metadata, defaults, in this order.

use serde_json::{Map, Value};

use super::node::{Additional, Node};

const META_FIELDS: &[&str] = &["apiVersion", "kind", "metadata"];

pub(super) fn prepare(object: &mut Value, root: &Node) {
    prune(object, Some(root));
    drop_nulls(object, Some(root));
    reduce_metadata(object, Some(root));
    set_defaults(object, root);
}

pub(super) fn prune(value: &mut Value, node: Option<&Node>) {
    match value {
        Value::Object(map) => {
            let Some(node) = node else { return map.clear() };
            map.retain(|name, value| {
                if node.is_resource() && META_FIELDS.contains(&name.as_str()) {
                    return true;
                }
                match (node.properties.get(name), &node.additional) {
                    (Some(property), _) => prune(value, Some(property)),
                    (None, Additional::Each(each)) => prune(value, Some(each)),
                    // `additionalProperties: true` keeps the name, and nothing that is in it.
                    (None, Additional::Allowed(_)) => prune(value, None),
                    (None, _) => return node.preserve,
                }
                true
            });
        }
        Value::Array(list) => match node {
            Some(node) if node.preserve => list.iter_mut().for_each(|v| prune_kept(v, node.items.as_deref())),
            node => list.iter_mut().for_each(|v| prune(v, node.and_then(|n| n.items.as_deref()))),
        },
        _ => {}
    }
}

/// Below what is kept as it is, only what the schema knows is pruned.
fn prune_kept(value: &mut Value, node: Option<&Node>) {
    let Some(node) = node else { return };
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if !(node.is_resource() && META_FIELDS.contains(&name.as_str()))
                    && let Some(below) = node.written(name)
                {
                    prune(value, Some(below));
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| prune_kept(v, node.items.as_deref())),
        _ => {}
    }
}

/// Drops nulls that are not allowed and have no default.
fn drop_nulls(value: &mut Value, node: Option<&Node>) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let below = node.and_then(|n| n.written(name));
            if value.is_null() && below.is_some_and(|n| !n.nullable && n.default.is_none()) {
                return false;
            }
            drop_nulls(value, below);
            true
        }),
        Value::Array(list) => {
            let items = node.and_then(|n| n.items.as_deref());
            for value in list {
                drop_nulls(value, items);
            }
        }
        _ => {}
    }
}

pub(super) fn set_defaults(value: &mut Value, node: &Node) {
    let replaced = |value: &Value, node: &Node| value.is_null() && !node.nullable;
    match value {
        Value::Object(map) => {
            for (name, property) in &node.properties {
                if let Some(default) = &property.default
                    && map.get(name).is_none_or(|value| replaced(value, property))
                {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in map.iter_mut() {
                let Some(below) = node.written(name) else { continue };
                if !node.properties.contains_key(name) && replaced(value, below) {
                    *value = below.default.clone().unwrap_or_default();
                }
                set_defaults(value, below);
            }
        }
        Value::Array(list) => {
            let Some(items) = &node.items else { return };
            for value in list {
                if replaced(value, items) {
                    *value = items.default.clone().unwrap_or_default();
                }
                set_defaults(value, items);
            }
        }
        _ => {}
    }
}

/// Fields of `metadata`, and whether each is kept when empty.
const METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
const OWNER: &[&str] = &["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];

/// Metadata is kept as its own type, which knows certain fields and leaves out what is empty.
fn reduce_metadata(value: &mut Value, node: Option<&Node>) {
    let Some(node) = node else { return };
    match value {
        Value::Object(map) => {
            if node.is_resource()
                && let Some(Value::Object(metadata)) = map.get_mut("metadata")
            {
                reduce(metadata);
            }
            for (name, value) in map.iter_mut() {
                reduce_metadata(value, node.written(name));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| reduce_metadata(v, node.items.as_deref())),
        _ => {}
    }
}

fn reduce(metadata: &mut Map<String, Value>) {
    metadata.retain(|name, value| {
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Number(number) => name == "generation" && number.as_i64() == Some(0),
            Value::Bool(_) => false,
        };
        METADATA.contains(&name.as_str()) && !empty
    });
    for owner in metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(owner) = owner.as_object_mut() {
            owner.retain(|name, value| OWNER.contains(&name.as_str()) && !value.is_null());
        }
    }
}
