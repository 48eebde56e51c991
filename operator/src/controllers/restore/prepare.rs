//! What a restore reads and where it goes; and what keeps it from that.
//!
//! Grants are looked up in the restore's own namespace and nowhere else. So another department's grant is one that is not there: a
//! restore never crosses from one department to another, and tells nobody what others have.

use kube::ResourceExt;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{
    BackupPhase, CopyState, ExistingPolicy, FileSource, GrantItemSource, RestoreMode, RestoreRedirect, SourceOrigin,
    StoredCopy, SystemBackup, SystemBackupStatus, SystemRestore,
};
use zhengyun_domain::recovery::files::Use;
use zhengyun_domain::seeded::{self, Bug};

use super::Context;
use crate::controllers::department_of;
use crate::controllers::recovery::database::{self, Database};
use crate::controllers::recovery::folders::{self, Tree};
use crate::controllers::recovery::home::Home;
use crate::controllers::recovery::order::{self, Refusal, Repository, refused};
use crate::controllers::recovery::reach::{self, Ground};
use crate::controllers::recovery::{self, RESTORER, Recovery};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;
use crate::site::driver::Access;

/// Everything that a process must be told.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Where it is read.
    pub(super) repository: Repository,
    snapshot: String,
    root: String,
    source: String,
    pub(super) target: Target,
}

/// Where a source goes.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// A namespace.
    Namespace(Ground),
    /// A database.
    Database(Database),
    /// A folder of this machine.
    Files(Tree),
}

impl Prepared {
    /// Where the account of recovery is let in, and how far. How a database is reached is only read.
    pub(super) fn opened(&self, mode: RestoreMode) -> Option<(&Ground, Access)> {
        self.target.opened(mode)
    }
}

impl Target {
    fn opened(&self, mode: RestoreMode) -> Option<(&Ground, Access)> {
        match (self, mode) {
            (Self::Namespace(ground), RestoreMode::Execute) => Some((ground, Access::Write)),
            (Self::Namespace(ground) | Self::Database(Database::Delivered { ground, .. }), _) => {
                Some((ground, Access::Read))
            }
            (Self::Database(Database::Declared(_)) | Self::Files(_), _) => None,
        }
    }
}

/// Where the account of recovery may have been let in for a restore; whether what it read still stands does not matter here.
pub(super) fn entered(context: &Context, restore: &SystemRestore) -> Option<(Ground, Access)> {
    let backup = context.watches.backups.get_in(&restore.namespace()?, &restore.spec.backup)?;
    let source = source(&restore.spec.sources, backup.status.as_ref()?).ok()?;
    let target = target(context, restore, &backup, &source).ok()?;
    target.opened(restore.spec.mode).map(|(ground, access)| (ground.clone(), access))
}

/// Where it is let in now: its process was begun, and it has not ended.
pub(crate) fn is_inside(context: &Context, restore: &SystemRestore) -> Option<(Ground, Access)> {
    let begun = restore.status.as_ref().is_some_and(|status| status.attempt > 0);
    if begun && !super::phase(restore).is_terminal() { entered(context, restore) } else { None }
}

/// What [`prepare`] finds, where a refusal is for good.
pub(super) async fn confirmed(
    context: &Context,
    restore: &SystemRestore,
) -> Result<Result<Prepared, Refusal>, ReconcileError> {
    match prepare(context, restore) {
        Ok(prepared) => Ok(Ok(prepared)),
        Err(refusal) => Ok(Err(order::confirmed(context, &restore.namespace().unwrap_or_default(), refusal).await?)),
    }
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
        // It was ended by hand when one of its copies was proved already.
        Some(phase) if phase.is_terminal() && status.copies.iter().any(is_proved) => {}
        Some(phase) if phase.is_terminal() => {
            let message = format!("/spec/backup: {} is {phase}: there is nothing to restore", spec.backup);
            return Err(refused(Reason::BackupNotFound, message));
        }
        _ if seeded::is(Bug::RestoreUnproved) && status.copies.iter().any(is_proved) => {}
        _ => return Err(Refusal::Waits(format!("backup {} has not come to its end yet", spec.backup))),
    }
    let stands = |store: &str| {
        let backend = reach::backend_of(context, store);
        match backend.and_then(|backend| Home::of(recovery::of(context)?, &backend).ok()) {
            Some(Home::Folder(folder)) => folder.join(&department).is_dir(),
            // Whoever opens it says so if it is gone.
            Some(Home::Bucket(_)) => true,
            None => false,
        }
    };
    // A run that began goes on where it began, as long as that stands.
    let begun = restore.status.as_ref().and_then(|status| status.store.as_deref());
    let (store, snapshot) = copy(spec.store.as_deref(), begun, &stands, &spec.backup, &status)?;
    let source = source(&spec.sources, &status)?;
    let target = target(context, restore, &backup, &source)?;
    let Some(backend) = reach::backend_of(context, &store) else {
        return Err(Refusal::Waits(format!("store {store} is not registered here any more; register it again")));
    };
    // The name of the key is all that is taken from it, so a plan that was written again under the name of the one that is gone will do:
    // the key opens the repository of this department, or it does not.
    let plan = crate::controllers::backup::plan_of(context, &backup)
        .or_else(|| context.watches.plans.get_in(&namespace, &backup.spec.plan));
    let Some(plan) = plan else {
        let message = format!(
            "plan {} of the backup is gone, and with it the name of the key: write a plan of that name again, with the same spec.encryption.secretName, or restore with zhengyun-worker and the escrow password",
            backup.spec.plan
        );
        return Err(refused(Reason::Invalid, message));
    };
    Ok(Prepared {
        repository: Repository { key: plan.spec.encryption.secret_name.clone(), department, store, backend },
        root: status.manifest.map(|manifest| manifest.root).unwrap_or_default(),
        snapshot,
        source,
        target,
    })
}

