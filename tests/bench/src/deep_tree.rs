//! B2: the real region's depth: every request is checked at four levels, beside the flat tree of B1 in turns.

use std::time::Duration;

use anyhow::Result;
use zhengyun_tests::figures::{Gate, quantile};

use crate::ceilings;
use crate::follow::Board;
use crate::meter::Spent;
use crate::orders::{Granted, Wave};
use crate::outcome::Outcome;
use crate::region::Region;
use crate::run::{Run, scaled};
use crate::shape::{COHORTS, QUEUES};
use crate::stage::{SitePlan, Stage};
use crate::standing;

/// Requests in the deep tree; half as many in the flat one.
const REQUESTS: usize = 20_000;
/// Departments below each banner.
const DEPARTMENTS: usize = 10;
const IN_FLIGHT: usize = 64;
const SITE: &str = "later";
const GATE: f64 = 1.3;

pub(crate) async fn run(run: &Run<'_>) -> Result<Outcome> {
    let requests = scaled(REQUESTS, run.scale, 40);
    let whole = Region::deep(DEPARTMENTS)?;
    let deep = whole.first(scaled(whole.leaves.len(), run.scale, 20));
    let flat = Region::flat("flat", COHORTS, QUEUES);
    let title = format!(
        "deep tree: {requests} requests of {} departments below banners, leagues and the region, beside a flat tree",
        deep.leaves.len()
    );
    let mut outcome = Outcome::new("B2", title, run.scale);
    run.say("a hub; its site has not joined, so that decisions alone are measured");
    let mut stage = Stage::start(&[]).await?;
    let admin = stage.admin()?;
    let raw = ceilings::measure(&admin, "before", scaled(4_000, run.scale, 400), "hub, before").await?;
    stage.start_operator(&[])?;
    let both = Region {
        nodes: flat.nodes.iter().chain(&deep.nodes).cloned().collect(),
        leaves: flat.leaves.iter().chain(&deep.leaves).cloned().collect(),
    };
    // Two roots: the flat tree stands beside the region.
    let took = stage.establish(&both, &[SitePlan::later(SITE, requests as u64)]).await?;
    run.say(&format!("{} departments with quotas stand after {:.0} s", both.nodes.len(), took.as_secs_f64()));

    let clerk = stage.clerk()?;
    let board = Board::of_requests(&admin);
    let meter = stage.meter()?;
    let mut turns: [(Vec<Granted>, Vec<Spent>); 2] = Default::default();
    for (turn, is_flat) in [false, true, true, false].into_iter().enumerate() {
        let (what, leaves, many) =
            if is_flat { ("flat", &flat.leaves, requests / 4) } else { ("deep", &deep.leaves, requests / 2) };
        run.say(&format!("turn {} of 4: {many} requests in the {what} tree", turn + 1));
        let prefix = format!("turn{turn}");
        let begun = meter.look().await?;
        let wave = Wave { prefix: &prefix, leaves, sites: &[SITE], many, in_flight: IN_FLIGHT };
        let granted = wave.grant(&clerk, &board).await?;
        let during = format!("turn {}, {what} tree", turn + 1);
        let spent = begun.until(&meter.look().await?, during, "request", many as u64);
        let [deep, flat] = &mut turns;
        let (all, costs) = if is_flat { flat } else { deep };
        all.push(granted);
        costs.push(spent);
    }
    let granted = turns.iter().flat_map(|(all, _)| all).map(|g| g.keys.len()).sum::<usize>();
    standing::exact(&stage, SITE, granted).await?;
    let after = ceilings::measure(&admin, "after", scaled(4_000, run.scale, 400), "hub, after").await?;
    report(&mut outcome, &turns)?;
    outcome.figure(
        "tree",
        took.as_secs_f64(),
        "s",
        None,
        format!("{} departments and as many quotas put in place", both.nodes.len()),
    );
    outcome.spent = turns.into_iter().flat_map(|(_, costs)| costs).collect();
    outcome.ceilings = vec![raw, after];
    outcome.note("nothing is delivered: the site has not joined, which costs one more status write per grant");
    Ok(outcome)
}

fn report(outcome: &mut Outcome, turns: &[(Vec<Granted>, Vec<Spent>); 2]) -> Result<()> {
    let [(deep, deep_costs), (flat, flat_costs)] = turns;
    let rate = |all: &[Granted]| {
        let many: usize = all.iter().map(|g| g.keys.len()).sum();
        many as f64 / all.iter().map(|g| g.wall).sum::<Duration>().as_secs_f64()
    };
    let cpu = |costs: &[Spent], process: &str| {
        let total: f64 = costs.iter().map(|s| s.cpu(process) * s.items as f64).sum();
        total / costs.iter().map(|s| s.items as f64).sum::<f64>()
    };
    outcome.figure("deep", rate(deep), "a second", None, "requests granted, each checked at four levels");
    outcome.figure(
        "flat",
        rate(flat),
        "a second",
        None,
        "requests granted in the tree of B1, each checked at three levels",
    );
    let ratio = rate(flat) / rate(deep);
    outcome.figure("ratio", ratio, "×", Some(Gate::AtMost(GATE)), "time of a request in the deep tree to the flat one");
    for (name, process) in [("operator CPU", "operator"), ("API server CPU", "hub kube-apiserver")] {
        let (deep, flat) = (cpu(deep_costs, process), cpu(flat_costs, process));
        outcome.figure(
            name,
            deep,
            "ms",
            None,
            format!("processor time per request in the deep tree; {flat:.2} ms in the flat one"),
        );
    }
    let answers: Vec<f64> = deep.iter().flat_map(|g| g.answers.clone()).collect();
    outcome.figure("answer, 99 of 100", quantile(answers, 0.99)?, "s", None, "in the deep tree");
    Ok(())
}
