//! The routes: one module per noun, one file per verb.

mod catalog;
mod departments;
mod events;
mod grants;
mod me;
mod migration;
mod quotas;
mod recovery;
mod requests;
mod sites;
mod systems;
mod writing;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::openapi;
use crate::state::AppState;

/// Every route beneath `/api/v1`.
pub(crate) fn all() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(openapi::served))
        .routes(routes!(me::get))
        .merge(departments::routes())
        .merge(quotas::routes())
        .merge(sites::routes())
        .merge(catalog::routes())
        .merge(systems::routes())
        .merge(requests::routes())
        .merge(grants::routes())
        .merge(recovery::routes())
        .merge(migration::routes())
        .merge(events::routes())
}
