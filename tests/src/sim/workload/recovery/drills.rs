//! Drills: due and held, and disturbed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::super::super::stage::Stage;
use super::{
    CLERK, NEAR, PLAN, ask, change_plan, content, ground, held, in_phase, map, namespace, object, read, said, space,
    write,
};
use crate::apiserver::User;

/// The room of drills at the second site.
async fn room(stage: &Stage, cpu: &str) -> Result<()> {
    let department = json!({
        "type": "Institution", "level": "Region", "parent": "neimenggu",
        "displayNames": { "zh-CN": { "full": "灾备演练" }, "en": { "full": "Recovery drills" } }
    });
    let quota = json!({ "limits": [{ "site": "ulanqab", "hard": { "cpu": cpu, "memory": "8Gi" } }] });
    stage.apply(vec![object("Department", "drill", &department), object("DepartmentQuota", "drill", &quota)]).await?;
    stage
        .until("there is room for drills", || {
            let found = stage.world.hub.object("zhengyun.io", "departmentquotas", "", "drill").unwrap_or_default();
            let adopted = found.pointer("/status/adopted/0/hard/cpu").and_then(Value::as_str);
            if adopted == Some(cpu) {
                Ok(())
            } else {
                Err(found.pointer("/status").cloned().unwrap_or_default().to_string())
            }
        })
        .await
}

/// Drills of the department.
fn drills(stage: &Stage) -> Vec<Value> {
    let all = stage.world.hub.objects().into_iter().filter(|(key, _)| key.plural == "recoverydrills");
    all.map(|(_, object)| object.as_ref().clone()).collect()
}

/// A database that people work with, declared; a server for drills at the other site; and what the first one holds.
async fn databases(stage: &Stage) -> Result<()> {
    let works = json!({ "spec": { "externalSources": { "databases": [{
        "name": "invoices", "department": "finance", "host": "postgres-hohhot", "port": 5432, "databases": ["invoices"],
        "secretName": "database-invoices"
    }] } } });
    let drills =
        json!({ "spec": { "drillServer": { "host": "postgres-drills", "port": 5432, "secretName": "drill-server" } } });
    let admin = stage.world.client_of("cloud-admin")?;
    for (site, declared) in [("hohhot", works), ("ulanqab", drills)] {
        stage.merge(&admin, object("Site", site, &json!({})), &declared).await?;
    }
    let server = &stage.world.buckets.get("postgres-hohhot").context("the server")?.server;
    let rows = json!({ "1": "one", "2": "two", "3": "three" }).to_string();
    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "invoices", "namespace": "default" },
        "data": { "rows": rows }
    });
    crate::world::apply(&server.client(&User::system(), "admin"), &[serde_json::from_value(held)?]).await
}

/// From due to scratch proven zero: of two namespaces and a database, each with a scratch of its own.
pub(in super::super) async fn drilled(stage: &Stage) -> Result<()> {
    room(stage, "4").await?;
    let first = ground(stage, &json!({})).await?;
    let second = space(stage, "second", "hohhot").await?;
    content(stage, "hohhot", &namespace(&second)?).await?;
    databases(stage).await?;
    let sources = json!({ "sources": [
        { "name": "rows", "origin": { "database": { "site": "hohhot", "endpoint": "invoices", "database": "invoices" } } },
        { "name": "space", "origin": { "namespace": { "grant": first.name_any() } } },
        { "name": "second", "origin": { "namespace": { "grant": second.name_any() } } },
    ] });
    change_plan(stage, &sources).await?;
    ask(stage, "first").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    change_plan(stage, &json!({ "drill": { "schedule": { "every": "20m" }, "site": "ulanqab" } })).await?;
    let ended = stage
        .until("a drill ended", || {
            let all = drills(stage);
            let phases: Vec<String> = all.iter().map(|drill| said(drill, "/status/phase")).collect();
            let over = |phase: &String| ["Passed", "Failed", "Skipped", "Cancelled"].contains(&phase.as_str());
            if phases.iter().any(over) { Ok(all) } else { Err(format!("{all:?}")) }
        })
        .await?;
    change_plan(stage, &json!({ "paused": true })).await?;
    ensure!(ended.iter().all(|drill| said(drill, "/status/phase") == "Passed"), "{ended:?}");
    let drill = ended.first().context("one")?;
    for part in ["0", "1"] {
        let place = said(drill, &format!("/status/parts/{part}/scratch/namespace"));
        let left = stage.standing("ulanqab", "configmaps", &place)?;
        ensure!(!place.is_empty() && left.is_empty(), "{place}: {left:?}");
    }
    ensure!(!said(drill, "/status/parts/2/database").is_empty(), "{drill}");
    Ok(())
}

/// Somebody changes what a drill has just restored: it does not pass.
pub(in super::super) async fn disturbed(stage: &Stage) -> Result<()> {
    room(stage, "2").await?;
    ground(stage, &json!({})).await?;
    ask(stage, "first").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    hold_drill(stage, "look").await?;
    let begun = in_phase(stage, "recoverydrills", "look", "Restoring").await?;
    let place = said(&begun, "/status/parts/0/scratch/namespace");
    // At the first write, long before anything is compared.
    let mut changed = stage.world.sites.get("ulanqab").context("the site")?.server.changes();
    while held(stage, "ulanqab", &place)?.is_empty() {
        changed.mark_unchanged();
        tokio::time::timeout(Duration::from_secs(3600), changed.changed()).await.context("nothing is restored")?;
    }
    let client = stage.at("ulanqab")?;
    stage.merge(&client, map(&place, "invoice-1", ""), &json!({ "data": { "content": "spoilt" } })).await?;
    let failed = in_phase(stage, "recoverydrills", "look", "Failed").await?;
    ensure!(said(&failed, "/status/failure/reason") == "Differs", "{failed}");
    Ok(())
}

async fn hold_drill(stage: &Stage, name: &str) -> Result<()> {
    let plan = read(stage, "recoveryplans", PLAN).context("the plan")?;
    let spec = json!({
        "plan": PLAN, "planUID": said(&plan, "/metadata/uid"), "store": NEAR, "site": "ulanqab", "trigger": "Manual",
        "requestedBy": CLERK
    });
    write(stage, "RecoveryDrill", name, &spec).await
}
