//! What is signed changes with everything in it, and with nothing else.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use zhengyun_crds::migration::{EvidenceKind as K, EvidenceRecord, MigrationVerb, Severity};
use zhengyun_domain::migration::evidence::{Subject, acceptance, cutover, erasure, rollback};
use zhengyun_domain::migration::finding::{first_blocking, merged, read};

use crate::at;

const SUBJECT: Subject<'_> = Subject { uid: "uid-1", round: 0 };

fn record(kind: K, workload: &str, digest: &str, second: i64) -> EvidenceRecord {
    let at = Time(jiff::Timestamp::from_second(second).unwrap());
    EvidenceRecord { kind, workload: workload.to_owned(), digest: digest.to_owned(), at }
}

fn evidence() -> Vec<EvidenceRecord> {
    vec![
        record(K::Assessment, "books", "a", 1),
        record(K::Comparison, "books", "b", 2),
        record(K::Comparison, "scans", "c", 2),
        record(K::Rehearsal, "", "d", 3),
        record(K::SourceClosed, "books", "e", 4),
        record(K::Finished, "books", "f", 5),
    ]
}

#[test]
fn whatever_is_signed_changes_with_what_it_rests_on() {
    let window = at("2027-03-05T14:00:00Z");
    let of = |subject: Subject<'_>, window, evidence: &[EvidenceRecord]| cutover(subject, window, evidence);
    let before = of(SUBJECT, window, &evidence());
    assert!(before.starts_with("sha256:") && before.len() == 71);
    // Neither the order nor what is not part of it, nor what was found before.
    let mut same = evidence();
    same.reverse();
    same.push(record(K::Comparison, "scans", "old", 1));
    same.push(record(K::SourceClosed, "scans", "x", 9));
    assert_eq!(of(SUBJECT, window, &same), before);
    let mut newer = evidence();
    newer.push(record(K::Comparison, "scans", "new", 9));
    let mut renamed = evidence();
    renamed[2].workload = "other".to_owned();
    let others = [
        of(Subject { uid: "uid-2", round: 0 }, window, &evidence()),
        of(Subject { uid: "uid-1", round: 1 }, window, &evidence()),
        of(SUBJECT, at("2027-03-12T14:00:00Z"), &evidence()),
        of(SUBJECT, window, &newer),
        of(SUBJECT, window, &renamed),
        acceptance(SUBJECT, Some(window), "10m", &evidence()),
        acceptance(SUBJECT, Some(window), "11m", &evidence()),
        acceptance(SUBJECT, None, "10m", &evidence()),
        acceptance(SUBJECT, Some(window), "10m", &evidence()[..5]),
        rollback(SUBJECT, window),
        rollback(SUBJECT, at("2027-03-05T14:00:01Z")),
        erasure(SUBJECT, "a", "b"),
        erasure(SUBJECT, "a", "c"),
        erasure(SUBJECT, "b", "b"),
    ];
    let all: BTreeSet<&String> = others.iter().chain([&before]).collect();
    assert_eq!(all.len(), others.len() + 1, "two different things have the same digest");
}

#[test]
fn findings_are_read_owned_and_put_in_the_place_of_those_before() {
    let finding = |code: &str, severity: &str| json!({ "code": code, "severity": severity, "subject": "s", "evidence": "e", "remedy": "r" });
    let report = json!({ "findings": [finding("NoSlots", "Info"), finding("TargetTooOld", "Blocking"), finding("SourceTooBig", "Warning")] });
    let assessed = read("books", MigrationVerb::Assess, &report).unwrap();
    let owners: Vec<&str> = assessed.iter().map(|found| found.owner.as_str()).collect();
    assert_eq!(owners, ["Department", "Provider", "Department"]);
    let all = merged(&[], "books", MigrationVerb::Assess, assessed);
    let severities: Vec<Severity> = all.iter().map(|found| found.severity).collect();
    assert_eq!(severities, [Severity::Blocking, Severity::Warning, Severity::Info]);
    assert_eq!(first_blocking(&all).unwrap().code, "TargetTooOld");
    let prepared =
        read("books", MigrationVerb::Prepare, &json!({ "findings": [finding("NotEmpty", "Blocking")] })).unwrap();
    assert_eq!(prepared[0].owner.as_str(), "Provider");
    let both = merged(&all, "books", MigrationVerb::Prepare, prepared);
    assert_eq!(both.len(), 4);
    // Mended and read again: what was found before by the same verb of the same workload is gone.
    let again = merged(&both, "books", MigrationVerb::Assess, Vec::new());
    assert_eq!(again.iter().map(|found| found.code.as_str()).collect::<Vec<_>>(), ["NotEmpty"]);
    assert_eq!(merged(&both, "scans", MigrationVerb::Assess, Vec::new()).len(), 4, "another workload's");
    for wrong in [json!({ "findings": "none" }), json!({ "findings": [{ "code": "x", "severity": "Bad" }] })] {
        let message = read("books", MigrationVerb::Assess, &wrong).unwrap_err();
        assert!(message.contains("books") && message.contains("Assess"), "{message}");
    }
    assert!(read("books", MigrationVerb::Assess, &json!({})).unwrap().is_empty());
}
