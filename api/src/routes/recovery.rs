//! Disaster recovery: stores, plans, backups, restores, drills.

mod backups;
mod drills;
mod plans;
mod restores;
mod run;
mod stores;

use utoipa_axum::router::OpenApiRouter;

use crate::state::AppState;

pub(super) use run::Failure;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .merge(stores::routes())
        .merge(plans::routes())
        .merge(backups::routes())
        .merge(restores::routes())
        .merge(drills::routes())
}
