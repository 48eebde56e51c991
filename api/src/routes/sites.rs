//! Sites: where resources can be had. How objects reach a site is no caller's concern and is not shown.

mod get;
mod list;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::Site as Resource;

use crate::events::Told;
use crate::shapes::{self, Amounts, Condition, DisplayNames};
use crate::state::AppState;
use crate::words::{ArchitectureWord, NetworkZoneWord};

const PLURAL: &str = "sites";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get))
}

/// A member cluster.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Site {
    /// Its name.
    name: String,
    /// Its names for people.
    display_names: DisplayNames,
    /// Where it stands.
    location: Location,
    /// What fails together with other sites.
    failure_domains: FailureDomains,
    /// CPU architectures of its nodes.
    #[schema(value_type = Vec<ArchitectureWord>)]
    architectures: Vec<String>,
    /// Highest protection level (等保) of a system that may run here.
    protection_level: i32,
    /// Network zones that it serves.
    #[schema(value_type = Vec<NetworkZoneWord>)]
    zones: Vec<String>,
    /// Declared capacity; a resource that is absent is 0.
    capacity: Amounts,
    /// Capacity in force; absent until it is adopted.
    #[serde(skip_serializing_if = "Option::is_none")]
    adopted_capacity: Option<Amounts>,
    /// Charged here in all.
    used: Amounts,
    /// Kubernetes version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
}

/// Where a site stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Location {
    /// Address or name of the place.
    address: String,
    /// Degrees north.
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude: Option<String>,
    /// Degrees east.
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude: Option<String>,
}

/// What fails together.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureDomains {
    /// Building.
    #[serde(skip_serializing_if = "Option::is_none")]
    building: Option<String>,
    /// Power supply.
    #[serde(skip_serializing_if = "Option::is_none")]
    power: Option<String>,
    /// Network carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<String>,
}

impl From<&Resource> for Site {
    fn from(resource: &Resource) -> Self {
        let (spec, status) = (&resource.spec, resource.status.as_ref());
        let (location, domains) = (&spec.location, &spec.failure_domains);
        Self {
            name: shapes::name(&resource.metadata),
            display_names: (&spec.display_names).into(),
            location: Location {
                address: location.address.clone(),
                latitude: location.latitude.clone(),
                longitude: location.longitude.clone(),
            },
            failure_domains: FailureDomains {
                building: domains.building.clone(),
                power: domains.power.clone(),
                carrier: domains.carrier.clone(),
            },
            architectures: spec.architectures.iter().map(ToString::to_string).collect(),
            protection_level: spec.protection_level,
            zones: spec.zones.iter().map(ToString::to_string).collect(),
            capacity: shapes::amounts(&spec.capacity),
            adopted_capacity: status.and_then(|s| s.adopted.as_ref()).map(|a| shapes::amounts(&a.capacity)),
            used: status.map(|s| shapes::amounts(&s.used)).unwrap_or_default(),
            version: status.and_then(|s| s.version.clone()),
            conditions: shapes::conditions(status.map(|s| &s.conditions)),
        }
    }
}

impl Told for Resource {
    const NOUN: &'static str = "sites";

    fn department(&self) -> Option<&str> {
        None
    }

    fn item(&self) -> serde_json::Value {
        shapes::json(&Site::from(self))
    }
}
