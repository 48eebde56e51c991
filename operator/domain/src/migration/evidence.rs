//! What is signed: digests over everything that the people who sign rely on.

use jiff::Timestamp;
use serde_json::{Value, json};
use zhengyun_crds::migration::{Cutover, EvidenceKind, EvidenceRecord, Signers, SystemMigrationSpec, Trial};

use super::window::Open;
use crate::digest;

/// Which migration it is: a signature for one says nothing about another, nor about another round of the same.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// UID of the SystemMigration.
    pub uid: &'a str,
    /// Round that was taken up.
    pub round: i32,
}

/// What people agree to besides the evidence: the limits, and who may sign. Changed later, it is not what they signed.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// What the cutover keeps to, and who approves it.
    pub cutover: Option<&'a Cutover>,
    /// How long it is tried, and how long its source is kept.
    pub trial: &'a Trial,
    /// Who signs for each party.
    pub signers: &'a Signers,
}

impl<'a> Terms<'a> {
    /// Those of a migration.
    pub const fn of(spec: &'a SystemMigrationSpec) -> Self {
        Self { cutover: spec.cutover.as_ref(), trial: &spec.trial, signers: &spec.signers }
    }

    fn signers(&self) -> Value {
        let Signers { department, authority, provider } = self.signers;
        json!({ "department": set(department), "authority": set(authority), "provider": set(provider) })
    }

    fn cutover(&self) -> Value {
        let mut limits = json!(self.cutover);
        if let (Some(cutover), Some(approvers)) = (self.cutover, limits.get_mut("approvers")) {
            *approvers = json!(set(&cutover.approvers));
        }
        limits
    }
}

/// People, whatever their order.
fn set(people: &[String]) -> Vec<&String> {
    let mut people: Vec<&String> = people.iter().collect();
    people.sort();
    people
}

/// Pieces of evidence of some kinds, the newest of each workload, in an order that does not depend on when they were written down.
fn pieces(evidence: &[EvidenceRecord], kinds: &[EvidenceKind]) -> Vec<Value> {
    let mut newest: Vec<&EvidenceRecord> = Vec::new();
    for record in evidence.iter().filter(|record| kinds.contains(&record.kind)) {
        match newest.iter_mut().find(|known| known.kind == record.kind && known.workload == record.workload) {
            Some(known) if known.at.0 <= record.at.0 => *known = record,
            Some(_) => {}
            None => newest.push(record),
        }
    }
    newest.sort_by(|a, b| (a.kind, &a.workload).cmp(&(b.kind, &b.workload)));
    newest.into_iter().map(|record| json!([record.kind, record.workload, record.digest])).collect()
}

fn sealed(what: EvidenceKind, subject: Subject<'_>, rest: &Value) -> String {
    digest::of(&json!({ "what": what, "migration": subject.uid, "round": subject.round, "rest": rest }))
}

/// What is approved: the cutover in one window within its limits, and the trial after it, on what was assessed, compared and rehearsed.
pub fn cutover(subject: Subject<'_>, terms: Terms<'_>, window: Open, evidence: &[EvidenceRecord]) -> String {
    use EvidenceKind as K;
    let rest = json!({
        "window": [window.start.to_string(), window.end.to_string()],
        "cutover": terms.cutover(), "trial": terms.trial, "signers": terms.signers(),
        "evidence": pieces(evidence, &[K::Assessment, K::Comparison, K::Rehearsal]),
    });
    sealed(K::Cutover, subject, &rest)
}

/// What is signed for after the parallel run: how long it was tried and who signs, how the source was closed, that both sides were equal,
/// and how long neither was open.
pub fn acceptance(
    subject: Subject<'_>,
    terms: Terms<'_>,
    admitted: Option<Timestamp>,
    downtime: &str,
    evidence: &[EvidenceRecord],
) -> String {
    use EvidenceKind as K;
    let rest = json!({
        "admitted": admitted.map(|admitted| admitted.to_string()), "downtime": downtime,
        "trial": terms.trial, "signers": terms.signers(),
        "evidence": pieces(evidence, &[K::Assessment, K::SourceClosed, K::Finished]),
    });
    sealed(K::Acceptance, subject, &rest)
}

/// What the way back loses: everything that was written at the target since traffic was admitted.
pub fn rollback(subject: Subject<'_>, terms: Terms<'_>, admitted: Timestamp) -> String {
    let rest = json!({ "losesSince": admitted.to_string(), "signers": terms.signers() });
    sealed(EvidenceKind::Rollback, subject, &rest)
}

/// What is erased: the source of what was accepted, and the backup that can bring it back.
pub fn erasure(subject: Subject<'_>, terms: Terms<'_>, accepted: &str, backup: &str) -> String {
    let rest = json!({ "accepted": accepted, "backup": backup, "signers": terms.signers() });
    sealed(EvidenceKind::Erasure, subject, &rest)
}
