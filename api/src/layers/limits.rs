//! Limits on what a request may cost.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower::BoxError;

use crate::problem::Problem;
use crate::state::AppState;

/// Refuses a request whose headers and path together are larger than allowed.
pub(super) async fn headers(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path_and_query().map_or(0, |p| p.as_str().len());
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum();
    if path.saturating_add(headers) > state.limits.header_bytes {
        return Problem::headers_too_large().into_response();
    }
    next.run(request).await
}

/// The problem that a refusal of the limits beneath means.
pub(super) async fn refused(error: BoxError) -> Problem {
    if error.is::<tower::load_shed::error::Overloaded>() {
        Problem::overloaded()
    } else if error.is::<tower::timeout::error::Elapsed>() {
        Problem::timeout()
    } else {
        Problem::internal(&error)
    }
}
