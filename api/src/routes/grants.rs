//! Grants: what departments hold at the sites.

mod get;
mod list;
mod revoke;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

const PLURAL: &str = "resourcegrants";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get)).routes(routes!(revoke::revoke))
}
