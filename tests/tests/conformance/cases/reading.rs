//! How bodies are read.

use http::Method;
use serde_json::json;

use super::{Case, calls, case};
use crate::step::{APPLY, JSON, MERGE, PATCH, merge, patch, put_changed, raw};

pub(super) fn cases(attempt: u32) -> Vec<Case> {
    vec![
        case(attempt, "bytes-from-a-list-of-numbers", |place| {
            calls([
                place.create("Secret", "a", &json!({ "data": { "key": [104, 105] } })),
                place.create("Secret", "b", &json!({ "data": { "key": [] } })),
                place.create("Secret", "c", &json!({ "data": { "key": [256] } })),
                place.create("Secret", "c", &json!({ "data": { "key": "no base64!" } })),
            ])
        }),
        case(attempt, "strict-counts-unknown-nulls", |place| {
            let path = place.path("Widget", "a");
            calls([
                place.create("Widget", "a", &json!({})),
                put_changed(&path, json!({ "spec": { "size": 2 } })).with("fieldValidation", "Strict"),
                patch(&path, PATCH, json!([{ "op": "add", "path": "/spec/strange", "value": null }]))
                    .with("fieldValidation", "Strict"),
                patch(&path, PATCH, json!([{ "op": "add", "path": "/spec/maybe", "value": null }]))
                    .with("fieldValidation", "Strict"),
                patch(&path, PATCH, json!([{ "op": "add", "path": "/spec/size", "value": null }]))
                    .with("fieldValidation", "Strict"),
            ])
        }),
        case(attempt, "a-merge-patch-drops-nulls-in-lists", |place| {
            let path = place.path("Widget", "a");
            calls([
                place.create("Widget", "a", &json!({})),
                merge(&path, json!({ "spec": { "free": { "list": [{ "a": null, "b": 1 }, null] } } })),
                merge(&path, json!({ "spec": { "free": { "list": [{ "a": null }] } } })),
                merge(&path, json!({ "spec": { "free": [{ "a": null }] } })),
            ])
        }),
        case(attempt, "a-json-patch-departs-from-its-standard", |place| {
            let path = place.path("ConfigMap", "a");
            let step = |operation| patch(&path, PATCH, json!([operation]));
            calls([
                place.create("ConfigMap", "a", &json!({})),
                step(json!({ "op": "replace", "path": "/data/new", "value": "made" })),
                step(json!({ "op": "test", "path": "/data/none", "value": null })),
                step(json!({ "op": "test", "path": "/data/none" })),
                step(json!({ "op": "copy", "from": "/data/none", "path": "/data/copied" })),
                step(json!({ "op": "move", "from": "/data/none", "path": "/data/moved" })),
                step(json!({ "op": "add", "path": "/metadata/finalizers", "value": ["a.io/a", "a.io/b"] })),
                step(json!({ "op": "remove", "path": "/metadata/finalizers/-1" })),
                step(json!({ "op": "add", "path": "/metadata/finalizers/7", "value": "a.io/c" })),
                step(json!({ "op": "add", "path": "/metadata/finalizers/-", "value": "a.io/c" })),
                step(json!({ "op": "add", "path": "nothing", "value": 1 })),
                step(json!({ "op": "test", "path": "", "value": {} })),
            ])
        }),
        case(attempt, "bodies-that-are-none", |place| {
            let mut steps = Vec::new();
            for kind in ["Widget", "ConfigMap"] {
                let (collection, path) = (place.collection(kind), place.path(kind, "a"));
                steps.push(place.create(kind, "a", &json!({})));
                for text in ["", "{", "null", "[]", "\"text\"", "7", "{}"] {
                    steps.push(raw(Method::POST, &collection, JSON, text));
                    steps.push(raw(Method::PUT, &path, JSON, text));
                    steps.push(raw(Method::PATCH, &path, MERGE, text));
                    steps.push(raw(Method::PATCH, &path, PATCH, text));
                    steps.push(raw(Method::PATCH, &path, APPLY, text).with("fieldManager", "one"));
                    steps.push(raw(Method::PATCH, &format!("{collection}/none"), PATCH, text));
                }
            }
            calls(steps)
        }),
        case(attempt, "types-that-a-patch-changes", |place| {
            let mut steps = Vec::new();
            for kind in ["Widget", "ConfigMap"] {
                let path = place.path(kind, "a");
                steps.push(place.create(kind, "a", &json!({})));
                for change in [
                    json!({ "kind": null }),
                    json!({ "kind": "Other" }),
                    json!({ "apiVersion": null }),
                    json!({ "apiVersion": "v2" }),
                ] {
                    steps.push(merge(&path, change.clone()));
                    steps.push(put_changed(&path, change));
                }
            }
            calls(steps)
        }),
        case(attempt, "revisions-that-are-none", |place| {
            let path = place.path("Widget", "a");
            let mut steps = vec![place.create("Widget", "a", &json!({}))];
            for version in ["x", "-1", "1.5", "0", "999999999"] {
                steps.push(merge(&path, json!({ "metadata": { "resourceVersion": version } })));
                steps.push(put_changed(&path, json!({ "metadata": { "resourceVersion": version } })));
                steps.push(place.create("Widget", "b", &json!({ "metadata": { "resourceVersion": version } })));
            }
            calls(steps)
        }),
        case(attempt, "another-kind-of-the-same-group", |place| {
            calls([
                place.create("Widget", "a", &json!({ "kind": "Other" })),
                place.create("Approval", "a", &json!({ "kind": "Department" })),
                place.create("Approval", "a", &json!({ "kind": "" })),
                place.create("ConfigMap", "a", &json!({ "kind": "Secret" })),
                place.create("ConfigMap", "a", &json!({ "kind": null, "apiVersion": null })),
            ])
        }),
        case(attempt, "metadata-of-other-types", |place| {
            let mut steps = Vec::new();
            for kind in ["Widget", "Secret"] {
                for metadata in [
                    json!({ "labels": { "a": 1 } }),
                    json!({ "labels": ["a"] }),
                    json!({ "labels": { "a": null } }),
                    json!({ "annotations": "x" }),
                    json!({ "finalizers": "a.io/a" }),
                    json!({ "finalizers": [7] }),
                    json!({ "ownerReferences": {} }),
                    json!({ "ownerReferences": [{ "controller": "yes" }] }),
                    json!({ "generation": "1" }),
                    json!({ "creationTimestamp": "yesterday" }),
                    json!({ "deletionGracePeriodSeconds": 1.5 }),
                    json!({ "managedFields": "x" }),
                    json!({ "namespace": 7 }),
                ] {
                    steps.push(place.create(kind, "a", &json!({ "metadata": metadata })));
                }
            }
            calls(steps)
        }),
    ]
}
