//! GET /migrations

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use zhengyun_crds::migration::MigrationStage;

use super::view::MigrationSummary;
use super::{PLURAL, stage};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::names::department_of;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging, Sort};
use crate::problem::Problem;
use crate::state::AppState;
use crate::words::MigrationStageWord;

/// Which migrations, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this department.
    department: Option<String>,
    /// Only those that leave this machine room.
    room: Option<String>,
    /// Only those of this wave.
    wave: Option<String>,
    /// Only those at this stage.
    #[param(value_type = Option<MigrationStageWord>)]
    stage: Option<MigrationStage>,
    /// `true`: only those that wait for somebody; `false`: only those that do not.
    blocked: Option<bool>,
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

/// Migrations that the caller may see. `GET /events?nouns=migrations` tells what changes in this list.
#[utoipa::path(get, path = "/migrations", tag = "migration", operation_id = "listMigrations", params(ListQuery), responses(
    (status = 200, description = "A page of migrations.", body = Page<MigrationSummary>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<MigrationSummary>>, Problem> {
    let ListQuery { department, room, wave, stage: wanted, blocked, sort, .. } = &query;
    let paging = Paging::new(
        query.limit,
        query.page_token.as_deref(),
        sort.is_descending(),
        &(PLURAL, department, room, wave, wanted, blocked, sort),
    )?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let seen = state.cache.migrations.filter(|migration| {
        let namespace = migration.metadata.namespace.as_deref();
        let status = migration.status.as_ref();
        is(department, namespace.and_then(department_of))
            && is(room, Some(&migration.spec.room))
            && is(wave, status.and_then(|s| s.wave.as_deref()))
            && wanted.is_none_or(|wanted| stage(migration) == wanted)
            && blocked.is_none_or(|blocked| status.is_some_and(|s| s.blocker.is_some()) == blocked)
            && sight.reaches_namespace(namespace)
    });
    let page = paging.cut(seen, |migration| sort.place(&migration.metadata));
    Ok(axum::Json(page.map(|migration| MigrationSummary::from(&*migration))))
}
