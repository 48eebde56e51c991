//! Policies `zhengyun-site-labels`, `-namespaces` and `-tenant-services`, and the rights of tenants in their grants.

use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::case::{Case, create, delete, delete_all, may, merge, never, no, read, yes};
use super::ground::{Ground, pod};
use super::objects::{at, object, with};
use super::who::{OTHER_TENANT, TENANT, Who};

const WRITTEN: &str = "zhengyun.io/ labels are written by Zhengyun only; leave them out";
const REMOVED: &str = "zhengyun.io/ labels are not removed; revoke the grant on the hub instead";

pub(crate) fn labels(ground: &Ground) -> Vec<Case> {
    let place = ground.place.as_str();
    let labelled = |namespace: &str, key: &str, value: &str| {
        let body = object("ConfigMap", namespace, "admission", &json!({ "data": {} }));
        create(with(body, &format!("/metadata/labels/{}", key.replace('/', "~1")), json!(value)))
    };
    let labels = |labels: Value| json!({ "metadata": { "labels": labels } });
    let (own, repeated) = (at("Namespace", "", place), at("ConfigMap", place, "labelled"));
    let uid = ground.uid.as_str();
    vec![
        yes(
            TENANT,
            "an object without labels",
            create(object("ConfigMap", place, "admission", &json!({ "data": {} }))),
        ),
        yes(TENANT, "repeats the namespace's label", labelled(place, "zhengyun.io/grant-uid", uid)),
        no(TENANT, "labels for another grant", labelled(place, "zhengyun.io/grant-uid", "another"), WRITTEN),
        no(TENANT, "another label of ours", labelled(place, "zhengyun.io/anything", "x"), WRITTEN),
        no(TENANT, "takes a label off", merge(&repeated, labels(json!({ "zhengyun.io/grant-uid": null }))), REMOVED),
        no(TENANT, "changes a label", merge(&repeated, labels(json!({ "zhengyun.io/grant-uid": "another" }))), WRITTEN),
        yes(TENANT, "a label of its own", merge(&repeated, labels(json!({ "team": "a" })))),
        no(
            Who::SiteRoot,
            "the site's administrator labels elsewhere",
            labelled("default", "zhengyun.io/grant-uid", uid),
            WRITTEN,
        ),
        yes(
            Who::SiteRoot,
            "the site's administrator in zhengyun-system",
            labelled("zhengyun-system", "zhengyun.io/site", "x"),
        ),
        no(
            Who::SiteRoot,
            "the site's administrator marks a namespace",
            merge(&at("Namespace", "", "zy-foreign"), labels(json!({ "zhengyun.io/grant-uid": uid }))),
            WRITTEN,
        ),
        no(
            Who::SiteRoot,
            "the site's administrator takes the mark off a grant's namespace",
            merge(&own, labels(json!({ "zhengyun.io/grant-uid": null }))),
            REMOVED,
        ),
        no(
            Who::SiteRoot,
            "the site's administrator gives a grant's namespace to another department",
            merge(&own, labels(json!({ "zhengyun.io/department": "finance" }))),
            WRITTEN,
        ),
    ]
}

pub(crate) fn namespaces(ground: &Ground) -> Vec<Case> {
    let own = at("Namespace", "", &ground.place);
    let held = ground.held.status.as_ref().and_then(|s| s.namespace.clone()).unwrap_or_default();
    let held = at("Namespace", "", &held);
    let because = |reason: Value| json!({ "metadata": { "annotations": { "zhengyun.io/remove-because": reason } } });
    let holds = "holds resources granted to department emergency: revoke grant live-";
    let root = Who::SiteRoot;
    vec![
        no(root, "the site's administrator deletes a grant's namespace", delete(&own), holds),
        no(root, "the same by collection", delete_all(&own), "the server does not allow this method"),
        yes(root, "the site's administrator deletes another namespace", delete(&at("Namespace", "", "zy-foreign"))),
        no(TENANT, "deletes its namespace", delete(&own), "cannot delete resource \"namespaces\""),
        no(
            TENANT,
            "writes a reason to remove it",
            merge(&own, because(json!("mine"))),
            "cannot patch resource \"namespaces\"",
        ),
        yes(root, "the site's administrator writes an empty reason", merge(&held, because(json!("")))).for_real(),
        no(root, "and deletes it", delete(&held), "revoke grant held-"),
        yes(root, "the site's administrator writes a reason", merge(&held, because(json!("the hub is gone"))))
            .for_real(),
        yes(root, "and deletes it", delete(&held)),
        yes(root, "the reason is taken back", merge(&held, because(Value::Null))).for_real(),
        no(root, "and it stays", delete(&held), "revoke grant held-"),
        no(
            TENANT,
            "labels its namespace",
            merge(&own, json!({ "metadata": { "labels": { "a": "b" } } })),
            "cannot patch resource \"namespaces\"",
        ),
    ]
}

