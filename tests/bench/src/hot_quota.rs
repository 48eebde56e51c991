//! B3: many clients ask one quota, at the same time, for twice what there is.

mod retry_loop;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use zhengyun_tests::figures::{Gate, quantile};

use crate::books::Auditor;
use crate::ceilings::{self, Ceilings};
use crate::follow::{self, Board};
use crate::orders;
use crate::outcome::{Outcome, short};
use crate::region::Region;
use crate::run::{Run, scaled};
use crate::stage::{SitePlan, Stage};
use crate::standing;

const CLIENTS: usize = 200;
const REQUESTS: usize = 10_000;
const CEILING: usize = 4_000;
const SHARE: f64 = 70.0;
/// The second round is smaller: it only tells what delivery takes away.
const WITH_DELIVERY: f64 = 0.1;

/// How one contest came out.
#[derive(Debug, Default)]
struct Contest {
    granted: usize,
    refused: BTreeMap<String, usize>,
    answers: Vec<f64>,
    wall: Duration,
}

pub(crate) async fn run(run: &Run<'_>) -> Result<Outcome> {
    let title =
        format!("hot quota: {CLIENTS} clients ask one leaf, each for one unit at a time, for twice what there is");
    let mut outcome = Outcome::new("B3", title, run.scale);
    let requests = scaled(REQUESTS, run.scale, CLIENTS);
    let few = scaled(requests, WITH_DELIVERY, CLIENTS);
    run.say("hub and one site");
    let mut stage = Stage::start(&["live"]).await?;
    let admin = stage.admin()?;
    let before = ceilings::measure(&admin, "before", scaled(CEILING, run.scale, 400), "hub, before").await?;
    stage.start_operator(&[])?;
    let sites = [SitePlan::later("later", (requests / 2) as u64), SitePlan::joined("live", (few / 2) as u64)];
    let region = Region::flat("b3", 1, 1);
    let leaf = region.leaves.first().context("a leaf")?.clone();
    stage.establish(&region, &sites).await?;

    run.say(&format!("{CLIENTS} clients ask {requests} times for {} units, nothing is delivered", requests / 2));
    let auditor = Auditor::start(&admin, sites.iter().map(|s| (s.name.clone(), s.each)).collect());
    let meter = stage.meter()?;
    let begun = meter.look().await?;
    let decided = contest(&stage, &leaf, "later", requests).await?;
    let spent = begun.until(&meter.look().await?, "decisions, the site not joined", "decision", requests as u64);
    is_exact(&decided, requests)?;
    standing::exact(&stage, "later", requests / 2).await?;

    let raw = ceilings::measure(&admin, "after", scaled(CEILING, run.scale, 400), "hub, after").await?;
    let ceiling = before.mean(&raw, "mean");
    report(&mut outcome, requests, &decided, &ceiling)?;
    outcome.figure("operator CPU", spent.cpu("operator"), "ms", None, "processor time of the operator per decision");
    outcome.spent.push(spent);

    run.say(&format!("the same with {few} requests while what is granted is delivered"));
    let begun = meter.look().await?;
    let busy = contest(&stage, &leaf, "live", few).await?;
    outcome.spent.push(begun.until(&meter.look().await?, "decisions during delivery", "decision", few as u64));
    is_exact(&busy, few)?;
    standing::exact(&stage, "live", few / 2).await?;
    outcome.figure(
        "decisions during delivery",
        few as f64 / busy.wall.as_secs_f64(),
        "a second",
        None,
        format!("the same with {few} requests at a joined site: six objects of every grant are made there meanwhile"),
    );
    let (revisions, _) = auditor.finish()?;
    outcome.note(format!(
        "every one of {revisions} revisions of the ledgers was looked at: no sum above a limit, no sequence fell; ledger, grants and the independent audit agree at the end"
    ));

    run.say("a retry loop on one hot object, for comparison");
    let plain = retry_loop::contest(&admin, CLIENTS, requests, requests / 2).await?;
    plain.report(&mut outcome);
    outcome.ceilings = vec![before, raw, ceiling];
    Ok(outcome)
}

fn report(outcome: &mut Outcome, requests: usize, decided: &Contest, ceiling: &Ceilings) -> Result<()> {
    let rate = requests as f64 / decided.wall.as_secs_f64();
    let most = ceiling.create_and_patch().context("both ceilings were measured")?;
    outcome.figure(
        "decisions",
        rate,
        "a second",
        None,
        format!(
            "{requests} requests, {} granted, {:?}; answered to the client's watch",
            decided.granted, decided.refused
        ),
    );
    outcome.figure(
        "share of the ceiling",
        rate / most * 100.0,
        "%",
        Some(Gate::AtLeast(SHARE)),
        format!("of {} a second: one bare create and one bare status patch each, nothing else", short(most)),
    );
    for (name, share) in [("answer, half", 0.5), ("answer, 99 of 100", 0.99)] {
        let value = quantile(decided.answers.clone(), share)?;
        outcome.figure(name, value, "s", None, "request sent until its answer was seen");
    }
    outcome
        .note("the site had not joined while decisions were measured, so nothing was delivered beside them".to_owned());
    Ok(())
}

/// Every client asks for one unit, waits for the answer, and asks again.
async fn contest(stage: &Stage, leaf: &str, site: &str, requests: usize) -> Result<Contest> {
    let clerk = stage.clerk()?;
    let board = Board::of_requests(&stage.admin()?);
    let begun = Instant::now();
    let names = (0..requests).map(|number| format!("{site}-{number:05}"));
    let mut contest = Contest::default();
    let mut answers = stream::iter(names).map(|name| ask(&clerk, &board, leaf, site, name)).buffer_unordered(CLIENTS);
    while let Some((status, seconds)) = answers.try_next().await? {
        contest.answers.push(seconds);
        match status.refusal {
            None => contest.granted += 1,
            Some(refusal) => *contest.refused.entry(refusal.reason).or_default() += 1,
        }
    }
    contest.wall = begun.elapsed();
    Ok(contest)
}

async fn ask(
    clerk: &Client,
    board: &Arc<Board>,
    leaf: &str,
    site: &str,
    name: String,
) -> Result<(follow::Status, f64)> {
    let begun = Instant::now();
    let api = orders::requests(clerk, leaf);
    crate::stage::create(&api, &orders::create(&name, site, 1)?).await.with_context(|| format!("create {name}"))?;
    let status = board.until(&follow::key(&orders::namespace(leaf), &name), follow::is_answered).await?;
    Ok((status, begun.elapsed().as_secs_f64()))
}

fn is_exact(contest: &Contest, requests: usize) -> Result<()> {
    ensure!(contest.granted == requests / 2, "exactly {} are granted, but {}", requests / 2, contest.granted);
    let others = contest.refused.keys().any(|reason| reason != "QuotaExceeded");
    ensure!(!others, "only \"exceeded\" is heard, but {:?}", contest.refused);
    Ok(())
}
