//! Requests: change orders, from draft to result.

mod amend;
mod approval;
mod confirm;
mod correct;
pub(super) mod create;
mod decide;
mod get;
mod list;
pub(super) mod order;
mod preview;
mod submit;
mod view;
mod withdraw;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::ResourceRequest as Resource;
use zhengyun_crds::request::RequestPhase;

use crate::auth::Caller;
use crate::etag::Tag;
use crate::events::Told;
use crate::extract::InDepartment;
use crate::hub::HubError;
use crate::names::department_of;
use crate::problem::{About, Noun, Problem};
use crate::routes::writing::{self, DryRun};
use crate::shapes;
use crate::state::AppState;

pub(crate) use view::Request;

pub(super) const PLURAL: &str = "resourcerequests";
/// The last part of their routes.
pub(super) const ROUTE: &str = "requests";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list))
        .routes(routes!(create::create))
        .routes(routes!(get::get, correct::correct))
        .routes(routes!(submit::submit))
        .routes(routes!(decide::decide))
        .routes(routes!(withdraw::withdraw))
        .routes(routes!(confirm::confirm))
}

/// An answer that holds a request: status, ETag, body.
pub(super) type Answer = (StatusCode, [(HeaderName, HeaderValue); 1], axum::Json<Request>);

/// Answers with a request as it stands.
pub(super) fn answer(status: StatusCode, request: &Resource) -> Answer {
    (status, Tag::of(request).header(), axum::Json(Request::from(request)))
}

/// Whether a write is only tried.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRunQuery {
    /// `all`: nothing is stored; the answer says what a submission would mean.
    #[param(value_type = Option<DryRun>, inline)]
    dry_run: Option<DryRun>,
}

/// Where the operator says that a request stands; one that it has not seen yet is a draft.
pub(super) fn phase(request: &Resource) -> RequestPhase {
    request.status.as_ref().and_then(|s| s.phase).unwrap_or(RequestPhase::Draft)
}

/// Whether the order may be edited.
fn is_editable(phase: RequestPhase) -> bool {
    matches!(phase, RequestPhase::Draft | RequestPhase::ReturnedForCorrection)
}

fn about<'a>(department: &'a str, name: &'a str) -> About<'a> {
    About { noun: Noun::Request, department, name }
}

/// What a refused write of a request means.
async fn refusal(state: &AppState, caller: &Caller, error: &HubError, department: &str, name: &str) -> Problem {
    writing::refusal(state, caller, error, PLURAL, about(department, name)).await
}

/// Reads a request as the caller; one that the caller may not read is not there.
async fn read(state: &AppState, caller: &Caller, at: &InDepartment) -> Result<Resource, Problem> {
    caller.hub(state).get(&at.namespace, &at.name).await.map_err(|error| unreadable(&error, at))
}

fn unreadable(error: &HubError, at: &InDepartment) -> Problem {
    writing::unreadable(error, about(&at.department, &at.name))
}

impl Told for Resource {
    const NOUN: &'static str = ROUTE;

    fn department(&self) -> Option<&str> {
        self.metadata.namespace.as_deref().and_then(department_of)
    }

    fn item(&self) -> serde_json::Value {
        shapes::json(&view::RequestSummary::from(self))
    }
}
