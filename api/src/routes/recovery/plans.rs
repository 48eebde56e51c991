//! Recovery plans: what is protected, and what was measured of it.

mod content;
mod create;
mod delete;
mod get;
mod list;
mod preview;
mod replace;
mod view;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::recovery::RecoveryPlan as Resource;

use self::preview::PlanPreview;
use self::view::RecoveryPlan;
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

const PLURAL: &str = "recoveryplans";
/// The part of a body that holds what the hub is given as spec.
const PART: &str = "/plan";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(create::create)).routes(routes!(
        get::get,
        replace::replace,
        delete::delete
    ))
}

/// An answer that holds a plan: status, ETag, body.
type Answer = (StatusCode, [(HeaderName, HeaderValue); 1], axum::Json<RecoveryPlan>);

/// Answers with a plan as it stands.
fn answer(status: StatusCode, plan: &Resource) -> Answer {
    (status, Tag::of_plan(plan).header(), axum::Json(RecoveryPlan::from(plan)))
}

/// Whether a write is only tried.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TryQuery {
    /// `all`: nothing is changed; the answer says what it would mean.
    #[param(value_type = Option<DryRun>, inline)]
    dry_run: Option<DryRun>,
}

/// What a write answers that made nothing new.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes two answers under one status; the handlers answer with one or the other")]
pub(crate) enum PlanOrPreview {
    /// With `dryRun=all`: what it would do.
    Preview(PlanPreview),
    /// Otherwise: the plan as it stands.
    Plan(Box<RecoveryPlan>),
}

fn about<'a>(department: &'a str, name: &'a str) -> About<'a> {
    About { noun: Noun::RecoveryPlan, department, name }
}

/// What a refused write of a plan means.
async fn refusal(state: &AppState, caller: &Caller, error: &HubError, department: &str, name: &str) -> Problem {
    writing::refusal(state, caller, error, PLURAL, about(department, name)).await.within(PART)
}

/// Reads a plan as the caller; one that the caller may not read is not there.
async fn read(state: &AppState, caller: &Caller, at: &InDepartment) -> Result<Resource, Problem> {
    let found = caller.hub(state).get(&at.namespace, &at.name).await;
    found.map_err(|error| writing::unreadable(&error, about(&at.department, &at.name)))
}

impl Told for Resource {
    const NOUN: &'static str = "recovery-plans";

    fn department(&self) -> Option<&str> {
        self.metadata.namespace.as_deref().and_then(department_of)
    }

    fn item(&self) -> serde_json::Value {
        shapes::json(&view::RecoveryPlanSummary::from(self))
    }
}
