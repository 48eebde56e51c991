//! GET /sites

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{PLURAL, Site};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::shapes;
use crate::state::AppState;

/// Which sites.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Items on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `nextPageToken` of the page before.
    page_token: Option<String>,
}

/// Sites, by name; shown to everyone with a role in some department.
#[utoipa::path(get, path = "/sites", tag = "sites", operation_id = "listSites", params(ListQuery), responses(
    (status = 200, description = "A page of sites.", body = Page<Site>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Site>>, Problem> {
    let paging = Paging::new(query.limit, query.page_token.as_deref(), false, &PLURAL)?;
    let seen =
        if caller.may_somewhere(&state, &Right::list(PLURAL)).await? { state.cache.sites.all() } else { Vec::new() };
    let page = paging.cut(seen, |s| [shapes::name(&s.metadata), String::new(), String::new()]);
    Ok(axum::Json(page.map(|s| Site::from(&*s))))
}
