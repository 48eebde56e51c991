//! Approvals that must not count, and reviews that must not begin.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::{Approval, ApprovalPolicy, RequestPhase, ResourceRequest};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town, said};

use super::world::{contains, forget, ours, space, with};

/// An approval as a person writes it with kubectl.
async fn approve(
    client: &Client,
    department: &str,
    name: &str,
    request: &ResourceRequest,
    stage: &str,
    digest: &str,
) -> Result<Approval> {
    let review: Api<SelfSubjectReview> = Api::all(client.clone());
    let me = review.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let me = me.status.and_then(|s| s.user_info).unwrap_or_default();
    let body: Approval = serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "Approval", "metadata": { "name": name },
        "spec": {
            "request": request.name_any(), "requestUID": request.uid(), "orderDigest": digest, "stage": stage,
            "verdict": "Approve", "reason": "agreed", "approver": { "username": me.username, "groups": me.groups }
        }
    }))?;
    let api: Api<Approval> = Api::namespaced(client.clone(), &format!("dept-{department}"));
    Ok(api.create(&PostParams::default(), &body).await?)
}

async fn judged(town: &Town, department: &str, name: &str) -> Result<(String, String)> {
    let api: Api<Approval> = Api::namespaced(town.admin()?, &format!("dept-{department}"));
    settled(&format!("approval {name} judged"), SOON, || async {
        let status = api.get(name).await?.status.unwrap_or_default();
        let ready = zhengyun_crds::condition::find(&status.conditions, zhengyun_crds::ConditionType::Ready);
        Ok(ready.map(|c| (c.reason.clone(), c.message.clone())).ok_or_else(|| "not judged".to_owned()))
    })
    .await
}

fn digest_of(request: &ResourceRequest) -> String {
    request.status.as_ref().and_then(|s| s.review.as_ref()).map(|r| r.order_digest.clone()).unwrap_or_default()
}

pub(crate) async fn unfit_approvals_do_not_count(town: &Arc<Town>) -> Result<()> {
    let (department, name) = ("finance", "unfit");
    let order = with(space("2"), "/class", json!("Standard"));
    town.submit("clerk-finance", department, name, &order).await?;
    let request = town.in_phase(department, name, RequestPhase::InReview).await?;
    let first = digest_of(&request);

    // Somebody who may decide a stage, but not yet.
    let technical = town.client_of("reviewer-technical")?;
    approve(&technical, department, "too-early", &request, "technical", &first).await?;
    let (reason, message) = judged(town, department, "too-early").await?;
    ensure!(reason == "StageNotOpen", "{reason}: {message}");
    contains("too early", &message, &["technical", "department"])?;

    // Returned, corrected, submitted again: an approval of the former order is about something else.
    town.door("head-finance")?.decide(department, name, "Return", "two cores are too many").await?;
    town.in_phase(department, name, RequestPhase::ReturnedForCorrection).await?;
    let clerk = town.door("clerk-finance")?;
    clerk.correct(department, name, &with(order.clone(), "/items/0/parameters/cpu", json!("1"))).await?;
    clerk.submit(department, name).await?;
    let request = settled("the corrected order under review", SOON, || async {
        let request = town.request(department, name).await?;
        let status = request.status.clone().unwrap_or_default();
        let seen = format!("{:?}: {}", status.phase, said(&status.conditions));
        let again = status.phase == Some(RequestPhase::InReview) && digest_of(&request) != first;
        Ok(if again { Ok(request) } else { Err(seen) })
    })
    .await?;
    let head = town.client_of("head-finance")?;
    approve(&head, department, "old-order", &request, "department", &first).await?;
    let (reason, message) = judged(town, department, "old-order").await?;
    ensure!(reason == "OrderChanged", "{reason}: {message}");

    // The same person a second time, at a later stage that the cloud administrator let them decide as well.
    approve(&head, department, "good", &request, "department", &digest_of(&request)).await?;
    let (reason, message) = judged(town, department, "good").await?;
    ensure!(reason == "Counted", "{reason}: {message}");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "both-stages" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "zhengyun-technical-reviewer" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "head-finance" },
            { "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "clerk-finance" }]
    });
    zhengyun_tests::world::apply(&town.admin()?, &[serde_json::from_value(binding)?]).await?;
    for (person, approval) in [("head-finance", "twice"), ("clerk-finance", "own")] {
        let client = town.client_of(person)?;
        // The new right needs a moment until every part of the API server has it.
        settled(&format!("{person} may decide stage technical"), SOON, || async {
            let given = approve(&client, department, approval, &request, "technical", &digest_of(&request)).await;
            Ok(given.map_err(|e| format!("{e:#}")))
        })
        .await?;
        let (reason, message) = judged(town, department, approval).await?;
        ensure!(reason == "DutiesNotSeparate", "{person}: {reason}: {message}");
        contains(person, &message, &[person])?;
    }
    let roles: Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> = Api::all(town.admin()?);
    roles.delete("both-stages", &DeleteParams::default()).await?;
    let stage = town.request(department, name).await?.status.and_then(|s| s.stage).map(|s| s.name);
    ensure!(stage.as_deref() == Some("technical"), "the request still waits at stage technical, not at {stage:?}");

    // Rejected: the reservation is given back.
    town.door("reviewer-technical")?.decide(department, name, "Reject", "not at all").await?;
    town.in_phase(department, name, RequestPhase::Rejected).await?;
    forget(town, department, name).await
}

