//! Disaster recovery: stores, plans, backups, restores.

mod backups;
mod plans;
mod restores;
mod run;
mod stores;

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .merge(stores::routes())
        .merge(plans::routes())
        .merge(backups::routes())
        .merge(restores::routes())
}
