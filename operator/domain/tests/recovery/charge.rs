use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use zhengyun_crds::recovery::{RecoveryPlan, SystemBackup};
use zhengyun_domain::amounts::ResourceName;
use zhengyun_domain::ledger::Charge;
use zhengyun_domain::quantity::Quantity;
use zhengyun_domain::recovery::charge::{
    Bearer, Place, STORAGE_BACKUP, bytes, changes, may_begin, room, shares, wanted,
};

const SITE: &str = "hohhot";

fn resource() -> ResourceName {
    ResourceName::try_from(STORAGE_BACKUP).unwrap()
}

/// Bytes of a charge: granted, reserved.
fn of(charge: &Charge) -> (i64, i64) {
    let whole = |quantity: Quantity| quantity.whole_units().unwrap();
    (whole(charge.granted.get(&resource())), whole(charge.reserved.get(&resource())))
}

fn bearer(uid: &str, second: i64, ceiling: u64, added: &[(&str, u64)]) -> Bearer {
    Bearer {
        uid: uid.to_owned(),
        created: Timestamp::from_second(second).unwrap(),
        ceiling,
        added: added.iter().map(|(store, bytes)| ((*store).to_owned(), *bytes)).collect(),
        ..Bearer::default()
    }
}

fn places(all: &[(&str, &str, u64)]) -> BTreeMap<String, Place> {
    let place = |(store, site, bytes): &(&str, &str, u64)| {
        ((*store).to_owned(), Place { site: (*site).to_owned(), bytes: *bytes })
    };
    all.iter().map(place).collect()
}

fn writing(mut bearer: Bearer, stores: &[&str]) -> Bearer {
    bearer.writes = stores.iter().map(|store| (*store).to_owned()).collect();
    bearer
}

/// Stores that a backup makes its plan hold the ceiling in.
fn writes_of(status: &Value) -> Vec<String> {
    let plan: RecoveryPlan = serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "dept-finance", "uid": "plan-uid" },
        "spec": {
            "system": "s", "level": 1, "ceiling": "1Ki", "copies": [{ "store": "near" }],
            "sources": [{ "name": "a", "origin": { "namespace": { "grant": "one" } } }],
            "schedule": { "every": "1h" }, "retention": { "last": 1 }, "objectives": { "rpo": "1h", "rto": "1h" },
            "encryption": { "secretName": "k" }
        }
    }))
    .unwrap();
    let backup: SystemBackup = serde_json::from_value(json!({
        "metadata": { "name": "b", "namespace": "dept-finance", "uid": "u" },
        "spec": { "plan": "p", "planUID": "plan-uid", "trigger": "Manual", "requestedBy": "x" }, "status": status
    }))
    .unwrap();
    let bearer = Bearer::of(&plan, &[&backup]);
    assert_eq!(bearer.ceiling, 1024);
    bearer.writes.into_iter().collect()
}

#[test]
fn bytes_are_exact() {
    assert_eq!(bytes(1).unwrap().to_string(), "1");
    assert_eq!(bytes(1 << 30).unwrap().to_string(), "1Gi");
    assert_eq!(bytes((1 << 30) + 1).unwrap().whole_units(), Some((1 << 30) + 1));
    assert!(bytes(u64::MAX).is_err());
}

#[test]
fn a_run_holds_the_ceiling_and_settles_to_what_stands() {
    let places = places(&[("near", SITE, 300), ("far", "ulanqab", 100)]);
    let running = [writing(bearer("p", 1, 1000, &[]), &["near", "far"])];
    let held = wanted(&shares(&running, &places), &places).unwrap();
    assert_eq!((of(&held[SITE]["p"]), of(&held["ulanqab"]["p"])), ((300, 700), (100, 900)));
    let ended = [bearer("p", 1, 1000, &[])];
    let settled = wanted(&shares(&ended, &places), &places).unwrap();
    assert_eq!((of(&settled[SITE]["p"]), of(&settled["ulanqab"]["p"])), ((300, 0), (100, 0)));
    // One decision settles it.
    assert_eq!(
        changes(&ended, &places, SITE, &settled[SITE], &held[SITE]).unwrap(),
        [("p".to_owned(), settled[SITE]["p"].clone())]
    );
    assert!(changes(&ended, &places, SITE, &settled[SITE], &settled[SITE]).unwrap().is_empty());
}

