//! What the process that captures is told.

use kube::ResourceExt;
use zhengyun_crds::recovery::SystemBackup;

use super::Context;
use super::prepare::Prepared;
use crate::controllers::recovery::database::{self, Database};
use crate::controllers::recovery::{Recovery, WORKER, keys, reach};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

/// Seconds that a process waits for a repository that another run holds; then it is started again later.
pub(super) const LEASE_WAIT_SECONDS: u32 = 60;

/// The task of the process that captures, or what it waits for.
pub(super) async fn task(
    context: &Context,
    recovery: &Recovery,
    backup: &SystemBackup,
    prepared: &Prepared,
) -> Result<Result<Task, String>, ReconcileError> {
    let repository = &prepared.repository;
    let mut task = match repository.task(context, recovery, WORKER, "backup").await? {
        Ok(task) => task,
        Err(message) => return Ok(Err(message)),
    };
    if let Err(message) = repository.trust(context, &mut task).await? {
        return Ok(Err(message));
    }
    task.secret("--signing-key-file", "signing-key", keys::signing(context).await?);
    task.kept("--state-dir", "journal");
    // The same run and attempt each time: that is how the worker goes on where a killed one stopped.
    task.option("--run", backup.uid().unwrap_or_default()).option("--attempt", "1");
    task.option("--lease-wait", LEASE_WAIT_SECONDS.to_string());
    for (name, ground) in &prepared.grounds {
        task.option("--namespace", format!("{name}={}", ground.namespace));
    }
    for (name, tree) in &prepared.files {
        task.option("--files", format!("{name}={}", tree.path));
    }
    let mut declared = Vec::new();
    for (name, source) in &prepared.databases {
        match source {
            Database::Delivered { ground, cluster } => {
                task.option("--cluster-database", format!("{name}={}/{cluster}", ground.namespace));
            }
            Database::Declared(source) => declared.push((name.as_str(), source)),
        }
    }
    if let Err(message) = database::logins(context, recovery, &declared, &mut task).await? {
        return Ok(Err(message));
    }
    if !prepared.databases.is_empty() {
        database::policy(recovery, &mut task);
    }
    // Declared databases and file trees need no API server.
    if let Some(first) = prepared.opened().first()
        && let Err(message) = reach::credential(context, &first.site, &mut task).await?
    {
        return Ok(Err(message));
    }
    Ok(Ok(task))
}
