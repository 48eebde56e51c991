//! Writes go to the hub as the caller, once.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{Answered, Door, FakeHub, a_request};

pub(super) const REQUESTS: &str = "/departments/finance/requests";
const PLACE: &str = "resourcerequests/dept-finance";

pub(super) fn order() -> Value {
    serde_json::to_value(a_request("finance", "x").spec.order).unwrap()
}

async fn create(door: &Door, name: &str) -> Answered {
    door.write(Method::POST, "token-zhang", REQUESTS, None, &json!({"name": name, "order": order()})).await
}

pub(super) fn under_review() -> Value {
    let mut request = a_request("finance", "r1");
    let digest = crate::etag::order_digest(&request);
    request.spec.submission = 1;
    let mut object = serde_json::to_value(request).unwrap();
    object["status"] = json!({
        "phase": "InReview", "submission": 1, "editors": ["zhang"],
        "stage": {"name": "department", "index": 0, "openedAt": "2026-03-01T09:00:00Z"},
        "review": {"orderDigest": digest, "round": 1, "policy": {"name": "standard", "uid": "p1", "generation": 1}, "charge": {"cpu": "2"},
            "stages": [{"name": "department", "quorum": 1, "deadlineWorkingDays": 5}, {"name": "technical", "quorum": 1, "deadlineWorkingDays": 5}]},
    });
    object
}

#[tokio::test]
async fn a_request_is_created_once_by_its_caller() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let created = create(&door, "r1").await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(created.header("location"), "/api/v1/departments/finance/requests/r1");
    assert_eq!(created.header("etag"), created.body["etag"].as_str().unwrap());
    assert_eq!((created.body["phase"].as_str(), created.body["requestedBy"].as_str()), (Some("Draft"), Some("zhang")));
    assert_eq!(door.hub.object(&format!("{PLACE}/r1")).unwrap()["spec"]["editedBy"], "zhang");
    assert_eq!(*door.hub.written_by.lock().unwrap(), ["token-zhang"]);

    let again = create(&door, "r1").await;
    assert_eq!((again.status, &again.body["uid"]), (StatusCode::OK, &created.body["uid"]));
    let mut other = order();
    other["justification"] = json!("something else");
    let other = door.write(Method::POST, "token-zhang", REQUESTS, None, &json!({"name": "r1", "order": other})).await;
    assert_eq!((other.status, other.code()), (StatusCode::CONFLICT, "already-exists"));
    assert_eq!(door.get("token-zhang", &format!("{REQUESTS}/r1")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_dry_run_stores_nothing_and_tells_what_would_be() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let path = format!("{REQUESTS}?dryRun=all");
    let fits = door.write(Method::POST, "token-zhang", &path, None, &json!({"name": "r1", "order": order()})).await;
    assert_eq!(fits.status, StatusCode::OK, "{fits:?}");
    assert_eq!(fits.body["findings"], json!([]));
    assert_eq!(fits.body["charge"], json!({"cpu": "2"}));

    assert_eq!(fits.body["siteCheck"], "checkedWhenSaved");
    let stages: Vec<&str> =
        fits.body["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(stages, ["department", "technical"]);
    let nodes: Vec<&str> =
        fits.body["ancestors"].as_array().unwrap().iter().map(|s| s["department"].as_str().unwrap()).collect();
    assert_eq!(nodes, ["finance", "region", ""]);

    let mut large = order();
    large["items"][0]["parameters"]["cpu"] = json!("4");
    let short = door.write(Method::POST, "token-zhang", &path, None, &json!({"name": "r1", "order": large})).await;
    assert_eq!(short.body["findings"][0]["rule"], "QuotaExceeded");
    let message = short.body["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("finance") && message.contains("short by 1"), "{message}");

    let mut wrong = order();
    wrong["items"][0]["parameters"] = json!({"memory": "1Gi"});
    let wrong = door.write(Method::POST, "token-zhang", &path, None, &json!({"name": "r1", "order": wrong})).await;
    assert!(
        wrong.body["findings"][0]["pointer"].as_str().unwrap().starts_with("/order/items/0/parameters"),
        "{wrong:?}"
    );
    assert!(door.hub.object(&format!("{PLACE}/r1")).is_none());
}

#[tokio::test]
async fn what_is_not_built_yet_is_refused_at_the_door() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let mut change = order();
    change["action"] = json!("Change");
    let answer = door.write(Method::POST, "token-zhang", REQUESTS, None, &json!({"name": "r1", "order": change})).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::UNPROCESSABLE_ENTITY, "action-not-available"));
    assert_eq!(answer.body["findings"][0]["rule"], "ActionNotAvailable");
}

