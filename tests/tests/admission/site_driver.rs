//! Policy `zhengyun-site-driver-scope`, and the driver's rights: what a stolen token of the driver reaches.

use serde_json::{Value, json};

use super::case::{Case, apply, create, delete, may, merge, never, no, read, yes};
use super::ground::Ground;
use super::objects::{at, object, with};
use super::who::Who;

const DRIVER: Who = Who::Driver;
const NOT_A_GRANTS: &str = "the namespace carries no zhengyun.io/grant-uid, so it is not a grant's and is left alone";
const LABEL: &str = "what the driver writes carries the zhengyun.io/grant-uid of its namespace";
const FOREIGN: &str = "an object of that name exists and was not delivered by Zhengyun";

pub(crate) fn namespaces(ground: &Ground) -> Vec<Case> {
    let namespace = |name: &str| {
        let metadata = json!({
            "labels": { "zhengyun.io/grant-uid": "admission", "pod-security.kubernetes.io/enforce": "restricted" },
            "annotations": { "zhengyun.io/epoch": ground.epoch.to_string() }
        });
        object("Namespace", "", name, &json!({ "metadata": metadata }))
    };
    let labels = |labels: Value| json!({ "metadata": { "labels": labels } });
    let (own, foreign) = (at("Namespace", "", &ground.place), at("Namespace", "", "zy-foreign"));
    let security = "/metadata/labels/pod-security.kubernetes.io~1enforce";
    let restricted = "a grant's namespace enforces Pod Security restricted";
    let only = "the driver writes namespaces zy-* only";
    let epoch = json!({ "zhengyun.io/epoch": ground.epoch.to_string() });
    let adopt = json!({ "metadata": { "labels": { "zhengyun.io/grant-uid": "x" }, "annotations": epoch } });
    vec![
        yes(DRIVER, "creates a grant's namespace", create(namespace("zy-admission"))),
        no(DRIVER, "creates another namespace", create(namespace("admission")), only),
        no(
            DRIVER,
            "creates a namespace without the label",
            create(with(namespace("zy-admission"), "/metadata/labels/zhengyun.io~1grant-uid", Value::Null)),
            NOT_A_GRANTS,
        ),
        no(
            DRIVER,
            "creates a namespace without Pod Security",
            create(with(namespace("zy-admission"), security, Value::Null)),
            restricted,
        ),
        no(
            DRIVER,
            "creates a namespace with weaker Pod Security",
            create(with(namespace("zy-admission"), security, json!("privileged"))),
            restricted,
        ),
        no(
            DRIVER,
            "weakens Pod Security",
            merge(&own, labels(json!({ "pod-security.kubernetes.io/enforce": "baseline" }))),
            restricted,
        ),
        no(
            DRIVER,
            "gives a namespace to another grant",
            merge(&own, labels(json!({ "zhengyun.io/grant-uid": "another" }))),
            "zhengyun.io/grant-uid of a namespace does not change",
        ),
        no(
            DRIVER,
            "takes the label off a namespace",
            merge(&own, labels(json!({ "zhengyun.io/grant-uid": null }))),
            NOT_A_GRANTS,
        ),
        no(DRIVER, "adopts a namespace of somebody else", merge(&foreign, adopt), NOT_A_GRANTS),
        no(DRIVER, "deletes a namespace of somebody else", delete(&foreign), NOT_A_GRANTS),
        no(DRIVER, "labels kube-system", merge(&at("Namespace", "", "kube-system"), labels(json!({ "a": "b" }))), only),
        no(DRIVER, "deletes its own system's namespace", delete(&at("Namespace", "", "zhengyun-system")), only),
    ]
}

