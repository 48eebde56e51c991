//! What movers find at source and target, who mends it, and what of it stands in the way.

use serde::Deserialize;
use serde_json::Value;
use zhengyun_crds::migration::{MigrationFinding, MigrationVerb, Party, Severity};

use crate::condition::cut;

/// How many findings a status holds.
pub const SHOWN: usize = 64;

/// A finding as a mover reports it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    code: String,
    severity: Severity,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    evidence: String,
    #[serde(default)]
    remedy: String,
}

/// Reads the findings of a report.
///
/// # Errors
/// When they cannot be read, in words: a report that is not understood says nothing good.
pub fn read(workload: &str, verb: MigrationVerb, report: &Value) -> Result<Vec<MigrationFinding>, String> {
    let all = report.get("findings").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    let all: Vec<Found> = serde_json::from_value(all)
        .map_err(|e| format!("the findings of {verb} of workload {workload} cannot be read: {e}"))?;
    let shown = |found: Found| MigrationFinding {
        workload: workload.to_owned(),
        found_by: verb,
        owner: owner(verb, &found.code),
        code: cut(found.code, 60),
        severity: found.severity,
        subject: cut(found.subject, 500),
        evidence: cut(found.evidence, 1_000),
        remedy: cut(found.remedy, 500),
    };
    Ok(all.into_iter().map(shown).collect())
}

/// Who mends what a verb found: the source is the department's, the target the provider's.
fn owner(verb: MigrationVerb, code: &str) -> Party {
    let of_the_source = code.starts_with("Source");
    let of_the_target = code.starts_with("Target");
    match verb {
        MigrationVerb::Assess | MigrationVerb::Freeze if !of_the_target => Party::Department,
        _ if of_the_source => Party::Department,
        _ => Party::Provider,
    }
}

/// The findings of a status, the weightiest first: what a verb finds of a workload takes the place of what it found there before.
pub fn merged(
    before: &[MigrationFinding],
    workload: &str,
    verb: MigrationVerb,
    found: Vec<MigrationFinding>,
) -> Vec<MigrationFinding> {
    let others = before.iter().filter(|finding| finding.workload != workload || finding.found_by != verb).cloned();
    let mut all: Vec<MigrationFinding> = others.chain(found).collect();
    all.sort_by(|a, b| {
        (a.severity, &a.workload, &a.code, &a.subject).cmp(&(b.severity, &b.workload, &b.code, &b.subject))
    });
    all
}

/// The first finding that stands in the way.
pub fn first_blocking(findings: &[MigrationFinding]) -> Option<&MigrationFinding> {
    findings.iter().find(|finding| finding.severity == Severity::Blocking)
}
