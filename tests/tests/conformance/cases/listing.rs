//! Lists and selectors.

use serde_json::json;

use super::{Case, Place, calls, case};
use crate::step::{Call, read};

fn three(place: &Place, kind: &str) -> Vec<Call> {
    let tier =
        |name: &str, tier: &str| place.create(kind, name, &json!({ "metadata": { "labels": { "tier": tier } } }));
    vec![tier("a", "x"), tier("b", "y"), tier("c", "x")]
}

pub(super) fn cases(attempt: u32) -> Vec<Case> {
    vec![
        case(attempt, "pages-go-on-past-what-is-not-selected", |place| {
            let mut steps = three(place, "Widget");
            let all = read(&place.collection("Widget"));
            for (page, selector) in ["", "tier=x", "tier=y", "tier=z"].into_iter().enumerate() {
                let first = all.clone().with("limit", "1").with("labelSelector", selector);
                steps.push(first.clone());
                for next in 0..3 {
                    steps.push(first.clone().with("continue", format!("@{{continue:{}}}", page * 4 + next)));
                }
            }
            calls(steps)
        }),
        case(attempt, "tokens-that-are-none", |place| {
            calls([
                read(&place.collection("Widget")).with("continue", "nonsense"),
                read(&place.collection("ConfigMap")).with("continue", "1"),
            ])
        }),
        case(attempt, "lists-of-metadata", |place| {
            let mut steps = Vec::new();
            for kind in ["Widget", "ConfigMap"] {
                steps.push(read(&place.collection(kind)).metadata_only());
                steps.extend(three(place, kind));
                steps.push(read(&place.collection(kind)));
                steps.push(read(&place.collection(kind)).metadata_only());
                steps.push(read(&place.collection(kind)).metadata_only().with("limit", "2"));
                steps.push(read(&place.path(kind, "a")).metadata_only());
            }
            calls(steps)
        }),
        case(attempt, "selectors-as-they-are-written", |place| {
            let mut steps = three(place, "Widget");
            for selector in [
                "tier",
                "!tier",
                "tier=x",
                "tier==x",
                "tier!=x",
                "tier in (x)",
                "tier in (x, y)",
                "tier notin (x)",
                "tier notin (x,)",
                "tier in ()",
                "tier in (,)",
                "tier in x",
                "tier=(x)",
                "tier=x,run",
                "tier=x,,run",
                ",tier",
                "tier,",
                "=",
                "!",
                "!tier=x",
                "tier>1",
                "tier<1",
                "tier>x",
                "tier x",
                "bad key!=x",
                "tier=bad value",
                "tier=-",
                " tier = x ",
                "in",
                "in in (in)",
                "tier in(x)",
            ] {
                steps.push(read(&place.collection("Widget")).with("labelSelector", selector));
            }
            calls(steps)
        }),
        case(attempt, "selectors-of-fields", |place| {
            let mut steps = three(place, "Widget");
            steps.push(place.create("Widget", "d", &json!({ "spec": { "size": 3, "note": "other" } })));
            for selector in [
                "metadata.name=a",
                "metadata.name!=a",
                "metadata.name==b",
                "metadata.namespace=x",
                "spec.size=3",
                "spec.size!=3",
                "spec.note=none,spec.size=1",
                "spec.note=",
                "spec.list=x",
                "status.ready=1",
                "metadata.name",
                "a b",
                "",
                ",",
                "metadata.name=a,metadata.name=b",
            ] {
                steps.push(read(&place.collection("Widget")).with("fieldSelector", selector));
            }
            steps.push(
                read("/api/v1/namespaces")
                    .with("fieldSelector", format!("status.phase=Active,metadata.name={}", place.run)),
            );
            steps.push(
                read("/api/v1/namespaces")
                    .with("fieldSelector", format!("name={}", place.run))
                    .with("labelSelector", format!("run={}", place.run)),
            );
            calls(steps)
        }),
        case(attempt, "revisions-of-lists", |place| {
            let mut steps = three(place, "Widget");
            let all = read(&place.collection("Widget"));
            steps.push(all.clone());
            for version in ["x", "-1", "@{list:0}"] {
                steps.push(all.clone().with("resourceVersion", version));
                steps.push(read(&place.path("Widget", "a")).with("resourceVersion", version));
            }
            steps.push(all.clone().with("resourceVersion", "@{list:0}").with("resourceVersionMatch", "NotOlderThan"));
            // The real server waits three seconds for what was never written.
            steps.push(all.with("resourceVersion", "999999999"));
            calls(steps)
        }),
        case(attempt, "lists-of-exactly-one-revision", |place| {
            let mut steps = three(place, "Widget");
            let all = read(&place.collection("Widget"));
            let of = |version: &str| all.clone().with("resourceVersion", version);
            steps.push(all.clone());
            steps.extend([
                of("@{list:0}").with("resourceVersionMatch", "Exact"),
                of("0").with("resourceVersionMatch", "Exact"),
                of("@{list:0}").with("resourceVersionMatch", "Nonsense"),
                of("").with("resourceVersionMatch", "Exact"),
                of("").with("resourceVersionMatch", "NotOlderThan"),
                of("0").with("sendInitialEvents", "true"),
                of("@{list:0}").with("limit", "2"),
                of("").with("limit", "2").with("continue", "@{continue:7}"),
                of("@{list:0}").with("limit", "2").with("continue", "@{continue:7}"),
                of("0").with("limit", "2").with("continue", "@{continue:7}"),
                of("@{list:0}").with("resourceVersionMatch", "Nonsense").with("continue", "@{continue:7}"),
            ]);
            calls(steps)
        }),
    ]
}
