//! B1: whole life cycles, in the shape of Kueue's published baseline: asked for, granted, in service, given back, zero proven.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use tokio::task::JoinSet;
use zhengyun_tests::figures::{Gate, quantile};
use zhengyun_tests::lab::wait;

use crate::books::{self, Auditor};
use crate::ceilings;
use crate::follow::{self, Board, Status};
use crate::meter::Spent;
use crate::orders;
use crate::outcome::Outcome;
use crate::region::Region;
use crate::run::{Run, scaled};
use crate::shape::{self, CLASSES, COHORTS, Class, QUEUES};
use crate::stage::{SitePlan, Stage, create};

/// The one site.
const SITE: &str = "live";
/// Longest that a run may take: the namespaces at the site end slowly.
const PATIENCE: Duration = Duration::from_hours(2);
const CEILING: usize = 4_000;
const HUB: &str = "hub kube-apiserver";

/// What happened to one order.
#[derive(Clone, Debug)]
struct Life {
    class: &'static str,
    /// Seconds from the request to its grant's charge.
    granted: f64,
    /// Seconds from the request to the grant in service.
    served: f64,
}

/// What all clients share.
struct Clients {
    clerk: Client,
    requests: Arc<Board>,
    grants: Arc<Board>,
    lives: Mutex<Vec<Life>>,
    last_granted: Mutex<Instant>,
}

/// What a run of the generator gave.
#[derive(Debug)]
pub(crate) struct LifeCycles {
    lives: Vec<Life>,
    /// Until the last request was granted.
    pub(crate) granted: Duration,
    /// Costs of whole life cycles.
    pub(crate) spent: Spent,
}

pub(crate) async fn run(run: &Run<'_>) -> Result<Outcome> {
    let many = shape::total(run.scale);
    let title = format!(
        "life cycles: {many} auto-approved requests of departments in {COHORTS} × {QUEUES}, each ended by an auto-approved Revoke"
    );
    let mut outcome = Outcome::new("B1", title, run.scale);
    run.say("hub and one site");
    let mut stage = Stage::start(&[SITE]).await?;
    let before = ceilings::measure(&stage.admin()?, "before", scaled(CEILING, run.scale, 400), "hub, before").await?;
    stage.start_operator(&[])?;
    let cycles = play(&stage, run).await?;
    let after = ceilings::measure(&stage.admin()?, "after", scaled(CEILING, run.scale, 400), "hub, after").await?;
    report(&mut outcome, &cycles)?;
    outcome.ceilings = vec![before, after];
    Ok(outcome)
}

/// Puts the tree in place, plays every life to its end, and checks that nothing is left.
pub(crate) async fn play(stage: &Stage, run: &Run<'_>) -> Result<LifeCycles> {
    let many = shape::total(run.scale);
    let region = Region::flat("b1", COHORTS, QUEUES);
    let site = SitePlan::joined(SITE, shape::cores_per_queue(run.scale));
    stage.establish(&region, std::slice::from_ref(&site)).await?;
    let admin = stage.admin()?;
    let limit = site.each * region.leaves.len() as u64;
    let auditor = Auditor::start(&admin, BTreeMap::from([(SITE.to_owned(), limit)]));
    let clients = Arc::new(Clients {
        clerk: stage.clerk()?,
        requests: Board::of_requests(&admin),
        grants: Board::of_grants(&admin),
        lives: Mutex::default(),
        last_granted: Mutex::new(Instant::now()),
    });
    let meter = stage.meter()?;
    run.say(&format!("{many} requests arrive, {} streams", region.leaves.len() * CLASSES.len()));
    let begun = meter.look().await?;
    let all = tokio::time::timeout(PATIENCE, generate(&clients, &region, run.scale));
    let lives = tell_progress(run, &clients, all).await.context("not every life cycle ended in time")??;
    let ended = meter.look().await?;
    let last = *clients.last_granted.lock().unwrap_or_else(PoisonError::into_inner);
    nothing_is_left(stage, many).await?;
    let (revisions, highest) = auditor.finish()?;
    run.say(&format!("the books were right at {revisions} revisions; at most {highest:?} cores were held at once"));
    Ok(LifeCycles {
        lives,
        granted: last.duration_since(begun.at()),
        spent: begun.until(&ended, "whole life cycles", "life cycle", many as u64),
    })
}

async fn tell_progress<T>(run: &Run<'_>, clients: &Clients, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut every = tokio::time::interval(Duration::from_secs(20));
    every.tick().await;
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = every.tick() => run.say(&format!("  grants by phase: {:?}", clients.grants.phases())),
        }
    }
}

/// One stream for every department and class: a pause, a request, a pause, a request; every life goes on by itself.
async fn generate(clients: &Arc<Clients>, region: &Region, scale: f64) -> Result<Vec<Life>> {
    let mut streams = JoinSet::new();
    for leaf in &region.leaves {
        for class in CLASSES {
            streams.spawn(arrive(Arc::clone(clients), leaf.clone(), class, class.scaled(scale)));
        }
    }
    while let Some(ended) = streams.join_next().await {
        ended.context("a stream of requests")??;
    }
    Ok(std::mem::take(&mut clients.lives.lock().unwrap_or_else(PoisonError::into_inner)))
}

