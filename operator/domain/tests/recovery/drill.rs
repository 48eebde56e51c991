//! Which copy a drill tries, what its scratch is, and what is signed of it.

use jiff::civil::date;
use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_crds::recovery::{Coverage, RecoveryDrill, RecoveryDrillStatus, RecoveryPlan, SystemBackup};
use zhengyun_crds::{ResourceGrant, marks};
use zhengyun_domain::recovery::drill::{
    FORMAT, add, choose, measured_rto, part_at_work, part_duration, parts_left, parts_with_grant, spec, statement,
};

fn typed<T: serde::de::DeserializeOwned>(kind: &str, mut value: Value) -> T {
    value["apiVersion"] = json!("zhengyun.io/v1alpha1");
    value["kind"] = json!(kind);
    serde_json::from_value(value).unwrap()
}

fn plan() -> RecoveryPlan {
    typed(
        "RecoveryPlan",
        json!({
            "metadata": {"name": "bills", "namespace": "dept-finance", "uid": "plan-1"},
            "spec": {
                "system": "bills", "level": 1, "ceiling": "50Gi", "objectives": {"rpo": "7h", "rto": "4h"},
                "sources": [
                    {"name": "space", "origin": {"namespace": {"grant": "bills-1"}}},
                    {"name": "db", "origin": {"item": {"grant": "bills-1", "item": "db"}}},
                    {"name": "scans", "origin": {"files": {"site": "near-site", "root": "scans"}}},
                ],
                "schedule": {"cron": "0 */6 * * *"}, "retention": {"last": 6}, "copies": [{"store": "far"}],
                "encryption": {"secretName": "key-finance"},
            },
        }),
    )
}

fn drill(backup: Option<&str>, store: &str) -> RecoveryDrill {
    typed(
        "RecoveryDrill",
        json!({
            "metadata": {"name": "look", "namespace": "dept-finance", "uid": "drill-1"},
            "spec": {"plan": "bills", "planUID": "plan-1", "backup": backup, "store": store, "site": "far-site",
                "trigger": "Manual", "requestedBy": "clerk"},
        }),
    )
}

fn backup(name: &str, phase: &str, captured: &str, state: &str, sources: &[&str]) -> SystemBackup {
    let origin = |name: &str| match name {
        "space" => json!({"namespace": {"grant": "bills-1"}}),
        "other" => json!({"namespace": {"grant": "bills-2"}}),
        "db" => json!({"item": {"grant": "bills-1", "item": "db"}}),
        "papers" => json!({"files": {"site": "near-site", "root": "papers"}}),
        // Nothing is written down of these: the plan knows `scans`.
        _ => Value::Null,
    };
    let sources: Vec<Value> =
        sources.iter().map(|name| json!({"name": name, "origin": origin(name), "bytes": 1000})).collect();
    typed(
        "SystemBackup",
        json!({
            "metadata": {"name": name, "namespace": "dept-finance"},
            "spec": {"plan": "bills", "planUID": "plan-1", "trigger": "Manual", "requestedBy": "x"},
            "status": {"phase": phase, "capturedAt": captured, "sources": sources,
                "copies": [{"store": "far", "state": state, "snapshot": format!("snapshot-of-{name}")}],
                "manifest": {"root": format!("root-of-{name}"), "counter": 1, "head": "h", "algorithm": "ed25519-sha256", "key": "k"}},
        }),
    )
}

