//! Backups, drills and restores: asked for at the API as the clerk, followed until they end.

use std::fmt::Debug;
use std::future::Future;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use kube::Api;
use serde_json::{Value, json};
use zhengyun_crds::recovery::{
    BackupPhase, DrillPhase, RecoveryDrillStatus, RecoveryPlanStatus, RestorePhase, RunFailure, SystemBackupStatus,
    SystemRestoreStatus,
};
use zhengyun_crds::{Condition, ConditionType, RecoveryDrill, RecoveryPlan, SystemBackup, SystemRestore, condition};

use super::Stage;
use super::parts::Desk;
use crate::lab::Assets;

/// Longest wait for a run.
const PATIENCE: Duration = Duration::from_mins(5);
const LOOK: Duration = Duration::from_millis(250);
/// A run that says nothing new is told of again after this.
const QUIET: Duration = Duration::from_secs(5);

/// How a run stands: its phase, whether that is the end, and what it says.
struct Seen<P> {
    phase: Option<P>,
    ended: bool,
    says: String,
    failure: Option<RunFailure>,
}

fn says(summary: &str, conditions: &[Condition]) -> String {
    let ready = condition::find(conditions, ConditionType::Ready).map(|c| c.message.clone()).unwrap_or_default();
    if summary.is_empty() { ready } else { summary.to_owned() }
}

