//! B6: the API before many grants: readers page through all of them and look at single ones, clerks write drafts meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use zhengyun_tests::figures::{Gate, quantile};
use zhengyun_tests::lab::{Component, wait};
use zhengyun_tests::world::door::Door;

use crate::ceilings;
use crate::chance::Chance;
use crate::meter::Meter;
use crate::orders;
use crate::outcome::Outcome;
use crate::region::{CLERKS, ITEM, Region};
use crate::run::{Run, scaled};
use crate::stage::{READER, SitePlan, Stage};
use crate::standing;

const GRANTS: usize = 40_000;
const LEAVES: usize = 200;
const READERS: usize = 100;
const WRITERS: usize = 10;
/// Those who may see every department.
const EVERYWHERE: &str = "zhengyun:providers";
/// A person looks at a page before turning it.
const PAUSE: Duration = Duration::from_secs(1);
/// How long readers and writers are at it.
const LENGTH: Duration = Duration::from_mins(2);
/// How long readers do not pause at all.
const RUSH: Duration = Duration::from_secs(20);
const PAGE: usize = 100;
const SITE: &str = "later";

/// How long each call took, in seconds, by kind.
#[derive(Debug, Default)]
struct Times {
    pages: Vec<f64>,
    filtered: Vec<f64>,
    single: Vec<f64>,
    writes: Vec<f64>,
}

/// What all callers share.
struct Callers {
    times: Mutex<Times>,
    leaves: Vec<String>,
    grants: Vec<(String, String)>,
    until: Instant,
    pause: Duration,
}

pub(crate) async fn run(run: &Run<'_>) -> Result<Outcome> {
    let grants = scaled(GRANTS, run.scale, 200);
    let title = format!(
        "API before {grants} grants: {READERS} readers and {WRITERS} writers, each pausing a second between calls"
    );
    let mut outcome = Outcome::new("B6", title, run.scale);
    let names = |what: &str, many: usize| (0..many).map(|n| format!("bench-{what}-{n}")).collect::<Vec<_>>();
    let (readers, writers) = (names("reader", READERS), names("writer", WRITERS));
    let people: Vec<(String, &str)> = readers
        .iter()
        .map(|name| (name.clone(), EVERYWHERE))
        .chain(writers.iter().map(|name| (name.clone(), CLERKS)))
        .collect();
    run.say("a hub; its site has not joined");
    let mut stage = Stage::start_with(&[], &people).await?;
    outcome.ceilings.push(ceilings::measure(&stage.admin()?, "raw", scaled(4_000, run.scale, 400), "hub").await?);
    stage.start_operator(&[])?;
    let region = Region::deep(10)?.first(scaled(LEAVES, run.scale, 10));
    stage.establish(&region, &[SitePlan::later(SITE, 1_000_000)]).await?;
    let made = standing::grant(&stage, &region, &[SITE], grants, run).await?;
    outcome.figure("preparation", made.wall.as_secs_f64(), "s", None, "until every grant was there");

    let begun = Instant::now();
    let api = Arc::new(stage.lab().start_api("", &[])?);
    ready(&api).await?;
    outcome.figure(
        "API ready",
        begun.elapsed().as_secs_f64(),
        "s",
        None,
        format!("from its start until its caches held {grants} grants and as many requests"),
    );
    let door = |person: &str| -> Result<Door> {
        Ok(Door::new(api.url().context("the API has an address")?, &stage.lab().hub().person_token(person)?))
    };
    let found = every_page(&door(readers.first().context("a reader")?)?, grants, &mut outcome).await?;

    let doors = readers.iter().map(|name| door(name)).collect::<Result<Vec<_>>>()?;
    let writing = writers.iter().map(|name| door(name)).collect::<Result<Vec<_>>>()?;
    let meter = stage.meter()?.with("API", &api);
    let length = LENGTH.mul_f64(run.scale.clamp(0.1, 1.0));
    run.say(&format!("{READERS} readers and {WRITERS} writers for {} s", length.as_secs()));
    let before = meter.look().await?;
    let times = call(&doors, &writing, &region, &found, length, PAUSE).await?;
    let calls = times.pages.len() + times.filtered.len() + times.single.len() + times.writes.len();
    outcome.spent.push(before.until(&meter.look().await?, "readers and writers", "call", calls as u64));
    report(&mut outcome, times)?;
    rush(&mut outcome, &doors, &region, &found, run, &meter).await?;
    below_one_node(&mut outcome, &door(READER)?).await?;
    let peak = api.process().id().peak_rss_bytes()? as f64 / 1e6;
    outcome.figure("API RSS", peak, "MB", Some(Gate::AtMost(250.0)), "peak resident memory, everything included");
    outcome.note("grants were made by the operator at a site that has not joined; the operator runs on meanwhile");
    Ok(outcome)
}

