//! What a status keeps of what movers say: evidence, findings, how far a copy is, and since when it is in step.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use zhengyun_crds::migration::{
    EvidenceKind, EvidenceRecord, FreezeStrength, MigrationFinding, MigrationVerb, Party, Severity,
    SystemMigrationStatus, WorkloadStatus,
};

use super::follow::FOLLOWING;
use super::{finding, forecast};
use crate::condition::cut;
use crate::digest;
use crate::recovery::run::{Sighting, Standing};

/// Differences that become findings.
const DIFFERENCES: usize = 10;

/// What is heard of a workload at one look.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Workload.
    pub name: String,
    /// What is done at the place where the migration stands, and the process that does it.
    pub verb: Option<(MigrationVerb, Sighting)>,
    /// The process that copies and follows the source; none where there is none.
    pub follower: Option<Sighting>,
}

/// What else a look goes by.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Now.
    pub now: Timestamp,
    /// Epoch of the present turn.
    pub epoch: i64,
    /// How far a target may be behind.
    pub max_lag: SignedDuration,
}

/// Which evidence the report of a verb is.
const fn proves(verb: MigrationVerb) -> Option<EvidenceKind> {
    use {EvidenceKind as K, MigrationVerb as V};
    match verb {
        V::Assess => Some(K::Assessment),
        V::Compare => Some(K::Comparison),
        V::Freeze => Some(K::SourceClosed),
        V::Finish => Some(K::Finished),
        V::Close => Some(K::TargetClosed),
        V::Prepare | V::Copy | V::Open | V::Thaw | V::Drop => None,
    }
}

/// Writes evidence down: one piece of each kind for each workload, the newest. What is known already keeps its moment.
pub fn evidence(all: &mut Vec<EvidenceRecord>, kind: EvidenceKind, workload: &str, digest: String, now: Timestamp) {
    if let Some(known) = all.iter_mut().find(|known| known.kind == kind && known.workload == workload) {
        if known.digest != digest {
            (known.digest, known.at) = (digest, Time(now));
        }
        return;
    }
    all.push(EvidenceRecord { kind, workload: workload.to_owned(), digest, at: Time(now) });
}

/// Writes down what is heard of the workloads.
pub fn noted(before: &SystemMigrationStatus, heard: &[Heard], look: Look) -> SystemMigrationStatus {
    let mut status = before.clone();
    status.workloads.retain(|known| heard.iter().any(|heard| heard.name == known.name));
    for heard in heard {
        if !status.workloads.iter().any(|known| known.name == heard.name) {
            status.workloads.push(WorkloadStatus { name: heard.name.clone(), ..WorkloadStatus::default() });
        }
        if let Some((verb, sighting)) = &heard.verb {
            reported(&mut status, &heard.name, *verb, sighting, look);
        }
        if let Some(workload) = status.workloads.iter_mut().find(|known| known.name == heard.name) {
            told(workload, heard, look);
        }
    }
    let all: Vec<_> = status.workloads.iter().map(|workload| &workload.progress).collect();
    status.progress = forecast::together(before.progress.percent, &all);
    status.time_left = forecast::shown(&status.progress).map(|text| cut(text, 60));
    status
}

fn reported(status: &mut SystemMigrationStatus, name: &str, verb: MigrationVerb, sighting: &Sighting, look: Look) {
    let report = match sighting {
        Sighting::Done(report) => report,
        // What was found is told although, or because, the process could not go on.
        Sighting::Failed(fault) => match &fault.report {
            Some(report) => report.as_ref(),
            None => return,
        },
        Sighting::Absent | Sighting::Running { .. } | Sighting::Lost => return,
    };
    if matches!(verb, MigrationVerb::Assess | MigrationVerb::Prepare) {
        let all = finding::read(name, verb, report).unwrap_or_else(|problem| vec![unread(name, verb, &problem)]);
        found(status, name, verb, all);
    }
    if matches!(verb, MigrationVerb::Compare | MigrationVerb::Finish) {
        found(status, name, verb, differences(name, verb, report));
    }
    if let (Some(kind), Sighting::Done(_)) = (proves(verb), sighting) {
        let digest = digest::of(&json!({ "epoch": look.epoch, "report": report }));
        evidence(&mut status.evidence, kind, name, digest, look.now);
    }
}

