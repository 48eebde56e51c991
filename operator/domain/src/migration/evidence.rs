//! What is signed: digests over everything that the people who sign rely on.

use jiff::Timestamp;
use serde_json::{Value, json};
use zhengyun_crds::migration::{EvidenceKind, EvidenceRecord};

use crate::digest;

/// Which migration it is: a signature for one says nothing about another, nor about another round of the same.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// UID of the SystemMigration.
    pub uid: &'a str,
    /// Round that was taken up.
    pub round: i32,
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

/// What is approved: the cutover in the window that opens at a moment, on what was assessed, compared and rehearsed.
pub fn cutover(subject: Subject<'_>, window: Timestamp, evidence: &[EvidenceRecord]) -> String {
    use EvidenceKind as K;
    let rest = json!({
        "window": window.to_string(),
        "evidence": pieces(evidence, &[K::Assessment, K::Comparison, K::Rehearsal]),
    });
    sealed(K::Cutover, subject, &rest)
}

/// What is signed for after the parallel run: how the source was closed, that both sides were equal, and how long neither was open.
pub fn acceptance(
    subject: Subject<'_>,
    admitted: Option<Timestamp>,
    downtime: &str,
    evidence: &[EvidenceRecord],
) -> String {
    use EvidenceKind as K;
    let rest = json!({
        "admitted": admitted.map(|admitted| admitted.to_string()), "downtime": downtime,
        "evidence": pieces(evidence, &[K::Assessment, K::SourceClosed, K::Finished]),
    });
    sealed(K::Acceptance, subject, &rest)
}

/// What the way back loses: everything that was written at the target since traffic was admitted.
pub fn rollback(subject: Subject<'_>, admitted: Timestamp) -> String {
    sealed(EvidenceKind::Rollback, subject, &json!({ "losesSince": admitted.to_string() }))
}

/// What is erased: the source of what was accepted, and the backup that can bring it back.
pub fn erasure(subject: Subject<'_>, accepted: &str, backup: &str) -> String {
    sealed(EvidenceKind::Erasure, subject, &json!({ "accepted": accepted, "backup": backup }))
}
