//! Deletions, finalizers, and namespaces that come to their end.

use serde_json::{Value, json};

use super::{Case, calls, case};
use crate::step::{create, delete, merge, put_changed, read};

pub(super) fn cases(attempt: u32) -> Vec<Case> {
    vec![
        case(attempt, "a-body-goes-before-the-query", |place| {
            let path = place.path("Widget", "a");
            calls([
                place.create("Widget", "a", &json!({})),
                delete(&path, Value::Null).with("dryRun", "All"),
                delete(&path, json!({ "dryRun": ["All"] })),
                read(&path),
                delete(&path, json!({ "propagationPolicy": "Background" })).with("dryRun", "All"),
                read(&path),
            ])
        }),
        case(attempt, "preconditions-of-a-deletion", |place| {
            let mut steps = Vec::new();
            for kind in ["Widget", "ConfigMap", "Namespace"] {
                let path = place.path(kind, "a");
                let with = |preconditions: Value| delete(&path, json!({ "preconditions": preconditions }));
                steps.extend([
                    place.create(kind, "a", &json!({})),
                    merge(&path, json!({ "metadata": { "labels": { "tier": "a" } } })),
                    with(json!({ "uid": "00000000-0000-4000-8000-000000000001" })),
                    with(json!({ "resourceVersion": format!("@{{rv0:{path}}}") })),
                    with(json!({ "uid": format!("@{{uid:{path}}}"), "resourceVersion": format!("@{{rv:{path}}}") })),
                    with(json!({ "uid": format!("@{{uid:{path}}}") })),
                ]);
            }
            calls(steps)
        }),
        case(attempt, "options-of-a-deletion", |place| {
            let path = place.path("Widget", "a");
            let mut steps = vec![place.create("Widget", "a", &json!({ "metadata": { "finalizers": ["a.io/a"] } }))];
            for options in [
                json!({ "kind": "Other" }),
                json!({ "kind": "DeleteOptions" }),
                json!({ "apiVersion": "v1", "kind": "DeleteOptions" }),
                json!({ "apiVersion": "meta.k8s.io/v1", "kind": "DeleteOptions" }),
                json!({ "propagationPolicy": "Nonsense" }),
                json!({ "dryRun": ["Some"] }),
                json!({ "dryRun": "All" }),
                json!({ "gracePeriodSeconds": "5" }),
                json!({ "gracePeriodSeconds": -1 }),
                json!({ "preconditions": { "uid": 7 } }),
            ] {
                steps.push(delete(&path, options));
            }
            calls(steps)
        }),
        case(attempt, "the-last-finalizer-takes-the-object-along", |place| {
            let mut steps = Vec::new();
            for kind in ["Widget", "ConfigMap"] {
                let path = place.path(kind, "a");
                let held = json!({ "metadata": { "finalizers": ["a.io/a", "a.io/b"] } });
                steps.extend([
                    place.create(kind, "a", &held),
                    delete(&path, Value::Null),
                    delete(&path, Value::Null),
                    place.create(kind, "a", &held),
                    merge(&path, json!({ "metadata": { "finalizers": ["a.io/a", "a.io/c"] } })),
                    merge(&path, json!({ "metadata": { "finalizers": ["a.io/b"], "labels": { "late": "x" } } })),
                    put_changed(
                        &path,
                        json!({ "metadata": { "finalizers": [] }, "spec": { "size": 5 }, "data": { "z": "1" } }),
                    )
                    .with("dryRun", "All"),
                    put_changed(
                        &path,
                        json!({ "metadata": { "finalizers": [] }, "spec": { "size": 5 }, "data": { "z": "1" } }),
                    ),
                    read(&path),
                    place.create(kind, "a", &json!({})),
                ]);
            }
            calls(steps)
        }),
        case(attempt, "a-namespace-comes-to-its-end", |place| {
            let space = format!("/api/v1/namespaces/{}", place.run);
            calls([
                place.create("ConfigMap", "a", &json!({})),
                delete(&space, json!({ "dryRun": ["All"] })),
                delete(&space, Value::Null),
                place.create("ConfigMap", "b", &json!({})),
                place.create("Widget", "b", &json!({ "spec": { "size": "x" } })),
                merge(&place.path("ConfigMap", "a"), json!({ "data": { "a": "5" } })),
                delete(&space, Value::Null),
                merge(&space, json!({ "metadata": { "labels": { "x": "y" } } })),
                merge(&space, json!({ "spec": { "finalizers": [] } })),
                merge(&space, json!({ "metadata": { "finalizers": ["a.io/a"] } })),
                put_changed(
                    &format!("{space}/status"),
                    json!({ "status": { "conditions": [{ "type": "X", "status": "True" }] } }),
                ),
                delete(&place.path("ConfigMap", "a"), Value::Null),
                put_changed(&format!("{space}/finalize"), json!({ "spec": { "finalizers": [] } })),
                // What is made now is refused with 403 until the real server's admission has heard that it is gone.
                read(&space),
            ])
        }),
        case(attempt, "a-namespace-without-finalizers-goes-at-once", |place| {
            let path = place.path("Namespace", "a");
            calls([
                place.create("Namespace", "a", &json!({ "metadata": { "finalizers": ["a.io/a"] } })),
                put_changed(&format!("{path}/finalize"), json!({ "spec": { "finalizers": [] } })),
                delete(&path, Value::Null),
                merge(&path, json!({ "metadata": { "finalizers": [] } })),
                read(&path),
                place.create(
                    "Namespace",
                    "b",
                    &json!({ "spec": { "finalizers": ["a.io/x"] }, "status": { "phase": "Terminating" } }),
                ),
                put_changed(
                    &format!("{}/finalize", place.path("Namespace", "b")),
                    json!({ "spec": { "finalizers": [] } }),
                ),
                delete(&place.path("Namespace", "b"), Value::Null),
                delete(&place.path("Namespace", "b"), Value::Null),
            ])
        }),
        case(attempt, "nothing-is-made-where-there-is-no-namespace", |place| {
            let nowhere = |kind: &str| super::Place { run: format!("{}-nowhere", place.run) }.collection(kind);
            calls([
                create(&nowhere("ConfigMap"), place.object("ConfigMap", "a", &json!({}))),
                create(&nowhere("Widget"), place.object("Widget", "a", &json!({ "spec": { "size": "x" } }))),
                create(&nowhere("Widget"), place.object("Widget", "a", &json!({ "unknown": 1 })))
                    .with("fieldValidation", "Strict"),
                merge(&format!("{}/a", nowhere("Widget")), json!({})),
                delete(&format!("{}/a", nowhere("Widget")), Value::Null),
                read(&nowhere("Widget")),
            ])
        }),
    ]
}
