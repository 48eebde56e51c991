//! Policies `zhengyun-books`, `zhengyun-finalizers`, `zhengyun-records`, `zhengyun-specs`: records and who keeps them.

use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::case::{Case, create, delete, delete_all, merge, no, yes};
use super::ground::{Ground, HERE};
use super::objects::{At, at, object, with};
use super::who::{ADMIN, API_ACCOUNT, AUTHORITY, CLERK, COLLECTOR, HEAD, OPERATOR, PROVIDER, Who};

const GRANT: &str = "spec of a ResourceGrant is written by the operator only: create a ResourceRequest";
const ACCEPT: &str = "spec.acceptance is written by a cloud administrator";
const FINALIZERS: &str = "only the operator removes zhengyun.io/ finalizers";

fn requests(name: &str) -> At {
    at("ResourceRequest", HERE, name)
}

pub(crate) fn books(ground: &Ground) -> Vec<Case> {
    let live = at("ResourceGrant", HERE, &ground.live.name_any());
    let ledger = at("Ledger", "", "hohhot");
    let charge = json!({ "spec": { "charge": { "cpu": "1" } } });
    let spec = json!({
        "department": "emergency", "system": "smart-emergency", "site": "hohhot", "revision": 1, "class": "Standard",
        "request": { "name": "r", "uid": "u" }, "charge": { "cpu": "1" }, "bundle": {}
    });
    let grant = object("ResourceGrant", HERE, "admission", &json!({ "spec": spec }));
    let book = object("Ledger", "", "admission", &json!({ "spec": { "site": "admission" } }));
    let accepted =
        |by: &str| json!({ "spec": { "acceptance": { "digest": "sha256:0", "reason": "compared", "by": by } } });
    let silent = json!({ "spec": { "acceptance": { "digest": "sha256:0", "reason": "", "by": "cloud-admin" } } });
    let operator = "system:serviceaccount:zhengyun-system:zhengyun-operator";
    let mut cases = vec![
        yes(OPERATOR, "creates a grant", create(grant.clone())),
        yes(OPERATOR, "amends a grant", merge(&live, charge.clone())),
        no(Who::Root, "an administrator creates a grant", create(grant.clone()), GRANT),
        no(Who::Root, "an administrator changes a grant's charge", merge(&live, charge.clone()), GRANT),
        yes(
            Who::Root,
            "an administrator labels a grant",
            merge(&live, json!({ "metadata": { "labels": { "a": "b" } } })),
        ),
        no(ADMIN, "changes a grant", merge(&live, charge.clone()), "cannot patch resource \"resourcegrants\""),
        no(CLERK, "changes a grant", merge(&live, charge.clone()), "cannot patch resource \"resourcegrants\""),
        no(AUTHORITY, "changes a grant", merge(&live, charge.clone()), "cannot patch resource \"resourcegrants\""),
        no(API_ACCOUNT, "changes a grant", merge(&live, charge), "cannot patch resource \"resourcegrants\""),
        no(CLERK, "creates a grant", create(grant), "cannot create resource \"resourcegrants\""),
        yes(OPERATOR, "creates a ledger", create(book.clone())),
        no(
            Who::Root,
            "an administrator creates a ledger",
            create(book.clone()),
            "a Ledger is created by the operator when a Site joins",
        ),
        no(ADMIN, "creates a ledger", create(book.clone()), "cannot create resource \"ledgers\""),
        no(
            OPERATOR,
            "creates a ledger with an acceptance",
            create({
                let mut book = book;
                super::objects::merge_into(&mut book, &accepted(operator));
                book
            }),
            ACCEPT,
        ),
        no(OPERATOR, "accepts the books", merge(&ledger, accepted(operator)), ACCEPT),
        no(OPERATOR, "accepts in the administrator's name", merge(&ledger, accepted("cloud-admin")), ACCEPT),
        yes(ADMIN, "accepts the books in its own name", merge(&ledger, accepted("cloud-admin"))),
        no(
            ADMIN,
            "accepts in another's name",
            merge(&ledger, accepted("authority-chief")),
            "spec.acceptance.by must be the administrator who accepts",
        ),
        no(ADMIN, "accepts without a reason", merge(&ledger, silent), "should be at least 1 chars"),
        no(
            Who::Root,
            "an administrator of the hub accepts in the cloud administrator's name",
            merge(&ledger, accepted("cloud-admin")),
            "spec.acceptance.by must be the administrator who accepts",
        ),
        no(
            ADMIN,
            "gives a ledger another site",
            merge(&ledger, json!({ "spec": { "site": "ulanqab" } })),
            "spec.site of a Ledger does not change",
        ),
        no(
            OPERATOR,
            "the operator gives a ledger another site",
            merge(&ledger, json!({ "spec": { "site": "ulanqab" } })),
            "spec.site of a Ledger does not change",
        ),
        no(HEAD, "accepts the books", merge(&ledger, accepted("head-emergency")), "cannot patch resource \"ledgers\""),
        no(
            PROVIDER,
            "accepts the books",
            merge(&ledger, accepted("provider-ops")),
            "cannot patch resource \"ledgers\"",
        ),
    ];
    // What people write the operator leaves alone, but for its finalizers.
    let people = "written by people only, never by the operator";
    for (kind, name, spec) in [
        ("Department", "emergency", json!({ "roles": [] })),
        ("DepartmentQuota", "emergency", json!({ "overcommitPercent": 1000 })),
        ("Site", "hohhot", json!({ "capacity": { "cpu": "100000" } })),
    ] {
        let here = at(kind, "", name);
        cases.push(no(OPERATOR, format!("writes the spec of a {kind}"), merge(&here, json!({ "spec": spec })), people));
        let label = json!({ "metadata": { "labels": { "a": "b" } } });
        cases.push(yes(OPERATOR, format!("writes the metadata of a {kind}"), merge(&here, label)));
    }
    cases
}

