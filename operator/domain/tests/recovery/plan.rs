//! What is started when, and what evidence is worth for a plan.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_crds::recovery::{Edition, RecoveryDrill, RecoveryPlan, SystemBackup};
use zhengyun_crds::{ConditionStatus, ConditionType, Reason, condition};
use zhengyun_domain::finding::Finding;
use zhengyun_domain::recovery::backup::{GrantFacts, Observed, StoreFacts, plan as outlook};
use zhengyun_domain::recovery::level::built_in;
use zhengyun_domain::recovery::place::Place;
use zhengyun_domain::recovery::plan::{Decision, Facts, decide};

use crate::at;

const FINGERPRINT: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A cloud with two sites, and a plan that backs up every six hours from midnight UTC.
struct Cloud {
    plan: Value,
    backups: Vec<Value>,
    drills: Vec<Value>,
    refusal: Option<Finding>,
}

fn cloud() -> Cloud {
    Cloud {
        plan: json!({
            "metadata": {"name": "bills", "namespace": "dept-finance", "uid": "plan-1", "generation": 3,
                "creationTimestamp": "2026-11-25T20:00:00Z"},
            "spec": {
                "system": "bills", "sources": [{"name": "space", "origin": {"namespace": {"grant": "bills-1"}}}],
                "schedule": {"cron": "0 */6 * * *", "timeZone": "UTC"}, "retention": {"last": 6}, "copies": [{"store": "far"}],
                "ceiling": "50Gi", "objectives": {"rpo": "7h", "rto": "4h"}, "level": 1,
                "drill": {"schedule": {"cron": "0 3 1 * *"}, "site": "far-site"}, "encryption": {"secretName": "key-finance"},
                "escrow": [{"store": "far", "fingerprint": FINGERPRINT, "keeper": "safe 3"}],
            },
        }),
        backups: Vec::new(),
        drills: Vec::new(),
        refusal: None,
    }
}

fn backup(name: &str, phase: &str, captured: &str, verified: Option<&str>) -> Value {
    let state = if verified.is_some() { "Verified" } else { "Stored" };
    json!({
        "metadata": {"name": name, "namespace": "dept-finance"},
        "spec": {"plan": "bills", "planUID": "plan-1", "trigger": "Scheduled", "due": captured, "requestedBy": "x"},
        "status": {"phase": phase, "capturedAt": captured,
            "copies": [{"store": "far", "state": state, "verifiedAt": verified, "bytesAdded": 10}]},
    })
}

fn drill(phase: &str, finished: &str) -> Value {
    json!({
        "metadata": {"name": "d", "namespace": "dept-finance"},
        "spec": {"plan": "bills", "planUID": "plan-1", "store": "far", "site": "far-site", "trigger": "Manual", "requestedBy": "x"},
        "status": {"phase": phase, "finishedAt": finished, "startedAt": "2026-11-19T23:00:00Z", "restoredAt": "2026-11-19T23:30:00Z",
            "coverage": {"objectsCompared": 5, "objectsTotal": 5, "bytesCompared": 50, "bytesTotal": 50}},
    })
}

impl Cloud {
    fn decide(&self, now: &str) -> Decision {
        let plan: RecoveryPlan = serde_json::from_value(
            [json!({"apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryPlan"}), self.plan.clone()]
                .into_iter()
                .fold(json!({}), |mut all, part| {
                    all.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
                    all
                }),
        )
        .unwrap();
        let typed = |kind: &str, value: &Value| {
            let mut value = value.clone();
            value["apiVersion"] = json!("zhengyun.io/v1alpha1");
            value["kind"] = json!(kind);
            value
        };
        let backups: Vec<SystemBackup> =
            self.backups.iter().map(|b| serde_json::from_value(typed("SystemBackup", b)).unwrap()).collect();
        let drills: Vec<RecoveryDrill> =
            self.drills.iter().map(|d| serde_json::from_value(typed("RecoveryDrill", d)).unwrap()).collect();
        let grant = GrantFacts {
            department: "finance".to_owned(),
            system: "bills".to_owned(),
            site: "near-site".to_owned(),
            namespace: Some("zy-bills".to_owned()),
            live: true,
            items: [].into(),
        };
        let store = |name: &str| {
            (name.to_owned(), StoreFacts { site: format!("{name}-site"), unusable: None, damaged: BTreeMap::new() })
        };
        let place = |site: &str| (site.to_owned(), Place { site: site.to_owned(), ..Place::default() });
        let observed = Observed {
            department: "finance".to_owned(),
            grants: [("bills-1".to_owned(), grant)].into(),
            stores: [store("far"), store("near")].into(),
            places: [place("near-site"), place("far-site")].into(),
            declared: BTreeMap::new(),
            folders: BTreeMap::new(),
            created: at("2026-11-25T20:00:00Z"),
        };
        let table = built_in(Edition::Gbt2025).unwrap();
        let seen = outlook(&plan.spec, &table, &observed);
        let facts = Facts {
            plan: &plan,
            outlook: self.refusal.clone().map_or(seen, |finding| Err(vec![finding])),
            table: &table,
            backups: backups.iter().collect(),
            drills: drills.iter().collect(),
            escrow: [("far".to_owned(), FINGERPRINT.to_owned())].into(),
        };
        decide(&facts, at(now))
    }

