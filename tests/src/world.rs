//! A small real world for demo, figures and tests: the region's real divisions and departments, invented people, sites and quotas.

pub mod content;
pub mod door;
mod establish;
mod fixtures;
mod objects;

pub use establish::establish;
pub use fixtures::{SystemRow, UnitRow, divisions, systems, units};
pub use objects::{departments, information_systems, kind_documents, quotas, sites};

use anyhow::{Context as _, Result};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt, discovery};

/// Applies objects of any kind as a person would with `kubectl apply --server-side`.
///
/// # Errors
/// The first object that the API server refuses.
pub async fn apply(client: &Client, objects: &[DynamicObject]) -> Result<()> {
    let params = PatchParams::apply("kubectl").force();
    for object in objects {
        let api = api_of(client, object).await?;
        let name = object.name_any();
        let kind = object.types.as_ref().map(|t| t.kind.clone()).unwrap_or_default();
        api.patch(&name, &params, &Patch::Apply(object)).await.with_context(|| format!("apply {kind} {name}"))?;
    }
    Ok(())
}

/// The API of an object: of its kind, in its namespace.
///
/// # Errors
/// When the API server does not have the kind.
pub async fn api_of(client: &Client, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let types = object.types.clone().context("an object names its kind")?;
    let gvk = kube::core::GroupVersionKind::try_from(&types)?;
    let (resource, capabilities) =
        discovery::pinned_kind(client, &gvk).await.with_context(|| format!("find {}", types.kind))?;
    Ok(match (capabilities.scope, object.namespace()) {
        (discovery::Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), &namespace, &resource),
        _ => Api::all_with(client.clone(), &resource),
    })
}