pub(crate) fn objects(ground: &Ground) -> Vec<Case> {
    let rule = json!({ "spec": { "podSelector": {} } });
    let written = ground.delivered("NetworkPolicy", "admission", ground.epoch, &rule);
    let elsewhere = |namespace: &str| create(with(written.clone(), "/metadata/namespace", json!(namespace)));
    let label = "/metadata/labels/zhengyun.io~1grant-uid";
    let service = json!({ "spec": { "ports": [{ "port": 80 }] } });
    let over = ground.delivered("Service", "own", ground.epoch, &service);
    let try_out = object("NetworkPolicy", "zhengyun-dryrun", "admission", &rule);
    let mut cases = vec![
        no(DRIVER, "writes in a namespace of somebody else", elsewhere("zy-foreign"), NOT_A_GRANTS),
        no(DRIVER, "writes in default", elsewhere("default"), NOT_A_GRANTS),
        no(DRIVER, "writes in kube-system", elsewhere("kube-system"), NOT_A_GRANTS),
        no(
            DRIVER,
            "writes without a label in default",
            create(object("NetworkPolicy", "default", "admission", &rule)),
            NOT_A_GRANTS,
        ),
        no(DRIVER, "writes without the label", create(with(written.clone(), label, Value::Null)), LABEL),
        no(DRIVER, "writes for another grant", create(with(written.clone(), label, json!("another"))), LABEL),
        no(DRIVER, "adopts an object of a tenant", apply(over), FOREIGN),
        no(DRIVER, "deletes an object of a tenant", delete(&at("Service", &ground.place, "own")), FOREIGN),
        yes(DRIVER, "tries in zhengyun-dryrun", create(try_out.clone())),
        no(
            DRIVER,
            "writes for real in zhengyun-dryrun",
            create(try_out),
            "in zhengyun-dryrun the driver only tries, with dryRun=All",
        )
        .for_real(),
    ];
    let binding = |role: &str, subject: Value| {
        let role_ref = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role });
        let content = json!({ "roleRef": role_ref, "subjects": [subject] });
        create(ground.delivered("RoleBinding", "admission", ground.epoch, &content))
    };
    let subject =
        |kind: &str, name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    let people = "tenant roles go to people and their groups, recovery roles to the account";
    let account = json!({ "kind": "ServiceAccount", "name": "zhengyun-driver", "namespace": "zhengyun-system" });
    let (tenant, group) = ("zhengyun-tenant-admin", subject("Group", "dept:emergency"));
    cases.extend([
        yes(DRIVER, "binds a tenant role to a department", binding(tenant, group.clone())),
        yes(
            DRIVER,
            "binds the viewer's role to a person",
            binding("zhengyun-tenant-viewer", subject("User", "somebody")),
        ),
        no(DRIVER, "binds a tenant role to a ServiceAccount", binding(tenant, account), people),
        no(
            DRIVER,
            "binds a tenant role to everybody",
            binding(tenant, subject("Group", "system:authenticated")),
            people,
        ),
        no(DRIVER, "binds a tenant role to nobody known", binding(tenant, subject("User", "system:anonymous")), people),
    ]);
    let recovery =
        |namespace: &str| json!({ "kind": "ServiceAccount", "name": "zhengyun-recovery", "namespace": namespace });
    let writer = "zhengyun-recovery-writer";
    cases.extend([
        yes(DRIVER, "lets the account of recovery in", binding(writer, recovery("zhengyun-system"))),
        no(DRIVER, "lets another account of that name in", binding(writer, recovery("default")), people),
        no(DRIVER, "lets a department in as recovery", binding(writer, group.clone()), people),
        no(DRIVER, "makes the account of recovery a tenant", binding(tenant, recovery("zhengyun-system")), people),
    ]);
    for role in ["cluster-admin", "admin", "edit"] {
        let what = format!("binds {role}");
        cases.push(no(
            DRIVER,
            what,
            binding(role, group.clone()),
            "attempting to grant RBAC permissions not currently held",
        ));
    }
    // Its own rights RBAC would let it hand on.
    cases.push(no(
        DRIVER,
        "binds its own role",
        binding("zhengyun-driver", group),
        "the driver binds the tenant and the recovery roles only",
    ));
    cases
}

pub(crate) fn rights(ground: &Ground) -> Vec<Case> {
    let place = ground.place.as_str();
    let mut cases = vec![
        no(
            DRIVER,
            "reads a Secret of a grant",
            read(&at("Secret", place, "admission")),
            "cannot get resource \"secrets\"",
        ),
        never(DRIVER, "get", "/secrets", "zhengyun-system"),
        never(DRIVER, "list", "/secrets", ""),
        never(DRIVER, "create", "/secrets", place),
        never(DRIVER, "get", "/configmaps", place),
        never(DRIVER, "create", "/pods", place),
        never(DRIVER, "create", "/pods/exec", place),
        never(DRIVER, "get", "/pods/log", place),
        never(DRIVER, "create", "/serviceaccounts/token", "zhengyun-system"),
        never(DRIVER, "impersonate", "/users", ""),
        never(DRIVER, "escalate", "rbac.authorization.k8s.io/clusterroles", ""),
        never(DRIVER, "bind", "rbac.authorization.k8s.io/clusterroles#cluster-admin", ""),
        never(DRIVER, "create", "rbac.authorization.k8s.io/roles", place),
        never(DRIVER, "create", "rbac.authorization.k8s.io/clusterrolebindings", ""),
        never(DRIVER, "delete", "/persistentvolumes", ""),
        never(DRIVER, "patch", "/nodes", ""),
        never(DRIVER, "patch", "admissionregistration.k8s.io/validatingadmissionpolicies", ""),
        never(DRIVER, "delete", "admissionregistration.k8s.io/validatingadmissionpolicybindings", ""),
        never(DRIVER, "patch", "apiextensions.k8s.io/customresourcedefinitions", ""),
        never(DRIVER, "update", "/resourcequotas", place),
        may(DRIVER, "list", "/persistentvolumes", ""),
        may(DRIVER, "create", "/pods/eviction", place),
        may(DRIVER, "patch", "/configmaps#zhengyun-fence", "zhengyun-system"),
        never(DRIVER, "delete", "/configmaps#zhengyun-fence", "zhengyun-system"),
    ];
    for resource in [
        "apps/deployments",
        "apps/statefulsets",
        "apps/daemonsets",
        "batch/jobs",
        "batch/cronjobs",
        "networking.k8s.io/ingresses",
    ] {
        for verb in ["create", "patch", "delete"] {
            cases.push(never(DRIVER, verb, resource, place));
        }
    }
    for resource in [
        "/namespaces",
        "/resourcequotas",
        "/limitranges",
        "networking.k8s.io/networkpolicies",
        "/services",
        "/persistentvolumeclaims",
        "postgresql.cnpg.io/clusters",
        "objectstorage.k8s.io/bucketclaims",
    ] {
        cases.push(may(DRIVER, "create", resource, ""));
        cases.push(never(DRIVER, "deletecollection", resource, ""));
    }
    cases
}
