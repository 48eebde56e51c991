//! I1, no oversell: at every revision no subtree holds more than its adopted limit because of a commit, nor a site more than its
//! adopted capacity; a ledger's totals are the sums of what its objects hold; counts never fall.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::run::Standing;
use super::amount::{add, thousandths};
use super::{Sums, View, number, on_hub, text};
use crate::apiserver::Verb;

/// What one object holds at one site.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    pub(super) department: String,
    pub(super) sequence: i64,
    pub(super) reserved: Sums,
    pub(super) granted: Sums,
}

/// What every object holds at a site, by UID: the newer of what it shows itself and what the ledger's journal says.
pub(super) fn held(standing: &Standing, site: &str) -> BTreeMap<String, Held> {
    let mut all = BTreeMap::new();
    for kind in ["resourcerequests", "resourcegrants"] {
        for (key, object) in on_hub(standing, kind) {
            let Some(charge) = object.pointer("/status/charge").filter(|c| text(c, "/site") == site) else { continue };
            let department = key.namespace.trim_start_matches("dept-").to_owned();
            all.insert(text(object, "/metadata/uid").to_owned(), one(department, charge, charge));
        }
    }
    for (key, plan) in on_hub(standing, "recoveryplans") {
        let charges = plan.pointer("/status/charges").and_then(Value::as_array).into_iter().flatten();
        for charge in charges.filter(|charge| text(charge, "/site") == site) {
            let department = key.namespace.trim_start_matches("dept-").to_owned();
            all.insert(text(plan, "/metadata/uid").to_owned(), one(department, charge, charge));
        }
    }
    for (_, ledger) in on_hub(standing, "ledgers").filter(|(key, _)| key.name == site) {
        for entry in ledger.pointer("/status/journal").and_then(Value::as_array).into_iter().flatten() {
            let uid = text(entry, "/object/uid");
            if all.get(uid).is_none_or(|h: &Held| h.sequence < number(entry, "/sequence")) {
                let charge = entry.get("charge").unwrap_or(&Value::Null);
                all.insert(uid.to_owned(), one(text(entry, "/department").to_owned(), charge, entry));
            }
        }
        for entry in ledger.pointer("/status/quarantine").and_then(Value::as_array).into_iter().flatten() {
            let charge = entry.get("charge").unwrap_or(&Value::Null);
            all.entry(text(entry, "/object/uid").to_owned())
                .or_insert_with(|| one(text(entry, "/department").to_owned(), charge, entry));
        }
    }
    all
}

fn one(department: String, charge: &Value, numbered: &Value) -> Held {
    let (mut reserved, mut granted) = (Sums::new(), Sums::new());
    add(&mut reserved, charge.get("reserved"));
    add(&mut granted, charge.get("granted"));
    Held { department, sequence: number(numbered, "/sequence"), reserved, granted }
}

/// The chain of a department, itself first.
fn chain<'a>(standing: &'a Standing, department: &str) -> Vec<&'a str> {
    let mut chain = Vec::new();
    let mut name = department.to_owned();
    while let Some((key, object)) = on_hub(standing, "departments").find(|(k, _)| k.name == name) {
        if chain.contains(&key.name.as_str()) {
            break;
        }
        chain.push(key.name.as_str());
        text(object, "/status/parent").clone_into(&mut name);
    }
    chain
}

fn is_ours(view: &View<'_>) -> bool {
    ["ledgers", "resourcerequests", "resourcegrants", "recoveryplans"].iter().any(|plural| view.is_hub(plural))
}

fn sites(standing: &Standing) -> Vec<String> {
    on_hub(standing, "ledgers").map(|(key, _)| key.name.clone()).collect()
}

/// What each department with everything under it holds, and the site in all (under the empty name).
fn sums(standing: &Standing, site: &str) -> BTreeMap<String, Sums> {
    let mut all: BTreeMap<String, Sums> = BTreeMap::new();
    for held in held(standing, site).values() {
        let mut names: Vec<&str> = chain(standing, &held.department);
        names.push("");
        for name in names {
            let sum = all.entry(name.to_owned()).or_default();
            for (resource, amount) in held.reserved.iter().chain(&held.granted) {
                let there = sum.entry(resource.clone()).or_default();
                *there = there.saturating_add(*amount);
            }
        }
    }
    all
}

