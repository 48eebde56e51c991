//! Pages: together they are the list, each item once, in the order asked for.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::call::{Answer, Contract};

/// Most pages that a walk may take: a token that leads back would walk for ever.
const MOST_PAGES: usize = 200;

/// Walks every list of the document as the authority, who sees everything.
pub(crate) async fn are_cut_into_pages(contract: &Contract) -> Result<()> {
    for (id, operation) in contract.document.operations.iter().filter(|(_, o)| o.is_list) {
        let whole = whole(contract, id, "").await?;
        contract.faults.check(!whole.is_empty(), || format!("{} is empty: nothing is paged", operation.path));
        // Two pages at least, whatever the length.
        let limit = whole.len().div_ceil(3).clamp(1, 40);
        let walked = walk(contract, id, "", limit).await?;
        contract.faults.check(walked == whole, || {
            format!(
                "{id}: pages of {limit} give {} items, the whole list {}: {walked:?} {whole:?}",
                walked.len(),
                whole.len()
            )
        });
        let unique: BTreeSet<&String> = walked.iter().collect();
        contract.faults.check(unique.len() == walked.len(), || format!("{id}: an item stands on two pages"));
    }
    for id in ["listRequests", "listGrants", "listRecoveryPlans", "listBackups", "listRestores", "listDrills"] {
        sorted(contract, id).await?;
    }
    tokens(contract).await
}

async fn sorted(contract: &Contract, id: &str) -> Result<()> {
    let newest = whole(contract, id, "").await?;
    for (sort, turned) in [("created", "-created"), ("name", "-name")] {
        let up = walk(contract, id, &format!("sort={sort}"), 7).await?;
        let mut down = walk(contract, id, &format!("sort={turned}"), 7).await?;
        contract.faults.check(turned != "-created" || down == newest, || format!("{id}: newest first unless stated"));
        down.reverse();
        contract.faults.check(up == down, || format!("{id}: {sort} and {turned} are not each other turned round"));
        let of = |list: &[String]| list.iter().cloned().collect::<BTreeSet<String>>();
        contract
            .faults
            .check(of(&up) == of(&newest) && up.len() == newest.len(), || format!("{id}: {sort} loses items"));
        if sort == "name" {
            let names: Vec<&str> = up.iter().filter_map(|key| key.split('/').nth(1)).collect();
            contract.faults.check(names.is_sorted(), || format!("{id}: not by name: {names:?}"));
        }
    }
    Ok(())
}

/// A token is bound to its list, its filters and its order, and carries no right.
async fn tokens(contract: &Contract) -> Result<()> {
    let list = |person: &'static str, query: &str| contract.call("listRequests", &[]).by(person).query(query);
    let first = list("authority-chief", "limit=2&sort=name").send().await?;
    let token = first.is(200).body["nextPageToken"].as_str().unwrap_or_default().to_owned();
    for other in ["sort=-name", "sort=name&phase=Draft", "sort=name&department=finance"] {
        let answer = list("authority-chief", &format!("{other}&pageToken={token}")).send().await?;
        answer.is_problem(400, "invalid-query").points_to("pageToken");
    }
    let grants = contract.call("listGrants", &[]).by("authority-chief").query(&format!("sort=name&pageToken={token}"));
    grants.send().await?.is_problem(400, "invalid-query").points_to("pageToken");
    let foreign = list("stranger", &format!("sort=name&pageToken={token}")).send().await?;
    foreign.is(200).check(items(&foreign).is_empty(), "another's token must show nothing");
    Ok(())
}

async fn whole(contract: &Contract, id: &str, query: &str) -> Result<Vec<String>> {
    let list = contract.call(id, &[]).by("authority-chief").query("limit=500");
    let answer = if query.is_empty() { list } else { list.query(query) }.send().await?;
    answer.is(200).check(answer.body["nextPageToken"].is_null(), "the whole list fits on one page here");
    Ok(items(&answer))
}

async fn walk(contract: &Contract, id: &str, query: &str, limit: usize) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut call = contract.call(id, &[]).by("authority-chief").query(&format!("limit={limit}"));
        if !query.is_empty() {
            call = call.query(query);
        }
        if let Some(token) = &token {
            call = call.query(&format!("pageToken={token}"));
        }
        let page = call.send().await?;
        let shown = items(&page);
        page.is(200)
            .check(shown.len() <= limit && !shown.is_empty(), "a page holds something, and no more than asked for");
        all.extend(shown);
        match page.body["nextPageToken"].as_str() {
            Some(next) => token = Some(next.to_owned()),
            None => return Ok(all),
        }
    }
    ensure!(false, "{id}: more than {MOST_PAGES} pages");
    Ok(all)
}

/// `department/name` of each item, or what it has of these.
fn items(list: &Answer) -> Vec<String> {
    let key = |item: &Value| {
        let text = |part: &str| item[part].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", text("department"), text("name"))
    };
    list.body["items"].as_array().into_iter().flatten().map(key).collect()
}
