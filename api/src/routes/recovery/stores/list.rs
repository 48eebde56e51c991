//! GET /backup-stores

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{BackupStore, PLURAL};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::shapes;
use crate::state::AppState;

/// Which stores.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those at this site.
    site: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `nextPageToken` of the page before.
    page_token: Option<String>,
}

/// Backup stores, by name; shown to everyone with a role in some department.
#[utoipa::path(get, path = "/backup-stores", tag = "recovery", operation_id = "listBackupStores", params(ListQuery), responses(
    (status = 200, description = "A page of stores.", body = Page<BackupStore>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<BackupStore>>, Problem> {
    let paging = Paging::new(query.limit, query.page_token.as_deref(), false, &(PLURAL, &query.site))?;
    let is_there = |site: &str| query.site.as_deref().is_none_or(|wanted| wanted == site);
    let seen = if caller.may_somewhere(&state, &Right::list(PLURAL)).await? {
        state.cache.stores.filter(|store| is_there(&store.spec.site))
    } else {
        Vec::new()
    };
    let page = paging.cut(seen, |store| [shapes::name(&store.metadata), String::new(), String::new()]);
    Ok(axum::Json(page.map(|store| BackupStore::from(&*store))))
}
