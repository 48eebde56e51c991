//! A system leaves its machine room: assessed, planned, copied, rehearsed, cut over once in vain and once for good, run in parallel,
//! signed for, closed, kept, erased; and the room is closed. The operator is killed on the way. Then what waves hold, the signed way back,
//! and a database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

mod databases;
mod ground;
mod moves;
mod waves;
mod ways_back;

use std::fs;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use zhengyun_crds::migration::{FreezeStrength, MigrationStage as M, RollbackLoss};
use zhengyun_tests::lab::client;

use self::ground::{ADMIN, AUTHORITY, CLERK, Ground, HEAD, MIGRATION, PROVIDER, ROOM, is_closed, tree};

/// Files on the share.
const FILES: usize = 400;

/// One lab for all scenes: a lab costs more than a scene.
#[tokio::test(flavor = "multi_thread")]
async fn a_system_leaves_its_room_and_the_room_is_closed() {
    client::install_crypto_provider();
    let ground = Ground::start().await.unwrap();
    let begun = Instant::now();
    let passed = |name: &str, scene: Result<()>| {
        scene.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        eprintln!("{:>6.1} s  {name}", begun.elapsed().as_secs_f64());
    };
    passed("registered", registered(&ground).await);
    passed("assessed and scheduled", assessed(&ground).await);
    passed("copied and rehearsed", copied(&ground, "first").await);
    passed("only who may sign signs", signing(&ground).await);
    passed("a probe fails and the cutover goes back", goes_back(&ground).await);
    passed("tried again and cut over", cut_over(&ground).await);
    passed("accepted and closed for good", accepted(&ground).await);
    passed("kept and erased", erased(&ground).await);
    passed("deleted, and known to its room", deleted(&ground).await);
    passed("the room is closed", room_closed(&ground).await);
    passed("waves hold what may not begin", waves::hold(&ground).await);
    passed("the way back is signed for, and what is cancelled leaves nothing", ways_back::gone(&ground).await);
    passed("a database moves while it is written", databases::moved(&ground).await);
}

fn fill(ground: &Ground) -> Result<()> {
    for number in 0..FILES {
        let folder = ground.share().join(format!("{}/{}", 2020 + number % 5, number % 7));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("invoice-{number:04}.ofd")), vec![b'a'; 500 + number * 13])?;
    }
    fs::write(ground.share().join("index.json"), "{}")?;
    Ok(())
}

async fn registered(ground: &Ground) -> Result<()> {
    fill(ground)?;
    ground.register().await?;
    ground.record(ADMIN, ROOM, "Assessed").await?;
    ground.room_is(ROOM, "Assessed").await?;
    let withdraw = json!({ "spec": { "decision": { "withdraw": { "by": "2027-12-31" } } } });
    ground.rooms(ADMIN)?.patch(ROOM, &PatchParams::default(), &Patch::Merge(&withdraw)).await?;
    let status = ground.room_is(ROOM, "ToWithdraw").await?;
    ensure!((status.total, status.left) == (1, 1), "{status:?}");
    Ok(())
}

/// What nobody answers for holds it; then it has its place in the wave, and the room says that it is being left.
async fn assessed(ground: &Ground) -> Result<()> {
    let workload = json!({
        "name": "scans", "source": { "files": { "root": "share" } },
        "target": { "files": { "site": "hohhot", "root": "landing", "subpath": "e-invoice" } }
    });
    let more = json!({
        "dependencies": [{ "name": "tax interface" }],
        "cutover": {
            "downtimeBudget": "5m", "approvers": [HEAD], "inStepFor": "2s", "quiet": "1s",
            "rollbackPlan": "open the share in the room again",
            "probes": [{ "workload": "scans", "path": "index.json", "digest": format!("sha256:{}", "0".repeat(64)) }]
        }
    });
    ground.of(MIGRATION).ask(ROOM, workload, &more).await?;
    let status = ground.of(MIGRATION).waits(M::Discovered, "DependencyUnowned").await?;
    ensure!(status.evidence.iter().any(|record| record.workload == "scans"), "it was assessed: {status:?}");
    ground
        .of(MIGRATION)
        .change(json!({ "dependencies": [{ "name": "tax interface", "owner": "tax bureau" }] }))
        .await?;
    ground.of(MIGRATION).when("belongs to the wave", |status| status.wave.as_deref() == Some("first")).await?;
    ground.room_is(ROOM, "Migrating").await.map(drop)
}

/// Copied, compared and rehearsed; the operator dies while the copy runs.
async fn copied(ground: &Ground, name: &str) -> Result<()> {
    ground.of(MIGRATION).when("copies", |status| matches!(status.stage, Some(M::FullCopy | M::Replicating))).await?;
    ground.operator_dies().await?;
    let status = ground.of(MIGRATION).waits(M::Replicating, "NotRehearsed").await?;
    let copied = tree(&ground.landing())?;
    ensure!(copied.len() > FILES, "{} of {FILES} are there", copied.len());
    ensure!(status.progress.percent == 100 && status.progress.bytes_done > 0, "{:?}", status.progress);
    ensure!(status.progress.lag.is_some() && status.workloads[0].in_step_since.is_some(), "{status:?}");
    ensure!(is_closed(&ground.landing())?, "the target is closed while it follows");
    // What is written now comes along.
    fs::write(ground.share().join(format!("written-{name}.ofd")), name)?;
    ground.back_up(name).await?;
    ground.rehearse(name).await?;
    ground.of(MIGRATION).at(M::Rehearsed).await.map(drop)
}

