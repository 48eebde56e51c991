//! Whether a process can begin, and room for what it may write: held before it is started, or waited for.

use std::time::Duration;

use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use zhengyun_crds::recovery::SystemBackup;
use zhengyun_domain::condition::cut;

use super::prepare::Prepared;
use super::{Context, plan_of, report, waits, written};
use crate::controllers::recovery::charge::{self, For, Held, Unheld};
use crate::controllers::recovery::home::Home;
use crate::controllers::recovery::{Recovery, reach};
use crate::controllers::store;
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::site::driver::Access;

/// How soon a backup that waits for room in a quota is looked at again.
const ROOM: Duration = Duration::from_secs(30);

/// Room for what a process may write, in the name of the backup's plan.
pub(super) async fn held<'a>(
    context: &'a Context,
    backup: &SystemBackup,
    stores: &[String],
    whom: For,
) -> Result<Result<Held<'a>, Unheld>, ReconcileError> {
    match plan_of(context, backup) {
        Some(plan) => charge::hold(context, &plan, stores, whom).await,
        None => Ok(Err(Unheld::Waits(format!("plan {} is gone", backup.spec.plan)))),
    }
}

/// It goes no further until there is room; the backups before it stay.
pub(super) async fn without_room(
    context: &Context,
    api: &Api<SystemBackup>,
    backup: &SystemBackup,
    unheld: Unheld,
) -> Outcome {
    let (reason, message) = match unheld {
        Unheld::Waits(message) => return waits(context, api, backup, &message).await,
        Unheld::NoRoom(reason, message) => (reason, message),
    };
    let message = format!("{message}; nothing is written, what was backed up before stays, and it is tried again");
    let status = report::waits(backup, reason, &cut(message, 2_000), true, context.clock.now());
    written(api, backup, &status, Action::requeue(spread(ROOM, &backup.name_any(), 0))).await
}

/// Whether a process can begin, or what it waits for.
pub(super) async fn ready(
    context: &Context,
    recovery: &Recovery,
    prepared: &Prepared,
) -> Result<Result<(), String>, ReconcileError> {
    let home = match Home::of(recovery, &prepared.repository.backend) {
        Ok(home) => home,
        Err(message) => return Ok(Err(message)),
    };
    if store::standing(context, &prepared.repository.store, &home, &prepared.repository.department).await?.is_none() {
        return Ok(Err(format!(
            "the repository of department {} in store {} is being made; see `kubectl get backupstore {} -o wide` if it takes long",
            prepared.repository.department, prepared.repository.store, prepared.repository.store
        )));
    }
    for ground in prepared.opened() {
        if let Err(message) = reach::open(context, ground, Access::Read).await {
            return Ok(Err(message));
        }
    }
    Ok(Ok(()))
}
