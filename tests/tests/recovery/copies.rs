//! Two stores and a plan that keeps one backup: both hold it, the older ones are gone, and the second store alone brings it back.

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;
use zhengyun_crds::recovery::{BackupPhase, CopyState, RestorePhase, RetentionFate, SystemBackupStatus};
use zhengyun_crds::{ConditionType as C, condition};
use zhengyun_tests::lab::wait::settled;

use super::ground::{CLERK, Ground, PATIENCE, STORE};

const SECOND: &str = "ulanqab-1";

fn snapshots(status: &SystemBackupStatus) -> Vec<(String, String)> {
    let copies = status.copies.iter();
    copies.filter_map(|copy| Some((copy.store.clone(), copy.snapshot.clone()?))).collect()
}

pub(crate) async fn kept(ground: &Ground) -> Result<()> {
    ground.add_store(SECOND, "ulanqab").await?;
    ground
        .change_plan(
            json!({ "spec": { "copies": [{ "store": STORE }, { "store": SECOND }], "retention": { "last": 1 } } }),
        )
        .await?;
    ground.store_named_says(SECOND, "takes backups").await?;
    ground.plan_says("it has two stores", |plan| plan.copies.len() == 2).await?;
    ground.ask_backup("in-two-stores", false).await?;
    let status = ground.backup_ends("in-two-stores", BackupPhase::Completed).await?;
    let both = snapshots(&status);
    ensure!(both.len() == 2 && both[0].1 != both[1].1, "{:?}", status.copies);
    ensure!(status.copies.iter().all(|copy| copy.state == CopyState::Verified), "{:?}", status.copies);
    // Everything before it is dropped, in the store that had it; the last good one is not.
    dropped(ground, "first").await?;
    dropped(ground, "outlives").await?;
    ground.ask_backup("newest", false).await?;
    let newest = snapshots(&ground.backup_ends("newest", BackupPhase::Completed).await?);
    dropped(ground, "in-two-stores").await?;
    for (store, snapshot) in &newest {
        let listed = ground.listed_in(store).await?;
        ensure!(listed == [snapshot.clone()], "{store} holds {listed:?}, kept is {snapshot}");
        ground
            .plan_says("each store's last good backup is the newest", |plan| {
                plan.copies.iter().all(|copy| copy.last_good.as_deref() == Some("newest")) && plan.copies.len() == 2
            })
            .await?;
    }
    let kept = ground.backups()?.get("newest").await?.status.unwrap_or_default().retention.context("it says so")?;
    ensure!(
        kept.fate == RetentionFate::Keep && kept.reasons.iter().any(|r| r == "the last verified backup"),
        "{kept:?}"
    );
    // What is gone is not restored, and says why.
    let refused = ground
        .restore_as("too-late", json!({ "backup": "first", "mode": "Plan", "existing": "Fail", "requestedBy": CLERK }))
        .await?;
    ensure!(refused.phase == Some(RestorePhase::Refused), "{:?}", refused.phase);
    ensure!(refused.failure.as_ref().is_some_and(|f| f.message.contains("Forgotten")), "{:?}", refused.failure);
    // Records of what is gone go beyond the plan's history; what holds data stays.
    ground.change_plan(json!({ "spec": { "retention": { "history": 1 } } })).await?;
    let api = ground.backups()?;
    settled("the newest record alone is kept", PATIENCE, || async {
        let left: Vec<String> = api.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
        let good = left == ["in-two-stores", "newest"];
        Ok(if good { Ok(()) } else { Err(format!("{left:?}")) })
    })
    .await
}

/// The first store's folder is gone, and the namespace too. Nobody need name the store that stands.
pub(crate) async fn lost(ground: &Ground) -> Result<()> {
    let before = ground.content("hohhot").await?;
    std::fs::remove_dir_all(ground.repository(STORE).parent().context("a store has a folder")?)?;
    ground.destroy("hohhot").await?;
    let spec = |mode: &str, digest: Option<&str>| {
        let mut spec = json!({
            "backup": "newest", "mode": mode, "existing": "Fail", "requestedBy": CLERK
        });
        if let Some(digest) = digest {
            spec["planDigest"] = json!(digest);
        }
        spec
    };
    let planned = ground.restore_as("plan-from-second", spec("Plan", None)).await?;
    let digest = planned.plan_digest.with_context(|| format!("{:?}", planned.failure))?;
    let done = ground.restore_as("from-second", spec("Execute", Some(&digest))).await?;
    ensure!(done.phase == Some(RestorePhase::Completed), "{:?} {:?}", done.failure, done.failures);
    ensure!(done.store.as_deref() == Some(SECOND), "it was read in {:?}", done.store);
    ground.same_content("hohhot", &before).await
}

async fn dropped(ground: &Ground, name: &str) -> Result<()> {
    let api = ground.backups()?;
    settled(&format!("backup {name} is dropped"), PATIENCE, || async {
        let status = api.get(name).await?.status.unwrap_or_default();
        let ready = condition::find(&status.conditions, C::Ready).map(|ready| ready.reason.clone());
        let gone = status.copies.iter().filter(|copy| copy.snapshot.is_some()).all(|c| c.state == CopyState::Forgotten);
        let record = status.retention.as_ref();
        let says = record.is_some_and(|r| r.fate == RetentionFate::Dropped && !r.reasons.is_empty());
        let seen = format!("{record:?} {:?} {ready:?}", status.copies);
        let good =
            gone && says && ready.as_deref() == Some("Forgotten") && status.phase == Some(BackupPhase::Completed);
        Ok(if good { Ok(()) } else { Err(seen) })
    })
    .await
}