#[tokio::test]
async fn a_correction_needs_what_was_seen() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let tag = create(&door, "r1").await.header("etag").to_owned();
    let path = format!("{REQUESTS}/r1");
    let mut corrected = order();
    corrected["items"][0]["count"] = json!(2);
    let body = json!({"order": corrected});
    let put = async |tag: Option<&str>| door.write(Method::PUT, "token-zhang", &path, tag, &body).await;
    assert_eq!(put(None).await.status, StatusCode::PRECONDITION_REQUIRED);
    assert_eq!(put(Some("*")).await.status, StatusCode::PRECONDITION_REQUIRED);
    assert_eq!(put(Some("\"stale\"")).await.code(), "precondition-failed");
    let written = put(Some(&tag)).await;
    assert_eq!(written.status, StatusCode::OK, "{written:?}");
    assert_ne!(written.header("etag"), tag);
    assert_eq!(put(Some(&tag)).await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(door.hub.object(&format!("{PLACE}/r1")).unwrap()["spec"]["order"]["items"][0]["count"], 2);
}

#[tokio::test]
async fn what_is_under_review_is_frozen() {
    let door = Door::open(FakeHub::with(vec![under_review()]), &[]).await;
    let path = format!("{REQUESTS}/r1");
    let tag = door.get("token-zhang", &path).await.header("etag").to_owned();
    let answer = door.write(Method::PUT, "token-zhang", &path, Some(&tag), &json!({"order": order()})).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::CONFLICT, "request-frozen"));
    let submitted = door.write(Method::POST, "token-zhang", &format!("{path}/submission"), None, &json!({})).await;
    assert_eq!(submitted.code(), "request-frozen");
    let confirmed = door.write(Method::POST, "token-zhang", &format!("{path}/confirmation"), None, &json!({})).await;
    assert_eq!(confirmed.code(), "nothing-to-confirm");
}

#[tokio::test]
async fn submitting_twice_submits_once_and_withdrawing_ends_it() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    create(&door, "r1").await;
    let path = format!("{REQUESTS}/r1");
    for _ in 0..2 {
        let answer = door.write(Method::POST, "token-zhang", &format!("{path}/submission"), None, &json!({})).await;
        assert_eq!((answer.status, &answer.body["submission"]), (StatusCode::ACCEPTED, &json!(1)), "{answer:?}");
    }
    let withdrawn = door.write(Method::POST, "token-zhang", &format!("{path}/withdrawal"), None, &json!({})).await;
    assert_eq!((withdrawn.status, &withdrawn.body["withdrawn"]), (StatusCode::ACCEPTED, &json!(true)));
    let late = door.write(Method::POST, "token-zhang", &format!("{path}/submission"), None, &json!({})).await;
    assert_eq!(late.code(), "request-closed");
}

