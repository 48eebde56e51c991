//! A kind of this test alone, with every sort of list and map.

use serde_json::{Value, json};

use super::Kind;

pub(super) static WIDGET: Kind = Kind {
    kind: "Widget",
    api: "conformance.zhengyun.io/v1",
    plural: "widgets",
    namespaced: true,
    status: Some(|| json!({ "ready": 1 })),
    content: || {
        json!({ "spec": {
                "size": 1, "set": ["a", "b"], "map": [{ "name": "x", "value": 1 }, { "name": "y", "value": 2 }],
                "list": ["p", "q"], "labels": { "k": "v" }, "whole": { "a": "1", "b": "2" }
            } })
    },
    changes: || {
        vec![
            json!({ "spec": { "size": 2 } }),
            json!({ "spec": { "size": null } }),
            json!({ "spec": { "set": ["b", "c"] } }),
            json!({ "spec": { "map": [{ "name": "y", "value": 3 }] } }),
            json!({ "spec": { "map": [{ "name": "x", "value": 1, "note": "n" }, { "name": "z" }] } }),
            json!({ "spec": { "list": ["q"] } }),
            json!({ "spec": { "labels": { "k": null, "l": "w" } } }),
            json!({ "spec": { "whole": { "a": "9" } } }),
            json!({ "spec": { "port": "http" } }),
            json!({ "spec": { "port": 80 } }),
            json!({ "spec": { "free": { "x": { "y": [1, 2] } } } }),
            json!({ "spec": { "note": null } }),
            json!({ "spec": { "note": "refused" } }),
            json!({ "spec": { "size": 4 } }),
            json!({ "spec": { "nested": { "inner": { "deep": "d" } } } }),
        ]
    },
    status_changes: || {
        vec![
            json!({ "ready": 2 }),
            json!({ "ready": null }),
            json!({ "ready": 7 }),
            json!({ "parts": [{ "name": "p", "ok": true }] }),
        ]
    },
    selectable: &[("spec.size", &["1", "2"]), ("spec.note", &["none", ""])],
};

/// Its definition.
pub(crate) fn definition() -> Value {
    let part = json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": { "type": "string" },
            "value": { "type": "integer", "default": 0 },
            "note": { "type": "string" }
        }
    });
    let spec = json!({
        "type": "object",
        "properties": {
            "size": { "type": "integer", "minimum": 0, "maximum": 10, "default": 1 },
            "note": { "type": "string", "default": "none" },
            "set": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
            "map": { "type": "array", "items": part, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
            "list": { "type": "array", "items": { "type": "string" } },
            "objects": { "type": "array", "items": { "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "string", "default": "d" } } } },
            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
            "whole": { "type": "object", "additionalProperties": { "type": "string" }, "x-kubernetes-map-type": "atomic" },
            "port": { "x-kubernetes-int-or-string": true },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "maybe": { "type": "string", "nullable": true },
            "nested": { "type": "object", "properties": {
                "inner": { "type": "object", "default": { "deep": "by default" }, "properties": { "deep": { "type": "string" } } }
            } }
        },
        "x-kubernetes-validations": [
            { "rule": "self.size < 9", "message": "size is too large" },
            { "rule": "!has(oldSelf.size) || self.size >= oldSelf.size", "message": "size may not shrink" }
        ]
    });
    let status = json!({
        "type": "object",
        "properties": {
            "ready": { "type": "integer" },
            "parts": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" }, "ok": { "type": "boolean", "default": false } } }
            }
        }
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.conformance.zhengyun.io" },
        "spec": {
            "group": "conformance.zhengyun.io", "scope": "Namespaced",
            "names": { "kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "selectableFields": [{ "jsonPath": ".spec.size" }, { "jsonPath": ".spec.note" }],
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec, "status": status } } }
            }]
        }
    })
}
