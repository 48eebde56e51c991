//! What happens to quotas and the tree while there are requests and grants.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use zhengyun_crds::{GrantPhase, RequestPhase};

use super::super::stage::Stage;
use super::order;

const SYSTEM: &str = "finance-e-invoice";

pub(super) fn quota(name: &str, cpu: &str) -> Value {
    let line = |site: &str| json!({ "site": site, "hard": { "cpu": cpu, "memory": "256Gi", "storage.block": "10Ti", "storage.object": "20Ti" } });
    json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "DepartmentQuota", "metadata": { "name": name },
        "spec": { "limits": [line("hohhot"), line("ulanqab")], "unlistedChildren": "Refuse" }
    })
}

pub(super) async fn in_force(stage: &Stage, name: &str, cpu: &str) -> Result<()> {
    stage
        .until(&format!("quota {name} of {cpu} in force"), || {
            let found = stage.world.hub.object("zhengyun.io", "departmentquotas", "", name);
            let adopted = found.as_ref().and_then(|q| q.pointer("/status/adopted/0/hard/cpu")).and_then(Value::as_str);
            if adopted == Some(cpu) { Ok(()) } else { Err(format!("{adopted:?}")) }
        })
        .await
}

pub(super) async fn last_unit(stage: &Stage) -> Result<()> {
    // 64 cores are there.
    stage.submit("clerk-finance", "finance", "one", &order(SYSTEM, "Temporary", "40")).await?;
    stage.submit("clerk-finance", "finance", "two", &order(SYSTEM, "Temporary", "40")).await?;
    let decided = stage
        .until("one granted, one refused", || {
            let of = |name: &str| stage.request("finance", name).and_then(|r| r.status);
            let states: Vec<_> = ["one", "two"].into_iter().filter_map(|n| of(n).map(|s| (n, s))).collect();
            let granted = states.iter().find(|(_, s)| s.phase == Some(RequestPhase::Applied));
            let refused = states.iter().any(|(_, s)| s.refusal.as_ref().is_some_and(|r| r.reason == "QuotaExceeded"));
            match granted {
                Some((name, _)) if refused => Ok((*name).to_owned()),
                _ => Err(format!(
                    "{:?}",
                    states.iter().map(|(n, s)| (n, s.phase, s.refusal.clone())).collect::<Vec<_>>()
                )),
            }
        })
        .await?;
    stage.granted("finance", &decided, GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn cut(stage: &Stage) -> Result<()> {
    stage.submit("clerk-finance", "finance", "one", &order(SYSTEM, "Temporary", "40")).await?;
    stage.granted("finance", "one", GrantPhase::InService).await?;
    stage.apply(vec![quota("finance", "16")]).await?;
    in_force(stage, "finance", "16").await?;
    stage.submit("clerk-finance", "finance", "two", &order(SYSTEM, "Temporary", "1")).await?;
    stage
        .when("finance", "two", "refused", |r| {
            r.status.as_ref().and_then(|s| s.refusal.as_ref()).is_some_and(|r| r.reason == "QuotaExceeded")
        })
        .await?;
    // Nothing is taken away.
    stage.granted("finance", "one", GrantPhase::InService).await?;
    stage.apply(vec![quota("finance", "64")]).await?;
    in_force(stage, "finance", "64").await?;
    let again = stage.request("finance", "two").context("the refused request")?;
    stage.amend("clerk-finance", "finance", "two", &json!({ "submission": again.spec.submission + 1 })).await?;
    stage.granted("finance", "two", GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn move_department(stage: &Stage) -> Result<()> {
    let found =
        stage.world.hub.object("zhengyun.io", "departments", "", "ulanqab-emergency").context("a department")?;
    ensure!(found.pointer("/spec/parent") == Some(&json!("ulanqab")), "the fixtures put it under ulanqab");
    let mut moved = json!({ "apiVersion": "zhengyun.io/v1alpha1", "kind": "Department", "metadata": { "name": "ulanqab-emergency" }, "spec": found.get("spec") });
    if let Some(spec) = moved.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("parent".to_owned(), json!("hohhot"));
    }
    let mut wanted = order("flood-watch", "Temporary", "20");
    if let Some(wanted) = wanted.as_object_mut() {
        wanted.insert("site".to_owned(), json!("hohhot"));
    }
    stage.apply(vec![moved]).await?;
    stage
        .until("the department under its new parent", || {
            let found = stage.world.hub.object("zhengyun.io", "departments", "", "ulanqab-emergency");
            let parent = found.as_ref().and_then(|d| d.pointer("/status/parent")).cloned();
            if parent == Some(json!("hohhot")) { Ok(()) } else { Err(format!("{parent:?}")) }
        })
        .await?;
    // The quota of hohhot, 24 cores, is what counts now.
    stage.submit("clerk-ulanqab-emergency", "ulanqab-emergency", "one", &wanted).await?;
    stage.granted("ulanqab-emergency", "one", GrantPhase::InService).await?;
    stage.submit("clerk-ulanqab-emergency", "ulanqab-emergency", "two", &wanted).await?;
    stage
        .when("ulanqab-emergency", "two", "refused", |r| {
            r.status.as_ref().and_then(|s| s.refusal.as_ref()).is_some_and(|r| r.message.contains("hohhot"))
        })
        .await?;
    Ok(())
}
