//! The schemas and policies of the in-memory API server, on the tables that real API servers were judged by
//! (`tests/tests/admission`): the same lines, accepted and refused with the same words. No cluster, no network.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]
#![allow(clippy::needless_pass_by_value, reason = "a line of a table reads better without a reference to every value")]
#![allow(dead_code, reason = "of the tables' helpers, what asks a real cluster is not used here")]

#[path = "apiserver_schema/callers.rs"]
mod callers;
#[path = "admission/case.rs"]
mod case;
#[path = "admission/complete.rs"]
mod complete;
#[path = "admission/definitions_books.rs"]
mod definitions_books;
#[path = "admission/definitions_catalog.rs"]
mod definitions_catalog;
#[path = "admission/definitions_migration.rs"]
mod definitions_migration;
#[path = "admission/definitions_orders.rs"]
mod definitions_orders;
#[path = "admission/definitions_recovery.rs"]
mod definitions_recovery;
#[path = "admission/definitions_tree.rs"]
mod definitions_tree;
#[path = "apiserver_schema/ground.rs"]
mod ground;
#[path = "admission/hub_approvals.rs"]
mod hub_approvals;
#[path = "admission/hub_books.rs"]
mod hub_books;
#[path = "admission/hub_namespaces.rs"]
mod hub_namespaces;
#[path = "admission/hub_requests.rs"]
mod hub_requests;
#[path = "apiserver_schema/matching.rs"]
mod matching;
#[path = "admission/objects.rs"]
mod objects;
#[path = "admission/site_driver.rs"]
mod site_driver;
#[path = "admission/site_fence.rs"]
mod site_fence;
#[path = "admission/site_tenants.rs"]
mod site_tenants;
#[path = "apiserver_schema/standing.rs"]
mod standing;
#[path = "apiserver_schema/structure.rs"]
mod structure;
#[path = "apiserver_schema/who.rs"]
mod who;
#[path = "admission/wide.rs"]
mod wide;
#[path = "apiserver_schema/world.rs"]
mod world;

use anyhow::Result;
use callers::Callers;
use case::{Case, merge, no, yes};
use ground::{Ground, HERE};
use objects::at;
use serde_json::json;
use who::Who;
use world::World;

/// Tries the lines that say something here; returns how many, and what came out otherwise.
fn table(callers: &Callers, name: &str, cases: Vec<Case>) -> Result<(usize, Vec<String>)> {
    let (mut tried, mut found) = (0, Vec::new());
    for case in cases.iter().filter(|case| Callers::says_something(case)) {
        tried += 1;
        if let Some(told) = callers.disagrees(case)? {
            found.push(format!("{name}: {}: {} ({}): {told}", case.who, case.what, case.call.about));
        }
    }
    Ok((tried, found))
}

fn hub(ground: &Ground) -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("definition of departments", definitions_tree::departments()),
        ("definition of quotas", definitions_tree::quotas()),
        ("definition of sites", definitions_tree::sites()),
        ("definition of catalogue items", definitions_catalog::items()),
        ("definition of approval policies", definitions_catalog::policies()),
        ("definition of information systems", definitions_catalog::systems()),
        ("definition of requests", definitions_orders::requests()),
        ("definition of requests, later", definitions_orders::requests_later()),
        ("definition of approvals", definitions_orders::approvals(ground)),
        ("definition of grants", definitions_books::grants()),
        ("definition of ledgers", definitions_books::ledgers()),
        ("definition of charges", definitions_books::charges(ground)),
        ("definition of backup stores", definitions_recovery::stores()),
        ("definition of recovery plans", definitions_recovery::plans()),
        ("definition of backups", definitions_recovery::backups()),
        ("definition of restores", definitions_recovery::restores()),
        ("definition of drills", definitions_recovery::drills()),
        ("definition of machine rooms", definitions_migration::rooms()),
        ("definition of waves", definitions_migration::waves()),
        ("definition of migrations", definitions_migration::migrations()),
        ("policy on recovery", definitions_recovery::authors()),
        ("policy on migration", definitions_migration::authors()),
        ("policy on approvals", hub_approvals::approvals(ground)),
        ("policy on requests, authors", hub_requests::authors()),
        ("policy on requests, steps", hub_requests::steps()),
        ("policy on requests, authority", hub_requests::authority(ground)),
        ("policy on books", hub_books::books(ground)),
        ("policy on finalizers", hub_books::finalizers(ground)),
        ("policy on records", hub_books::records(ground)),
        ("policy on records, collected", hub_books::collected(ground)),
        ("policy on department namespaces", hub_namespaces::departments()),
        ("policy on the operator's scope", hub_namespaces::operator()),
        ("editors", editors()),
        ("an API with too many rights", wide::api(ground)),
        ("an operator with too many rights", wide::operator(ground)),
    ]
}

