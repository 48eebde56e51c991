//! GET /requests

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use zhengyun_crds::ResourceRequest as Resource;
use zhengyun_crds::request::{Action, RequestPhase};

use super::view::RequestSummary;
use super::{PLURAL, phase};
use crate::auth::{Caller, Right};
use crate::extract::Query;
use crate::names::department_of;
use crate::openapi::{Problems, QueryProblems};
use crate::page::{Page, Paging, Sort};
use crate::problem::Problem;
use crate::state::AppState;
use crate::words::{ActionWord, RequestPhaseWord};

/// Which requests, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those of this department.
    department: Option<String>,
    /// Only those in this phase.
    #[param(value_type = Option<RequestPhaseWord>)]
    phase: Option<RequestPhase>,
    /// Only those for this site.
    site: Option<String>,
    /// Only those that ask for this.
    #[param(value_type = Option<ActionWord>)]
    action: Option<Action>,
    /// Only those for this information system.
    system: Option<String>,
    /// Only those that wait at this stage, such as `technical`.
    awaiting: Option<String>,
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

impl ListQuery {
    fn fits(&self, request: &Resource) -> bool {
        let order = &request.spec.order;
        let department = request.metadata.namespace.as_deref().and_then(department_of);
        let stage = || request.status.as_ref().and_then(|s| s.stage.as_ref()).map(|s| s.name.as_str());
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        is(&self.department, department)
            && is(&self.site, Some(&order.site))
            && is(&self.system, order.system.as_deref())
            && is(&self.awaiting, stage())
            && self.action.is_none_or(|action| order.action == action)
            && self.phase.is_none_or(|wanted| phase(request) == wanted)
    }
}

/// Requests that the caller may see.
#[utoipa::path(get, path = "/requests", tag = "requests", operation_id = "listRequests", params(ListQuery), responses(
    (status = 200, description = "A page of requests.", body = Page<RequestSummary>),
    Problems, QueryProblems,
))]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<RequestSummary>>, Problem> {
    let ListQuery { department, phase, site, action, system, awaiting, sort, .. } = &query;
    let list = (PLURAL, department, phase, site, action, system, awaiting, sort);
    let paging = Paging::new(query.limit, query.page_token.as_deref(), sort.is_descending(), &list)?;
    let sight = caller.sight(&state, &Right::list(PLURAL)).await?;
    let seen =
        state.cache.requests.filter(|r| query.fits(r) && sight.reaches_namespace(r.metadata.namespace.as_deref()));
    let page = paging.cut(seen, |r| sort.place(&r.metadata));
    Ok(axum::Json(page.map(|r| RequestSummary::from(&*r))))
}