fn found(status: &mut SystemMigrationStatus, name: &str, verb: MigrationVerb, found: Vec<MigrationFinding>) {
    let all = finding::merged(&status.findings, name, verb, found);
    status.finding_count = i64::try_from(all.len()).unwrap_or(i64::MAX);
    status.findings = all.into_iter().take(finding::SHOWN).collect();
}

/// The first differences of both sides. They stop what compared; as findings they say where to look, and are gone with the next comparison.
fn differences(workload: &str, verb: MigrationVerb, report: &Value) -> Vec<MigrationFinding> {
    let first = report.get("differences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let shown = |difference: &Value| MigrationFinding {
        workload: workload.to_owned(),
        found_by: verb,
        code: "Differs".to_owned(),
        severity: Severity::Warning,
        subject: cut(difference.as_str().map_or_else(|| difference.to_string(), str::to_owned), 500),
        evidence: "both sides were read and are not equal here".to_owned(),
        remedy: "find out who wrote to the target, or what the source changed meanwhile, then raise spec.round"
            .to_owned(),
        owner: Party::Provider,
    };
    first.iter().take(DIFFERENCES).map(shown).collect()
}

/// A report that is not understood says nothing good.
fn unread(workload: &str, verb: MigrationVerb, problem: &str) -> MigrationFinding {
    MigrationFinding {
        workload: workload.to_owned(),
        found_by: verb,
        code: "ReportUnreadable".to_owned(),
        severity: Severity::Blocking,
        subject: workload.to_owned(),
        evidence: cut(problem.to_owned(), 1_000),
        remedy: "use a mover and an operator of one version".to_owned(),
        owner: Party::Provider,
    }
}

fn told(workload: &mut WorkloadStatus, heard: &Heard, look: Look) {
    if let Some((verb, sighting)) = &heard.verb {
        workload.verb = Some(*verb);
        if let Sighting::Done(report) = sighting {
            closed(workload, *verb, report);
        }
    } else if heard.follower.is_some() {
        workload.verb = Some(MigrationVerb::Copy);
    }
    let failed = [heard.verb.as_ref().map(|(_, sighting)| sighting), heard.follower.as_ref()];
    workload.failure = failed.into_iter().flatten().find_map(|sighting| match sighting {
        Sighting::Failed(fault) => Some(fault.failure()),
        _ => None,
    });
    let Some(follower) = &heard.follower else { return };
    let Sighting::Running { standing, .. } = follower else {
        workload.in_step_since = None;
        return;
    };
    let reading = reading(standing, look.now);
    let in_step = reading.complete && reading.lag.is_none_or(|lag| lag <= look.max_lag);
    workload.in_step_since = match workload.in_step_since.take() {
        _ if !in_step => None,
        since => since.or(Some(Time(look.now))),
    };
    let known = &workload.progress;
    let same = known.percent == 100
        && known.bytes_done >= reading.bytes_done
        && known.lag == reading.lag.map(crate::recovery::duration::print);
    // Whatever follows and stands still is not written down each time it is looked at.
    if !(reading.complete && same) {
        workload.progress = forecast::next(known, &reading);
    }
}

fn closed(workload: &mut WorkloadStatus, verb: MigrationVerb, report: &Value) {
    let text = |name: &str| match report.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    if let Some(position) = text("position") {
        workload.position = Some(cut(position, 120));
    }
    if verb == MigrationVerb::Freeze {
        workload.freeze_strength = text("strength").and_then(|said| {
            [FreezeStrength::Proven, FreezeStrength::Declared].into_iter().find(|known| known.as_str() == said)
        });
    }
}

fn reading(standing: &Standing, now: Timestamp) -> forecast::Reading {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let complete = standing.phase == FOLLOWING;
    forecast::Reading {
        second: now.as_second(),
        objects_done: count(standing.items),
        objects_total: count(standing.total_items.unwrap_or(standing.items)),
        bytes_done: count(standing.bytes),
        bytes_total: count(standing.total_bytes.unwrap_or(standing.bytes)),
        complete,
        lag: standing.lag_seconds.filter(|_| complete).map(|seconds| SignedDuration::from_secs(count(seconds))),
    }
}
