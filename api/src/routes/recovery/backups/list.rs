//! GET /backups

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use zhengyun_crds::recovery::BackupPhase;

use super::view::BackupSummary;
use super::{PLURAL, phase};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::names::department_of;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging, Sort};
use crate::problem::Problem;
use crate::state::AppState;
use crate::words::BackupPhaseWord;

/// Which backups, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this department.
    department: Option<String>,
    /// Only those of this recovery plan.
    plan: Option<String>,
    /// Only those in this phase.
    #[param(value_type = Option<BackupPhaseWord>)]
    phase: Option<BackupPhase>,
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

/// Backups that the caller may see.
#[utoipa::path(get, path = "/backups", tag = "recovery", operation_id = "listBackups", params(ListQuery), responses(
    (status = 200, description = "A page of backups.", body = Page<BackupSummary>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<BackupSummary>>, Problem> {
    let ListQuery { department, plan, phase: wanted, sort, .. } = &query;
    let paging = Paging::new(
        query.limit,
        query.page_token.as_deref(),
        sort.is_descending(),
        &(PLURAL, department, plan, wanted, sort),
    )?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let seen = state.cache.backups.filter(|backup| {
        let namespace = backup.metadata.namespace.as_deref();
        is(department, namespace.and_then(department_of))
            && is(plan, Some(&backup.spec.plan))
            && wanted.is_none_or(|wanted| phase(backup) == wanted)
            && sight.reaches_namespace(namespace)
    });
    let page = paging.cut(seen, |backup| sort.place(&backup.metadata));
    Ok(axum::Json(page.map(|backup| BackupSummary::from(&*backup))))
}
