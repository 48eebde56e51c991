//! What the API servers of hub and sites let through and refuse, in tables: the rules of the definitions, every admission
//! policy, and the rights of every credential. Each line is tried as the person or account it names, with their own token.
//!
//! One lab for all tables; every disagreement is collected before the test fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]
#![allow(clippy::needless_pass_by_value, reason = "a line of a table reads better without a reference to every value")]

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
#[path = "admission/ground.rs"]
mod ground;
#[path = "admission/hub_approvals.rs"]
mod hub_approvals;
#[path = "admission/hub_books.rs"]
mod hub_books;
#[path = "admission/hub_namespaces.rs"]
mod hub_namespaces;
#[path = "admission/hub_requests.rs"]
mod hub_requests;
#[path = "admission/lives.rs"]
mod lives;
#[path = "admission/objects.rs"]
mod objects;
#[path = "admission/rights.rs"]
mod rights;
#[path = "admission/rights_whole.rs"]
mod rights_whole;
#[path = "admission/site_driver.rs"]
mod site_driver;
#[path = "admission/site_fence.rs"]
mod site_fence;
#[path = "admission/site_tenants.rs"]
mod site_tenants;
#[path = "admission/who.rs"]
mod who;
#[path = "admission/wide.rs"]
mod wide;

use std::time::Instant;

use anyhow::Result;
use case::{Case, read};
use ground::Ground;
use objects::at;
use who::{Callers, Who};
use zhengyun_tests::town::Town;

/// What was tried, and what came out otherwise than the tables say.
#[derive(Default)]
struct Outcome {
    tried: usize,
    disagreements: Vec<String>,
}

impl Outcome {
    async fn table(&mut self, callers: &Callers, name: &str, cases: Vec<Case>) -> Result<()> {
        let (begun, count) = (Instant::now(), cases.len());
        for case in cases {
            if let Some(told) = callers.disagreement(&case).await? {
                self.disagreements.push(format!("{name}: {}: {} ({}): {told}", case.who, case.what, case.call.about));
            }
        }
        self.note(name, count, begun);
        Ok(())
    }

    fn section(&mut self, name: &str, (count, found): (usize, Vec<String>), begun: Instant) {
        self.disagreements.extend(found.into_iter().map(|told| format!("{name}: {told}")));
        self.note(name, count, begun);
    }

    fn note(&mut self, name: &str, count: usize, begun: Instant) {
        self.tried += count;
        eprintln!("{name}: {count} lines in {:.1} s", begun.elapsed().as_secs_f64());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_servers_hold_what_the_tables_say() {
    let begun = Instant::now();
    let town = Town::start(&["hohhot", "ulanqab"]).await.unwrap();
    eprintln!("the lab stands ({:.1} s)", begun.elapsed().as_secs_f64());
    let outcome = Box::pin(all(&town)).await.unwrap();
    eprintln!("{} lines in {:.1} s", outcome.tried, begun.elapsed().as_secs_f64());
    assert!(outcome.tried >= 200, "the tables shrank to {} lines", outcome.tried);
    assert!(
        outcome.disagreements.is_empty(),
        "{} of {} lines disagree:\n{}",
        outcome.disagreements.len(),
        outcome.tried,
        outcome.disagreements.join("\n")
    );
}

async fn all(town: &Town) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let begun = Instant::now();
    let ground = Box::pin(Ground::prepare(town)).await?;
    eprintln!("requests and grants in every state ({:.1} s)", begun.elapsed().as_secs_f64());
    definitions(&mut outcome, &ground).await?;
    hub(&mut outcome, town, &ground).await?;
    site(&mut outcome, &ground).await?;
    // Rights before anybody is given more of them.
    let callers = &ground.callers;
    for (name, cases) in [
        ("rights of the operator", rights::operator()),
        ("rights of the API", rights::api()),
        ("rights in a department", rights::department()),
        ("rights on the platform", rights::platform()),
        ("rights of the driver", site_driver::rights(&ground)),
        ("rights of tenants", site_tenants::rights(&ground)),
    ] {
        outcome.table(callers, name, cases).await?;
    }
    let begun = Instant::now();
    outcome.section("rights in whole", rights_whole::disagreements(&ground).await?, begun);
    wide::widen(callers).await?;
    for (name, cases) in [
        ("an API with too many rights", wide::api(&ground)),
        ("an operator with too many rights", wide::operator(&ground)),
        ("a driver with too many rights", wide::driver(&ground)),
    ] {
        outcome.table(callers, name, cases).await?;
    }
    outcome.section("rules that were heard", complete::unheard(&callers.refusals())?, Instant::now());
    Ok(outcome)
}

async fn definitions(outcome: &mut Outcome, ground: &Ground) -> Result<()> {
    for (name, cases) in [
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
    ] {
        outcome.table(&ground.callers, name, cases).await?;
    }
    Ok(())
}

async fn hub(outcome: &mut Outcome, town: &Town, ground: &Ground) -> Result<()> {
    for (name, cases) in [
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
    ] {
        outcome.table(&ground.callers, name, cases).await?;
    }
    let begun = Instant::now();
    outcome.section("editors", lives::editors(town, ground).await?, begun);
    let begun = Instant::now();
    outcome.section("duties", lives::duties(town, ground).await?, begun);
    let begun = Instant::now();
    outcome.section("records of a released namespace", lives::released(town, ground).await?, begun);
    let begun = Instant::now();
    outcome.section("amounts in the product", lives::amounts(town, ground).await?, begun);
    let begun = Instant::now();
    outcome.section("type checks of policies", lives::type_checks(town).await?, begun);
    Ok(())
}

async fn site(outcome: &mut Outcome, ground: &Ground) -> Result<()> {
    let callers = &ground.callers;
    let limits = callers.must(Who::SiteRoot, read(&at("LimitRange", &ground.place, "zhengyun-limits"))).await?;
    let loose = at("Service", &ground.place, "unstamped");
    let unstamped = callers.must(Who::SiteRoot, read(&loose)).await?;
    for (name, cases) in [
        ("fence, writes", site_fence::writes(ground)),
        ("fence, deletions", site_fence::deletions(ground, &limits, &unstamped)),
    ] {
        outcome.table(callers, name, cases).await?;
    }
    let older = callers.must(Who::SiteRoot, read(&loose)).await?;
    for (name, cases) in [
        ("fence, what is older", site_fence::older(ground, &older)),
        ("fence, pods", site_fence::pods(ground)),
        ("guard of the fence", site_fence::guard(ground)),
        ("scope of the driver, namespaces", site_driver::namespaces(ground)),
        ("scope of the driver, objects", site_driver::objects(ground)),
        ("labels at a site", site_tenants::labels(ground)),
        ("namespaces of grants", site_tenants::namespaces(ground)),
        ("services of tenants", site_tenants::services(ground)),
        ("workloads of tenants", site_tenants::workloads(ground)),
    ] {
        outcome.table(callers, name, cases).await?;
    }
    Ok(())
}