    /// As the next look finds it: what was decided is written.
    fn carried_out(&mut self, decision: &Decision) {
        self.plan["status"] = serde_json::to_value(&decision.status).unwrap();
        if let Some(backup) = &decision.start {
            self.backups.push(serde_json::to_value(backup).unwrap());
        }
        if let Some(drill) = &decision.drill {
            self.drills.push(serde_json::to_value(drill).unwrap());
        }
    }
}

fn told(decision: &Decision, type_: ConditionType) -> (ConditionStatus, &str) {
    let found = condition::find(&decision.status.conditions, type_).unwrap();
    (found.status, found.reason.as_str())
}

#[test]
fn a_run_is_started_once_for_its_due_time() {
    let mut cloud = cloud();
    let early = cloud.decide("2026-11-25T23:59:59Z");
    assert_eq!(early.start, None);
    assert_eq!(early.again.as_secs(), 1, "it looks again when the run is due");

    let first = cloud.decide("2026-11-26T00:00:00Z");
    let started = first.start.clone().unwrap();
    assert_eq!(started.spec.due.as_ref().unwrap().0, at("2026-11-26T00:00:00Z"));
    assert_eq!(
        (started.spec.plan_uid.as_str(), started.metadata.namespace.as_deref()),
        ("plan-1", Some("dept-finance"))
    );
    // An operator that died between the two writes starts the very same again.
    assert_eq!(cloud.decide("2026-11-26T00:05:00Z").start.unwrap().metadata.name, started.metadata.name);
    // One whose status write was lost finds the backup, and starts nothing.
    cloud.backups.push(serde_json::to_value(&started).unwrap());
    assert_eq!(cloud.decide("2026-11-26T00:05:00Z").start, None);
    cloud.backups.clear();
    cloud.carried_out(&first);
    assert_eq!(cloud.decide("2026-11-26T00:05:00Z").start, None);
}

#[test]
fn runs_of_a_plan_do_not_overlap_and_what_came_due_meanwhile_is_made_up_for_once() {
    let mut cloud = cloud();
    cloud.carried_out(&cloud.decide("2026-11-26T00:00:00Z"));
    let busy = cloud.decide("2026-11-26T13:00:00Z");
    assert_eq!(busy.start, None);
    cloud.carried_out(&busy);
    cloud.backups[0]["status"] = json!({"phase": "Failed"});
    let next = cloud.decide("2026-11-26T13:00:01Z");
    assert_eq!(next.start.clone().unwrap().spec.due.unwrap().0, at("2026-11-26T12:00:00Z"));
    cloud.carried_out(&next);
    cloud.backups[1]["status"] = json!({"phase": "Failed"});
    assert_eq!(cloud.decide("2026-11-26T13:00:02Z").start, None);
}

