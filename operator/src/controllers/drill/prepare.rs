//! What a drill reads, where it goes, and what keeps it from that.

use std::path::PathBuf;
use std::sync::Arc;

use kube::ResourceExt;
use zhengyun_crds::recovery::DrillPart;
use zhengyun_crds::site::DrillServer;
use zhengyun_crds::{Reason, RecoveryDrill, RecoveryPlan, ResourceGrant, SystemBackup};
use zhengyun_domain::eligibility;
use zhengyun_domain::recovery::drill::{Part, PartKind, TriedCopy, choose};

use super::super::recovery::order::{self, Refusal, Repository, refused};
use super::super::recovery::reach::{self, Ground};
use super::super::recovery::{RESTORER, Recovery};
use super::super::{Context, department_of};
use super::{database, folder};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

/// Everything that a drill rests on.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// What is tried.
    pub(super) copy: TriedCopy,
    /// The grants that its namespaces came from, each with the place of its part: the scratches are as large.
    pub(super) sources: Vec<(usize, Arc<ResourceGrant>)>,
    /// Where its file trees go, if it holds any.
    pub(super) folder: Option<PathBuf>,
    /// The server on which its databases are made, if it holds any.
    pub(super) server: Option<DrillServer>,
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
    let mut sources = Vec::new();
    for (part, grant) in copy.grants() {
        let Some(held) = context.watches.grants.get_in(&namespace, grant) else {
            let message = format!(
                "grant {grant} of backup {} is not there any more, so nothing tells how large the scratch has to be: restore the backup into a grant with a SystemRestore",
                copy.backup
            );
            return Err(refused(Reason::GrantNotFound, message));
        };
        sources.push((part, held));
    }
    let folder = copy.file_bytes().map(|_| folder::needed(context, drill)).transpose()?;
    let server = if copy.has_database() { Some(database::needed(context, drill)?) } else { None };
    let Some(backend) = reach::backend_of(context, &spec.store) else {
        return Err(Refusal::Waits(format!("store {} is not registered here any more: register it again", spec.store)));
    };
    Ok(Prepared {
        copy,
        sources,
        folder,
        server,
        repository: Repository {
            department,
            key: plan.spec.encryption.secret_name.clone(),
            store: spec.store.clone(),
            backend,
        },
    })
}

/// Where one part of a drill goes.
pub(super) struct Target<'a> {
    /// The scratch of a namespace, once it is in service.
    pub(super) ground: Option<&'a Ground>,
    /// What was written down of the part.
    pub(super) told: &'a DrillPart,
    /// Site of the drill.
    pub(super) site: &'a str,
}

/// What the process of one part of a drill is told, or what it waits for.
pub(super) async fn task(
    context: &Context,
    recovery: &Recovery,
    prepared: &Prepared,
    part: &Part,
    target: &Target<'_>,
) -> Result<Result<Task, String>, ReconcileError> {
    let Prepared { copy, repository, .. } = prepared;
    let command = match part.kind {
        PartKind::Namespace { .. } => "restore",
        PartKind::Files { .. } => "restore-files",
        PartKind::Database => "restore-database",
    };
    let mut task = match repository.task(context, recovery, RESTORER, command).await? {
        Ok(task) => task,
        Err(message) => return Ok(Err(message)),
    };
    if let Err(message) = repository.trust(context, &mut task).await? {
        return Ok(Err(message));
    }
    task.option("--snapshot", &copy.snapshot).option("--root", &copy.root);
    // What the cluster itself puts into a new namespace, such as the account `default`, may have been changed at the source; and what
    // a process before this one restored is not in its way.
    task.option("--source", &part.source).option("--existing", "replace");
    task.kept("--state-dir", "state").file("--outcomes", "outcomes.jsonl");
    match part.kind {
        PartKind::Namespace { .. } => {
            let Some(scratch) = target.ground else { return Ok(Err("the scratch is not in service yet".to_owned())) };
            task.text("--scratch").option("--backup", &copy.backup);
            task.option("--store-name", &repository.store).option("--department", &repository.department);
            task.option("--site", &scratch.site).option("--grant", &scratch.grant).option("--grant-uid", &scratch.uid);
            task.option("--namespace", &scratch.namespace);
            reach::credential(context, &scratch.site, &mut task).await.map(|given| given.map(|()| task))
        }
        PartKind::Files { .. } => {
            let Some(folder) = &prepared.folder else { return Ok(Err("its folder is not named any more".to_owned())) };
            if let Err(error) = folder::make(folder) {
                return Ok(Err(format!("the folder that is named for drills cannot be written to: {error}")));
            }
            task.text("--scratch").option("--target", folder.join(&part.source).to_string_lossy());
            Ok(Ok(task))
        }
        PartKind::Database => {
            let (Some(server), Some(name)) = (&prepared.server, &target.told.database) else {
                return Ok(Err("its server is not named any more".to_owned()));
            };
            task.option("--scratch", name).option("--template", &server.template).text("--without-roles");
            task.option("--attempt", target.told.attempt.to_string());
            database::tell(context, recovery, target.site, server, &mut task).await.map(|given| given.map(|()| task))
        }
    }
}
