//! POST /departments/{department}/requests

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use zhengyun_crds::request::Action;
use zhengyun_crds::{ResourceRequest as Resource, ResourceRequestSpec};
use zhengyun_domain::seeded::{self, Bug};

use super::order::{Material, Order};
use super::preview::{Preview, preview};
use super::{DryRunQuery, ROUTE, Request, answer, phase, refusal};
use crate::auth::Caller;
use crate::cache::Written as _;
use crate::extract::{Json, OfDepartment, Query};
use crate::openapi::{BodyProblems, Problems, WriteProblems};
use crate::problem::{Noun, Problem};
use crate::routes::writing::{check_name, locate};
use crate::state::AppState;

/// A new request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRequest {
    /// Its name, a DNS label.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    name: String,
    /// What is asked for.
    order: Order,
    /// Documents that go with it.
    #[serde(default)]
    #[schema(max_items = 16)]
    materials: Vec<Material>,
}

/// What a write answers that stored nothing new.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes two answers under one status; the handlers answer with one or the other")]
pub(in crate::routes) enum RequestOrPreview {
    /// With `dryRun=all`: what a submission would mean.
    Preview(Preview),
    /// Otherwise: the request as it stands.
    Request(Box<Request>),
}

/// Write a request, or try it.
///
/// The request is a draft until it is submitted. Repeating the call with the same content answers 200 with the same request.
/// With `dryRun=all` nothing is stored: the answer says the charge, its effect at every ancestor, the approval path and
/// what stands in the way.
#[utoipa::path(post, path = "/departments/{department}/requests", tag = "requests", operation_id = "createRequest",
    params(("department" = String, Path, description = "Name of the department."), DryRunQuery),
    request_body(content = NewRequest, description = "The request."),
    responses(
        (status = 201, description = "The draft.", body = Request, headers(
            ("ETag" = String, description = "What was written, for If-Match."),
            ("Location" = String, description = "Where the request is."),
        )),
        (status = 200, description = "With `dryRun=all`: what a submission would mean. Otherwise: the same request existed already.", body = RequestOrPreview),
        Problems, WriteProblems, BodyProblems,
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    at: OfDepartment,
    Query(query): Query<DryRunQuery>,
    Json(body): Json<NewRequest>,
) -> Result<Response, Problem> {
    let name = body.name.clone();
    let draft = draft(&caller, &at, body)?;
    if query.dry_run.is_some() {
        // The hub tries it first, for its rules and the caller's right: what a person may not write, they may not try either.
        let tried = store(&state, &caller, &at, &draft, true).await?;
        return Ok(axum::Json(preview(&state, &at.department, &tried.0)).into_response());
    }
    let (request, created) = store(&state, &caller, &at, &draft, false).await?;
    if !created {
        return Ok(answer(StatusCode::OK, &request).into_response());
    }
    let mut response = answer(StatusCode::CREATED, &request).into_response();
    locate(&mut response, &at.department, ROUTE, &name);
    Ok(response)
}

fn draft(caller: &Caller, at: &OfDepartment, body: NewRequest) -> Result<Resource, Problem> {
    let NewRequest { name, order, materials } = body;
    check_name(&name)?;
    if matches!(order.action, Action::Change | Action::Renew) {
        return Err(Problem::action_not_available(order.action.as_str()));
    }
    let mut request = Resource::new(
        &name,
        ResourceRequestSpec {
            order: order.into(),
            materials: materials.into_iter().map(Into::into).collect(),
            submission: 0,
            withdrawn: false,
            delivery_confirmed: false,
            requested_by: caller.username().to_owned(),
            edited_by: caller.username().to_owned(),
        },
    );
    request.metadata.namespace = Some(at.namespace.clone());
    Ok(request)
}

/// Creates the request as the caller. One that exists already with the same content is the same request, as after a lost answer.
pub(in crate::routes) async fn store(
    state: &AppState,
    caller: &Caller,
    at: &OfDepartment,
    request: &Resource,
    dry_run: bool,
) -> Result<(Resource, bool), Problem> {
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let hub = caller.hub(state);
    let error = match hub.create(&at.namespace, request, dry_run).await {
        Ok(created) => return Ok((created, true)),
        Err(error) => error,
    };
    if error.is_already_exists() && !dry_run {
        if seeded::is(Bug::CreatedUnderAnotherName) {
            let mut other = request.clone();
            other.metadata.name = Some(format!("{name}-2"));
            let made = hub.create(&at.namespace, &other, false).await;
            return made.map(|made| (made, true)).map_err(|_| Problem::already_exists(Noun::Request, name));
        }
        let existing: Result<Resource, _> = hub.get(&at.namespace, name).await;
        if let Ok(existing) = existing.map_err(|e| tracing::debug!("the existing request cannot be read: {e}"))
            && is_same(&existing, request)
        {
            // Whoever repeats a call did not hear that the first one was seen.
            existing.shown(&state.cache).await;
            return Ok((existing, false));
        }
        return Err(Problem::already_exists(Noun::Request, name));
    }
    Err(refusal(state, caller, &error, &at.department, name).await)
}

/// Whether an existing request is what this call would have created, not yet acted on.
fn is_same(existing: &Resource, wanted: &Resource) -> bool {
    existing.metadata.deletion_timestamp.is_none() && !phase(existing).is_terminal() && existing.spec == wanted.spec
}
