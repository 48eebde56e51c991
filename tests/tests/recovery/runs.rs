//! Runs of backup and restore, asked for by the department's clerk.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use zhengyun_crds::recovery::{
    BackupPhase, BackupTrigger, ExistingPolicy, RecoveryPlanStatus, RestoreMode, RestorePhase, SystemBackupStatus,
    SystemRestoreStatus,
};
use zhengyun_crds::{RecoveryPlan, SystemBackup, SystemRestore};
use zhengyun_tests::lab::wait::{settled, until_every};
use zhengyun_tests::town::said;
use zhengyun_tests::world;

use super::ground::{CLERK, Ground, NAMESPACE, PATIENCE};

impl Ground {
    pub(crate) async fn backup_body(&self, name: &str, by: &str, cancel: bool) -> Result<DynamicObject> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "SystemBackup",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "plan": "e-invoice", "planUID": self.plan_uid().await?, "trigger": "Manual", "requestedBy": by,
                "cancel": cancel
            }
        }))?)
    }

    pub(crate) async fn ask_backup(&self, name: &str, cancel: bool) -> Result<()> {
        let body = self.backup_body(name, CLERK, cancel).await?;
        let api = world::api_of(&self.town.client_of(CLERK)?, &body).await?;
        api.create(&PostParams::default(), &body).await?;
        Ok(())
    }

    pub(crate) fn backups(&self) -> Result<Api<SystemBackup>> {
        Ok(Api::namespaced(self.town.admin()?, NAMESPACE))
    }

    pub(crate) async fn backup_says(&self, name: &str, wanted: &str) -> Result<String> {
        let api = self.backups()?;
        settled(&format!("backup {name} says {wanted}"), PATIENCE, || async {
            let seen = said(&api.get(name).await?.status.unwrap_or_default().conditions);
            Ok(if seen.contains(wanted) { Ok(seen) } else { Err(seen) })
        })
        .await
    }

    pub(crate) async fn backup_ends(&self, name: &str, wanted: BackupPhase) -> Result<SystemBackupStatus> {
        let api = self.backups()?;
        let status = settled(&format!("backup {name} ends"), PATIENCE, || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            let seen = format!("{:?}: {}", status.phase, said(&status.conditions));
            Ok(if status.phase.is_some_and(BackupPhase::is_terminal) { Ok(status) } else { Err(seen) })
        })
        .await?;
        anyhow::ensure!(
            status.phase == Some(wanted),
            "backup {name} is {:?}, not {wanted}: {:?}, {}",
            status.phase,
            status.failure,
            said(&status.conditions)
        );
        Ok(status)
    }

    /// Asks for a restore and waits for its end, whatever that is.
    pub(crate) async fn restore(
        &self,
        name: &str,
        mode: RestoreMode,
        digest: Option<&str>,
        existing: ExistingPolicy,
        grant: Option<&str>,
    ) -> Result<SystemRestoreStatus> {
        let mut spec = json!({ "backup": "first", "mode": mode, "existing": existing, "requestedBy": CLERK });
        if let Some(digest) = digest {
            spec["planDigest"] = json!(digest);
        }
        if let Some(grant) = grant {
            spec["redirects"] = json!([{ "source": "space", "grant": grant }]);
        }
        self.restore_as(name, spec).await
    }

    /// The same with a spec of one's own.
    pub(crate) async fn restore_as(&self, name: &str, spec: Value) -> Result<SystemRestoreStatus> {
        let body: SystemRestore = serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "SystemRestore",
            "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec
        }))?;
        let api: Api<SystemRestore> = Api::namespaced(self.town.client_of(CLERK)?, NAMESPACE);
        api.create(&PostParams::default(), &body).await?;
        settled(&format!("restore {name} ends"), PATIENCE, || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            let seen = format!("{:?}: {}", status.phase, said(&status.conditions));
            Ok(if status.phase.is_some_and(RestorePhase::is_terminal) { Ok(status) } else { Err(seen) })
        })
        .await
    }

    fn plans(&self) -> Result<Api<RecoveryPlan>> {
        Ok(Api::namespaced(self.town.client_of(CLERK)?, NAMESPACE))
    }

    pub(crate) async fn change_plan(&self, patch: Value) -> Result<()> {
        self.plans()?.patch("e-invoice", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// Waits until the plan says something.
    pub(crate) async fn plan_says(
        &self,
        what: &str,
        wanted: impl Fn(&RecoveryPlanStatus) -> bool,
    ) -> Result<RecoveryPlanStatus> {
        let api = self.plans()?;
        settled(what, PATIENCE, || async {
            let status = api.get("e-invoice").await?.status.unwrap_or_default();
            let seen = format!("{} {:?}", said(&status.conditions), status.copies);
            Ok(if wanted(&status) { Ok(status) } else { Err(seen) })
        })
        .await
    }

    /// The one backup that the schedule started.
    pub(crate) async fn scheduled_backup(&self) -> Result<String> {
        let api = self.backups()?;
        settled("a backup is started by the schedule", PATIENCE, || async {
            let all = api.list(&ListParams::default()).await?.items;
            let due: Vec<String> = all
                .iter()
                .filter(|backup| backup.spec.trigger == BackupTrigger::Scheduled)
                .map(ResourceExt::name_any)
                .collect();
            Ok(match due.as_slice() {
                [one] => Ok(one.clone()),
                others => Err(format!("{others:?}")),
            })
        })
        .await
    }

    async fn run_folder(&self, backup: &str) -> Result<std::path::PathBuf> {
        let uid = self.backups()?.get(backup).await?.uid().context("a backup has a UID")?;
        Ok(self.runs().join(format!("{uid}-backup")))
    }

    /// The process that carries a backup out, as soon as it is one.
    pub(crate) async fn worker_of(&self, backup: &str) -> Result<i32> {
        self.worker_in(self.run_folder(backup).await?).await
    }

    /// The process of the run in a folder, as soon as it is one.
    pub(crate) async fn worker_in(&self, folder: std::path::PathBuf) -> Result<i32> {
        let file = folder.join("process.json");
        until_every("a worker at work", PATIENCE, Duration::from_millis(5), || async {
            let Ok(text) = std::fs::read(&file) else { return Ok(None) };
            let identity: Value = serde_json::from_slice(&text)?;
            Ok(identity["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()))
        })
        .await
    }

    pub(crate) async fn has_report(&self, backup: &str) -> Result<bool> {
        let report = self.run_folder(backup).await?.join("report.json");
        Ok(std::fs::metadata(report).is_ok_and(|meta| meta.len() > 0))
    }
}

pub(crate) fn is_alive(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Ends a worker like a power cut. It was started by this test's own operator a moment ago.
pub(crate) fn kill(pid: i32) -> Result<()> {
    let pid = Pid::from_raw(pid).context("a process id")?;
    match kill_process(pid, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
