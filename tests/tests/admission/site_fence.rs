//! Policies `zhengyun-site-fence` and `zhengyun-site-fence-guard`: nothing of an older operator lands at a site.

use serde_json::{Value, json};
use zhengyun_crds::marks;

use super::case::{Case, apply, create, delete, delete_of, evict, merge, no, read, yes};
use super::ground::Ground;
use super::objects::{at, object, with};
use super::who::{TENANT, Who};

const DRIVER: Who = Who::Driver;
const OLD: &str = "is behind the fence of this site";
const NONE: &str = "the driver's writes carry their epoch in zhengyun.io/epoch";
const PRECONDITIONS: &str = "the driver deletes with the UID and resourceVersion of what it saw";

fn epoch(epoch: &Value) -> Value {
    json!({ "metadata": { "annotations": { marks::ANNOTATION_EPOCH: epoch } } })
}

/// Writes of the driver.
pub(crate) fn writes(ground: &Ground) -> Vec<Case> {
    let now = ground.epoch;
    let rule = json!({ "spec": { "podSelector": {} } });
    let written = |epoch: i64| ground.delivered("NetworkPolicy", "admission", epoch, &rule);
    let said = |text: Value| with(written(now), "/metadata/annotations/zhengyun.io~1epoch", text);
    let limits = at("LimitRange", &ground.place, "zhengyun-limits");
    let place = at("Namespace", "", &ground.place);
    let older = ground.delivered("LimitRange", "zhengyun-limits", now - 1, &json!({ "spec": { "limits": [] } }));
    let mut cases = vec![
        yes(DRIVER, "creates with the epoch of the fence", create(written(now))),
        yes(DRIVER, "creates with a later epoch", create(written(now + 5))),
        no(DRIVER, "creates with an older epoch", create(written(now - 1)), OLD),
        no(DRIVER, "applies with an older epoch", apply(written(now - 1)), OLD),
        no(DRIVER, "changes with an older epoch", apply(older), OLD),
        no(DRIVER, "lowers the epoch of an object", merge(&limits, epoch(&json!((now - 1).to_string()))), OLD),
        no(DRIVER, "takes the epoch off an object", merge(&limits, epoch(&Value::Null)), NONE),
        yes(DRIVER, "stamps an object again", merge(&limits, epoch(&json!(now.to_string())))),
        no(
            DRIVER,
            "stamps the namespace with an older epoch",
            merge(&place, epoch(&json!((now - 1).to_string()))),
            OLD,
        ),
        yes(DRIVER, "stamps the namespace", merge(&place, epoch(&json!(now.to_string())))),
    ];
    for text in ["", "-1", "1e9", "0x10", " 1", "1.5", "1000000000000000000000"] {
        cases.push(no(DRIVER, format!("creates with epoch {text:?}"), create(said(json!(text))), NONE));
    }
    cases.push(no(DRIVER, "creates without an epoch", create(said(Value::Null)), NONE));
    cases
}

/// Deletions by the driver. `seen` is the LimitRange of the grant as it stands, `unstamped` a Service that no operator stamped.
pub(crate) fn deletions(ground: &Ground, seen: &Value, unstamped: &Value) -> Vec<Case> {
    let limits = at("LimitRange", &ground.place, "zhengyun-limits");
    let loose = at("Service", &ground.place, "unstamped");
    let both = |object: &Value| json!({ "uid": object.pointer("/metadata/uid"), "resourceVersion": object.pointer("/metadata/resourceVersion") });
    let only = |key: &str| json!({ key: both(seen)[key].clone() });
    let stale = json!({ "uid": both(seen)["uid"].clone(), "resourceVersion": "1" });
    let other = json!({ "uid": "00000000-0000-0000-0000-000000000000", "resourceVersion": both(seen)["resourceVersion"].clone() });
    vec![
        yes(DRIVER, "deletes with UID and resourceVersion", delete_of(&limits, both(seen))),
        no(DRIVER, "deletes by name", delete(&limits), PRECONDITIONS),
        no(DRIVER, "deletes with the UID alone", delete_of(&limits, only("uid")), PRECONDITIONS),
        no(
            DRIVER,
            "deletes with the resourceVersion alone",
            delete_of(&limits, only("resourceVersion")),
            PRECONDITIONS,
        ),
        no(
            DRIVER,
            "deletes what changed since",
            delete_of(&limits, stale),
            "the ResourceVersion in the precondition (1) does not match",
        ),
        no(
            DRIVER,
            "deletes another object of that name",
            delete_of(&limits, other),
            "does not match the UID in record",
        ),
        no(DRIVER, "deletes the namespace by name", delete(&at("Namespace", "", &ground.place)), PRECONDITIONS),
        no(
            DRIVER,
            "deletes what was never stamped",
            delete_of(&loose, both(unstamped)),
            "an object is stamped with it before it is deleted",
        ),
        yes(DRIVER, "stamps it first", merge(&loose, epoch(&json!(ground.epoch.to_string())))),
        yes(
            TENANT,
            "a tenant writes an older epoch on it",
            merge(&loose, epoch(&json!((ground.epoch - 1).to_string()))),
        )
        .for_real(),
    ]
}

