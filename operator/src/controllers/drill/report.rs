//! What a drill says of itself.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use zhengyun_crds::recovery::{Difference, DrillPhase, Progress, RecoveryDrill, RecoveryDrillStatus, Scratch};
use zhengyun_crds::{ConditionType as C, Reason, ResourceGrant};
use zhengyun_domain::condition::{ConditionSet, cut};
use zhengyun_domain::recovery::drill::{Report, add, measured_rto, part_at_work, part_duration};
use zhengyun_domain::recovery::duration;
use zhengyun_domain::recovery::run::{Fault, Standing};

/// How many differences are named.
const NAMED: usize = 32;

/// The status of a drill that waits.
pub(super) fn waits(
    drill: &RecoveryDrill,
    reason: Reason,
    message: &str,
    for_a_person: bool,
    now: Timestamp,
) -> RecoveryDrillStatus {
    let before = drill.status.clone().unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, drill.metadata.generation, now);
    if for_a_person {
        set.stalled(reason, message);
    } else {
        set.reconciling(reason, message);
    }
    let conditions = set.finish();
    RecoveryDrillStatus {
        observed_generation: drill.metadata.generation.unwrap_or_default(),
        phase: before.phase.or(Some(DrillPhase::Pending)),
        conditions,
        ..before
    }
}

/// The status of a drill in a phase.
pub(super) fn moved(
    drill: &RecoveryDrill,
    phase: DrillPhase,
    fault: Option<&Fault>,
    now: Timestamp,
) -> RecoveryDrillStatus {
    let before = drill.status.clone().unwrap_or_default();
    let over = phase.is_terminal() || matches!(phase, DrillPhase::Abandoning | DrillPhase::Cancelling);
    let mut set = ConditionSet::new(&before.conditions, drill.metadata.generation, now);
    let message = match (fault, phase) {
        (Some(fault), _) if !over => format!("{}; it is taken up again", fault.message),
        (_, DrillPhase::Removing) => "everything was restored and is equal; the scratch is being removed".to_owned(),
        (_, DrillPhase::Abandoning | DrillPhase::Cancelling) => {
            format!("it is {}; the scratch is being removed", phase.as_str().to_lowercase())
        }
        _ => format!("it is {}", phase.as_str().to_lowercase()),
    };
    set.reconciling(Reason::InProgress, message);
    let conditions = set.finish();
    // The first reason stays: what a removal meets is not why the drill did not pass.
    let failure = before.failure.clone().or_else(|| fault.filter(|_| over).map(Fault::failure));
    RecoveryDrillStatus {
        observed_generation: drill.metadata.generation.unwrap_or_default(),
        phase: Some(phase),
        failure,
        conditions,
        ..before
    }
}

/// Writes down that room is taken, and since when the recovery time runs. A drill without a namespace holds no grant: nothing was made yet.
pub(super) fn begun(status: &mut RecoveryDrillStatus, held: &[(usize, ResourceGrant)], now: Timestamp) {
    let recorded = held.iter().filter_map(|(_, held)| held.metadata.creation_timestamp.as_ref().map(|time| time.0));
    // An operator that died in between made the time longer, never shorter.
    status.started_at.get_or_insert(Time(recorded.fold(now, Timestamp::min)));
    for (at, held) in held {
        if let Some(part) = status.parts.get_mut(*at) {
            part.scratch = Some(Scratch {
                grant: held.name_any(),
                namespace: held.status.as_ref().and_then(|s| s.namespace.clone()).unwrap_or_default(),
            });
        }
    }
}

/// Writes how far a process is.
pub(super) fn progress(status: &mut RecoveryDrillStatus, standing: &Standing, now: Timestamp) {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let before = status.progress.clone().unwrap_or_default();
    let (items, bytes) = (count(standing.items), count(standing.bytes));
    if (items, bytes) == (before.objects_done, before.bytes_done) {
        return;
    }
    status.progress =
        Some(Progress { objects_done: items, bytes_done: bytes, at: Some(Time(now)), ..Progress::default() });
    status.summary = cut(format!("{}: {items} items", standing.phase), 250);
}

