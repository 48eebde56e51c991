//! What retention says of each backup, and what each store forgets.

use std::collections::BTreeSet;

use kube::ResourceExt;
use serde_json::{Value, json};
use zhengyun_crds::recovery::{CopyState, RecoveryPlan, RetentionFate, SystemBackup};
use zhengyun_domain::recovery::retention::{Facts, Round, asked, forgotten, is_asked, round, tidied};

use crate::at;

fn plan(retention: Value) -> RecoveryPlan {
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryPlan",
        "metadata": {"name": "bills", "namespace": "dept-finance", "uid": "plan-1"},
        "spec": {
            "system": "bills", "sources": [{"name": "space", "origin": {"namespace": {"grant": "bills-1"}}}],
            "schedule": {"cron": "0 */6 * * *", "timeZone": "UTC"}, "retention": retention,
            "copies": [{"store": "near"}, {"store": "far"}], "ceiling": "50Gi", "objectives": {"rpo": "7h", "rto": "4h"},
            "level": 1, "encryption": {"secretName": "key-finance"},
            "holds": [{"backup": "held", "reason": "case 7"}],
        },
    }))
    .unwrap()
}

/// A backup of an hour of the day, with the state of its copies in two stores.
fn backup(name: &str, hour: u32, phase: &str, near: &str, far: &str) -> SystemBackup {
    let moment = format!("2026-11-26T{hour:02}:00:00Z");
    let copy = |store: &str, state: &str| {
        let snapshot = (state != "Missing").then(|| format!("{name}-{store}"));
        json!({"store": store, "state": state, "snapshot": snapshot, "verifiedAt": moment, "bytesAdded": 1})
    };
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "SystemBackup",
        "metadata": {"name": name, "namespace": "dept-finance", "creationTimestamp": moment},
        "spec": {"plan": "bills", "planUID": "plan-1", "trigger": "Scheduled", "due": moment, "requestedBy": "x"},
        "status": {"phase": phase, "attempt": 1, "capturedAt": moment, "sources": [{"name": "space"}], "copies": [copy("near", near), copy("far", far)]},
    }))
    .unwrap()
}

fn run(retention: Value, backups: &[SystemBackup], in_use: &[&str]) -> Round {
    let facts = Facts {
        plan: &plan(retention),
        backups: backups.iter().collect(),
        in_use: in_use.iter().map(|name| (*name).to_owned()).collect(),
    };
    round(&facts, at("2026-11-26T23:00:00Z"))
}

fn forgets<'a>(round: &'a Round, store: &str) -> Vec<&'a str> {
    round.forget.get(store).into_iter().flatten().map(String::as_str).collect()
}

fn fate(round: &Round, name: &str) -> (RetentionFate, String) {
    let record = &round.records[name];
    (record.fate, record.reasons.join("; "))
}

#[test]
fn every_store_forgets_what_is_dropped_and_each_backup_says_why() {
    let whole = |name: &str, hour: u32| backup(name, hour, "Completed", "Verified", "Verified");
    let all = [whole("a", 1), whole("held", 2), whole("used", 3), whole("b", 4), whole("new", 5)];
    let round = run(json!({"last": 1}), &all, &["used"]);
    assert_eq!(forgets(&round, "near"), ["a-near", "b-near"]);
    assert_eq!(forgets(&round, "far"), ["a-far", "b-far"]);
    assert_eq!(fate(&round, "a").0, RetentionFate::Drop);
    assert_eq!(fate(&round, "b"), (RetentionFate::Drop, "new stands for the same day".to_owned()));
    for (name, why) in [("held", "on hold: case 7"), ("used", "in use"), ("new", "the last verified backup in far")] {
        let (fate, reasons) = fate(&round, name);
        assert!(fate == RetentionFate::Keep && reasons.contains(why), "{name}: {reasons}");
    }
}

#[test]
fn the_last_good_copy_of_each_store_stays_whatever_is_newer_elsewhere() {
    // The far store was away for the newer ones; they stand for none of its own.
    let all = [
        backup("whole", 1, "Completed", "Verified", "Verified"),
        backup("half", 2, "Incomplete", "Verified", "Missing"),
        backup("half-again", 3, "Incomplete", "Verified", "Missing"),
    ];
    let round = run(json!({"last": 1}), &all, &[]);
    assert_eq!((forgets(&round, "near"), forgets(&round, "far")), (vec!["half-near"], Vec::new()));
    // Of a plan that had another store once.
    let moved = [
        backup("whole", 1, "Completed", "Verified", "Verified"),
        backup("near-only", 2, "Completed", "Verified", "Missing"),
    ];
    let round = run(json!({"last": 1}), &moved, &[]);
    assert!(round.forget.is_empty(), "{round:?}");
    assert_eq!(fate(&round, "whole"), (RetentionFate::Keep, "the last verified backup in far".to_owned()));
    // Once it has a newer one, its old one goes.
    let mut later = all.to_vec();
    later.push(backup("new", 4, "Completed", "Verified", "Verified"));
    let round = run(json!({"last": 1}), &later, &[]);
    assert_eq!(forgets(&round, "near"), ["half-again-near", "half-near", "whole-near"]);
    assert_eq!(forgets(&round, "far"), ["whole-far"]);
}

