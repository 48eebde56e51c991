//! Policy `zhengyun-requests`: who writes a request is recorded in it; the authority writes its own orders only.

use serde_json::{Value, json};

use super::case::{Call, Case, apply, create, merge, no, replace, yes};
use super::ground::{Ground, HERE};
use super::objects::{at, end_of, order, request, with};
use super::who::{
    ADMIN, API_ACCOUNT, AUTHORITY, CLERK, HEAD, LOCAL, OPERATOR, OTHER_CLERK, PROVIDER, STRANGER, TECHNICAL, Who,
};
use kube::ResourceExt as _;

const REQUESTED_BY: &str = "spec.requestedBy must be the person who creates the request";
const EDITED_BY: &str = "spec.editedBy must be the person who writes the request now";
const CLERKS: &str = "spec is written by the department's clerks";
const CANNOT_CREATE: &str = "cannot create resource \"resourcerequests\"";
const CANNOT_PATCH: &str = "cannot patch resource \"resourcerequests\"";

fn change(name: &str, editor: &str, spec: Value) -> Call {
    let mut spec = spec;
    spec["editedBy"] = json!(editor);
    merge(&at("ResourceRequest", HERE, name), json!({ "spec": spec }))
}

fn more() -> Value {
    json!({ "order": { "justification": "more" } })
}

pub(crate) fn authors() -> Vec<Case> {
    let draft = |author: &str| request(HERE, "admission", author, order("Standard"));
    let own = draft("clerk-emergency");
    let mut cases = vec![
        yes(CLERK, "its own request", create(own.clone())),
        yes(CLERK, "its own request, with kubectl apply", apply(own.clone())),
        no(CLERK, "a request in the head's name", create(draft("head-emergency")), REQUESTED_BY),
        no(CLERK, "a request in the other clerk's name", create(draft("clerk-finance")), REQUESTED_BY),
        no(
            CLERK,
            "a request that says somebody else edited it",
            create(with(own.clone(), "/spec/editedBy", json!("head-emergency"))),
            EDITED_BY,
        ),
        no(
            CLERK,
            "a request that is submitted twice",
            create(with(own.clone(), "/spec/submission", json!(2))),
            "spec.submission of a new request is 0 or 1",
        ),
        no(
            CLERK,
            "a request that is withdrawn at once",
            create(with(own.clone(), "/spec/withdrawn", json!(true))),
            "neither withdrawn nor confirmed yet",
        ),
        no(
            CLERK,
            "a request that is confirmed at once",
            create(with(own.clone(), "/spec/deliveryConfirmed", json!(true))),
            "neither withdrawn nor confirmed yet",
        ),
        no(
            CLERK,
            "another department's request",
            create(with(own.clone(), "/metadata/namespace", json!("dept-finance"))),
            CANNOT_CREATE,
        ),
        no(OTHER_CLERK, "a request of emergency", create(draft("clerk-finance")), CANNOT_CREATE),
        no(OTHER_CLERK, "edits a request of emergency", change("draft", "clerk-finance", more()), CANNOT_PATCH),
        no(
            CLERK,
            "edits without saying so",
            merge(&at("ResourceRequest", HERE, "draft"), json!({ "spec": { "editedBy": "head-emergency" } })),
            EDITED_BY,
        ),
        no(CLERK, "edits in the head's name", change("draft", "head-emergency", more()), EDITED_BY),
        no(
            Who::Root,
            "an administrator edits in the clerk's name",
            change("draft", "clerk-emergency", more()),
            EDITED_BY,
        ),
        no(Who::Root, "an administrator creates in the clerk's name", create(own.clone()), REQUESTED_BY),
        no(
            OPERATOR,
            "the operator edits",
            change("draft", "system:serviceaccount:zhengyun-system:zhengyun-operator", more()),
            "written by people only, never by the operator",
        ),
        no(
            OPERATOR,
            "the operator edits in the clerk's name",
            change("draft", "clerk-emergency", more()),
            "written by people only, never by the operator",
        ),
        no(
            OPERATOR,
            "the operator withdraws",
            change("review", "clerk-emergency", json!({ "withdrawn": true })),
            "written by people only, never by the operator",
        ),
        no(OPERATOR, "the operator creates", create(own.clone()), CANNOT_CREATE),
        yes(
            OPERATOR,
            "the operator puts a finalizer on",
            merge(
                &at("ResourceRequest", HERE, "draft"),
                json!({ "metadata": { "finalizers": ["zhengyun.io/charge"] } }),
            ),
        ),
        yes(
            CLERK,
            "a label, which is no business of the policy",
            merge(&at("ResourceRequest", HERE, "review"), json!({ "metadata": { "labels": { "a": "b" } } })),
        ),
    ];
    for (who, user) in [
        (HEAD, "head-emergency"),
        (TECHNICAL, "reviewer-technical"),
        (LOCAL, "reviewer-hohhot"),
        (ADMIN, "cloud-admin"),
        (PROVIDER, "provider-ops"),
        (STRANGER, "stranger"),
        (API_ACCOUNT, "system:serviceaccount:zhengyun-system:zhengyun-api"),
    ] {
        cases.push(no(who, "creates a request", create(draft(user)), CANNOT_CREATE));
        cases.push(no(who, "edits a request", change("draft", user, more()), CANNOT_PATCH));
    }
    cases
}

