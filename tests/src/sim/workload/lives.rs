//! Lives of requests and grants.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::ResourceExt;
use serde_json::json;
use zhengyun_crds::{GrantPhase, RequestPhase, ResourceRequest};

use super::super::stage::Stage;
use super::{order, revocation};

pub(super) const CLERK: &str = "clerk-finance";
pub(super) const HEAD: &str = "head-finance";
pub(super) const HOME: &str = "finance";
pub(super) const SYSTEM: &str = "finance-e-invoice";

/// An order with these lines.
pub(super) fn lines(items: &serde_json::Value) -> serde_json::Value {
    let mut wanted = order(SYSTEM, "Test", "1");
    if let Some(fields) = wanted.as_object_mut() {
        fields.insert("items".to_owned(), items.clone());
    }
    wanted
}

pub(super) async fn served(stage: &Stage, name: &str) -> Result<String> {
    stage.submit(CLERK, HOME, name, &order(SYSTEM, "Test", "2")).await?;
    stage.decide(HEAD, HOME, name, "department", "Approve").await?;
    Ok(stage.granted(HOME, name, GrantPhase::InService).await?.name_any())
}

pub(super) async fn ended(stage: &Stage, create: &str, grant: &str) -> Result<()> {
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
    stage.says("catalogitems", "", "crooked", "Accepted").await?;
    let mut wanted = order(SYSTEM, "Test", "1");
    if let Some(items) = wanted.pointer_mut("/items").and_then(serde_json::Value::as_array_mut) {
        items.push(json!({ "item": "crooked", "name": "crooked", "parameters": {} }));
    }
    stage.submit(CLERK, HOME, "space", &wanted).await?;
    stage.when(HOME, "space", "refused", |r| r.status.as_ref().is_some_and(|s| s.refusal.is_some())).await?;
    Ok(())
}

pub(super) async fn many_things(stage: &Stage) -> Result<()> {
    let wanted = lines(&json!([
        { "item": "container-space", "name": "space", "parameters": { "cpu": "1", "memory": "1Gi" } },
        { "item": "block-volume", "name": "disk", "parameters": { "size": "1Gi" } },
        { "item": "object-bucket", "name": "bucket", "parameters": { "capacity": "1Gi" } },
        { "item": "postgresql", "name": "db", "parameters": { "instances": 1, "cpu": "1", "memory": "1Gi", "storage": "1Gi" } },
    ]));
    stage.submit(CLERK, HOME, "all", &wanted).await?;
    stage.decide(HEAD, HOME, "all", "department", "Approve").await?;
    let grant = stage.granted(HOME, "all", GrantPhase::InService).await?.name_any();
    ended(stage, "all", &grant).await
}

pub(super) async fn twice_ended(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    for name in ["end-one", "end-two"] {
        stage.submit(CLERK, HOME, name, &revocation(&grant)).await?;
    }
    for name in ["end-one", "end-two"] {
        stage.in_phase(HOME, name, RequestPhase::InReview).await?;
    }
    stage.decide(HEAD, HOME, "end-one", "department", "Approve").await?;
    stage.granted(HOME, "space", GrantPhase::Revoked).await?;
    stage.in_phase(HOME, "end-one", RequestPhase::Applied).await?;
    // Nothing is left for the other one to end; who ordered it takes it back.
    stage.in_phase(HOME, "end-two", RequestPhase::InReview).await?;
    stage.amend(CLERK, HOME, "end-two", &json!({ "withdrawn": true })).await?;
    stage.in_phase(HOME, "end-two", RequestPhase::Withdrawn).await?;
    Ok(())
}

pub(super) async fn undone(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    let mut wanted = revocation(&grant);
    if let Some(fields) = wanted.as_object_mut() {
        fields.insert("class".to_owned(), json!("Temporary"));
    }
    stage.submit(CLERK, HOME, "the-end", &wanted).await?;
    stage.decide(HEAD, HOME, "the-end", "department", "Approve").await?;
    stage.granted(HOME, "space", GrantPhase::Revoking).await?;
    stage
        .amend("authority-chief", HOME, "the-end", &json!({ "withdrawn": true, "editedBy": "authority-chief" }))
        .await?;
    stage.granted(HOME, "space", GrantPhase::InService).await?;
    stage.in_phase(HOME, "the-end", RequestPhase::Withdrawn).await?;
    Ok(())
}

pub(super) async fn cleared(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    ended(stage, "space", &grant).await?;
    for name in ["the-end", "space"] {
        // Until then it is a record that nobody may delete.
        let is_over = |r: &ResourceRequest| r.status.as_ref().is_some_and(|status| status.grant_ended);
        stage.when(HOME, name, "over", is_over).await?;
        stage.delete(CLERK, HOME, name).await?;
        stage
            .until(&format!("the ended order {name} gone"), || match stage.request(HOME, name) {
                None => Ok(()),
                Some(request) => Err(format!("{:?} {:?}", request.metadata.finalizers, request.status)),
            })
            .await?;
    }
    served(stage, "space-again").await?;
    Ok(())
}

pub(super) async fn renewal(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    let wanted = json!({ "action": "Renew", "site": "hohhot", "grant": grant, "leaseEnd": "2031-01-01", "justification": "simulated" });
    stage.submit(CLERK, HOME, "longer", &wanted).await?;
    stage
        .when(HOME, "longer", "refused", |r| {
            r.status.as_ref().and_then(|s| s.refusal.as_ref()).is_some_and(|r| r.reason == "ActionNotAvailable")
        })
        .await?;
    Ok(())
}