#[test]
fn what_is_verified_in_one_store_is_kept_like_any_other() {
    // Six hours of which the far store was away for four: all of them are among those that the plan promises.
    let half = |name: &str, hour: u32| backup(name, hour, "Incomplete", "Verified", "Missing");
    let mut all = vec![backup("a", 1, "Completed", "Verified", "Verified")];
    all.extend([half("b", 2), half("c", 3), half("d", 4), half("e", 5)]);
    all.push(backup("f", 6, "Completed", "Verified", "Verified"));
    let round = run(json!({"last": 5}), &all, &[]);
    assert_eq!((forgets(&round, "near"), forgets(&round, "far")), (vec!["a-near"], vec!["a-far"]));
    assert_eq!(fate(&round, "b"), (RetentionFate::Keep, "among the last 5".to_owned()));
    // They are thinned while it is away, too, but for the last in each store.
    let round = run(json!({"last": 2}), &all[..5], &[]);
    assert_eq!(forgets(&round, "near"), ["b-near", "c-near"]);
    assert!(!round.forget.contains_key("far"), "{round:?}");
    // Data that no source covers is another matter, and so is a copy that nobody read back.
    all[1].status.as_mut().unwrap().sources[0].uncovered = vec!["data".to_owned()];
    all[2] = backup("c", 3, "Incomplete", "Stored", "Missing");
    let round = run(json!({"last": 5}), &all, &[]);
    assert_eq!(forgets(&round, "near"), ["b-near", "c-near"]);
    assert!(fate(&round, "b").1.contains("d is newer"), "{:?}", fate(&round, "b"));
}

#[test]
fn what_a_copy_that_was_given_up_left_is_removed_once() {
    let mut all = vec![
        backup("half", 1, "Incomplete", "Verified", "Missing"),
        backup("cancelled", 2, "Cancelled", "Stored", "Missing"),
        backup("runs", 3, "Replicating", "Stored", "Missing"),
        backup("whole", 4, "Completed", "Verified", "Verified"),
    ];
    let round = run(json!({"last": 9}), &all, &[]);
    assert_eq!(round.leftovers, BTreeSet::from(["far".to_owned()]));
    // It says nothing of the copy that stands.
    assert_eq!(fate(&round, "half").0, RetentionFate::Keep);
    for backup in &mut all {
        assert_eq!(tidied(backup, "near"), backup.status.as_ref().unwrap().copies, "{}", backup.name_any());
        let copies = tidied(backup, "far");
        backup.status.as_mut().unwrap().copies = copies;
    }
    assert!(run(json!({"last": 9}), &all, &[]).leftovers.is_empty());
    let states: Vec<_> = all.iter().map(|backup| backup.status.as_ref().unwrap().copies[1].state).collect();
    assert_eq!(states, [CopyState::Forgotten, CopyState::Forgotten, CopyState::Missing, CopyState::Verified]);
}

#[test]
fn a_decision_that_turns_is_seen_where_something_stands() {
    let mut dropped = backup("dropped", 1, "Completed", "Verified", "Forgotten");
    dropped.status.as_mut().unwrap().retention =
        serde_json::from_value(json!({"fate": "Drop", "reasons": ["past"]})).unwrap();
    let all = [dropped, backup("new", 2, "Completed", "Verified", "Verified")];
    let again = run(json!({"last": 1}), &all, &[]);
    assert!(!again.turned(&all[0], "near"), "it is dropped as before");
    let kept = run(json!({"last": 1}), &all, &["dropped"]);
    assert!(kept.turned(&all[0], "near") && !kept.turned(&all[0], "far"));
    assert!(!kept.turned(&all[1], "near"), "it was never to be dropped");
}