#[test]
fn a_backup_without_room_shows_on_its_plan_also_while_that_is_paused() {
    let mut cloud = cloud();
    cloud.backups.push(backup("asked", "Reserving", "2026-11-26T00:00:00Z", None));
    cloud.backups[0]["status"]["conditions"] = json!([{
        "type": "Ready", "status": "False", "reason": "QuotaExceeded", "message": "the quota of finance at far-site is 0",
        "lastTransitionTime": "2026-11-26T00:00:00Z", "observedGeneration": 1
    }]);
    for paused in [false, true] {
        cloud.plan["spec"]["paused"] = json!(paused);
        let decision = cloud.decide("2026-11-26T00:05:00Z");
        assert_eq!(told(&decision, ConditionType::Ready), (ConditionStatus::False, "QuotaExceeded"), "{paused}");
        let ready = condition::find(&decision.status.conditions, ConditionType::Ready).unwrap();
        assert_eq!(ready.message, "backup asked waits: the quota of finance at far-site is 0");
    }
    // One that ended waits for nothing.
    cloud.backups[0]["status"]["phase"] = json!("Failed");
    assert_eq!(told(&cloud.decide("2026-11-26T00:05:00Z"), ConditionType::Ready).1, "Paused");
}

#[rstest]
#[case(true, false, Reason::Paused, ConditionStatus::True)]
#[case(false, true, Reason::StoreNotReady, ConditionStatus::False)]
fn nothing_is_started(
    #[case] paused: bool,
    #[case] refused: bool,
    #[case] why: Reason,
    #[case] ready: ConditionStatus,
) {
    let mut cloud = cloud();
    cloud.plan["spec"]["paused"] = json!(paused);
    cloud.refusal = refused.then(|| Finding::new("/spec/copies/0/store", Reason::StoreNotReady.as_str(), "it is down"));
    cloud.backups = vec![backup("b1", "Completed", "2026-11-26T00:00:00Z", Some("2026-11-26T00:10:00Z"))];
    let decision = cloud.decide("2026-11-26T12:00:00Z");
    assert_eq!((decision.start.is_none(), decision.status.next_run.is_none()), (true, true));
    assert_eq!(told(&decision, ConditionType::Ready), (ready, why.as_str()));
    // What was measured ages all the same: the last data is twelve hours old.
    assert_eq!(decision.status.copies[0].last_good.as_deref(), Some("b1"));
    assert!(told(&decision, ConditionType::ObjectiveMet).0 == ConditionStatus::False);
}

#[test]
fn objectives_are_met_by_verified_backups_and_passed_drills_alone() {
    let mut cloud = cloud();
    let now = "2026-11-26T07:00:00Z";
    cloud.plan["status"] = json!({"lastDue": "2026-11-26T06:00:00Z"});
    assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::False, "NotMeasured"));
    cloud.backups = vec![
        backup("b1", "Completed", "2026-11-26T00:00:00Z", Some("2026-11-26T00:10:00Z")),
        backup("b2", "Completed", "2026-11-26T06:00:00Z", Some("2026-11-26T06:10:00Z")),
        // Neither of these is a restore point.
        backup("b3", "Incomplete", "2026-11-26T06:30:00Z", Some("2026-11-26T06:40:00Z")),
        backup("b4", "Completed", "2026-11-26T06:45:00Z", None),
    ];
    let undrilled = cloud.decide(now);
    assert_eq!(undrilled.status.copies[0].last_good.as_deref(), Some("b2"));
    assert_eq!(undrilled.status.worst_rpo.as_ref().map(ToString::to_string).as_deref(), Some("6h10m"));
    assert_eq!(told(&undrilled, ConditionType::ObjectiveMet), (ConditionStatus::False, "NotMeasured"));
    cloud.drills = vec![drill("Failed", "2026-11-20T00:00:00Z")];
    assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::False, "NotMeasured"));
    cloud.drills = vec![drill("Passed", "2026-11-20T00:00:00Z")];
    let met = cloud.decide(now);
    assert_eq!(told(&met, ConditionType::ObjectiveMet), (ConditionStatus::True, "ObjectiveMet"), "{met:?}");
    assert_eq!(met.status.last_measured_rto.as_ref().map(ToString::to_string).as_deref(), Some("30m"));
    // A pass that did not compare everything is none.
    cloud.drills[0]["status"]["coverage"]["objectsCompared"] = json!(4);
    assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::False, "NotMeasured"));
    // One for which there was no room is told, and counts for nothing.
    cloud.drills = vec![drill("Skipped", "2026-11-20T00:00:00Z")];
    assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::False, "DrillSkipped"));
    cloud.drills = vec![drill("Passed", "2026-11-20T00:00:00Z"), drill("Skipped", "2026-11-21T00:00:00Z")];
    assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::True, "ObjectiveMet"));
    // What somebody chose, or where, is worth looking at and proves nothing of the plan.
    for (field, value) in [("backup", "b1"), ("site", "next-door")] {
        cloud.drills = vec![drill("Passed", "2026-11-20T00:00:00Z")];
        cloud.drills[0]["spec"][field] = json!(value);
        assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::False, "NotMeasured"));
    }
    // A failure is not undone by deleting it, nor by an older pass.
    cloud.drills = vec![drill("Passed", "2026-11-19T00:00:00Z"), drill("Failed", "2026-11-20T00:00:00Z")];
    let kept = serde_json::to_value(cloud.decide(now).status).unwrap();
    let before = std::mem::replace(&mut cloud.plan["status"], kept);
    cloud.drills.pop();
    assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::False, "NotMeasured"));
    cloud.drills = vec![drill("Passed", "2026-11-21T00:00:00Z")];
    let met = cloud.decide(now);
    assert_eq!(told(&met, ConditionType::ObjectiveMet), (ConditionStatus::True, "ObjectiveMet"));
    // A pass stays as well, for the site at which it was held.
    cloud.plan["status"] = serde_json::to_value(met.status).unwrap();
    cloud.drills.clear();
    assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::True, "ObjectiveMet"));
    cloud.plan["spec"]["drill"]["site"] = json!("elsewhere");
    assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::False, "NotMeasured"));
    cloud.plan["spec"]["drill"]["site"] = json!("far-site");
    // One that never had room says nothing of the copy.
    cloud.drills = vec![drill("Failed", "2026-11-22T00:00:00Z")];
    cloud.drills[0]["status"].as_object_mut().unwrap().remove("startedAt");
    assert_eq!(told(&cloud.decide(now), ConditionType::ObjectiveMet), (ConditionStatus::True, "ObjectiveMet"));
    cloud.plan["status"] = before;
    cloud.drills = vec![drill("Passed", "2026-11-21T00:00:00Z")];
    // Without a further backup the objective lapses by itself, and the plan is looked at then.
    let late = cloud.decide("2026-11-26T13:00:00.000000001Z");
    assert_eq!(told(&late, ConditionType::ObjectiveMet), (ConditionStatus::False, "RpoExceeded"));
}

