//! What takes a moment: an editor that nobody recorded yet, amounts that only decisions can refuse, type checks of policies.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use zhengyun_crds::condition::find;
use zhengyun_crds::{Approval, ConditionStatus, ConditionType, DepartmentQuota};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::Town;

use super::case::{Case, create, delete, merge, no, yes};
use super::ground::{Ground, HERE, RELEASED, approval};
use super::objects::{at, order, quota, request, with};
use super::who::{ADMIN, AUTHORITY, CLERK, HEAD, TECHNICAL, Who};

const SOON: Duration = Duration::from_secs(30);

/// Nobody edits before the editor before them is recorded: else one could edit and approve.
pub(crate) async fn editors(town: &Town, ground: &Ground) -> Result<(usize, Vec<String>)> {
    let edit = json!({ "spec": { "editedBy": "lab-admin", "order": { "justification": "another" } } });
    let edit = merge(&at("ResourceRequest", HERE, "unseen"), edit);
    let written = create(request(HERE, "unseen", "clerk-emergency", order("Standard")));
    let early: Case = no(
        Who::Root,
        "edits while the author is not recorded",
        edit.clone(),
        "the previous editor is not recorded yet",
    );
    town.operator().pause()?;
    let tried = async {
        ground.callers.must(CLERK, written).await?;
        ground.callers.disagreement(&early).await
    }
    .await;
    town.operator().resume()?;
    let mut found: Vec<String> = tried?.into_iter().collect();
    settled("the author recorded", SOON, || async {
        let editors = town.request("emergency", "unseen").await?.status.unwrap_or_default().editors;
        Ok(if editors.iter().any(|e| e == "clerk-emergency") { Ok(()) } else { Err(format!("{editors:?}")) })
    })
    .await?;
    found.extend(ground.callers.disagreement(&yes(Who::Root, "edits once the author is recorded", edit)).await?);
    Ok((2, found))
}

/// Decisions that admission lets through and that do not count: who decides is more than who may.
pub(crate) async fn duties(town: &Town, ground: &Ground) -> Result<(usize, Vec<String>)> {
    let groups = |group: &'static str| [group, "system:authenticated"];
    let (authority, technical) = (groups("zhengyun:authority"), groups("zhengyun:technical-reviewers"));
    let ordered = town.request("emergency", "ordered").await?;
    let own = approval(&ordered, "own-order", "authority", "Approve", "authority-chief", &authority);
    let early = ground.approval("early", "technical", "reviewer-technical", &technical);
    let older = ground.approval("older", "department", "head-emergency", &groups("dept:emergency"));
    let older = with(older, "/spec/orderDigest", json!(format!("sha256:{}", "0".repeat(64))));
    let table = [
        (AUTHORITY, "own-order", own, "DutiesNotSeparate", "the authority decides on the order that it wrote"),
        (TECHNICAL, "early", early, "StageNotOpen", "a reviewer decides before the stage is open"),
        (HEAD, "older", older, "OrderChanged", "the head decides on an order of the past"),
    ];
    let approvals: Api<Approval> = Api::namespaced(town.admin()?, HERE);
    let mut found = Vec::new();
    for (who, name, body, reason, what) in &table {
        ground.callers.must(*who, create(body.clone())).await?;
        let seen = settled(&format!("the decision {name} was looked at"), SOON, || async {
            let conditions = approvals.get(name).await?.status.unwrap_or_default().conditions;
            Ok(find(&conditions, ConditionType::Ready).cloned().ok_or_else(|| "no condition".to_owned()))
        })
        .await?;
        if seen.status != ConditionStatus::False || seen.reason != *reason {
            found.push(format!("{what}: must not count for {reason}, but: {seen:?}"));
        }
    }
    for (name, stage) in [("ordered", "authority"), ("review", "department")] {
        let open = town.request("emergency", name).await?.status.unwrap_or_default().stage.map(|s| s.name);
        if open.as_deref() != Some(stage) {
            found.push(format!("request {name} must still be open at stage {stage}, but: {open:?}"));
        }
    }
    Ok((table.len(), found))
}

