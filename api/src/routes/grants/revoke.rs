//! POST /departments/{department}/grants/{name}/revocation

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE32_NOPAD;
use http::StatusCode;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use zhengyun_crds::grant::GrantPhase;
use zhengyun_crds::request::{Action, Disposition, Order};
use zhengyun_crds::{ResourceGrant as Resource, ResourceRequest, ResourceRequestSpec};
use zhengyun_domain::naming::{self, MAX_LABEL_BYTES};

use super::view::phase;
use crate::auth::Caller;
use crate::extract::{InDepartment, Json, NoQuery, OfDepartment};
use crate::names::cut;
use crate::openapi::{BodyProblems, Problems, WriteProblems};
use crate::problem::{About, Code, Finding, Noun, Problem, from_hub};
use crate::routes::requests::order::{AuthorityOrder, Material};
use crate::routes::requests::{ROUTE, Request, answer, create};
use crate::routes::writing::locate;
use crate::state::AppState;
use crate::words::DispositionWord;

/// Characters of the digest in the name of a revocation.
const DIGEST_CHARS: usize = 6;
/// What the name of a revocation says.
const SUFFIX: &str = "revoke";

/// An order to end a grant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRevocation {
    /// Name of the request that orders it; derived from the grant unless stated. State one to ask again after a refusal.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    name: Option<String>,
    /// Why the resources are no longer needed.
    #[schema(min_length = 1, max_length = 2048)]
    justification: String,
    /// What happens to data; Delete unless stated.
    #[serde(default)]
    #[schema(value_type = Option<DispositionWord>)]
    disposition: Option<Disposition>,
    /// Set when the authority itself orders it.
    #[serde(default)]
    authority_order: Option<AuthorityOrder>,
    /// Documents that go with it.
    #[serde(default)]
    #[schema(max_items = 16)]
    materials: Vec<Material>,
}

/// Ask for the end of a grant.
///
/// Writes a request with the action Revoke, already submitted. Once approved, the grant is frozen for the hold of its policy,
/// then removed; its charge ends when zero was proven. Repeating the call with the same content answers 200 with the same request.
#[utoipa::path(post, path = "/departments/{department}/grants/{name}/revocation", tag = "grants", operation_id = "revokeGrant",
    params(
        ("department" = String, Path, description = "Name of the department."),
        ("name" = String, Path, description = "Name of the grant."),
    ),
    request_body(content = NewRevocation, description = "Why, and what happens to data."),
    responses(
        (status = 201, description = "The request that orders it.", body = Request, headers(
            ("ETag" = String, description = "What was written."),
            ("Location" = String, description = "Where the request is."),
        )),
        (status = 200, description = "The same request existed already.", body = Request),
        Problems, WriteProblems, BodyProblems,
    )
)]
pub(crate) async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    at: InDepartment,
    _: NoQuery,
    Json(body): Json<NewRevocation>,
) -> Result<Response, Problem> {
    // Read as the caller and not from the cache: the order starts from this revision.
    let grant: Resource = caller.hub(&state).get(&at.namespace, &at.name).await.map_err(|error| {
        let problem = from_hub(&error, About { noun: Noun::Grant, department: &at.department, name: &at.name });
        if problem.code() == Code::Forbidden { Problem::not_found(Noun::Grant, &at.name) } else { problem }
    })?;
    if grant.spec.revocation.is_some() || matches!(phase(&grant), GrantPhase::Revoking | GrantPhase::Revoked) {
        let shown = if grant.spec.revocation.is_some() && phase(&grant) != GrantPhase::Revoked {
            GrantPhase::Revoking
        } else {
            phase(&grant)
        };
        return Err(Problem::grant_not_live(&at.name, shown.as_str()));
    }
    let request = order(&caller, &at, &grant, body)?;
    let name = request.metadata.name.clone().unwrap_or_default();
    let within = OfDepartment { department: at.department, namespace: at.namespace };
    let (request, created) = create::store(&state, &caller, &within, &request, false).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = answer(status, &request).into_response();
    locate(&mut response, &within.department, ROUTE, &name);
    Ok(response)
}

fn order(
    caller: &Caller,
    at: &InDepartment,
    grant: &Resource,
    body: NewRevocation,
) -> Result<ResourceRequest, Problem> {
    let name = body.name.unwrap_or_else(|| derived_name(grant));
    if let Err(error) = naming::check_label(&name) {
        return Err(Problem::invalid(vec![Finding::new("/name", "Name", error.to_string())]));
    }
    let order = Order {
        action: Action::Revoke,
        system: Some(grant.spec.system.clone()),
        site: grant.spec.site.clone(),
        grant: Some(at.name.clone()),
        base_revision: Some(grant.spec.revision),
        class: grant.spec.class,
        items: Vec::new(),
        lease_end: None,
        disposition: Some(body.disposition.unwrap_or(Disposition::Delete)),
        authority_order: body.authority_order.map(Into::into),
        justification: body.justification,
    };
    let mut request = ResourceRequest::new(
        &name,
        ResourceRequestSpec {
            order,
            materials: body.materials.into_iter().map(Into::into).collect(),
            submission: 1,
            withdrawn: false,
            delivery_confirmed: false,
            requested_by: caller.username().to_owned(),
            edited_by: caller.username().to_owned(),
        },
    );
    request.metadata.namespace = Some(at.namespace.clone());
    Ok(request)
}

/// `<grant, cut>-revoke-<digest of its UID>`: the same grant gives the same name, so that asking twice asks once.
fn derived_name(grant: &Resource) -> String {
    let uid = grant.metadata.uid.as_deref().unwrap_or_default();
    let digest: String = BASE32_NOPAD
        .encode(&Sha256::digest(uid.as_bytes()))
        .chars()
        .take(DIGEST_CHARS)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let room = MAX_LABEL_BYTES.saturating_sub(SUFFIX.len()).saturating_sub(DIGEST_CHARS).saturating_sub(2);
    format!("{}-{SUFFIX}-{digest}", cut(grant.metadata.name.as_deref().unwrap_or_default(), room))
}