#[test]
fn what_was_measured_of_a_point_does_not_change_when_the_one_before_it_goes() {
    let mut cloud = cloud();
    cloud.plan["status"] = json!({"lastDue": "2026-11-26T06:00:00Z"});
    cloud.backups = vec![
        backup("b1", "Completed", "2026-11-26T00:00:00Z", Some("2026-11-26T00:10:00Z")),
        backup("b2", "Completed", "2026-11-26T06:00:00Z", Some("2026-11-26T06:10:00Z")),
    ];
    let both = cloud.decide("2026-11-26T07:00:00Z");
    cloud.carried_out(&both);
    cloud.backups.remove(0);
    let one = cloud.decide("2026-11-26T07:00:00Z");
    assert_eq!(one.status.worst_rpo, both.status.worst_rpo);
}

#[test]
fn protected_is_what_stands_verified_with_its_key_in_a_safe_place() {
    let mut cloud = cloud();
    let now = "2026-11-26T07:00:00Z";
    assert_eq!(told(&cloud.decide(now), ConditionType::Protected), (ConditionStatus::False, "BackupNotVerified"));
    cloud.backups = vec![backup("b1", "Completed", "2026-11-26T06:00:00Z", Some("2026-11-26T06:10:00Z"))];
    assert_eq!(told(&cloud.decide(now), ConditionType::Protected), (ConditionStatus::True, "AsIntended"));
    cloud.plan["spec"]["escrow"][0]["fingerprint"] = json!(FINGERPRINT.replace('a', "b"));
    assert_eq!(told(&cloud.decide(now), ConditionType::Protected), (ConditionStatus::False, "EscrowPending"));
}

#[test]
fn a_level_is_never_claimed_on_rows_that_nobody_compared() {
    let mut cloud = cloud();
    cloud.backups = vec![backup("b1", "Completed", "2026-11-26T06:00:00Z", Some("2026-11-26T06:10:00Z"))];
    let decision = cloud.decide("2026-11-26T07:00:00Z");
    let (status, reason) = told(&decision, ConditionType::LevelMet);
    assert_ne!(status, ConditionStatus::True, "{reason}");
    assert_eq!(decision.status.elements.len(), 7);
    assert!(decision.status.unmet.first().is_none_or(|clause| !clause.remedy.is_empty()));
}