/// The one way past the policy on records: the end of a whole namespace that the operator has released.
pub(crate) async fn released(town: &Town, ground: &Ground) -> Result<(usize, Vec<String>)> {
    let record = at("Approval", RELEASED, "old");
    let early =
        no(Who::Root, "deletes a record in a released namespace", delete(&record), "is the record of a decision");
    let found: Vec<String> = ground.callers.disagreement(&early).await?.into_iter().collect();
    ground.callers.must(Who::Root, delete(&at("Namespace", "", RELEASED))).await?;
    let namespaces: Api<Namespace> = Api::all(town.admin()?);
    settled("the released namespace gone, with its records", SOON, || async {
        let left = namespaces.get_opt(RELEASED).await?;
        Ok(left.map_or(Ok(()), |n| Err(format!("{:?}", n.status.and_then(|s| s.conditions)))))
    })
    .await?;
    Ok((2, found))
}

/// Amounts that are quantities to Kubernetes but not exact, or larger than any: the quota says so, and nothing is in force.
pub(crate) async fn amounts(town: &Town, ground: &Ground) -> Result<(usize, Vec<String>)> {
    let nines = "9".repeat(40);
    let table =
        [("audit", "0.0001"), ("justice", "1u"), ("water", nines.as_str()), ("energy", "1e30"), ("sports", "1n")];
    let quotas: Api<DepartmentQuota> = Api::all(town.admin()?);
    let mut found = Vec::new();
    for (department, amount) in table {
        let body = with(quota(department), "/spec/limits/0/hard/cpu", json!(amount));
        ground.callers.must(ADMIN, create(body)).await?;
        let seen = settled(&format!("the quota of {department} was looked at"), SOON, || async {
            let conditions = quotas.get(department).await?.status.unwrap_or_default().conditions;
            let accepted = find(&conditions, ConditionType::Accepted).cloned();
            Ok(accepted.filter(|c| c.status != ConditionStatus::Unknown).ok_or_else(|| format!("{conditions:?}")))
        })
        .await?;
        if seen.status != ConditionStatus::False || seen.reason != "Invalid" || !seen.message.contains(amount) {
            found.push(format!("a limit of {amount} must be Accepted=False, Invalid, and be named: {seen:?}"));
        }
        ground.callers.must(ADMIN, delete(&at("DepartmentQuota", "", department))).await?;
    }
    Ok((table.len(), found))
}

/// No shipped policy says something that the API server cannot make sense of.
pub(crate) async fn type_checks(town: &Town) -> Result<(usize, Vec<String>)> {
    let (mut checked, mut found) = (0, Vec::new());
    for plane in town.lab().planes() {
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(plane.client_admin()?);
        let ours = settled("every policy type-checked", SOON, || async {
            let mut ours = policies.list(&ListParams::default()).await?.items;
            ours.retain(|policy| policy.name_any().starts_with("zhengyun-"));
            let waiting: Vec<String> = ours
                .iter()
                .filter(|policy| {
                    let status = policy.status.clone().unwrap_or_default();
                    status.type_checking.is_none() || status.observed_generation != policy.metadata.generation
                })
                .map(ResourceExt::name_any)
                .collect();
            Ok(if waiting.is_empty() && !ours.is_empty() {
                Ok(ours)
            } else {
                Err(format!("{}: {waiting:?}", plane.name()))
            })
        })
        .await?;
        for policy in ours {
            checked += 1;
            let checking = policy.status.clone().unwrap_or_default().type_checking.unwrap_or_default();
            for warning in checking.expression_warnings.unwrap_or_default() {
                let (name, field) = (policy.name_any(), &warning.field_ref);
                found.push(format!("{}: policy {name}, {field}: {}", plane.name(), warning.warning));
            }
        }
    }
    Ok((checked, found))
}
