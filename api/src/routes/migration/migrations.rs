//! Migrations: one information system each, from its room onto the cloud.

mod approve;
mod cancel;
mod cut_over;
mod get;
mod list;
mod roll_back;
mod sign;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::migration::{MigrationStage, SystemMigration as Resource};

use crate::auth::Caller;
use crate::events::Told;
use crate::extract::InDepartment;
use crate::hub::HubError;
use crate::names::department_of;
use crate::problem::{About, Noun, Problem};
use crate::routes::writing;
use crate::shapes;
use crate::state::AppState;

pub(super) const PLURAL: &str = "systemmigrations";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(approve::approve))
        .routes(routes!(cut_over::cut_over))
        .routes(routes!(roll_back::roll_back))
        .routes(routes!(cancel::cancel))
}

/// Where the operator says that it stands; one that it has not seen yet is discovered.
fn stage(migration: &Resource) -> MigrationStage {
    migration.status.as_ref().and_then(|s| s.stage).unwrap_or(MigrationStage::Discovered)
}

fn about<'a>(department: &'a str, name: &'a str) -> About<'a> {
    About { noun: Noun::Migration, department, name }
}

/// Reads a migration as the caller; one that the caller may not read is not there.
async fn read(state: &AppState, caller: &Caller, at: &InDepartment) -> Result<Resource, Problem> {
    let found = caller.hub(state).get(&at.namespace, &at.name).await;
    found.map_err(|error| writing::unreadable(&error, about(&at.department, &at.name)))
}

/// What a refused write of a migration means.
async fn refusal(state: &AppState, caller: &Caller, error: &HubError, at: &InDepartment) -> Problem {
    writing::refusal(state, caller, error, PLURAL, about(&at.department, &at.name)).await
}

impl Told for Resource {
    const NOUN: &'static str = "migrations";

    fn department(&self) -> Option<&str> {
        self.metadata.namespace.as_deref().and_then(department_of)
    }

    fn item(&self) -> serde_json::Value {
        shapes::json(&view::MigrationSummary::from(self))
    }
}
