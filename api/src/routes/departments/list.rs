//! GET /departments

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use zhengyun_crds::{Level, UnitType};

use super::{DepartmentSummary, PLURAL};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging};
use crate::problem::Problem;
use crate::shapes;
use crate::state::AppState;
use crate::words::{LevelWord, UnitTypeWord};

/// Which departments.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those directly below this one.
    parent: Option<String>,
    /// Only those of this level.
    #[param(value_type = Option<LevelWord>)]
    level: Option<Level>,
    /// Only those of this kind in law.
    #[serde(rename = "type")]
    #[param(value_type = Option<UnitTypeWord>)]
    kind: Option<UnitType>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// `nextPageToken` of the page before.
    page_token: Option<String>,
}

/// Departments that the caller may see, by name.
#[utoipa::path(get, path = "/departments", tag = "departments", operation_id = "listDepartments", params(ListQuery), responses(
    (status = 200, description = "A page of departments.", body = Page<DepartmentSummary>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<DepartmentSummary>>, Problem> {
    let paging = Paging::new(
        query.limit,
        query.page_token.as_deref(),
        false,
        &(PLURAL, &query.parent, &query.level, &query.kind),
    )?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let seen = state.cache.departments.filter(|d| {
        sight.reaches(d.metadata.name.as_deref().unwrap_or_default())
            && query.level.is_none_or(|level| d.spec.level == level)
            && query.kind.is_none_or(|kind| d.spec.type_ == kind)
            && query
                .parent
                .as_deref()
                .is_none_or(|parent| d.status.as_ref().and_then(|s| s.parent.as_deref()) == Some(parent))
    });
    let page = paging.cut(seen, |d| [shapes::name(&d.metadata), String::new(), String::new()]);
    Ok(axum::Json(page.map(|d| DepartmentSummary::from(&*d))))
}
