//! What people sign, made where it can be signed and kept from then on, and what came of the signatures.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zhengyun_crds::Reason;
use zhengyun_crds::migration::{
    CountedSignature, EvidenceKind, EvidenceRecord, MigrationStage, Party, RefusedSignature, Signature, SignedPurpose,
    SystemMigrationSpec, SystemMigrationStatus,
};

use super::evidence::{self, Subject, Terms};
use super::facts::Signatures;
use super::machine::Place;
use super::noted;
use super::sign::{Candidate, judge, terms};
use super::window::Open;

/// What a digest is made of, besides the evidence.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Which migration.
    pub subject: Subject<'a>,
    /// Where it stands.
    pub at: Place,
    /// What people agree to besides the evidence.
    pub terms: Terms<'a>,
    /// The window that a cutover would be approved for, or was.
    pub window: Option<Open>,
    /// Length of the parallel run.
    pub trial: SignedDuration,
    /// Root of the manifest of the newest verified backup.
    pub backup: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// Makes what can be signed at the present place. Elsewhere what was made stays, so that what was signed stays signed.
pub fn seal(status: &mut SystemMigrationStatus, ground: &Ground<'_>) {
    use MigrationStage as M;
    let (subject, terms, now) = (ground.subject, ground.terms, ground.now);
    let put = |all: &mut Vec<EvidenceRecord>, kind, digest: String| noted::evidence(all, kind, "", digest, now);
    let admitted = status.traffic_admitted_at.as_ref().map(|at| at.0);
    if matches!(ground.at.stage, M::Rehearsed | M::ReadyForCutover)
        && let Some(window) = ground.window
    {
        let digest = evidence::cutover(subject, terms, window, &status.evidence);
        put(&mut status.evidence, EvidenceKind::Cutover, digest);
    }
    if let Some(admitted) = admitted.filter(|_| ground.at.goes_back_signed()) {
        put(&mut status.evidence, EvidenceKind::Rollback, evidence::rollback(subject, terms, admitted));
    }
    // Nobody says that it runs as it should before the trial is over, nor with what was signed for a trial before this one.
    let is_over = admitted.is_some_and(|admitted| now.duration_since(admitted) >= ground.trial);
    if ground.at.stage == M::ParallelRun && !is_over {
        status.evidence.retain(|record| record.kind != EvidenceKind::Acceptance);
    }
    if ground.at.stage == M::ParallelRun && is_over {
        let downtime = status.downtime.as_ref().map(|text| text.as_str().to_owned()).unwrap_or_default();
        let digest = evidence::acceptance(subject, terms, admitted, &downtime, &status.evidence);
        put(&mut status.evidence, EvidenceKind::Acceptance, digest);
    }
    // The backup of the day it was first asked about: another one each night would leave nobody time to sign.
    if ground.at.stage == M::Retained
        && let (Some(accepted), Some(backup)) = (digest(&status.evidence, EvidenceKind::Acceptance), ground.backup)
        && digest(&status.evidence, EvidenceKind::Erasure).is_none()
    {
        let erasure = evidence::erasure(subject, terms, accepted, backup);
        put(&mut status.evidence, EvidenceKind::Erasure, erasure);
    }
}

/// The digest of what a whole migration is signed by.
pub fn digest(all: &[EvidenceRecord], kind: EvidenceKind) -> Option<&str> {
    all.iter().find(|record| record.kind == kind && record.workload.is_empty()).map(|record| record.digest.as_str())
}

/// Which evidence is signed for a purpose. Who declares that nothing writes to a source does so for one cutover.
const fn signed_by(purpose: SignedPurpose) -> EvidenceKind {
    match purpose {
        SignedPurpose::Cutover | SignedPurpose::DeclaredFreeze => EvidenceKind::Cutover,
        SignedPurpose::Acceptance => EvidenceKind::Acceptance,
        SignedPurpose::Rollback => EvidenceKind::Rollback,
        SignedPurpose::Erasure => EvidenceKind::Erasure,
    }
}

/// Whether a signature was refused because nothing held it to its author.
pub fn came_unguarded(refused: &RefusedSignature, signature: &Signature) -> bool {
    let Signature { purpose, party, by, digest } = signature;
    refused.reason == Reason::NotGuarded.as_str()
        && (refused.purpose, refused.party, &refused.by, &refused.digest) == (*purpose, *party, by, digest)
}

/// Judges all signatures of a spec and writes down which count. `guarded` tells whether the API server lets in signatures of entitled
/// people only; those that counted before count on, and those that came in while it did not never count.
pub fn judged(
    spec: &SystemMigrationSpec,
    status: &mut SystemMigrationStatus,
    guarded: bool,
    now: Timestamp,
) -> Signatures {
    let before = std::mem::take(&mut status.signatures);
    let unguarded = std::mem::take(&mut status.refused_signatures);
    let is_unguarded = |signature: &Signature| unguarded.iter().any(|known| came_unguarded(known, signature));
    let known = |purpose: SignedPurpose, party: Party, by: &str, digest: &str| {
        before.iter().find(|c| c.purpose == purpose && c.party == party && c.by == by && c.digest == digest)
    };
    let candidates: Vec<Candidate<'_>> = spec
        .signatures
        .iter()
        .map(|signature| Candidate {
            signature,
            guarded: known(signature.purpose, signature.party, &signature.by, &signature.digest).is_some()
                || (guarded && !is_unguarded(signature)),
        })
        .collect();
    let none = Vec::new();
    let approvers = spec.cutover.as_ref().map_or((none.as_slice(), 1), |cutover| {
        (cutover.approvers.as_slice(), usize::try_from(cutover.approvals).unwrap_or(usize::MAX))
    });
    let (mut counted, mut refused): (Vec<CountedSignature>, Vec<RefusedSignature>) = (Vec::new(), Vec::new());
    let mut of = |purpose: SignedPurpose| {
        let digest = digest(&status.evidence, signed_by(purpose));
        let judgement = judge(&terms(purpose, digest, &spec.signers, approvers), &candidates);
        counted.extend(judgement.counted.into_iter().map(|one| CountedSignature {
            purpose,
            party: one.party,
            by: one.by.clone(),
            digest: one.digest.clone(),
            at: known(purpose, one.party, &one.by, &one.digest).map_or(Time(now), |known| known.at.clone()),
        }));
        refused.extend(judgement.refused);
        judgement.signed
    };
    let signed = Signatures {
        cutover: of(SignedPurpose::Cutover),
        declared: of(SignedPurpose::DeclaredFreeze),
        rollback: of(SignedPurpose::Rollback),
        acceptance: of(SignedPurpose::Acceptance),
        erasure: of(SignedPurpose::Erasure),
    };
    counted.truncate(64);
    refused.truncate(64);
    (status.signatures, status.refused_signatures) = (counted, refused);
    signed
}
