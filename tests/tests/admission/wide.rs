//! The product's accounts with rights that the chart does not give: what RBAC no longer refuses, the policies must.

use std::time::Duration;

use anyhow::Result;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use zhengyun_tests::lab::wait::settled;

use super::case::{Call, Case, create, delete, delete_all, may, merge, no, yes};
use super::ground::{Ground, HERE};
use super::objects::{at, object, order, request, with};
use super::who::{API_ACCOUNT, Callers, OPERATOR, Who};

const API_USER: &str = "system:serviceaccount:zhengyun-system:zhengyun-api";
const OPERATOR_USER: &str = "system:serviceaccount:zhengyun-system:zhengyun-operator";
const ACCOUNT_GROUPS: [&str; 3] =
    ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:zhengyun-system"];

/// Gives the accounts more rights, as a mistaken administrator would, and waits until they count.
pub(crate) async fn widen(callers: &Callers) -> Result<()> {
    let writes = ["create", "update", "patch", "delete", "deletecollection"];
    // Everything but the verbs that the policies ask for: decide and accept.
    let records = json!([{ "apiGroups": ["zhengyun.io"], "resources": ["*"], "verbs": writes }]);
    let operator = json!([
        { "apiGroups": ["zhengyun.io"], "resources": ["*"], "verbs": writes },
        { "apiGroups": ["", "rbac.authorization.k8s.io"], "resources": ["namespaces", "rolebindings"], "verbs": writes },
        { "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"] }
    ]);
    let everything = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    grant(callers, Who::Root, "zhengyun-api", &records).await?;
    grant(callers, Who::Root, "zhengyun-operator", &operator).await?;
    grant(callers, Who::SiteRoot, "zhengyun-driver", &everything).await?;
    for case in [
        may(API_ACCOUNT, "create", "zhengyun.io/approvals", ""),
        may(OPERATOR, "delete", "/namespaces", ""),
        may(Who::Driver, "delete", "/secrets", ""),
    ] {
        settled(&format!("{} has more rights", case.who), Duration::from_secs(10), || async {
            Ok(callers.disagreement(&case).await?.map_or(Ok(()), Err))
        })
        .await?;
    }
    Ok(())
}

async fn grant(callers: &Callers, by: Who, account: &str, rules: &Value) -> Result<()> {
    let name = format!("admission-{account}");
    callers.must(by, create(object("ClusterRole", "", &name, &json!({ "rules": rules })))).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": "zhengyun-system" }]
    });
    let call = Call {
        method: http::Method::POST,
        path: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings".to_owned(),
        content_type: "application/json",
        body: Some(binding),
        about: format!("ClusterRoleBinding {account}"),
    };
    callers.must(by, call).await.map(drop)
}

/// The API with every write on the product's kinds.
pub(crate) fn api(ground: &Ground) -> Vec<Case> {
    let approve = |user: &str, groups: &[&str]| create(ground.approval("admission", "department", user, groups));
    let head = ["dept:emergency", "system:authenticated"];
    let live = at("ResourceGrant", HERE, &ground.live.name_any());
    let ledger = at("Ledger", "", "hohhot");
    let review = at("ResourceRequest", HERE, "review");
    let accepted = json!({ "spec": { "acceptance": { "digest": "sha256:0", "reason": "r", "by": API_USER } } });
    let charge = json!({ "spec": { "charge": { "cpu": "1" } } });
    vec![
        no(
            API_ACCOUNT,
            "approves in the head's name",
            approve("head-emergency", &head),
            "must be the person who sends the approval",
        ),
        no(
            API_ACCOUNT,
            "approves in its own name with the head's groups",
            approve(API_USER, &head),
            "must be exactly the groups",
        ),
        no(
            API_ACCOUNT,
            "approves in its own name",
            approve(API_USER, &ACCOUNT_GROUPS),
            "it needs the verb decide on resourcerequests/department",
        ),
        no(
            API_ACCOUNT,
            "writes a request in the clerk's name",
            create(request(HERE, "admission", "clerk-emergency", order("Standard"))),
            "spec.requestedBy must be the person who creates the request",
        ),
        no(
            API_ACCOUNT,
            "edits a request in the clerk's name",
            merge(&review, json!({ "spec": { "withdrawn": true } })),
            "spec.editedBy must be the person who writes the request now",
        ),
        no(
            API_ACCOUNT,
            "changes a grant",
            merge(&live, charge),
            "spec of a ResourceGrant is written by the operator only",
        ),
        no(API_ACCOUNT, "deletes a grant", delete(&live), "is not deleted but revoked"),
        no(API_ACCOUNT, "deletes a request under review", delete(&review), "is withdrawn first"),
        no(API_ACCOUNT, "deletes a ledger", delete(&ledger), "is never deleted"),
        no(
            API_ACCOUNT,
            "accepts the books",
            merge(&ledger, accepted),
            "spec.acceptance is written by a cloud administrator",
        ),
        no(
            API_ACCOUNT,
            "takes a finalizer off",
            merge(&live, json!({ "metadata": { "finalizers": null } })),
            "only the operator removes zhengyun.io/ finalizers",
        ),
    ]
}