/// What carries an older epoch is stamped before it is deleted: a paused leader cannot.
pub(crate) fn older(ground: &Ground, older: &Value) -> Vec<Case> {
    let loose = at("Service", &ground.place, "unstamped");
    let preconditions =
        json!({ "uid": older.pointer("/metadata/uid"), "resourceVersion": older.pointer("/metadata/resourceVersion") });
    vec![no(DRIVER, "deletes what an older operator stamped", delete_of(&loose, preconditions), OLD)]
}

/// Pods: evicted and stamped, never changed.
pub(crate) fn pods(ground: &Ground) -> Vec<Case> {
    let marked = |uid: &str, epoch: i64| {
        json!({
            "labels": { marks::LABEL_GRANT_UID: uid }, "annotations": { marks::ANNOTATION_EPOCH: epoch.to_string() }
        })
    };
    let (uid, now) = (ground.uid.as_str(), ground.epoch);
    let pod = at("Pod", &ground.place, "runs");
    let evict = |metadata: &Value| evict(&ground.place, "runs", metadata);
    let stamp = json!({ "metadata": marked(uid, now) });
    // One of the few fields that a pod may change.
    let shorter = json!({ "metadata": marked(uid, now), "spec": { "activeDeadlineSeconds": 60 } });
    vec![
        yes(DRIVER, "evicts a pod", evict(&marked(uid, now))),
        no(DRIVER, "evicts with an older epoch", evict(&marked(uid, now - 1)), OLD),
        no(DRIVER, "evicts without an epoch", evict(&json!({ "labels": { marks::LABEL_GRANT_UID: uid } })), NONE),
        no(DRIVER, "evicts without the label", evict(&json!({})), "carries the zhengyun.io/grant-uid of its namespace"),
        no(
            DRIVER,
            "evicts for another grant",
            evict(&marked("another", now)),
            "carries the zhengyun.io/grant-uid of its namespace",
        ),
        yes(DRIVER, "stamps a pod", merge(&pod, stamp)),
        no(DRIVER, "stamps a pod with an older epoch", merge(&pod, json!({ "metadata": marked(uid, now - 1) })), OLD),
        no(DRIVER, "changes a pod", merge(&pod, shorter), "the driver stamps pods, it does not change them"),
        no(DRIVER, "deletes a pod that it did not stamp", delete(&pod), "it is neither adopted nor deleted"),
        no(
            DRIVER,
            "creates a pod",
            create(super::ground::pod(&ground.place, "forged")),
            "cannot create resource \"pods\"",
        ),
    ]
}

/// The fence itself.
pub(crate) fn guard(ground: &Ground) -> Vec<Case> {
    let fence = at("ConfigMap", marks::SYSTEM_NAMESPACE, marks::FENCE_NAME);
    let data = |epoch: Value| json!({ "data": { "epoch": epoch } });
    let number = "the fence holds hubUID, and epoch as a decimal number";
    let foreign = "this site belongs to another hub";
    let now = ground.epoch;
    let another = object("ConfigMap", marks::SYSTEM_NAMESPACE, "forged", &json!({ "data": {} }));
    let mut cases = vec![
        yes(DRIVER, "raises the fence", merge(&fence, data(json!((now + 1).to_string())))),
        yes(DRIVER, "writes the fence as it stands", merge(&fence, data(json!(now.to_string())))),
        no(DRIVER, "lowers the fence", merge(&fence, data(json!((now - 1).to_string()))), "and does not go back to"),
        no(DRIVER, "lowers the fence to nothing", merge(&fence, data(json!("0"))), "and does not go back to"),
        no(DRIVER, "gives the site to another hub", merge(&fence, json!({ "data": { "hubUID": "another" } })), foreign),
        no(
            DRIVER,
            "gives the site to another hub with a later epoch",
            merge(&fence, json!({ "data": { "hubUID": "another", "epoch": "900000" } })),
            foreign,
        ),
        no(DRIVER, "takes the hub off the fence", merge(&fence, json!({ "data": { "hubUID": null } })), number),
        no(DRIVER, "empties the fence", merge(&fence, json!({ "data": null })), number),
        no(DRIVER, "deletes the fence", delete(&fence), "cannot delete resource \"configmaps\""),
        no(
            DRIVER,
            "writes another ConfigMap beside it",
            create(another),
            "in zhengyun-system the driver writes the fence and nothing else",
        ),
        no(
            DRIVER,
            "reads another ConfigMap beside it",
            read(&at("ConfigMap", marks::SYSTEM_NAMESPACE, "kube-root-ca.crt")),
            "cannot get resource \"configmaps\"",
        ),
        no(
            Who::SiteRoot,
            "the site's administrator raises the fence",
            merge(&fence, data(json!("900000"))),
            "the fence is written by the hub's driver only",
        ),
        no(
            Who::SiteRoot,
            "the site's administrator deletes the fence",
            delete(&fence),
            "without its fence this site refuses every change",
        ),
        no(
            TENANT,
            "a tenant raises the fence",
            merge(&fence, data(json!("900000"))),
            "cannot patch resource \"configmaps\"",
        ),
        no(TENANT, "a tenant reads the fence", read(&fence), "cannot get resource \"configmaps\""),
    ];
    for text in [json!("later"), json!(""), json!("-1"), json!("1.5"), Value::Null, json!("1000000000000000000000")] {
        cases.push(no(DRIVER, format!("writes epoch {text} into the fence"), merge(&fence, data(text)), number));
    }
    let hub = json!({ "data": { "hubUID": ground.hub_uid } });
    cases.push(yes(DRIVER, "names its own hub", merge(&fence, hub)));
    cases
}
