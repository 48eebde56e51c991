//! Grants: what departments hold at the sites.

mod get;
mod list;
mod revoke;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::ResourceGrant as Resource;

use crate::events::Told;
use crate::names::department_of;
use crate::shapes;
use crate::state::AppState;

const PLURAL: &str = "resourcegrants";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get)).routes(routes!(revoke::revoke))
}

impl Told for Resource {
    const NOUN: &'static str = "grants";

    fn department(&self) -> Option<&str> {
        self.metadata.namespace.as_deref().and_then(department_of)
    }

    fn item(&self) -> serde_json::Value {
        shapes::json(&view::GrantSummary::from(self))
    }
}
