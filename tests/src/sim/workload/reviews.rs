//! Reviews with several stages, unfit approvals, and what changes around a request while it is decided on.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use zhengyun_crds::{GrantPhase, RequestPhase};

use super::super::stage::Stage;
use super::lives::{CLERK, HEAD, HOME, SYSTEM, served};
use super::order;

const NAME: &str = "space";

pub(super) async fn staged(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, NAME, &order(SYSTEM, "Standard", "2")).await?;
    loop {
        let request = stage
            .when(HOME, NAME, "at a stage or approved", |r| {
                let status = r.status.clone().unwrap_or_default();
                status.stage.is_some() || status.phase == Some(RequestPhase::Applied)
            })
            .await?;
        let Some(open) = request.status.and_then(|s| s.stage) else { break };
        let who = match open.name.as_str() {
            "department" => HEAD,
            "technical" => "reviewer-technical",
            "capacity" => "reviewer-capacity",
            "security" => "reviewer-security",
            _ => "authority-chief",
        };
        stage.decide(who, HOME, NAME, &open.name, "Approve").await?;
        stage
            .when(HOME, NAME, "past that stage", |r| {
                r.status.as_ref().and_then(|s| s.stage.as_ref()).is_none_or(|s| s.name != open.name)
            })
            .await?;
    }
    let grant = stage
        .until("the delivery waits for its confirmation", || {
            let grant = stage.grant(HOME, NAME).ok_or("no grant")?;
            let status = grant.status.clone().unwrap_or_default();
            let waits = status.conditions.iter().any(|c| c.message.contains("deliveryConfirmed"));
            if waits { Ok(grant) } else { Err(format!("{:?}", status.conditions)) }
        })
        .await?;
    ensure!(
        grant.status.and_then(|s| s.phase) == Some(GrantPhase::Provisioning),
        "not in service before it is confirmed"
    );
    stage.amend(CLERK, HOME, NAME, &json!({ "deliveryConfirmed": true })).await?;
    stage.granted(HOME, NAME, GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn late_refusal(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, NAME, &order(SYSTEM, "Standard", "2")).await?;
    stage.decide(HEAD, HOME, NAME, "department", "Approve").await?;
    stage.decide("reviewer-technical", HOME, NAME, "technical", "Reject").await?;
    stage.in_phase(HOME, NAME, RequestPhase::Rejected).await?;
    Ok(())
}

pub(super) async fn unfit(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, NAME, &order(SYSTEM, "Standard", "2")).await?;
    stage.in_phase(HOME, NAME, RequestPhase::InReview).await?;
    // Not yet their turn.
    stage.approve("reviewer-technical", HOME, NAME, "technical", "too-early").await?;
    stage.says("approvals", "dept-finance", "too-early", "StageNotOpen").await?;
    // Who wrote the order does not approve it.
    stage.approve(CLERK, HOME, NAME, "department", "own").await?;
    stage.says("approvals", "dept-finance", "own", "DutiesNotSeparate").await?;
    stage.decide(HEAD, HOME, NAME, "department", "Approve").await?;
    stage
        .when(HOME, NAME, "at the second stage", |r| {
            r.status.as_ref().and_then(|s| s.stage.as_ref()).is_some_and(|s| s.name == "technical")
        })
        .await?;
    Ok(())
}