async fn ready(api: &Component) -> Result<()> {
    let url = format!("{}/readyz", api.metrics_url());
    wait::until("the API is ready", Duration::from_mins(3), || async {
        Ok(reqwest::get(&url).await?.status().is_success().then_some(()))
    })
    .await
}

/// Reads all pages once: together they are the list, nothing twice and nothing missing.
async fn every_page(door: &Door, grants: usize, outcome: &mut Outcome) -> Result<Vec<(String, String)>> {
    let begun = Instant::now();
    let mut seen = BTreeSet::new();
    let mut path = "/api/v1/grants?limit=500".to_owned();
    loop {
        let page = door.get(&path).await?;
        for item in page.get("items").and_then(Value::as_array).context("a page has items")? {
            let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            ensure!(seen.insert((text("department"), text("name"))), "a grant is on two pages: {item}");
        }
        match page.get("nextPageToken").and_then(Value::as_str) {
            Some(token) => path = format!("/api/v1/grants?limit=500&pageToken={token}"),
            None => break,
        }
    }
    ensure!(seen.len() == grants, "{grants} grants were to be on the pages, there are {}", seen.len());
    let seconds = begun.elapsed().as_secs_f64();
    outcome.figure(
        "the whole list",
        seconds,
        "s",
        None,
        format!("{grants} grants in pages of 500 by one reader, alone"),
    );
    Ok(seen.into_iter().collect())
}

async fn call(
    readers: &[Door],
    writers: &[Door],
    region: &Region,
    grants: &[(String, String)],
    length: Duration,
    pause: Duration,
) -> Result<Times> {
    let callers = Arc::new(Callers {
        times: Mutex::default(),
        leaves: region.leaves.clone(),
        grants: grants.to_vec(),
        until: Instant::now() + length,
        pause,
    });
    let mut tasks = JoinSet::new();
    for (number, door) in readers.iter().enumerate() {
        tasks.spawn(Arc::clone(&callers).read_on(door.clone(), Chance::new(number as u64)));
    }
    for (number, door) in writers.iter().enumerate() {
        tasks.spawn(Arc::clone(&callers).write_on(door.clone(), number, Chance::new(1_000 + number as u64)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a caller")??;
    }
    Ok(std::mem::take(&mut *callers.times.lock().unwrap_or_else(PoisonError::into_inner)))
}

impl Callers {
    /// Two of four calls turn the pages of everything, one lists a department's grants, one looks at a single grant.
    async fn read_on(self: Arc<Self>, door: Door, mut chance: Chance) -> Result<()> {
        let mut token: Option<String> = None;
        tokio::time::sleep(self.pause.mul_f64(chance.below(1000) as f64 / 1000.0)).await;
        while Instant::now() < self.until {
            let which = chance.below(4);
            let path = match which {
                0 | 1 => match &token {
                    Some(token) => format!("/api/v1/grants?limit={PAGE}&pageToken={token}"),
                    None => format!("/api/v1/grants?limit={PAGE}"),
                },
                2 => format!("/api/v1/grants?limit={PAGE}&department={}", pick(&self.leaves, &mut chance)?),
                _ => {
                    let (department, name) = pick(&self.grants, &mut chance)?;
                    format!("/api/v1/departments/{department}/grants/{name}")
                }
            };
            let begun = Instant::now();
            let answer = door.get(&path).await.with_context(|| format!("GET {path}"))?;
            let seconds = begun.elapsed().as_secs_f64();
            {
                let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
                match which {
                    0 | 1 => times.pages.push(seconds),
                    2 => times.filtered.push(seconds),
                    _ => times.single.push(seconds),
                }
            }
            if which < 2 {
                token = answer.get("nextPageToken").and_then(Value::as_str).map(str::to_owned);
            }
            tokio::time::sleep(self.pause).await;
        }
        Ok(())
    }

    async fn write_on(self: Arc<Self>, door: Door, writer: usize, mut chance: Chance) -> Result<()> {
        tokio::time::sleep(self.pause.mul_f64(chance.below(1000) as f64 / 1000.0)).await;
        let mut number = 0;
        while Instant::now() < self.until {
            let department = pick(&self.leaves, &mut chance)?;
            let path = format!("/api/v1/departments/{department}/requests");
            let body = json!({ "name": format!("draft-{writer}-{number}"), "order": orders::order(SITE, ITEM, 1) });
            let begun = Instant::now();
            door.post(&path, &body).await.with_context(|| format!("POST {path}"))?;
            let seconds = begun.elapsed().as_secs_f64();
            self.times.lock().unwrap_or_else(PoisonError::into_inner).writes.push(seconds);
            number += 1;
            tokio::time::sleep(self.pause).await;
        }
        Ok(())
    }
}

fn pick<'a, T>(all: &'a [T], chance: &mut Chance) -> Result<&'a T> {
    let at = usize::try_from(chance.below(all.len() as u64))?;
    all.get(at).context("something to choose from")
}

