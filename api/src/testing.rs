//! Objects and a stand-in for the hub, for tests of this crate alone; the real hub is tried in the cluster tests.

mod events;
mod hub;
mod objects;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use clap::Parser as _;
use futures::StreamExt as _;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub(crate) use hub::{FakeHub, client};
pub(crate) use objects::{a_request, an_open_stage};

use crate::args::Args;
use crate::hub::Hub;
use crate::state::AppState;

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// The API over a stand-in hub.
pub(crate) struct Door {
    pub(crate) hub: Arc<FakeHub>,
    pub(crate) state: AppState,
    pub(crate) router: Router,
}

impl Door {
    /// Opens the door once the caches hold what the hub holds.
    pub(crate) async fn open(hub: FakeHub, flags: &[&str]) -> Self {
        let args = Args::parse_from([&["zhengyun-api"], flags].concat());
        let hub = Arc::new(hub);
        let client = client(&hub);
        let state = AppState::start(
            &args,
            Hub::from_clients(client.clone(), client, Duration::from_secs(2)),
            &CancellationToken::new(),
        );
        tokio::time::timeout(Duration::from_secs(5), state.ready()).await.unwrap();
        let router = crate::router(&state);
        Self { hub, state, router }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        answered(&self.router, request).await
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answered {
        self.send(request(Method::GET, token, path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn write(
        &self,
        method: Method,
        token: &str,
        path: &str,
        if_match: Option<&str>,
        body: &Value,
    ) -> Answered {
        let mut builder = request(method, token, path).header("content-type", "application/json");
        if let Some(tag) = if_match {
            builder = builder.header("if-match", tag);
        }
        self.send(builder.body(Body::from(body.to_string())).unwrap()).await
    }
}

pub(crate) fn request(method: Method, token: &str, path: &str) -> http::request::Builder {
    let builder = Request::builder().method(method).uri(format!("/api/v1{path}"));
    if token.is_empty() { builder } else { builder.header("authorization", format!("Bearer {token}")) }
}

pub(crate) async fn answered(router: &Router, request: Request<Body>) -> Answered {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = if parts.headers.get("content-type").is_some_and(|media| media == "text/event-stream") {
        // It has no end.
        body.into_data_stream().next().await.map(Result::unwrap).unwrap_or_default()
    } else {
        axum::body::to_bytes(body, usize::MAX).await.unwrap()
    };
    Answered {
        status: parts.status,
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}
