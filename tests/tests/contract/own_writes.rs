//! Whoever writes reads the own write at once, from the request and from every list.

use anyhow::Result;
use serde_json::json;

use crate::call::{Answer, Contract};
use crate::setting::own_order;

/// Writes in a row, each read back without waiting: enough to lose against a cache that is a few milliseconds behind.
const ROUNDS: usize = 20;
const DEPARTMENT: &str = "finance";
const CLERK: &str = "clerk-finance";

/// Creates, corrects, submits and withdraws, and reads after each.
pub(crate) async fn are_read_at_once(contract: &Contract) -> Result<()> {
    let mut order = own_order();
    order["system"] = json!("finance-e-invoice");
    for round in 0..ROUNDS {
        let name = format!("contract-own-{round}");
        let body = json!({ "name": name, "order": order });
        let created = contract.call("createRequest", &[DEPARTMENT]).by(CLERK).json(&body).send().await?;
        created.is(201);
        reads(contract, &name, &created).await?;

        let mut corrected = order.clone();
        corrected["justification"] = json!(format!("round {round}"));
        let put = contract.call("correctRequest", &[DEPARTMENT, &name]).by(CLERK).seen(created.tag());
        let corrected = put.json(&json!({ "order": corrected })).send().await?;
        corrected.is(200);
        reads(contract, &name, &corrected).await?;

        let withdrawn = contract.call("withdrawRequest", &[DEPARTMENT, &name]).by(CLERK).seen(corrected.tag());
        let withdrawn = withdrawn.send().await?;
        withdrawn.is(202);
        reads(contract, &name, &withdrawn).await?;
    }
    Ok(())
}

async fn reads(contract: &Contract, name: &str, written: &Answer) -> Result<()> {
    let list = contract.call("listRequests", &[]).by(CLERK).query("limit=500&department=finance").send().await?;
    let items = list.is(200).body["items"].as_array().cloned().unwrap_or_default();
    let listed = items.iter().find(|item| item["name"] == name);
    list.check(listed.is_some_and(|item| item["etag"] == written.tag()), &format!("must show {written}"));
    let read = contract.call("getRequest", &[DEPARTMENT, name]).by(CLERK).send().await?;
    read.is(200).check(read.tag() == written.tag(), &format!("must be what was written by {written}"));
    Ok(())
}