/// Without an approval policy, with two that tie, and without the guards of the API server, nothing goes on.
pub(crate) async fn nothing_is_decided_without_policies(town: &Arc<Town>) -> Result<()> {
    let admin = town.client_of("cloud-admin")?;
    let policies: Api<ApprovalPolicy> = Api::all(admin.clone());
    let standard = with(space("1"), "/class", json!("Standard"));

    let twin = ours(
        "ApprovalPolicy",
        "create-twin",
        None,
        &json!({
            "displayNames": { "zh-CN": { "full": "同级流程" }, "en": { "full": "A twin" } },
            "match": "request.action == 'Create' && request.class == 'Standard'", "priority": 100, "stages": [{ "name": "department" }]
        }),
    );
    zhengyun_tests::world::apply(&admin, std::slice::from_ref(&twin)).await?;
    super::world::says(town, &twin, "Accepted").await?;
    refused(
        town,
        "two-policies",
        &standard,
        "AmbiguousApprovalPolicy",
        &["create-standard, create-twin", "100", "priority"],
    )
    .await?;
    policies.delete("create-twin", &DeleteParams::default()).await?;

    let mut shipped = policies.get("create-standard").await?;
    policies.delete("create-standard", &DeleteParams::default()).await?;
    refused(town, "no-policy", &standard, "NoApprovalPolicy", &["ApprovalPolicy", "match"]).await?;
    shipped.metadata = kube::core::ObjectMeta { name: Some("create-standard".to_owned()), ..Default::default() };
    shipped.status = None;
    policies.create(&PostParams::default(), &shipped).await?;

    not_enforced(town, &standard).await
}

async fn refused(town: &Town, name: &str, order: &Value, reason: &str, fragments: &[&str]) -> Result<()> {
    // The operator's view of the policies follows a moment later.
    settled(&format!("request {name} refused for {reason}"), SOON, || async {
        town.submit("clerk-finance", "finance", name, order).await?;
        let outcome = match town.refused("finance", name).await {
            Ok((said, message)) if said == reason => contains(name, &message, fragments).map(|()| Ok(())),
            Ok((said, message)) => Ok(Err(format!("{said}: {message}"))),
            Err(error) => Err(error),
        };
        let api: Api<ResourceRequest> = Api::namespaced(town.client_of("clerk-finance")?, "dept-finance");
        let withdraw = json!({ "spec": { "withdrawn": true } });
        api.patch(name, &PatchParams::default(), &Patch::Merge(&withdraw)).await?;
        forget(town, "finance", name).await?;
        outcome
    })
    .await
}

async fn not_enforced(town: &Town, order: &Value) -> Result<()> {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(town.admin()?);
    let mut shipped = bindings.get("zhengyun-approvals").await?;
    bindings.delete("zhengyun-approvals", &DeleteParams::default()).await?;
    let blocked = "blocked";
    settled("a submission blocked", SOON, || async {
        if town.requests("finance")?.get_opt(blocked).await?.is_some() {
            return Ok(Ok(()));
        }
        town.submit("clerk-finance", "finance", blocked, order).await?;
        Ok(Ok(()))
    })
    .await?;
    let message = settled("the request says why", SOON, || async {
        let status = town.request("finance", blocked).await?.status.unwrap_or_default();
        let ready = zhengyun_crds::condition::find(&status.conditions, zhengyun_crds::ConditionType::Ready);
        let found = ready.filter(|c| c.reason == "PolicyNotEnforced").map(|c| c.message.clone());
        Ok(found.ok_or_else(|| said(&status.conditions)))
    })
    .await?;
    contains(blocked, &message, &["ValidatingAdmissionPolicyBinding zhengyun-approvals", "helm upgrade"])?;
    shipped.metadata.resource_version = None;
    shipped.metadata.uid = None;
    bindings.create(&PostParams::default(), &shipped).await?;
    // By itself, once the guard stands again.
    town.in_phase("finance", blocked, RequestPhase::InReview).await?;
    let api: Api<ResourceRequest> = Api::namespaced(town.client_of("clerk-finance")?, "dept-finance");
    api.patch(blocked, &PatchParams::default(), &Patch::Merge(&json!({ "spec": { "withdrawn": true } }))).await?;
    town.in_phase("finance", blocked, RequestPhase::Withdrawn).await?;
    forget(town, "finance", blocked).await
}
