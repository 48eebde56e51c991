//! Lives of requests and grants.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::ResourceExt;
use serde_json::json;
use zhengyun_crds::{GrantPhase, RequestPhase};

use super::super::stage::Stage;
use super::{order, revocation};

const CLERK: &str = "clerk-finance";
const HEAD: &str = "head-finance";
const HOME: &str = "finance";
const SYSTEM: &str = "finance-e-invoice";

async fn served(stage: &Stage, name: &str) -> Result<String> {
    stage.submit(CLERK, HOME, name, &order(SYSTEM, "Test", "2")).await?;
    stage.decide(HEAD, HOME, name, "department", "Approve").await?;
    Ok(stage.granted(HOME, name, GrantPhase::InService).await?.name_any())
}

async fn ended(stage: &Stage, create: &str, grant: &str) -> Result<()> {
    stage.submit(CLERK, HOME, "the-end", &revocation(grant)).await?;
    stage.decide(HEAD, HOME, "the-end", "department", "Approve").await?;
    stage.granted(HOME, create, GrantPhase::Revoked).await?;
    stage.in_phase(HOME, "the-end", RequestPhase::Applied).await?;
    Ok(())
}

pub(super) async fn deliver(stage: &Stage) -> Result<()> {
    served(stage, "space").await?;
    Ok(())
}

pub(super) async fn auto(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, "space", &order(SYSTEM, "Temporary", "2")).await?;
    stage.granted(HOME, "space", GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn correct(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, "space", &order(SYSTEM, "Test", "2")).await?;
    stage.decide(HEAD, HOME, "space", "department", "Return").await?;
    stage.in_phase(HOME, "space", RequestPhase::ReturnedForCorrection).await?;
    stage.amend(CLERK, HOME, "space", &json!({ "order": order(SYSTEM, "Test", "1"), "submission": 2 })).await?;
    stage.decide(HEAD, HOME, "space", "department", "Approve").await?;
    stage.granted(HOME, "space", GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn refuse(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, "one", &order(SYSTEM, "Test", "2")).await?;
    stage.submit(CLERK, HOME, "two", &order(SYSTEM, "Test", "3")).await?;
    stage.decide(HEAD, HOME, "one", "department", "Reject").await?;
    stage.in_phase(HOME, "two", RequestPhase::InReview).await?;
    stage.amend(CLERK, HOME, "two", &json!({ "withdrawn": true })).await?;
    stage.in_phase(HOME, "one", RequestPhase::Rejected).await?;
    stage.in_phase(HOME, "two", RequestPhase::Withdrawn).await?;
    Ok(())
}

pub(super) async fn revoke(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    ended(stage, "space", &grant).await
}

pub(super) async fn hasty(stage: &Stage) -> Result<()> {
    let mut wanted = order(SYSTEM, "Test", "1");
    if let Some(items) = wanted.pointer_mut("/items").and_then(serde_json::Value::as_array_mut) {
        items.push(json!({ "item": "block-volume", "name": "disk", "parameters": { "size": "1Gi" } }));
    }
    stage.submit(CLERK, HOME, "space", &wanted).await?;
    stage.decide(HEAD, HOME, "space", "department", "Approve").await?;
    // As soon as the grant is there, whatever of it stands already.
    let applied =
        stage.when(HOME, "space", "granted", |r| r.status.as_ref().is_some_and(|s| s.grant.is_some())).await?;
    let grant = applied.status.and_then(|s| s.grant).context("a grant")?;
    ended(stage, "space", &grant).await
}

pub(super) async fn cut_off(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    let site = stage.world.sites.get("hohhot").context("the site")?;
    site.cut.store(true, Ordering::Release);
    stage.submit(CLERK, HOME, "the-end", &revocation(&grant)).await?;
    stage.decide(HEAD, HOME, "the-end", "department", "Approve").await?;
    stage.granted(HOME, "space", GrantPhase::Revoking).await?;
    tokio::time::sleep(Duration::from_secs(240)).await;
    // Nothing is said to be done that cannot be known.
    stage.granted(HOME, "space", GrantPhase::Revoking).await?;
    site.cut.store(false, Ordering::Release);
    stage.granted(HOME, "space", GrantPhase::Revoked).await?;
    stage.in_phase(HOME, "the-end", RequestPhase::Applied).await?;
    Ok(())
}

pub(super) async fn again(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, "space", &order(SYSTEM, "Test", "500")).await?;
    stage.when(HOME, "space", "refused", |r| r.status.as_ref().is_some_and(|s| s.refusal.is_some())).await?;
    stage.delete(CLERK, HOME, "space").await?;
    stage
        .until("the refused request gone", || match stage.request(HOME, "space") {
            None => Ok(()),
            Some(request) => Err(format!("{:?}", request.metadata.finalizers)),
        })
        .await?;
    served(stage, "space").await?;
    Ok(())
}

pub(super) async fn bad_object(stage: &Stage) -> Result<()> {
    stage
        .apply(vec![json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "CatalogItem", "metadata": { "name": "crooked" },
            "spec": {
                "displayNames": { "zh-CN": { "full": "有误的目录项" }, "en": { "full": "An item with one bad object" } },
                "parameters": { "type": "object", "additionalProperties": false, "properties": {} },
                "charges": { "storage.block": "'1Gi'" },
                "allowedKinds": [{ "group": "postgresql.cnpg.io", "version": "v1", "kind": "Cluster", "plural": "clusters" }],
                "template": [{
                    "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": { "name": "${name}" },
                    "spec": { "instances": -1, "storage": { "size": "1Gi" } }
                }]
            }
        })])
        .await?;
    let mut wanted = order(SYSTEM, "Test", "1");
    if let Some(items) = wanted.pointer_mut("/items").and_then(serde_json::Value::as_array_mut) {
        items.push(json!({ "item": "crooked", "name": "crooked", "parameters": {} }));
    }
    stage.submit(CLERK, HOME, "space", &wanted).await?;
    stage.when(HOME, "space", "refused", |r| r.status.as_ref().is_some_and(|s| s.refusal.is_some())).await?;
    Ok(())
}
