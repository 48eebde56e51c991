//! POST /departments/{department}/recovery-plans

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use zhengyun_crds::recovery::RecoveryPlan as Resource;

use super::content::PlanContent;
use super::preview::{preview, refuse_foreign};
use super::view::RecoveryPlan;
use super::{PlanOrPreview, TryQuery, answer, refusal};
use crate::auth::Caller;
use crate::cache::Written as _;
use crate::extract::{Json, OfDepartment, Query};
use crate::openapi::{BodyProblems, Problems, WriteProblems};
use crate::problem::{Noun, Problem};
use crate::routes::writing::{check_name, locate};
use crate::state::AppState;

/// A new recovery plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRecoveryPlan {
    /// Its name, a DNS label; the names of its runs begin with it.
    #[schema(min_length = 1, max_length = 40, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    name: String,
    /// What it says.
    plan: PlanContent,
}

/// Write a recovery plan, or try it.
///
/// It starts runs by itself from the next due time on, unless it is paused. Sources name grants of the department, and what the cloud
/// administrator declared for it; others are refused. Repeating the call with the same content answers 200 with the same plan. With
/// `dryRun=all` nothing is stored: the answer says what would be read, where the copies would be, and what keeps runs from starting.
#[utoipa::path(post, path = "/departments/{department}/recovery-plans", tag = "recovery", operation_id = "createRecoveryPlan",
    params(("department" = String, Path, description = "Name of the department."), TryQuery),
    request_body(content = NewRecoveryPlan, description = "The recovery plan."),
    responses(
        (status = 201, description = "The recovery plan.", body = RecoveryPlan, headers(
            ("ETag" = String, description = "What was written, for If-Match."),
            ("Location" = String, description = "Where the recovery plan is."),
        )),
        (status = 200, description = "With `dryRun=all`: what it would do. Otherwise: the same recovery plan existed already.", body = PlanOrPreview),
        Problems, WriteProblems, BodyProblems,
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    at: OfDepartment,
    Query(query): Query<TryQuery>,
    Json(body): Json<NewRecoveryPlan>,
) -> Result<Response, Problem> {
    let NewRecoveryPlan { name, plan } = body;
    check_name(&name)?;
    let mut plan = Resource::new(&name, plan.spec()?);
    plan.metadata.namespace = Some(at.namespace.clone());
    let hub = caller.hub(&state);
    // The hub tries it first, for its rules and the caller's right: what a person may not write, they may not try either.
    let tried = match hub.create(&at.namespace, &plan, true).await {
        Ok(tried) => tried,
        Err(error) if error.is_already_exists() && query.dry_run.is_none() => {
            return same(&state, &caller, &at, &plan).await;
        }
        Err(error) => return Err(refusal(&state, &caller, &error, &at.department, &name).await),
    };
    refuse_foreign(&state, &at.department, &plan.spec, None)?;
    if query.dry_run.is_some() {
        return Ok(axum::Json(preview(&state, &at.department, &tried)?).into_response());
    }
    match hub.create(&at.namespace, &plan, false).await {
        Ok(created) => {
            let mut response = answer(StatusCode::CREATED, &created).into_response();
            locate(&mut response, &at.department, "recovery-plans", &name);
            Ok(response)
        }
        Err(error) if error.is_already_exists() => same(&state, &caller, &at, &plan).await,
        Err(error) => Err(refusal(&state, &caller, &error, &at.department, &name).await),
    }
}

/// The plan that has the name, if it says what this call would have written, as after a lost answer.
async fn same(state: &AppState, caller: &Caller, at: &OfDepartment, wanted: &Resource) -> Result<Response, Problem> {
    let name = wanted.metadata.name.as_deref().unwrap_or_default();
    let existing: Result<Resource, _> = caller.hub(state).get(&at.namespace, name).await;
    if let Ok(existing) = existing.map_err(|e| tracing::debug!("the existing plan cannot be read: {e}"))
        && existing.metadata.deletion_timestamp.is_none()
        && existing.spec == wanted.spec
    {
        // Whoever repeats a call did not hear that the first one was seen.
        existing.shown(&state.cache).await;
        return Ok(answer(StatusCode::OK, &existing).into_response());
    }
    Err(Problem::already_exists(Noun::RecoveryPlan, name))
}