#[rstest]
// The newest that is whole and was verified, and not the ones after it.
#[case(None, None, Ok("b2"))]
// The one that was asked for, or that was chosen before a newer one came.
#[case(Some("b1"), None, Ok("b1"))]
#[case(None, Some("b1"), Ok("b1"))]
#[case(Some("b3"), None, Err("BackupNotVerified"))]
#[case(Some("b4"), None, Err("BackupNotVerified"))]
#[case(Some("b5"), None, Err("BackupNotVerified"))]
#[case(Some("another-plans"), None, Err("BackupNotVerified"))]
// What a drill cannot prove it does not try.
#[case(Some("unknown-origin"), None, Err("ActionNotAvailable"))]
fn the_copy_that_is_tried(
    #[case] asked: Option<&str>,
    #[case] before: Option<&str>,
    #[case] expected: Result<&str, &str>,
) {
    let all = [
        backup("b1", "Completed", "2026-11-26T00:00:00Z", "Verified", &["space"]),
        backup("b2", "Completed", "2026-11-26T06:00:00Z", "Verified", &["space"]),
        backup("b3", "Incomplete", "2026-11-26T07:00:00Z", "Verified", &["space"]),
        backup("b4", "Completed", "2026-11-26T08:00:00Z", "Stored", &["space"]),
        backup("b5", "Verifying", "2026-11-26T09:00:00Z", "Stored", &["space"]),
        backup("unknown-origin", "Completed", "2026-11-25T00:00:00Z", "Verified", &["old"]),
    ];
    let refs: Vec<&SystemBackup> = all.iter().collect();
    let chosen = choose(&drill(asked, "far"), &plan(), &refs, before);
    match expected {
        Ok(name) => {
            let copy = chosen.unwrap();
            assert_eq!((copy.backup.as_str(), copy.grants(), copy.file_bytes()), (name, vec![(0, "bills-1")], None));
            assert_eq!((copy.root, copy.snapshot), (format!("root-of-{name}"), format!("snapshot-of-{name}")));
        }
        Err(reason) => assert_eq!(chosen.unwrap_err().reason, reason),
    }
    let elsewhere = choose(&drill(None, "unknown"), &plan(), &refs, None).unwrap_err();
    assert!(elsewhere.reason == "StoreNotFound" && elsewhere.message.contains("name one of far"), "{elsewhere:?}");
    assert_eq!(choose(&drill(None, "far"), &plan(), &[], None).unwrap_err().reason, "BackupNotVerified");
}

#[rstest]
#[case(&["scans"], Ok("scans; []; Some(1000)"))]
// The namespaces first, the rest as it was captured.
#[case(&["scans", "space", "papers"], Ok("space scans papers; [(0, \"bills-1\")]; Some(2000)"))]
#[case(&["space", "scans", "other"], Ok("space other scans; [(0, \"bills-1\"), (1, \"bills-2\")]; Some(1000)"))]
#[case(&["scans", "db", "space"], Ok("space scans db; [(0, \"bills-1\")]; Some(1000)"))]
#[case(&["db"], Ok("db; []; None"))]
#[case(&["scans", "old"], Err("does not say what its source old is"))]
#[case(&[], Err("holds no source"))]
fn what_a_backup_of_several_sources_is_tried_as(#[case] sources: &[&str], #[case] expected: Result<&str, &str>) {
    let held = backup("b", "Completed", "2026-11-25T00:00:00Z", "Verified", sources);
    let chosen = choose(&drill(None, "far"), &plan(), &[&held], None);
    match expected {
        Ok(words) => {
            let copy = chosen.unwrap();
            assert_eq!(copy.has_database(), sources.contains(&"db"));
            let names: Vec<&str> = copy.parts.iter().map(|part| part.source.as_str()).collect();
            assert_eq!(format!("{}; {:?}; {:?}", names.join(" "), copy.grants(), copy.file_bytes()), words);
        }
        Err(words) => {
            let fault = chosen.unwrap_err();
            assert!(fault.reason == "ActionNotAvailable" && fault.message.contains(words), "{fault:?}");
        }
    }
}

