//! Quotas: what departments may hold, and what they hold.

mod get;
mod list;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::DepartmentQuota as Resource;

use crate::events::Told;
use crate::shapes::{self, Amounts, Condition};
use crate::state::AppState;
use crate::words::UnlistedChildrenWord;

const PLURAL: &str = "departmentquotas";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get))
}

/// What a department and everything below it may hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quota {
    /// Department that it binds.
    department: String,
    /// Limits as written, per site; a site or resource that is absent is 0.
    limits: Vec<SiteLimit>,
    /// Limits in force, per site; decisions follow these.
    adopted: Vec<AdoptedLimit>,
    /// Use per site, everything below included.
    usage: Vec<SiteUse>,
    /// What departments below without a quota of their own may do.
    #[schema(value_type = UnlistedChildrenWord)]
    unlisted_children: String,
    /// How much the limits of departments below may add up to, in percent of this limit.
    overcommit_percent: i32,
    /// What the operator says about it.
    conditions: Vec<Condition>,
}

/// Limits at one site.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SiteLimit {
    /// Site.
    site: String,
    /// Limit by resource: a quantity or `unlimited`.
    hard: Amounts,
}

/// Limits in force at one site.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdoptedLimit {
    /// Site.
    site: String,
    /// Limit by resource: a quantity or `unlimited`.
    hard: Amounts,
    /// Ledger sequence from which on it is in force.
    sequence: i64,
}

/// Use at one site: a report that may lag behind by a second.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SiteUse {
    /// Site.
    site: String,
    /// Reserved by requests under review.
    reserved: Amounts,
    /// Held by grants.
    granted: Amounts,
    /// What may still be asked for under this limit alone; ancestors may leave less.
    available: Amounts,
    /// Highest use of any resource, in percent of its limit.
    utilisation_percent: i64,
}

impl From<&Resource> for Quota {
    fn from(resource: &Resource) -> Self {
        let (spec, status) = (&resource.spec, resource.status.as_ref());
        Self {
            department: shapes::name(&resource.metadata),
            limits: spec
                .limits
                .iter()
                .map(|l| SiteLimit { site: l.site.clone(), hard: shapes::limits(&l.hard) })
                .collect(),
            adopted: status.into_iter().flat_map(|s| &s.adopted).map(AdoptedLimit::from).collect(),
            usage: status.into_iter().flat_map(|s| &s.usage).map(SiteUse::from).collect(),
            unlisted_children: spec.unlisted_children.to_string(),
            overcommit_percent: spec.overcommit_percent,
            conditions: shapes::conditions(status.map(|s| &s.conditions)),
        }
    }
}

impl From<&zhengyun_crds::quota::AdoptedLimit> for AdoptedLimit {
    fn from(limit: &zhengyun_crds::quota::AdoptedLimit) -> Self {
        Self { site: limit.site.clone(), hard: shapes::limits(&limit.hard), sequence: limit.sequence }
    }
}

impl From<&zhengyun_crds::quota::SiteUse> for SiteUse {
    fn from(usage: &zhengyun_crds::quota::SiteUse) -> Self {
        Self {
            site: usage.site.clone(),
            reserved: shapes::amounts(&usage.reserved),
            granted: shapes::amounts(&usage.granted),
            available: shapes::amounts(&usage.available),
            utilisation_percent: usage.utilisation_percent,
        }
    }
}

impl Told for Resource {
    const NOUN: &'static str = "quotas";

    fn department(&self) -> Option<&str> {
        self.metadata.name.as_deref()
    }

    fn item(&self) -> serde_json::Value {
        shapes::json(&Quota::from(self))
    }
}
