//! What the process of a verb is told.

use kube::ResourceExt;
use secrecy::SecretString;
use serde_json::json;
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{
    Blocker, MigrationSource, MigrationTarget, MigrationVerb, Party, RoomDatabase, SignedPurpose, Strategy,
    SystemMigration, Workload,
};
use zhengyun_domain::migration::follow::deletes_copy;
use zhengyun_domain::migration::gate::blocker;
use zhengyun_domain::recovery::duration;

use super::observe::Seen;
use super::place::{self, Side};
use super::{Context, shared, word};
use crate::controllers::recovery::database::{self, Declared};
use crate::controllers::recovery::{Recovery, WORKER};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

/// Seconds between two passes of a copy that follows its source.
const INTERVAL_SECONDS: u64 = 10;

/// What is begun: a verb of a workload under an epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    /// Workload.
    pub(super) workload: &'a str,
    /// What is done.
    pub(super) verb: MigrationVerb,
    /// Its epoch.
    pub(super) epoch: i64,
}

/// The task of a verb of a workload, or what keeps it from being begun.
///
/// # Errors
/// When the hub does not answer.
pub(super) async fn of(
    context: &Context,
    recovery: &Recovery,
    migration: &SystemMigration,
    seen: &Seen,
    order: Order<'_>,
) -> Result<Result<Task, Blocker>, ReconcileError> {
    match planned(context, migration, seen, order) {
        Ok(Planned::Whole(task)) => Ok(Ok(task)),
        Ok(Planned::Logins(task, sides)) => with_logins(context, recovery, task, &sides).await,
        Err(shut) => Ok(Err(shut)),
    }
}

/// What a process is told, before passwords are read.
enum Planned {
    /// Nothing is missing.
    Whole(Task),
    /// The logins of databases, by the option that names their file.
    Logins(Task, Vec<(&'static str, &'static str, Declared)>),
}

fn planned(context: &Context, migration: &SystemMigration, seen: &Seen, order: Order<'_>) -> Result<Planned, Blocker> {
    if migration.spec.strategy == Strategy::Retire {
        let message =
            "spec.strategy: systems are not retired by this version: no mover closes a source without a target";
        return Err(blocker(Reason::ActionNotAvailable, Party::Provider, message));
    }
    let workload = named(migration, order.workload)?;
    let mut task = Task::of(WORKER, "move");
    let kind = if matches!(workload.source, MigrationSource::Files(_)) { "files" } else { "database" };
    task.text(kind).text(word(order.verb));
    ticket(migration, order.epoch, &mut task);
    let source = place::source(context, migration, workload)?;
    if let Some(shut) = shared::held(context, migration, workload, (&source, order.verb)) {
        return Err(shut);
    }
    // Before there is a place to land on, the source is read alone.
    let lands = !matches!(order.verb, MigrationVerb::Close | MigrationVerb::Thaw | MigrationVerb::Drop);
    let target = match order.verb {
        MigrationVerb::Assess => None,
        _ => Some(place::target(context, migration, workload, lands)?),
    };
    if order.verb == MigrationVerb::Drop && deletes_copy(seen.at, seen.asked, migration.spec.copied_data) {
        task.text("--data");
    }
    // Somebody signed for what applications wrote on the target since traffic was admitted.
    let discards = order.verb == MigrationVerb::Copy && seen.signed.rollback.is_ok();
    if discards {
        task.text("--discard-writes");
    }
    match (source, target, &workload.source) {
        (Side::Files(source), target, _) => {
            task.option("--source", source);
            if let Some(Side::Files(target)) = target {
                task.option("--target", target);
            }
            of_files(migration, seen, order.verb, &mut task);
            Ok(Planned::Whole(task))
        }
        (Side::Database(source), target, MigrationSource::Database(from)) => {
            of_database(workload, from, order.verb, &mut task);
            let mut logins = vec![("--source-database-file", "source-database", source)];
            if let Some(Side::Database(target)) = target {
                logins.push(("--target-database-file", "target-database", target));
            }
            Ok(Planned::Logins(task, logins))
        }
        (Side::Database(_), ..) => Err(blocker(Reason::Invalid, Party::Department, "spec.workloads: no such source")),
    }
}

