//! Orders that cannot be carried out are refused with field, value and fix, and charge nothing.

use std::sync::Arc;

use anyhow::{Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zhengyun_crds::{RequestPhase, ResourceRequest};
use zhengyun_tests::town::Town;
use zhengyun_tests::world::apply;

use super::world::{contains, forget, order, ours, space, with};

pub(crate) async fn bad_orders_are_refused(town: &Arc<Town>) -> Result<()> {
    systems(town).await?;
    let database = |parameters: Value| order("postgresql", "db", &parameters);
    let good = json!({ "instances": 1, "cpu": "1", "memory": "1Gi", "storage": "1Gi" });
    let off = |key: &str, value: Value| {
        let mut parameters = good.clone();
        parameters[key] = value;
        database(parameters)
    };
    let cases: Vec<(&str, Value, &str, Vec<&str>)> = vec![
        (
            "site",
            with(space("1"), "/site", json!("nowhere")),
            "SiteNotFound",
            vec!["/order/site", "nowhere", "kubectl get sites"],
        ),
        (
            "item",
            with(space("1"), "/items/0/item", json!("no-such-item")),
            "ItemNotFound",
            vec!["no-such-item", "kubectl get catalogitems"],
        ),
        (
            "system",
            with(space("1"), "/system", json!("nothing")),
            "SystemNotFound",
            vec!["/order/system", "nothing", "register"],
        ),
        (
            "protection",
            with(space("1"), "/system", json!("level-four")),
            "ProtectionLevelTooHigh",
            vec!["4", "3", "GB/T 22239"],
        ),
        (
            "action",
            json!({ "action": "Renew", "site": "hohhot", "grant": "x", "leaseEnd": "2031-01-01", "justification": "a test" }),
            "ActionNotAvailable",
            vec!["Renew", "Create or Revoke"],
        ),
        (
            "grant",
            json!({ "action": "Revoke", "site": "hohhot", "grant": "no-such-grant", "justification": "a test" }),
            "GrantNotFound",
            vec!["no-such-grant"],
        ),
        (
            "unknown-parameter",
            off("colour", json!("red")),
            "ParametersInvalid",
            vec!["/order/items/0/parameters", "colour"],
        ),
        (
            "missing-parameter",
            with(space("1"), "/items/0/parameters", json!({ "cpu": "1" })),
            "ParametersInvalid",
            vec!["memory"],
        ),
        ("type", off("instances", json!("three")), "ParametersInvalid", vec!["/order/items/0/parameters/instances"]),
        (
            "too-many",
            off("instances", json!(1000)),
            "ParametersInvalid",
            vec!["/order/items/0/parameters/instances", "1000"],
        ),
        ("negative", space("-1"), "ParametersInvalid", vec!["/order/items/0/parameters/cpu", "-1"]),
        ("fraction", space("0.0001"), "", vec!["cpu", "0.0001"]),
        ("overflow", space("99999999999999999999999999999999999999"), "", vec!["cpu"]),
        ("no-number", space("much"), "ParametersInvalid", vec!["/order/items/0/parameters/cpu", "much"]),
        ("quota", space("65"), "QuotaExceeded", vec!["finance", "64", "65", "1"]),
        (
            "twice",
            json!({ "action": "Create", "system": "finance-e-invoice", "site": "hohhot", "class": "Test", "justification": "a test", "items": [
            { "item": "object-bucket", "name": "same", "parameters": { "capacity": "1Gi" } },
            { "item": "object-bucket", "name": "same", "parameters": { "capacity": "1Gi" } }] }),
            "",
            vec!["same"],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, order, reason, fragments) in &cases {
        let name = format!("bad-{name}");
        match town.submit("clerk-finance", "finance", &name, order).await {
            Ok(_) => {
                let (said, message) = town.refused("finance", &name).await?;
                if !reason.is_empty() && said != *reason {
                    wrong.push(format!("{name}: {said} instead of {reason}: {message}"));
                } else if let Err(error) = contains(&name, &message, fragments) {
                    wrong.push(error.to_string());
                }
                forget(town, "finance", &name).await?;
            }
            // The definition itself may refuse it, with the same duty to explain.
            Err(error) if reason.is_empty() => {
                if let Err(error) = contains(&name, &format!("{error:#}"), fragments) {
                    wrong.push(error.to_string());
                }
            }
            Err(error) => wrong.push(format!("{name} is refused before anybody could look: {error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    no_quota_line(town).await?;
    an_order_edited_after_its_submission(town).await
}

/// Systems of finance that the site may not carry.
async fn systems(town: &Town) -> Result<()> {
    let system = ours(
        "InformationSystem",
        "level-four",
        Some("dept-finance"),
        &json!({
            "displayNames": { "zh-CN": { "full": "四级系统" }, "en": { "full": "level four" } },
            "protection": { "level": 4 }, "dataClass": "Important", "zone": "GovernmentExtranet"
        }),
    );
    apply(&town.client_of("clerk-finance")?, &[system]).await
}

/// 呼和浩特市 has a quota at hohhot only: at another site an absent line is zero, and the answer says whose.
async fn no_quota_line(town: &Town) -> Result<()> {
    let (department, name) = ("hohhot-xinchengqu-education", "elsewhere");
    let order = with(with(space("1"), "/site", json!("ulanqab")), "/system", json!("school-portal"));
    town.submit("clerk-xinchengqu-education", department, name, &order).await?;
    let (reason, message) = town.refused(department, name).await?;
    ensure!(reason == "QuotaExceeded", "{reason}: {message}");
    contains(name, &message, &["the quota of hohhot at ulanqab is 0"])?;
    forget(town, department, name).await
}

/// The clerk submits, and changes the order before the operator has looked: what is reviewed is the order that stands.
async fn an_order_edited_after_its_submission(town: &Town) -> Result<()> {
    let name = "edited";
    let order = with(space("2"), "/class", json!("Standard"));
    town.operator().pause()?;
    let submitted = town.submit("clerk-finance", "finance", name, &order).await;
    let patched = match &submitted {
        Ok(_) => {
            let api: Api<ResourceRequest> = Api::namespaced(town.client_of("clerk-finance")?, "dept-finance");
            let patch = json!({ "spec": { "order": { "items": space("3")["items"].clone() } } });
            api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(drop)
        }
        Err(_) => Ok(()),
    };
    // Whatever was answered, the operator goes on.
    town.operator().resume()?;
    submitted?;
    patched?;
    let request = town.in_phase("finance", name, RequestPhase::InReview).await?;
    let status = request.status.clone().unwrap_or_default();
    let review = status.review.unwrap_or_default();
    let own = zhengyun_domain::request::order_digest(&request.spec.order, &request.spec.materials);
    ensure!(review.order_digest == own, "the review is about the order that stands");
    let reserved = status.charge.map(|c| c.reserved).unwrap_or_default();
    let cores = reserved.get("cpu").map(ToString::to_string);
    ensure!(cores.as_deref() == Some("3"), "reserved: {cores:?}");
    let api: Api<ResourceRequest> = Api::namespaced(town.client_of("clerk-finance")?, "dept-finance");
    let frozen = json!({ "spec": { "order": { "items": space("4")["items"].clone() } } });
    let refused = api.patch(name, &PatchParams::default(), &Patch::Merge(&frozen)).await;
    ensure!(refused.is_err(), "an order under review does not change");
    api.patch(name, &PatchParams::default(), &Patch::Merge(&json!({ "spec": { "withdrawn": true } }))).await?;
    town.in_phase("finance", name, RequestPhase::Withdrawn).await?;
    forget(town, "finance", name).await
}
