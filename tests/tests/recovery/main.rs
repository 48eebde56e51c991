//! Disaster recovery on real control planes: a grant's namespace is backed up, destroyed and brought back, also elsewhere; the operator
//! and the worker are killed in the middle; a repository with one flipped byte restores nothing, and a check of the store finds it; a plan
//! starts what is due; drills prove the copy at the other site and leave nothing there; databases and file trees come back; a grant that is ended keeps its data
//! until a backup of it is proven; what stands is charged, and without room nothing is written; a plan keeps what it says in two stores, and one of them alone brings everything back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

mod buckets;
mod charges;
mod checks;
mod copies;
mod database_drills;
mod databases;
mod drills;
mod files;
mod ground;
mod keep;
mod runs;

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;
use zhengyun_crds::recovery::{BackupPhase, CopyState, ExistingPolicy, RecoveryPlanStatus, RestoreMode, RestorePhase};
use zhengyun_crds::{ConditionType as C, condition};
use zhengyun_tests::lab::client;

use self::ground::Ground;

/// Objects of the department in its namespace.
const OBJECTS: usize = 200;

fn is(counted: i64, expected: usize) -> bool {
    usize::try_from(counted) == Ok(expected)
}

/// One lab for all scenes: a lab costs more than a scene.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_comes_back_and_damage_is_found_before_the_first_write() {
    client::install_crypto_provider();
    let ground = Ground::start().await.unwrap();
    for (name, scene) in [
        ("switched off", off(&ground).await),
        ("backup", backed_up(&ground).await),
        ("restore", restored(&ground).await),
        ("restore elsewhere", restored_elsewhere(&ground).await),
        ("refusals", refused(&ground).await),
        ("kills", killed(&ground).await),
        ("damage", damaged(&ground).await),
        ("checks of the store", checks::scheduled(&ground).await),
        ("schedule", scheduled(&ground).await),
        ("charges", charges::charged_exactly(&ground).await),
        ("drill without room", drills::without_room(&ground).await),
        ("drill by schedule", drills::scheduled(&ground).await),
        ("drill over damage", drills::over_damage(&ground).await),
        ("drill killed", drills::killed(&ground).await),
        ("drill cancelled", drills::cancelled(&ground).await),
        ("copies and retention", copies::kept(&ground).await),
        ("file trees without a folder", files::without_a_folder(&ground).await),
        ("databases", databases::protected(&ground).await),
        ("file trees", files::protected(&ground).await),
        ("drills of databases", database_drills::tried(&ground).await),
        ("a grant ended with a backup", keep::with_a_backup(&ground).await),
        ("buckets", buckets::used(&ground).await),
        ("a store lost", copies::lost(&ground).await),
    ] {
        scene.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}

/// An operator without a place for runs says so on every kind, with the fix.
async fn off(ground: &Ground) -> Result<()> {
    ground.register().await?;
    let said = ground.store_says("--recovery-dir").await?;
    ensure!(said.contains("--backup-root"), "{said}");
    let said = ground.backup_says("first", "--recovery-dir").await?;
    ensure!(said.contains("--backup-root"), "{said}");
    // With a place for them, what was asked for goes on by itself.
    ground.restart_operator_with_recovery().await
}

async fn backed_up(ground: &Ground) -> Result<()> {
    let begun = Instant::now();
    let status = ground.backup_ends("first", BackupPhase::Completed).await?;
    eprintln!("first backup, with its repository: {:.1} s", begun.elapsed().as_secs_f64());
    let manifest = status.manifest.expect("a completed backup has a manifest");
    ensure!(manifest.root.len() == 64 && manifest.head.len() == 64 && manifest.counter > 0, "{manifest:?}");
    let copy = status.copies.first().expect("a completed backup has a copy");
    ensure!(copy.state == CopyState::Verified && copy.snapshot.is_some(), "{copy:?}");
    ensure!(status.sources[0].captured_at.is_some() && status.sources[0].uncovered.is_empty(), "{:?}", status.sources);
    ground.escrow_is_shown().await?;
    ground.site_is_shut("hohhot").await?;
    ground.store_is_measured().await
}

