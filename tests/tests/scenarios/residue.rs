//! What a deletion leaves behind keeps the charge: zero is proven, not assumed.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use zhengyun_crds::grant::RevokeStep;
use zhengyun_crds::{GrantPhase, Ledger};
use zhengyun_tests::lab::provisioner::STORAGE_CLASS_RETAIN;
use zhengyun_tests::town::{Town, phase_of};

use super::world::{order, serve};

pub(crate) async fn a_retained_volume_keeps_the_charge(town: &Arc<Town>) -> Result<()> {
    let parameters = json!({ "size": "3Gi", "storageClass": STORAGE_CLASS_RETAIN });
    let grant = serve(town, "retained", &order("block-volume", "disk", &parameters)).await?;
    let namespace = town.grant("finance", &grant).await?.status.and_then(|s| s.namespace).context("a namespace")?;
    let path = format!("/api/v1/departments/finance/grants/{grant}/revocation");
    town.door("clerk-finance")?.post(&path, &json!({ "justification": "the test is over" })).await?;
    let held = town
        .grant_when("finance", &grant, "kept by its volume", |g| {
            let status = g.status.clone().unwrap_or_default();
            status.step == Some(RevokeStep::Proving) && status.conditions.iter().any(|c| c.reason == "RetainedStorage")
        })
        .await?;
    let site = town.site_admin("hohhot")?;
    ensure!(Api::<Namespace>::all(site.clone()).get_opt(&namespace).await?.is_none(), "the namespace is gone");
    let charge = held.status.and_then(|s| s.charge).unwrap_or_default();
    ensure!(charge.granted.contains_key("storage.block"), "still charged, but {charge:?}");
    let ledger = Api::<Ledger>::all(town.admin()?).get("hohhot").await?.status.unwrap_or_default();
    ensure!(ledger.totals.granted.get("storage.block").is_some_and(|q| q.as_str() == "3Gi"), "{:?}", ledger.totals);

    let volumes: Api<PersistentVolume> = Api::all(site);
    let left: Vec<PersistentVolume> = volumes
        .list(&ListParams::default())
        .await?
        .items
        .into_iter()
        .filter(|v| {
            v.spec.as_ref().and_then(|s| s.claim_ref.as_ref()).and_then(|c| c.namespace.as_deref()) == Some(&namespace)
        })
        .collect();
    ensure!(left.len() == 1, "one volume is left, but {}", left.len());
    for volume in &left {
        volumes.delete(&volume.name_any(), &DeleteParams::default()).await?;
    }
    let ended = town.grant_when("finance", &grant, "revoked", |g| phase_of(g) == GrantPhase::Revoked).await?;
    let charge = ended.status.and_then(|s| s.charge).unwrap_or_default();
    ensure!(charge.granted.is_empty(), "{charge:?}");
    Ok(())
}