pub(crate) fn finalizers(ground: &Ground) -> Vec<Case> {
    let live = at("ResourceGrant", HERE, &ground.live.name_any());
    let none = json!({ "metadata": { "finalizers": null } });
    let other = json!({ "metadata": { "finalizers": ["example.org/other"] } });
    let both = json!({ "metadata": { "finalizers": ["zhengyun.io/charge", "example.org/other"] } });
    let mut cases = vec![
        no(
            CLERK,
            "the owner takes the finalizer off a charged request",
            merge(&requests("review"), none.clone()),
            FINALIZERS,
        ),
        no(CLERK, "the owner puts another in its place", merge(&requests("review"), other), FINALIZERS),
        yes(CLERK, "the owner puts another beside it", merge(&requests("review"), both)),
        no(
            HEAD,
            "takes the finalizer off a request",
            merge(&requests("review"), none.clone()),
            "cannot patch resource",
        ),
        no(AUTHORITY, "takes the finalizer off a request", merge(&requests("review"), none.clone()), FINALIZERS),
        no(Who::Root, "an administrator takes it off a request", merge(&requests("review"), none.clone()), FINALIZERS),
        no(Who::Root, "an administrator takes it off a grant", merge(&live, none.clone()), FINALIZERS),
        yes(OPERATOR, "the operator takes it off", merge(&requests("review"), none.clone())),
    ];
    for (kind, name) in [("Department", "emergency"), ("DepartmentQuota", "emergency"), ("Site", "hohhot")] {
        let here = at(kind, "", name);
        let what = format!("the cloud administrator takes the finalizer off a {kind}");
        cases.push(no(ADMIN, what, merge(&here, none.clone()), FINALIZERS));
    }
    cases
}

