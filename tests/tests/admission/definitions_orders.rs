//! The rules of the definitions: requests, as clerks write them and as they change, and approvals.

use serde_json::{Value, json};

use super::case::{Case, create, fields, merge, no, yes};
use super::ground::{Ground, HERE};
use super::objects::{at, end_of, long, order, request, with};
use super::who::{CLERK, HEAD, Who};

const AUTHOR: &str = "clerk-emergency";
const FROZEN: &str = "spec.order and spec.materials are frozen while the request is under review and after it";

pub(crate) fn requests() -> Vec<Case> {
    let base = request(HERE, "admission", AUTHOR, order("Standard"));
    let document = |sha: &str| json!({ "kind": "申请公函", "title": "函", "sha256": sha, "reference": "oa://1" });
    let digest = "0".repeat(64);
    let line = |name: &str| json!({ "item": "container-space", "name": name });
    let lines = |count: usize| (0..count).map(|n| line(&format!("l{n}"))).collect::<Value>();
    let mut cases = fields(
        CLERK,
        &base,
        &[
            ("/metadata/name", json!(long(63)), None),
            ("/metadata/name", json!(long(64)), Some("metadata.name")),
            ("/metadata/name", json!("a.b"), Some("must be a DNS label of at most 63 characters")),
            ("/metadata/name", json!("A_b"), Some("metadata.name: Invalid value")),
            ("/spec/order", Value::Null, Some("spec.order: Required value")),
            ("/spec/order/action", json!("Delete"), Some("spec.order.action: Unsupported value")),
            ("/spec/order/class", json!("Eternal"), Some("spec.order.class: Unsupported value")),
            ("/spec/order/class", json!("Temporary"), None),
            ("/spec/order/system", Value::Null, Some("system must name the information system")),
            ("/spec/order/site", Value::Null, Some("spec.order.site: Required value")),
            ("/spec/order/site", json!(long(41)), Some("spec.order.site: Too long")),
            ("/spec/order/grant", json!("live"), Some("a Create order names none")),
            ("/spec/order/items", json!([]), Some("items must hold at least one line")),
            ("/spec/order/items", lines(16), None),
            ("/spec/order/items", lines(17), Some("spec.order.items: Too many")),
            ("/spec/order/items", json!([line("a"), line("a")]), Some("Duplicate value")),
            ("/spec/order/items", json!([line("Space")]), Some("name in body should match")),
            ("/spec/order/items", json!([line("a.b")]), Some("name in body should match")),
            ("/spec/order/items", json!([line(&long(30))]), None),
            ("/spec/order/items", json!([line(&long(31))]), Some("name: Too long")),
            ("/spec/order/items/0/item", json!(""), Some("should be at least 1 chars")),
            ("/spec/order/items/0/count", json!(100), None),
            ("/spec/order/items/0/count", json!(0), Some("should be greater than or equal to 1")),
            ("/spec/order/items/0/count", json!(101), Some("should be less than or equal to 100")),
            ("/spec/order/items/0/count", json!(1.5), Some("must be of type integer")),
            ("/spec/order/items/0/parameters", json!("cpu=1"), Some("must be of type object")),
            ("/spec/order/leaseEnd", json!("2028-12-31"), None),
            ("/spec/order/leaseEnd", json!("31.12.2028"), Some("leaseEnd in body should match")),
            ("/spec/order/baseRevision", json!(0), Some("should be greater than or equal to 1")),
            ("/spec/order/disposition", json!("Burn"), Some("spec.order.disposition: Unsupported value")),
            ("/spec/order/justification", json!(""), Some("should be at least 1 chars")),
            ("/spec/order/justification", Value::Null, Some("spec.order.justification: Required value")),
            ("/spec/order/justification", json!("理".repeat(2049)), Some("spec.order.justification: Too long")),
            ("/spec/materials", json!([document(&digest)]), None),
            ("/spec/materials", json!([document(&"F".repeat(64))]), Some("sha256 in body should match")),
            ("/spec/materials", json!([document(&"0".repeat(63))]), Some("sha256")),
            ("/spec/materials", Value::Array(vec![document(&digest); 17]), Some("spec.materials: Too many")),
            ("/spec/submission", json!(1), None),
            ("/spec/submission", json!(-1), Some("should be greater than or equal to 0")),
            ("/spec/submission", json!(1001), Some("should be less than or equal to 1000")),
            ("/spec/submission", json!("1"), Some("must be of type integer")),
            ("/spec/requestedBy", Value::Null, Some("spec.requestedBy: Required value")),
            ("/spec/editedBy", Value::Null, Some("spec.editedBy: Required value")),
        ],
    );
    let end = request(HERE, "admission", AUTHOR, end_of("live", "Standard"));
    cases.push(yes(CLERK, "a Revoke that names its grant", create(end.clone())));
    let nothing = with(end.clone(), "/spec/order/grant", Value::Null);
    cases.push(no(CLERK, "a Revoke that names no grant", create(nothing), "grant must name the grant"));
    let silent = with(end, "/spec/order/authorityOrder", json!({ "reason": "", "legalBasis": "article 1" }));
    cases.push(no(CLERK, "an order of the authority without a reason", create(silent), "should be at least 1 chars"));
    cases
}