fn is_proved(copy: &StoredCopy) -> bool {
    (copy.state == CopyState::Verified || seeded::is(Bug::RestoreUnproved)) && copy.snapshot.is_some()
}

/// The copy that is read: one that was verified, and if none is named one whose repository stands.
fn copy(
    wanted: Option<&str>,
    begun: Option<&str>,
    stands: &dyn Fn(&str) -> bool,
    backup: &str,
    status: &SystemBackupStatus,
) -> Result<(String, String), Refusal> {
    let proved = || {
        let named = move |copy: &&StoredCopy| wanted.is_none_or(|wanted| wanted == copy.store);
        status.copies.iter().filter(|copy| is_proved(copy)).filter(named)
    };
    let standing = || proved().filter(|copy| stands(&copy.store));
    let chosen = standing().find(|copy| begun == Some(copy.store.as_str()));
    let chosen = chosen.or_else(|| standing().next()).or_else(|| proved().next());
    chosen.and_then(|copy| Some((copy.store.clone(), copy.snapshot.clone()?))).ok_or_else(|| {
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

/// Where a source goes: where it came from, unless another grant, folder or database is named.
fn target(context: &Context, restore: &SystemRestore, backup: &SystemBackup, source: &str) -> Result<Target, Refusal> {
    let namespace = restore.namespace().unwrap_or_default();
    let redirect = restore.spec.redirects.iter().find(|redirect| redirect.source == source);
    // What the run wrote down, and not what the plan says by now; only of one that wrote nothing down the plan tells.
    let read = backup.status.iter().flat_map(|status| &status.sources).find(|read| read.name == source);
    let plan = crate::controllers::backup::plan_of(context, backup);
    let planned = || plan?.spec.sources.iter().find(|planned| planned.name == source).map(|s| s.origin.clone());
    let origin = read.and_then(|read| read.origin.clone()).or_else(planned);
    let to_grant = |to: &RestoreRedirect| to.grant.clone().ok_or_else(|| misdirected(source, "a grant (grant)"));
    match (origin, redirect) {
        (Some(SourceOrigin::Files(from)), None) => {
            let of = format!(
                " of source {source} in plan {}, where it goes back to unless spec.redirects names another folder",
                backup.spec.plan
            );
            tree(context, department_of(&namespace), &from, ("/origin/files", &of))
        }
        (Some(SourceOrigin::Files(_)) | None, Some(RestoreRedirect { files: Some(to), .. })) => {
            let at = restore.spec.redirects.iter().position(|redirect| redirect.source == source).unwrap_or_default();
            tree(context, department_of(&namespace), to, (&format!("/spec/redirects/{at}/files"), ""))
        }
        (Some(SourceOrigin::Files(_)), Some(_)) => Err(misdirected(source, "a folder (files)")),
        (Some(SourceOrigin::Database(_)) | None, Some(RestoreRedirect { database: Some(to), .. })) => {
            database::declared(context, department_of(&namespace), to).map(Target::Database)
        }
        (Some(SourceOrigin::Database(_)), Some(_)) => Err(misdirected(source, "a declared database (database)")),
        (Some(SourceOrigin::Database(from)), None) => {
            database::declared(context, department_of(&namespace), &from).map(Target::Database)
        }
        (Some(SourceOrigin::Item(from)), redirect) => {
            let grant = redirect.map_or(Ok(from.grant), to_grant)?;
            ground(context, &namespace, &grant)?;
            let item = GrantItemSource { grant, item: from.item };
            database::of_item(context, &namespace, &item).map(Target::Database)
        }
        (Some(SourceOrigin::Namespace(from)), None) => ground(context, &namespace, &from.grant).map(Target::Namespace),
        (Some(SourceOrigin::Namespace(_)) | None, Some(to)) => {
            ground(context, &namespace, &to_grant(to)?).map(Target::Namespace)
        }
        (None, None) => {
            let message = format!(
                "/spec/redirects: backup {} does not say where source {source} came from: name the grant, the folder or the database that it goes to",
                backup.name_any()
            );
            Err(refused(Reason::GrantNotFound, message))
        }
    }
}

/// A folder that a file tree is restored to.
fn tree(context: &Context, department: &str, to: &FileSource, named: (&str, &str)) -> Result<Target, Refusal> {
    folders::tree(context, department, to, Use::Write, named).map(Target::Files)
}

fn misdirected(source: &str, fix: &str) -> Refusal {
    refused(Reason::Invalid, format!("/spec/redirects: source {source} cannot go there: name {fix} for it"))
}

/// Where a grant of the same department stands.
fn ground(context: &Context, namespace: &str, grant: &str) -> Result<Ground, Refusal> {
    if let Some(ground) = reach::ground(context, namespace, grant) {
        return Ok(ground);
    }
    if seeded::is(Bug::RestoreCrosses) {
        let of_others = context.watches.grants.matching(|held| held.name_any() == grant);
        let of_others = of_others.iter().filter_map(|held| reach::ground(context, &held.namespace()?, grant));
        if let Some(ground) = of_others.into_iter().next() {
            return Ok(ground);
        }
    }
    if context.watches.grants.get_in(namespace, grant).is_some() {
        let message = format!("grant {grant} is not in service: restore to one that is (spec.redirects), or order one");
        return Err(refused(Reason::GrantNotLive, message));
    }
    let department = department_of(namespace);
    let message = format!(
        "/spec/redirects: department {department} holds no grant {grant}; a restore stays within its department: choose a grant of {department}, or order one"
    );
    Err(refused(Reason::GrantNotFound, message))
}

/// What the process of a restore is told, or what it waits for.
pub(super) async fn task(
    context: &Context,
    recovery: &Recovery,
    restore: &SystemRestore,
    prepared: &Prepared,
) -> Result<Result<Task, String>, ReconcileError> {
    let repository = &prepared.repository;
    let command = match prepared.target {
        Target::Namespace(_) => "restore",
        Target::Database(_) => "restore-database",
        Target::Files(_) => "restore-files",
    };
    let mut task = match repository.task(context, recovery, RESTORER, command).await? {
        Ok(task) => task,
        Err(message) => return Ok(Err(message)),
    };
    if let Err(message) = repository.trust(context, &mut task).await? {
        return Ok(Err(message));
    }
    task.option("--snapshot", &prepared.snapshot).option("--root", &prepared.root);
    task.option("--source", &prepared.source);
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
    match &prepared.target {
        Target::Namespace(target) => {
            task.option("--backup", &restore.spec.backup);
            task.option("--store-name", &repository.store).option("--department", &repository.department);
            task.option("--site", &target.site).option("--grant", &target.grant).option("--grant-uid", &target.uid);
            task.option("--namespace", &target.namespace);
        }
        Target::Files(tree) => {
            task.option("--target", &tree.path);
        }
        Target::Database(target) => {
            database::policy(recovery, &mut task);
            if restore.spec.redirects.iter().any(|redirect| redirect.source == prepared.source) {
                // Another database has other roles.
                task.text("--without-roles");
            }
            match target {
                Database::Delivered { ground, cluster } => {
                    task.option("--target-cluster-database", format!("{}/{cluster}", ground.namespace));
                }
                Database::Declared(declared) => match declared.login(context, recovery.databases()).await? {
                    Ok(login) => {
                        task.secret("--target-database-file", "target-database", login);
                    }
                    Err(message) => return Ok(Err(message)),
                },
            }
        }
    }
    if let Some((ground, _)) = prepared.opened(restore.spec.mode)
        && let Err(message) = reach::credential(context, &ground.site, &mut task).await?
    {
        return Ok(Err(message));
    }
    Ok(Ok(task))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zhengyun_crds::recovery::SystemBackupStatus;

    use super::copy;

    #[test]
    fn the_copy_that_is_read_is_one_that_stands() {
        let state = |store: &str, state: &str| json!({"store": store, "state": state, "snapshot": format!("in-{store}"), "bytesAdded": 1});
        let status: SystemBackupStatus = serde_json::from_value(json!({
            "phase": "Completed", "copies": [state("a", "Verified"), state("b", "Verified"), state("c", "Stored")]
        }))
        .unwrap();
        let chosen = |wanted: Option<&str>, begun: Option<&str>, standing: &[&str]| {
            copy(wanted, begun, &|store| standing.contains(&store), "x", &status).ok().map(|(store, _)| store)
        };
        assert_eq!(chosen(None, None, &["a", "b", "c"]).as_deref(), Some("a"));
        assert_eq!(chosen(None, None, &["b", "c"]).as_deref(), Some("b"), "the first store is gone");
        assert_eq!(chosen(None, Some("b"), &["a", "b"]).as_deref(), Some("b"), "it goes on where it began");
        assert_eq!(chosen(None, Some("b"), &["a"]).as_deref(), Some("a"));
        // Whoever names a store gets that one or none.
        assert_eq!(chosen(Some("a"), None, &["b"]).as_deref(), Some("a"));
        assert_eq!(chosen(Some("c"), None, &["c"]), None, "it was not proved");
    }
}