/// A plan with a copy in another store, too; drills are due on the first of each month at three.
fn with_two_copies() -> Cloud {
    let mut cloud = cloud();
    cloud.plan["metadata"]["creationTimestamp"] = json!("2026-10-25T20:00:00Z");
    cloud.plan["spec"]["copies"] = json!([{"store": "far"}, {"store": "near"}]);
    cloud.plan["spec"]["drill"]["schedule"] = json!({"cron": "0 3 1 * *", "timeZone": "UTC"});
    cloud.plan["status"] = json!({"lastDue": "2026-11-01T00:00:00Z"});
    let mut both = backup("b1", "Completed", "2026-11-01T00:00:00Z", Some("2026-11-01T00:10:00Z"));
    let copy = both["status"]["copies"][0].clone();
    both["status"]["copies"] =
        json!([copy, {"store": "near", "state": "Verified", "verifiedAt": "2026-11-01T00:11:00Z"}]);
    cloud.backups = vec![both];
    cloud
}

#[test]
fn each_copy_is_drilled_in_turn_and_once_for_a_due_time() {
    let mut cloud = with_two_copies();
    let early = cloud.decide("2026-11-01T02:59:59Z");
    assert_eq!(early.drill, None);
    assert_eq!(early.status.next_drill.unwrap().0, at("2026-11-01T03:00:00Z"));
    let now = "2026-11-01T03:00:00Z";
    let first = cloud.decide(now);
    let started = first.drill.clone().unwrap();
    assert_eq!((started.spec.store.as_str(), started.spec.site.as_str()), ("far", "far-site"));
    assert_eq!(started.spec.due.as_ref().unwrap().0, at(now));
    // Started twice, it is the same; and not started again by whoever finds only the drill, or only the plan's status.
    assert_eq!(cloud.decide("2026-11-01T03:05:00Z").drill.unwrap().metadata.name, started.metadata.name);
    cloud.carried_out(&first);
    assert_eq!(cloud.decide("2026-11-01T03:05:00Z").drill, None, "one at a time");
    cloud.drills[0]["status"] = json!({"phase": "Failed", "finishedAt": "2026-11-01T03:10:00Z"});
    let second = cloud.decide("2026-11-01T03:10:01Z");
    let other = second.drill.clone().unwrap();
    assert_eq!((other.spec.store.as_str(), other.spec.due.as_ref().unwrap().0), ("near", at(now)));
    assert_ne!(other.metadata.name, started.metadata.name);
    cloud.carried_out(&second);
    cloud.drills[1]["status"] = json!({"phase": "Skipped", "finishedAt": "2026-11-01T03:11:00Z"});
    assert_eq!(cloud.decide("2026-11-01T03:11:01Z").drill, None);
    // The records may be deleted: what was started stays known.
    cloud.drills.clear();
    assert_eq!(cloud.decide("2026-11-01T03:11:01Z").drill, None);
}

#[test]
fn what_proves_nothing_is_not_drilled_and_neither_is_a_paused_plan() {
    let mut cloud = with_two_copies();
    let now = "2026-11-01T03:00:00Z";
    cloud.backups[0]["status"]["copies"][0]["state"] = json!("Damaged");
    let only = cloud.decide(now);
    assert_eq!(only.drill.unwrap().spec.store, "near");
    cloud.backups[0]["status"]["phase"] = json!("Incomplete");
    assert_eq!(cloud.decide(now).drill, None);
    let mut cloud = with_two_copies();
    cloud.plan["spec"]["paused"] = json!(true);
    let paused = cloud.decide(now);
    assert_eq!((paused.drill, paused.status.next_drill), (None, None));
    // A late look makes up for one that was missed; with `Skip` it does not.
    let mut cloud = with_two_copies();
    assert!(cloud.decide("2026-11-01T09:00:00Z").drill.is_some());
    cloud.plan["spec"]["drill"]["schedule"]["missed"] = json!("Skip");
    assert_eq!(cloud.decide("2026-11-01T09:00:00Z").drill, None);
}
