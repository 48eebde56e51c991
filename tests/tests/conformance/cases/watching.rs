//! Watches.

use serde_json::{Value, json};

use super::{Case, Place, case};
use crate::step::{Call, Step, Watch, delete, merge, put_changed, read};

/// A watch of widgets.
fn watch(place: &Place, version: &str, parameters: &[(&str, &str)], sentinel: Option<Call>) -> Step {
    let mut query: Vec<(String, String)> = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    if !version.is_empty() {
        query.push(("resourceVersion".to_owned(), version.to_owned()));
    }
    Step::Watch(Watch {
        path: place.collection("Widget"),
        query,
        metadata_only: false,
        sentinel: sentinel.map(Box::new),
    })
}

fn last(place: &Place, name: &str, tier: &str) -> Call {
    place.create("Widget", name, &json!({ "metadata": { "labels": { "tier": tier } } }))
}

pub(super) fn cases(attempt: u32) -> Vec<Case> {
    vec![
        case(attempt, "objects-come-into-sight-and-leave-it", |place| {
            let path = place.path("Widget", "a");
            let tier = |tier: Value| merge(&path, json!({ "metadata": { "labels": { "tier": tier } } }));
            vec![
                read(&place.collection("Widget")).into(),
                watch(place, "@{list:0}", &[("labelSelector", "tier=x")], Some(last(place, "zz", "x"))),
                watch(place, "@{list:0}", &[("labelSelector", "!tier")], None),
                watch(place, "@{list:0}", &[("fieldSelector", "spec.size=2")], None),
                place.create("Widget", "a", &json!({})).into(),
                tier(json!("x")).into(),
                merge(&path, json!({ "spec": { "size": 2 } })).into(),
                tier(json!("y")).into(),
                tier(json!("x")).into(),
                merge(&path, json!({ "spec": { "size": 3 } })).into(),
                tier(Value::Null).into(),
                delete(&path, Value::Null).into(),
            ]
        }),
        case(attempt, "what-is-gone-is-told-as-it-was-stored", |place| {
            let path = place.path("Widget", "a");
            vec![
                read(&place.collection("Widget")).into(),
                watch(place, "@{list:0}", &[], Some(last(place, "zz", "x"))),
                place.create("Widget", "a", &json!({ "metadata": { "finalizers": ["a.io/a"] } })).into(),
                delete(&path, Value::Null).into(),
                put_changed(
                    &path,
                    json!({ "metadata": { "finalizers": [], "labels": { "last": "words" } }, "spec": { "size": 7 } }),
                )
                .into(),
            ]
        }),
        case(attempt, "watches-that-begin-with-what-there-is", |place| {
            vec![
                place.create("Widget", "b", &json!({})).into(),
                place.create("Widget", "a", &json!({ "metadata": { "labels": { "tier": "x" } } })).into(),
                read(&place.collection("Widget")).into(),
                watch(place, "0", &[], Some(last(place, "zy", "x"))),
                watch(place, "", &[("labelSelector", "tier=x")], Some(last(place, "zz", "x"))),
                merge(&place.path("Widget", "b"), json!({ "metadata": { "labels": { "tier": "x" } } })).into(),
            ]
        }),
        case(attempt, "watches-from-no-revision", |place| {
            vec![
                place.create("Widget", "a", &json!({})).into(),
                watch(place, "1", &[], None),
                watch(place, "x", &[], None),
                watch(place, "-1", &[], None),
            ]
        }),
        case(attempt, "watches-that-are-refused", |place| {
            vec![
                watch(place, "0", &[("labelSelector", "=")], None),
                watch(place, "0", &[("fieldSelector", "spec.list=x")], None),
            ]
        }),
    ]
}