/// What a process that was stopped had signed is found out by one that is not stopped for the same reason.
#[test]
fn a_backup_that_waits_for_the_chain_says_so_and_is_not_dropped_for_that() {
    let mut kept = backup("held", 1, "Completed", "Verified", "Missing");
    assert!(!is_asked(&kept));
    kept.status.as_mut().unwrap().retention = Some(asked());
    let newer = backup("newer", 9, "Completed", "Verified", "Missing");
    let round = run(json!({"last": 1}), &[kept.clone(), newer], &[]);
    assert!(is_asked(&kept) && round.turned(&kept, "near") && forgets(&round, "near").is_empty());
    // It was signed away before: then it says when that was decided, not that it is being found out.
    let copies = kept.status.clone().unwrap().copies;
    let gone = BTreeSet::from(["held-near".to_owned()]);
    let (_, record) = forgotten(&copies, Some(&asked()), "near", &gone, at("2026-11-26T23:00:00Z"));
    let record = record.unwrap();
    assert_eq!(record.fate, RetentionFate::Dropped);
    assert_eq!(record.reasons, ["it was being dropped when that was decided anew"]);
    let (_, record) = forgotten(&copies, Some(&asked()), "near", &BTreeSet::new(), at("2026-11-26T23:00:00Z"));
    assert_eq!(record, Some(asked()));
}

#[test]
fn what_came_to_no_end_is_removed_once() {
    let mut never_began = backup("refused", 1, "Failed", "Missing", "Missing");
    never_began.status.as_mut().unwrap().attempt = 0;
    let all = [
        backup("failed", 2, "Failed", "Missing", "Missing"),
        never_began,
        backup("runs", 3, "Capturing", "Missing", "Missing"),
        backup("good", 1, "Completed", "Verified", "Verified"),
    ];
    let round = run(json!({"last": 1}), &all, &[]);
    assert_eq!(round.leftovers, BTreeSet::from(["near".to_owned()]));
    assert_eq!(round.stores(), BTreeSet::from(["near"]));
    assert_eq!(fate(&round, "failed").0, RetentionFate::Drop);
    assert!(!round.records.contains_key("refused") && !round.records.contains_key("runs"), "{round:?}");
}

#[test]
fn a_backup_is_dropped_when_its_last_store_has_forgotten_it() {
    let now = at("2026-11-26T23:00:00Z");
    let old = backup("old", 1, "Completed", "Verified", "Verified");
    let all = [old.clone(), backup("new", 2, "Completed", "Verified", "Verified")];
    let record = run(json!({"last": 1}), &all, &[]).records.remove("old");
    let copies = &old.status.as_ref().unwrap().copies;
    let near = BTreeSet::from(["old-near".to_owned()]);
    let (copies, record) = forgotten(copies, record.as_ref(), "near", &near, now);
    assert_eq!(record.as_ref().unwrap().fate, RetentionFate::Drop);
    // Asked again about what is left: the far store alone.
    let mut half = old;
    half.status.as_mut().unwrap().copies.clone_from(&copies);
    let again = run(json!({"last": 1}), &[half.clone(), all[1].clone()], &[]);
    assert_eq!((forgets(&again, "near").len(), forgets(&again, "far")), (0, vec!["old-far"]));
    let far = BTreeSet::from(["old-far".to_owned()]);
    let (copies, record) = forgotten(&copies, record.as_ref(), "far", &far, now);
    let record = record.unwrap();
    assert_eq!((record.fate, record.dropped_at.as_ref().map(|at| at.0)), (RetentionFate::Dropped, Some(now)));
    // Settled again, when it was not known whether the first time was written: why and when stay.
    let later = at("2026-11-27T23:00:00Z");
    assert_eq!(forgotten(&copies, Some(&record), "far", &far, later), (copies.clone(), Some(record.clone())));
    half.status.as_mut().unwrap().copies = copies;
    half.status.as_mut().unwrap().retention = Some(record);
    let done = run(json!({"last": 1}), &[half, all[1].clone()], &[]);
    assert!(done.forget.is_empty() && !done.records.contains_key("old"), "{done:?}");
}

#[test]
fn records_without_data_go_beyond_the_history_and_nothing_else_does() {
    let gone = |name: &str, hour: u32| {
        let mut gone = backup(name, hour, "Completed", "Forgotten", "Forgotten");
        gone.status.as_mut().unwrap().retention =
            serde_json::from_value(json!({"fate": "Dropped", "reasons": ["past"]})).unwrap();
        gone
    };
    let all = [
        gone("b", 2),
        gone("a", 1),
        gone("c", 3),
        // What may have left something stays until that is removed.
        backup("failed", 0, "Failed", "Missing", "Missing"),
        backup("runs", 0, "Capturing", "Missing", "Missing"),
        backup("good", 0, "Completed", "Verified", "Verified"),
    ];
    assert_eq!(run(json!({"last": 1, "history": 1}), &all, &[]).expired, ["a", "b"]);
    assert!(run(json!({"last": 1}), &all, &[]).expired.is_empty());
}
