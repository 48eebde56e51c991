//! B4: an operator that dies at a random write while clients ask, and the first right decision of its successor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use tokio::task::JoinSet;
use zhengyun_tests::figures::{Gate, quantile};
use zhengyun_tests::lab::process::log_tail;

use crate::books::Auditor;
use crate::ceilings;
use crate::chance::Chance;
use crate::follow::{self, Board};
use crate::orders;
use crate::outcome::Outcome;
use crate::region::{HUGE_ITEM, ITEM, Region};
use crate::run::{Run, scaled};
use crate::stage::{SitePlan, Stage, create};
use crate::standing;

const GRANTS: usize = 20_000;
/// Of these, delivered to a site: what the successor looks after while it decides.
const DELIVERED: usize = 1_000;
const LEAVES: usize = 200;
/// Times that the operator dies.
const DEATHS: usize = 10;
const CLIENTS: usize = 32;
const LATER: &str = "later";
const LIVE: &str = "live";
const GATE: f64 = 10.0;
/// The kinds of write at which it dies, and among how many of each the n-th is drawn.
const WRITES: [&str; 5] = [
    "hub PATCH ledgers/status",
    "hub POST resourcegrants",
    "hub PATCH resourcegrants/status",
    "hub PATCH resourcerequests/status",
    "hub PATCH resourcerequests",
];
const AMONG: u64 = 300;
/// How late an answer may still come by the watch.
const LATE_ANSWERS: Duration = Duration::from_millis(500);
/// Longest wait for an answer of a successor, and for the death of an operator under load.
const PATIENCE: Duration = Duration::from_mins(3);

/// One start.
struct Start {
    what: String,
    /// Seconds until a request that fits was granted and one that does not was refused.
    right: f64,
    peak: u64,
}

pub(crate) async fn run(run: &Run<'_>) -> Result<Outcome> {
    let (grants, delivered) = (scaled(GRANTS, run.scale, 100), scaled(DELIVERED, run.scale, 20));
    let title =
        format!("restart with {grants} live grants ({delivered} of them delivered), {DEATHS} deaths at random writes");
    let mut outcome = Outcome::new("B4", title, run.scale);
    run.say("hub and one site");
    let mut stage = Stage::start(&[LIVE]).await?;
    let admin = stage.admin()?;
    outcome.ceilings.push(ceilings::measure(&admin, "raw", scaled(4_000, run.scale, 400), "hub").await?);
    stage.start_operator(&flags(None))?;
    let region = Region::deep(10)?.first(scaled(LEAVES, run.scale, 10));
    let sites = [SitePlan::later(LATER, 1_000_000), SitePlan::joined(LIVE, 1_000_000)];
    stage.establish(&region, &sites).await?;
    let begun = Instant::now();
    standing::grant(&stage, &region, &[LIVE], delivered, run).await?;
    standing::served(&stage, delivered, run).await?;
    standing::grant_as(&stage, &region, "charged", &[LATER], grants - delivered, run).await?;
    outcome.figure("preparation", begun.elapsed().as_secs_f64(), "s", None, "until every grant was there");

    let limits = sites.iter().map(|s| (s.name.clone(), s.each * region.leaves.len() as u64)).collect();
    let auditor = Auditor::start(&admin, limits);
    let chance = Chance::from_clock();
    run.say(&format!("seed of the deaths: {}", chance.seed()));
    stage.operator()?.stop().await?;
    let (starts, granted) = deaths(&mut stage, &region, chance, run).await?;
    let (revisions, _) = auditor.finish()?;
    standing::exact(&stage, LIVE, delivered).await?;
    standing::exact(&stage, LATER, grants - delivered + granted).await?;
    report(&mut outcome, &starts, chance.seed())?;
    outcome.note(format!(
        "drift 0: ledgers, {} grants and the independent audit agree to the unit after the deaths, {granted} of them decided meanwhile; {revisions} revisions of the ledgers were looked at",
        grants + granted
    ));
    Ok(outcome)
}

fn flags(death: Option<&str>) -> Vec<String> {
    // A container that is started again keeps its pod's name, so its successor need not wait for the lease to end.
    let mut flags = vec!["--identity".to_owned(), "bench-operator-0".to_owned()];
    if let Some(death) = death {
        flags.extend(["--crash-after-write".to_owned(), death.to_owned()]);
    }
    flags
}

