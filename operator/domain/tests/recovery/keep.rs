//! A revocation that keeps a backup: what proves it, and what is waited for.

use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_crds::ResourceGrant;
use zhengyun_crds::recovery::{BackupTrigger, RecoveryPlan, SystemBackup};
use zhengyun_domain::finding::Finding;
use zhengyun_domain::grant::{Facts, Kept, REVOCATION, Task, awaits_backup, keep, proves, task};

use crate::at;

const ORDERED: &str = "2026-11-26T08:00:00Z";

fn grant(disposition: &str, hold_until: &str, status: Value) -> ResourceGrant {
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceGrant",
        "metadata": { "name": "bills-1", "namespace": "dept-finance", "uid": "grant-1" },
        "spec": {
            "department": "finance", "system": "bills", "site": "hohhot", "request": { "name": "r", "uid": "r-1" },
            "revision": 1, "class": "Standard", "charge": { "cpu": "1" }, "bundle": {},
            "revocation": {
                "request": { "name": "end", "uid": "end-1" }, "disposition": disposition,
                "holdUntil": hold_until, "orderedAt": ORDERED
            }
        },
        "status": status
    }))
    .unwrap()
}

fn ending() -> ResourceGrant {
    grant("KeepBackup", ORDERED, frozen())
}

fn frozen() -> Value {
    json!({ "phase": "Revoking", "step": "Frozen", "charge": { "site": "hohhot", "sequence": 7, "reserved": {}, "granted": {} } })
}

fn plan(name: &str, grant: &str) -> RecoveryPlan {
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryPlan",
        "metadata": { "name": name, "namespace": "dept-finance", "uid": format!("{name}-uid") },
        "spec": {
            "system": "bills", "sources": [{ "name": "space", "origin": { "namespace": { "grant": grant } } }],
            "schedule": { "cron": "0 */6 * * *" }, "retention": { "last": 6 }, "copies": [{ "store": "near" }],
            "ceiling": "50Gi", "objectives": { "rpo": "7h", "rto": "4h" }, "level": 1, "encryption": { "secretName": "key" }
        }
    }))
    .unwrap()
}

/// A backup that proves it.
fn proven() -> Value {
    json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "SystemBackup",
        "metadata": { "name": "kept", "namespace": "dept-finance", "creationTimestamp": "2026-11-26T08:00:10Z" },
        "spec": {
            "plan": "nightly", "planUID": "nightly-uid", "trigger": "Revocation", "grant": "bills-1", "requestedBy": REVOCATION
        },
        "status": {
            "phase": "Completed", "capturedAt": "2026-11-26T08:00:12Z", "finishedAt": "2026-11-26T08:01:00Z",
            "copies": [{ "store": "near", "state": "Verified", "snapshot": "s", "bytesAdded": 1 }],
            "manifest": { "root": "r", "counter": 1, "head": "h", "algorithm": "ed25519-sha256", "key": "k" }
        }
    })
}

