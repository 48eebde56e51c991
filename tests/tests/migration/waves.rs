//! What a wave holds: after which others it comes, days on which nothing begins, how many at once; and the fence, which lets one migration
//! at a time write a target.

use anyhow::{Result, ensure};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zhengyun_crds::MigrationWave;
use zhengyun_crds::migration::MigrationStage as M;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::world;

use crate::ground::{ADMIN, DEPARTMENT, Ground, PATIENCE, SYSTEM, names, object, tree};

/// Another room of the department, whose file root is an ordinary folder.
pub(crate) const ANNEX: &str = "annex";
pub(crate) const ARCHIVE: &str = "archive";
/// One that would write where the archive goes.
const RIVAL: &str = "archive-again";
const WAVE: &str = "second";

fn member(name: &str) -> Value {
    json!({ "department": DEPARTMENT, "migration": name })
}

pub(crate) async fn change(ground: &Ground, spec: Value) -> Result<()> {
    let waves: Api<MigrationWave> = Api::all(ground.town.client_of(ADMIN)?);
    waves.patch(WAVE, &PatchParams::default(), &Patch::Merge(&json!({ "spec": spec }))).await?;
    Ok(())
}

/// Adds a migration to the wave.
pub(crate) async fn add(ground: &Ground, name: &str) -> Result<()> {
    change(ground, json!({ "members": [member(ARCHIVE), member(RIVAL), member(name)] })).await
}

fn archive() -> Value {
    json!({
        "name": "scans", "source": { "files": { "root": "archive" } },
        "target": { "files": { "site": "hohhot", "root": "landing", "subpath": "archive" } }
    })
}

pub(crate) async fn hold(ground: &Ground) -> Result<()> {
    for number in 0..50 {
        std::fs::write(ground.folder("room/archive").join(format!("deed-{number:02}.pdf")), vec![b'd'; 900 + number])?;
    }
    register(ground).await?;
    let (archive_moves, rival) = (ground.of(ARCHIVE), ground.of(RIVAL));
    archive_moves.ask(ANNEX, archive(), &json!({})).await?;
    rival.ask(ANNEX, archive(), &json!({})).await?;
    let status = archive_moves.waits(M::Scheduled, "WaveBefore").await?;
    ensure!(status.blocker.is_some_and(|blocker| blocker.message.contains("earlier")), "it names the wave before");
    ensure!(!ground.landing_of(ARCHIVE).exists(), "nothing was begun");
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let days = json!([{
        "from": today.checked_sub(1.day())?.to_string(), "to": today.checked_add(1.day())?.to_string(), "reason": "festival"
    }]);
    change(ground, json!({ "after": [{ "wave": "first", "reached": "Accepted" }], "freezes": days })).await?;
    let status = archive_moves.waits(M::Scheduled, "FreezeDay").await?;
    ensure!(status.blocker.is_some_and(|blocker| blocker.message.contains("festival")), "it names the days");
    change(ground, json!({ "freezes": [] })).await?;
    rival.waits(M::Scheduled, "WaveFull").await?;
    archive_moves.waits(M::Replicating, "NotRehearsed").await?;
    wave_says(ground, (3, 1)).await?;
    one_writes(ground).await
}

/// The archive is under way. Another migration to the same target is refused by its fence, and gives it up without a trace.
async fn one_writes(ground: &Ground) -> Result<()> {
    let rival = ground.of(RIVAL);
    let before = tree(&ground.landing_of(ARCHIVE))?;
    ensure!(before.len() == 50, "{} of 50 are there", before.len());
    change(ground, json!({ "maxParallel": 2 })).await?;
    let status = rival.waits(M::Landing, "RunFailed").await?;
    ensure!(status.blocker.is_some_and(|blocker| blocker.message.contains("OtherMigration")), "the fence refuses it");
    rival.change(json!({ "cancel": true, "copiedData": "Delete" })).await?;
    rival.at(M::Cancelled).await?;
    ensure!(tree(&ground.landing_of(ARCHIVE))? == before, "what another one copied is as it was");
    change(ground, json!({ "maxParallel": 1 })).await?;
    ground.of(ARCHIVE).waits(M::Replicating, "NotRehearsed").await.map(drop)
}

async fn register(ground: &Ground) -> Result<()> {
    let admin = ground.town.client_of(ADMIN)?;
    let room = object(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "MachineRoom", "metadata": { "name": ANNEX },
        "spec": {
            "displayNames": names("财政厅附楼机房", "Annex of the department of finance"),
            "department": DEPARTMENT, "location": { "address": "Hohhot" },
            "systems": [{ "department": DEPARTMENT, "system": SYSTEM }],
            "decision": { "withdraw": { "by": "2027-12-31" } },
            "sources": { "fileRoots": [
                { "name": "archive", "department": DEPARTMENT, "folder": "room", "subpath": "archive" }
            ] }
        }
    }))?;
    let wave = |name: &str, members: Value, after: Value| {
        object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "MigrationWave", "metadata": { "name": name },
            "spec": {
                "displayNames": names("第二批", "Second wave"), "timeZone": "UTC", "maxFailures": 1,
                "members": members, "after": after, "windows": [{ "opens": "0 0 * * 1", "length": "7d" }]
            }
        }))
    };
    let earlier = wave("earlier", json!([member("not-asked-for")]), json!([]))?;
    let second =
        wave(WAVE, json!([member(ARCHIVE), member(RIVAL), member("to-come")]), json!([{ "wave": "earlier" }]))?;
    world::apply(&admin, &[room, earlier, second]).await?;
    ground.record(ADMIN, ANNEX, "Assessed").await
}

/// The wave counts: in all and under way.
async fn wave_says(ground: &Ground, (total, running): (i64, i64)) -> Result<()> {
    let waves: Api<MigrationWave> = Api::all(ground.town.admin()?);
    settled("the wave counts its migrations", PATIENCE, || async {
        let status = waves.get(WAVE).await?.status.unwrap_or_default();
        let opens = status.next_window.is_some() && status.window_ends.is_some();
        let seen = format!("{status:?}");
        Ok(if opens && (status.total, status.running) == (total, running) { Ok(()) } else { Err(seen) })
    })
    .await
}
