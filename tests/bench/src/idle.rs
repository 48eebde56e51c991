//! B7: what the product costs while nothing happens, in a full region.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use zhengyun_tests::figures::Gate;

use crate::ceilings;
use crate::meter::{Meter, Snapshot};
use crate::outcome::{Outcome, short};
use crate::region::Region;
use crate::run::{Run, scaled};
use crate::stage::{SitePlan, Stage};
use crate::standing;

const SITES: usize = 13;
const GRANTS: usize = 20_000;
/// Departments below each of the 103 banners: with region, leagues and banners 3,000 in all.
const DEPARTMENTS: usize = 28;
/// Longer than the product takes to look at everything once (300 s and up to a quarter more).
const LENGTH: Duration = Duration::from_secs(400);
const SHORTEST: Duration = Duration::from_secs(60);
/// No write for this long is quiet: longer than the ledger waits to tidy its journal and a quota to report.
const PAUSE: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_mins(15);

pub(crate) async fn run(run: &Run<'_>) -> Result<Outcome> {
    let whole = Region::deep(DEPARTMENTS)?;
    let region = whole.first(scaled(whole.leaves.len(), run.scale, 10));
    let sites = scaled(SITES, run.scale, 2).min(SITES);
    let grants = scaled(GRANTS, run.scale, 2 * sites) / sites * sites;
    let title = format!(
        "idle: {sites} sites, {} departments, {grants} grants in service, nothing happening",
        region.nodes.len()
    );
    let mut outcome = Outcome::new("B7", title, run.scale);
    let names: Vec<String> = (1..=sites).map(|n| format!("site-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    run.say(&format!("hub and {sites} sites"));
    let mut stage = Stage::start(&names).await?;
    outcome.ceilings.push(ceilings::measure(&stage.admin()?, "raw", scaled(4_000, run.scale, 400), "hub").await?);
    stage.start_operator(&[])?;
    let plans: Vec<SitePlan> = names.iter().map(|name| SitePlan::joined(name, 1_000)).collect();
    let begun = Instant::now();
    let tree = stage.establish(&region, &plans).await?;
    run.say(&format!("{} departments with quotas stand after {:.0} s", region.nodes.len(), tree.as_secs_f64()));
    standing::grant(&stage, &region, &names, grants, run).await?;
    standing::served(&stage, grants, run).await?;
    outcome.figure(
        "preparation",
        begun.elapsed().as_secs_f64(),
        "s",
        None,
        format!("of these {:.0} s for departments and quotas", tree.as_secs_f64()),
    );
    let api = std::sync::Arc::new(stage.lab().start_api("", &[])?);
    let meter = stage.meter()?.with("API", &api);
    quiet(&meter, run).await?;

    let length = LENGTH.mul_f64(run.scale).max(SHORTEST);
    run.say(&format!("nothing happens for {} s", length.as_secs()));
    let before = meter.look().await?;
    tokio::time::sleep(length).await;
    let after = meter.look().await?;
    let passed = after.at().duration_since(before.at());
    let (seconds, whole) = (passed.as_secs_f64(), passed.as_secs());
    let spent = before.until(&after, "doing nothing", "second", whole);
    // Milliseconds of a second, as a share of a core.
    let share = |process: &str| spent.cpu(process) * whole as f64 / seconds / 10.0;
    let (operator, api) = (share("operator"), share("API"));
    outcome.figure(
        "operator",
        operator,
        "% of a core",
        Some(Gate::AtMost(2.0)),
        format!("processor time in {seconds:.0} s; the API {api:.2} %"),
    );
    let written = writes(&before, &after);
    let total: u64 = written.values().sum();
    let which = written.iter().map(|(name, count)| format!("{name} × {count}")).collect::<Vec<_>>().join(", ");
    outcome.figure(
        "writes",
        total as f64,
        "writes",
        Some(Gate::AtMost(0.0)),
        format!("to hub and sites, leases apart{}{which}", if which.is_empty() { "" } else { ": " }),
    );
    let reads: f64 = spent
        .requests_per_item
        .iter()
        .filter(|(name, _)| name.contains(" GET ") || name.contains(" LIST "))
        .map(|(_, n)| n)
        .sum();
    outcome.figure(
        "reads",
        reads,
        "a second",
        None,
        format!("GET and LIST at hub and sites; {} a second and grant", short(reads / grants as f64)),
    );
    outcome.figure("operator RSS", spent.peak("operator"), "MB", None, "peak resident memory");
    outcome.figure("API RSS", spent.peak("API"), "MB", None, "peak resident memory");
    outcome.spent.push(spent);
    for name in names {
        standing::exact(&stage, name, grants / sites).await?;
    }
    Ok(outcome)
}

/// Waits until nothing was written for a while.
async fn quiet(meter: &Meter, run: &Run<'_>) -> Result<()> {
    run.say("waiting for the last writes");
    let begun = Instant::now();
    let mut last = meter.look().await?;
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = meter.look().await?;
        let written = writes(&last, &now);
        if written.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > QUIET {
            bail!("it does not become quiet; in the last {} s: {written:?}", PAUSE.as_secs());
        }
        last = now;
    }
}

/// Writes between two looks; leases, reviews, refusals and dry runs store nothing of the product's.
fn writes(before: &Snapshot, after: &Snapshot) -> BTreeMap<String, u64> {
    let mut between = after.requests_since(before);
    between.retain(|name, _| {
        let writes = [" POST ", " PUT ", " PATCH ", " DELETE ", " APPLY "].iter().any(|verb| name.contains(verb));
        let apart = ["leases", "reviews", "(dry run)", "refused", " 409"].iter().any(|part| name.contains(part));
        writes && !apart
    });
    between
}