fn backup(change: impl FnOnce(&mut Value)) -> SystemBackup {
    let mut value = proven();
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn decide(plans: &[RecoveryPlan], backups: &[SystemBackup], now: &str) -> Kept {
    decide_with(plans, backups, Ok(()), now)
}

fn decide_with(plans: &[RecoveryPlan], backups: &[SystemBackup], seen: Result<(), Vec<Finding>>, now: &str) -> Kept {
    let ending = ending();
    let plans = plans.iter().map(|plan| (plan, seen.clone())).collect();
    keep(&Facts { grant: &ending, plans, backups: backups.iter().collect() }, at(now))
}

fn waited(kept: Kept) -> (String, String, bool) {
    match kept {
        Kept::Waits { reason, message, for_a_person } => (reason.as_str().to_owned(), message, for_a_person),
        other => panic!("{other:?}"),
    }
}

#[test]
fn data_is_kept_from_the_end_of_the_hold_until_it_is_proven() {
    let later = at("2026-11-27T00:00:00Z");
    assert_eq!(task(&ending(), later), Task::Keep);
    assert_eq!(
        task(&grant("KeepBackup", ORDERED, json!({ "phase": "InService", "charge": frozen()["charge"] })), later),
        Task::Keep
    );
    let held = grant("KeepBackup", "2026-12-01T00:00:00Z", frozen());
    assert_eq!(task(&held, later), Task::Freeze(at("2026-12-01T00:00:00Z")));
    assert_eq!(task(&grant("Delete", ORDERED, frozen()), later), Task::Remove);
    let mut removing = frozen();
    removing["step"] = json!("Removing");
    assert_eq!(task(&grant("KeepBackup", ORDERED, removing.clone()), later), Task::Remove, "what was begun is ended");
    assert!(awaits_backup(&ending()) && awaits_backup(&held));
    assert!(
        !awaits_backup(&grant("KeepBackup", ORDERED, removing)) && !awaits_backup(&grant("Delete", ORDERED, frozen()))
    );
}

#[test]
fn a_backup_is_made_for_it_and_proves_it() {
    let plans = [plan("nightly", "bills-1"), plan("other", "elsewhere")];
    let Kept::Start(made) = decide(&plans, &[], "2026-11-26T08:00:05Z") else { panic!("nothing is started") };
    assert_eq!((made.spec.plan.as_str(), made.spec.plan_uid.as_str()), ("nightly", "nightly-uid"));
    assert_eq!((made.spec.trigger, made.spec.grant.as_deref()), (BackupTrigger::Revocation, Some("bills-1")));
    assert_eq!(made.spec.requested_by, REVOCATION);
    // The same run, however often it is started.
    let Kept::Start(again) = decide(&plans, &[], "2026-11-26T09:00:00Z") else { panic!("nothing is started") };
    assert_eq!(made.metadata.name, again.metadata.name);
    let running = backup(|b| b["status"] = json!({ "phase": "Verifying" }));
    let (reason, message, person) = waited(decide(&plans, &[running], "2026-11-26T08:00:30Z"));
    assert!(
        reason == "InProgress" && message.contains("backup kept of plan nightly is Verifying") && !person,
        "{message}"
    );
    assert_eq!(decide(&plans, &[backup(|_| {})], "2026-11-26T08:02:00Z"), Kept::Proven("kept".to_owned()));
}

#[rstest]
#[case::of_the_schedule(|b: &mut Value| { b["spec"]["trigger"] = json!("Scheduled"); b["spec"]["grant"] = Value::Null; b["spec"]["due"] = json!(ORDERED) })]
#[case::asked_for_by_a_person(|b: &mut Value| { b["spec"]["trigger"] = json!("Manual"); b["spec"]["grant"] = Value::Null })]
#[case::of_another_grant(|b: &mut Value| b["spec"]["grant"] = json!("bills-2"))]
#[case::of_another_department(|b: &mut Value| b["metadata"]["namespace"] = json!("dept-tax"))]
#[case::of_an_order_that_was_undone(|b: &mut Value| b["metadata"]["creationTimestamp"] = json!("2026-11-26T07:59:59Z"))]
#[case::captured_before(|b: &mut Value| b["status"]["capturedAt"] = json!("2026-11-26T07:59:59Z"))]
#[case::captured_at_no_moment(|b: &mut Value| b["status"]["capturedAt"] = Value::Null)]
#[case::not_whole(|b: &mut Value| b["status"]["phase"] = json!("Incomplete"))]
#[case::not_ended(|b: &mut Value| b["status"]["phase"] = json!("Verifying"))]
#[case::not_signed(|b: &mut Value| b["status"]["manifest"] = Value::Null)]
#[case::not_read_back(|b: &mut Value| b["status"]["copies"][0]["state"] = json!("Stored"))]
#[case::dropped(|b: &mut Value| b["status"]["copies"][0]["state"] = json!("Forgotten"))]
#[case::to_be_dropped(|b: &mut Value| b["status"]["retention"] = json!({ "fate": "Drop", "reasons": ["x"] }))]
#[case::without_copies(|b: &mut Value| b["status"]["copies"] = json!([]))]
fn nothing_else_proves_it(#[case] change: fn(&mut Value)) {
    let other = backup(change);
    assert!(!proves(&other, &ending()));
    let decided = decide(&[plan("nightly", "bills-1")], &[other], "2026-11-26T08:02:00Z");
    assert!(!matches!(decided, Kept::Proven(_)), "{decided:?}");
}

#[test]
fn a_backup_whose_plan_is_gone_is_worth_nothing() {
    let mut another = plan("nightly", "bills-1");
    another.metadata.uid = Some("another".to_owned());
    let decided = decide(&[another], &[backup(|_| {})], "2026-11-26T08:02:00Z");
    assert!(matches!(decided, Kept::Start(_)), "{decided:?}");
    let (reason, message, person) = waited(decide(&[], &[backup(|_| {})], "2026-11-26T08:02:00Z"));
    assert!(reason == "BackupNotFound" && message.contains("namespace: {grant: bills-1}") && person, "{message}");
}

#[test]
fn a_plan_that_cannot_run_says_which_field_to_correct() {
    let plans = [plan("nightly", "bills-1")];
    let finding = Finding::new("/spec/copies/0/store", "StoreNotFound", "there is no store near: choose one of far");
    let (reason, message, person) = waited(decide_with(&plans, &[], Err(vec![finding]), "2026-11-26T08:02:00Z"));
    assert!(
        reason == "StoreNotFound" && message.contains("plan nightly cannot run: /spec/copies/0/store") && person,
        "{message}"
    );
    let mut paused = plan("nightly", "bills-1");
    paused.spec.paused = true;
    let (reason, message, person) = waited(decide(std::slice::from_ref(&paused), &[], "2026-11-26T08:02:00Z"));
    assert!(reason == "Paused" && message.contains("/spec/paused of plan nightly") && person, "{message}");
    // Another one that runs is taken.
    let Kept::Start(made) = decide(&[paused, plan("weekly", "bills-1")], &[], "2026-11-26T08:02:00Z") else { panic!() };
    assert_eq!(made.spec.plan, "weekly");
}

#[test]
fn what_failed_is_told_and_tried_again_later_under_another_name() {
    let plans = [plan("nightly", "bills-1")];
    let Kept::Start(first) = decide(&plans, &[], "2026-11-26T08:00:05Z") else { panic!("nothing is started") };
    let failed = backup(|b| {
        b["status"]["phase"] = json!("Failed");
        b["status"]["conditions"] = json!([{
            "type": "Ready", "status": "False", "reason": "RunFailed", "lastTransitionTime": ORDERED,
            "message": "Secret key in zhengyun-system is missing"
        }]);
    });
    let (reason, message, person) = waited(decide(&plans, std::slice::from_ref(&failed), "2026-11-26T08:02:00Z"));
    assert!(reason == "BackupNotVerified" && message.contains("Secret key in zhengyun-system") && person, "{message}");
    let Kept::Start(second) = decide(&plans, &[failed], "2026-11-26T08:06:00Z") else {
        panic!("nothing is tried again")
    };
    assert_ne!(first.metadata.name, second.metadata.name);
    // One at a time.
    let other = backup(|b| {
        b["spec"] = json!({ "plan": "nightly", "planUID": "nightly-uid", "trigger": "Manual", "requestedBy": "x" });
        b["status"] = json!({ "phase": "Capturing" });
    });
    let (reason, message, _) = waited(decide(&plans, &[other], "2026-11-26T08:02:00Z"));
    assert!(reason == "InProgress" && message.contains("one at a time"), "{message}");
}
