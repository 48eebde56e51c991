//! Backups: single ones, scheduled ones, thinned out, damaged, without their bucket.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::super::stage::Stage;
use super::{
    FAR, NEAR, ask, ask_of, backups, change_plan, ground, in_phase, lost, plan, read, said, states, told, when,
};

pub(in super::super) async fn backup(stage: &Stage) -> Result<()> {
    ground(stage, &json!({})).await?;
    ask(stage, "first").await?;
    let done = in_phase(stage, "systembackups", "first", "Completed").await?;
    ensure!(said(&done, "/status/copies/0/state") == "Verified", "{done}");
    Ok(())
}

/// A schedule, two stores, and retention that keeps one: both stores hold the newest backup, what came before is gone.
pub(in super::super) async fn kept(stage: &Stage) -> Result<()> {
    let more = json!({
        "schedule": { "every": "5m" }, "retention": { "last": 1 }, "copies": [{ "store": NEAR }, { "store": FAR }]
    });
    ground(stage, &more).await?;
    let whole = || backups(stage).iter().filter(|backup| said(backup, "/status/phase") == "Completed").count();
    stage
        .until("three scheduled backups are whole", || if whole() >= 3 { Ok(()) } else { Err(told(&backups(stage))) })
        .await?;
    change_plan(stage, &json!({ "paused": true })).await?;
    settled(stage).await?;
    // One that got no second copy because of a fault leaves the second bucket the one before it.
    stage
        .until("each bucket holds one backup", || {
            let held = ["bucket-hohhot", "bucket-ulanqab"].map(|bucket| snapshots(stage, bucket).map(|all| all.len()));
            let good = held.iter().all(|held| held.as_ref().is_ok_and(|held| *held == 1));
            if good { Ok(()) } else { Err(format!("{held:?}: {}", told(&backups(stage)))) }
        })
        .await
}

/// Waits until no backup is under way.
async fn settled(stage: &Stage) -> Result<()> {
    stage
        .until("no backup is under way", || {
            let ended = ["Completed", "Incomplete", "Failed", "Cancelled"];
            let all = backups(stage);
            let good = all.iter().all(|backup| ended.contains(&said(backup, "/status/phase").as_str()));
            if good { Ok(()) } else { Err(told(&all)) }
        })
        .await
}

pub(super) fn snapshots(stage: &Stage, bucket: &str) -> Result<Vec<String>> {
    let found = stage.world.buckets.get(bucket).with_context(|| format!("there is no {bucket}"))?;
    let all =
        found.server.objects().into_iter().filter_map(|(key, _)| Some(key.name.split_once(".snapshot.")?.1.to_owned()));
    Ok(all.collect())
}

/// A bucket is away while backups are due, and comes back.
pub(in super::super) async fn store_away(stage: &Stage) -> Result<()> {
    let more = json!({ "schedule": { "every": "10m" }, "copies": [{ "store": NEAR }, { "store": FAR }] });
    ground(stage, &more).await?;
    let whole = || backups(stage).into_iter().filter(|backup| said(backup, "/status/phase") == "Completed").count();
    let first = |wanted: usize| move |whole: usize| if whole >= wanted { Ok(()) } else { Err(whole.to_string()) };
    stage.until("a backup is whole", || first(1)(whole())).await?;
    lost(stage, "bucket-hohhot", true)?;
    tokio::time::sleep(Duration::from_secs(900)).await;
    ensure!(whole() <= 2, "a backup is whole whose first store is away");
    lost(stage, "bucket-hohhot", false)?;
    let before = whole();
    stage.until("the next one is whole", || first(before + 1)(whole())).await?;
    change_plan(stage, &json!({ "paused": true })).await?;
    settled(stage).await
}

/// What was stored rots before it is read back: that backup is no good, and the one before it stays although one is kept at most.
pub(in super::super) async fn rotten(stage: &Stage) -> Result<()> {
    ground(stage, &json!({ "retention": { "last": 1 } })).await?;
    ask(stage, "first").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    ask(stage, "second").await?;
    let stored = when(stage, "systembackups", "second", "stored", |found| {
        said(found, "/status/copies/0/state") != "Missing" && !states(found).is_empty()
    })
    .await?;
    let name = format!("finance.snapshot.{}", said(&stored, "/status/copies/0/snapshot"));
    let bucket = stage.world.buckets.get("bucket-hohhot").context("the bucket")?;
    let object =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "default" } });
    let client = bucket.server.client(&crate::apiserver::User::system(), "admin");
    stage.merge(&client, object, &json!({ "data": { "items": "{}" } })).await?;
    in_phase(stage, "systembackups", "second", "Failed").await?;
    // What was proved before stands, and can be restored.
    tokio::time::sleep(Duration::from_secs(120)).await;
    let first = read(stage, "systembackups", "first").context("the first backup")?;
    ensure!(states(&first) == ["Verified"], "{first}");
    Ok(())
}

/// Two plans of one department keep their backups in one repository, and both ask for one at the same moment.
pub(in super::super) async fn two_plans(stage: &Stage) -> Result<()> {
    let grant = ground(stage, &json!({})).await?;
    plan(stage, "receipts", &grant, &json!({})).await?;
    ask(stage, "first").await?;
    ask_of(stage, "receipts", "second").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    in_phase(stage, "systembackups", "second", "Completed").await?;
    ensure!(snapshots(stage, "bucket-hohhot")?.len() == 2, "{:?}", snapshots(stage, "bucket-hohhot")?);
    Ok(())
}

/// Somebody puts a backup on hold at the moment at which it is to be dropped: either it stays, or it says that it is gone.
pub(in super::super) async fn held(stage: &Stage) -> Result<()> {
    ground(stage, &json!({ "retention": { "last": 1 } })).await?;
    for name in ["first", "second"] {
        ask(stage, name).await?;
        in_phase(stage, "systembackups", name, "Completed").await?;
    }
    change_plan(stage, &json!({ "holds": [{ "backup": "first", "reason": "an audit" }] })).await?;
    let agrees = |found: &Value| {
        let fate = said(found, "/status/retention/fate");
        let gone = states(found) == ["Forgotten"];
        (fate == "Keep" && !gone) || (fate == "Dropped" && gone)
    };
    when(stage, "systembackups", "first", "kept or gone", agrees).await?;
    tokio::time::sleep(Duration::from_secs(120)).await;
    when(stage, "systembackups", "first", "kept or gone", agrees).await.map(drop)
}
