//! Limits and the net under panics.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Method, StatusCode};

use crate::layers;
use crate::state::AppState;
use crate::testing::{Door, FakeHub, answered, request};

fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/panic", get(async || -> &'static str { panic!("secret detail") }))
        .route("/api/v1/slow", get(async || tokio::time::sleep(Duration::from_mins(1)).await))
        .route("/api/v1/slow-too", get(async || tokio::time::sleep(Duration::from_mins(1)).await))
        .route("/api/v1/plain", get(async || (StatusCode::IM_A_TEAPOT, "plain text")))
}

fn ask(path: &str) -> http::Request<Body> {
    request(Method::GET, "", path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_panic_is_a_500_with_fixed_text() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let router = layers::wrap(routes(), &door.state);
    let answer = answered(&router, ask("/panic")).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert!(!answer.body.to_string().contains("secret detail"), "{answer:?}");
    assert_eq!(answer.body["requestId"], answer.header("x-request-id"));
    assert!(door.state.metrics.text().unwrap().contains("zhengyun_api_panics_total 1"));
}

#[tokio::test]
async fn more_than_can_be_served_is_refused_across_all_routes() {
    let door = Door::open(FakeHub::with(vec![]), &["--max-concurrent-requests", "2"]).await;
    let router = layers::wrap(routes(), &door.state);
    let busy = (
        tokio::spawn({
            let r = router.clone();
            async move { answered(&r, ask("/slow")).await }
        }),
        tokio::spawn({
            let r = router.clone();
            async move { answered(&r, ask("/slow-too")).await }
        }),
    );
    while !door.state.metrics.text().unwrap().contains("in_flight 2") {
        tokio::task::yield_now().await;
    }
    let refused = answered(&router, ask("/plain")).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::SERVICE_UNAVAILABLE, "overloaded"));
    assert_eq!(refused.header("retry-after"), "1");
    busy.0.abort();
    busy.1.abort();
}

#[tokio::test]
async fn what_takes_too_long_is_a_504() {
    let door = Door::open(FakeHub::with(vec![]), &["--request-timeout-seconds", "1"]).await;
    let answer = answered(&layers::wrap(routes(), &door.state), ask("/slow")).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::GATEWAY_TIMEOUT, "timeout"));
}

#[tokio::test]
async fn headers_that_are_too_large_are_a_431() {
    let door = Door::open(FakeHub::with(vec![]), &["--max-header-bytes", "1024"]).await;
    let request =
        request(Method::GET, "token-zhang", "/me").header("x-padding", "p".repeat(1024)).body(Body::empty()).unwrap();
    let answer = door.send(request).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large"));
}

#[tokio::test]
async fn nothing_leaves_as_plain_text() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let answer = answered(&layers::wrap(routes(), &door.state), ask("/plain")).await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.code(), "malformed-request");
}
