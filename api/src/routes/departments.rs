//! Departments: the tenancy tree, as far as the caller may see it.

mod get;
mod list;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zhengyun_crds::Department as Resource;

use crate::shapes::{self, Condition, DisplayNames, Readiness};
use crate::state::AppState;
use crate::words::{DepartmentRoleWord, LevelWord, RoleScopeWord, SubjectKindWord, UnitTypeWord};

const PLURAL: &str = "departments";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list::list)).routes(routes!(get::get))
}

/// A department in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DepartmentSummary {
    /// Its name.
    name: String,
    /// Its names for people.
    display_names: DisplayNames,
    /// What it is in law.
    #[serde(rename = "type")]
    #[schema(value_type = UnitTypeWord)]
    kind: String,
    /// Administrative level.
    #[schema(value_type = LevelWord)]
    level: String,
    /// Parent in force; absent for the region, and until the place in the tree is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// From the root to this department, joined by `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Whether it is as intended.
    ready: Readiness,
}

/// A department.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Department {
    /// Its name.
    name: String,
    /// Its names for people.
    display_names: DisplayNames,
    /// What it is in law.
    #[serde(rename = "type")]
    #[schema(value_type = UnitTypeWord)]
    kind: String,
    /// Administrative level.
    #[schema(value_type = LevelWord)]
    level: String,
    /// Parent in force; absent for the region, and until the place in the tree is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// Parent that is asked for; differs from `parent` while a move is blocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted_parent: Option<String>,
    /// From the root to this department, joined by `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Code of the administrative division (GB/T 2260).
    #[serde(skip_serializing_if = "Option::is_none")]
    division_code: Option<String>,
    /// Unified social credit code (GB 32100).
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_code: Option<String>,
    /// Hub namespace that holds its objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Who may do what for it.
    roles: Vec<RoleAssignment>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
    /// When it was registered.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A role and who holds it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleAssignment {
    /// The role.
    #[schema(value_type = DepartmentRoleWord)]
    role: String,
    /// Where it holds.
    #[schema(value_type = RoleScopeWord)]
    scope: String,
    /// Who holds it.
    subjects: Vec<RoleSubject>,
}

/// A person or group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleSubject {
    /// Person or group.
    #[schema(value_type = SubjectKindWord)]
    kind: String,
    /// Name as the hub knows it.
    name: String,
}

impl From<&Resource> for DepartmentSummary {
    fn from(resource: &Resource) -> Self {
        let (spec, status) = (&resource.spec, resource.status.as_ref());
        Self {
            name: shapes::name(&resource.metadata),
            display_names: (&spec.display_names).into(),
            kind: spec.type_.to_string(),
            level: spec.level.to_string(),
            parent: status.and_then(|s| s.parent.clone()),
            path: status.and_then(|s| s.path.clone()),
            ready: shapes::readiness(status.map(|s| &s.conditions)),
        }
    }
}

impl From<&Resource> for Department {
    fn from(resource: &Resource) -> Self {
        let (spec, status) = (&resource.spec, resource.status.as_ref());
        Self {
            name: shapes::name(&resource.metadata),
            display_names: (&spec.display_names).into(),
            kind: spec.type_.to_string(),
            level: spec.level.to_string(),
            parent: status.and_then(|s| s.parent.clone()),
            wanted_parent: spec.parent.clone(),
            path: status.and_then(|s| s.path.clone()),
            division_code: spec.division_code.clone(),
            credit_code: spec.credit_code.clone(),
            namespace: status.and_then(|s| s.namespace.clone()),
            roles: spec.roles.iter().map(RoleAssignment::from).collect(),
            conditions: shapes::conditions(status.map(|s| &s.conditions)),
            created_at: shapes::created(&resource.metadata),
        }
    }
}

impl From<&zhengyun_crds::department::RoleAssignment> for RoleAssignment {
    fn from(assignment: &zhengyun_crds::department::RoleAssignment) -> Self {
        let subject =
            |s: &zhengyun_crds::department::RoleSubject| RoleSubject { kind: s.kind.to_string(), name: s.name.clone() };
        Self {
            role: assignment.role.to_string(),
            scope: assignment.scope.to_string(),
            subjects: assignment.subjects.iter().map(subject).collect(),
        }
    }
}
