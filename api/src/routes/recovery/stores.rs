//! Backup stores: repositories for backups at the sites.

mod get;
mod list;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::recovery::{BackupStore as Resource, StoreBackend};

use crate::events::Told;
use crate::shapes::{self, Condition, DisplayNames};
use crate::state::AppState;

const PLURAL: &str = "backupstores";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get))
}

/// A repository for backups at a site (备份存储库). Where exactly it lies is the administrators' business.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupStore {
    /// Its name.
    name: String,
    /// Its names for people.
    display_names: DisplayNames,
    /// Site.
    site: String,
    /// `s3` or `filesystem`.
    #[schema(example = "s3")]
    backend: &'static str,
    /// Bytes that backups take up.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<String>,
    /// How many backups it holds.
    backups: i64,
    /// When it was last read through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    checked_at: Option<String>,
    /// Whether everything was as it was written then.
    #[serde(skip_serializing_if = "Option::is_none")]
    intact: Option<bool>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
    /// When it was registered.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<&Resource> for BackupStore {
    fn from(resource: &Resource) -> Self {
        let (spec, status) = (&resource.spec, resource.status.as_ref());
        let check = status.and_then(|s| s.last_check.as_ref());
        Self {
            name: shapes::name(&resource.metadata),
            display_names: (&spec.display_names).into(),
            site: spec.site.clone(),
            backend: match spec.backend {
                StoreBackend::S3(_) => "s3",
                StoreBackend::Filesystem(_) => "filesystem",
            },
            used: status.and_then(|s| s.used.as_ref()).map(|used| used.0.clone()),
            backups: status.map(|s| s.backups).unwrap_or_default(),
            checked_at: check.map(|c| shapes::moment(&c.finished_at)),
            intact: check.map(|c| c.passed),
            conditions: shapes::conditions(status.map(|s| &s.conditions)),
            created_at: shapes::created(&resource.metadata),
        }
    }
}

impl Told for Resource {
    const NOUN: &'static str = "backup-stores";

    fn department(&self) -> Option<&str> {
        None
    }

    fn item(&self) -> serde_json::Value {
        shapes::json(&BackupStore::from(self))
    }
}
