//! PersistentVolumes for claims of the lab's storage classes; the real binder of Kubernetes binds them.

use anyhow::{Context as _, Result};
use k8s_openapi::api::{
    core::v1::{Event, PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};

use super::{DRIVER, FAULT, NAME, unless_gone, wants_fault};

/// The annotation that external provisioners put on what they made.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Makes the volume that an unbound claim of our classes waits for.
pub(super) fn provision(
    site: &Client,
    seen: PersistentVolumeClaim,
) -> impl Future<Output = Result<()>> + Send + 'static {
    let site = site.clone();
    async move {
        let (name, namespace) = (seen.name_any(), seen.namespace().unwrap_or_default());
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(site.clone(), &namespace);
        let Some(claim) = claims.get_opt(&name).await? else { return Ok(()) };
        let spec = claim.spec.clone().unwrap_or_default();
        let (Some(class), None, None) = (spec.storage_class_name, spec.volume_name, &claim.metadata.deletion_timestamp)
        else {
            return Ok(());
        };
        let Some(class) = Api::<StorageClass>::all(site.clone()).get_opt(&class).await? else { return Ok(()) };
        if class.provisioner != DRIVER {
            return Ok(());
        }
        if wants_fault(&claim) {
            return report_fault(&site, &claim).await;
        }
        let volume = volume(&claim, &class)?;
        Api::<PersistentVolume>::all(site)
            .patch(&volume_name(&claim)?, &PatchParams::apply(NAME).force(), &Patch::Apply(&volume))
            .await?;
        Ok(())
    }
}

/// Removes a released volume of ours, unless its class retains volumes.
pub(super) fn reclaim(site: &Client, seen: PersistentVolume) -> impl Future<Output = Result<()>> + Send + 'static {
    let volumes: Api<PersistentVolume> = Api::all(site.clone());
    async move {
        let ours = seen.annotations().get(PROVISIONED_BY).is_some_and(|by| by == DRIVER);
        let released = seen.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
        let policy = seen.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        if ours && released && policy == Some("Delete") && seen.metadata.deletion_timestamp.is_none() {
            let only_this = Preconditions { uid: seen.uid(), resource_version: None };
            let parameters = DeleteParams::default().preconditions(only_this);
            unless_gone(volumes.delete(&seen.name_any(), &parameters).await)?;
        }
        Ok(())
    }
}

fn volume_name(claim: &PersistentVolumeClaim) -> Result<String> {
    Ok(format!("simulated-{}", claim.uid().context("a claim without a UID")?))
}

fn volume(claim: &PersistentVolumeClaim, class: &StorageClass) -> Result<Value> {
    let spec = claim.spec.as_ref().context("a claim without a spec")?;
    let size = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
    let name = volume_name(claim)?;
    Ok(json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": name, "annotations": { PROVISIONED_BY: DRIVER } },
        "spec": {
            "capacity": { "storage": size },
            "accessModes": spec.access_modes,
            "volumeMode": spec.volume_mode,
            "persistentVolumeReclaimPolicy": class.reclaim_policy.as_deref().unwrap_or("Delete"),
            "storageClassName": class.name_any(),
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace(), "name": claim.name_any(), "uid": claim.uid(),
            },
            "csi": { "driver": DRIVER, "volumeHandle": name },
        },
    }))
}

/// A claim that cannot be served stays Pending, and an Event says why, as with a real provisioner.
async fn report_fault(site: &Client, claim: &PersistentVolumeClaim) -> Result<()> {
    let namespace = claim.namespace().unwrap_or_default();
    let name = format!("{}.simulated-fault", claim.name_any());
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": name, "namespace": namespace },
        "involvedObject": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": namespace, "name": claim.name_any(), "uid": claim.uid(),
        },
        "type": "Warning", "reason": "ProvisioningFailed", "message": FAULT,
        "source": { "component": NAME }, "count": 1,
        "firstTimestamp": super::now(), "lastTimestamp": super::now(),
    });
    let events: Api<Event> = Api::namespaced(site.clone(), &namespace);
    if events.get_opt(&name).await?.is_none() {
        events.patch(&name, &PatchParams::apply(NAME).force(), &Patch::Apply(&event)).await?;
    }
    Ok(())
}
