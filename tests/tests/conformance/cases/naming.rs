//! Names, generated ones too, and metadata that is not as it should be.

use serde_json::json;

use super::{Case, calls, case};
use crate::step::{create, merge};

pub(super) fn cases(attempt: u32) -> Vec<Case> {
    vec![
        case(attempt, "a-name-that-is-missing-keeps-rules-from-being-checked", |place| {
            calls([
                create(
                    &place.collection("Widget"),
                    place.object("Widget", "a", &json!({ "metadata": { "name": "" } })),
                ),
                create(
                    &place.collection("ConfigMap"),
                    place.object("ConfigMap", "a", &json!({ "metadata": { "name": null } })),
                ),
            ])
        }),
        case(attempt, "a-rehearsed-object-has-a-uid-of-its-own", |place| {
            calls([
                place.create("Widget", "a", &json!({})).with("dryRun", "All"),
                place.create("Widget", "a", &json!({})).with("dryRun", "All"),
                place.create("Widget", "a", &json!({})),
                place.create("Widget", "b", &json!({ "metadata": { "resourceVersion": "7" } })).with("dryRun", "All"),
                place.create("Widget", "a", &json!({})).with("dryRun", "All"),
            ])
        }),
        case(attempt, "prefixes-of-generated-names", |place| {
            let mut steps = Vec::new();
            for kind in ["Widget", "ConfigMap", "Namespace"] {
                for prefix in ["-", "x--", "x-.-", "X", "a/", "a.b-", ""] {
                    steps.push(
                        place
                            .create(kind, "a", &json!({ "metadata": { "generateName": prefix } }))
                            .with("dryRun", "All"),
                    );
                }
            }
            calls(steps)
        }),
        case(attempt, "owners-are-told-without-their-place", |place| {
            let nobody = json!([{ "apiVersion": "v1", "kind": "", "name": "", "uid": "" }]);
            let both = json!([
                { "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1" },
                { "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1" },
                { "apiVersion": "v1", "kind": "ConfigMap", "name": "y", "uid": "1" }
            ]);
            calls([
                place.create("Widget", "a", &json!({ "metadata": { "ownerReferences": nobody } })),
                place.create("ConfigMap", "a", &json!({ "metadata": { "ownerReferences": nobody } })),
                place.create("Widget", "a", &json!({ "metadata": { "ownerReferences": both } })),
            ])
        }),
        case(attempt, "finalizers-of-built-in-kinds-say-whose-they-are", |place| {
            let mut steps = Vec::new();
            for kind in ["ConfigMap", "Secret", "Namespace", "Lease", "Widget"] {
                steps.push(place.create(kind, "a", &json!({ "metadata": { "finalizers": ["plain"] } })));
                steps.push(place.create(kind, "b", &json!({ "metadata": { "finalizers": ["no name", "a.io/a"] } })));
                steps.push(place.create(kind, "c", &json!({})));
                steps.push(merge(&place.path(kind, "c"), json!({ "metadata": { "finalizers": ["plain"] } })));
            }
            calls(steps)
        }),
        case(attempt, "keys-of-data", |place| {
            let with = |data| place.create("ConfigMap", "a", &json!({ "data": data }));
            calls([
                with(json!({ "bad key": "x" })),
                with(json!({ "": "x" })),
                with(json!({ "..": "x" })),
                with(json!({ "...x": "x" })),
                place.create("ConfigMap", "a", &json!({ "binaryData": { "a": "AAEC", "z": "no" } })),
                place.create("ConfigMap", "a", &json!({ "binaryData": { "a": "AAEC" } })),
                with(json!({ "a": null, "b": "" })),
            ])
        }),
        case(attempt, "what-is-immutable-stays", |place| {
            let mut steps = Vec::new();
            for kind in ["ConfigMap", "Secret"] {
                let path = place.path(kind, "a");
                steps.extend([
                    place.create(kind, "a", &json!({ "immutable": true })),
                    merge(&path, json!({ "data": { "new": "AAEC" } })),
                    merge(&path, json!({ "immutable": null })),
                    merge(&path, json!({ "immutable": false, "binaryData": { "b": "AAEC" } })),
                    merge(&path, json!({ "metadata": { "labels": { "x": "y" } } })),
                    merge(&path, json!({ "type": "other" })),
                    merge(&path, json!({ "type": null })),
                ]);
            }
            calls(steps)
        }),
    ]
}