pub(crate) fn services(ground: &Ground) -> Vec<Case> {
    let place = ground.place.as_str();
    let service = |spec: Value| {
        let mut body = object("Service", place, "admission", &json!({ "spec": { "ports": [{ "port": 80 }] } }));
        super::objects::merge_into(&mut body, &json!({ "spec": spec }));
        create(body)
    };
    let (own, web) = (at("Service", place, "own"), at("Service", place, "web"));
    let inside = "Services of your own are ClusterIP; order an address from the catalogue";
    let addresses = "external addresses are ordered from the catalogue";
    let ours = "this Service was delivered by Zhengyun and is changed or ended on the hub";
    vec![
        yes(TENANT, "a Service inside", service(json!({ "type": "ClusterIP" }))),
        yes(TENANT, "a headless Service", service(json!({ "clusterIP": "None" }))),
        no(TENANT, "a load balancer", service(json!({ "type": "LoadBalancer" })), inside),
        no(TENANT, "a node port", service(json!({ "type": "NodePort" })), inside),
        no(
            TENANT,
            "another name outside",
            service(json!({ "type": "ExternalName", "externalName": "example.org" })),
            inside,
        ),
        no(TENANT, "an external address", service(json!({ "externalIPs": ["192.0.2.1"] })), addresses),
        no(TENANT, "opens its Service later", merge(&own, json!({ "spec": { "type": "NodePort" } })), inside),
        no(
            TENANT,
            "adds an external address later",
            merge(&own, json!({ "spec": { "externalIPs": ["192.0.2.1"] } })),
            addresses,
        ),
        yes(TENANT, "changes its Service", merge(&own, json!({ "spec": { "selector": { "app": "other" } } }))),
        yes(TENANT, "deletes its Service", delete(&own)),
        no(
            TENANT,
            "changes a delivered Service",
            merge(&web, json!({ "spec": { "selector": { "app": "other" } } })),
            ours,
        ),
        no(TENANT, "deletes a delivered Service", delete(&web), ours),
        no(Who::SiteRoot, "the site's administrator deletes a delivered Service", delete(&web), ours),
    ]
}

