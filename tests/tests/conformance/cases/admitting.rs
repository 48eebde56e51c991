//! Admission policies: when they are asked, and what is answered when they refuse.

use serde_json::{Value, json};

use super::{Case, Place, calls, guarded_case};
use crate::guards::PERSON;
use crate::step::{apply, create, delete, merge, put_changed, read};

pub(super) fn cases(attempt: u32) -> Vec<Case> {
    vec![
        guarded_case(attempt, "policies-are-asked-after-the-schema-and-before-the-store", |place| {
            let path = place.path("Widget", "a");
            let refused = json!({ "spec": { "note": "refused" } });
            let elsewhere = Place { run: format!("{}-free", place.run) };
            let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": elsewhere.run } });
            calls([
                create("/api/v1/namespaces", namespace),
                elsewhere.create("Widget", "a", &refused),
                place.create("Widget", "a", &refused),
                place.create("Widget", "a", &refused).with("dryRun", "All"),
                place.create("Widget", "a", &json!({ "spec": { "note": "refused", "size": 10 } })),
                place.create("Widget", "a", &json!({ "spec": { "note": "refused", "size": "x" } })),
                place.create("Widget", "a", &json!({})),
                place.create("Widget", "a", &refused),
                merge(&path, refused.clone()),
                merge(&path, json!({ "spec": { "note": "refused" }, "metadata": { "resourceVersion": "7" } })),
                put_changed(&path, refused.clone()),
                apply(&path, "one", place.object("Widget", "a", &refused)),
                apply(&path, "one", place.object("Widget", "a", &refused)).with("force", "true"),
                apply(&place.path("Widget", "b"), "one", place.object("Widget", "b", &refused)),
                merge(&format!("{path}/status"), json!({ "status": { "ready": 7 } })),
                merge(&format!("{path}/status"), json!({ "status": { "ready": 4 }, "spec": { "note": "refused" } })),
                merge(&path, json!({ "spec": { "size": 5 } })),
                delete(&path, Value::Null),
                delete(&path, json!({ "dryRun": ["All"] })),
                delete(&path, json!({ "preconditions": { "uid": "00000000-0000-4000-8000-000000000001" } })),
                merge(&path, json!({ "metadata": { "finalizers": ["a.io/a"] } })),
                delete(&path, Value::Null),
                read(&path),
            ])
        }),
        guarded_case(attempt, "policies-see-who-asks", |place| {
            let path = place.path("ConfigMap", "a");
            calls([
                place.create("ConfigMap", "a", &json!({ "data": { "keep": "x" } })).by(PERSON),
                place.create("ConfigMap", "b", &json!({})).by(PERSON).with("dryRun", "All"),
                place.create("ConfigMap", "c", &json!({ "data": { "never": "x" } })).by(PERSON),
                place.create("ConfigMap", "c", &json!({ "data": { "never": "x" } })),
                merge(&path, json!({ "metadata": { "labels": { "x": "y" } } })).by(PERSON),
                merge(&path, json!({ "metadata": { "labels": { "x": "y" } } })),
                merge(&path, json!({ "data": { "b": "7" } })).by(PERSON),
                merge(&path, json!({})).by(PERSON),
                delete(&path, Value::Null).by(PERSON),
                delete(&path, json!({ "dryRun": ["All"] })).by(PERSON),
                merge(&path, json!({ "data": { "keep": null }, "metadata": { "finalizers": ["a.io/a"] } })).by(PERSON),
                delete(&path, Value::Null).by(PERSON),
                merge(&path, json!({ "data": { "keep": "again" } })).by(PERSON),
                delete(&path, Value::Null).by(PERSON),
                merge(&path, json!({ "metadata": { "finalizers": [] } })).by(PERSON),
                delete(&place.path("ConfigMap", "none"), Value::Null).by(PERSON),
            ])
        }),
    ]
}