#[test]
fn two_stores_at_one_site_add_up() {
    let places = places(&[("a", SITE, 5), ("b", SITE, 7)]);
    let running = [writing(bearer("p", 1, 100, &[]), &["a", "b"])];
    assert_eq!(of(&wanted(&shares(&running, &places), &places).unwrap()[SITE]["p"]), (12, 188));
}

#[test]
fn what_stands_is_divided_without_a_rest() {
    let places = places(&[("near", SITE, 100)]);
    let stands = |bearers: &[Bearer], uid: &str| shares(bearers, &places)["near"].get(uid).map(|share| share.stands);
    let two = [bearer("old", 1, 1000, &[("near", 30)]), bearer("new", 2, 1000, &[("near", 20)])];
    // What backups that are gone left behind is the oldest plan's.
    assert_eq!((stands(&two, "old"), stands(&two, "new")), (Some(80), Some(20)));
    // What was pruned since is no plan's.
    let large = [bearer("old", 1, 1000, &[("near", 30)]), bearer("new", 2, 1000, &[("near", 500)])];
    assert_eq!((stands(&large, "old"), stands(&large, "new")), (Some(0), Some(100)));
    // A plan that is being deleted passes on what it has; the last one keeps it.
    let mut left = two.clone();
    left[0].leaves = true;
    assert_eq!((stands(&left, "old"), stands(&left, "new")), (None, Some(100)));
    left[1].leaves = true;
    assert_eq!((stands(&left, "old"), stands(&left, "new")), (Some(80), Some(20)));
}

#[test]
fn nothing_falls_while_anything_is_written() {
    let places = places(&[("near", SITE, 50)]);
    let both = [bearer("old", 1, 1000, &[]), writing(bearer("new", 2, 200, &[("near", 10)]), &["near"])];
    let booked: BTreeMap<String, Charge> = [("old", 90), ("new", 5)]
        .into_iter()
        .map(|(uid, held)| {
            let amount = bytes(held).unwrap();
            (uid.to_owned(), Charge::granted([(resource(), amount)].into_iter().collect()))
        })
        .collect();
    let next = wanted(&shares(&both, &places), &places).unwrap();
    let decided = changes(&both, &places, SITE, &next[SITE], &booked).unwrap();
    assert_eq!(
        decided.iter().map(|(uid, charge)| (uid.as_str(), of(charge))).collect::<Vec<_>>(),
        [("new", (10, 190))]
    );
    // At another site nothing is written.
    let ended = [bearer("old", 1, 1000, &[]), bearer("new", 2, 200, &[("near", 10)])];
    let next = wanted(&shares(&ended, &places), &places).unwrap();
    let decided = changes(&ended, &places, SITE, &next[SITE], &booked).unwrap();
    assert_eq!(decided.iter().map(|(_, charge)| of(charge)).collect::<Vec<_>>(), [(40, 0), (10, 0)]);
}

#[test]
fn a_process_is_told_what_all_plans_hold_together() {
    let places = places(&[("near", SITE, 100)]);
    let both = [bearer("old", 1, 1000, &[]), writing(bearer("new", 2, 200, &[("near", 30)]), &["near"])];
    // 70 of the other plan, and the ceiling.
    assert_eq!(room(&shares(&both, &places), "near"), 270);
    assert_eq!(room(&shares(&both, &places), "elsewhere"), 0);
}

#[test]
fn above_its_ceiling_no_run_begins() {
    let places = places(&[("near", SITE, 2048)]);
    let full = [bearer("p", 1, 1024, &[])];
    let stores = BTreeSet::from(["near".to_owned()]);
    let refused = may_begin(&full[0], &shares(&full, &places), &stores).unwrap_err().to_string();
    let told = refused.starts_with("QuotaExceeded") && refused.contains("store near holds 2Ki");
    assert!(told && refused.contains("spec.ceiling is 1Ki: raise spec.ceiling"), "{refused}");
    let fits = [bearer("p", 1, 2048, &[])];
    assert_eq!(may_begin(&fits[0], &shares(&fits, &places), &stores), Ok(()));
}