/// How a request that is there may change.
pub(crate) fn requests_later() -> Vec<Case> {
    let change = |name: &str, spec: Value| {
        let mut spec = spec;
        spec["editedBy"] = json!(AUTHOR);
        merge(&at("ResourceRequest", HERE, name), json!({ "spec": spec }))
    };
    let more = json!({ "order": { "justification": "more" } });
    let materials = json!({ "materials": [{ "kind": "k", "title": "t", "sha256": "0".repeat(64), "reference": "r" }] });
    let mut cases = vec![
        yes(CLERK, "a draft is edited", change("draft", more.clone())),
        yes(CLERK, "a returned request is corrected", change("returned", more.clone())),
        yes(CLERK, "a draft is submitted", change("draft", json!({ "submission": 1 }))),
        no(CLERK, "submission rises by two", change("draft", json!({ "submission": 2 })), "rises by one at a time"),
        no(CLERK, "submission falls", change("review", json!({ "submission": 0 })), "spec.submission may only rise"),
        no(
            CLERK,
            "submission taken away",
            change("review", json!({ "submission": null })),
            "spec.submission may only rise",
        ),
        yes(CLERK, "submission rises under review", change("review", json!({ "submission": 2 }))),
        no(CLERK, "documents change under review", change("review", materials), FROZEN),
        yes(CLERK, "a request under review is withdrawn", change("review", json!({ "withdrawn": true }))),
        no(
            CLERK,
            "a withdrawal is taken back",
            change("withdrawn", json!({ "withdrawn": false })),
            "spec.withdrawn cannot be taken back",
        ),
        no(
            CLERK,
            "a withdrawal is left out",
            change("withdrawn", json!({ "withdrawn": null })),
            "spec.withdrawn cannot be taken back",
        ),
        no(CLERK, "another author", change("draft", json!({ "requestedBy": "clerk-finance" })), "does not change"),
        yes(CLERK, "a delivery is confirmed", change("ended", json!({ "deliveryConfirmed": true }))).for_real(),
        no(
            CLERK,
            "a confirmation is taken back",
            change("ended", json!({ "deliveryConfirmed": false })),
            "spec.deliveryConfirmed cannot be taken back",
        ),
    ];
    for state in ["review", "rejected", "withdrawn", "live", "held-end"] {
        let what = format!("the order of request {state} changes");
        cases.push(no(CLERK, what, change(state, more.clone()), FROZEN));
    }
    let root = json!({ "spec": { "order": { "site": "ulanqab" }, "editedBy": "lab-admin" } });
    let what = "the order changes under review, by an administrator";
    cases.push(no(Who::Root, what, merge(&at("ResourceRequest", HERE, "review"), root), FROZEN));
    cases
}

pub(crate) fn approvals(ground: &Ground) -> Vec<Case> {
    let groups = ["dept:emergency", "system:authenticated"];
    let base = ground.approval("admission", "department", "head-emergency", &groups);
    let mut cases = fields(
        HEAD,
        &base,
        &[
            ("/metadata/name", json!(long(63)), None),
            ("/metadata/name", json!(long(64)), Some("metadata.name")),
            ("/spec/request", json!(""), Some("should be at least 1 chars")),
            ("/spec/requestUID", Value::Null, Some("spec.requestUID: Required value")),
            ("/spec/orderDigest", json!("sha256:0"), Some("spec.orderDigest")),
            (
                "/spec/orderDigest",
                json!(format!("sha512:{}", "0".repeat(64))),
                Some("orderDigest in body should match"),
            ),
            (
                "/spec/orderDigest",
                json!(format!("sha256:{}", "F".repeat(64))),
                Some("orderDigest in body should match"),
            ),
            ("/spec/stage", json!("Department"), Some("stage in body should match")),
            ("/spec/stage", json!("status/x"), Some("stage in body should match")),
            ("/spec/stage", json!(long(41)), Some("spec.stage: Too long")),
            ("/spec/verdict", json!("Maybe"), Some("spec.verdict: Unsupported value")),
            ("/spec/verdict", json!("Return"), None),
            ("/spec/reason", json!("理".repeat(1025)), Some("spec.reason: Too long")),
            ("/spec/reason", json!(""), None),
            ("/spec/approver", Value::Null, Some("spec.approver: Required value")),
            ("/spec/approver/groups", Value::Array(vec![json!("g"); 65]), Some("groups: Too many")),
        ],
    );
    for verdict in ["Return", "Reject"] {
        let silent = with(with(base.clone(), "/spec/verdict", json!(verdict)), "/spec/reason", json!(""));
        let what = format!("{verdict} without a reason");
        cases.push(no(HEAD, what, create(silent), "reason is required to return or to reject"));
    }
    let decided = at("Approval", HERE, "returned-decided");
    let record = "an approval cannot be changed: it is a record";
    for patch in [json!({ "verdict": "Approve" }), json!({ "reason": "another" }), json!({ "stage": "authority" })] {
        let what = format!("an approval is changed: {patch}");
        cases.push(no(Who::Root, what, merge(&decided, json!({ "spec": patch })), record));
    }
    cases
}
