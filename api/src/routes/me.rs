//! GET /me

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::department::DepartmentRole;

use crate::auth::{Caller, Right};
use crate::extract::NoQuery;
use crate::openapi::{Problems, QueryProblems};
use crate::problem::Problem;
use crate::shapes::DisplayNames;
use crate::state::AppState;
use crate::words::DepartmentRoleWord;

/// Who the caller is and what the caller may do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    /// Username as the hub knows it.
    username: String,
    /// Groups as the hub knows them.
    groups: Vec<String>,
    /// Whether the caller sees the requests of every department.
    all_departments: bool,
    /// Stages that the caller may decide in every department.
    stages: Vec<String>,
    /// Departments in which the caller holds a role.
    departments: Vec<MyDepartment>,
}

/// A department in which the caller holds a role.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MyDepartment {
    /// Its name.
    name: String,
    /// Its names for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_names: Option<DisplayNames>,
    /// The caller's roles.
    #[schema(value_type = Vec<DepartmentRoleWord>)]
    roles: Vec<String>,
}

/// Who the caller is.
///
/// Username, groups, departments with the roles held there, and stages that may be decided everywhere.
#[utoipa::path(get, path = "/me", tag = "me", operation_id = "getMe", responses(
    (status = 200, description = "The caller.", body = Me),
    Problems, QueryProblems,
))]
pub(crate) async fn get(State(state): State<AppState>, caller: Caller, _: NoQuery) -> Result<axum::Json<Me>, Problem> {
    let all_departments = caller.may_everywhere(&state, &Right::list("resourcerequests")).await?;
    let mut stages = Vec::new();
    for stage in known_stages(&state) {
        if caller.may_everywhere(&state, &Right::decide(&stage)).await? {
            stages.push(stage);
        }
    }
    let departments = departments(&state, &caller).await?;
    let identity = &caller.identity;
    Ok(axum::Json(Me {
        username: identity.username.clone(),
        groups: identity.groups.clone(),
        all_departments,
        stages,
        departments,
    }))
}

fn known_stages(state: &AppState) -> BTreeSet<String> {
    state.cache.policies.all().iter().flat_map(|p| p.spec.stages.iter().map(|s| s.name.clone())).collect()
}

async fn departments(state: &AppState, caller: &Caller) -> Result<Vec<MyDepartment>, Problem> {
    let mut roles: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (department, cluster_role) in caller.bound_roles(state) {
        if let Some(role) = role_of(&cluster_role) {
            roles.entry(department).or_default().push(role.to_string());
        }
    }
    let sight = caller.sight(state, &Right::list("resourcerequests")).await?;
    let confirmed = roles.into_iter().filter(|(department, _)| sight.reaches(department));
    let mine = confirmed.map(|(name, roles)| {
        let display_names = state.cache.departments.get(&name).map(|d| DisplayNames::from(&d.spec.display_names));
        MyDepartment { name, display_names, roles }
    });
    Ok(mine.collect())
}

/// The department role that a cluster role of the chart carries.
fn role_of(cluster_role: &str) -> Option<DepartmentRole> {
    match cluster_role {
        "zhengyun-department-clerk" => Some(DepartmentRole::Clerk),
        "zhengyun-department-head" => Some(DepartmentRole::Head),
        "zhengyun-local-reviewer" => Some(DepartmentRole::LocalReviewer),
        "zhengyun-department-viewer" => Some(DepartmentRole::Viewer),
        _ => None,
    }
}