pub(crate) fn records(ground: &Ground) -> Vec<Case> {
    let grant = |grant: &zhengyun_crds::ResourceGrant| at("ResourceGrant", HERE, &grant.name_any());
    let (live, held, ended) = (grant(&ground.live), grant(&ground.held), grant(&ground.ended));
    let (ledger, decided) = (at("Ledger", "", "hohhot"), at("Approval", HERE, "returned-decided"));
    let record = "is the record of what was granted and is not deleted";
    let withdraw = "is withdrawn first: set spec.withdrawn to true";
    let revoke = "is not deleted but revoked: create a ResourceRequest with action Revoke and grant";
    let mut cases = vec![
        yes(CLERK, "deletes a draft", delete(&requests("draft"))),
        yes(CLERK, "deletes a rejected request", delete(&requests("rejected"))),
        yes(CLERK, "deletes a withdrawn request", delete(&requests("withdrawn"))),
        no(CLERK, "deletes a request under review", delete(&requests("review")), withdraw),
        no(CLERK, "deletes a returned request", delete(&requests("returned")), withdraw),
        no(CLERK, "deletes an approved request", delete(&requests("held-end")), record),
        no(CLERK, "deletes an applied request", delete(&requests("live")), record),
        no(OPERATOR, "deletes a draft", delete(&requests("draft")), "cannot delete resource \"resourcerequests\""),
        no(Who::Root, "an administrator deletes a live grant", delete(&live), revoke),
        no(Who::Root, "an administrator deletes a grant that is being revoked", delete(&held), revoke),
        yes(Who::Root, "an administrator deletes a revoked grant", delete(&ended)),
        no(Who::Root, "an administrator deletes a collection with a live grant", delete_all(&live), revoke),
        no(
            Who::Root,
            "an administrator deletes a collection with a request under review",
            delete_all(&requests("review")),
            withdraw,
        ),
        no(
            Who::Root,
            "an administrator deletes an approval",
            delete(&decided),
            "an Approval is the record of a decision and is not deleted",
        ),
        no(
            Who::Root,
            "an administrator deletes a ledger",
            delete(&ledger),
            "a Ledger is the book of every charge at its site and is never deleted",
        ),
        no(COLLECTOR, "garbage collection takes a live grant", delete(&live), revoke),
    ];
    for (who, kind) in
        [(CLERK, &live), (HEAD, &live), (ADMIN, &live), (AUTHORITY, &live), (OPERATOR, &live), (API_ACCOUNT, &live)]
    {
        cases.push(no(who, "deletes a live grant", delete(kind), "cannot delete resource \"resourcegrants\""));
    }
    for who in [ADMIN, OPERATOR, PROVIDER] {
        cases.push(no(who, "deletes a ledger", delete(&ledger), "cannot delete resource \"ledgers\""));
        cases.push(no(who, "deletes an approval", delete(&decided), "cannot delete resource \"approvals\""));
    }
    let collected = |uid: &Value| {
        let owner = json!([{ "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceRequest", "name": "rejected", "uid": uid }]);
        merge(&at("Approval", HERE, "rejected-decided"), json!({ "metadata": { "ownerReferences": owner } }))
    };
    let stranger = json!("00000000-0000-0000-0000-000000000000");
    cases.push(no(
        Who::Root,
        "an approval is given to an owner that is not its request",
        collected(&stranger),
        "metadata.ownerReferences may name nothing but the request",
    ));
    cases.push(no(
        HEAD,
        "an approval is given to its request later",
        collected(&stranger),
        "cannot patch resource \"approvals\"",
    ));
    cases
}

/// A record whose request is gone may be collected, and nothing else may.
pub(crate) fn collected(ground: &Ground) -> Vec<Case> {
    let groups = ["dept:emergency", "system:authenticated"];
    let body = ground.approval("owned", "department", "head-emergency", &groups);
    let uid = body.pointer("/spec/requestUID").cloned().unwrap_or_default();
    let owner =
        json!([{ "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceRequest", "name": "review", "uid": uid }]);
    let owned = with(with(body, "/metadata/ownerReferences", owner), "/spec/stage", json!("department"));
    // It is about an order that nobody submitted, so that it decides nothing.
    let owned = with(owned, "/spec/orderDigest", json!(format!("sha256:{}", "0".repeat(64))));
    let at = at("Approval", HERE, "owned");
    vec![
        yes(HEAD, "an approval that names its request as owner", create(owned)).for_real(),
        no(Who::Root, "an administrator deletes it", delete(&at), "an Approval is the record of a decision"),
        yes(COLLECTOR, "garbage collection takes it", delete(&at)),
    ]
}