fn limit(standing: &Standing, site: &str, department: &str, resource: &str) -> Option<i128> {
    let hard = if department.is_empty() {
        on_hub(standing, "sites").find(|(k, _)| k.name == site)?.1.pointer("/status/adopted/capacity")?
    } else {
        let quota = on_hub(standing, "departmentquotas").find(|(k, _)| k.name == department)?.1;
        let lines = quota.pointer("/status/adopted").and_then(Value::as_array)?;
        lines.iter().find(|line| text(line, "/site") == site)?.get("hard")?
    };
    hard.get(resource).and_then(Value::as_str).and_then(thousandths)
}

pub(super) fn no_oversell(view: &View<'_>) -> Vec<String> {
    if !is_ours(view) {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    for site in sites(view.after) {
        let (before, after) = (sums(view.before, &site), sums(view.after, &site));
        if before == after {
            continue;
        }
        for (department, held) in &after {
            for (resource, amount) in held {
                let was = before.get(department).and_then(|b| b.get(resource)).copied().unwrap_or_default();
                // A limit below use takes nothing away; only more of it is wrong.
                if let Some(limit) = limit(view.after, &site, department, resource)
                    && *amount > limit
                    && *amount > was
                {
                    let whose = if department.is_empty() { "the site" } else { department };
                    wrong.push(format!("{whose} at {site}: {resource} {amount} of {limit} thousandths"));
                }
            }
        }
    }
    wrong
}

pub(super) fn totals_are_sums(view: &View<'_>) -> Vec<String> {
    if !view.is_hub("ledgers") || view.commit.after.pointer("/status/held").is_some_and(|h| !h.is_null()) {
        return Vec::new();
    }
    let site = &view.commit.key.name;
    let (mut reserved, mut granted) = (Sums::new(), Sums::new());
    add(&mut reserved, view.commit.after.pointer("/status/totals/reserved"));
    add(&mut granted, view.commit.after.pointer("/status/totals/granted"));
    let (mut own_reserved, mut own_granted) = (Sums::new(), Sums::new());
    for held in held(view.after, site).into_values() {
        for (sums, of) in [(&mut own_reserved, held.reserved), (&mut own_granted, held.granted)] {
            for (resource, amount) in of {
                let there = sums.entry(resource).or_default();
                *there = there.saturating_add(amount);
            }
        }
    }
    if (&reserved, &granted) == (&own_reserved, &own_granted) {
        return Vec::new();
    }
    vec![format!(
        "the ledger of {site} says reserved {reserved:?}, granted {granted:?}; its objects hold {own_reserved:?}, {own_granted:?}"
    )]
}

pub(super) fn counts_only_rise(view: &View<'_>) -> Vec<String> {
    let Some(before) = view.commit.before.as_ref() else { return Vec::new() };
    let falls = |pointer: &str| number(&view.commit.after, pointer) < number(before, pointer);
    let mut wrong = Vec::new();
    if view.is_hub("ledgers") {
        wrong.extend(["/status/epoch", "/status/sequence"].into_iter().filter(|p| falls(p)));
    }
    if view.is_hub("resourcegrants") || view.is_hub("resourcerequests") {
        wrong.extend(["/status/charge/sequence"].into_iter().filter(|p| falls(p)));
    }
    let mut wrong: Vec<String> = wrong.into_iter().map(|pointer| format!("{pointer} falls")).collect();
    if view.is_hub("recoveryplans") && view.commit.verb != Verb::Delete {
        let charges =
            |plan: &Value| plan.pointer("/status/charges").and_then(Value::as_array).cloned().unwrap_or_default();
        let after = charges(&view.commit.after);
        for charge in charges(before) {
            let site = text(&charge, "/site");
            let next = after.iter().find(|next| text(next, "/site") == site);
            if next.is_none_or(|next| number(next, "/sequence") < number(&charge, "/sequence")) {
                wrong.push(format!("the sequence of its charge at {site} falls"));
            }
        }
    }
    wrong
}
