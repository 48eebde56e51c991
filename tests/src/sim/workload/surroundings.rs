//! What a grant stands on goes away or changes: capacity, quota, department, site.

use anyhow::{Result, ensure};
use kube::ResourceExt;
use serde_json::{Value, json};
use zhengyun_crds::{GrantPhase, RequestPhase};

use super::super::stage::Stage;
use super::lives::{CLERK, HOME, SYSTEM, ended, served};
use super::order;
use super::quotas::{in_force, quota};

fn named(kind: &str, name: &str) -> Value {
    json!({ "apiVersion": "zhengyun.io/v1alpha1", "kind": kind, "metadata": { "name": name } })
}

async fn gone(stage: &Stage, plural: &str, name: &str) -> Result<()> {
    stage
        .until(&format!("{plural} {name} gone"), || match stage.world.hub.object("zhengyun.io", plural, "", name) {
            None => Ok(()),
            Some(object) => Err(format!("{:?}", object.pointer("/status/conditions"))),
        })
        .await
}

pub(super) async fn capacity(stage: &Stage) -> Result<()> {
    let admin = stage.world.client_of("cloud-admin")?;
    stage.merge(&admin, named("Site", "hohhot"), &json!({ "spec": { "capacity": { "cpu": "50" } } })).await?;
    stage
        .until("the capacity in force", || {
            let found = stage.world.hub.object("zhengyun.io", "sites", "", "hohhot").ok_or("gone")?;
            let number = |pointer| found.pointer(pointer).and_then(Value::as_i64);
            let (seen, now) = (number("/status/observedGeneration"), number("/metadata/generation"));
            if seen == now { Ok(()) } else { Err(format!("{seen:?} of {now:?}")) }
        })
        .await?;
    stage.submit(CLERK, HOME, "one", &order(SYSTEM, "Temporary", "40")).await?;
    let system = stage.system_of("emergency")?;
    stage.submit("clerk-emergency", "emergency", "two", &order(&system, "Temporary", "40")).await?;
    let winner = stage
        .until("one granted, one refused", || {
            let of = |department: &str, name: &str| stage.request(department, name).and_then(|r| r.status);
            let states = [(HOME, "one"), ("emergency", "two")].map(|(d, n)| (d, n, of(d, n).unwrap_or_default()));
            let refused = states.iter().any(|(_, _, s)| s.refusal.is_some());
            let granted = states.iter().find(|(_, _, s)| s.phase == Some(RequestPhase::Applied));
            match granted {
                Some((department, name, _)) if refused => Ok((*department, *name)),
                _ => Err(format!("{:?}", states.map(|(d, _, s)| (d, s.phase, s.refusal)))),
            }
        })
        .await?;
    stage.granted(winner.0, winner.1, GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn quota_gone(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    let admin = stage.world.client_of("cloud-admin")?;
    stage.remove(&admin, named("DepartmentQuota", "finance")).await?;
    // Whether it goes at once or waits for what is held: what is held stays, and no more is given than there is.
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let held = stage.granted(HOME, "space", GrantPhase::InService).await?;
    ensure!(held.name_any() == grant, "another grant");
    ended(stage, "space", &grant).await?;
    gone(stage, "departmentquotas", "finance").await?;
    stage.apply(vec![quota("finance", "64")]).await?;
    in_force(stage, "finance", "64").await?;
    served(stage, "space-again").await?;
    Ok(())
}

pub(super) async fn department_gone(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    let admin = stage.world.client_of("cloud-admin")?;
    stage.remove(&admin, named("Department", "finance")).await?;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let there = stage.world.hub.object("zhengyun.io", "departments", "", "finance").is_some();
    ensure!(there, "a department that holds something stays");
    ended(stage, "space", &grant).await
}

pub(super) async fn site_gone(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    let admin = stage.world.client_of("cloud-admin")?;
    stage.remove(&admin, named("Site", "hohhot")).await?;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let there = stage.world.hub.object("zhengyun.io", "sites", "", "hohhot").is_some();
    ensure!(there, "a site where something stands stays");
    ended(stage, "space", &grant).await
}