/// What is said to the mover of file trees beside both sides.
fn of_files(migration: &SystemMigration, seen: &Seen, verb: MigrationVerb, task: &mut Task) {
    use MigrationVerb as V;
    match verb {
        V::Copy => {
            task.text("--follow").option("--interval-seconds", INTERVAL_SECONDS.to_string());
        }
        V::Freeze => match signer(seen, SignedPurpose::DeclaredFreeze) {
            Some(person) => {
                let quiet = migration.spec.cutover.as_ref().and_then(|c| duration::parse("", &c.quiet).ok());
                let quiet = quiet.map_or(60, |quiet| quiet.as_secs().max(0));
                task.option("--declared-by", person).option("--quiet-seconds", quiet.to_string());
            }
            None => {
                task.text("--remount");
            }
        },
        V::Thaw => {
            let person = signer(seen, SignedPurpose::Rollback).or_else(|| signer(seen, SignedPurpose::DeclaredFreeze));
            if let Some(person) = person {
                task.option("--declared-by", person);
            }
        }
        V::Assess | V::Prepare | V::Compare | V::Finish | V::Open | V::Close | V::Drop => {}
    }
}

/// What is said to the mover of databases beside both sides. Rows come by replication alone: a dump would be made anew at each look, and
/// under the freeze once more.
fn of_database(workload: &Workload, from: &RoomDatabase, verb: MigrationVerb, task: &mut Task) {
    use MigrationVerb as V;
    if matches!(verb, V::Assess | V::Prepare) {
        task.option("--mode", "replication");
    }
    if matches!(verb, V::Assess | V::Prepare | V::Freeze) {
        for role in &from.application_roles {
            task.option("--application-role", role);
        }
    }
    match verb {
        V::Prepare => {
            if let Some(MigrationTarget::Database(to)) = &workload.target
                && let Some(owner) = &to.owner
            {
                task.option("--owner", owner);
            }
        }
        V::Copy => {
            task.text("--follow");
        }
        V::Assess | V::Compare | V::Freeze | V::Finish | V::Open | V::Close | V::Thaw | V::Drop => {}
    }
    // What the source may keep of its log, while somebody follows it and when nobody does any more.
    if matches!(verb, V::Copy | V::Thaw)
        && let Some(budget) = from.wal_budget_mib
    {
        task.option("--wal-budget-mib", budget.to_string());
    }
}

async fn with_logins(
    context: &Context,
    recovery: &Recovery,
    mut task: Task,
    sides: &[(&'static str, &'static str, Declared)],
) -> Result<Result<Task, Blocker>, ReconcileError> {
    database::policy(recovery, &mut task);
    for (option, file, declared) in sides {
        let login: SecretString = match declared.login(context, recovery.databases()).await? {
            Ok(login) => login,
            Err(message) => return Ok(Err(blocker(Reason::SourceRefused, Party::Provider, message))),
        };
        task.secret(option, file, login);
    }
    Ok(Ok(task))
}

/// The task that looks at the files of a workload before applications get it.
pub(super) fn probe(
    context: &Context,
    migration: &SystemMigration,
    seen: &Seen,
    workload: &str,
) -> Result<Task, Blocker> {
    let workload = named(migration, workload)?;
    let sides = (place::source(context, migration, workload)?, place::target(context, migration, workload, true)?);
    let (Side::Files(source), Side::Files(target)) = sides else {
        let message = format!("spec.cutover.probes: workload {} is no file tree", workload.name);
        return Err(blocker(Reason::Invalid, Party::Department, message));
    };
    let mut task = Task::of(WORKER, "move");
    task.text("files").text("probe");
    ticket(migration, seen.status.epoch, &mut task);
    task.option("--source", source).option("--target", target);
    for probe in migration.spec.cutover.iter().flat_map(|cutover| &cutover.probes) {
        if probe.workload == workload.name {
            task.option("--expect", json!({ "path": probe.path, "digest": probe.digest }).to_string());
        }
    }
    Ok(task)
}

/// In whose name it acts. A migration that is asked for anew under the same name is another one.
fn ticket(migration: &SystemMigration, epoch: i64, task: &mut Task) {
    task.option("--migration", format!("{}.{}", migration.name_any(), migration.uid().unwrap_or_default()));
    task.option("--epoch", epoch.to_string());
}

fn named<'a>(migration: &'a SystemMigration, workload: &str) -> Result<&'a Workload, Blocker> {
    migration.spec.workloads.iter().find(|known| known.name == workload).ok_or_else(|| {
        let message = format!("spec.cutover.probes: there is no workload {workload}: name one of spec.workloads");
        blocker(Reason::Invalid, Party::Department, message)
    })
}

/// Who signed for a purpose, if that counts.
fn signer(seen: &Seen, purpose: SignedPurpose) -> Option<String> {
    seen.status.signatures.iter().find(|signature| signature.purpose == purpose).map(|signature| signature.by.clone())
}
