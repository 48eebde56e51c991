//! The REST API holds to its document on a real hub: every route, every caller, every refusal.
//!
//! The routes are enumerated from the committed `api/openapi.json`, so a route without a case fails here. Every answer, of
//! whatever case, is held to the document: status, media type, headers, schema; and every problem to RFC 9457 in both languages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

#[path = "contract/bodies.rs"]
mod bodies;
#[path = "contract/call.rs"]
mod call;
#[path = "contract/document.rs"]
mod document;
#[path = "contract/drain.rs"]
mod drain;
#[path = "contract/dry_run.rs"]
mod dry_run;
#[path = "contract/faults.rs"]
mod faults;
#[path = "contract/lists.rs"]
mod lists;
#[path = "contract/migration.rs"]
mod migration;
#[path = "contract/own_writes.rs"]
mod own_writes;
#[path = "contract/plans.rs"]
mod plans;
#[path = "contract/problem.rs"]
mod problem;
#[path = "contract/recovery.rs"]
mod recovery;
#[path = "contract/routes.rs"]
mod routes;
#[path = "contract/seen.rs"]
mod seen;
#[path = "contract/setting.rs"]
mod setting;
#[path = "contract/sight.rs"]
mod sight;
#[path = "contract/unknown.rs"]
mod unknown;

use std::time::Instant;

use zhengyun_tests::town::Town;

use crate::call::Contract;
use crate::setting::Setting;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_holds_to_its_document() -> anyhow::Result<()> {
    let begun = Instant::now();
    let town = Town::start(&["hohhot", "ulanqab"]).await?;
    let contract = Contract::of(&town)?;
    let told = |what: &str| eprintln!("{:6.1} s  {what}", begun.elapsed().as_secs_f64());
    told("the town stands");
    let setting = Setting::prepare(&town).await?;
    told("the setting stands");
    dry_run::changes_nothing_and_says_everything(&contract, &town).await?;
    told("dry runs");
    own_writes::are_read_at_once(&contract).await?;
    told("own writes");
    seen::what_was_seen_counts(&contract, &town).await?;
    told("If-Match");
    unknown::is_a_problem(&contract, &setting).await?;
    told("unknown routes, methods, parameters");
    bodies::that_cannot_be_taken_are_problems(&contract, &setting).await?;
    told("bodies");
    plans::are_written_by_who_may(&contract, &setting, &town).await?;
    told("recovery plans");
    sight::lists_show_what_is_ones_own(&contract).await?;
    told("sight");
    lists::are_cut_into_pages(&contract).await?;
    told("pages");
    routes::every_route_for_every_caller(&contract, &setting).await?;
    told("routes");
    drain::finishes_what_was_begun(&contract, &town).await?;
    told("drain");
    contract.faults.none(contract.answers());
    Ok(())
}
