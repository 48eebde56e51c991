//! What a status keeps of what movers say, and what people sign of it.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use zhengyun_crds::migration::{
    EvidenceKind as K, EvidenceRecord, MigrationStage as M, MigrationVerb as V, Party, Severity, Signature,
    SignedPurpose, SystemMigrationSpec, SystemMigrationStatus,
};
use zhengyun_domain::migration::evidence::{Subject, Terms};
use zhengyun_domain::migration::follow::FOLLOWING;
use zhengyun_domain::migration::machine::Place;
use zhengyun_domain::migration::noted::{Heard, Look, noted};
use zhengyun_domain::migration::sealed::{Ground, digest, judged, seal};
use zhengyun_domain::migration::window::Open;
use zhengyun_domain::recovery::run::{Fault, Sighting, Standing};

use crate::at;

const NOW: &str = "2027-03-05T15:00:00Z";

fn look(moment: &str) -> Look {
    Look { now: at(moment), epoch: 4, max_lag: SignedDuration::from_mins(1) }
}

fn heard(verb: Option<(V, Sighting)>, follower: Option<Sighting>) -> Vec<Heard> {
    vec![Heard { name: "scans".to_owned(), verb, follower }]
}

fn copying(phase: &str, bytes: u64, lag: Option<u64>) -> Sighting {
    let standing = Standing {
        phase: phase.to_owned(),
        items: 3,
        bytes,
        total_items: Some(10),
        total_bytes: Some(1_000),
        lag_seconds: lag,
        ..Standing::default()
    };
    Sighting::Running { standing, silent_seconds: 0 }
}

fn found(code: &str) -> Value {
    json!({ "findings": [{ "code": code, "severity": "Blocking", "subject": "s", "evidence": "e", "remedy": "r" }] })
}

/// A mover that reports and fails is heard too, and what it finds anew takes the place of what it found before.
#[test]
fn findings_of_a_process_that_failed_are_kept() {
    let failed = |report: Value| {
        Sighting::Failed(Fault {
            reason: "FindingsBlock".to_owned(),
            report: Some(Box::new(report)),
            ..Fault::default()
        })
    };
    let first =
        noted(&SystemMigrationStatus::default(), &heard(Some((V::Prepare, failed(found("NoRoom")))), None), look(NOW));
    assert_eq!((first.findings[0].code.as_str(), first.findings[0].severity), ("NoRoom", Severity::Blocking));
    assert_eq!(first.findings[0].owner, Party::Provider);
    assert_eq!(first.workloads[0].failure.as_ref().unwrap().reason, "FindingsBlock");
    assert!(first.evidence.is_empty(), "what failed proves nothing");
    let mended = noted(&first, &heard(Some((V::Prepare, Sighting::Done(json!({ "findings": [] })))), None), look(NOW));
    assert_eq!((mended.finding_count, mended.findings.len()), (0, 0));
    let unread = noted(&mended, &heard(Some((V::Assess, Sighting::Done(json!({ "findings": 3 })))), None), look(NOW));
    assert_eq!(unread.findings[0].code, "ReportUnreadable");
}

/// Where both sides differ stands among the findings, and stops nothing once they are compared anew.
#[test]
fn differences_are_findings_until_both_sides_are_compared_again() {
    let report =
        json!({ "equal": false, "differences": [{ "path": "a/b", "what": "content" }, "public.entry: 3 rows"] });
    let fault = Fault { reason: "NotEqual".to_owned(), report: Some(Box::new(report)), ..Fault::default() };
    let failed = heard(Some((V::Finish, Sighting::Failed(fault))), None);
    let first = noted(&SystemMigrationStatus::default(), &failed, look(NOW));
    let shown: Vec<_> = first.findings.iter().map(|f| (f.code.as_str(), f.severity, f.subject.as_str())).collect();
    let path = "{\"path\":\"a/b\",\"what\":\"content\"}";
    assert_eq!(shown, [("Differs", Severity::Warning, "public.entry: 3 rows"), ("Differs", Severity::Warning, path)]);
    let equal = heard(Some((V::Finish, Sighting::Done(json!({ "equal": true, "differences": [] })))), None);
    assert!(noted(&first, &equal, look(NOW)).findings.is_empty());
}

