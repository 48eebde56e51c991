//! Which backup a drill tries, and whether it can.

use kube::ResourceExt;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{
    BackupPhase, CapturedSource, CopyState, DrillPartKind, RecoveryDrill, RecoveryPlan, SourceOrigin, SystemBackup,
};

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
    /// What it holds, in the order in which it is restored.
    pub parts: Vec<Part>,
}

impl TriedCopy {
    /// The grants whose namespaces are among it, each with the place of its part.
    pub fn grants(&self) -> Vec<(usize, &str)> {
        let all = self.parts.iter().enumerate();
        all.filter_map(|(at, part)| match &part.kind {
            PartKind::Namespace { grant } => Some((at, grant.as_str())),
            PartKind::Files { .. } | PartKind::Database => None,
        })
        .collect()
    }

    /// Bytes of the file trees; none if it holds none.
    pub fn file_bytes(&self) -> Option<u64> {
        let bytes = self.parts.iter().filter_map(|part| match part.kind {
            PartKind::Files { bytes } => Some(bytes),
            PartKind::Namespace { .. } | PartKind::Database => None,
        });
        bytes.reduce(u64::saturating_add)
    }

    /// Whether a database is among it.
    pub fn has_database(&self) -> bool {
        self.parts.iter().any(|part| part.kind == PartKind::Database)
    }
}

/// One source of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub source: String,
    /// What it is.
    pub kind: PartKind,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// The namespace of a grant.
    Namespace {
        /// Grant.
        grant: String,
    },
    /// A file tree.
    Files {
        /// Bytes of its files.
        bytes: u64,
    },
    /// A PostgreSQL database.
    Database,
}

impl PartKind {
    /// As a status tells it.
    pub const fn told(&self) -> DrillPartKind {
        match self {
            Self::Namespace { .. } => DrillPartKind::Namespace,
            Self::Files { .. } => DrillPartKind::Files,
            Self::Database => DrillPartKind::Database,
        }
    }
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
    let parts = parts(plan, &name, &status.sources)?;
    let snapshot =
        status.copies.iter().find(|c| c.store == *store).and_then(|c| c.snapshot.clone()).unwrap_or_default();
    Ok(TriedCopy {
        backup: name,
        snapshot,
        root: status.manifest.map(|manifest| manifest.root).unwrap_or_default(),
        parts,
    })
}

/// What a backup holds, the namespaces first: they take longest to have room, and nothing else needs it.
fn parts(plan: &RecoveryPlan, backup: &str, sources: &[CapturedSource]) -> Result<Vec<Part>, Fault> {
    let mut parts = Vec::new();
    for source in sources {
        // A backup that does not say what it read is of before that was written down: then the plan tells.
        let planned =
            || plan.spec.sources.iter().find(|planned| planned.name == source.name).map(|planned| &planned.origin);
        let kind = match source.origin.as_ref().or_else(planned) {
            Some(SourceOrigin::Namespace(from)) => PartKind::Namespace { grant: from.grant.clone() },
            Some(SourceOrigin::Files(_)) => PartKind::Files { bytes: source.bytes.try_into().unwrap_or_default() },
            Some(SourceOrigin::Item(_) | SourceOrigin::Database(_)) => PartKind::Database,
            None => {
                return Err(cannot(format!(
                    "backup {backup} does not say what its source {} is, and plan {} does not name it any more: ask for a backup first",
                    source.name,
                    plan.name_any()
                )));
            }
        };
        parts.push(Part { source: source.name.clone(), kind });
    }
    if parts.is_empty() {
        return Err(cannot(format!("backup {backup} holds no source: ask for a backup first")));
    }
    parts.sort_by_key(|part| !matches!(part.kind, PartKind::Namespace { .. }));
    Ok(parts)
}

fn cannot(message: String) -> Fault {
    fault(Reason::ActionNotAvailable, message)
}
