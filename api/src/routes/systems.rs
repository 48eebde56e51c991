//! Information systems: what resources are for.

mod get;
mod list;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::InformationSystem as Resource;

use crate::events::Told;
use crate::names::department_of;
use crate::shapes::{self, Condition, DisplayNames};
use crate::state::AppState;
use crate::words::{ArchitectureWord, DataClassWord, NetworkZoneWord};

const PLURAL: &str = "informationsystems";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get))
}

/// A government information system (政务信息系统).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct System {
    /// Department that it belongs to.
    department: String,
    /// Its name.
    name: String,
    /// Its names for people.
    display_names: DisplayNames,
    /// Person or office that answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Protection level (等保) and its filing.
    protection: Protection,
    /// Whether the commercial cryptography assessment (密评) was passed.
    cryptography_assessed: bool,
    /// Class of its data.
    #[schema(value_type = DataClassWord)]
    data_class: String,
    /// Whether it is critical information infrastructure (关基).
    critical_infrastructure: bool,
    /// CPU architecture that it needs; any when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ArchitectureWord>)]
    architecture: Option<String>,
    /// Network zone.
    #[schema(value_type = NetworkZoneWord)]
    zone: String,
    /// What the operator says about it.
    conditions: Vec<Condition>,
    /// When it was registered.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Protection level (等保, GB/T 22239) and its filing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protection {
    /// Level 1 to 5.
    level: i32,
    /// Filing number at the public security organ.
    #[serde(skip_serializing_if = "Option::is_none")]
    filing_number: Option<String>,
    /// Day on which the last assessment expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    assessment_expires: Option<String>,
}

impl From<&Resource> for System {
    fn from(resource: &Resource) -> Self {
        let (spec, status) = (&resource.spec, resource.status.as_ref());
        Self {
            department: resource.metadata.namespace.as_deref().and_then(department_of).unwrap_or_default().to_owned(),
            name: shapes::name(&resource.metadata),
            display_names: (&spec.display_names).into(),
            owner: spec.owner.clone(),
            protection: Protection {
                level: spec.protection.level,
                filing_number: spec.protection.filing_number.clone(),
                assessment_expires: spec.protection.assessment_expires.clone(),
            },
            cryptography_assessed: spec.cryptography_assessed,
            data_class: spec.data_class.to_string(),
            critical_infrastructure: spec.critical_infrastructure,
            architecture: spec.architecture.map(|a| a.to_string()),
            zone: spec.zone.to_string(),
            conditions: shapes::conditions(status.map(|s| &s.conditions)),
            created_at: shapes::created(&resource.metadata),
        }
    }
}

impl Told for Resource {
    const NOUN: &'static str = "systems";

    fn department(&self) -> Option<&str> {
        self.metadata.namespace.as_deref().and_then(department_of)
    }

    fn item(&self) -> serde_json::Value {
        shapes::json(&System::from(self))
    }
}
