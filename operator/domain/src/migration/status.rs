//! What migrations, waves and rooms say of themselves after a decision.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zhengyun_crds::migration::{
    Blocker, MachineRoomStatus, MigrationStage, MigrationWaveStatus, RollbackLoss, RoomSystemStatus,
    SystemMigrationStatus, WaveMemberStatus,
};
use zhengyun_crds::{ConditionType as C, DurationText, Reason};

use super::follow::Next;
use super::machine::{Event, Place};
use super::wave::{Hold, Key, Member};
use super::window::Open;
use super::{forecast, room};
use crate::condition::{ConditionSet, cut};
use crate::finding::Finding;
use crate::recovery::duration;

/// Longest message of a condition, in bytes.
const MESSAGE: usize = 2_000;

/// What a decision on a migration is written down with.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// What it said before.
    pub before: &'a SystemMigrationStatus,
    /// Generation of its spec.
    pub generation: Option<i64>,
    /// Wave that it belongs to.
    pub wave: Option<&'a str>,
    /// The change window that is open, or the next one.
    pub window: Option<Open>,
    /// How long what the source holds is kept.
    pub retention: SignedDuration,
    /// Now.
    pub now: Timestamp,
}

/// The status of a migration after a decision.
pub fn migration(ground: &Ground<'_>, next: &Next) -> SystemMigrationStatus {
    let mut status = ground.before.clone();
    status.observed_generation = ground.generation.unwrap_or_default();
    status.wave = ground.wave.map(str::to_owned);
    (status.stage, status.step) = (Some(next.at.stage), next.at.step);
    if next.epoch > status.epoch {
        for workload in &mut status.workloads {
            (workload.attempt, workload.failure) = (0, None);
        }
    }
    (status.epoch, status.round) = (next.epoch, next.round);
    moments(ground, next, &mut status);
    if next.at.stage == MigrationStage::Rehearsed {
        status.window = ground.window.map(|window| Time(window.start));
    }
    status.rollback = Some(loss(next.at));
    status.blocker.clone_from(&next.blocker);
    if next.event == Some(Event::RollbackBegun) {
        status.went_back.clone_from(&next.blocker);
    }
    status.conditions = conditions(ground, next, status.went_back.as_ref());
    status
}

fn moments(ground: &Ground<'_>, next: &Next, status: &mut SystemMigrationStatus) {
    let now = Time(ground.now);
    let closed_for = |status: &SystemMigrationStatus| -> Option<DurationText> {
        status.frozen_at.as_ref().map(|frozen| duration::print(ground.now.duration_since(frozen.0)))
    };
    match next.event {
        Some(Event::CutoverBegun) => {
            status.frozen_at = Some(now);
            (status.traffic_admitted_at, status.downtime, status.went_back) = (None, None, None);
        }
        Some(Event::TrafficAdmitted) => status.traffic_admitted_at = Some(now),
        // Until then nobody had either side; on the way back after traffic was admitted, somebody had the target in between.
        Some(Event::TargetOpened) => status.downtime = closed_for(status),
        Some(Event::SourceOpened) if status.traffic_admitted_at.is_none() => status.downtime = closed_for(status),
        Some(Event::Kept) => {
            status.retained_until = ground.now.checked_add(ground.retention).ok().map(Time);
        }
        Some(Event::Admitted | Event::FellBehind) => {
            for workload in &mut status.workloads {
                workload.in_step_since = None;
                workload.progress = forecast::anew(&workload.progress);
            }
        }
        _ => {}
    }
}

/// What the way back would cost.
fn loss(at: Place) -> RollbackLoss {
    if at.stage.is_past_return() {
        RollbackLoss::NoWayBack
    } else if at.goes_back_signed() {
        RollbackLoss::SinceAdmitted
    } else {
        RollbackLoss::Nothing
    }
}

fn reason_of(blocker: &Blocker) -> Reason {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == blocker.reason).unwrap_or(Reason::Pending)
}

/// Whether what is waited for comes by itself.
const fn comes_by_itself(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::OutsideWindow
            | Reason::LagTooLong
            | Reason::WaveBefore
            | Reason::WaveFull
            | Reason::FreezeDay
            | Reason::TargetNotReady
            | Reason::TrialRunning
    )
}

fn conditions(ground: &Ground<'_>, next: &Next, went_back: Option<&Blocker>) -> zhengyun_crds::condition::Conditions {
    let mut set = ConditionSet::new(&ground.before.conditions, ground.generation, ground.now);
    let at = next.at;
    match (&next.blocker, at.stage) {
        (_, MigrationStage::Erased) => {
            set.yes(
                C::Ready,
                Reason::AsIntended,
                "it is over: what the source held is erased, and the record is attached",
            );
            set.yes(C::Complete, Reason::AsIntended, "nothing changes any more");
        }
        (_, MigrationStage::Cancelled) => {
            set.no(
                C::Ready,
                Reason::Cancelled,
                "it was given up; the source is open as it was, and what was copied is what spec.copiedData says",
            );
            set.yes(C::Complete, Reason::Cancelled, "nothing changes any more");
        }
        (Some(blocker), MigrationStage::RolledBack) => {
            let why = went_back.map(|why| format!(" ({}: {})", why.reason, why.message)).unwrap_or_default();
            set.stalled(reason_of(blocker), cut(format!("{}{why}", blocker.message), MESSAGE));
        }
        (Some(blocker), _) => {
            let reason = reason_of(blocker);
            let message = format!("{at}: {} ({} resolves it)", blocker.message, blocker.owner);
            match reason {
                // The system runs as it should; what is left to decide is when there is no way back.
                Reason::SourceKept | Reason::RetentionRunning => {
                    set.yes(C::Ready, reason, cut(message, MESSAGE));
                }
                reason if comes_by_itself(reason) => {
                    set.reconciling(reason, cut(message, MESSAGE));
                }
                reason => {
                    set.stalled(reason, cut(message, MESSAGE));
                }
            }
        }
        (None, _) => {
            set.reconciling(Reason::InProgress, format!("it is {at}"));
        }
    }
    set.finish()
}

