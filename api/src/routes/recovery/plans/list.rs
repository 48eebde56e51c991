//! GET /recovery-plans

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::PLURAL;
use super::view::RecoveryPlanSummary;
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::names::department_of;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging, Sort};
use crate::problem::Problem;
use crate::state::AppState;

/// Which recovery plans, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this department.
    department: Option<String>,
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

/// Recovery plans that the caller may see.
#[utoipa::path(get, path = "/recovery-plans", tag = "recovery", operation_id = "listRecoveryPlans", params(ListQuery), responses(
    (status = 200, description = "A page of recovery plans.", body = Page<RecoveryPlanSummary>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<RecoveryPlanSummary>>, Problem> {
    let ListQuery { department, system, sort, .. } = &query;
    let paging = Paging::new(
        query.limit,
        query.page_token.as_deref(),
        sort.is_descending(),
        &(PLURAL, department, system, sort),
    )?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let seen = state.cache.plans.filter(|plan| {
        let namespace = plan.metadata.namespace.as_deref();
        is(department, namespace.and_then(department_of))
            && is(system, Some(&plan.spec.system))
            && sight.reaches_namespace(namespace)
    });
    let page = paging.cut(seen, |plan| sort.place(&plan.metadata));
    Ok(axum::Json(page.map(|plan| RecoveryPlanSummary::from(&*plan))))
}
