//! What a restore reads and where it goes; and what keeps it from that.
//!
//! Grants are looked up in the restore's own namespace and nowhere else. So another department's grant is one that is not there: a
//! restore never crosses from one department to another, and tells nobody what others have.

use kube::ResourceExt;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{
    BackupPhase, CopyState, ExistingPolicy, SourceOrigin, SystemBackup, SystemBackupStatus, SystemRestore,
};

use super::Context;
use crate::controllers::department_of;
use crate::controllers::recovery::order::{Refusal, Repository, refused};
use crate::controllers::recovery::reach::{self, Ground};
use crate::controllers::recovery::{RESTORER, Recovery};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

/// Everything that a process must be told.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Where it is read.
    pub(super) repository: Repository,
    snapshot: String,
    root: String,
    source: String,
    pub(super) target: Ground,
}

pub(super) fn prepare(context: &Context, restore: &SystemRestore) -> Result<Prepared, Refusal> {
    let namespace = restore.namespace().unwrap_or_default();
    let department = department_of(&namespace).to_owned();
    let spec = &restore.spec;
    let Some(backup) = context.watches.backups.get_in(&namespace, &spec.backup) else {
        let message =
            format!("/spec/backup: department {department} has no backup {}: name one that exists", spec.backup);
        return Err(refused(Reason::BackupNotFound, message));
    };
    let status = backup.status.clone().unwrap_or_default();
    match status.phase {
        Some(BackupPhase::Completed | BackupPhase::Incomplete) => {}
        Some(phase) if phase.is_terminal() => {
            let message = format!("/spec/backup: {} is {phase}: there is nothing to restore", spec.backup);
            return Err(refused(Reason::BackupNotFound, message));
        }
        _ => return Err(Refusal::Waits(format!("backup {} has not come to its end yet", spec.backup))),
    }
    let (store, snapshot) = copy(spec.store.as_deref(), &spec.backup, &status)?;
    let source = source(&spec.sources, &status)?;
    let grant = grant(context, restore, &backup, &source)?;
    let Some(target) = reach::ground(context, &namespace, &grant) else {
        if context.watches.grants.get_in(&namespace, &grant).is_none() {
            let message = format!(
                "/spec/redirects: department {department} holds no grant {grant}; a restore stays within its department: choose a grant of {department}, or order one"
            );
            return Err(refused(Reason::GrantNotFound, message));
        }
        let message = format!("grant {grant} is not in service: restore to one that is (spec.redirects), or order one");
        return Err(refused(Reason::GrantNotLive, message));
    };
    let folder = context.watches.stores.get(&store).and_then(|s| reach::folder_of(&s).map(str::to_owned));
    let Some(folder) = folder else {
        return Err(Refusal::Waits(format!("store {store} is not registered here any more; register it again")));
    };
    let plan = crate::controllers::backup::plan_of(context, &backup);
    let Some(plan) = plan else {
        let message = format!(
            "plan {} of the backup is gone, and with it the name of the key: write it again, or restore with zhengyun-worker and the escrow password",
            backup.spec.plan
        );
        return Err(refused(Reason::Invalid, message));
    };
    Ok(Prepared {
        repository: Repository { key: plan.spec.encryption.secret_name.clone(), department, store, folder },
        root: status.manifest.map(|manifest| manifest.root).unwrap_or_default(),
        snapshot,
        source,
        target,
    })
}

/// The copy that is read: one that was verified.
fn copy(wanted: Option<&str>, backup: &str, status: &SystemBackupStatus) -> Result<(String, String), Refusal> {
    let verified = status.copies.iter().find(|copy| {
        copy.state == CopyState::Verified && copy.snapshot.is_some() && wanted.is_none_or(|wanted| wanted == copy.store)
    });
    verified.and_then(|copy| Some((copy.store.clone(), copy.snapshot.clone()?))).ok_or_else(|| {
        let states: Vec<String> = status.copies.iter().map(|c| format!("{} is {}", c.store, c.state)).collect();
        let message = format!(
            "/spec/store: no copy of {backup}{} was read back and compared ({}): choose another store or backup",
            wanted.map_or_else(String::new, |store| format!(" in store {store}")),
            states.join(", ")
        );
        refused(Reason::BackupNotVerified, message)
    })
}

/// The source that is brought back.
fn source(wanted: &[String], status: &SystemBackupStatus) -> Result<String, Refusal> {
    let known: Vec<&str> = status.sources.iter().map(|source| source.name.as_str()).collect();
    match (wanted, known.as_slice()) {
        ([], [only]) => Ok((*only).to_owned()),
        ([one], _) if known.contains(&one.as_str()) => Ok(one.clone()),
        ([one], _) => {
            let message = format!("/spec/sources/0: the backup has no source {one}: it has {}", known.join(", "));
            Err(refused(Reason::SourceRefused, message))
        }
        _ => {
            let message = format!(
                "/spec/sources: one source at a time is restored in this version: name one of {}",
                known.join(", ")
            );
            Err(refused(Reason::ActionNotAvailable, message))
        }
    }
}

/// The grant that a source goes to: the one that it came from, unless another one is named.
fn grant(context: &Context, restore: &SystemRestore, backup: &SystemBackup, source: &str) -> Result<String, Refusal> {
    if let Some(redirect) = restore.spec.redirects.iter().find(|redirect| redirect.source == source) {
        return Ok(redirect.grant.clone());
    }
    let plan = crate::controllers::backup::plan_of(context, backup);
    let found = plan.and_then(|plan| {
        plan.spec.sources.iter().find(|s| s.name == source).and_then(|s| match &s.origin {
            SourceOrigin::Namespace(from) => Some(from.grant.clone()),
            _ => None,
        })
    });
    found.ok_or_else(|| {
        let message = format!(
            "/spec/redirects: plan {} does not say any more which grant source {source} came from: name the grant that it goes to",
            backup.spec.plan
        );
        refused(Reason::GrantNotFound, message)
    })
}

/// What the process of a restore is told, or what it waits for.
pub(super) async fn task(
    context: &Context,
    recovery: &Recovery,
    restore: &SystemRestore,
    prepared: &Prepared,
) -> Result<Result<Task, String>, ReconcileError> {
    let repository = &prepared.repository;
    let mut task = match repository.task(context, recovery, RESTORER, "restore").await? {
        Ok(task) => task,
        Err(message) => return Ok(Err(message)),
    };
    if let Err(message) = repository.trust(context, &mut task).await? {
        return Ok(Err(message));
    }
    task.option("--snapshot", &prepared.snapshot).option("--root", &prepared.root);
    task.option("--source", &prepared.source).option("--backup", &restore.spec.backup);
    task.option("--store-name", &repository.store).option("--department", &repository.department);
    let target = &prepared.target;
    task.option("--site", &target.site).option("--grant", &target.grant).option("--grant-uid", &target.uid);
    task.option("--namespace", &target.namespace);
    let existing = match restore.spec.existing {
        ExistingPolicy::Fail => "fail",
        ExistingPolicy::Skip => "skip",
        ExistingPolicy::Replace => "replace",
    };
    task.option("--existing", existing);
    if let Some(digest) = &restore.spec.plan_digest {
        task.option("--agreed", digest);
    }
    task.kept("--state-dir", "state").file("--outcomes", "outcomes.jsonl");
    if let Err(message) = reach::credential(context, &target.site, &mut task).await? {
        return Ok(Err(message));
    }
    Ok(Ok(task))
}
