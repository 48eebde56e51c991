//! GET /quotas

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{PLURAL, Quota};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::shapes;
use crate::state::AppState;

/// Which quotas.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those with a limit at this site.
    site: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `nextPageToken` of the page before.
    page_token: Option<String>,
}

/// Quotas that the caller may see, by department.
#[utoipa::path(get, path = "/quotas", tag = "quotas", operation_id = "listQuotas", params(ListQuery), responses(
    (status = 200, description = "A page of quotas.", body = Page<Quota>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Quota>>, Problem> {
    let paging = Paging::new(query.limit, query.page_token.as_deref(), false, &(PLURAL, &query.site))?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let seen = state.cache.quotas.filter(|q| {
        sight.reaches(q.metadata.name.as_deref().unwrap_or_default())
            && query.site.as_ref().is_none_or(|site| q.spec.limits.iter().any(|limit| &limit.site == site))
    });
    let page = paging.cut(seen, |q| [shapes::name(&q.metadata), String::new(), String::new()]);
    Ok(axum::Json(page.map(|q| Quota::from(&*q))))
}
