//! GET /systems

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{PLURAL, System};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::names::department_of;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::shapes;
use crate::state::AppState;

/// Which systems.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this department.
    department: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `nextPageToken` of the page before.
    page_token: Option<String>,
}

/// Information systems that the caller may see, by department and name.
#[utoipa::path(get, path = "/systems", tag = "systems", operation_id = "listSystems", params(ListQuery), responses(
    (status = 200, description = "A page of systems.", body = Page<System>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<System>>, Problem> {
    let paging = Paging::new(query.limit, query.page_token.as_deref(), false, &(PLURAL, &query.department))?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let seen = state.cache.systems.filter(|s| {
        let namespace = s.metadata.namespace.as_deref();
        sight.reaches_namespace(namespace)
            && query
                .department
                .as_deref()
                .is_none_or(|department| namespace.and_then(department_of) == Some(department))
    });
    let page = paging
        .cut(seen, |s| [s.metadata.namespace.clone().unwrap_or_default(), shapes::name(&s.metadata), String::new()]);
    Ok(axum::Json(page.map(|s| System::from(&*s))))
}
