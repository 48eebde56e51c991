//! Rooms: phases, and the gate before a room counts as emptied.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use rstest::rstest;
use zhengyun_crds::migration::{
    ClosureRecord, CountedSignature, MigrationStage as M, Party, RoomDecision, RoomKept, RoomPhase as P,
    RoomSystemStatus, RoomWithdrawn, SignedMigration, SignedPurpose, Strategy, SystemOutcome as O,
};
use zhengyun_domain::migration::room::{
    Event as E, Facts, follow, forecast, has_left, late, outcome, remembered, remembers, step,
};

use crate::at;

const LEGAL: [(P, E, P); 14] = [
    (P::Registered, E::Recognised, P::Assessed),
    (P::Assessed, E::Kept, P::Retained),
    (P::ToWithdraw, E::Kept, P::Retained),
    (P::Assessed, E::Withdrawn, P::ToWithdraw),
    (P::Retained, E::Withdrawn, P::ToWithdraw),
    (P::ToWithdraw, E::Leaving, P::Migrating),
    (P::Emptied, E::Refilled, P::Migrating),
    (P::ToWithdraw, E::AllGone, P::Emptied),
    (P::Migrating, E::AllGone, P::Emptied),
    (P::Emptied, E::Sanitised, P::Sanitised),
    (P::Sanitised, E::Disposed, P::AssetsDisposed),
    (P::AssetsDisposed, E::Cut, P::LinksCut),
    (P::LinksCut, E::Closed, P::Closed),
    (P::Closed, E::Verified, P::Verified),
];

#[test]
fn the_table_is_complete() {
    for phase in P::ALL.iter().copied() {
        for event in E::ALL {
            let expected = LEGAL.iter().find(|(p, e, _)| *p == phase && *e == event).map(|(_, _, next)| *next);
            assert_eq!(step(phase, event).ok(), expected, "{phase} × {event:?}");
        }
    }
}

fn reachable(from: P, without: E) -> BTreeSet<P> {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(phase) = open.pop() {
        for event in E::ALL.into_iter().filter(|event| *event != without) {
            open.extend(step(phase, event).ok().filter(|next| seen.insert(*next)));
        }
    }
    seen
}

#[test]
fn a_room_is_closed_only_past_every_step() {
    for needed in [E::Recognised, E::Withdrawn, E::AllGone, E::Sanitised, E::Disposed, E::Cut, E::Closed, E::Verified] {
        assert!(!reachable(P::Registered, needed).contains(&P::Verified), "verified without {needed:?}");
    }
}

fn system(name: &str, outcome: O, evidence: Option<&str>) -> RoomSystemStatus {
    RoomSystemStatus {
        department: "finance".to_owned(),
        system: name.to_owned(),
        outcome,
        migration: None,
        stage: (outcome != O::Hosted).then_some(M::Accepted),
        evidence: evidence.map(str::to_owned),
        signed: Vec::new(),
    }
}

fn record(phase: P) -> ClosureRecord {
    let digest = format!("sha256:{}", "0".repeat(64));
    ClosureRecord { phase, title: "record".to_owned(), digest, by: "wang".to_owned() }
}

fn withdraw() -> RoomDecision {
    RoomDecision::Withdraw(RoomWithdrawn { by: "2027-12-31".to_owned() })
}

#[rstest]
#[case::signed(O::Accepted, Some("sha256:a"), true)]
#[case::retired(O::Retired, Some("sha256:a"), true)]
#[case::accepted_without_evidence(O::Accepted, None, false)]
#[case::retired_with_a_word(O::Retired, Some("yes"), false)]
#[case::under_way(O::Migrating, Some("sha256:a"), false)]
#[case::still_there(O::Hosted, None, false)]
fn a_room_is_empty_only_when_every_system_has_left_with_evidence(
    #[case] last: O,
    #[case] evidence: Option<&str>,
    #[case] empty: bool,
) {
    let systems = [system("tax", O::Accepted, Some("sha256:b")), system("bills", last, evidence)];
    let decision = withdraw();
    for phase in [P::ToWithdraw, P::Migrating] {
        let next =
            follow(&Facts { owner: "finance", phase, decision: Some(&decision), systems: &systems, records: &[] })
                .unwrap();
        assert_eq!(next.phase == P::Emptied, empty, "{phase}: {next:?}");
        if phase == P::Migrating && !empty {
            let (reason, message) = next.waits.unwrap();
            assert_eq!(reason.as_str(), "SystemsLeft");
            assert!(message.contains("1 of 2") && message.contains("finance/bills"), "{message}");
        }
    }
    assert_eq!(has_left(&systems[1]), empty);
}

