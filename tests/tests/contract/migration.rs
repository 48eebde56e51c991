//! What the routes of migration find at the hub: a room, a wave, and migrations that wait for people.
//!
//! They are paused and their places do not exist, so the operator of this test begins nothing of them; how far they are was written by the
//! administrator.

use anyhow::{Context as _, Result};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};
use zhengyun_crds::migration::SystemMigration;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town};
use zhengyun_tests::world;

use crate::call::Contract;
use crate::setting::{CLERK, DEPARTMENT, HEAD};

/// A machine room of the department.
pub(crate) const ROOM: &str = "contract-room";
/// A wave.
pub(crate) const WAVE: &str = "contract-wave";
/// A migration whose system runs on the cloud: it can be signed for, and its way back, too.
pub(crate) const TRIED: &str = "contract-tried";
/// A migration whose cutover can be approved.
pub(crate) const READY: &str = "contract-ready";
/// A migration to cancel.
pub(crate) const TO_CANCEL: &str = "contract-move-to-cancel";

/// A digest that nothing has.
pub(crate) const STRANGE: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// What can be signed.
#[derive(Debug)]
pub(crate) struct Digests {
    /// Acceptance of [`TRIED`].
    pub(crate) acceptance: String,
    /// Way back of [`TRIED`].
    pub(crate) rollback: String,
    /// Cutover of [`READY`].
    pub(crate) cutover: String,
}

/// Writes them as the people who may, and waits until the API shows them.
pub(crate) async fn prepare(town: &Town) -> Result<Digests> {
    let names = json!({ "zh-CN": { "full": "测试用" }, "en": { "full": "for the contract" } });
    let all = [TRIED, READY, TO_CANCEL];
    let members: Vec<Value> = all.iter().map(|name| json!({ "department": DEPARTMENT, "migration": name })).collect();
    let room = object(
        "MachineRoom",
        ROOM,
        None,
        &json!({
            "displayNames": names, "department": DEPARTMENT, "location": { "address": "呼和浩特" },
            "systems": [{ "department": DEPARTMENT, "system": "smart-emergency" }]
        }),
    )?;
    let wave = object(
        "MigrationWave",
        WAVE,
        None,
        &json!({
            "displayNames": names, "members": members, "paused": true, "windows": [{ "opens": "0 22 * * 5", "length": "4h" }]
        }),
    )?;
    world::apply(&town.client_of("cloud-admin")?, &[room, wave]).await?;
    let namespace = format!("dept-{DEPARTMENT}");
    let clerk = town.client_of(CLERK)?;
    for name in all {
        world::apply(&clerk, &[object("SystemMigration", name, Some(&namespace), &spec())?]).await?;
    }
    let admin = town.admin()?;
    stands(&admin, TRIED, "ParallelRun", &["Acceptance", "Rollback"]).await?;
    stands(&admin, READY, "Rehearsed", &["Cutover"]).await?;
    let door = town.door(CLERK)?;
    settled("the API shows room, wave and migrations", SOON, || async {
        for path in [format!("/api/v1/rooms/{ROOM}"), format!("/api/v1/waves/{WAVE}"), path(TO_CANCEL)] {
            if let Err(missing) = door.get(&path).await {
                return Ok(Err(missing.to_string()));
            }
        }
        let shown =
            digest(&door.get(&path(TRIED)).await?, "Rollback").and(digest(&door.get(&path(READY)).await?, "Cutover"));
        Ok(shown.map_err(|e| e.to_string()).map(drop))
    })
    .await?;
    let tried = door.get(&path(TRIED)).await?;
    Ok(Digests {
        acceptance: digest(&tried, "Acceptance")?,
        rollback: digest(&tried, "Rollback")?,
        cutover: digest(&door.get(&path(READY)).await?, "Cutover")?,
    })
}

/// A body that signs for the department.
pub(crate) fn signature(digest: &str) -> Value {
    json!({ "party": "Department", "digest": digest })
}

