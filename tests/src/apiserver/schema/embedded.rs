//! Kubernetes objects within an object (`x-kubernetes-embedded-resource`).

use serde_json::{Map, Value};

use super::causes::Cause;
use super::fields::{child, index, key};
use super::metadata;
use super::node::Node;

pub(super) fn check(node: &Node, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(map) => {
            if node.embedded {
                resource(map, path, causes);
            }
            for (name, value) in map {
                if let Some(property) = node.properties.get(name) {
                    check(property, value, &child(path, name), causes);
                } else if let Some(each) = node.written(name) {
                    check(each, value, &key(path, name), causes);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                list.iter().enumerate().for_each(|(at, v)| check(items, v, &index(path, at), causes));
            }
        }
        _ => {}
    }
}

fn resource(map: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    for name in ["apiVersion", "kind"] {
        let path = child(path, name);
        match map.get(name) {
            None => causes.push(Cause::required(&path, "")),
            Some(Value::String(text)) if text.is_empty() => {
                causes.push(Cause::invalid(&path, &Value::from(""), "must not be empty"));
            }
            Some(Value::String(_)) => {}
            Some(other) => causes.push(Cause::invalid(&path, other, "must be a string")),
        }
    }
    if let Some(metadata) = map.get("metadata") {
        metadata::check_parts(metadata, &child(path, "metadata"), causes);
    }
}