#[test]
fn what_came_of_a_system_follows_from_its_migration() {
    for stage in M::ALL.iter().copied() {
        for strategy in Strategy::ALL.iter().copied() {
            let expected = match (stage, strategy) {
                (M::Cancelled | M::RolledBack, _) => O::Hosted,
                (M::SourceFrozen | M::Retained | M::Erased, Strategy::Retire) => O::Retired,
                (_, Strategy::Retire) => O::Migrating,
                (M::Accepted | M::SourceFrozen | M::Retained | M::Erased, _) => O::Accepted,
                _ => O::Migrating,
            };
            assert_eq!(outcome(Some((stage, strategy))), expected, "{stage} {strategy}");
        }
    }
    assert_eq!(outcome(None), O::Hosted);
}

fn signed(migration: &str, by: &[&str]) -> SignedMigration {
    let signature = |by: &&str| CountedSignature {
        purpose: SignedPurpose::Acceptance,
        party: Party::Department,
        by: (*by).to_owned(),
        digest: "sha256:b".to_owned(),
        at: Time(at("2027-03-05T14:00:00Z")),
    };
    let uid = format!("uid-{migration}");
    SignedMigration { migration: migration.to_owned(), uid, signatures: by.iter().map(signature).collect() }
}

#[test]
fn what_was_signed_stays_when_its_migration_is_deleted() {
    let erased = RoomSystemStatus {
        migration: Some("ledger".to_owned()),
        stage: Some(M::Erased),
        ..system("tax", O::Accepted, Some("sha256:b"))
    };
    let first = remembered(None, erased.clone(), vec![signed("ledger", &["wang"]), signed("scans", &[])]);
    assert_eq!(first.signed, [signed("ledger", &["wang"])], "nothing was signed of the other one");
    let more = signed("ledger", &["wang", "bao"]);
    assert!(!remembers(&first, &more));
    let second = remembered(Some(&first), erased, vec![more.clone()]);
    assert!(remembers(&second, &more) && remembers(&second, &signed("scans", &[])));
    assert!(!remembers(&second, &signed("scans", &["wang"])));
    // It is deleted.
    let gone = RoomSystemStatus { stage: None, ..system("tax", O::Hosted, None) };
    let kept = remembered(Some(&second), gone.clone(), Vec::new());
    assert_eq!(kept, second, "the system has left, and it is known who signed");
    let another = RoomSystemStatus { stage: Some(M::Landing), ..system("tax", O::Migrating, None) };
    let again = remembered(Some(&kept), another, Vec::new());
    assert_eq!((again.outcome, &again.signed), (O::Migrating, &kept.signed), "the system is back");
    let cancelled = RoomSystemStatus { stage: Some(M::Cancelled), ..gone.clone() };
    assert!(has_left(&remembered(Some(&kept), cancelled, Vec::new())), "what was given up takes nothing back");
    // As long as there is a way back, a migration that is not there proves nothing.
    let accepted = RoomSystemStatus { stage: Some(M::Accepted), ..second.clone() };
    let lost = remembered(Some(&accepted), gone, Vec::new());
    assert_eq!((has_left(&lost), &lost.signed), (false, &second.signed));
    // However many there were, it stays bounded.
    let many = (0..40).map(|n| signed(&format!("m{n}"), &["wang"])).collect();
    let bounded = remembered(None, lost, many).signed;
    assert_eq!((bounded.len(), bounded[15].migration.as_str()), (16, "m39"));
}

#[test]
fn a_room_goes_from_registration_to_verification_with_a_document_for_each_act() {
    let gone = [system("tax", O::Accepted, Some("sha256:b"))];
    let decision = withdraw();
    let acts = [P::Assessed, P::Sanitised, P::AssetsDisposed, P::LinksCut, P::Closed, P::Verified];
    let mut records = Vec::new();
    let (mut phase, mut trail) = (P::Registered, Vec::new());
    for _ in 0..40 {
        let next =
            follow(&Facts { owner: "finance", phase, decision: Some(&decision), systems: &gone, records: &records })
                .unwrap();
        match next.waits {
            Some((reason, message)) => {
                assert_eq!(reason.as_str(), "RecordMissing", "{message}");
                let act = acts[records.len()];
                assert!(message.contains(act.as_str()), "{message} names {act}");
                records.push(record(act));
            }
            None if next.phase == phase => break,
            None => trail.push(next.phase),
        }
        phase = next.phase;
    }
    let expected =
        [P::Assessed, P::ToWithdraw, P::Emptied, P::Sanitised, P::AssetsDisposed, P::LinksCut, P::Closed, P::Verified];
    assert_eq!(trail, expected);
}

