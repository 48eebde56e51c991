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
use crate::auth::{Caller, Right};
use crate::etag::Tag;
use crate::extract::InDepartment;
use crate::hub::HubError;
use crate::problem::{About, Code, Noun, Problem, from_hub};
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
    #[param(value_type = Option<TryAll>, inline)]
    dry_run: Option<TryAll>,
}

/// How much of a write is only tried.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TryAll {
    /// All of it.
    All,
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

/// What a refused write means. What the caller may not even see is not there.
async fn refusal(state: &AppState, caller: &Caller, error: &HubError, department: &str, name: &str) -> Problem {
    let problem = from_hub(error, About { noun: Noun::RecoveryPlan, department, name }).within(PART);
    if problem.code() != Code::Forbidden {
        return problem;
    }
    match caller.may(state, &Right::get(PLURAL), department).await {
        Ok(true) => problem,
        Ok(false) => Problem::not_found(Noun::Department, department),
        Err(unanswered) => unanswered,
    }
}

/// Reads a plan as the caller; one that the caller may not read is not there.
async fn read(state: &AppState, caller: &Caller, at: &InDepartment) -> Result<Resource, Problem> {
    caller.hub(state).get(&at.namespace, &at.name).await.map_err(|error| {
        let problem = from_hub(&error, About { noun: Noun::RecoveryPlan, department: &at.department, name: &at.name });
        if problem.code() == Code::Forbidden { Problem::not_found(Noun::RecoveryPlan, &at.name) } else { problem }
    })
}

fn is_conflict(error: &HubError) -> bool {
    error.status().is_some_and(kube::core::Status::is_conflict)
}