/// Nobody edits before the editor before them is recorded.
fn editors() -> Vec<Case> {
    let edit = json!({ "spec": { "editedBy": "lab-admin", "order": { "justification": "another" } } });
    let early = merge(&at("ResourceRequest", HERE, "unseen"), edit.clone());
    let seen = merge(&at("ResourceRequest", HERE, "draft"), edit);
    vec![
        no(Who::Root, "edits while the author is not recorded", early, "the previous editor is not recorded yet"),
        yes(Who::Root, "edits once the author is recorded", seen),
    ]
}

#[test]
fn the_hub_agrees_with_real_api_servers() {
    let ground = Ground::stand().unwrap();
    let callers = Callers::new(World::of("hub", standing::hub()).unwrap(), World::of("site", vec![]).unwrap());
    let (mut tried, mut found) = (0, Vec::new());
    for (name, cases) in hub(&ground) {
        let (lines, disagreements) = table(&callers, name, cases).unwrap();
        tried += lines;
        found.extend(disagreements);
    }
    eprintln!("{tried} lines");
    assert!(found.is_empty(), "{} of {tried} lines disagree:\n{}", found.len(), found.join("\n"));
    assert!(tried >= 400, "the tables shrank to {tried} lines");
    let (rules, unheard) = complete::unheard(&callers.refusals()).unwrap();
    let unheard: Vec<&String> = unheard.iter().filter(|told| !told.starts_with("zhengyun-site-")).collect();
    assert!(unheard.is_empty(), "of {rules} rules these were not heard:\n{unheard:#?}");
}

#[test]
fn a_site_agrees_with_real_api_servers() {
    let ground = Ground::stand().unwrap();
    let callers =
        Callers::new(World::of("hub", vec![]).unwrap(), World::of("site", standing::site_of(&ground)).unwrap());
    let seen = |at: &objects::At| callers.send(Who::SiteRoot, &merge(at, json!({})), true).unwrap().unwrap();
    let limits = seen(&at("LimitRange", &ground.place, "zhengyun-limits"));
    let loose = at("Service", &ground.place, "unstamped");
    let tables = [
        ("fence, writes", site_fence::writes(&ground)),
        ("fence, deletions", site_fence::deletions(&ground, &limits, &seen(&loose))),
        ("fence, what is older", site_fence::older(&ground, &seen(&loose))),
        ("fence, pods", site_fence::pods(&ground)),
        ("guard of the fence", site_fence::guard(&ground)),
        ("scope of the driver, namespaces", site_driver::namespaces(&ground)),
        ("scope of the driver, objects", site_driver::objects(&ground)),
        ("labels at a site", site_tenants::labels(&ground)),
        ("namespaces of grants", site_tenants::namespaces(&ground)),
        ("services of tenants", site_tenants::services(&ground)),
        ("workloads of tenants", site_tenants::workloads(&ground)),
        ("a driver with too many rights", wide::driver(&ground)),
    ];
    let (mut tried, mut found) = (0, Vec::new());
    for (name, cases) in tables {
        let (lines, disagreements) = table(&callers, name, cases).unwrap();
        tried += lines;
        found.extend(disagreements);
    }
    eprintln!("{tried} lines");
    assert!(found.is_empty(), "{} of {tried} lines disagree:\n{}", found.len(), found.join("\n"));
    assert!(tried >= 100, "the tables shrank to {tried} lines");
    let (_, unheard) = complete::unheard(&callers.refusals()).unwrap();
    let unheard: Vec<&String> = unheard.iter().filter(|told| told.starts_with("zhengyun-site-")).collect();
    assert!(unheard.is_empty(), "these rules were not heard:\n{unheard:#?}");
}
