//! Whether another migration has the same source: closed for one and opened again for the other, it would be writable beside a target.
//!
//! Of databases the source itself keeps a record and refuses the second one. A file tree on a volume of its own holds nothing of ours.

use std::path::Path;

use kube::ResourceExt;
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{Blocker, MigrationStage, MigrationVerb, Party, SystemMigration, Workload};
use zhengyun_domain::migration::gate::blocker;

use super::place::{self, Side};
use super::{Context, stands};

/// Why a verb may not begin; none if no other migration has the source.
///
/// Whoever is cutting over or has cut over has it; of those that copy, and of two that cut over at once, the older one.
pub(super) fn held(
    context: &Context,
    migration: &SystemMigration,
    workload: &Workload,
    (source, verb): (&Side, MigrationVerb),
) -> Option<Blocker> {
    use MigrationVerb as V;
    let Side::Files(path) = source else { return None };
    if !matches!(verb, V::Prepare | V::Copy | V::Compare | V::Freeze) {
        return None;
    }
    let freezes = verb == V::Freeze;
    let has = |other: &SystemMigration| {
        if other.uid() == migration.uid() || !comes_first(other, migration, freezes) {
            return false;
        }
        let mut sources = other.spec.workloads.iter().filter_map(|one| place::source(context, other, one).ok());
        sources.any(|one| matches!(one, Side::Files(taken) if overlap(Path::new(&taken), Path::new(path))))
    };
    let other = context.watches.migrations.matching(has).into_iter().min_by_key(|one| one.name_any())?;
    let of = if other.namespace() == migration.namespace() {
        format!("migration {}", other.name_any())
    } else {
        "a migration of another department".to_owned()
    };
    let message = format!(
        "workload {}: source.files: the folder belongs to {of}, or lies in or around what does: one source is moved by one migration at a time, so end that one or leave the folder out",
        workload.name
    );
    Some(blocker(Reason::SourceRefused, Party::Department, message))
}

fn comes_first(other: &SystemMigration, own: &SystemMigration, freezes: bool) -> bool {
    use MigrationStage as M;
    let is_older = || {
        let age = |one: &SystemMigration| (one.creation_timestamp().map(|at| at.0), one.uid());
        age(other) < age(own)
    };
    match stands(other).stage {
        M::ParallelRun | M::Accepted | M::SourceFrozen | M::Retained | M::RollingBack => true,
        M::CuttingOver => !freezes || is_older(),
        M::Landing | M::FullCopy | M::Replicating | M::Rehearsed | M::ReadyForCutover => !freezes && is_older(),
        M::Discovered | M::Assessed | M::Planned | M::Scheduled | M::RolledBack | M::Erased | M::Cancelled => false,
    }
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
