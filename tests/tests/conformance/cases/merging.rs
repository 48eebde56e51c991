//! Who owns which field.

use serde_json::{Value, json};

use super::{Case, Place, calls, case};
use crate::step::{Call, apply, merge, put_changed};

/// What a manager applies to a widget.
fn widget(place: &Place, manager: &str, spec: Value) -> Call {
    let mut body = place.object("Widget", "a", &json!({ "spec": null }));
    body["spec"] = spec;
    apply(&place.path("Widget", "a"), manager, body)
}

pub(super) fn cases(attempt: u32) -> Vec<Case> {
    vec![
        case(attempt, "what-is-applied-no-longer-goes", |place| {
            calls([
                widget(
                    place,
                    "one",
                    json!({ "size": 1, "set": ["a", "b"], "map": [{ "name": "x", "value": 1 }, { "name": "y" }], "labels": { "k": "v", "l": "w" } }),
                ),
                widget(
                    place,
                    "two",
                    json!({ "size": 1, "set": ["b", "c"], "map": [{ "name": "y", "note": "n" }], "labels": { "l": "w" } }),
                ),
                widget(place, "one", json!({ "set": ["a"], "labels": {} })),
                widget(place, "two", json!({ "set": ["c"] })),
                widget(place, "one", json!({})),
            ])
        }),
        case(attempt, "conflicts-name-their-fields", |place| {
            let path = place.path("Widget", "a");
            calls([
                widget(
                    place,
                    "one",
                    json!({ "size": 1, "list": ["p"], "whole": { "a": "1" }, "map": [{ "name": "x", "value": 1 }] }),
                ),
                widget(
                    place,
                    "two",
                    json!({ "size": 2, "list": ["q"], "whole": { "a": "2" }, "map": [{ "name": "x", "value": 2 }] }),
                ),
                widget(place, "two", json!({ "size": 2, "list": ["q"] })).with("force", "true"),
                widget(place, "one", json!({ "size": 3 })),
                merge(&path, json!({ "spec": { "size": 4 } })).with("fieldManager", "three"),
                widget(place, "two", json!({ "size": 5 })),
            ])
        }),
        case(attempt, "items-stand-in-the-order-of-who-applies", |place| {
            let named = |names: &[&str]| Value::Array(names.iter().map(|n| json!({ "name": n })).collect());
            calls([
                widget(place, "one", json!({ "set": ["a", "b", "c"], "map": named(&["a", "b", "c"]) })),
                widget(place, "two", json!({ "set": ["d", "c", "a"], "map": named(&["d", "c", "a"]) })),
                widget(place, "one", json!({ "set": ["c", "e", "b", "a"], "map": named(&["c", "e", "b", "a"]) })),
                widget(place, "two", json!({ "set": ["f"], "map": named(&["f"]) })),
            ])
        }),
        case(attempt, "an-apply-by-somebody-new-is-a-write", |place| {
            calls([
                widget(place, "one", json!({ "size": 1 })),
                widget(place, "one", json!({ "size": 1 })),
                widget(place, "two", json!({ "size": 1 })),
                widget(place, "two", json!({ "size": 1 })),
            ])
        }),
        case(attempt, "an-empty-map-is-stored-unseen", |place| {
            let path = place.path("Department", "a");
            let body = place.object("Department", "a", &json!({}));
            let mut empty = body.clone();
            empty["metadata"]["annotations"] = json!({});
            calls([
                apply(&path, "one", body),
                apply(&path, "two", empty).with("force", "true"),
                merge(&path, json!({ "spec": { "divisionCode": null } })),
                merge(&path, json!({ "spec": { "divisionCode": null } })),
            ])
        }),
        case(attempt, "what-cannot-be-read-ends-the-counting", |place| {
            let path = place.path("Ledger", "a");
            calls([
                place.create("Ledger", "a", &json!({})),
                merge(&format!("{path}/status"), json!({ "spec": { "site": { "x": 1 } } })),
                merge(&format!("{path}/status"), json!({ "spec": { "site": { "x": 1 } } })),
                apply(&path, "one", place.object("Ledger", "a", &json!({ "spec": { "site": "ulanqab" } }))),
                apply(&path, "one", place.object("Ledger", "a", &json!({ "spec": { "site": "ulanqab" } })))
                    .with("force", "true"),
            ])
        }),
        case(attempt, "owners-are-forgotten", |place| {
            let path = place.path("ConfigMap", "a");
            calls([
                place.create("ConfigMap", "a", &json!({})),
                merge(&path, json!({ "metadata": { "managedFields": [{}] } })),
                merge(&path, json!({ "metadata": { "managedFields": [{}] } })),
                apply(&path, "one", place.object("ConfigMap", "a", &json!({ "data": { "a": "7" } }))),
                merge(&path, json!({ "data": { "a": "8" } })),
            ])
        }),
        case(attempt, "applies-that-do-not-fit", |place| {
            let with = |change: Value| apply(&place.path("Widget", "a"), "one", place.object("Widget", "a", &change));
            calls([
                with(json!({ "unknown": 1 })),
                with(json!({ "spec": { "unknown": 1 } })),
                with(json!({ "spec": { "free": { "any": { "thing": 1 } } } })),
                with(json!({ "spec": { "size": "x" } })),
                with(json!({ "spec": { "set": ["a", "a"] } })),
                with(json!({ "spec": { "set": [{ "a": 1 }] } })),
                with(json!({ "spec": { "map": [{ "value": 1 }] } })),
                with(json!({ "spec": { "map": [{ "name": "x" }, { "name": "x" }] } })),
                with(json!({ "spec": { "port": { "x": 1 } } })),
                with(json!({ "metadata": { "unknown": 1 } })),
                with(json!({ "metadata": { "managedFields": [] } })),
                with(json!({ "metadata": { "managedFields": "x" } })),
                with(json!({ "apiVersion": "v2" })),
                with(json!({ "metadata": { "uid": "00000000-0000-4000-8000-000000000001" } })),
                with(json!({ "metadata": { "name": "other" } })),
                with(json!({ "metadata": { "name": null } })),
                with(json!({ "metadata": { "namespace": "other" } })),
                with(json!({ "metadata": { "resourceVersion": "7" } })),
            ])
        }),
        case(attempt, "a-required-field-that-is-applied-no-longer", |place| {
            let path = place.path("Ledger", "a");
            let with = |spec: Value| {
                let mut body = place.object("Ledger", "a", &json!({}));
                body["spec"] = spec;
                apply(&path, "one", body)
            };
            calls([with(json!({ "site": "hohhot" })), with(json!({}))])
        }),
        case(attempt, "nothing-changes-nothing", |place| {
            let mut steps = Vec::new();
            for kind in ["Widget", "ConfigMap", "Secret", "Lease", "Namespace", "ResourceRequest"] {
                let path = place.path(kind, "a");
                steps.extend([
                    place.create(kind, "a", &json!({})),
                    merge(&path, json!({})),
                    put_changed(&path, json!({})),
                    put_changed(&path, json!({})).with("fieldManager", "another"),
                    merge(&path, json!({ "metadata": { "labels": { "x": "y" } } })),
                    merge(&path, json!({ "metadata": { "labels": { "x": "y" } } })),
                    merge(&path, json!({ "metadata": { "annotations": {}, "finalizers": [] } })),
                ]);
            }
            calls(steps)
        }),
    ]
}