#[test]
fn a_room_that_is_kept_waits_and_a_system_that_comes_back_fills_it_again() {
    let kept = RoomDecision::Retain(RoomKept { until: "2028-12-31".to_owned(), reason: "edge".to_owned() });
    let left = [system("tax", O::Hosted, None)];
    let facts = |phase, decision: Option<&'static RoomDecision>| Facts {
        owner: "finance",
        phase,
        decision,
        systems: &left,
        records: &[],
    };
    let kept: &'static RoomDecision = Box::leak(Box::new(kept));
    let given_up: &'static RoomDecision = Box::leak(Box::new(withdraw()));
    for (phase, decision, expected) in [
        (P::Assessed, None, P::Assessed),
        (P::Assessed, Some(kept), P::Retained),
        (P::Retained, Some(kept), P::Retained),
        (P::Retained, Some(given_up), P::ToWithdraw),
        (P::ToWithdraw, Some(kept), P::Retained),
        (P::ToWithdraw, Some(given_up), P::ToWithdraw),
        (P::Emptied, Some(given_up), P::Migrating),
        (P::Sanitised, Some(given_up), P::Sanitised),
        (P::Verified, Some(given_up), P::Verified),
    ] {
        assert_eq!(follow(&facts(phase, decision)).unwrap().phase, expected, "{phase}");
    }
    assert_eq!(follow(&facts(P::Assessed, None)).unwrap().waits.unwrap().0.as_str(), "NotDecided");
    assert_eq!(follow(&facts(P::Sanitised, Some(given_up))).unwrap().waits.unwrap().0.as_str(), "SystemsLeft");
}

#[test]
fn a_forecast_goes_on_as_it_went() {
    let (since, now) = (at("2027-01-01T00:00:00Z"), at("2027-01-11T00:00:00Z"));
    assert_eq!(forecast(since, now, 10, 10), None);
    assert_eq!(forecast(since, now, 5, 10), Some(at("2027-01-21T00:00:00Z")));
    assert_eq!(forecast(since, now, 0, 10), Some(now));
    assert!(late(jiff::civil::date(2027, 1, 21), "2027-01-20") && !late(jiff::civil::date(2027, 1, 20), "2027-01-20"));
}

proptest! {
    /// Whatever is written and in whatever order: media are wiped only in an empty room, and a verified closure stays.
    #[test]
    fn no_room_is_wiped_while_a_system_is_in_it(
        looks in prop::collection::vec((any::<bool>(), prop::collection::vec((0_usize..4, any::<bool>()), 0..4), 0_u16..2048), 1..60),
    ) {
        let (kept, given_up) = (RoomDecision::Retain(RoomKept { until: "2028-01-01".to_owned(), reason: "r".to_owned() }), withdraw());
        let mut phase = P::Registered;
        for (keeps, drawn, recorded) in looks {
            let systems: Vec<RoomSystemStatus> = drawn
                .iter()
                .map(|(outcome, signed)| system("s", O::ALL[*outcome], signed.then_some("sha256:a")))
                .collect();
            let records: Vec<ClosureRecord> =
                P::ALL.iter().enumerate().filter(|(n, _)| recorded & (1 << n) != 0).map(|(_, phase)| record(*phase)).collect();
            let decision = if keeps { &kept } else { &given_up };
            let next = follow(&Facts { owner: "finance", phase, decision: Some(decision), systems: &systems, records: &records }).unwrap();
            if next.phase != phase {
                prop_assert!(next.phase != P::Emptied || systems.iter().all(has_left));
                prop_assert!(next.phase != P::Sanitised || (systems.iter().all(has_left) && recorded & (1 << 6) != 0));
                prop_assert!(phase != P::Verified, "it changed");
            }
            phase = next.phase;
        }
    }
}

/// Several departments may have systems in one room, and each reads of its own.
#[test]
fn a_condition_names_no_system_of_another_department() {
    let theirs = |name: &str| RoomSystemStatus { department: "police".to_owned(), ..system(name, O::Hosted, None) };
    let decision = withdraw();
    let said = |systems: &[RoomSystemStatus]| {
        let facts = Facts { owner: "finance", phase: P::Migrating, decision: Some(&decision), systems, records: &[] };
        follow(&facts).unwrap().waits.unwrap().1
    };
    let both = said(&[theirs("cells"), system("tax", O::Hosted, None)]);
    assert!(both.contains("2 of 2") && both.contains("finance/tax") && !both.contains("cells"), "{both}");
    let other = said(&[theirs("cells"), system("tax", O::Accepted, Some("sha256:a"))]);
    assert!(other.contains("1 of 2") && !other.contains("cells") && !other.contains("police"), "{other}");
}