/// Signatures that would do nothing, and cancellations that come too late: each is refused, and nothing is recorded.
pub(crate) async fn wrong_signatures_are_problems(contract: &Contract, digests: &Digests) -> Result<()> {
    let sign = |id: &str, name: &str, body: Value| contract.call(id, &[DEPARTMENT, name]).by(HEAD).json(&body);
    for (body, pointer) in [
        (json!({ "party": "Department", "digest": 7 }), "/digest"),
        (json!({ "party": "Nobody", "digest": STRANGE }), "/party"),
        (json!({ "digest": STRANGE }), ""),
    ] {
        sign("cutOverMigration", READY, body).send().await?.is_problem(422, "invalid").points_to(pointer);
    }
    let stale = sign("cutOverMigration", READY, signature(STRANGE)).send().await?;
    stale.is_problem(409, "signature-not-counted").points_to("/digest");
    let mut other = signature(&digests.cutover);
    other["party"] = json!("Provider");
    sign("cutOverMigration", READY, other).send().await?.is_problem(409, "signature-not-counted").points_to("/party");
    // Whoever is named may sign; whoever may merely write the migration may not.
    let clerk = sign("cutOverMigration", READY, signature(&digests.cutover)).by(CLERK).send().await?;
    clerk.is_problem(409, "signature-not-counted").points_to("/party");
    let early = sign("rollBackMigration", READY, signature(STRANGE)).send().await?;
    early.is_problem(409, "signature-not-counted").points_to("/digest");
    let nothing = sign("cutOverMigration", "nothing", signature(STRANGE)).send().await?;
    nothing.is_problem(404, "not-found");
    let head = contract.call("cancelMigration", &[DEPARTMENT, TO_CANCEL]).by(HEAD);
    head.send().await?.is_problem(403, "forbidden");
    let now = contract.call("getMigration", &[DEPARTMENT, READY]).by(CLERK).send().await?;
    now.is(200).check(now.body["signatures"] == json!([]), "nothing is recorded");
    Ok(())
}

fn path(name: &str) -> String {
    format!("/api/v1/departments/{DEPARTMENT}/migrations/{name}")
}

fn digest(migration: &Value, kind: &str) -> Result<String> {
    let all = migration["evidence"].as_array().context("a migration shows its evidence")?;
    let found = all.iter().find(|one| one["kind"] == kind && one["workload"] == "");
    Ok(found.and_then(|one| one["digest"].as_str()).with_context(|| format!("no {kind} in {migration}"))?.to_owned())
}

fn spec() -> Value {
    json!({
        "system": "smart-emergency", "room": ROOM, "strategy": "Rehost", "grant": "contract-nothing", "recoveryPlan": "contract-nothing",
        "workloads": [{
            "name": "files", "source": { "files": { "root": "nothing", "subpath": "" } },
            "target": { "files": { "site": "hohhot", "root": "nothing", "subpath": "" } }
        }],
        "cutover": { "downtimeBudget": "30m", "approvers": [HEAD], "rollbackPlan": "回退到原机房" },
        "signers": { "department": [HEAD], "authority": ["authority"], "provider": ["provider-ops"] },
        "paused": true
    })
}

/// Writes how far a migration is, as the administrator of the hub.
async fn stands(client: &Client, name: &str, stage: &str, evidence: &[&str]) -> Result<()> {
    let at = "2026-01-01T00:00:00Z";
    let records: Vec<Value> = evidence
        .iter()
        .enumerate()
        .map(|(index, kind)| json!({ "kind": kind, "workload": "", "digest": format!("sha256:{:064}", index + 1), "at": at }))
        .collect();
    let admitted = (stage == "ParallelRun").then_some(at);
    let status = json!({ "status": { "stage": stage, "evidence": records, "trafficAdmittedAt": admitted } });
    let migrations: Api<SystemMigration> = Api::namespaced(client.clone(), &format!("dept-{DEPARTMENT}"));
    migrations.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

fn object(kind: &str, name: &str, namespace: Option<&str>, spec: &Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": kind,
        "metadata": { "name": name, "namespace": namespace }, "spec": spec
    }))?)
}
