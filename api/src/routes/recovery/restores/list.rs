//! GET /restores

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use zhengyun_crds::recovery::RestorePhase;

use super::view::RestoreSummary;
use super::{PLURAL, phase};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::names::department_of;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging, Sort};
use crate::problem::Problem;
use crate::state::AppState;
use crate::words::RestorePhaseWord;

/// Which restores, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this department.
    department: Option<String>,
    /// Only those of this backup.
    backup: Option<String>,
    /// Only those in this phase.
    #[param(value_type = Option<RestorePhaseWord>)]
    phase: Option<RestorePhase>,
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

/// Restores that the caller may see.
#[utoipa::path(get, path = "/restores", tag = "recovery", operation_id = "listRestores", params(ListQuery), responses(
    (status = 200, description = "A page of restores.", body = Page<RestoreSummary>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<RestoreSummary>>, Problem> {
    let ListQuery { department, backup, phase: wanted, sort, .. } = &query;
    let paging = Paging::new(
        query.limit,
        query.page_token.as_deref(),
        sort.is_descending(),
        &(PLURAL, department, backup, wanted, sort),
    )?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let seen = state.cache.restores.filter(|restore| {
        let namespace = restore.metadata.namespace.as_deref();
        is(department, namespace.and_then(department_of))
            && is(backup, Some(&restore.spec.backup))
            && wanted.is_none_or(|wanted| phase(restore) == wanted)
            && sight.reaches_namespace(namespace)
    });
    let page = paging.cut(seen, |restore| sort.place(&restore.metadata));
    Ok(axum::Json(page.map(|restore| RestoreSummary::from(&*restore))))
}