/// Follows a run to its end, telling each phase and now and then how far it is.
async fn follow<S, P, F>(
    what: &str,
    wanted: P,
    look: impl Fn() -> F,
    seen: impl Fn(&S) -> Seen<P>,
    out: &mut dyn FnMut(&str),
) -> Result<S>
where
    P: PartialEq + Debug + Copy,
    F: Future<Output = Result<S>>,
{
    let begun = Instant::now();
    let (mut last, mut told) = (None, Instant::now());
    loop {
        let status = look().await?;
        let now = seen(&status);
        if now.ended {
            ensure!(
                now.phase == Some(wanted),
                "{what} is {:?} and not {wanted:?}: {} {:?}",
                now.phase,
                now.says,
                now.failure
            );
            return Ok(status);
        }
        if last != now.phase || told.elapsed() > QUIET {
            (last, told) = (now.phase, Instant::now());
            if let Some(phase) = now.phase {
                out(&format!("    {what}: {phase:?} {}", now.says));
            }
        }
        if begun.elapsed() > PATIENCE {
            bail!("{what} does not end: {:?} {}", now.phase, now.says);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn ask(desk: &Desk<'_>, what: &str, body: &Value) -> Result<()> {
    let path = format!("/api/v1/departments/{}/{what}", desk.department);
    desk.stage.door(desk.clerk)?.post(&path, body).await.map(drop)
}

pub(super) async fn backup(
    desk: &Desk<'_>,
    plan: &str,
    name: &str,
    wanted: BackupPhase,
    out: &mut dyn FnMut(&str),
) -> Result<SystemBackupStatus> {
    ask(desk, "backups", &json!({ "name": name, "plan": plan })).await?;
    let api: Api<SystemBackup> = Api::namespaced(desk.stage.watcher("hub").await?, &desk.namespace());
    let look = || async { Ok(api.get(name).await?.status.unwrap_or_default()) };
    let seen = |status: &SystemBackupStatus| Seen {
        phase: status.phase,
        ended: status.phase.is_some_and(BackupPhase::is_terminal),
        says: says(&status.summary, &status.conditions),
        failure: status.failure.clone(),
    };
    follow(&format!("backup {name}"), wanted, look, seen, out).await
}

pub(super) async fn drill(
    desk: &Desk<'_>,
    plan: &str,
    store: &str,
    name: &str,
    wanted: DrillPhase,
    out: &mut dyn FnMut(&str),
) -> Result<RecoveryDrillStatus> {
    ask(desk, "drills", &json!({ "name": name, "plan": plan, "store": store })).await?;
    let api: Api<RecoveryDrill> = Api::namespaced(desk.stage.watcher("hub").await?, &desk.namespace());
    let look = || async { Ok(api.get(name).await?.status.unwrap_or_default()) };
    let seen = |status: &RecoveryDrillStatus| Seen {
        phase: status.phase,
        ended: status.phase.is_some_and(DrillPhase::is_terminal),
        says: says(&status.summary, &status.conditions),
        failure: status.failure.clone(),
    };
    follow(&format!("drill {name}"), wanted, look, seen, out).await
}

/// Plans the restore of a source, and carries exactly that plan out.
pub(super) async fn restore(
    desk: &Desk<'_>,
    backup: &str,
    source: &str,
    redirect: &Value,
    wanted: RestorePhase,
    out: &mut dyn FnMut(&str),
) -> Result<SystemRestoreStatus> {
    let api: Api<SystemRestore> = Api::namespaced(desk.stage.watcher("hub").await?, &desk.namespace());
    let seen = |status: &SystemRestoreStatus| Seen {
        phase: status.phase,
        ended: status.phase.is_some_and(RestorePhase::is_terminal),
        says: says(&status.summary, &status.conditions),
        failure: status.failure.clone(),
    };
    let mut body = json!({
        "name": format!("{backup}-{source}-plan"), "backup": backup, "mode": "Plan", "sources": [source],
        "redirects": [redirect]
    });
    ask(desk, "restores", &body).await?;
    let name = format!("{backup}-{source}-plan");
    let look = || async { Ok(api.get(&name).await?.status.unwrap_or_default()) };
    let planned = follow(&format!("restore {name}"), RestorePhase::Planned, look, seen, out).await?;
    let digest = planned.plan_digest.context("a plan has a digest")?;
    out(&format!("    {source}, planned: {}; digest {}", planned.summary, digest.chars().take(19).collect::<String>()));
    let name = format!("{backup}-{source}");
    if let Some(body) = body.as_object_mut() {
        body.insert("name".to_owned(), json!(name));
        body.insert("mode".to_owned(), json!("Execute"));
        body.insert("planDigest".to_owned(), json!(digest));
    }
    ask(desk, "restores", &body).await?;
    let look = || async { Ok(api.get(&name).await?.status.unwrap_or_default()) };
    follow(&format!("restore {name}"), wanted, look, seen, out).await
}

/// A plan as the hub has it.
pub(super) async fn plan(desk: &Desk<'_>, name: &str) -> Result<RecoveryPlan> {
    let api: Api<RecoveryPlan> = Api::namespaced(desk.stage.watcher("hub").await?, &desk.namespace());
    Ok(api.get(name).await?)
}

/// Waits until a plan says something.
pub(super) async fn plan_says(
    desk: &Desk<'_>,
    name: &str,
    wanted: impl Fn(&RecoveryPlanStatus) -> bool,
) -> Result<RecoveryPlanStatus> {
    let api: Api<RecoveryPlan> = Api::namespaced(desk.stage.watcher("hub").await?, &desk.namespace());
    crate::lab::wait::settled(&format!("plan {name}"), PATIENCE, || async {
        let status = api.get(name).await?.status.unwrap_or_default();
        let seen: Vec<String> =
            status.conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.message)).collect();
        Ok(if wanted(&status) { Ok(status) } else { Err(seen.join("; ")) })
    })
    .await
}

/// `kubectl` with the hub's configuration, as a person would type it.
pub(super) fn kubectl_line(stage: &Stage) -> Result<String> {
    let config = stage.dir().join("hub/admin.kubeconfig");
    Ok(format!("{} --kubeconfig {}", Assets::find()?.kubectl.display(), config.display()))
}

/// What `kubectl` shows.
pub(super) fn kubectl(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let output = Command::new(Assets::find()?.kubectl)
        .arg("--kubeconfig")
        .arg(stage.dir().join("hub/admin.kubeconfig"))
        .args(arguments)
        .output()?;
    ensure!(output.status.success(), "kubectl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