#[tokio::test]
async fn a_decision_is_recorded_once_as_the_approver() {
    let door = Door::open(FakeHub::with(vec![under_review()]), &[]).await;
    let path = format!("{REQUESTS}/r1/decisions");
    let tag = door.get("token-qian", &format!("{REQUESTS}/r1")).await.header("etag").to_owned();
    let decide =
        async |who: &str, tag: Option<&str>, body: Value| door.write(Method::POST, who, &path, tag, &body).await;
    let approve = json!({"verdict": "Approve", "stage": "department"});

    assert_eq!(decide("token-qian", None, approve.clone()).await.code(), "precondition-required");
    assert_eq!(decide("token-qian", Some("\"old\""), approve.clone()).await.code(), "precondition-failed");
    assert_eq!(decide("token-zhang", Some(&tag), approve.clone()).await.code(), "duties-not-separate");
    assert_eq!(
        decide("token-qian", Some(&tag), json!({"verdict": "Return"})).await.body["findings"][0]["pointer"],
        "/reason"
    );
    assert_eq!(
        decide("token-qian", Some(&tag), json!({"verdict": "Approve", "stage": "technical"})).await.code(),
        "stage-not-open"
    );
    assert!(door.hub.written_by.lock().unwrap().is_empty());

    let recorded = decide("token-qian", Some(&tag), approve.clone()).await;
    assert_eq!(
        (recorded.status, recorded.body["approver"].as_str()),
        (StatusCode::CREATED, Some("qian")),
        "{recorded:?}"
    );
    let name = recorded.body["name"].as_str().unwrap();
    let approval = door.hub.object(&format!("approvals/dept-finance/{name}")).unwrap();
    assert_eq!(approval["spec"]["approver"], json!({"username": "qian", "groups": ["people", "system:authenticated"]}));
    assert_eq!(approval["spec"]["requestUID"], "uid-r1");
    let again = decide("token-qian", Some(&tag), approve).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &recorded.body));
    assert!(door.hub.written_by.lock().unwrap().iter().all(|token| token == "token-qian"));
}

#[tokio::test]
async fn a_policy_that_refuses_a_decision_means_the_caller_is_not_entitled() {
    let door = Door::open(FakeHub::with(vec![under_review()]), &[]).await;
    *door.hub.refuse.lock().unwrap() = Some(json!({
        "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
        "message": "approvals.zhengyun.io \"x\" is forbidden: ValidatingAdmissionPolicy 'zhengyun-approvals' with binding 'b' denied request: spec.stage: no",
    }));
    let path = format!("{REQUESTS}/r1/decisions");
    let tag = door.get("token-technician", &format!("{REQUESTS}/r1")).await.header("etag").to_owned();
    let body = json!({"verdict": "Approve"});
    let answer = door.write(Method::POST, "token-technician", &path, Some(&tag), &body).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "not-entitled"));
    // Who may decide this stage is refused for another reason, and told which.
    let answer = door.write(Method::POST, "token-qian", &path, Some(&tag), &body).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "forbidden"));
    assert_eq!(
        answer.body["findings"][0],
        json!({"pointer": "/stage", "rule": "zhengyun-approvals", "message": "spec.stage: no"})
    );
}

#[tokio::test]
async fn a_grant_is_revoked_by_a_submitted_request() {
    let grant = json!({
        "kind": "ResourceGrant", "metadata": {"name": "r1-abc", "namespace": "dept-finance"},
        "spec": {"department": "finance", "system": "portal", "site": "hohhot", "request": {"name": "r1", "uid": "u"}, "revision": 3,
            "class": "Standard", "charge": {"cpu": "2"}, "bundle": {}},
        "status": {"phase": "InService"},
    });
    let door = Door::open(FakeHub::with(vec![grant.clone()]), &[]).await;
    let path = "/departments/finance/grants/r1-abc/revocation";
    let body = json!({"justification": "no longer needed"});
    let made = door.write(Method::POST, "token-zhang", path, None, &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let order = &made.body["order"];
    assert_eq!(
        (&order["action"], &order["grant"], &order["baseRevision"]),
        (&json!("Revoke"), &json!("r1-abc"), &json!(3))
    );
    assert_eq!(made.body["submission"], 1);
    assert!(made.header("location").starts_with("/api/v1/departments/finance/requests/r1-abc-revoke-"));
    assert_eq!(door.write(Method::POST, "token-zhang", path, None, &body).await.status, StatusCode::OK);

    let mut ending = grant;
    ending["status"]["phase"] = json!("Revoking");
    door.hub.put(ending);
    assert_eq!(door.write(Method::POST, "token-zhang", path, None, &body).await.code(), "grant-not-live");
}
