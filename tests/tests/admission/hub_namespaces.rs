//! Policies `zhengyun-department-namespaces` and `zhengyun-operator-scope`: what the operator reaches, and who touches what is its.

use serde_json::{Value, json};

use super::case::{Case, create, delete, merge, no, read, yes};
use super::ground::{HERE, RELEASED};
use super::objects::{At, at, object, with};
use super::who::{ADMIN, API_ACCOUNT, CLERK, HEAD, OPERATOR, PROVIDER, STRANGER, TECHNICAL, Who};

fn namespace(name: &str) -> At {
    at("Namespace", "", name)
}

fn labels(labels: Value) -> Value {
    json!({ "metadata": { "labels": labels } })
}

pub(crate) fn departments() -> Vec<Case> {
    let only = "only the operator writes zhengyun.io/ labels on namespaces; create a Department";
    let marked = |name: &str| {
        let marked = object("Namespace", "", name, &json!({}));
        with(marked, "/metadata/labels/zhengyun.io~1department", json!("forged"))
    };
    let holds = "holds the records of department emergency and is not deleted";
    vec![
        no(Who::Root, "an administrator deletes a department's namespace", delete(&namespace(HERE)), holds),
        no(
            ADMIN,
            "deletes a department's namespace",
            delete(&namespace(HERE)),
            "cannot delete resource \"namespaces\"",
        ),
        no(
            OPERATOR,
            "deletes a department's namespace",
            delete(&namespace(HERE)),
            "cannot delete resource \"namespaces\"",
        ),
        yes(Who::Root, "the namespace of a department that was deleted", delete(&namespace(RELEASED))),
        yes(Who::Root, "a namespace of somebody else", delete(&namespace("dept-foreign"))),
        no(
            Who::Root,
            "marks a namespace",
            merge(&namespace("dept-foreign"), labels(json!({ "zhengyun.io/department": "forged" }))),
            only,
        ),
        no(Who::Root, "creates a marked namespace", create(marked("dept-forged")), only),
        no(
            Who::Root,
            "changes a mark",
            merge(&namespace(HERE), labels(json!({ "zhengyun.io/department": "finance" }))),
            only,
        ),
        no(
            Who::Root,
            "takes a mark off",
            merge(&namespace(HERE), labels(json!({ "zhengyun.io/department": null }))),
            only,
        ),
        no(
            Who::Root,
            "takes the UID off",
            merge(&namespace(HERE), labels(json!({ "zhengyun.io/department-uid": null }))),
            only,
        ),
        yes(Who::Root, "another label", merge(&namespace(HERE), labels(json!({ "team": "a" })))),
        yes(OPERATOR, "creates a department's namespace", create(marked("dept-forged"))),
        yes(
            OPERATOR,
            "releases a department's namespace",
            merge(&namespace(HERE), labels(json!({ "zhengyun.io/department": null }))),
        ),
    ]
}

