//! The story of `make demo-recovery`: 财政厅's 财政电子票据 is protected at two sites, tried by drills, lost, and brought back elsewhere.

mod ground;
mod system;

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use zhengyun_crds::recovery::{BackupPhase, DrillPart, DrillPhase, RestorePhase};
use zhengyun_crds::{ConditionType, condition};

use self::ground::{AWAY, Ground, HOME, NAMESPACE};
use self::system::System;
use super::{Stage, runs};
use crate::lab::supervisor::{self, Command};

/// Sources of the plan.
const SPACE: &str = "space";
const ROWS: &str = "rows";
const FILES: &str = "files";
const SOURCES: [&str; 3] = [SPACE, ROWS, FILES];

/// Tells the story on a running lab.
///
/// # Errors
/// The first step that did not come out as told.
pub(super) async fn play(stage: &Stage, out: &mut dyn FnMut(&str)) -> Result<()> {
    let begun = Instant::now();
    let desk = ground::desk(stage);
    let ground = Ground::prepare(stage, out).await?;
    let system = System::build(stage, &ground, out).await?;
    let plan = ground.plan(stage, out).await?;

    out("\nclerk-finance asks for a backup; it is read back and compared in both stores before it counts");
    let backup = format!("{plan}-first");
    let status = runs::backup(&desk, &plan, &backup, BackupPhase::Completed, out).await?;
    let manifest = status.manifest.context("a completed backup has a manifest")?;
    out(&format!("  {backup}: {}; manifest {} signed ({})", status.summary, short(&manifest.root), manifest.algorithm));

    out(&format!(
        "\nDrills: each copy is restored at {AWAY} into a scratch space, a scratch database and a scratch folder, compared, timed and removed"
    ));
    for store in ground.stores() {
        let name = format!("{store}-drill");
        let status = runs::drill(&desk, &plan, &store, &name, DrillPhase::Passed, out).await?;
        let rto = status.measured_rto.as_ref().map(ToString::to_string).context("a passed drill measured")?;
        let checks = status.zero_proof.context("a drill proves that nothing is left")?.checks.len();
        let timed = |part: &DrillPart| Some(format!("{} {}", part.source, part.duration.as_ref()?));
        let parts: Vec<String> = status.parts.iter().filter_map(timed).collect();
        ensure!(parts.len() == SOURCES.len(), "every source was tried: {:?}", status.parts);
        out(&format!(
            "  copy in {store}: measured RTO {rto} ({}); nothing is left of the scratch ({checks} checks)",
            parts.join(", ")
        ));
    }
    let met = runs::plan_says(&desk, &plan, |plan| condition::is_true(&plan.conditions, ConditionType::ObjectiveMet));
    met.await.context("the objective is met")?;

    let before = system.picture(HOME).await?;
    out(&format!("\nThe disaster: {HOME} burns. Its cluster, its database, its files and its store are gone"));
    system.lose(stage).await?;
    supervisor::request(stage.dir(), &Command::StopSite(HOME.to_owned())).await?;
    ground.lose_store(HOME)?;

    out(&format!(
        "\nclerk-finance restores everything at {AWAY}, from the copy that is left: first a plan, then exactly that plan"
    ));
    let lost = Instant::now();
    for source in SOURCES {
        let redirect = ground.redirect(source);
        let status = runs::restore(&desk, &backup, source, &redirect, RestorePhase::Completed, out).await?;
        out(&format!("  {source}: {}", status.summary));
    }
    out(&format!("  everything is back after {:.1} s", lost.elapsed().as_secs_f64()));
    let after = system.picture(AWAY).await?;
    before.same_as(&after)?;
    out(&format!("  compared by other means than the product's: {after}; all equal"));

    supervisor::request(stage.dir(), &Command::StartSite(HOME.to_owned())).await?;
    out(&format!(
        "\nThe cluster of {HOME} is up again. The story took {:.0} s. What stands now:\n",
        begun.elapsed().as_secs_f64()
    ));
    for kind in ["recoveryplans", "systembackups", "systemrestores", "recoverydrills"] {
        out(&runs::kubectl(stage, &["--namespace", NAMESPACE, "get", kind])?);
    }
    let status = runs::plan(&desk, &plan).await?.status.unwrap_or_default();
    for unmet in status.unmet.iter().take(2) {
        out(&format!("{plan}: unmet {}: {}; {}", unmet.clause, unmet.reason, unmet.remedy));
    }
    out(&format!(
        "\nLook on:\n\n  {} -n dept-finance describe recoveryplan {plan}\n  {} get backupstores -o wide\n\nEnd everything: make demo-down\n",
        runs::kubectl_line(stage)?,
        runs::kubectl_line(stage)?
    ));
    Ok(())
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}
