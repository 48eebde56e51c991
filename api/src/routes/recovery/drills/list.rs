//! GET /drills

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use zhengyun_crds::recovery::DrillPhase;

use super::view::DrillSummary;
use super::{PLURAL, phase};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::names::department_of;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging, Sort};
use crate::problem::Problem;
use crate::state::AppState;
use crate::words::DrillPhaseWord;

/// Which drills, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this department.
    department: Option<String>,
    /// Only those of this recovery plan.
    plan: Option<String>,
    /// Only those in this phase.
    #[param(value_type = Option<DrillPhaseWord>)]
    phase: Option<DrillPhase>,
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

/// Drills that the caller may see.
#[utoipa::path(get, path = "/drills", tag = "recovery", operation_id = "listDrills", params(ListQuery), responses(
    (status = 200, description = "A page of drills.", body = Page<DrillSummary>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<DrillSummary>>, Problem> {
    let ListQuery { department, plan, phase: wanted, sort, .. } = &query;
    let paging = Paging::new(
        query.limit,
        query.page_token.as_deref(),
        sort.is_descending(),
        &(PLURAL, department, plan, wanted, sort),
    )?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let seen = state.cache.drills.filter(|drill| {
        let namespace = drill.metadata.namespace.as_deref();
        is(department, namespace.and_then(department_of))
            && is(plan, Some(&drill.spec.plan))
            && wanted.is_none_or(|wanted| phase(drill) == wanted)
            && sight.reaches_namespace(namespace)
    });
    let page = paging.cut(seen, |drill| sort.place(&drill.metadata));
    Ok(axum::Json(page.map(|drill| DrillSummary::from(&*drill))))
}
