//! What a restore says of itself.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde_json::Value;
use zhengyun_crds::recovery::{OutcomeCounts, Progress, RestorePhase, RunFailure, SystemRestore, SystemRestoreStatus};
use zhengyun_crds::{ConditionType as C, Reason};
use zhengyun_domain::condition::{ConditionSet, cut};
use zhengyun_domain::recovery::run::{Fault, Standing};

/// The report of the restorer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    digest: String,
    planned: OutcomeCounts,
    #[serde(default)]
    outcome: Option<OutcomeCounts>,
    #[serde(default)]
    failures: Vec<RunFailure>,
}

/// Takes over what a process that came to its end reports.
pub(super) fn done(status: &mut SystemRestoreStatus, report: &Value) -> Result<(), String> {
    let report: Report = serde_json::from_value(report.clone())
        .map_err(|e| format!("the report of the restorer cannot be read: {e}"))?;
    status.summary = cut(
        report.outcome.as_ref().map_or_else(
            || format!("would: {}", in_words(&report.planned)),
            |outcome| format!("{} of: {}", in_words(outcome), in_words(&report.planned)),
        ),
        250,
    );
    status.plan_digest = Some(report.digest);
    status.planned = Some(report.planned);
    status.outcome = report.outcome;
    status.failures = report.failures.into_iter().take(32).collect();
    Ok(())
}

fn in_words(counts: &OutcomeCounts) -> String {
    let parts = [
        (counts.created, "create"),
        (counts.replaced, "replace"),
        (counts.unchanged, "equal"),
        (counts.skipped, "skip"),
        (counts.delivered, "delivered"),
        (counts.conflicts, "conflict"),
        (counts.unserved, "unserved"),
        (counts.failed, "fail"),
    ];
    let said: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{word} {n}")).collect();
    if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }
}

/// Writes how far a process is.
pub(super) fn progress(status: &mut SystemRestoreStatus, standing: &Standing, now: Timestamp) {
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

/// The status of a restore that waits.
pub(super) fn waits(
    restore: &SystemRestore,
    reason: Reason,
    message: &str,
    for_a_person: bool,
    now: Timestamp,
) -> SystemRestoreStatus {
    let before = restore.status.clone().unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, restore.metadata.generation, now);
    if for_a_person {
        set.stalled(reason, message);
    } else {
        set.reconciling(reason, message);
    }
    let conditions = set.finish();
    SystemRestoreStatus {
        observed_generation: restore.metadata.generation.unwrap_or_default(),
        phase: before.phase.or(Some(RestorePhase::Pending)),
        conditions,
        ..before
    }
}

/// The status of a restore in a phase.
pub(super) fn moved(
    restore: &SystemRestore,
    phase: RestorePhase,
    fault: Option<&Fault>,
    now: Timestamp,
) -> SystemRestoreStatus {
    let before = restore.status.clone().unwrap_or_default();
    let mut set = ConditionSet::new(&before.conditions, restore.metadata.generation, now);
    let message = match fault {
        Some(fault) if !phase.is_terminal() => format!("{}; it is taken up again", fault.message),
        _ => format!("it is {}", phase.as_str().to_lowercase()),
    };
    set.reconciling(Reason::InProgress, message);
    let conditions = set.finish();
    let failure = fault.filter(|_| phase.is_terminal()).map(Fault::failure);
    SystemRestoreStatus {
        observed_generation: restore.metadata.generation.unwrap_or_default(),
        phase: Some(phase),
        failure: failure.or(before.failure.clone()),
        conditions,
        ..before
    }
}

/// What stands on a restore that came to its end.
pub(super) fn end(restore: &SystemRestore, status: &mut SystemRestoreStatus, now: Timestamp) {
    let before = restore.status.clone().unwrap_or_default();
    status.finished_at.get_or_insert(Time(now));
    let mut set = ConditionSet::new(&before.conditions, restore.metadata.generation, now);
    let failure = status.failure.as_ref().map(|f| f.message.clone()).unwrap_or_default();
    let why = status.failure.as_ref().and_then(|f| Reason::ALL.iter().find(|r| r.as_str() == f.reason).copied());
    let blocked = status.failures.first().map(|f| f.message.clone());
    match status.phase {
        Some(RestorePhase::Planned) => match blocked {
            None => set.yes(
                C::Ready,
                Reason::AsIntended,
                format!(
                    "nothing was written; to carry it out, make a restore with mode Execute and planDigest {}",
                    status.plan_digest.as_deref().unwrap_or_default()
                ),
            ),
            Some(first) => {
                let reason = status.failures.first().and_then(|f| Reason::ALL.iter().find(|r| r.as_str() == f.reason));
                set.no(
                    C::Ready,
                    reason.copied().unwrap_or(Reason::TargetConflict),
                    format!("nothing was written; it cannot be carried out as it stands: {first}"),
                )
            }
        },
        Some(RestorePhase::Completed) => set.yes(
            C::Ready,
            Reason::AsIntended,
            format!("everything in the plan stands at the target: {}", status.summary),
        ),
        Some(RestorePhase::Incomplete) => set.no(
            C::Ready,
            Reason::RunIncomplete,
            format!(
                "not everything in the plan stands at the target: {}; status.failures names the first",
                status.summary
            ),
        ),
        Some(RestorePhase::Refused) => {
            set.no(C::Ready, why.unwrap_or(Reason::RunFailed), format!("nothing was written: {failure}"))
        }
        Some(RestorePhase::Cancelled) => {
            set.no(C::Ready, Reason::Cancelled, "cancelled; what was written until then stays where it is")
        }
        _ => set.no(
            C::Ready,
            why.unwrap_or(Reason::RunFailed),
            format!("it broke off and may have written a part; a new restore goes on from there: {failure}"),
        ),
    };
    set.yes(C::Complete, Reason::AsIntended, "nothing changes any more");
    status.conditions = set.finish();
}