/// What tenants do in their grants, and what is not theirs.
pub(crate) fn workloads(ground: &Ground) -> Vec<Case> {
    let place = ground.place.as_str();
    let template = pod(place, "x")["spec"].clone();
    let run = |kind: &str| {
        let template = json!({ "metadata": { "labels": { "app": "a" } }, "spec": template });
        let spec = json!({ "selector": { "matchLabels": { "app": "a" } }, "template": template });
        create(object(kind, place, "admission", &json!({ "spec": spec })))
    };
    let once = |mut template: Value| {
        template["restartPolicy"] = json!("Never");
        let spec = json!({ "template": { "spec": template } });
        create(object("Job", place, "admission", &json!({ "spec": spec })))
    };
    let scaler =
        json!({ "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "a" }, "maxReplicas": 2 });
    let access =
        json!({ "bucketClaimName": "b", "bucketAccessClassName": "c", "credentialsSecretName": "s", "protocol": "S3" });
    let claim = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    let role_ref =
        json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "zhengyun-tenant-admin" });
    let privileged = with(pod(place, "admission"), "/spec/hostNetwork", json!(true));
    let mut large = pod(place, "admission");
    for kind in ["requests", "limits"] {
        large["spec"]["containers"][0]["resources"][kind]["cpu"] = json!("100");
    }
    let content = |kind: &str, spec: Value| create(object(kind, place, "admission", &json!({ "spec": spec })));
    vec![
        yes(TENANT, "a pod", create(pod(place, "admission"))),
        no(TENANT, "a pod in the network of its node", create(privileged), "violates PodSecurity"),
        no(TENANT, "a pod beyond what was granted", create(large), "exceeded quota"),
        yes(TENANT, "a Deployment", run("Deployment")),
        yes(TENANT, "a Job", once(template.clone())),
        yes(TENANT, "a Secret", create(object("Secret", place, "admission", &json!({ "stringData": { "a": "b" } })))),
        yes(TENANT, "an autoscaler", content("HorizontalPodAutoscaler", scaler)),
        yes(TENANT, "credentials for a bucket", content("BucketAccess", access)),
        no(TENANT, "a DaemonSet", run("DaemonSet"), "cannot create resource \"daemonsets\""),
        no(
            TENANT,
            "a network policy",
            content("NetworkPolicy", json!({ "podSelector": {} })),
            "cannot create resource \"networkpolicies\"",
        ),
        no(TENANT, "an Ingress", content("Ingress", json!({})), "cannot create resource \"ingresses\""),
        no(TENANT, "a quota", content("ResourceQuota", json!({})), "cannot create resource \"resourcequotas\""),
        no(
            TENANT,
            "raises its quota",
            merge(&at("ResourceQuota", place, "zhengyun-quota"), json!({ "spec": { "hard": { "pods": "1000" } } })),
            "cannot patch resource \"resourcequotas\"",
        ),
        no(
            TENANT,
            "opens the network",
            delete(&at("NetworkPolicy", place, "zhengyun-default-deny")),
            "cannot delete resource \"networkpolicies\"",
        ),
        no(
            TENANT,
            "drops the limits",
            delete(&at("LimitRange", place, "zhengyun-limits")),
            "cannot delete resource \"limitranges\"",
        ),
        no(
            TENANT,
            "a role",
            create(object("Role", place, "admission", &json!({ "rules": [] }))),
            "cannot create resource \"roles\"",
        ),
        no(
            TENANT,
            "a binding",
            create(object("RoleBinding", place, "admission", &json!({ "roleRef": role_ref }))),
            "cannot create resource \"rolebindings\"",
        ),
        no(
            TENANT,
            "a volume that was not ordered",
            content("PersistentVolumeClaim", claim),
            "cannot create resource \"persistentvolumeclaims\"",
        ),
        no(
            TENANT,
            "deletes the volume that was delivered",
            delete(&at("PersistentVolumeClaim", place, "disk")),
            "cannot delete resource \"persistentvolumeclaims\"",
        ),
        yes(TENANT, "looks at the volume that was delivered", read(&at("PersistentVolumeClaim", place, "disk"))),
        no(
            TENANT,
            "a database that was not ordered",
            content("Cluster", json!({ "instances": 1 })),
            "cannot create resource \"clusters\"",
        ),
        no(
            TENANT,
            "a bucket that was not ordered",
            content("BucketClaim", json!({ "protocols": ["S3"] })),
            "cannot create resource \"bucketclaims\"",
        ),
        no(
            TENANT,
            "something in another namespace",
            create(object("ConfigMap", "default", "admission", &json!({}))),
            "cannot create resource \"configmaps\"",
        ),
        no(
            OTHER_TENANT,
            "another department's tenant looks",
            read(&at("ConfigMap", place, "labelled")),
            "cannot get resource \"configmaps\"",
        ),
        no(
            OTHER_TENANT,
            "another department's tenant writes",
            create(object("ConfigMap", place, "admission", &json!({}))),
            "cannot create resource \"configmaps\"",
        ),
        no(
            OTHER_TENANT,
            "another department's tenant deletes",
            delete(&at("Service", place, "own")),
            "cannot delete resource \"services\"",
        ),
    ]
}

pub(crate) fn rights(ground: &Ground) -> Vec<Case> {
    let place = ground.place.as_str();
    let frozen = ground.held.status.as_ref().and_then(|s| s.namespace.clone()).unwrap_or_default();
    assert!(!frozen.is_empty(), "{} has a namespace", ground.held.name_any());
    let mut cases = vec![
        may(TENANT, "create", "/pods/exec", place),
        may(TENANT, "get", "/pods/log", place),
        may(TENANT, "create", "/configmaps", &frozen),
        never(TENANT, "create", "/serviceaccounts/token", place),
        never(TENANT, "impersonate", "/serviceaccounts", place),
        never(TENANT, "patch", "/pods/ephemeralcontainers", place),
        never(TENANT, "patch", "/services/status", place),
        never(TENANT, "bind", "rbac.authorization.k8s.io/roles", place),
        never(TENANT, "list", "/namespaces", ""),
        never(TENANT, "list", "/nodes", ""),
        never(TENANT, "list", "/secrets", ""),
    ];
    for resource in ["/secrets", "/configmaps", "apps/deployments", "postgresql.cnpg.io/clusters"] {
        cases.push(may(TENANT, "get", resource, place));
        cases.push(never(OTHER_TENANT, "get", resource, place));
        cases.push(never(TENANT, "get", resource, "zy-foreign"));
    }
    cases
}