fn report(outcome: &mut Outcome, times: Times) -> Result<()> {
    let reads: Vec<f64> = [&times.pages, &times.filtered, &times.single].into_iter().flatten().copied().collect();
    let ms = |values: Vec<f64>, share: f64| quantile(values, share).map(|s| s * 1000.0);
    let many = reads.len();
    let what = format!(
        "99 of 100 of {many} reads: half turn pages of {PAGE}, a quarter list one department, a quarter look at one grant"
    );
    outcome.figure("read", ms(reads, 0.99)?, "ms", Some(Gate::AtMost(100.0)), what);
    for (name, values) in
        [("a page of all", times.pages), ("a department's", times.filtered), ("one grant", times.single)]
    {
        let half = ms(values.clone(), 0.5)?;
        outcome.figure(name, ms(values, 0.99)?, "ms", None, format!("99 of 100; half within {half:.1} ms"));
    }
    let half = ms(times.writes.clone(), 0.5)?;
    let what = format!("99 of 100 of {} drafts written; half within {half:.1} ms", times.writes.len());
    outcome.figure("write", ms(times.writes, 0.99)?, "ms", Some(Gate::AtMost(300.0)), what);
    Ok(())
}

/// The same readers without a pause: how much the API bears.
async fn rush(
    outcome: &mut Outcome,
    readers: &[Door],
    region: &Region,
    grants: &[(String, String)],
    run: &Run<'_>,
    meter: &Meter,
) -> Result<()> {
    let length = RUSH.mul_f64(run.scale.clamp(0.2, 1.0));
    run.say(&format!("the readers without a pause for {} s", length.as_secs()));
    let before = meter.look().await?;
    let begun = Instant::now();
    let times = call(readers, &[], region, grants, length, Duration::ZERO).await?;
    let reads = times.pages.len() + times.filtered.len() + times.single.len();
    if reads == 0 {
        bail!("nothing was read");
    }
    let rate = reads as f64 / begun.elapsed().as_secs_f64();
    outcome.figure("reads without a pause", rate, "a second", None, format!("{READERS} readers, the same mixture"));
    outcome.spent.push(before.until(&meter.look().await?, "readers without a pause", "read", reads as u64));
    Ok(())
}

/// Somebody whose right comes from the region's node reaches every department below it by one review each.
async fn below_one_node(outcome: &mut Outcome, door: &Door) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..2 {
        let begun = Instant::now();
        door.get(&format!("/api/v1/grants?limit={PAGE}")).await?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let [first, second] = times.as_slice() else { bail!("two reads") };
    outcome.figure(
        "first page of a viewer of the region",
        *first,
        "ms",
        None,
        format!("rights below the region, asked about department by department; {second:.1} ms while remembered"),
    );
    Ok(())
}