pub(crate) fn operator() -> Vec<Case> {
    let binding = |namespace: &str, role: &str, subject: Value| {
        let role_ref = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role });
        let content = json!({ "roleRef": role_ref, "subjects": [subject] });
        create(object("RoleBinding", namespace, "admission", &content))
    };
    let subject =
        |kind: &str, name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    let account = json!({ "kind": "ServiceAccount", "name": "default", "namespace": "default" });
    let person = subject("User", "somebody");
    let clerk = "zhengyun-department-clerk";
    let (dept_only, not_ours) = (
        "the operator writes namespaces dept-* only",
        "does not belong to a department, so the operator leaves it alone",
    );
    let people = "department roles go to people and their groups, not to system: accounts";
    let escalates = "attempting to grant RBAC permissions not currently held";
    let elsewhere = "the operator writes RoleBindings in department namespaces only";
    let built_in = at("RoleBinding", "kube-system", "system:controller:token-cleaner");
    let of_people = at("RoleBinding", HERE, "zhengyun-department-clerk.emergency");
    let mut cases = vec![
        no(OPERATOR, "creates another namespace", create(object("Namespace", "", "forged", &json!({}))), dept_only),
        no(OPERATOR, "labels kube-system", merge(&namespace("kube-system"), labels(json!({ "a": "b" }))), dept_only),
        no(
            OPERATOR,
            "labels zhengyun-system",
            merge(&namespace("zhengyun-system"), labels(json!({ "a": "b" }))),
            dept_only,
        ),
        no(
            OPERATOR,
            "adopts a namespace of somebody else",
            merge(&namespace("dept-foreign"), labels(json!({ "zhengyun.io/department": "foreign" }))),
            not_ours,
        ),
        yes(OPERATOR, "binds a department role to a person", binding(HERE, clerk, person.clone())),
        yes(OPERATOR, "binds a department role to a group", binding(HERE, clerk, subject("Group", "dept:emergency"))),
        no(OPERATOR, "binds a department role elsewhere", binding("kube-system", clerk, person.clone()), elsewhere),
        no(
            OPERATOR,
            "binds a department role in the system's namespace",
            binding("zhengyun-system", clerk, person.clone()),
            elsewhere,
        ),
        no(
            OPERATOR,
            "binds a department role in a namespace that only looks like a department's",
            binding("dept-foreign", clerk, person.clone()),
            elsewhere,
        ),
        no(OPERATOR, "binds to a ServiceAccount", binding(HERE, clerk, account), people),
        no(OPERATOR, "binds to everybody", binding(HERE, clerk, subject("Group", "system:authenticated")), people),
        no(
            OPERATOR,
            "binds to itself",
            binding(HERE, clerk, subject("User", "system:serviceaccount:zhengyun-system:zhengyun-operator")),
            people,
        ),
        no(OPERATOR, "deletes a RoleBinding of Kubernetes", delete(&built_in), elsewhere),
        yes(OPERATOR, "deletes a department's RoleBinding", delete(&of_people)),
    ];
    for role in ["cluster-admin", "admin", "zhengyun-cloud-admin", "zhengyun-authority", "zhengyun-technical-reviewer"]
    {
        cases.push(no(OPERATOR, format!("binds {role}"), binding(HERE, role, person.clone()), escalates));
    }
    // Its own rights RBAC would let it hand on.
    let own = binding(HERE, "zhengyun-operator", person);
    cases.push(no(OPERATOR, "binds its own role", own, "the operator binds the department roles only"));
    cases.extend(secrets());
    cases
}

/// Secrets: the operator reads those of its own namespace, the cloud administrator writes them, nobody else comes near.
fn secrets() -> Vec<Case> {
    let kubeconfig = at("Secret", "zhengyun-system", "site-hohhot");
    let elsewhere = at("Secret", "default", "admission");
    let cannot = "cannot get resource \"secrets\"";
    let recovery = |name: &str| object("Secret", "zhengyun-system", name, &json!({ "data": { "key": "b25l" } }));
    let mut cases = vec![
        yes(OPERATOR, "reads a site's kubeconfig", read(&kubeconfig)),
        no(OPERATOR, "reads a Secret elsewhere", read(&elsewhere), cannot),
        no(OPERATOR, "reads a Secret of a department's namespace", read(&at("Secret", HERE, "admission")), cannot),
        no(
            OPERATOR,
            "writes a site's kubeconfig",
            merge(&kubeconfig, json!({ "data": {} })),
            "of Secrets the operator writes recovery-signing-key",
        ),
        no(OPERATOR, "makes any Secret", create(recovery("stolen")), "of Secrets the operator writes"),
        no(OPERATOR, "makes one of a name like it", create(recovery("recovery-key")), "of Secrets the operator writes"),
        yes(OPERATOR, "shows an escrow password", create(recovery("recovery-escrow.hohhot-1.emergency"))),
        yes(OPERATOR, "records a repository", create(recovery("recovery-repository.hohhot-1.emergency"))),
        yes(OPERATOR, "makes the signing key", create(recovery("recovery-signing-key"))).for_real(),
        no(
            OPERATOR,
            "replaces the signing key",
            merge(&at("Secret", "zhengyun-system", "recovery-signing-key"), json!({ "data": { "key": "bmV3" } })),
            "the signing key is made once and never replaced",
        ),
        yes(ADMIN, "writes a site's kubeconfig", merge(&kubeconfig, labels(json!({ "a": "b" })))),
    ];
    for who in [ADMIN, API_ACCOUNT, CLERK, HEAD, TECHNICAL, PROVIDER, STRANGER] {
        cases.push(no(who, "reads a site's kubeconfig", read(&kubeconfig), cannot));
    }
    cases
}