/// The operator with every write on the product's kinds, on namespaces and on bindings.
pub(crate) fn operator(ground: &Ground) -> Vec<Case> {
    let role = |name: &str| {
        let role_ref = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name });
        let subject = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "somebody" });
        create(object("RoleBinding", HERE, "admission", &json!({ "roleRef": role_ref, "subjects": [subject] })))
    };
    let only = "the operator binds the department roles only";
    let live = at("ResourceGrant", HERE, &ground.live.name_any());
    let people = "written by people only, never by the operator";
    let approval = create(ground.approval("admission", "department", OPERATOR_USER, &ACCOUNT_GROUPS));
    vec![
        no(OPERATOR, "binds cluster-admin", role("cluster-admin"), only),
        no(OPERATOR, "binds the authority's role", role("zhengyun-authority"), only),
        no(OPERATOR, "binds its own role", role("zhengyun-operator"), only),
        yes(OPERATOR, "binds a department role", role("zhengyun-department-head")),
        no(
            OPERATOR,
            "deletes a department's namespace",
            delete(&at("Namespace", "", HERE)),
            "holds the records of department",
        ),
        no(
            OPERATOR,
            "deletes zhengyun-system",
            delete(&at("Namespace", "", "zhengyun-system")),
            "the operator writes namespaces dept-* only",
        ),
        no(
            OPERATOR,
            "deletes a namespace of somebody else",
            delete(&at("Namespace", "", "dept-foreign")),
            "the operator leaves it alone",
        ),
        no(OPERATOR, "approves in its own name", approval, "it needs the verb decide on resourcerequests/department"),
        no(OPERATOR, "writes a request", create(request(HERE, "admission", OPERATOR_USER, order("Standard"))), people),
        no(OPERATOR, "deletes a live grant", delete(&live), "is not deleted but revoked"),
        no(OPERATOR, "deletes a ledger", delete(&at("Ledger", "", "hohhot")), "is never deleted"),
        no(OPERATOR, "creates a quota", create(super::objects::quota("emergency-2")), people),
    ]
}

/// The driver with every right at the site.
pub(crate) fn driver(ground: &Ground) -> Vec<Case> {
    let cluster_wide = "the driver writes nothing that belongs to the whole cluster";
    let role = object("ClusterRole", "", "admission-forged", &json!({ "rules": [] }));
    let labelled = with(role.clone(), "/metadata/labels/zhengyun.io~1grant-uid", json!(ground.uid));
    let labelled = with(labelled, "/metadata/annotations/zhengyun.io~1epoch", json!(ground.epoch.to_string()));
    let secret = |namespace: &str| create(object("Secret", namespace, "admission", &json!({})));
    let fence = at("ConfigMap", "zhengyun-system", "zhengyun-fence");
    let nowhere = "the namespace carries no zhengyun.io/grant-uid";
    vec![
        no(Who::Driver, "writes a cluster role", create(role), cluster_wide),
        no(Who::Driver, "writes a cluster role with our marks", create(labelled), cluster_wide),
        no(Who::Driver, "writes a Secret in default", secret("default"), nowhere),
        no(Who::Driver, "writes a Secret in a namespace of somebody else", secret("zy-foreign"), nowhere),
        no(Who::Driver, "writes a Secret in zhengyun-system", secret("zhengyun-system"), "the fence and nothing else"),
        no(Who::Driver, "deletes the fence", delete(&fence), "without its fence this site refuses every change"),
        no(
            Who::Driver,
            "deletes zhengyun-dryrun",
            delete(&at("Namespace", "", "zhengyun-dryrun")),
            "the driver writes namespaces zy-* only",
        ),
        no(
            Who::Driver,
            "deletes whatever a tenant has of that name",
            delete_all(&at("ConfigMap", &ground.place, "labelled")),
            "is stamped with it before it is deleted",
        ),
        no(
            Who::Driver,
            "deletes delivered things by collection",
            delete_all(&at("LimitRange", &ground.place, "zhengyun-limits")),
            "the driver deletes with the UID and resourceVersion",
        ),
        no(
            Who::Driver,
            "writes a workload without the label",
            create(super::ground::pod(&ground.place, "forged")),
            "carries the zhengyun.io/grant-uid of its namespace",
        ),
    ]
}
