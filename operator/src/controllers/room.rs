//! Machine rooms: what came of the systems that they host, and how far their closure is.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use zhengyun_crds::migration::{
    EvidenceKind, HostedSystem, MachineRoom, MachineRoomStatus, MigrationStage, RoomPhase, RoomSystemStatus,
    SignedMigration, SignedPurpose,
};
use zhengyun_crds::{SystemMigration, marks};
use zhengyun_domain::migration::room::{self, Facts, follow, forecast, has_left, outcome, remembered};
use zhengyun_domain::migration::{sealed, status};

use super::{Context, department_of, migration};
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError, Triggers};
use crate::runtime::hub::replace_status;

/// How soon a room is looked at again that took a step: there may be another one.
const SOON: Duration = Duration::from_millis(200);
/// How often it is looked at although nothing was seen to change: the forecast moves by itself.
const LOOK: Duration = Duration::from_hours(1);

/// What makes a room be looked at anew: the migrations out of it.
pub fn triggers(context: &Context) -> Triggers<MachineRoom> {
    let w = &context.watches;
    let facts = |one: &SystemMigration| (one.spec.room.clone(), stage_of(one), signed_by(one), signed_of(one));
    Triggers::own(&w.rooms).on_facts(&w.migrations, facts, |one| [ObjectRef::new(&one.spec.room)])
}

fn stage_of(one: &SystemMigration) -> MigrationStage {
    migration::stands(one).stage
}

/// The digest that was signed when the system was accepted.
fn signed_by(one: &SystemMigration) -> Option<String> {
    let status = one.status.as_ref()?;
    let digest = sealed::digest(&status.evidence, EvidenceKind::Acceptance)?;
    let signed = status.signatures.iter().any(|signature| signature.digest == digest);
    signed.then(|| digest.to_owned())
}

/// What was signed of a migration and stays when it is deleted.
fn signed_of(one: &SystemMigration) -> SignedMigration {
    let all = one.status.as_ref().map(|status| status.signatures.as_slice()).unwrap_or_default();
    let lasting = |purpose| matches!(purpose, SignedPurpose::Acceptance | SignedPurpose::Erasure);
    SignedMigration {
        migration: one.name_any(),
        uid: one.uid().unwrap_or_default(),
        signatures: all.iter().filter(|signature| lasting(signature.purpose)).cloned().collect(),
    }
}

/// Whether the room of a migration has what was signed of it; there is nothing to wait for where no room hosts the system.
pub(super) fn remembers(context: &Context, migration: &SystemMigration) -> bool {
    let namespace = migration.namespace().unwrap_or_default();
    let (department, system, signed) = (department_of(&namespace), &migration.spec.system, signed_of(migration));
    let hosts = |hosted: &HostedSystem| hosted.department == department && hosted.system == *system;
    let room = context.watches.rooms.get(&migration.spec.room);
    let stands = |room: &MachineRoom| room.metadata.deletion_timestamp.is_none() && room.spec.systems.iter().any(hosts);
    let Some(room) = room.filter(|room| stands(room)) else { return true };
    let systems = room.status.as_ref().map(|status| status.systems.as_slice()).unwrap_or_default();
    let of = |one: &&RoomSystemStatus| one.department == department && one.system == *system;
    signed.signatures.is_empty() || systems.iter().find(of).is_some_and(|one| room::remembers(one, &signed))
}

/// Brings a room up to date, one phase at a time.
///
/// # Errors
/// When the hub does not answer, or the room changed meanwhile.
pub async fn reconcile(context: Arc<Context>, room: Arc<MachineRoom>) -> Outcome {
    if room.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let after = plan(&context, &room)?;
    let phase = room.status.as_ref().and_then(|status| status.phase);
    if room.status.as_ref() != Some(&after) {
        replace_status(&context.cluster(), room.as_ref(), room.status.as_ref(), &after).await?;
    }
    if phase != after.phase {
        let said = after.phase.map_or("", RoomPhase::as_str);
        context.events.normal(room.as_ref(), "Room", "Moved", &format!("the room is {said}"));
        return Ok(Action::requeue(SOON));
    }
    Ok(Action::requeue(spread(LOOK, &room.name_any(), 0)))
}

/// What it says next.
fn plan(context: &Context, room: &MachineRoom) -> Result<MachineRoomStatus, ReconcileError> {
    let (spec, now) = (&room.spec, context.clock.now());
    let before = room.status.clone().unwrap_or_default();
    let known = |hosted: &HostedSystem| {
        before.systems.iter().find(|one| one.department == hosted.department && one.system == hosted.system)
    };
    let of = |hosted: &HostedSystem| {
        let (now, signed) = system(context, &room.name_any(), hosted);
        remembered(known(hosted), now, signed)
    };
    let systems: Vec<RoomSystemStatus> = spec.systems.iter().map(of).collect();
    let facts = Facts {
        owner: &spec.department,
        phase: before.phase.unwrap_or(RoomPhase::Registered),
        decision: spec.decision.as_ref(),
        systems: &systems,
        records: &spec.records,
    };
    let next = follow(&facts).map_err(|illegal| ReconcileError::Transient(illegal.to_string()))?;
    let left = systems.iter().filter(|system| !has_left(system)).count();
    let since = room.metadata.creation_timestamp.as_ref().map_or(now, |at| at.0);
    let day = (left > 0)
        .then(|| forecast(since, now, left, systems.len()))
        .flatten()
        .map(|moment| TimeZone::UTC.to_datetime(moment).date());
    Ok(status::room(&before, room.metadata.generation, systems, &next, day, now))
}

/// How a system stands, and what was signed of its migrations. It has left once every migration of it out of this room has come so far, so
/// the one that is behind counts.
fn system(context: &Context, room: &str, hosted: &HostedSystem) -> (RoomSystemStatus, Vec<SignedMigration>) {
    let namespace = format!("{}{}", marks::DEPARTMENT_NAMESPACE_PREFIX, hosted.department);
    let all = context.watches.migrations.matching(|one| {
        one.namespace().as_deref() == Some(namespace.as_str())
            && one.spec.system == hosted.system
            && one.spec.room == room
    });
    let found = all.iter().min_by_key(|one| {
        let stage = stage_of(one);
        (stage == MigrationStage::Cancelled, stage.is_accepted(), one.metadata.creation_timestamp.clone())
    });
    let now = RoomSystemStatus {
        department: hosted.department.clone(),
        system: hosted.system.clone(),
        outcome: outcome(found.map(|one| (stage_of(one), one.spec.strategy))),
        migration: found.map(|one| one.name_any()),
        stage: found.map(|one| stage_of(one)),
        evidence: found.and_then(|one| signed_by(one)),
        signed: Vec::new(),
    };
    (now, all.iter().map(|one| signed_of(one)).collect())
}
