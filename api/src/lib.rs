//! The door of Zhengyun: the REST API for departments, approvers and the cloud authority.
//!
//! The API holds no decisions and no state of its own. Reads come from watch caches and are filtered by the caller's rights
//! (`SubjectAccessReview`); writes go to the hub with the caller's own bearer token, so that the hub's RBAC and admission
//! policies decide for the person, whether the person came through this API or through kubectl.

mod args;
mod auth;
mod cache;
mod error;
mod etag;
mod events;
mod extract;
mod health;
mod hub;
mod layers;
pub mod logging;
mod merge;
mod metrics;
mod names;
pub mod openapi;
mod page;
mod problem;
mod routes;
mod server;
mod shapes;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod words;

pub use args::{Args, LogFormat};
pub use error::RunError;
pub use hub::Hub;
pub use server::{Server, run, shutdown_signal};
pub use state::AppState;

/// The whole API as a router: every route, limit and error form, as it is served.
pub fn router(state: &AppState) -> axum::Router {
    let (routes, _) = openapi::routes().split_for_parts();
    layers::wrap(routes, state)
}