/// Evidence keeps its moment while it is looked at again and again, and is another one under another epoch.
#[test]
fn evidence_is_written_once_and_of_its_turn() {
    let done = || heard(Some((V::Compare, Sighting::Done(json!({ "equal": true })))), None);
    let first = noted(&SystemMigrationStatus::default(), &done(), look(NOW));
    let again = noted(&first, &done(), look("2027-03-05T16:00:00Z"));
    assert_eq!(first.evidence, again.evidence);
    let turn = noted(&first, &done(), Look { epoch: 5, ..look("2027-03-05T16:00:00Z") });
    assert_eq!(turn.evidence.len(), 1);
    assert_ne!(turn.evidence[0].digest, first.evidence[0].digest);
    assert_eq!(turn.evidence[0].at, Time(at("2027-03-05T16:00:00Z")));
}

#[test]
fn a_target_is_in_step_while_it_follows_closely_enough() {
    let before = SystemMigrationStatus::default();
    let copies = noted(&before, &heard(None, Some(copying("copying", 400, Some(5)))), look(NOW));
    assert_eq!((copies.workloads[0].in_step_since.is_some(), copies.progress.percent), (false, 40));
    assert_eq!(copies.progress.lag, None, "what still copies is not behind by seconds");
    let follows = noted(&copies, &heard(None, Some(copying(FOLLOWING, 1_000, Some(12)))), look(NOW));
    assert_eq!(follows.workloads[0].in_step_since, Some(Time(at(NOW))));
    assert_eq!((follows.progress.percent, follows.progress.lag.as_ref().unwrap().as_str()), (100, "12s"));
    let later = noted(&follows, &heard(None, Some(copying(FOLLOWING, 1_000, Some(12)))), look("2027-03-05T15:30:00Z"));
    assert_eq!(later, follows, "what stands still is not written down at each look");
    let behind = noted(&later, &heard(None, Some(copying(FOLLOWING, 1_000, Some(61)))), look(NOW));
    assert_eq!(behind.workloads[0].in_step_since, None);
    let gone = noted(&later, &heard(None, Some(Sighting::Lost)), look(NOW));
    assert_eq!((gone.workloads[0].in_step_since.is_none(), gone.progress.percent), (true, 100));
}

fn spec(signatures: Vec<Signature>) -> SystemMigrationSpec {
    let mut spec: SystemMigrationSpec = serde_json::from_value(json!({
        "system": "s", "room": "r", "strategy": "Rehost", "grant": "g", "recoveryPlan": "p",
        "workloads": [{ "name": "scans", "source": { "files": { "root": "a" } },
                        "target": { "files": { "site": "h", "root": "b", "subpath": "" } } }],
        "cutover": { "downtimeBudget": "5m", "approvers": ["wang"], "rollbackPlan": "open it again" },
        "signers": { "department": ["wang"], "authority": ["bao"], "provider": ["zhao"] }
    }))
    .unwrap();
    spec.signatures = signatures;
    spec
}

fn ground(spec: &SystemMigrationSpec, stage: M) -> Ground<'_> {
    Ground {
        subject: Subject { uid: "u", round: 0 },
        at: Place::at(stage),
        terms: Terms::of(spec),
        window: Some(Open { start: at("2027-03-05T14:00:00Z"), end: at("2027-03-05T22:00:00Z") }),
        trial: SignedDuration::from_hours(24),
        backup: Some("root"),
        now: at(NOW),
    }
}

