//! POST /departments/{department}/drills

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use zhengyun_crds::recovery::{DrillTrigger, RecoveryDrill as Resource, RecoveryDrillSpec};

use super::super::run;
use super::view::Drill;
use crate::auth::Caller;
use crate::extract::{Json, NoQuery, OfDepartment};
use crate::openapi::{BodyProblems, Problems, WriteProblems};
use crate::problem::{Finding, Problem};
use crate::routes::writing::check_name;
use crate::state::AppState;

/// A drill outside the schedule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDrill {
    /// Its name, a DNS label.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    name: String,
    /// Recovery plan of the department.
    #[schema(min_length = 1, max_length = 40)]
    plan: String,
    /// Store whose copy is tried; the plan's first one unless stated.
    #[serde(default)]
    #[schema(max_length = 40)]
    store: Option<String>,
    /// Backup that is tried; the newest verified one in the store unless stated.
    #[serde(default)]
    #[schema(max_length = 63)]
    backup: Option<String>,
    /// Site at which it is restored; the drill site of the plan unless stated.
    #[serde(default)]
    #[schema(max_length = 40)]
    site: Option<String>,
}

/// Ask for a drill now.
///
/// A copy is restored into scratch at the drill site, compared with what was backed up, timed, and removed. Repeating the call
/// with the same content answers 200 with the same drill.
#[utoipa::path(post, path = "/departments/{department}/drills", tag = "recovery", operation_id = "createDrill",
    params(("department" = String, Path, description = "Name of the department.")),
    request_body(content = NewDrill, description = "The drill."),
    responses(
        (status = 201, description = "The drill, pending.", body = Drill, headers(
            ("Location" = String, description = "Where the drill is."),
        )),
        (status = 200, description = "The same drill existed already.", body = Drill),
        Problems, WriteProblems, BodyProblems,
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    at: OfDepartment,
    _: NoQuery,
    Json(body): Json<NewDrill>,
) -> Result<Response, Problem> {
    check_name(&body.name)?;
    let plan = run::plan(&state, &caller, &at, &body.plan).await?;
    let store = body.store.or_else(|| plan.spec.copies.first().map(|copy| copy.store.clone())).unwrap_or_default();
    let Some(site) = body.site.or_else(|| plan.spec.drill.as_ref().map(|drill| drill.site.clone())) else {
        let message = format!("recovery plan {} names no drill site: say at which site it is restored", body.plan);
        return Err(Problem::invalid(vec![Finding::new("/site", "Required", message)]));
    };
    let mut drill = Resource::new(
        &body.name,
        RecoveryDrillSpec {
            plan: body.plan,
            plan_uid: plan.metadata.uid.unwrap_or_default(),
            backup: body.backup,
            store,
            site,
            trigger: DrillTrigger::Manual,
            due: None,
            requested_by: caller.username().to_owned(),
            cancel: false,
        },
    );
    drill.metadata.namespace = Some(at.namespace.clone());
    run::start::<Resource, Drill>(&state, &caller, &at, &drill).await
}
