//! After applications had the target, the way back is gone once somebody signed for what is lost; and what is given up leaves nothing.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use zhengyun_crds::migration::{FreezeStrength, MigrationStage as M, RollbackLoss};
use zhengyun_tests::lab::wait::settled;

use crate::ground::{ADMIN, AUTHORITY, Ground, HEAD, PATIENCE, is_closed, tree};
use crate::waves::ARCHIVE;

pub(crate) async fn gone(ground: &Ground) -> Result<()> {
    let archive = ground.of(ARCHIVE);
    let (source, target) = (ground.folder("room/archive"), ground.landing_of(ARCHIVE));
    archive.rehearsed("archive").await?;
    // The folder is no volume of its own: nothing could prove that nobody writes, so somebody declares it.
    archive.sign(HEAD, "Department", "DeclaredFreeze", "Cutover").await?;
    archive.sign(HEAD, "Department", "Cutover", "Cutover").await?;
    let status = archive.at(M::ParallelRun).await?;
    let declared = status.workloads.first().and_then(|workload| workload.freeze_strength);
    ensure!(declared == Some(FreezeStrength::Declared), "{:?}", status.workloads);
    ensure!(!is_closed(&target)? && tree(&source)? == tree(&target)?, "applications have what was in the room");
    fs::write(target.join("written-on-the-cloud.pdf"), "new")?;
    let before = tree(&source)?;
    archive.sign(HEAD, "Department", "Rollback", "Rollback").await?;
    let status = archive
        .when("counts a signature", |status| status.signatures.iter().any(|one| one.purpose.as_str() == "Rollback"));
    ensure!(status.await?.stage == Some(M::ParallelRun), "one of two is not enough");
    archive.sign(AUTHORITY, "Authority", "Rollback", "Rollback").await?;
    let status = archive.at(M::RolledBack).await?;
    ensure!(status.rollback == Some(RollbackLoss::Nothing), "{:?}", status.rollback);
    ensure!(is_closed(&target)?, "nobody has the target");
    ensure!(tree(&source)? == before, "the source is as it was");
    fs::write(source.join("in-use-again.pdf"), "in use")?;
    // One that waits to be tried again is given up with everything that it copied before.
    archive.change(json!({ "round": 1, "paused": true })).await?;
    archive.at(M::Scheduled).await?;
    archive.change(json!({ "cancel": true, "copiedData": "Delete" })).await?;
    archive.at(M::Cancelled).await?;
    ensure!(tree(&target)?.is_empty(), "what was copied is gone: {:?}", tree(&target)?.keys());
    let fence = fs::read_to_string(target.join(".zhengyun-migration/fence.json"))?;
    ensure!(fence.contains("\"dropped\":true"), "whoever comes late is refused: {fence}");
    let beside = source.parent().context("a folder above")?;
    let names = fs::read_dir(beside)?.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<std::io::Result<Vec<_>>>()?;
    ensure!(!names.iter().any(|name| name.to_string_lossy().starts_with(".zhengyun-migration")), "{names:?}");
    ensure!(source.join("in-use-again.pdf").exists(), "the source is in use");
    settled("nothing is left of its processes", PATIENCE, || async {
        let uid = archive.by(ADMIN)?.get(ARCHIVE).await?.metadata.uid.unwrap_or_default();
        let left: Vec<String> = ground.runs()?.into_iter().filter(|run| run.starts_with(&uid)).collect();
        Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
    })
    .await
}