/// What runs on trial is signed for once that is over, and with nothing that was signed for a trial before.
#[test]
fn the_acceptance_is_offered_once_the_trial_is_over() {
    let spec = spec(Vec::new());
    let mut status = SystemMigrationStatus {
        traffic_admitted_at: Some(Time(at("2027-03-04T15:00:01Z"))),
        ..SystemMigrationStatus::default()
    };
    let before = "sha256:of the trial before".to_owned();
    status.evidence =
        vec![EvidenceRecord { kind: K::Acceptance, workload: String::new(), digest: before, at: Time(at(NOW)) }];
    seal(&mut status, &ground(&spec, M::ParallelRun));
    assert_eq!(digest(&status.evidence, K::Acceptance), None, "a second is left");
    assert!(digest(&status.evidence, K::Rollback).is_some(), "the way back can be signed all the time");
    seal(&mut status, &Ground { now: at("2027-03-05T15:00:01Z"), ..ground(&spec, M::ParallelRun) });
    assert!(digest(&status.evidence, K::Acceptance).is_some_and(|digest| digest.len() == 71));
}

/// What is signed is made where it can be signed, and what was signed stays signed when later evidence comes.
#[test]
fn what_was_signed_stays_signed() {
    let admitted = Some(Time(at("2027-03-01T15:00:00Z")));
    let mut status = SystemMigrationStatus { traffic_admitted_at: admitted, ..SystemMigrationStatus::default() };
    let unsigned = spec(Vec::new());
    seal(&mut status, &ground(&unsigned, M::Planned));
    assert!(status.evidence.is_empty(), "there is nothing to sign yet");
    seal(&mut status, &ground(&unsigned, M::ParallelRun));
    let accepted = digest(&status.evidence, K::Acceptance).unwrap().to_owned();
    let sign = |party, by: &str| Signature {
        purpose: SignedPurpose::Acceptance,
        party,
        by: by.to_owned(),
        digest: accepted.clone(),
    };
    let all = vec![sign(Party::Department, "wang"), sign(Party::Authority, "bao"), sign(Party::Provider, "zhao")];
    assert!(judged(&spec(all[..2].to_vec()), &mut status, true, at(NOW)).acceptance.is_err());
    assert!(judged(&spec(all.clone()), &mut status, true, at(NOW)).acceptance.is_ok());
    let before = status.signatures.clone();
    assert_eq!(before.len(), 3);
    // The source is proven closed once more, and the API server's guards are away for a while.
    status =
        noted(&status, &heard(Some((V::Freeze, Sighting::Done(json!({ "strength": "Proven" })))), None), look(NOW));
    seal(&mut status, &ground(&unsigned, M::Accepted));
    assert_eq!(digest(&status.evidence, K::Acceptance), Some(accepted.as_str()));
    assert!(judged(&spec(all.clone()), &mut status, false, at("2027-03-06T15:00:00Z")).acceptance.is_ok());
    assert_eq!(status.signatures, before);
    // One that came while nothing guarded does not count.
    let mut fresh = SystemMigrationStatus { signatures: Vec::new(), ..status };
    assert!(judged(&spec(all.clone()), &mut fresh, false, at(NOW)).acceptance.is_err());
    assert_eq!(fresh.refused_signatures.len(), 3);
    // Nor later, when something guards again: anybody could have written it.
    for _ in 0..2 {
        assert!(judged(&spec(all.clone()), &mut fresh, true, at(NOW)).acceptance.is_err());
        assert!(fresh.refused_signatures.iter().all(|one| one.reason == "NotGuarded" && one.digest == accepted));
    }
    // In another round there is another digest, and the same people sign it.
    let again = Ground { subject: Subject { uid: "u", round: 1 }, ..ground(&unsigned, M::ParallelRun) };
    seal(&mut fresh, &again);
    let anew = digest(&fresh.evidence, K::Acceptance).unwrap().to_owned();
    let mut both = all.clone();
    both.extend(all.into_iter().map(|signature| Signature { digest: anew.clone(), ..signature }));
    assert!(judged(&spec(both), &mut fresh, true, at(NOW)).acceptance.is_ok());
    assert_eq!((fresh.signatures.len(), fresh.refused_signatures.len()), (3, 3));
}