/// Steps of a life that only some states allow.
pub(crate) fn steps() -> Vec<Case> {
    let confirmed = json!({ "deliveryConfirmed": true });
    let withdrawn = json!({ "withdrawn": true });
    let mut cases = vec![
        no(
            CLERK,
            "confirms what is not delivered",
            change("draft", "clerk-emergency", confirmed.clone()),
            "spec.deliveryConfirmed is set once the request is Applied",
        ),
        no(
            CLERK,
            "confirms what is under review",
            change("review", "clerk-emergency", confirmed.clone()),
            "spec.deliveryConfirmed is set once the request is Applied",
        ),
        yes(CLERK, "confirms what is delivered", change("live", "clerk-emergency", confirmed.clone())),
        no(HEAD, "the head confirms", change("live", "head-emergency", confirmed), CANNOT_PATCH),
        yes(CLERK, "withdraws a draft", change("draft", "clerk-emergency", withdrawn.clone())),
        yes(CLERK, "withdraws a returned request", change("returned", "clerk-emergency", withdrawn.clone())),
        no(
            CLERK,
            "withdraws what is applied",
            change("live", "clerk-emergency", withdrawn.clone()),
            "spec.withdrawn comes too late, the request is Applied",
        ),
        no(
            CLERK,
            "withdraws what is rejected",
            change("rejected", "clerk-emergency", withdrawn.clone()),
            "spec.withdrawn comes too late, the request is Rejected",
        ),
        no(
            CLERK,
            "undoes a revocation in its hold",
            change("held-end", "clerk-emergency", withdrawn.clone()),
            "set by the cloud authority only",
        ),
        yes(AUTHORITY, "undoes a revocation in its hold", change("held-end", "authority-chief", withdrawn.clone())),
        no(
            AUTHORITY,
            "undoes it in the clerk's name",
            change("held-end", "clerk-emergency", withdrawn.clone()),
            EDITED_BY,
        ),
        no(
            AUTHORITY,
            "undoes what is applied",
            change("ended-end", "authority-chief", withdrawn.clone()),
            "spec.withdrawn comes too late",
        ),
        no(
            AUTHORITY,
            "withdraws a department's request under review",
            change("review", "authority-chief", withdrawn),
            CLERKS,
        ),
    ];
    let both = json!({ "withdrawn": true, "submission": 2 });
    cases.push(no(
        AUTHORITY,
        "undoes a revocation, and submits with it",
        change("held-end", "authority-chief", both),
        CLERKS,
    ));
    cases
}

/// Orders of the authority itself.
pub(crate) fn authority(ground: &Ground) -> Vec<Case> {
    let grant = ground.live.name_any();
    let by = json!({ "reason": "unused", "legalBasis": "article 1" });
    let revoke = end_of(&grant, "Test");
    let ordered = with(revoke.clone(), "/authorityOrder", by.clone());
    let written = |author: &str, order: Value| create(request(HERE, "admission", author, order));
    let only = "spec.order.authorityOrder is written by the cloud authority only";
    let later = "spec.order.authorityOrder cannot be added or taken away later";
    let other_reason = json!({ "order": { "authorityOrder": { "reason": "another" } } });
    let whole = |author: &str| {
        let body = request(HERE, "draft", author, order("Standard"));
        replace(with(body, "/metadata/resourceVersion", json!("1")))
    };
    vec![
        yes(AUTHORITY, "orders a revocation itself", written("authority-chief", ordered.clone())),
        no(AUTHORITY, "orders it in the deputy's name", written("authority-deputy", ordered.clone()), REQUESTED_BY),
        no(AUTHORITY, "writes a department's order", written("authority-chief", order("Standard")), CLERKS),
        no(AUTHORITY, "writes a department's revocation", written("authority-chief", revoke.clone()), CLERKS),
        no(
            AUTHORITY,
            "orders a creation",
            written("authority-chief", with(order("Standard"), "/authorityOrder", by.clone())),
            "belongs to a Revoke order only",
        ),
        no(CLERK, "orders in the authority's place", written("clerk-emergency", ordered), only),
        no(AUTHORITY, "edits a department's draft", change("draft", "authority-chief", more()), CLERKS),
        no(
            AUTHORITY,
            "submits a department's draft",
            change("draft", "authority-chief", json!({ "submission": 1 })),
            CLERKS,
        ),
        no(
            AUTHORITY,
            "replaces a department's draft",
            whole("authority-chief"),
            "cannot update resource \"resourcerequests\"",
        ),
        no(
            AUTHORITY,
            "deletes a department's draft",
            super::case::delete(&at("ResourceRequest", HERE, "draft")),
            "cannot delete resource",
        ),
        no(
            CLERK,
            "makes a draft an order of the authority",
            change(
                "draft",
                "clerk-emergency",
                json!({ "order": { "action": "Revoke", "grant": grant, "authorityOrder": by } }),
            ),
            later,
        ),
        no(
            AUTHORITY,
            "takes its mark off its order",
            change("ordered-draft", "authority-chief", json!({ "order": { "authorityOrder": null } })),
            later,
        ),
        yes(AUTHORITY, "edits its own draft", change("ordered-draft", "authority-chief", other_reason.clone())),
        yes(
            AUTHORITY,
            "withdraws its own order under review",
            change("ordered", "authority-chief", json!({ "withdrawn": true })),
        ),
        no(
            CLERK,
            "edits the reason of the authority's draft",
            change("ordered-draft", "clerk-emergency", other_reason),
            only,
        ),
        no(
            CLERK,
            "edits the rest of the authority's draft",
            change("ordered-draft", "clerk-emergency", more()),
            "an order of the cloud authority is written by the authority only",
        ),
        no(
            CLERK,
            "submits the authority's draft",
            change("ordered-draft", "clerk-emergency", json!({ "submission": 1 })),
            "an order of the cloud authority is written by the authority only",
        ),
        no(
            CLERK,
            "withdraws the authority's order under review",
            change("ordered", "clerk-emergency", json!({ "withdrawn": true })),
            "an order of the cloud authority is written by the authority only",
        ),
    ]
}