/// Whoever may only sign changes nothing else, signs in no other name and for no other party.
async fn signing(ground: &Ground) -> Result<()> {
    ground.of(MIGRATION).waits(M::Rehearsed, "AwaitingSignature").await?;
    for (person, party, told) in
        [(CLERK, "Department", "you may not sign for this party"), (PROVIDER, "Department", "you may not sign")]
    {
        match ground.of(MIGRATION).sign(person, party, "Cutover", "Cutover").await {
            Err(error) if format!("{error:#}").contains(told) => {}
            other => bail!("{person} for {party}: {other:?}"),
        }
    }
    let pause = Patch::Merge(json!({ "spec": { "paused": true } }));
    match ground.of(MIGRATION).by(HEAD)?.patch(MIGRATION, &PatchParams::default(), &pause).await {
        Err(error) if error.to_string().contains("change nothing else") => {}
        other => bail!("a signer changes the order: {other:?}"),
    }
    let forged = json!({ "spec": { "signatures": [{
        "purpose": "Cutover", "party": "Department", "by": AUTHORITY, "digest": format!("sha256:{}", "a".repeat(64))
    }] } });
    match ground.of(MIGRATION).by(HEAD)?.patch(MIGRATION, &PatchParams::default(), &Patch::Merge(&forged)).await {
        Err(error) if error.to_string().contains("by must be you") => Ok(()),
        other => bail!("in another's name: {other:?}"),
    }
}

/// The department approves; where nothing proves that a source is closed, somebody declares it.
async fn approve(ground: &Ground) -> Result<()> {
    ground.of(MIGRATION).waits(M::Rehearsed, "AwaitingSignature").await?;
    if !ground.is_volume {
        ground.of(MIGRATION).sign(HEAD, "Department", "DeclaredFreeze", "Cutover").await?;
    }
    ground.of(MIGRATION).sign(HEAD, "Department", "Cutover", "Cutover").await
}

/// A probe that does not pass takes the cutover back by itself: the target never opens, the source is as it was.
async fn goes_back(ground: &Ground) -> Result<()> {
    let before = tree(&ground.share())?;
    approve(ground).await?;
    let status = ground.of(MIGRATION).at(M::RolledBack).await?;
    let why = status.went_back.as_ref().map(|why| why.message.clone()).unwrap_or_default();
    ensure!(why.contains("a probe did not pass") && why.contains("ProbeFailed"), "{why}");
    ensure!(status.traffic_admitted_at.is_none() && status.rollback == Some(RollbackLoss::Nothing), "{status:?}");
    ensure!(is_closed(&ground.landing())?, "nobody got the target");
    ensure!(tree(&ground.share())? == before, "the source is as it was");
    fs::write(ground.share().join("after-the-way-back.ofd"), "the source is in use again")?;
    eprintln!("neither side was open for {:?} ({} files)", status.downtime, before.len());
    Ok(())
}

/// The probe is mended and the round raised; this time the operator dies in the middle of the cutover.
async fn cut_over(ground: &Ground) -> Result<()> {
    ground
        .of(MIGRATION)
        .change(json!({ "round": 1, "cutover": { "probes": [{ "workload": "scans", "path": "index.json" }] } }))
        .await?;
    copied(ground, "second").await?;
    approve(ground).await?;
    ground
        .of(MIGRATION)
        .when("cuts over", |status| matches!(status.stage, Some(M::CuttingOver | M::ParallelRun)))
        .await?;
    ground.operator_dies().await?;
    let status = ground.of(MIGRATION).at(M::ParallelRun).await?;
    let wanted = if ground.is_volume { FreezeStrength::Proven } else { FreezeStrength::Declared };
    ensure!(status.workloads[0].freeze_strength == Some(wanted), "{:?}", status.workloads);
    ensure!(!is_closed(&ground.landing())?, "applications have the target");
    ensure!(tree(&ground.landing())? == tree(&ground.share())?, "both sides are equal");
    if ground.is_volume {
        let written = fs::write(ground.share().join("late.ofd"), "late");
        ensure!(written.is_err_and(|e| e.kind() == std::io::ErrorKind::ReadOnlyFilesystem), "the source is closed");
    }
    ensure!(status.rollback == Some(RollbackLoss::SinceAdmitted), "{:?}", status.rollback);
    eprintln!("neither side was open for {:?}, frozen {:?}", status.downtime, wanted);
    match ground.of(MIGRATION).delete().await {
        Err(error) if format!("{error:#}").contains("is not deleted before it is over") => {}
        other => bail!("what runs on the cloud is deleted: {other:?}"),
    }
    // Applications write to what they have.
    fs::write(ground.landing().join("written-on-the-cloud.ofd"), "new")?;
    Ok(())
}