#[test]
fn a_backup_makes_its_plan_hold_the_ceiling_until_what_it_left_is_measured() {
    let copies = |first: &str, second: &str| {
        let copy = |store: &str, state: &str| {
            let mut copy = json!({ "store": store, "state": state });
            if state != "Missing" {
                copy["snapshot"] = json!(format!("of {store}"));
            }
            copy
        };
        json!([copy("near", first), copy("far", second)])
    };
    let status =
        |phase: &str, attempt: i32, copies: Value| json!({ "phase": phase, "attempt": attempt, "copies": copies });
    for (status, wanted) in [
        (json!({}), vec![]),
        (status("Reserving", 0, json!([])), vec![]),
        (status("Capturing", 0, copies("Missing", "Missing")), vec!["far", "near"]),
        (status("Replicating", 2, copies("Stored", "Missing")), vec!["far", "near"]),
        (status("Cancelling", 2, copies("Missing", "Missing")), vec!["far", "near"]),
        (status("Completed", 3, copies("Verified", "Verified")), vec![]),
        // What a process left is known only once it was removed.
        (status("Failed", 1, copies("Missing", "Missing")), vec!["near"]),
        (status("Incomplete", 3, copies("Verified", "Missing")), vec!["far"]),
        (status("Cancelled", 0, copies("Missing", "Missing")), vec![]),
    ] {
        assert_eq!(writes_of(&status), wanted, "{status}");
    }
}

/// A department's plans, its store and what its ledger says, moved about at random.
#[derive(Clone, Debug)]
enum Move {
    Begin(usize),
    Write(u64),
    End(usize),
    Free(u64),
    Leave(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0_usize..3).prop_map(Move::Begin),
        (1_u64..400).prop_map(Move::Write),
        (0_usize..3).prop_map(Move::End),
        (1_u64..300).prop_map(Move::Free),
        (0_usize..3).prop_map(Move::Leave),
    ];
    prop::collection::vec(one, 0..60)
}

proptest! {
    /// Whoever begins, writes and ends: what is charged is never less than what stands, and once nothing is written it is exactly that.
    #[test]
    fn what_stands_is_charged_whatever_happens(ceilings in prop::collection::vec(1_u64..1500, 3), moves in moves()) {
        let mut bearers: Vec<Bearer> = ceilings
            .iter()
            .zip(["a", "b", "c"])
            .enumerate()
            .map(|(at, (ceiling, uid))| bearer(uid, i64::try_from(at).unwrap(), *ceiling, &[]))
            .collect();
        let mut booked: BTreeMap<String, Charge> = BTreeMap::new();
        // What stands, and what was measured of it; the limit of the process that writes, and whose it is.
        let (mut stands, mut measured, mut told) = (0_u64, 0_u64, None::<(usize, u64)>);
        for next in moves {
            match next {
                Move::Begin(at) if !bearers[at].writes.contains("near") && !bearers[at].leaves => {
                    let places = places(&[("near", SITE, measured)]);
                    if may_begin(&bearers[at], &shares(&bearers, &places), &BTreeSet::from(["near".to_owned()])).is_ok() {
                        bearers[at].writes.insert("near".to_owned());
                    }
                }
                Move::Write(more) => {
                    // One process at a time holds the lease; it stops before its limit.
                    let writer = bearers.iter().position(|bearer| bearer.writes.contains("near"));
                    if let Some(at) = writer {
                        let limit = match told {
                            Some((whose, limit)) if whose == at => limit,
                            _ => room(&shares(&bearers, &places(&[("near", SITE, measured)])), "near"),
                        };
                        told = Some((at, limit));
                        if stands + more <= limit {
                            stands += more;
                            *bearers[at].added.entry("near".to_owned()).or_default() += more;
                        }
                    }
                }
                Move::End(at) if bearers[at].writes.contains("near") => {
                    measured = stands;
                    told = told.filter(|(whose, _)| *whose != at);
                    bearers[at].writes.clear();
                }
                Move::Free(less) => {
                    stands = stands.saturating_sub(less);
                    measured = stands;
                }
                Move::Leave(at) => bearers[at].leaves = true,
                _ => {}
            }
            let places = places(&[("near", SITE, measured)]);
            let next = wanted(&shares(&bearers, &places), &places).unwrap();
            for (uid, charge) in changes(&bearers, &places, SITE, &next[SITE], &booked).unwrap() {
                booked.insert(uid, charge);
            }
            let held: i64 = booked.values().map(|charge| of(charge).0 + of(charge).1).sum();
            let is_written = bearers.iter().any(|bearer| !bearer.writes.is_empty());
            prop_assert!(u64::try_from(held).unwrap() >= stands, "{held} are charged, {stands} stand");
            prop_assert!(is_written || u64::try_from(held).unwrap() == stands, "{held} are charged, {stands} stand");
        }
    }
}
