//! PUT /departments/{department}/requests/{name}

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use zhengyun_crds::request::Action;

use super::amend::{Change, Seen, amend};
use super::create::RequestOrPreview;
use super::order::{Material, Order};
use super::preview::preview;
use super::{DryRunQuery, answer, is_editable, phase};
use crate::auth::Caller;
use crate::extract::{InDepartment, Json, Query};
use crate::openapi::{BodyProblems, Problems, SeenProblems, WriteProblems};
use crate::problem::Problem;
use crate::state::AppState;

/// What a request asks for now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Correction {
    /// What is asked for; replaces the order whole.
    order: Order,
    /// Documents that go with it; replace the documents whole.
    #[serde(default)]
    #[schema(max_items = 16)]
    materials: Vec<Material>,
}

/// Correct a request.
///
/// Only a draft, or a request that was returned for correction. Submit it again afterwards. With `dryRun=all` nothing is
/// stored and the answer is a preview.
#[utoipa::path(put, path = "/departments/{department}/requests/{name}", tag = "requests", operation_id = "correctRequest",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the request."),
        ("If-Match" = String, Header, description = "ETag of the request that was read."),
        DryRunQuery,
    ),
    request_body(content = Correction, description = "The order and its documents."),
    responses(
        (status = 200, description = "The request; with `dryRun=all` what a submission would mean.", body = RequestOrPreview, headers(("ETag" = String, description = "What was written, for If-Match."))),
        Problems, WriteProblems, BodyProblems, SeenProblems,
    )
)]
pub(crate) async fn correct(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    headers: HeaderMap,
    Query(query): Query<DryRunQuery>,
    Json(body): Json<Correction>,
) -> Result<Response, Problem> {
    let Correction { order, materials } = body;
    if matches!(order.action, Action::Change | Action::Renew) {
        return Err(Problem::action_not_available(order.action.as_str()));
    }
    let order = value(zhengyun_crds::request::Order::from(order))?;
    let materials = value(materials.into_iter().map(Into::into).collect::<Vec<zhengyun_crds::request::Material>>())?;
    let dry_run = query.dry_run.is_some();
    let written = amend(&state, &caller, &at, (&headers, Seen::Required, dry_run), |request| {
        if !is_editable(phase(request)) {
            return Err(Problem::request_frozen(phase(request).as_str()));
        }
        Ok(Change::Fields(vec![("order", order.clone()), ("materials", materials.clone())]))
    })
    .await?;
    if dry_run {
        return Ok(axum::Json(preview(&state, &at.department, &written)).into_response());
    }
    Ok(answer(StatusCode::OK, &written).into_response())
}

fn value(part: impl serde::Serialize) -> Result<Value, Problem> {
    serde_json::to_value(part).map_err(|error| Problem::internal(&error))
}
