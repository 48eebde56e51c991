//! What is seen of the backups and drills of the system that moves.

use jiff::Timestamp;
use kube::ResourceExt;
use zhengyun_crds::migration::{EvidenceKind, MigrationStage, SystemMigration, SystemMigrationStatus};
use zhengyun_crds::recovery::{BackupPhase, CopyState, DrillPhase, SystemBackup};
use zhengyun_domain::migration::facts::Backups;
use zhengyun_domain::migration::machine::Place;
use zhengyun_domain::migration::noted::evidence;
use zhengyun_domain::recovery::duration;
use zhengyun_domain::recovery::place::{self, Independence};

use super::super::{Context, backup, drill};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// As decisions look at it.
    pub(super) facts: Backups,
    /// Root of the manifest of the newest verified backup.
    pub(super) root: Option<String>,
}

/// Looks for the newest verified backup, where it stands, and for the drill that rehearsed the cutover; that is written down as evidence.
pub(super) fn look(
    context: &Context,
    migration: &SystemMigration,
    status: &mut SystemMigrationStatus,
    at: Place,
    now: Timestamp,
) -> Found {
    let namespace = migration.namespace().unwrap_or_default();
    let name = &migration.spec.recovery_plan;
    let plan = context.watches.plans.get_in(&namespace, name);
    // Backups of another system prove nothing about this one.
    let Some(plan) = plan.filter(|plan| plan.spec.system == migration.spec.system) else { return Found::default() };
    let uid = plan.uid().unwrap_or_default();
    let mut found = Found::default();
    let backups = context.watches.backups.matching(|one| {
        one.namespace().as_deref() == Some(namespace.as_str()) && one.spec.plan == *name && one.spec.plan_uid == uid
    });
    let captured = |one: &SystemBackup| Some(one.status.as_ref()?.captured_at.as_ref()?.0);
    let verified = backups.iter().filter(|one| backup::phase(one) == BackupPhase::Completed && !stores(one).is_empty());
    if let Some((newest, captured)) = verified.filter_map(|one| Some((one, captured(one)?))).max_by_key(|(_, at)| *at) {
        found.facts.age = Some(now.duration_since(captured));
        found.root = newest.status.as_ref().and_then(|status| Some(status.manifest.as_ref()?.root.clone()));
        let standing: Vec<(String, place::Place)> = stores(newest)
            .into_iter()
            .filter_map(|store| {
                let site = context.watches.stores.get(&store)?.spec.site.clone();
                let at = context.watches.sites.get(&site)?;
                Some((store, place::Place::of(&site, &at.spec)))
            })
            .collect();
        found.facts.places = Independence::of(&[], &standing).independent();
    }
    if at.stage == MigrationStage::Replicating {
        rehearsed(context, migration, &uid, status, &mut found, now);
    }
    found
}

/// Stores in which a backup was read back and is equal to its manifest.
fn stores(one: &SystemBackup) -> Vec<String> {
    let copies = one.status.as_ref().map(|status| status.copies.as_slice()).unwrap_or_default();
    let verified = copies.iter().filter(|copy| copy.state == CopyState::Verified);
    verified.map(|copy| copy.store.clone()).collect()
}

/// The newest drill of the plan that began after both sides were compared and passed.
fn rehearsed(
    context: &Context,
    migration: &SystemMigration,
    plan: &str,
    status: &mut SystemMigrationStatus,
    found: &mut Found,
    now: Timestamp,
) {
    let compared: Vec<Timestamp> = status
        .evidence
        .iter()
        .filter(|record| record.kind == EvidenceKind::Comparison)
        .map(|record| record.at.0)
        .collect();
    if compared.len() < migration.spec.workloads.len() {
        return;
    }
    let since = compared.into_iter().max().unwrap_or(now);
    let (namespace, name) = (migration.namespace(), &migration.spec.recovery_plan);
    let drills = context.watches.drills.matching(|one| {
        one.namespace() == namespace
            && one.spec.plan == *name
            && one.spec.plan_uid == plan
            && drill::phase(one) == DrillPhase::Passed
    });
    let of = |one: &zhengyun_crds::RecoveryDrill| {
        let status = one.status.as_ref()?;
        let began = status.started_at.as_ref()?.0;
        let took = duration::parse("measuredRto", status.measured_rto.as_ref()?).ok()?;
        (began >= since).then(|| (began, took, status.record.as_ref().map(|record| record.digest.clone())))
    };
    if let Some((_, took, digest)) = drills.iter().filter_map(|one| of(one)).max_by_key(|(began, ..)| *began) {
        found.facts.rehearsed = Some(took);
        if let Some(digest) = digest {
            evidence(&mut status.evidence, EvidenceKind::Rehearsal, "", digest, now);
        }
    }
}
