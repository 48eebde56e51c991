//! PUT /departments/{department}/recovery-plans/{name}

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use zhengyun_crds::recovery::{RecoveryPlan as Resource, RecoveryPlanSpec};

use super::content::PlanContent;
use super::preview::{preview, refuse_foreign};
use super::{PlanOrPreview, TryQuery, answer, read, refusal};
use crate::auth::Caller;
use crate::cache::Written as _;
use crate::etag::Tag;
use crate::extract::{InDepartment, Json, Query};
use crate::merge::instead;
use crate::openapi::{BodyProblems, Problems, SeenProblems, WriteProblems};
use crate::problem::Problem;
use crate::routes::writing::{ATTEMPTS, PAUSE};
use crate::state::AppState;

/// What a recovery plan says now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangedPlan {
    /// Replaces what is there whole; what is left out gets its default.
    plan: PlanContent,
}

/// Change a recovery plan, pause it or resume it.
///
/// Read it, change its `plan`, and send that back. `paused` set to true starts no further run; what runs goes on. A run that has begun
/// reads what it began with. With `dryRun=all` nothing is stored and the answer says what it would do.
#[utoipa::path(put, path = "/departments/{department}/recovery-plans/{name}", tag = "recovery", operation_id = "replaceRecoveryPlan",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the recovery plan."),
        ("If-Match" = String, Header, description = "ETag of the recovery plan that was read."),
        TryQuery,
    ),
    request_body(content = ChangedPlan, description = "What it says."),
    responses(
        (status = 200, description = "The recovery plan; with `dryRun=all` what it would do.", body = PlanOrPreview, headers(("ETag" = String, description = "What was written, for If-Match."))),
        Problems, WriteProblems, BodyProblems, SeenProblems,
    )
)]
pub(crate) async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    headers: HeaderMap,
    Query(query): Query<TryQuery>,
    Json(body): Json<ChangedPlan>,
) -> Result<Response, Problem> {
    let wanted = body.plan.spec()?;
    let hub = caller.hub(&state);
    for _ in 0..ATTEMPTS {
        let current = read(&state, &caller, &at).await?;
        Tag::of_plan(&current).require(&headers)?;
        let patch = patch(&current, &wanted)?;
        // The hub tries it first, so that nobody learns what a department holds who may not write its plans.
        let attempt = match hub.patch::<Resource>(&at.namespace, &at.name, &patch, true).await {
            Ok(tried) => {
                refuse_foreign(&state, &at.department, &wanted, Some(&current.spec))?;
                if query.dry_run.is_some() {
                    return Ok(axum::Json(preview(&state, &at.department, &tried)?).into_response());
                }
                if current.spec == wanted {
                    // Whoever repeats a call did not hear that the first one was seen.
                    current.shown(&state.cache).await;
                    return Ok(answer(StatusCode::OK, &current).into_response());
                }
                hub.patch(&at.namespace, &at.name, &patch, false).await
            }
            refused => refused,
        };
        match attempt {
            Ok(written) => return Ok(answer(StatusCode::OK, &written).into_response()),
            Err(error) if error.is_conflict() => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(refusal(&state, &caller, &error, &at.department, &at.name).await),
        }
    }
    Err(Problem::conflict())
}

/// The merge patch that makes a plan say what is wanted, guarded by what was read.
///
/// A patch rather than a whole object: fields that this version does not know are in neither side of the comparison, and stay.
fn patch(current: &Resource, wanted: &RecoveryPlanSpec) -> Result<Value, Problem> {
    let value = |spec: &RecoveryPlanSpec| serde_json::to_value(spec).map_err(|error| Problem::internal(&error));
    let spec = instead(Some(&value(&current.spec)?), value(wanted)?);
    let guard = json!({ "uid": current.metadata.uid, "resourceVersion": current.metadata.resource_version });
    Ok(json!({ "metadata": guard, "spec": spec }))
}
