//! The bucket of a store: a process looks at it, because everything that speaks S3 is in the worker.

use serde::Deserialize;
use zhengyun_crds::BackupStore;
use zhengyun_domain::recovery::run::Sighting;

use super::folder::Opened;
use super::{AGAIN, Context};
use crate::controllers::recovery::home::{self, Home};
use crate::controllers::recovery::{Recovery, WORKER, run_id};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    identity: String,
    used_bytes: u64,
}

/// Looks at the bucket of a store; none while that goes on; or says why it cannot be used. The next look begins a new process.
pub(super) async fn open(
    context: &Context,
    recovery: &Recovery,
    store: &BackupStore,
    home: &Home,
    pinned: Option<String>,
) -> Result<Result<Option<Opened>, String>, ReconcileError> {
    let run = run_id(store.metadata.uid.as_deref(), "probe")?;
    match recovery.observe(&run).await? {
        Sighting::Running { .. } => return Ok(Ok(None)),
        Sighting::Done(report) => {
            recovery.remove(&run).await?;
            let report: Report = serde_json::from_value(report)
                .map_err(|e| ReconcileError::Transient(format!("the report of probe: {e}")))?;
            return Ok(Ok(Some(Opened { identity: report.identity, used: report.used_bytes })));
        }
        // What is written about it makes the store be looked at again at once; the bucket is left alone for a while.
        Sighting::Failed(fault) if fault.seconds_ago < AGAIN.as_secs() => {
            return Ok(Err(format!("spec.backend.s3: {} ({})", fault.message, fault.reason)));
        }
        Sighting::Failed(_) | Sighting::Absent | Sighting::Lost => {}
    }
    let mut task = Task::of(WORKER, "probe");
    if let Err(missing) = home.tell(context, recovery, "", &home::STORE, &mut task).await? {
        return Ok(Err(missing));
    }
    if let Some(pinned) = pinned {
        task.option("--identity", pinned);
    }
    task.option("--hub", &context.hub_uid);
    recovery.start(&run, task).await?;
    Ok(Ok(None))
}
