//! Whoever knocks gets an answer in the one form.

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::recovery::a_plan;
use crate::openapi::document;
use crate::testing::{Answered, Door, FakeHub, a_request, request};

/// What is signed.
const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

fn is_problem(answer: &Answered, status: StatusCode, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = &answer.body;
    assert_eq!(body["status"], status.as_u16());
    assert_eq!(body["type"], format!("urn:zhengyun:problem:{code}"));
    for text in ["/messages/zh-CN", "/messages/en", "/remedy/zh-CN", "/remedy/en", "/title", "/detail", "/requestId"] {
        assert!(body.pointer(text).and_then(Value::as_str).is_some_and(|t| !t.is_empty()), "{text} in {body}");
    }
    assert_eq!(body["requestId"], answer.header("x-request-id"));
    assert!(body["findings"].is_array());
}

/// Every operation of the document, with names filled in.
fn operations() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(document()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.trim_start_matches("/api/v1").replace("{department}", "finance").replace("{name}", "x");
        for method in item.as_object().unwrap().keys() {
            operations.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    assert!(operations.len() >= 23);
    operations
}

#[tokio::test]
async fn every_route_refuses_the_anonymous_and_the_unknown() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    for (method, path) in operations() {
        if path == "/openapi.json" {
            assert_eq!(door.get("", &path).await.status, StatusCode::OK);
            continue;
        }
        let anonymous = door.write(method.clone(), "", &path, None, &json!({})).await;
        is_problem(&anonymous, StatusCode::UNAUTHORIZED, "unauthenticated");
        assert_eq!(anonymous.header("www-authenticate"), "Bearer realm=\"zhengyun\"");
        let unknown = door.write(method, "stolen", &path, None, &json!({})).await;
        is_problem(&unknown, StatusCode::UNAUTHORIZED, "invalid-token");
        assert!(unknown.header("www-authenticate").contains("invalid_token"));
    }
    assert!(door.hub.written_by.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_route_hides_a_department_from_those_without_a_role_there() {
    let hub = FakeHub::with(vec![serde_json::to_value(a_request("finance", "x")).unwrap(), a_plan()]);
    // As the real hub answers whoever may do nothing in a namespace.
    let forbidden = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"});
    *hub.refuse.lock().unwrap() = Some(forbidden);
    let door = Door::open(hub, &[]).await;
    for (method, path) in operations() {
        let about_finance = path.contains("finance");
        // Reads for a write go to the hub with the caller's token; the stand-in has no rules for them.
        let reads_from_hub = method != Method::GET && path.contains("/requests/x");
        if !about_finance || reads_from_hub || path.ends_with("/revocation") {
            continue;
        }
        let body = match path.rsplit('/').next() {
            Some("backups") => json!({"name": "n", "plan": "nightly"}),
            Some("drills") => json!({"name": "n", "plan": "nightly", "site": "hohhot"}),
            Some("restores") => json!({"name": "n", "backup": "x", "mode": "Plan"}),
            Some("recovery-plans") => json!({"name": "n", "plan": a_plan()["spec"]}),
            Some("cutover" | "rollback") => json!({"party": "Department", "digest": DIGEST}),
            Some("approval") => json!({"purpose": "Acceptance", "party": "Department", "digest": DIGEST}),
            _ if path.contains("/recovery-plans/") => json!({"plan": a_plan()["spec"]}),
            _ => json!({"name": "n", "order": a_request("finance", "x").spec.order}),
        };
        let answer = door.write(method, "token-zhou", &path, Some("\"x\""), &body).await;
        is_problem(&answer, StatusCode::NOT_FOUND, "not-found");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_a_problem_too() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    is_problem(&door.get("token-zhang", "/nothing").await, StatusCode::NOT_FOUND, "not-found");
    let wrong_method = door.write(Method::DELETE, "token-zhang", "/requests", None, &json!({})).await;
    is_problem(&wrong_method, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed");
    assert!(wrong_method.header("allow").contains("GET"), "{wrong_method:?}");
    is_problem(&door.get("token-zhang", "/departments/..%2Fx").await, StatusCode::NOT_FOUND, "not-found");
    is_problem(
        &door.get("token-zhang", "/departments/finance/requests/A%20B").await,
        StatusCode::NOT_FOUND,
        "not-found",
    );
    is_problem(&door.get("token-zhang", "/requests?pahse=Draft").await, StatusCode::BAD_REQUEST, "invalid-query");
    is_problem(&door.get("token-zhang", "/requests?limit=501").await, StatusCode::BAD_REQUEST, "invalid-query");
    is_problem(&door.get("token-zhang", "/requests?phase=Drafted").await, StatusCode::BAD_REQUEST, "invalid-query");
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_problems() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let path = "/departments/finance/requests";
    let send = async |kind: &'static str, body: String| {
        let request =
            request(Method::POST, "token-zhang", path).header("content-type", kind).body(Body::from(body)).unwrap();
        door.send(request).await
    };
    is_problem(&send("text/plain", "{}".into()).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type");
    is_problem(&send("application/json", "{".into()).await, StatusCode::BAD_REQUEST, "malformed-request");
    is_problem(
        &send("application/json", " ".repeat(2 * 1024 * 1024)).await,
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
    );
    let unknown = send("application/json", json!({"name": "a", "order": {"action": "Creat"}}).to_string()).await;
    is_problem(&unknown, StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    assert_eq!(unknown.body["findings"][0]["pointer"], "/order/action");
}

/// At 128 levels the decoders of lists give up, and then on the whole list: what is stored must stay well below.
#[tokio::test]
async fn what_would_be_too_deep_in_a_list_is_refused() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let order = a_request("finance", "x").spec.order;
    let text = json!({"name": "deep", "order": order}).to_string();
    let send = async |levels: usize| {
        let nested = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let body = text.replace(r#""cpu":"2""#, &format!(r#""cpu":{nested}"#));
        let request = request(Method::POST, "token-zhang", "/departments/finance/requests");
        door.send(request.header("content-type", "application/json").body(Body::from(body)).unwrap()).await
    };
    for levels in [28, 119, 120, 122] {
        let refused = send(levels).await;
        is_problem(&refused, StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        assert_eq!(refused.body["findings"][0]["message"], "it is nested deeper than 32 levels");
        assert!(
            refused.body["findings"][0]["pointer"].as_str().unwrap().starts_with("/order/items/0/parameters/cpu/0/0")
        );
    }
    is_problem(&send(100_000).await, StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    assert!(door.hub.written_by.lock().unwrap().is_empty());
    assert_eq!(send(27).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn what_a_body_says_twice_is_refused() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let text = json!({"name": "twice", "order": a_request("finance", "x").spec.order}).to_string();
    let body = text.replace(r#""cpu":"2""#, r#""cpu":"2","cp\u0075":"4""#);
    let request = request(Method::POST, "token-zhang", "/departments/finance/requests");
    let refused = door.send(request.header("content-type", "application/json").body(Body::from(body)).unwrap()).await;
    is_problem(&refused, StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    assert_eq!(refused.body["findings"][0]["pointer"], "/order/items/0/parameters");
    assert_eq!(refused.body["findings"][0]["message"], "the field `cpu` is there twice");
    assert!(door.hub.written_by.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_does_not_repeat_a_whole_body() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    for body in [json!({"name": "n", "order": "x".repeat(500_000)}), json!({"x".repeat(500_000): 1})] {
        let refused = door.write(Method::POST, "token-zhang", "/departments/finance/requests", None, &body).await;
        is_problem(&refused, StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        assert!(refused.body.to_string().len() < 5_000, "{} bytes", refused.body.to_string().len());
    }
}

#[tokio::test]
async fn problems_speak_the_language_asked_for_and_keep_the_callers_id() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let chinese = door.get("", "/me").await;
    assert_eq!((chinese.header("content-language"), chinese.body["title"].as_str()), ("zh-CN", Some("未登录")));
    let request = request(Method::GET, "", "/me")
        .header("accept-language", "en-GB,zh;q=0.1")
        .header("x-request-id", "trace-7")
        .body(Body::empty())
        .unwrap();
    let english = door.send(request).await;
    assert_eq!((english.header("content-language"), english.body["title"].as_str()), ("en", Some("Not authenticated")));
    assert_eq!(english.body["requestId"], "trace-7");
    assert_eq!(english.header("cache-control"), "no-store");
    assert_eq!(english.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn a_hub_that_does_not_answer_is_a_problem_of_the_hub() {
    let door = Door::open(FakeHub::with(vec![]), &["--token-cache-seconds", "0"]).await;
    door.hub.down.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = door.get("token-zhang", "/me").await;
    is_problem(&answer, StatusCode::SERVICE_UNAVAILABLE, "hub-unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_token_is_reviewed_once_in_its_time() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let asked = futures::future::join_all((0..20).map(|_| door.get("token-zhang", "/departments"))).await;
    assert!(asked.iter().all(|a| a.status == StatusCode::OK));
    let reviews = door.hub.reviews.lock().unwrap().clone();
    assert_eq!(reviews["tokenreviews"], 1);
    // One question about all departments and one about the only department that a binding names.
    assert_eq!(reviews["subjectaccessreviews"], 2);
}
