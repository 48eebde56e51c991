//! A department's namespace on the hub, and its people's RoleBindings there.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use zhengyun_crds::department::{Department, DepartmentRole, RoleScope, SubjectKind};
use zhengyun_crds::marks;
use zhengyun_domain::naming;
use zhengyun_domain::seeded::{self, Bug};

use super::super::Context;
use crate::runtime::hub::{is_conflict, is_not_found};

/// Label with the UID of the Department that a namespace belongs to.
const LABEL_DEPARTMENT_UID: &str = "zhengyun.io/department-uid";
const MANAGER: &str = "zhengyun-department";

/// Makes the department's namespace, or finds that it is there. The inner error is a conflict that a person must resolve.
pub(super) async fn namespace(context: &Context, department: &Department) -> kube::Result<Result<String, String>> {
    let name = department.name_any();
    let wanted = match naming::department_namespace(&name) {
        Ok(wanted) => wanted,
        Err(error) => return Ok(Err(format!("metadata.name: {error}"))),
    };
    let uid = department.uid().unwrap_or_default();
    let api: Api<Namespace> = context.cluster();
    let found = match api.get(&wanted).await {
        Ok(found) => found,
        Err(error) if is_not_found(&error) => {
            let labels = BTreeMap::from([
                (marks::LABEL_MANAGED_BY.to_owned(), marks::MANAGED_BY.to_owned()),
                (marks::LABEL_DEPARTMENT.to_owned(), name.clone()),
                (LABEL_DEPARTMENT_UID.to_owned(), uid.clone()),
            ]);
            let body = Namespace {
                metadata: ObjectMeta { name: Some(wanted.clone()), labels: Some(labels), ..ObjectMeta::default() },
                ..Namespace::default()
            };
            match api
                .create(&PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }, &body)
                .await
            {
                Ok(created) => created,
                Err(error) if is_conflict(&error) => api.get(&wanted).await?,
                Err(error) => return Err(error),
            }
        }
        Err(error) => return Err(error),
    };
    if found.labels().get(LABEL_DEPARTMENT_UID) != Some(&uid) {
        return Ok(Err(format!(
            "namespace {wanted} exists on the hub and does not belong to this department; it is left alone. Rename the department, or have the owner of that namespace remove it"
        )));
    }
    Ok(Ok(wanted))
}

/// Takes our labels off the namespace of a department that ends: its records stay until somebody deletes them, and only
/// a namespace without our labels may be deleted.
pub(super) async fn release_namespace(context: &Context, department: &Department) -> kube::Result<()> {
    let Ok(name) = naming::department_namespace(&department.name_any()) else { return Ok(()) };
    let api: Api<Namespace> = context.cluster();
    let Some(found) = api.get_opt(&name).await? else { return Ok(()) };
    if found.labels().get(LABEL_DEPARTMENT_UID) != department.uid().as_ref() {
        return Ok(());
    }
    let patch = serde_json::json!({
        "metadata": {
            "uid": found.metadata.uid, "resourceVersion": found.metadata.resource_version,
            "labels": { LABEL_DEPARTMENT_UID: null, marks::LABEL_DEPARTMENT: null, marks::LABEL_MANAGED_BY: null }
        }
    });
    api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

/// Brings the RoleBindings of a department's namespace to what its own and its ancestors' roles say.
pub(super) async fn role_bindings(context: &Context, department: &Department, namespace: &str) -> kube::Result<()> {
    let desired = desired(context, department, namespace);
    let api: Api<RoleBinding> = context.namespaced(namespace);
    let selector = format!("{}={}", marks::LABEL_MANAGED_BY, marks::MANAGED_BY);
    let existing = api.list(&ListParams::default().labels(&selector)).await?;
    let params = PatchParams::apply(MANAGER).force();
    for binding in &desired {
        let there = existing.items.iter().find(|b| b.name_any() == binding.name_any());
        if there.is_some_and(|b| b.subjects == binding.subjects && b.role_ref == binding.role_ref) {
            continue;
        }
        api.patch(&binding.name_any(), &params, &Patch::Apply(binding)).await?;
    }
    let names: BTreeSet<String> = desired.iter().map(ResourceExt::name_any).collect();
    for stale in existing.items.iter().filter(|b| !names.contains(&b.name_any())) {
        let preconditions = Preconditions { uid: stale.uid(), resource_version: stale.resource_version() };
        let preconditions = Some(preconditions).filter(|_| !seeded::is(Bug::BindingDeletedByName));
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match api.delete(&stale.name_any(), &params).await {
            Err(error) if !is_not_found(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn desired(context: &Context, department: &Department, namespace: &str) -> Vec<RoleBinding> {
    let own = department.name_any();
    let chain = context.ledger.tree().chain(&own).unwrap_or_else(|_| vec![own.clone()]);
    let mut bindings = Vec::new();
    for source in &chain {
        let holder = if *source == own { None } else { context.watches.departments.get(source) };
        let spec = holder.as_ref().map_or(&department.spec, |h| &h.spec);
        if *source != own && holder.is_none() {
            continue;
        }
        for role in DepartmentRole::ALL {
            let mut subjects: Vec<Subject> = spec
                .roles
                .iter()
                .filter(|r| r.role == *role && (*source == own || r.scope == RoleScope::Subtree))
                .flat_map(|r| r.subjects.iter())
                .map(|s| Subject {
                    api_group: Some("rbac.authorization.k8s.io".to_owned()),
                    kind: if s.kind == SubjectKind::User { "User" } else { "Group" }.to_owned(),
                    name: s.name.clone(),
                    namespace: None,
                })
                .collect();
            subjects.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
            subjects.dedup();
            if !subjects.is_empty() {
                bindings.push(binding(namespace, source, *role, subjects));
            }
        }
    }
    bindings
}

fn binding(namespace: &str, source: &str, role: DepartmentRole, subjects: Vec<Subject>) -> RoleBinding {
    let cluster_role = match role {
        DepartmentRole::Clerk => "zhengyun-department-clerk",
        DepartmentRole::Head => "zhengyun-department-head",
        DepartmentRole::LocalReviewer => "zhengyun-local-reviewer",
        DepartmentRole::Viewer => "zhengyun-department-viewer",
    };
    let labels = BTreeMap::from([
        (marks::LABEL_MANAGED_BY.to_owned(), marks::MANAGED_BY.to_owned()),
        (marks::LABEL_DEPARTMENT.to_owned(), source.to_owned()),
    ]);
    RoleBinding {
        metadata: ObjectMeta {
            name: Some(format!("{cluster_role}.{source}")),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: cluster_role.to_owned(),
        },
        subjects: Some(subjects),
    }
}
