//! `dryRun=all`: everything is said, nothing is stored.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zhengyun_crds::{Approval, DepartmentQuota, Ledger, ResourceGrant, ResourceRequest};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town};

use crate::call::{Answer, Call, Contract};
use crate::setting::order;

const DEPARTMENT: &str = "finance";
const CLERK: &str = "clerk-finance";
/// A saved draft of the department.
const SAVED: &str = "contract-finance";

/// Tries orders of every kind, new ones and corrections, and compares the hub before and after.
pub(crate) async fn changes_nothing_and_says_everything(contract: &Contract, town: &Town) -> Result<()> {
    let admin = town.admin()?;
    settled("the operator is done with the draft", SOON, || async {
        let request = town.request(DEPARTMENT, SAVED).await?;
        let done =
            request.status.as_ref().is_some_and(|s| s.preview.is_some() && s.editors.contains(&CLERK.to_owned()));
        Ok(if done { Ok(()) } else { Err(format!("{:?}", request.status)) })
    })
    .await?;
    let tag = contract.call("getRequest", &[DEPARTMENT, SAVED]).by(CLERK).send().await?.tag().to_owned();
    let before = revisions(&admin).await?;
    for correcting in [false, true] {
        let attempt = |order: Value| attempt(contract, &tag, correcting, &order);
        fits(&attempt(wanted("2")).send().await?);
        findings(&attempt).await?;
    }
    // What one may not write, one may not try either; what is no order is refused as when it is meant.
    let body = json!({ "name": "contract-tried", "order": wanted("2") });
    let foreign = contract.call("createRequest", &[DEPARTMENT]).by("clerk-emergency").query("dryRun=all").json(&body);
    foreign.send().await?.is_problem(404, "not-found");
    let mut wrong = wanted("2");
    wrong["items"][0]["count"] = json!(0);
    let wrong = attempt(contract, &tag, false, &wrong).send().await?;
    wrong.is_problem(422, "invalid").points_to("/order/items/0/count");
    let stale = attempt(contract, "\"stale\"", true, &wanted("2"));
    stale.clone().send().await?.is_problem(412, "precondition-failed");
    stale.without("if-match").send().await?.is_problem(428, "precondition-required");

    let after = revisions(&admin).await?;
    contract.faults.check(before == after, || format!("dry runs changed the hub: before {before:?}, after {after:?}"));
    let name = contract.call("getRequest", &[DEPARTMENT, "contract-tried"]).by(CLERK).send().await?;
    name.is_problem(404, "not-found");
    Ok(())
}

fn wanted(cpu: &str) -> Value {
    order("finance-e-invoice", cpu, "Standard")
}

fn attempt<'a>(contract: &'a Contract, tag: &str, correcting: bool, order: &Value) -> Call<'a> {
    let call = if correcting {
        contract.call("correctRequest", &[DEPARTMENT, SAVED]).seen(tag).json(&json!({ "order": order }))
    } else {
        contract.call("createRequest", &[DEPARTMENT]).json(&json!({ "name": "contract-tried", "order": order }))
    };
    call.by(CLERK).query("dryRun=all")
}

/// Charge, path and effect of an order that fits.
fn fits(answer: &Answer) {
    let body = &answer.body;
    answer.is(200).check(body["findings"] == json!([]), "must find nothing in the way");
    answer.check(body["charge"] == json!({ "cpu": "2", "memory": "1Gi" }), "must say the charge");
    let of = |list: &str, part: &str| -> Vec<String> {
        let items = body[list].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item[part].as_str()).map(str::to_owned).collect()
    };
    let stages = of("stages", "name");
    answer.check(stages == ["department", "technical", "capacity", "security", "authority"], "must say who must agree");
    let nodes = of("ancestors", "department");
    for node in [DEPARTMENT, "neimenggu", ""] {
        answer.check(nodes.iter().any(|n| n == node), &format!("must say the effect at {node:?}"));
    }
    let cpu = body["ancestors"].as_array().cloned().unwrap_or_default();
    let cpu = cpu.iter().find(|e| e["department"] == DEPARTMENT && e["resource"] == "cpu").cloned().unwrap_or_default();
    let numbers = (&cpu["limit"], &cpu["asked"], &cpu["shortBy"]);
    answer.check(numbers == (&json!("64"), &json!("2"), &json!("0")), "must say limit, asked and short by");
    answer.check(body["siteCheck"] == "checkedWhenSaved", "must say that the site has not looked");
    answer.check(body["orderDigest"].as_str().is_some_and(|d| d.starts_with("sha256:")), "must say the digest");
}

/// What stands in the way is said with its place, its rule and its numbers.
async fn findings<'a>(attempt: &impl Fn(Value) -> Call<'a>) -> Result<()> {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut order = wanted("2");
        change(&mut order);
        order
    };
    for (order, pointer, rule, says) in [
        (changed(&|o| o["site"] = json!("nowhere")), "/order/site", "SiteNotFound", &["nowhere"][..]),
        (changed(&|o| o["items"][0]["item"] = json!("nothing")), "/order/items/0/item", "ItemNotFound", &["nothing"]),
        (changed(&|o| o["system"] = json!("unknown")), "/order/system", "SystemNotFound", &["unknown"]),
        // Another department's system is as unknown as none.
        (changed(&|o| o["system"] = json!("smart-emergency")), "/order/system", "SystemNotFound", &["smart-emergency"]),
        (wanted("65"), "/order", "QuotaExceeded", &["finance", "64", "65"]),
        (wanted("481"), "/order", "CapacityExceeded", &["hohhot", "480", "481"]),
    ] {
        attempt(order).send().await?.is(200).finds(pointer, rule, says);
    }
    for (parameters, pointer, says) in [
        (json!({ "cpu": "two", "memory": "1Gi" }), "/order/items/0/parameters/cpu", "two"),
        (json!({ "cpu": "2" }), "/order/items/0/parameters/memory", "memory"),
        (json!({ "cpu": "2", "memory": "1Gi", "colour": "red" }), "/order/items/0/parameters/colour", "colour"),
        (json!({ "cpu": "2", "memory": "1Gi", "pods": 501 }), "/order/items/0/parameters/pods", "500"),
    ] {
        let answer = attempt(changed(&|o| o["items"][0]["parameters"] = parameters.clone())).send().await?;
        answer.is(200).says(pointer, &[says]);
    }
    Ok(())
}

/// Every object that a write of people could touch, with its resourceVersion; departments other than this one go on living.
async fn revisions(admin: &Client) -> Result<BTreeMap<String, String>> {
    let namespace = format!("dept-{DEPARTMENT}");
    let mut all = BTreeMap::new();
    collect(&mut all, "request", Api::<ResourceRequest>::namespaced(admin.clone(), &namespace)).await?;
    collect(&mut all, "approval", Api::<Approval>::namespaced(admin.clone(), &namespace)).await?;
    collect(&mut all, "grant", Api::<ResourceGrant>::namespaced(admin.clone(), &namespace)).await?;
    collect(&mut all, "ledger", Api::<Ledger>::all(admin.clone())).await?;
    let quota = Api::<DepartmentQuota>::all(admin.clone()).get(DEPARTMENT).await?;
    all.insert("quota".to_owned(), quota.resource_version().unwrap_or_default());
    Ok(all)
}

async fn collect<K>(into: &mut BTreeMap<String, String>, kind: &str, api: Api<K>) -> Result<()>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    for object in api.list(&ListParams::default()).await? {
        into.insert(format!("{kind} {}", object.name_any()), object.resource_version().unwrap_or_default());
    }
    Ok(())
}
