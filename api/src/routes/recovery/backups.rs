//! Backups: runs of recovery plans.

mod cancel;
mod create;
mod get;
mod list;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::recovery::{BackupPhase, SystemBackup as Resource};

use super::run::Run;
use crate::events::Told;
use crate::names::department_of;
use crate::problem::Noun;
use crate::shapes;
use crate::state::AppState;

const PLURAL: &str = "systembackups";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list))
        .routes(routes!(create::create))
        .routes(routes!(get::get))
        .routes(routes!(cancel::cancel))
}

/// Where the operator says that it stands; one that it has not seen yet is pending.
fn phase(run: &Resource) -> BackupPhase {
    run.status.as_ref().and_then(|s| s.phase).unwrap_or(BackupPhase::Pending)
}

impl Run for Resource {
    const NOUN: Noun = Noun::Backup;
    const ROUTE: &'static str = "backups";

    fn asks_the_same(&self, other: &Self) -> bool {
        self.spec == other.spec
    }

    fn ended(&self) -> Option<&'static str> {
        Some(phase(self)).filter(|phase| phase.is_terminal()).map(BackupPhase::as_str)
    }

    fn is_cancelled(&self) -> bool {
        self.spec.cancel
    }
}

impl Told for Resource {
    const NOUN: &'static str = <Self as Run>::ROUTE;

    fn department(&self) -> Option<&str> {
        self.metadata.namespace.as_deref().and_then(department_of)
    }

    fn item(&self) -> serde_json::Value {
        shapes::json(&view::BackupSummary::from(self))
    }
}
