//! What surrounds every route: ids and languages, figures and log lines, limits, and a net under panics.

mod finish;
mod limits;
mod linger;
mod observe;

use std::any::Any;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_request};
use axum::response::{IntoResponse as _, Response};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::state::AppState;

/// The routes as they are served. From the outside in: every answer leaves through `finish`, so none is plain text.
pub(crate) fn wrap(routes: Router<AppState>, state: &AppState) -> Router {
    let stack = ServiceBuilder::new()
        .layer(map_request(linger::linger))
        .layer(from_fn(finish::finish))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .layer(CatchPanicLayer::custom(net(state.metrics.clone())))
        .layer(from_fn_with_state(state.clone(), limits::headers))
        .layer(HandleErrorLayer::new(limits::refused))
        .layer(LoadShedLayer::new())
        // Global: a plain limit would count each route for itself.
        .layer(GlobalConcurrencyLimitLayer::new(state.limits.concurrent))
        .layer(TimeoutLayer::new(state.limits.timeout))
        .layer(DefaultBodyLimit::max(state.limits.body_bytes));
    routes
        .fallback(async || Problem::no_such_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(stack)
        .with_state(state.clone())
}

/// Turns a panic into a 500 with fixed text. What happened is in the log: the process's panic hook wrote it there.
fn net(metrics: Metrics) -> impl Fn(Box<dyn Any + Send>) -> Response + Clone + Send + Sync + 'static {
    move |_| {
        metrics.panicked();
        Problem::internal(&"a defect ended it").into_response()
    }
}