async fn accepted(ground: &Ground) -> Result<()> {
    ground.of(MIGRATION).waits(M::ParallelRun, "AwaitingSignature").await?;
    for (person, party) in [(HEAD, "Department"), (AUTHORITY, "Authority")] {
        ground.of(MIGRATION).sign(person, party, "Acceptance", "Acceptance").await?;
    }
    let status = ground.of(MIGRATION).waits(M::ParallelRun, "AwaitingSignature").await?;
    ensure!(status.blocker.is_some_and(|blocker| blocker.message.contains(PROVIDER)), "the provider is missing");
    ground.of(MIGRATION).sign(PROVIDER, "Provider", "Acceptance", "Acceptance").await?;
    let status = ground.of(MIGRATION).waits(M::Accepted, "SourceKept").await?;
    let counted = status.signatures.iter().filter(|one| one.purpose.as_str() == "Acceptance").count();
    ensure!(counted == 3, "{:?}", status.signatures);
    // Everything has left the room, but nothing was closed for good.
    let room = ground.room_is(ROOM, "Emptied").await?;
    ensure!(room.left == 0 && room.systems[0].evidence.is_some(), "{room:?}");
    ground.of(MIGRATION).change(json!({ "closeSource": true })).await?;
    let status = ground
        .of(MIGRATION)
        .when("is closed for good", |status| matches!(status.stage, Some(M::SourceFrozen | M::Retained)))
        .await?;
    ensure!(status.rollback == Some(RollbackLoss::NoWayBack), "{status:?}");
    Ok(())
}

async fn erased(ground: &Ground) -> Result<()> {
    ground.of(MIGRATION).waits(M::Retained, "AwaitingSignature").await?;
    ground.of(MIGRATION).sign(HEAD, "Department", "Erasure", "Erasure").await?;
    ground.of(MIGRATION).waits(M::Retained, "AwaitingSignature").await?;
    ground.of(MIGRATION).sign(AUTHORITY, "Authority", "Erasure", "Erasure").await?;
    ground.of(MIGRATION).waits(M::Retained, "RecordMissing").await?;
    ground.of(MIGRATION).change(json!({ "erasureRecord": format!("sha256:{}", "e".repeat(64)) })).await?;
    ground.of(MIGRATION).at(M::Erased).await?;
    let fence = fs::read_to_string(ground.landing().join(".zhengyun-migration/fence.json"))?;
    ensure!(fence.contains("\"dropped\":true"), "whoever comes late is refused: {fence}");
    ensure!(!is_closed(&ground.landing())?, "applications keep the target");
    ensure!(tree(&ground.landing())?.contains_key(std::path::Path::new("written-on-the-cloud.ofd")));
    zhengyun_tests::lab::wait::settled("nothing is left of the processes", ground::PATIENCE, || async {
        let uid = ground.of(MIGRATION).by(ADMIN)?.get(MIGRATION).await?.metadata.uid.unwrap_or_default();
        let left: Vec<String> = ground.runs()?.into_iter().filter(|run| run.starts_with(&uid)).collect();
        Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
    })
    .await
}

/// What is over may be deleted: its room knows that the system has left, and who signed for it.
async fn deleted(ground: &Ground) -> Result<()> {
    ground.of(MIGRATION).delete().await?;
    zhengyun_tests::lab::wait::settled("the migration is gone", ground::PATIENCE, || async {
        let found = ground.of(MIGRATION).by(ADMIN)?.get_opt(MIGRATION).await?;
        Ok(if found.is_none() { Ok(()) } else { Err("it is there".to_owned()) })
    })
    .await?;
    let room = ground.room_is(ROOM, "Emptied").await?;
    let signatures: Vec<&str> = room.systems[0]
        .signed
        .iter()
        .flat_map(|one| &one.signatures)
        .map(|signature| signature.purpose.as_str())
        .collect();
    ensure!(room.left == 0 && room.systems[0].evidence.is_some(), "{room:?}");
    ensure!(signatures.iter().filter(|purpose| **purpose == "Acceptance").count() == 3, "{signatures:?}");
    ensure!(signatures.iter().filter(|purpose| **purpose == "Erasure").count() == 2, "{signatures:?}");
    Ok(())
}

async fn room_closed(ground: &Ground) -> Result<()> {
    for phase in ["Sanitised", "AssetsDisposed", "LinksCut", "Closed"] {
        ground.record(ADMIN, ROOM, phase).await?;
        ground.room_is(ROOM, phase).await?;
    }
    match ground.record(ADMIN, ROOM, "Verified").await {
        Err(error) if format!("{error:#}").contains("recorded by the authority") => {}
        other => bail!("an administrator verifies: {other:?}"),
    }
    ground.record(AUTHORITY, ROOM, "Verified").await?;
    ground.room_is(ROOM, "Verified").await.map(drop)
}
