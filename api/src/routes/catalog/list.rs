//! GET /catalog

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{CatalogItemSummary, PLURAL};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::shapes;
use crate::state::AppState;

/// Which services.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those that this site offers.
    site: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `nextPageToken` of the page before.
    page_token: Option<String>,
}

/// Services that can be ordered, by name; shown to everyone with a role in some department.
#[utoipa::path(get, path = "/catalog", tag = "catalog", operation_id = "listCatalog", params(ListQuery), responses(
    (status = 200, description = "A page of services.", body = Page<CatalogItemSummary>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<CatalogItemSummary>>, Problem> {
    let paging = Paging::new(query.limit, query.page_token.as_deref(), false, &(PLURAL, &query.site))?;
    let offered = |sites: &[String]| query.site.as_ref().is_none_or(|site| sites.is_empty() || sites.contains(site));
    let seen = if caller.may_somewhere(&state, &Right::list(PLURAL)).await? {
        state.cache.items.filter(|item| offered(&item.spec.sites))
    } else {
        Vec::new()
    };
    let page = paging.cut(seen, |item| [shapes::name(&item.metadata), String::new(), String::new()]);
    Ok(axum::Json(page.map(|item| CatalogItemSummary::from(&*item))))
}