pub(super) async fn outdated(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, NAME, &order(SYSTEM, "Test", "2")).await?;
    let first = stage.in_phase(HOME, NAME, RequestPhase::InReview).await?;
    stage.decide(HEAD, HOME, NAME, "department", "Return").await?;
    stage.in_phase(HOME, NAME, RequestPhase::ReturnedForCorrection).await?;
    stage.amend(CLERK, HOME, NAME, &json!({ "order": order(SYSTEM, "Test", "3"), "submission": 2 })).await?;
    stage.in_phase(HOME, NAME, RequestPhase::InReview).await?;
    // Read before the correction, and sent after it.
    stage.record(HEAD, HOME, &first, "department", "Approve", "outdated").await?;
    stage.says("approvals", "dept-finance", "outdated", "OrderChanged").await?;
    stage.approve(CLERK, HOME, NAME, "department", "own").await?;
    stage.says("approvals", "dept-finance", "own", "DutiesNotSeparate").await?;
    stage.decide(HEAD, HOME, NAME, "department", "Approve").await?;
    stage.granted(HOME, NAME, GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn new_way(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, NAME, &order(SYSTEM, "Test", "2")).await?;
    stage.in_phase(HOME, NAME, RequestPhase::InReview).await?;
    let admin = stage.world.client_of("cloud-admin")?;
    let policy =
        json!({ "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": "sim-create" } });
    let longer = json!({ "spec": { "stages": [{ "name": "department" }, { "name": "technical" }] } });
    stage.merge(&admin, policy, &longer).await?;
    // What was pinned as it was submitted goes on; what comes later goes the new way.
    stage.decide(HEAD, HOME, NAME, "department", "Approve").await?;
    stage.granted(HOME, NAME, GrantPhase::InService).await?;
    stage
        .until("the new way in force", || {
            let found = stage.world.hub.object("zhengyun.io", "approvalpolicies", "", "sim-create").ok_or("gone")?;
            let number = |pointer| found.pointer(pointer).and_then(Value::as_i64);
            let (seen, now) = (number("/status/observedGeneration"), number("/metadata/generation"));
            if seen == now { Ok(()) } else { Err(format!("{seen:?} of {now:?}")) }
        })
        .await?;
    stage.submit(CLERK, HOME, "next", &order(SYSTEM, "Test", "1")).await?;
    stage.decide(HEAD, HOME, "next", "department", "Approve").await?;
    stage.decide("reviewer-technical", HOME, "next", "technical", "Approve").await?;
    stage.granted(HOME, "next", GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn new_item(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, NAME, &order(SYSTEM, "Test", "2")).await?;
    stage.in_phase(HOME, NAME, RequestPhase::InReview).await?;
    let admin = stage.world.client_of("cloud-admin")?;
    let item = json!({ "apiVersion": "zhengyun.io/v1alpha1", "kind": "CatalogItem", "metadata": { "name": "container-space" } });
    // Everything costs double from now on.
    let dearer = json!({ "spec": { "charges": { "cpu": "quantity(parameters.cpu) * count * 2" } } });
    stage.merge(&admin, item, &dearer).await?;
    stage.decide(HEAD, HOME, NAME, "department", "Approve").await?;
    let grant = stage.granted(HOME, NAME, GrantPhase::InService).await?;
    let charged = grant.status.and_then(|s| s.charge).unwrap_or_default().granted;
    ensure!(charged.get("cpu").is_some_and(|q| q.as_str() == "2"), "what was reviewed is charged, not {charged:?}");
    Ok(())
}

pub(super) async fn no_guard(stage: &Stage) -> Result<()> {
    let kind = "ValidatingAdmissionPolicyBinding";
    let found = stage
        .world
        .hub
        .object("admissionregistration.k8s.io", "validatingadmissionpolicybindings", "", "zhengyun-approvals")
        .context("the shipped binding")?;
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": "zhengyun-approvals" },
        "spec": found.get("spec")
    });
    stage.remove(&stage.world.admin(), binding.clone()).await?;
    stage.submit(CLERK, HOME, NAME, &order(SYSTEM, "Test", "2")).await?;
    stage.says("resourcerequests", "dept-finance", NAME, "PolicyNotEnforced").await?;
    crate::world::apply(&stage.world.admin(), &[serde_json::from_value(binding)?]).await?;
    stage.decide(HEAD, HOME, NAME, "department", "Approve").await?;
    stage.granted(HOME, NAME, GrantPhase::InService).await?;
    served(stage, "another").await?;
    Ok(())
}
