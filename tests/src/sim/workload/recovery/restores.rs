//! Restores: to the same grant, to another site, to a grant of another department, before the backup is proved.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::ResourceExt;
use serde_json::{Value, json};
use zhengyun_crds::GrantPhase;

use super::super::super::stage::Stage;
use super::super::order;
use super::{
    CLERK, FAR, NEAR, ask, ground, held, in_phase, lost, map, namespace, phase, read, said, space, states, when, write,
};

/// What carries out the plan that a digest names.
fn executed(mut spec: Value, digest: &str) -> Value {
    if let Some(fields) = spec.as_object_mut() {
        fields.insert("mode".to_owned(), json!("Execute"));
        fields.insert("planDigest".to_owned(), json!(digest));
    }
    spec
}

/// A clerk asks for a restore: what it would do, then, if it can be done, exactly that.
async fn restored(stage: &Stage, name: &str, more: &Value) -> Result<()> {
    let mut spec = json!({ "backup": "first", "mode": "Plan", "existing": "Fail", "requestedBy": CLERK });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    write(stage, "SystemRestore", &format!("{name}-plan"), &spec).await?;
    let planned = in_phase(stage, "systemrestores", &format!("{name}-plan"), "Planned").await?;
    spec = executed(spec, &said(&planned, "/status/planDigest"));
    write(stage, "SystemRestore", name, &spec).await?;
    in_phase(stage, "systemrestores", name, "Completed").await.map(drop)
}

async fn destroyed(stage: &Stage, site: &str, namespace: &str) -> Result<()> {
    let client = stage.at(site)?;
    for (name, _) in held(stage, site, namespace)? {
        stage.remove(&client, map(namespace, &name, "")).await?;
    }
    Ok(())
}

pub(in super::super) async fn same_grant(stage: &Stage) -> Result<()> {
    let grant = ground(stage, &json!({})).await?;
    let place = namespace(&grant)?;
    let before = held(stage, "hohhot", &place)?;
    ask(stage, "first").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    destroyed(stage, "hohhot", &place).await?;
    restored(stage, "back", &json!({})).await?;
    ensure!(held(stage, "hohhot", &place)? == before && before.len() == 3, "{:?}", held(stage, "hohhot", &place)?);
    Ok(())
}

pub(in super::super) async fn elsewhere(stage: &Stage) -> Result<()> {
    let grant = ground(stage, &json!({})).await?;
    let away = space(stage, "away", "ulanqab").await?;
    ask(stage, "first").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    restored(stage, "moved", &json!({ "redirects": [{ "source": "space", "grant": away.name_any() }] })).await?;
    let (there, here) = (namespace(&away)?, namespace(&grant)?);
    ensure!(held(stage, "ulanqab", &there)? == held(stage, "hohhot", &here)?, "{:?}", held(stage, "ulanqab", &there)?);
    Ok(())
}

/// Somebody names a grant of another department, and one who knows its digest gets no further.
pub(in super::super) async fn trespass(stage: &Stage) -> Result<()> {
    ground(stage, &json!({})).await?;
    let system = stage.system_of("emergency")?;
    stage.submit("clerk-emergency", "emergency", "theirs", &order(&system, "Temporary", "1")).await?;
    let theirs = stage.granted("emergency", "theirs", GrantPhase::InService).await?;
    ask(stage, "first").await?;
    in_phase(stage, "systembackups", "first", "Completed").await?;
    let spec = json!({
        "backup": "first", "mode": "Plan", "existing": "Fail", "requestedBy": CLERK,
        "redirects": [{ "source": "space", "grant": theirs.name_any() }]
    });
    write(stage, "SystemRestore", "look", &spec).await?;
    let over = |found: &Value| !["", "Pending", "Planning", "Checking", "Restoring"].contains(&phase(found).as_str());
    let looked = when(stage, "systemrestores", "look", "over", over).await?;
    // Whoever gets a digest carries it out; one that is made up gets no further either.
    let digest = Some(said(&looked, "/status/planDigest")).filter(|digest| !digest.is_empty());
    let digest = digest.unwrap_or_else(|| format!("sha256:{}", "0".repeat(64)));
    let spec = executed(spec, &digest);
    write(stage, "SystemRestore", "reach", &spec).await?;
    let reached = when(stage, "systemrestores", "reach", "over", over).await?;
    for refused in [looked, reached] {
        let good = phase(&refused) == "Refused" && said(&refused, "/status/failure/reason") == "GrantNotFound";
        ensure!(good, "{refused}");
    }
    Ok(())
}

/// A restore is asked for while the backup is still being copied: it waits until everything is proved.
pub(in super::super) async fn impatient(stage: &Stage) -> Result<()> {
    let grant = ground(stage, &json!({ "copies": [{ "store": NEAR }, { "store": FAR }] })).await?;
    let away = space(stage, "away", "ulanqab").await?;
    takes_backups(stage, FAR).await?;
    lost(stage, "bucket-ulanqab", true)?;
    ask(stage, "first").await?;
    let stored = |found: &Value| states(found).first().is_some_and(|state| state != "Missing");
    when(stage, "systembackups", "first", "stored", stored).await?;
    let back = async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        lost(stage, "bucket-ulanqab", false)
    };
    let more = json!({ "redirects": [{ "source": "space", "grant": away.name_any() }] });
    let (back, moved) = tokio::join!(back, restored(stage, "moved", &more));
    back.and(moved)?;
    let (there, here) = (namespace(&away)?, namespace(&grant)?);
    ensure!(held(stage, "ulanqab", &there)? == held(stage, "hohhot", &here)?, "{:?}", held(stage, "ulanqab", &there)?);
    in_phase(stage, "systembackups", "first", "Completed").await.map(drop)
}

/// Waits until the department has its repository in a store.
async fn takes_backups(stage: &Stage, store: &str) -> Result<()> {
    let name = format!("recovery-repository.{store}.finance");
    stage
        .until(&format!("{name} is there"), || {
            let found = stage.world.hub.object("", "secrets", "zhengyun-system", &name);
            found.map(drop).ok_or_else(|| said_of(stage, store))
        })
        .await
}

fn said_of(stage: &Stage, store: &str) -> String {
    read(stage, "backupstores", store)
        .and_then(|store| store.pointer("/status").cloned())
        .unwrap_or_default()
        .to_string()
}
