//! Migration: systems on their way from the departments' rooms onto the cloud, the waves they go in, the rooms they leave.

mod migrations;
mod rooms;
mod waves;

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().merge(migrations::routes()).merge(waves::routes()).merge(rooms::routes())
}