async fn restored(ground: &Ground) -> Result<()> {
    let before = ground.content("hohhot").await?;
    ensure!(before.len() == OBJECTS, "{} objects were made", before.len());
    ground.destroy("hohhot").await?;
    let planned = ground.restore("plan", RestoreMode::Plan, None, ExistingPolicy::Fail, None).await?;
    ensure!(planned.phase == Some(RestorePhase::Planned), "{:?}", planned.failure);
    let counts = planned.planned.clone().unwrap_or_default();
    ensure!(is(counts.created, OBJECTS) && counts.conflicts == 0, "{counts:?}");
    ensure!(ground.content("hohhot").await?.is_empty(), "a plan writes nothing");
    let digest = planned.plan_digest.expect("a plan has a digest");
    let other = format!("sha256:{}", "0".repeat(64));
    let changed = ground.restore("other", RestoreMode::Execute, Some(&other), ExistingPolicy::Fail, None).await?;
    ensure!(changed.phase == Some(RestorePhase::Refused), "{:?}", changed.phase);
    ensure!(changed.failure.as_ref().is_some_and(|f| f.reason == "PlanChanged"), "{:?}", changed.failure);
    ensure!(ground.content("hohhot").await?.is_empty(), "another plan than the agreed one writes nothing");
    let begun = Instant::now();
    let done = ground.restore("execute", RestoreMode::Execute, Some(&digest), ExistingPolicy::Fail, None).await?;
    eprintln!("restore of {OBJECTS} objects: {:.1} s", begun.elapsed().as_secs_f64());
    ensure!(done.phase == Some(RestorePhase::Completed), "{:?} {:?}", done.failure, done.failures);
    ground.same_content("hohhot", &before).await?;
    ground.site_is_shut("hohhot").await?;
    // What stands already is left alone, by a plan of its own.
    let again = ground.restore("again", RestoreMode::Plan, None, ExistingPolicy::Replace, None).await?;
    let counts = again.planned.unwrap_or_default();
    ensure!(is(counts.unchanged, OBJECTS + 1) && counts.created + counts.replaced == 0, "{counts:?}");
    Ok(())
}

async fn restored_elsewhere(ground: &Ground) -> Result<()> {
    let before = ground.content("hohhot").await?;
    let there = Some(ground.elsewhere.as_str());
    let planned = ground.restore("plan-there", RestoreMode::Plan, None, ExistingPolicy::Fail, there).await?;
    let digest = planned.plan_digest.clone().unwrap_or_default();
    let done = ground.restore("there", RestoreMode::Execute, Some(&digest), ExistingPolicy::Fail, there).await?;
    ensure!(done.phase == Some(RestorePhase::Completed), "{:?} {:?} {:?}", done.phase, done.failure, done.failures);
    ground.same_content("ulanqab", &before).await?;
    // One object in the way stops everything, and only a policy that says so replaces it.
    ground.change("ulanqab", "map-000", json!({ "data": { "text": "changed" } })).await?;
    let blocked = ground.restore("blocked", RestoreMode::Plan, None, ExistingPolicy::Fail, there).await?;
    ensure!(blocked.failures.first().is_some_and(|f| f.message.contains("map-000")), "{:?}", blocked.failures);
    let digest = blocked.plan_digest.unwrap_or_default();
    let refused =
        ground.restore("in-the-way", RestoreMode::Execute, Some(&digest), ExistingPolicy::Fail, there).await?;
    ensure!(refused.phase == Some(RestorePhase::Refused), "{:?}", refused.phase);
    let replacing = ground.restore("plan-replace", RestoreMode::Plan, None, ExistingPolicy::Replace, there).await?;
    ensure!(replacing.planned.as_ref().is_some_and(|p| p.replaced == 1), "{:?}", replacing.planned);
    let digest = replacing.plan_digest.unwrap_or_default();
    let replaced =
        ground.restore("replace", RestoreMode::Execute, Some(&digest), ExistingPolicy::Replace, there).await?;
    ensure!(replaced.phase == Some(RestorePhase::Completed), "{:?} {:?}", replaced.failure, replaced.failures);
    ground.same_content("ulanqab", &before).await
}

async fn refused(ground: &Ground) -> Result<()> {
    let theirs = Some(ground.others.as_str());
    let crossing = ground.restore("crossing", RestoreMode::Plan, None, ExistingPolicy::Fail, theirs).await?;
    ensure!(crossing.phase == Some(RestorePhase::Refused), "{:?}", crossing.phase);
    let failure = crossing.failure.unwrap_or_default();
    ensure!(failure.reason == "GrantNotFound" && failure.message.contains("within its department"), "{failure:?}");
    ground.outside_store_is_refused().await?;
    ground.somebody_elses_name_is_refused().await?;
    // Cancelled before it began, and cancelled for good.
    ground.ask_backup("cancelled", true).await?;
    ground.backup_ends("cancelled", BackupPhase::Cancelled).await.map(drop)
}

