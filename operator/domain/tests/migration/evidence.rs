//! What is signed changes with everything in it, and with nothing else.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_crds::migration::{EvidenceKind as K, EvidenceRecord, MigrationVerb, Severity, SystemMigrationSpec};
use zhengyun_domain::migration::evidence::{Subject, Terms, acceptance, cutover, erasure, rollback};
use zhengyun_domain::migration::finding::{first_blocking, merged, read};
use zhengyun_domain::migration::window::Open;

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
    let (spec, admitted) = (spec(), at("2027-03-05T14:00:00Z"));
    let terms = Terms::of(&spec);
    let window = Open { start: admitted, end: at("2027-03-05T22:00:00Z") };
    let of = |subject: Subject<'_>, window, evidence: &[EvidenceRecord]| cutover(subject, terms, window, evidence);
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
        of(SUBJECT, Open { start: at("2027-03-05T15:00:00Z"), ..window }, &evidence()),
        of(SUBJECT, Open { end: at("2027-03-05T23:00:00Z"), ..window }, &evidence()),
        of(SUBJECT, window, &newer),
        of(SUBJECT, window, &renamed),
        acceptance(SUBJECT, terms, Some(admitted), "10m", &evidence()),
        acceptance(SUBJECT, terms, Some(admitted), "11m", &evidence()),
        acceptance(SUBJECT, terms, None, "10m", &evidence()),
        acceptance(SUBJECT, terms, Some(admitted), "10m", &evidence()[..5]),
        rollback(SUBJECT, terms, admitted),
        rollback(SUBJECT, terms, at("2027-03-05T14:00:01Z")),
        erasure(SUBJECT, terms, "a", "b"),
        erasure(SUBJECT, terms, "a", "c"),
        erasure(SUBJECT, terms, "b", "b"),
    ];
    let all: BTreeSet<&String> = others.iter().chain([&before]).collect();
    assert_eq!(all.len(), others.len() + 1, "two different things have the same digest");
}

/// Limits and people of a migration, with one thing changed.
#[rstest]
#[case::downtime("/cutover/downtimeBudget", json!("9h"), "C")]
#[case::approvers("/cutover/approvers", json!(["wang", "friend"]), "C")]
#[case::approvals("/cutover/approvals", json!(1), "C")]
#[case::lag("/cutover/maxLag", json!("1h"), "C")]
#[case::quiet("/cutover/quiet", json!("0s"), "C")]
#[case::backup("/cutover/backupAge", json!("90d"), "C")]
#[case::probes("/cutover/probes", json!([{ "workload": "scans", "path": "a" }]), "C")]
#[case::way_back("/cutover/rollbackPlan", json!("none"), "C")]
#[case::trial("/trial/length", json!("1s"), "CA")]
#[case::retention("/trial/retention", json!("1s"), "CA")]
#[case::department("/signers/department", json!(["wang"]), "CARE")]
#[case::authority("/signers/authority", json!(["friend"]), "CARE")]
#[case::provider("/signers/provider", json!(["friend"]), "CARE")]
#[case::another_order_of_approvers("/cutover/approvers", json!(["wang", "li"]), "")]
#[case::another_order_of_signers("/signers/department", json!(["wang", "li"]), "")]
#[case::what_nobody_signs("/dependencies", json!([{ "name": "ledger" }]), "")]
fn limits_and_people_are_signed_for(#[case] pointer: &str, #[case] to: Value, #[case] expected: &str) {
    let before = spec();
    let mut after = serde_json::to_value(&before).unwrap();
    *after.pointer_mut(pointer).unwrap() = to;
    let after: SystemMigrationSpec = serde_json::from_value(after).unwrap();
    let admitted = at("2027-03-05T14:00:00Z");
    let window = Open { start: admitted, end: at("2027-03-05T22:00:00Z") };
    let all = |spec: &SystemMigrationSpec| {
        let terms = Terms::of(spec);
        [
            ('C', cutover(SUBJECT, terms, window, &evidence())),
            ('A', acceptance(SUBJECT, terms, Some(admitted), "10m", &evidence())),
            ('R', rollback(SUBJECT, terms, admitted)),
            ('E', erasure(SUBJECT, terms, "a", "b")),
        ]
    };
    let changed: String = all(&before)
        .into_iter()
        .zip(all(&after))
        .filter_map(|((kind, before), (_, after))| (before != after).then_some(kind))
        .collect();
    assert_eq!(changed, expected);
}

fn spec() -> SystemMigrationSpec {
    serde_json::from_value(json!({
        "system": "s", "room": "r", "strategy": "Rehost", "grant": "g", "recoveryPlan": "p",
        "workloads": [{ "name": "scans", "source": { "files": { "root": "a" } },
                        "target": { "files": { "site": "h", "root": "b", "subpath": "" } } }],
        "cutover": { "downtimeBudget": "5m", "approvers": ["li", "wang"], "approvals": 2, "rollbackPlan": "open it again" },
        "signers": { "department": ["li", "wang"], "authority": ["bao"], "provider": ["zhao"] }
    }))
    .unwrap()
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