/// Starts operators that die one after the other, and a last one that lives. Returns the starts and what clients were granted.
async fn deaths(stage: &mut Stage, region: &Region, mut chance: Chance, run: &Run<'_>) -> Result<(Vec<Start>, usize)> {
    let admin = stage.admin()?;
    let clients = Arc::new(Clients {
        clerk: stage.clerk()?,
        board: Board::of_requests(&admin),
        leaf: region.leaves.first().context("a leaf")?.clone(),
        next: AtomicUsize::new(0),
        granted: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    });
    let mut asking = JoinSet::new();
    for _ in 0..CLIENTS {
        asking.spawn(Arc::clone(&clients).ask_on());
    }
    let mut starts = Vec::new();
    let mut unanswered = None;
    for number in 0..=DEATHS {
        let kind = WRITES.get(usize::try_from(chance.below(WRITES.len() as u64))?).context("a kind of write")?;
        let death = format!("{kind} {}", 1 + chance.below(AMONG));
        let last = number == DEATHS;
        // What an operator left unanswered when it died is answered by its successor.
        let mut probe = unanswered.take().unwrap_or_else(|| tokio::spawn(Arc::clone(&clients).probe(number)));
        let begun = Instant::now();
        let operator = Arc::clone(stage.start_operator(&flags((!last).then_some(death.as_str())))?);
        let process = operator.process();
        let answered = tokio::select! {
            biased;
            answered = &mut probe => Some(answered.context("a probe")?),
            _ = process.wait_exit(PATIENCE) => None,
        };
        if let Some(answered) = answered {
            answered?;
            let peak = process.id().peak_rss_bytes().unwrap_or_default();
            starts.push(Start { what: format!("start {number}"), right: begun.elapsed().as_secs_f64(), peak });
        } else {
            ensure!(
                !process.is_running(),
                "no right decision came from start {number} within {} s",
                PATIENCE.as_secs()
            );
            ensure!(!last, "the last operator ended: {}", log_tail(operator.log(), 15));
            // An answer that the dead one still gave is on its way to the watch; it is not its successor's.
            tokio::time::sleep(LATE_ANSWERS).await;
            if probe.is_finished() {
                probe.await.context("a probe")??;
            } else {
                unanswered = Some(probe);
            }
        }
        if last {
            clients.stop.store(true, Ordering::Relaxed);
            while let Some(ended) = asking.join_next().await {
                ended.context("a client")??;
            }
            break;
        }
        process.wait_exit(PATIENCE).await.with_context(|| format!("the operator was to die at {death}"))?;
        run.say(&format!(
            "  death {} at: {death}; {} granted so far",
            number + 1,
            clients.granted.load(Ordering::Relaxed)
        ));
    }
    Ok((starts, clients.granted.load(Ordering::Relaxed)))
}

/// Clients that ask without end.
struct Clients {
    clerk: Client,
    board: Arc<Board>,
    leaf: String,
    next: AtomicUsize,
    granted: AtomicUsize,
    stop: AtomicBool,
}

impl Clients {
    async fn ask_on(self: Arc<Self>) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let name = format!("busy-{:06}", self.next.fetch_add(1, Ordering::Relaxed));
            self.ask(&name, ITEM).await?;
        }
        Ok(())
    }

    /// Asks for an item, and hears whether it was granted or exceeds the limit; anything else is an error.
    async fn ask(&self, name: &str, item: &str) -> Result<()> {
        let order = orders::create_item(name, LATER, item, 1)?;
        create(&orders::requests(&self.clerk, &self.leaf), &order).await.with_context(|| format!("create {name}"))?;
        let key = follow::key(&orders::namespace(&self.leaf), name);
        let answer = self.board.until(&key, follow::is_answered).await?;
        match (&answer.refusal, item == HUGE_ITEM) {
            (None, false) => {
                self.granted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            (Some(refusal), true) if refusal.reason == "QuotaExceeded" => Ok(()),
            (other, _) => anyhow::bail!("{key}, {item}: {other:?}"),
        }
    }

    /// One request that fits and one that does not, both answered rightly.
    async fn probe(self: Arc<Self>, number: usize) -> Result<()> {
        let (fits, exceeds) = (format!("fits-{number:02}"), format!("exceeds-{number:02}"));
        tokio::try_join!(self.ask(&fits, ITEM), self.ask(&exceeds, HUGE_ITEM))?;
        Ok(())
    }
}

fn report(outcome: &mut Outcome, starts: &[Start], seed: u64) -> Result<()> {
    ensure!(!starts.is_empty(), "no start was measured");
    let times: Vec<f64> = starts.iter().map(|s| s.right).collect();
    let worst = times.iter().copied().fold(0.0, f64::max);
    let each: BTreeMap<&str, String> = starts.iter().map(|s| (s.what.as_str(), format!("{:.1} s", s.right))).collect();
    outcome.figure(
        "first right decision",
        worst,
        "s",
        Some(Gate::AtMost(GATE)),
        format!("the worst of {} starts, from the start of the process until one request was granted and one refused rightly, {CLIENTS} clients asking on; {each:?}", starts.len()),
    );
    outcome.figure("the same, half", quantile(times, 0.5)?, "s", None, "of all starts");
    let peak = starts.iter().map(|s| s.peak).max().unwrap_or_default();
    outcome.figure("operator RSS", peak as f64 / 1e6, "MB", None, "peak after a start");
    outcome.note(format!("seed of the deaths: {seed}"));
    Ok(())
}
