//! The catalogue: services that can be ordered, their parameters and what they are charged.

mod get;
mod list;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::CatalogItem as Resource;

use crate::shapes::{self, Condition, DisplayNames, Readiness};
use crate::state::AppState;

const PLURAL: &str = "catalogitems";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get))
}

/// A service in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CatalogItemSummary {
    /// Its name; an order's line refers to it.
    name: String,
    /// Its names for people.
    display_names: DisplayNames,
    /// What it is, by language.
    description: Description,
    /// Sites that offer it; all when empty.
    sites: Vec<String>,
    /// Whether it can be ordered.
    ready: Readiness,
}

/// A service.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CatalogItem {
    /// Its name; an order's line refers to it.
    name: String,
    /// Its names for people.
    display_names: DisplayNames,
    /// What it is, by language.
    description: Description,
    /// JSON schema (2020-12) of the parameters of an order's line.
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// What one line is charged: resource to CEL over `parameters` and `count`.
    charges: BTreeMap<String, String>,
    /// Sites that offer it; all when empty.
    sites: Vec<String>,
    /// Generation of its definition.
    generation: i64,
    /// SHA-256 of its definition: requests pin it when they enter review.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
}

/// A description, by language.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Description {
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    zh_cn: String,
    /// English.
    en: String,
}

impl From<&Resource> for Description {
    fn from(resource: &Resource) -> Self {
        Self { zh_cn: resource.spec.description_zh.clone(), en: resource.spec.description_en.clone() }
    }
}

impl From<&Resource> for CatalogItemSummary {
    fn from(resource: &Resource) -> Self {
        Self {
            name: shapes::name(&resource.metadata),
            display_names: (&resource.spec.display_names).into(),
            description: resource.into(),
            sites: resource.spec.sites.clone(),
            ready: shapes::readiness(resource.status.as_ref().map(|s| &s.conditions)),
        }
    }
}

impl From<&Resource> for CatalogItem {
    fn from(resource: &Resource) -> Self {
        let (spec, status) = (&resource.spec, resource.status.as_ref());
        Self {
            name: shapes::name(&resource.metadata),
            display_names: (&spec.display_names).into(),
            description: resource.into(),
            parameters: spec.parameters.clone(),
            charges: spec.charges.clone(),
            sites: spec.sites.clone(),
            generation: resource.metadata.generation.unwrap_or_default(),
            digest: status.and_then(|s| s.digest.clone()),
            conditions: shapes::conditions(status.map(|s| &s.conditions)),
        }
    }
}
