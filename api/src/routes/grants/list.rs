//! GET /grants

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use zhengyun_crds::grant::GrantPhase;

use super::PLURAL;
use super::view::{GrantSummary, phase};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::names::department_of;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging, Sort};
use crate::problem::Problem;
use crate::state::AppState;
use crate::words::GrantPhaseWord;

/// Which grants, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this department.
    department: Option<String>,
    /// Only those in this phase.
    #[param(value_type = Option<GrantPhaseWord>)]
    phase: Option<GrantPhase>,
    /// Only those at this site.
    site: Option<String>,
    /// Only those for this information system.
    system: Option<String>,
    /// Order; newest first unless stated.
    #[serde(default)]
    #[param(value_type = Option<Sort>, inline)]
    sort: Sort,
    /// Items on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `nextPageToken` of the page before.
    page_token: Option<String>,
}

/// Grants that the caller may see.
#[utoipa::path(get, path = "/grants", tag = "grants", operation_id = "listGrants", params(ListQuery), responses(
    (status = 200, description = "A page of grants.", body = Page<GrantSummary>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<GrantSummary>>, Problem> {
    let ListQuery { department, phase: wanted, site, system, sort, .. } = &query;
    let paging = Paging::new(
        query.limit,
        query.page_token.as_deref(),
        sort.is_descending(),
        &(PLURAL, department, wanted, site, system, sort),
    )?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let seen = state.cache.grants.filter(|g| {
        let namespace = g.metadata.namespace.as_deref();
        is(department, namespace.and_then(department_of))
            && is(site, Some(&g.spec.site))
            && is(system, Some(&g.spec.system))
            && wanted.is_none_or(|wanted| phase(g) == wanted)
            && sight.reaches_namespace(namespace)
    });
    let page = paging.cut(seen, |g| sort.place(&g.metadata));
    Ok(axum::Json(page.map(|g| GrantSummary::from(&*g))))
}
