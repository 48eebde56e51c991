//! What a drill reads, where it goes, and what keeps it from that.

use std::path::PathBuf;
use std::sync::Arc;

use kube::ResourceExt;
use zhengyun_crds::{Reason, RecoveryDrill, RecoveryPlan, ResourceGrant, SystemBackup};
use zhengyun_domain::eligibility;
use zhengyun_domain::recovery::drill::{Part, PartKind, TriedCopy, choose};

use super::super::recovery::order::{self, Refusal, Repository, refused};
use super::super::recovery::reach::{self, Ground};
use super::super::recovery::{RESTORER, Recovery};
use super::super::{Context, department_of};
use super::folder;
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

/// Everything that a drill rests on.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// What is tried.
    pub(super) copy: TriedCopy,
    /// The grant that its namespace came from: the scratch is as large. None if it holds file trees only.
    pub(super) source: Option<Arc<ResourceGrant>>,
    /// Where its file trees go, if it holds any.
    pub(super) folder: Option<PathBuf>,
    /// Where it is read.
    repository: Repository,
}

/// The plan of a drill, if it is still the one that it was asked for with.
pub(super) fn plan_of(context: &Context, drill: &RecoveryDrill) -> Option<Arc<RecoveryPlan>> {
    let plan = context.watches.plans.get_in(&drill.namespace().unwrap_or_default(), &drill.spec.plan)?;
    (plan.uid().as_deref() == Some(drill.spec.plan_uid.as_str())).then_some(plan)
}

/// The same, where a refusal is for good.
pub(super) async fn confirmed(
    context: &Context,
    drill: &RecoveryDrill,
) -> Result<Result<Prepared, Refusal>, ReconcileError> {
    match prepare(context, drill) {
        Ok(prepared) => Ok(Ok(prepared)),
        Err(refusal) => Ok(Err(order::confirmed(context, &drill.namespace().unwrap_or_default(), refusal).await?)),
    }
}

pub(super) fn prepare(context: &Context, drill: &RecoveryDrill) -> Result<Prepared, Refusal> {
    let namespace = drill.namespace().unwrap_or_default();
    let department = department_of(&namespace).to_owned();
    let spec = &drill.spec;
    let Some(plan) = plan_of(context, drill) else {
        let message = format!(
            "/spec/plan: department {department} has no recovery plan {} with UID {}: name one that exists, with its metadata.uid in spec.planUID",
            spec.plan, spec.plan_uid
        );
        return Err(refused(Reason::Invalid, message));
    };
    let Some(site) = context.watches.sites.get(&spec.site) else {
        let known: Vec<String> = context.watches.sites.all().iter().map(|site| site.name_any()).collect();
        let message = format!("/spec/site: there is no site {}: name one of {}", spec.site, known.join(", "));
        return Err(refused(Reason::SiteNotFound, message));
    };
    // The scratch holds the real data.
    let Some(system) = context.watches.systems.get_in(&namespace, &plan.spec.system) else {
        let message = format!(
            "/spec/plan: plan {} is of the information system {}, which the department does not have any more: register it again, its protection level decides where a drill may be held",
            spec.plan, plan.spec.system
        );
        return Err(refused(Reason::SystemNotFound, message));
    };
    if let Some((reason, message)) = eligibility::unfit(&system.spec, &spec.site, &site.spec).into_iter().next() {
        return Err(refused(reason, format!("/spec/site: {message}")));
    }
    let backups = context.watches.backups.matching(|backup| {
        backup.namespace().as_deref() == Some(namespace.as_str())
            && backup.spec.plan == spec.plan
            && backup.spec.plan_uid == spec.plan_uid
    });
    let backups: Vec<&SystemBackup> = backups.iter().map(AsRef::as_ref).collect();
    let before = drill.status.as_ref().and_then(|s| s.backup.as_deref());
    let copy = choose(drill, &plan, &backups, before).map_err(Refusal::Final)?;
    let chosen = drill.status.as_ref().and_then(|status| status.manifest_root.as_ref());
    if chosen.is_some_and(|root| *root != copy.root) {
        let message = format!("backup {} is not the one any more that was chosen: hold the drill again", copy.backup);
        return Err(refused(Reason::BackupNotFound, message));
    }
    let source = match copy.grant() {
        None => None,
        Some(grant) => Some(context.watches.grants.get_in(&namespace, grant).ok_or_else(|| {
            let message = format!(
                "grant {grant} of backup {} is not there any more, so nothing tells how large the scratch has to be: restore the backup into a grant with a SystemRestore",
                copy.backup
            );
            refused(Reason::GrantNotFound, message)
        })?),
    };
    let folder = copy.file_bytes().map(|_| folder::needed(context, drill)).transpose()?;
    let Some(backend) = reach::backend_of(context, &spec.store) else {
        return Err(Refusal::Waits(format!("store {} is not registered here any more: register it again", spec.store)));
    };
    Ok(Prepared {
        copy,
        source,
        folder,
        repository: Repository {
            department,
            key: plan.spec.encryption.secret_name.clone(),
            store: spec.store.clone(),
            backend,
        },
    })
}

/// What the process of one part of a drill is told, or what it waits for. `ground` is the scratch of a namespace.
pub(super) async fn task(
    context: &Context,
    recovery: &Recovery,
    prepared: &Prepared,
    part: &Part,
    ground: Option<&Ground>,
) -> Result<Result<Task, String>, ReconcileError> {
    let Prepared { copy, repository, .. } = prepared;
    let command = match part.kind {
        PartKind::Namespace { .. } => "restore",
        PartKind::Files { .. } => "restore-files",
    };
    let mut task = match repository.task(context, recovery, RESTORER, command).await? {
        Ok(task) => task,
        Err(message) => return Ok(Err(message)),
    };
    if let Err(message) = repository.trust(context, &mut task).await? {
        return Ok(Err(message));
    }
    task.text("--scratch");
    task.option("--snapshot", &copy.snapshot).option("--root", &copy.root);
    // What the cluster itself puts into a new namespace, such as the account `default`, may have been changed at the source; and what
    // a process before this one restored is not in its way.
    task.option("--source", &part.source).option("--existing", "replace");
    task.kept("--state-dir", "state").file("--outcomes", "outcomes.jsonl");
    match (&part.kind, ground, &prepared.folder) {
        (PartKind::Namespace { .. }, Some(scratch), _) => {
            task.option("--backup", &copy.backup);
            task.option("--store-name", &repository.store).option("--department", &repository.department);
            task.option("--site", &scratch.site).option("--grant", &scratch.grant).option("--grant-uid", &scratch.uid);
            task.option("--namespace", &scratch.namespace);
            if let Err(message) = reach::credential(context, &scratch.site, &mut task).await? {
                return Ok(Err(message));
            }
        }
        (PartKind::Files { .. }, _, Some(folder)) => {
            folder::make(folder)?;
            task.option("--target", folder.join(&part.source).to_string_lossy());
        }
        (PartKind::Namespace { .. }, None, _) | (PartKind::Files { .. }, _, None) => {
            return Ok(Err("the scratch is not in service yet".to_owned()));
        }
    }
    Ok(Ok(task))
}