/// The status of a wave: its migrations with why they may not begin, or what is wrong with its days.
pub fn wave(
    before: &MigrationWaveStatus,
    generation: Option<i64>,
    members: &[Member],
    said: &Result<Vec<(Key, Option<Hold>)>, Vec<Finding>>,
    window: Option<Open>,
    now: Timestamp,
) -> MigrationWaveStatus {
    let count = |of: fn(MigrationStage) -> bool| {
        i64::try_from(members.iter().filter(|member| member.stage.is_some_and(of)).count()).unwrap_or(i64::MAX)
    };
    let mut set = ConditionSet::new(&before.conditions, generation, now);
    match said {
        Err(findings) => {
            let first = findings.first().map(|finding| format!("{}: {}", finding.pointer, finding.message));
            set.stalled(Reason::ScheduleInvalid, cut(first.unwrap_or_default(), MESSAGE));
        }
        Ok(said) => {
            if let Some((reason, message)) = whole(said) {
                set.stalled(reason, message);
            } else {
                let message = format!(
                    "{} of {} migrations are done, {} under way",
                    count(MigrationStage::is_cut_over),
                    members.len(),
                    count(MigrationStage::is_under_way)
                );
                set.yes(C::Ready, Reason::AsIntended, message);
            }
        }
    }
    let verdict = |member: &Member| match said {
        Ok(said) => said.iter().find(|(key, _)| *key == member.key).and_then(|(_, hold)| hold.clone()),
        // Nothing begins while its days cannot be read; whatever was let in stays in.
        Err(_) if member.admitted => None,
        Err(_) => Some((Reason::ScheduleInvalid, "the days of the wave cannot be read".to_owned())),
    };
    let told = |member: &Member| {
        let hold = verdict(member);
        WaveMemberStatus {
            department: member.key.0.clone(),
            migration: member.key.1.clone(),
            stage: member.stage,
            admitted: hold.is_none(),
            reason: hold.as_ref().map(|(reason, _)| reason.as_str().to_owned()),
            message: hold.map(|(_, message)| cut(message, 500)),
        }
    };
    MigrationWaveStatus {
        observed_generation: generation.unwrap_or_default(),
        total: i64::try_from(members.len()).unwrap_or(i64::MAX),
        done: count(MigrationStage::is_cut_over),
        running: count(MigrationStage::is_under_way),
        failed: count(|stage| stage == MigrationStage::RolledBack),
        members: members.iter().map(told).collect(),
        next_window: window.map(|window| Time(window.start)),
        window_ends: window.map(|window| Time(window.end)),
        conditions: set.finish(),
    }
}

/// What holds the whole wave and needs somebody.
fn whole(said: &[(Key, Option<Hold>)]) -> Option<Hold> {
    let needs = |reason: Reason| matches!(reason, Reason::WaveCycle | Reason::WaveStopped | Reason::Paused);
    said.iter().filter_map(|(_, hold)| hold.clone()).find(|(reason, _)| needs(*reason))
}

/// The status of a room.
pub fn room(
    before: &MachineRoomStatus,
    generation: Option<i64>,
    systems: Vec<RoomSystemStatus>,
    next: &room::Next,
    forecast: Option<jiff::civil::Date>,
    now: Timestamp,
) -> MachineRoomStatus {
    let left = systems.iter().filter(|system| !room::has_left(system)).count();
    let mut set = ConditionSet::new(&before.conditions, generation, now);
    let phase = next.phase;
    match &next.waits {
        None => {
            set.yes(C::Ready, Reason::AsIntended, format!("the room is {phase}"));
        }
        // Systems leave by their migrations; nobody has to do anything about the room itself.
        Some((Reason::SystemsLeft, message)) if !is_wiped(phase) => {
            set.reconciling(Reason::SystemsLeft, message.clone());
        }
        Some((reason, message)) => {
            set.stalled(*reason, message.clone());
        }
    }
    MachineRoomStatus {
        observed_generation: generation.unwrap_or_default(),
        phase: Some(phase),
        total: i64::try_from(systems.len()).unwrap_or(i64::MAX),
        left: i64::try_from(left).unwrap_or(i64::MAX),
        systems,
        forecast: forecast.map(|day| day.to_string()),
        conditions: set.finish(),
    }
}

const fn is_wiped(phase: zhengyun_crds::migration::RoomPhase) -> bool {
    use zhengyun_crds::migration::RoomPhase as P;
    matches!(phase, P::Sanitised | P::AssetsDisposed | P::LinksCut | P::Closed | P::Verified)
}