/// Takes over what was compared of the part that is at work. The time stops here if it is the last: it was restored, and it was looked at.
pub(super) fn compared(status: &mut RecoveryDrillStatus, report: &Report, equal: bool, now: Timestamp) {
    let at = part_at_work(status);
    let source = status.parts.get(at).map(|part| part.source.clone()).unwrap_or_default();
    let took = part_duration(status, at, now).map(duration::print);
    if let Some(part) = status.parts.get_mut(at).filter(|_| equal) {
        part.restored_at = Some(Time(now));
        part.duration = took;
    }
    status.restored_at = Some(Time(now));
    status.difference_count = report.differences();
    status.differences = report
        .failures
        .iter()
        .take(NAMED)
        .map(|failure| Difference {
            source: source.clone(),
            path: cut(failure.subject.clone(), 500),
            message: cut(format!("{}: {}", failure.reason, failure.message), 500),
        })
        .collect();
    let coverage = status.coverage.get_or_insert_default();
    add(coverage, &report.coverage);
    status.summary = cut(
        format!(
            "{} of {} objects and files equal, {} bytes; {} come with a grant",
            coverage.objects_compared, coverage.objects_total, coverage.bytes_compared, coverage.objects_delivered
        ),
        250,
    );
}

/// The scratch cannot be removed as it stands.
pub(super) fn held_up(drill: &RecoveryDrill, status: &mut RecoveryDrillStatus, why: &str, now: Timestamp) {
    let before = drill.status.clone().unwrap_or_default();
    let message = cut(format!("the scratch stands in the way: {why}; it is tried again until it is gone"), 2000);
    let mut set = ConditionSet::new(&before.conditions, drill.metadata.generation, now);
    set.reconciling(Reason::RetainedStorage, message.clone());
    set.yes(C::RetainedStorage, Reason::RetainedStorage, message);
    status.conditions = set.finish();
}

/// Databases of it are being removed; or cannot be as it stands, and why.
pub(super) fn removing(drill: &RecoveryDrill, why: Option<&str>, now: Timestamp) -> RecoveryDrillStatus {
    let mut status = drill.status.clone().unwrap_or_default();
    match why {
        Some(why) => held_up(drill, &mut status, why, now),
        None => status = waits(drill, Reason::InProgress, "the databases of the scratch are being removed", false, now),
    }
    status
}

/// What stands on a drill that came to its end.
pub(super) fn end(drill: &RecoveryDrill, status: &mut RecoveryDrillStatus, now: Timestamp) {
    let before = drill.status.clone().unwrap_or_default();
    status.finished_at.get_or_insert(Time(now));
    status.measured_rto = measured_rto(status).map(duration::print);
    let failure = status.failure.as_ref().map(|f| f.message.clone()).unwrap_or_default();
    let why = status.failure.as_ref().and_then(|f| Reason::ALL.iter().find(|r| r.as_str() == f.reason)).copied();
    let gone = if status.started_at.is_some() { "nothing is left of its scratch" } else { "nothing was made" };
    let mut set = ConditionSet::new(&before.conditions, drill.metadata.generation, now);
    match status.phase {
        Some(DrillPhase::Passed) => {
            let rto = status.measured_rto.as_ref().map_or("not measured", |rto| rto.as_str());
            set.yes(
                C::Ready,
                Reason::AsIntended,
                format!("restored, compared equal and removed; recovery time {rto}; {}", status.summary),
            );
        }
        Some(DrillPhase::Skipped) => {
            set.no(C::Ready, Reason::DrillSkipped, format!("there was no room and {gone}: {failure}"));
        }
        Some(DrillPhase::Cancelled) => {
            let because = if failure.is_empty() { String::new() } else { format!(": {failure}") };
            set.no(C::Ready, Reason::Cancelled, format!("cancelled, and {gone}{because}"));
        }
        _ => {
            set.no(C::Ready, why.unwrap_or(Reason::RunFailed), format!("it did not pass, and {gone}: {failure}"));
        }
    }
    set.yes(C::Complete, Reason::AsIntended, "nothing changes any more");
    status.conditions = set.finish();
    if status.phase != Some(DrillPhase::Passed) {
        status.summary = cut(if failure.is_empty() { gone.to_owned() } else { failure }, 250);
    }
}