async fn arrive(clients: Arc<Clients>, leaf: String, class: Class, count: usize) -> Result<()> {
    let mut lives = JoinSet::new();
    for number in 0..count {
        tokio::time::sleep(class.interval).await;
        let name = format!("{}-{number:03}", class.name);
        let begun = Instant::now();
        let body = orders::create(&name, SITE, class.cores)?;
        create(&orders::requests(&clients.clerk, &leaf), &body)
            .await
            .with_context(|| format!("create {leaf}/{name}"))?;
        lives.spawn(live(Arc::clone(&clients), leaf.clone(), name, class, begun));
    }
    while let Some(ended) = lives.join_next().await {
        ended.context("a life cycle")??;
    }
    Ok(())
}

async fn live(clients: Arc<Clients>, leaf: String, name: String, class: Class, begun: Instant) -> Result<()> {
    let namespace = orders::namespace(&leaf);
    let key = follow::key(&namespace, &name);
    let answer = clients.requests.until(&key, follow::is_answered).await?;
    let grant = carried_out(&key, &answer)?;
    let granted = begun.elapsed().as_secs_f64();
    *clients.last_granted.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    clients.grants.until(&key, |status| status.phase == "InService").await?;
    let served = begun.elapsed().as_secs_f64();
    tokio::time::sleep(class.run_time).await;
    let end = format!("{name}-end");
    let body = orders::revoke(&end, SITE, &grant)?;
    create(&orders::requests(&clients.clerk, &leaf), &body).await.with_context(|| format!("create {leaf}/{end}"))?;
    let end = follow::key(&namespace, &end);
    let answer = clients.requests.until(&end, follow::is_answered).await?;
    carried_out(&end, &answer)?;
    clients.grants.until(&key, |status| status.phase == "Revoked").await?;
    let life = Life { class: class.name, granted, served };
    clients.lives.lock().unwrap_or_else(PoisonError::into_inner).push(life);
    Ok(())
}

fn carried_out(key: &str, answer: &Status) -> Result<String> {
    if let Some(refusal) = &answer.refusal {
        anyhow::bail!("{key} was refused, {}: {}", refusal.reason, refusal.message);
    }
    answer.grant.clone().with_context(|| format!("{key} names no grant"))
}

/// Every request was carried out, every grant is revoked, and the books are at zero.
async fn nothing_is_left(stage: &Stage, many: usize) -> Result<()> {
    let admin = stage.admin()?;
    let phases = books::request_phases(&admin).await?;
    ensure!(
        phases == BTreeMap::from([("Applied".to_owned(), 2 * many)]),
        "{} requests were to be Applied, they are {phases:?}",
        2 * many
    );
    let held = books::holdings(&admin, SITE).await?;
    ensure!(held == books::Holdings { grants: many, revoked: many, cores: 0 }, "grants: {held:?}");
    wait::until("the ledger is at zero", Duration::from_mins(1), || async {
        let totals = books::totals(&admin, SITE).await?;
        ensure!(totals == (0, 0), "reserved and granted are {totals:?}");
        Ok(Some(()))
    })
    .await?;
    books::balanced(stage.lab()).await
}

fn report(outcome: &mut Outcome, cycles: &LifeCycles) -> Result<()> {
    let spent = &cycles.spent;
    outcome.figure("life cycles", spent.rate(), "a second", None, "from the first request to the last zero proven");
    outcome.figure(
        "grants",
        spent.items as f64 / cycles.granted.as_secs_f64(),
        "a second",
        None,
        "until the last request was granted, deliveries and revocations going on beside",
    );
    let site = spent.cpu("sites kube-apiserver");
    outcome.figure(
        "hub's API server",
        spent.cpu(HUB),
        "ms",
        Some(Gate::AtMost(16.0)),
        format!("processor time per life cycle; the site's API server takes {site:.1} ms more for the delivery"),
    );
    outcome.figure(
        "operator CPU",
        spent.cpu("operator"),
        "ms",
        Some(Gate::AtMost(1.5)),
        "processor time per life cycle, delivery and revocation included",
    );
    let (own, batch) = spent.operator_writes("hub");
    let (at_site, _) = spent.operator_writes("site");
    outcome.figure(
        "operator writes",
        own,
        "writes",
        Some(Gate::AtMost(6.0)),
        format!("to the hub per life cycle; {batch:.2} more are shared by batches (ledger, quotas, site, Events), {at_site:.2} go to the site"),
    );
    outcome.figure("operator RSS", spent.peak("operator"), "MB", Some(Gate::AtMost(80.0)), "peak resident memory");
    for class in CLASSES {
        let of = |time: fn(&Life) -> f64| -> Vec<f64> {
            cycles.lives.iter().filter(|life| life.class == class.name).map(time).collect()
        };
        let (granted, served) = (of(|l| l.granted), of(|l| l.served));
        let mean = granted.iter().sum::<f64>() / granted.len().max(1) as f64;
        outcome.figure(
            class.name,
            mean,
            "s",
            None,
            format!(
                "mean from the request to its grant; 99 of 100 within {:.1} s, in service within {:.1} s",
                quantile(granted, 0.99)?,
                quantile(served, 0.99)?
            ),
        );
    }
    outcome.spent.push(spent.clone());
    outcome.note("the item's template is empty; a grant still is a namespace at the site with a quota, limits, two network policies and a role binding: six objects made, and a namespace that Kubernetes itself empties");
    outcome.note("limits are wide enough for everything at once: a request that does not fit is refused and not queued, so a narrow limit would measure how clients wait");
    outcome.note("the run time begins when the grant is in service; Kueue's begins at admission, and its runner only says that the workload ended");
    Ok(())
}