#[test]
fn parts_are_tried_one_after_the_other_and_add_up() {
    let at = json!("2026-11-26T00:00:00Z");
    let status = |done: &[bool]| -> RecoveryDrillStatus {
        let part = |done: &bool| json!({"source": "s", "restoredAt": if *done { at.clone() } else { Value::Null }});
        serde_json::from_value(json!({"parts": done.iter().map(part).collect::<Vec<_>>()})).unwrap()
    };
    // A drill that was begun before parts were written down has one.
    for (done, expected) in [(vec![], (0, 0)), (vec![false; 3], (0, 2)), (vec![true, false, false], (1, 1))] {
        assert_eq!((part_at_work(&status(&done)), parts_left(&status(&done))), expected, "{done:?}");
    }
    assert_eq!((part_at_work(&status(&[true, true])), parts_left(&status(&[true, true]))), (2, 0));
    let coverage = |n: i64| -> Coverage {
        serde_json::from_value(json!({"objectsCompared": n, "objectsTotal": n + 1, "objectsDelivered": n + 2, "bytesCompared": n + 3, "bytesTotal": n + 4})).unwrap()
    };
    let mut all = coverage(10);
    add(&mut all, &coverage(0));
    let expected = json!({"objectsCompared": 10, "objectsTotal": 12, "objectsDelivered": 14, "bytesCompared": 16, "bytesTotal": 18});
    assert_eq!(serde_json::to_value(&all).unwrap(), expected);
}

#[rstest]
// A drill that was begun before parts, or what they are, were written down may hold one grant.
#[case(json!([]), &[0])]
#[case(json!([{"source": "a"}, {"source": "b"}]), &[0])]
#[case(json!([{"source": "a", "kind": "Namespace"}, {"source": "b", "kind": "Namespace"}, {"source": "c", "kind": "Files"}]), &[0, 1])]
#[case(json!([{"source": "a", "kind": "Database"}, {"source": "b", "kind": "Files"}]), &[])]
fn the_parts_that_may_hold_a_grant(#[case] parts: Value, #[case] expected: &[usize]) {
    let status: RecoveryDrillStatus = serde_json::from_value(json!({ "parts": parts })).unwrap();
    assert_eq!(parts_with_grant(&status), expected);
}

#[test]
fn a_part_took_the_time_since_the_one_before_it() {
    let status: RecoveryDrillStatus = serde_json::from_value(json!({
        "startedAt": "2026-11-26T03:00:00Z",
        "parts": [{"source": "space", "restoredAt": "2026-11-26T03:01:00Z"}, {"source": "db"}],
    }))
    .unwrap();
    let seconds = |part, now: &str| part_duration(&status, part, now.parse().unwrap()).map(|took| took.as_secs());
    assert_eq!(seconds(0, "2026-11-26T03:01:00Z"), Some(60));
    assert_eq!(seconds(1, "2026-11-26T03:03:30Z"), Some(150));
    // The clock went back.
    assert_eq!(seconds(1, "2026-11-26T03:00:30Z"), None);
    assert_eq!(part_duration(&RecoveryDrillStatus::default(), 0, "2026-11-26T03:00:00Z".parse().unwrap()), None);
}

#[test]
fn a_scratch_is_charged_like_the_grant_that_it_stands_for_and_runs_nothing() {
    let source: ResourceGrant = typed(
        "ResourceGrant",
        json!({
            "metadata": {"name": "bills-1", "namespace": "dept-finance"},
            "spec": {
                "department": "finance", "system": "bills", "site": "near-site", "request": {"name": "r", "uid": "u"},
                "revision": 3, "class": "Standard", "charge": {"cpu": "2", "memory": "4Gi"}, "confirm": true,
                "bundle": {
                    "objects": [{"kind": "Service"}], "ceilings": {"requests.cpu": "2", "pods": "20"},
                    "network": [{"port": 443}],
                    "residue": [{"group": "", "version": "v1", "kind": "Bucket", "plural": "buckets", "reference": "/spec/claim"}],
                },
            },
        }),
    );
    let scratch = spec(&drill(None, "far"), &source, date(2026, 11, 26));
    assert_eq!((scratch.department.as_str(), scratch.site.as_str()), (marks::DRILL_DEPARTMENT, "far-site"));
    assert_eq!((scratch.request.name.as_str(), scratch.request.uid.as_str()), ("look", "drill-1"));
    assert_eq!(scratch.charge, source.spec.charge);
    assert_eq!(scratch.lease_end.as_deref(), Some("2026-11-27"));
    let ceilings: Vec<(&str, &str)> = scratch.bundle.ceilings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(ceilings, [("pods", "0"), ("requests.cpu", "2")]);
    assert!(scratch.bundle.objects.is_empty() && scratch.bundle.network.is_empty() && !scratch.confirm);
    assert_eq!(scratch.bundle.residue, source.spec.bundle.residue);
}

