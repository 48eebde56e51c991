//! One log line and one set of figures per request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use tracing::Instrument as _;

use super::finish::RequestId;
use crate::state::AppState;

/// Stands for the route of a request that has none, whatever its path was.
const NO_ROUTE: &str = "none";

/// Counts, times and logs a request; everything logged on its way carries its id and its caller.
pub(super) async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let serving = state.metrics.serving();
    let started = Instant::now();
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let path = request.uri().path().to_owned();
    let id = request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned()).unwrap_or_default();
    let span = tracing::info_span!("request", id, user = tracing::field::Empty);
    let response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    state.metrics.answered(method, &route, status, took);
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| {
        tracing::info!(method, path, status, milliseconds, "{method} {path} answered {status} in {milliseconds} ms");
    });
    drop(serving);
    response
}

/// Invented methods must not become labels.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
