//! GET /waves

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{PLURAL, Wave};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::shapes;
use crate::state::AppState;

/// Which waves.
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

/// Waves, by name; shown to everyone with a role in some department, each with those of its migrations that the caller may see.
#[utoipa::path(get, path = "/waves", tag = "migration", operation_id = "listWaves", params(ListQuery), responses(
    (status = 200, description = "A page of waves.", body = Page<Wave>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Wave>>, Problem> {
    let paging = Paging::new(query.limit, query.page_token.as_deref(), false, &PLURAL)?;
    let seen =
        if caller.may_somewhere(&state, &Right::list(PLURAL)).await? { state.cache.waves.all() } else { Vec::new() };
    let sight = caller.sight(&state, &Right::list(super::super::migrations::PLURAL)).await?;
    let page = paging.cut(seen, |wave| [shapes::name(&wave.metadata), String::new(), String::new()]);
    Ok(axum::Json(page.map(|wave| Wave::seen(&wave, |department| sight.reaches(department)))))
}
