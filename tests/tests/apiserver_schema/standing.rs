//! What stands in the clusters of the tables.

use serde_json::{Value, json};

use super::ground::{Ground, HERE, RELEASED, decision, grant, pod, requests, stored};
use super::objects::{department, object, quota, site, system, with};

fn namespace(name: &str, labels: Value) -> Value {
    with(object("Namespace", "", name, &json!({})), "/metadata/labels", labels)
}

/// The hub.
pub(crate) fn hub() -> Vec<Value> {
    let kept = |object: Value, finalizer: &str| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        stored(with(object, "/metadata/finalizers", json!([finalizer])), &format!("{name:3<8.8}"))
    };
    let status = json!({ "epoch": 7, "sequence": 12, "totals": { "granted": { "cpu": "4" }, "reserved": {} } });
    let ledger = object("Ledger", "", "hohhot", &json!({ "spec": { "site": "hohhot" }, "status": status }));
    let mut objects = vec![
        kept(ledger, "zhengyun.io/site"),
        kept(department("emergency"), "zhengyun.io/department"),
        kept(quota("emergency"), "zhengyun.io/quota"),
        kept(site("hohhot"), "zhengyun.io/site"),
        kept(system(HERE, "smart-emergency"), "example.org/other"),
        decision("returned-decided", "returned", "Return"),
        decision("rejected-decided", "rejected", "Reject"),
        grant("live-1", "InService"),
        grant("held-1", "Revoking"),
        grant("ended-1", "Revoked"),
        unseen(),
        object("Secret", "zhengyun-system", "site-hohhot", &json!({})),
    ];
    objects.extend(requests());
    for (namespace, name) in
        [("kube-system", "system:controller:token-cleaner"), (HERE, "zhengyun-department-clerk.emergency")]
    {
        let role = json!({ "kind": "ClusterRole", "name": "zhengyun-department-clerk" });
        objects.push(object("RoleBinding", namespace, name, &json!({ "roleRef": role })));
    }
    for department in ["emergency", "finance", "hohhot-education", "hohhot-xinchengqu-education"] {
        let labels = json!({ "zhengyun.io/department": department, "zhengyun.io/department-uid": "u" });
        objects.push(namespace(&format!("dept-{department}"), labels));
    }
    objects.extend(
        [RELEASED, "dept-foreign", "kube-system", "zhengyun-system", "default"].map(|n| namespace(n, json!({}))),
    );
    objects
}

/// A request whose author nobody has recorded yet.
fn unseen() -> Value {
    let draft = requests().into_iter().next().unwrap_or_default();
    let unseen = with(draft, "/metadata/name", json!("unseen"));
    with(unseen, "/status", json!({ "editors": [] }))
}

/// The site.
pub(crate) fn site_of(ground: &Ground) -> Vec<Value> {
    let place = ground.place.as_str();
    let grant_namespace = |name: &str, grant: &str| {
        let labels = json!({
            "zhengyun.io/grant-uid": ground.uid, "zhengyun.io/department": "emergency", "zhengyun.io/grant": grant,
            "pod-security.kubernetes.io/enforce": "restricted", "kubernetes.io/metadata.name": name
        });
        let epoch = json!({ "zhengyun.io/epoch": ground.epoch.to_string() });
        with(namespace(name, labels), "/metadata/annotations", epoch)
    };
    let service = json!({ "spec": { "type": "ClusterIP", "ports": [{ "port": 80 }] } });
    let labelled = |object: Value| with(object, "/metadata/labels/zhengyun.io~1grant-uid", json!(ground.uid));
    let fence = json!({ "data": { "hubUID": ground.hub_uid, "epoch": ground.epoch.to_string() } });
    let mut objects = vec![
        grant_namespace(place, "live-1"),
        grant_namespace("zy-emergency-held-1", "held-1"),
        object("ConfigMap", "zhengyun-system", "zhengyun-fence", &fence),
        ground.delivered("LimitRange", "zhengyun-limits", ground.epoch, &json!({ "spec": { "limits": [] } })),
        ground.delivered("Service", "web", ground.epoch, &service),
        object("Service", place, "own", &service),
        labelled(object("Service", place, "unstamped", &service)),
        labelled(object("ConfigMap", place, "labelled", &json!({ "data": { "a": "b" } }))),
        pod(place, "runs"),
    ];
    for name in ["zy-foreign", "kube-system", "zhengyun-system", "zhengyun-dryrun", "default"] {
        objects.push(namespace(name, json!({ "kubernetes.io/metadata.name": name })));
    }
    objects.into_iter().enumerate().map(|(at, object)| stored(object, &format!("{at:08}"))).collect()
}