/// What is due is started by the operator, once, and the plan tells what it proves and what it does not.
async fn scheduled(ground: &Ground) -> Result<()> {
    // Every minute since the plan was written: what passed meanwhile is made up for at once, by one run.
    ground.change_plan(json!({ "spec": { "schedule": { "cron": null, "every": "1m" } } })).await?;
    let name = ground.scheduled_backup().await?;
    ground.change_plan(json!({ "spec": { "paused": true } })).await?;
    ground.backup_ends(&name, BackupPhase::Completed).await?;
    let plan = ground.plan_says("its last good backup is the scheduled one", |plan| {
        plan.copies.first().is_some_and(|copy| copy.last_good.as_deref() == Some(name.as_str()))
    });
    let plan = plan.await?;
    ensure!(plan.worst_rpo.is_some() && plan.last_due.is_some() && plan.next_run.is_none(), "{plan:?}");
    let told = |plan: &RecoveryPlanStatus, type_| condition::find(&plan.conditions, type_).map(|c| c.reason.clone());
    // No drill was held, so nothing is known of the time that a recovery takes.
    ensure!(told(&plan, C::ObjectiveMet).as_deref() == Some("NotMeasured"), "{:?}", plan.conditions);
    ensure!(told(&plan, C::Protected).as_deref() == Some("EscrowPending"), "{:?}", plan.conditions);
    let fingerprint = plan.copies[0].escrow_fingerprint.clone().expect("the repository's key has a fingerprint");
    let kept =
        json!([{ "store": plan.copies[0].store, "fingerprint": fingerprint, "keeper": "safe 3, archive office" }]);
    ground.change_plan(json!({ "spec": { "escrow": kept } })).await?;
    ground.plan_says("it is protected", |plan| condition::is_true(&plan.conditions, C::Protected)).await.map(drop)
}

/// The operator dies in the middle of a backup, then the worker too: the run goes on under the next one.
async fn killed(ground: &Ground) -> Result<()> {
    ground.ask_backup("outlives", false).await?;
    let worker = ground.worker_of("outlives").await?;
    ground.operator().kill9().await?;
    ensure!(runs::is_alive(worker) || ground.has_report("outlives").await?, "the worker died with the operator");
    ground.operator().start_again()?;
    let status = ground.backup_ends("outlives", BackupPhase::Completed).await?;
    ensure!(status.attempt <= 2, "the worker that lived was not started again, but {} were", status.attempt);

    ground.add_objects(20).await?;
    ground.ask_backup("resumes", false).await?;
    let worker = ground.worker_of("resumes").await?;
    ground.operator().kill9().await?;
    runs::kill(worker)?;
    ground.operator().start_again()?;
    let status = ground.backup_ends("resumes", BackupPhase::Completed).await?;
    ensure!(status.copies[0].state == CopyState::Verified, "{:?}", status.copies);
    ensure!(status.attempt >= 3, "capture was taken up again, then verified: {}", status.attempt);
    Ok(())
}

async fn damaged(ground: &Ground) -> Result<()> {
    ground.destroy("hohhot").await?;
    let planned = ground.restore("plan-before", RestoreMode::Plan, None, ExistingPolicy::Fail, None).await?;
    let digest = planned.plan_digest.unwrap_or_default();
    let (pack, undo) = ground.flip_one_byte()?;
    for (name, mode, digest) in
        [("damaged-plan", RestoreMode::Plan, None), ("damaged", RestoreMode::Execute, Some(digest.as_str()))]
    {
        let refused = ground.restore(name, mode, digest, ExistingPolicy::Fail, None).await?;
        ensure!(refused.phase == Some(RestorePhase::Refused), "{name}: {:?}", refused.phase);
        let failure = refused.failure.unwrap_or_default();
        ensure!(failure.message.contains(&pack), "{name} names the part {pack}: {failure:?}");
        ensure!(ground.content("hohhot").await?.is_empty(), "{name} wrote something");
    }
    // A backup that is read back from there is not called good either.
    ground.ask_backup("upon-damage", false).await?;
    let status = ground.backup_ends("upon-damage", BackupPhase::Failed).await?;
    ensure!(status.failure.is_some_and(|f| f.message.contains(&pack)), "the backup names the damaged part");
    std::fs::write(&undo.0, &undo.1)?;
    let done = ground.restore("mended", RestoreMode::Execute, Some(&digest), ExistingPolicy::Fail, None).await?;
    ensure!(done.phase == Some(RestorePhase::Completed), "{:?} {:?}", done.failure, done.failures);
    Ok(())
}
