//! Bytes of backups in the ledger: no room, settled, too much, passed on.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::super::stage::Stage;
use super::backups::snapshots;
use super::{
    CLERK, FAR, NEAR, PLAN, SPACE, ask, ask_of, change_plan, ground, in_phase, map, namespace, object, plan, read,
    said, states, when,
};

/// Bytes of a backup of what the department has in its namespace; the same with `invoice-4`; of two backups of the former.
const ONE: &str = "53";
const MORE: &str = "71";
const TWO: &str = "106";

/// What a plan says that it is charged at a site: granted, reserved.
fn charged(plan: &Value, site: &str) -> (String, String) {
    let charges = plan.pointer("/status/charges").and_then(Value::as_array).into_iter().flatten();
    let here = charges.filter(|charge| said(charge, "/site") == site);
    let of = |charge: &Value, what: &str| said(charge, &format!("/{what}/storage.backup"));
    here.map(|charge| (of(charge, "granted"), of(charge, "reserved"))).next().unwrap_or_default()
}

/// Waits until a plan is charged exactly this at a site, and nothing is reserved.
async fn settles(stage: &Stage, plan: &str, site: &str, bytes: &str) -> Result<()> {
    let wanted = (bytes.to_owned(), String::new());
    let is = |found: &Value| charged(found, site) == wanted;
    when(stage, "recoveryplans", plan, &format!("is charged {bytes} bytes at {site}"), is).await.map(drop)
}

/// Room for backups of the department.
async fn quota(stage: &Stage, backup: &str) -> Result<()> {
    let line = |site: &str| {
        json!({ "site": site, "hard": {
            "cpu": "64", "memory": "256Gi", "storage.block": "10Ti", "storage.object": "20Ti", "storage.backup": backup
        } })
    };
    let spec = json!({ "limits": [line("hohhot"), line("ulanqab")], "unlistedChildren": "Refuse" });
    stage.apply(vec![object("DepartmentQuota", "finance", &spec)]).await?;
    stage
        .until(&format!("there is room for {backup}"), || {
            let found = stage.world.hub.object("zhengyun.io", "departmentquotas", "", "finance").unwrap_or_default();
            let adopted = said(&found, "/status/adopted/0/hard/storage.backup");
            if adopted == backup { Ok(()) } else { Err(adopted) }
        })
        .await
}

pub(in super::super) async fn no_room(stage: &Stage) -> Result<()> {
    quota(stage, "1Gi").await?;
    ground(stage, &json!({})).await?;
    ask(stage, "first").await?;
    for (plural, name) in [("systembackups", "first"), ("recoveryplans", PLAN)] {
        stage.says(plural, SPACE, name, "QuotaExceeded").await?;
    }
    let told = read(stage, "systembackups", "first").unwrap_or_default().pointer("/status/conditions").cloned();
    let told = told.unwrap_or_default().to_string();
    ensure!(told.contains("the quota of finance at hohhot is 1Gi") && told.contains("10Gi was asked"), "{told}");
    ensure!(snapshots(stage, "bucket-hohhot")?.is_empty(), "it was written without room");
    quota(stage, "10Gi").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    settles(stage, PLAN, "hohhot", ONE).await
}

pub(in super::super) async fn settled(stage: &Stage) -> Result<()> {
    let more = json!({ "ceiling": "1Ki", "retention": { "last": 1 }, "copies": [{ "store": NEAR }, { "store": FAR }] });
    let grant = ground(stage, &more).await?;
    ask(stage, "first").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    settles(stage, PLAN, "hohhot", ONE).await?;
    settles(stage, PLAN, "ulanqab", ONE).await?;
    let client = stage.at("hohhot")?;
    let more = serde_json::from_value(map(&namespace(&grant)?, "invoice-4", "four"))?;
    crate::world::apply(&client, &[more]).await?;
    ask(stage, "second").await?;
    in_phase(stage, "systembackups", "second", "Completed").await?;
    // The first one is dropped; what is charged follows what stands.
    when(stage, "systembackups", "first", "dropped", |found| states(found) == ["Forgotten", "Forgotten"]).await?;
    settles(stage, PLAN, "hohhot", MORE).await?;
    settles(stage, PLAN, "ulanqab", MORE).await
}

pub(in super::super) async fn too_much(stage: &Stage) -> Result<()> {
    ground(stage, &json!({ "ceiling": "60" })).await?;
    ask(stage, "first").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    settles(stage, PLAN, "hohhot", ONE).await?;
    ask(stage, "second").await?;
    let failed = in_phase(stage, "systembackups", "second", "Failed").await?;
    ensure!(said(&failed, "/status/failure/reason") == "QuotaExceeded", "{failed}");
    let first = read(stage, "systembackups", "first").unwrap_or_default();
    ensure!(states(&first) == ["Verified"], "{first}");
    settles(stage, PLAN, "hohhot", ONE).await?;
    change_plan(stage, &json!({ "ceiling": "1Ki" })).await?;
    ask(stage, "third").await?;
    in_phase(stage, "systembackups", "third", "Completed").await?;
    settles(stage, PLAN, "hohhot", TWO).await
}

pub(in super::super) async fn plan_gone(stage: &Stage) -> Result<()> {
    let grant = ground(stage, &json!({})).await?;
    ask(stage, "first").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    settles(stage, PLAN, "hohhot", ONE).await?;
    let client = stage.world.client_of(CLERK)?;
    stage.remove(&client, object("RecoveryPlan", PLAN, &json!({}))).await?;
    // Nobody else bears what stands.
    stage.says("recoveryplans", SPACE, PLAN, "RetainedStorage").await?;
    plan(stage, "receipts", &grant, &json!({})).await?;
    stage
        .until("the plan is gone", || match read(stage, "recoveryplans", PLAN) {
            None => Ok(()),
            Some(left) => Err(left.pointer("/status").cloned().unwrap_or_default().to_string()),
        })
        .await?;
    settles(stage, "receipts", "hohhot", ONE).await?;
    ask_of(stage, "receipts", "second").await?;
    in_phase(stage, "systembackups", "second", "Completed").await?;
    settles(stage, "receipts", "hohhot", TWO).await
}
