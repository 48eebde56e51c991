//! Which backup a drill tries, and whether it can.

use kube::ResourceExt;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{BackupPhase, CopyState, RecoveryDrill, RecoveryPlan, SourceOrigin, SystemBackup};

use crate::recovery::run::Fault;

/// The copy that is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedCopy {
    /// Backup.
    pub backup: String,
    /// Snapshot in the store's repository.
    pub snapshot: String,
    /// Root of its manifest.
    pub root: String,
    /// The one source that it holds.
    pub source: String,
    /// Grant whose namespace that source is.
    pub grant: String,
}

fn fault(reason: Reason, message: String) -> Fault {
    Fault { reason: reason.as_str().to_owned(), message, ..Fault::default() }
}

/// Chooses: the backup that was asked for, or the newest in the store that is whole and was verified there.
///
/// `backup` names the one that was chosen before; a drill does not change its mind when a newer one comes.
///
/// # Errors
/// What keeps the copy from being tried, with the fix.
pub fn choose(
    drill: &RecoveryDrill,
    plan: &RecoveryPlan,
    backups: &[&SystemBackup],
    backup: Option<&str>,
) -> Result<TriedCopy, Fault> {
    let store = &drill.spec.store;
    if !plan.spec.copies.iter().any(|copy| copy.store == *store) {
        let stores: Vec<&str> = plan.spec.copies.iter().map(|copy| copy.store.as_str()).collect();
        return Err(fault(
            Reason::StoreNotFound,
            format!(
                "/spec/store: plan {} has no copy in store {store}: name one of {}",
                plan.name_any(),
                stores.join(", ")
            ),
        ));
    }
    let good = |found: &&&SystemBackup| {
        found.status.as_ref().is_some_and(|status| {
            status.phase == Some(BackupPhase::Completed)
                && status.copies.iter().any(|c| c.store == *store && c.state == CopyState::Verified)
        })
    };
    let wanted = backup.or(drill.spec.backup.as_deref());
    let chosen = match wanted {
        Some(name) => backups.iter().filter(|b| b.name_any() == name).find(good),
        None => backups.iter().filter(good).max_by_key(|b| {
            (b.status.as_ref().and_then(|s| s.captured_at.as_ref()).map(|at| at.0), std::cmp::Reverse(b.name_any()))
        }),
    };
    let Some(chosen) = chosen else {
        return Err(match wanted {
            Some(name) => fault(
                Reason::BackupNotVerified,
                format!(
                    "/spec/backup: plan {} has no backup {name} that is whole and was verified in store {store}: name another one, or leave spec.backup out for the newest",
                    plan.name_any()
                ),
            ),
            None => fault(
                Reason::BackupNotVerified,
                format!(
                    "/spec/store: no backup of plan {} in store {store} is whole and was verified: ask for a backup first",
                    plan.name_any()
                ),
            ),
        });
    };
    let status = chosen.status.clone().unwrap_or_default();
    let name = chosen.name_any();
    let [source] = status.sources.as_slice() else {
        let sources: Vec<&str> = status.sources.iter().map(|s| s.name.as_str()).collect();
        return Err(fault(
            Reason::ActionNotAvailable,
            format!(
                "backup {name} holds {} sources ({}): drills restore backups of one source in this version; write a plan for each",
                sources.len(),
                sources.join(", ")
            ),
        ));
    };
    // A backup that does not say what it read is of before that was written down: then the plan tells.
    let planned =
        || plan.spec.sources.iter().find(|planned| planned.name == source.name).map(|planned| &planned.origin);
    let grant = match source.origin.as_ref().or_else(planned) {
        Some(SourceOrigin::Namespace(from)) => Some(from.grant.clone()),
        _ => None,
    };
    let Some(grant) = grant else {
        return Err(fault(
            Reason::ActionNotAvailable,
            format!(
                "source {} of backup {name} is no namespace of a grant: drills restore whole namespaces in this version",
                source.name
            ),
        ));
    };
    let snapshot =
        status.copies.iter().find(|c| c.store == *store).and_then(|c| c.snapshot.clone()).unwrap_or_default();
    Ok(TriedCopy {
        backup: name,
        snapshot,
        root: status.manifest.map(|manifest| manifest.root).unwrap_or_default(),
        source: source.name.clone(),
        grant,
    })
}