fn passed() -> RecoveryDrillStatus {
    serde_json::from_value(json!({
        "phase": "Passed", "backup": "b2", "manifestRoot": "root-of-b2", "startedAt": "2026-11-26T03:00:00Z", "restoredAt": "2026-11-26T03:01:30Z",
        "finishedAt": "2026-11-26T03:02:00Z", "measuredRto": "1m30s", "attempt": 1,
        "coverage": {"objectsCompared": 5, "objectsTotal": 5, "bytesCompared": 50, "bytesTotal": 50, "objectsDelivered": 2},
        "zeroProof": {"at": "2026-11-26T03:02:00Z", "checks": ["Namespace zy-x: not found"]},
    }))
    .unwrap()
}

#[rstest]
#[case("a pass", json!({}), Some(90))]
#[case("it did not pass", json!({"phase": "Failed"}), None)]
#[case("its scratch still stands", json!({"phase": "Removing"}), None)]
#[case("a part was compared", json!({"coverage": {"objectsCompared": 4, "objectsTotal": 5, "bytesCompared": 50, "bytesTotal": 50}}), None)]
#[case("a part of the bytes was", json!({"coverage": {"objectsCompared": 5, "objectsTotal": 5, "bytesCompared": 49, "bytesTotal": 50}}), None)]
#[case("there was nothing to compare", json!({"coverage": {}}), None)]
#[case("something differs", json!({"differenceCount": 1}), None)]
#[case("the clock went back", json!({"restoredAt": "2026-11-26T02:00:00Z"}), None)]
fn a_recovery_time_is_that_of_a_whole_and_equal_restore(
    #[case] what: &str,
    #[case] change: Value,
    #[case] expected: Option<i64>,
) {
    let mut status = serde_json::to_value(passed()).unwrap();
    status.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let status: RecoveryDrillStatus = serde_json::from_value(status).unwrap();
    assert_eq!(measured_rto(&status).map(|rto| rto.as_secs()), expected, "{what}");
}

#[test]
fn a_record_says_what_was_found_and_changes_with_everything_in_it() {
    let text = statement(&drill(None, "far"), &passed());
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((said["format"].as_str(), said["result"].as_str()), (Some(FORMAT), Some("Passed")));
    assert_eq!((said["manifestRoot"].as_str(), said["zeroProof"]["checks"].as_i64()), (Some("root-of-b2"), Some(1)));
    assert_eq!(said["drill"], json!({"namespace": "dept-finance", "name": "look", "uid": "drill-1"}));
    assert_eq!(text, statement(&drill(None, "far"), &passed()));
    let failed = RecoveryDrillStatus { difference_count: 1, ..passed() };
    assert_ne!(text, statement(&drill(None, "far"), &failed));
    let another = RecoveryDrillStatus { manifest_root: Some("another".to_owned()), ..passed() };
    assert_ne!(text, statement(&drill(None, "far"), &another));
    // The longest fits into the field that it stands in.
    let difference = json!({"source": "s".repeat(30), "path": "\"".repeat(512), "message": "\"".repeat(512)});
    let long: RecoveryDrillStatus = serde_json::from_value(json!({
        "phase": "Failed", "manifestRoot": "0".repeat(64), "differences": vec![difference; 32],
        "failure": {"reason": "Differs", "subject": "", "message": "\"".repeat(2000)},
    }))
    .unwrap();
    assert!(statement(&drill(None, "far"), &long).len() <= 8192);
}
