use jiff::SignedDuration;
use jiff::civil::date;
use proptest::prelude::*;
use rstest::rstest;
use zhengyun_crds::recovery::{Attestation, Attested, Basis, Edition, Element};
use zhengyun_domain::recovery::level::{Evidence, LevelTable, TableError, built_in, evaluate, outside_row};
use zhengyun_domain::recovery::objective::{CopyEvidence, DrillResult, RestorePoint};
use zhengyun_domain::recovery::place::{Independence, Place};

use crate::at;

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn word(element: Element, level: i32, until: &str) -> Attestation {
    Attestation {
        element,
        level,
        by: "张三，信息中心".to_owned(),
        until: until.to_owned(),
        document: Attested { title: "t".to_owned(), sha256: "0".repeat(64), reference: "r".to_owned() },
    }
}

/// Measurements of a plan with several backups a day, a copy elsewhere, verified and drilled; and a word for everything.
fn best(level: i32) -> Evidence {
    Evidence {
        full_backup_age: Some(SignedDuration::from_hours(3)),
        independent_copies: Some(1),
        transfers_per_day: Some(4),
        verification_age: Some(days(1)),
        drill_age: Some(days(30)),
        replication_lag: None,
        attestations: Element::ALL.iter().map(|element| word(*element, level, "2027-01-01")).collect(),
        today: date(2026, 11, 26),
    }
}

fn tables() -> [LevelTable; 2] {
    [built_in(Edition::Gbt2025).unwrap(), built_in(Edition::Gbt2007).unwrap()]
}

#[test]
fn both_editions_are_whole_and_say_that_nobody_compared_them() {
    for table in tables() {
        let mut ids: Vec<&str> =
            table.levels.iter().flat_map(|row| &row.elements).flat_map(|e| &e.clauses).map(|c| c.id.as_str()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{}: a clause is named twice", table.edition);
        assert!(count > 80, "{count}");
        // When somebody compared a row, this test changes with it.
        assert!(table.levels.iter().all(|row| !row.verified && !row.source.is_empty()));
    }
}

#[rstest]
#[case(1)]
#[case(2)]
#[case(3)]
#[case(4)]
#[case(5)]
#[case(6)]
fn the_level_is_what_measurements_and_words_support(#[case] level: i32) {
    for table in tables() {
        let evaluation = evaluate(&table, level, &best(level));
        assert_eq!(evaluation.level, level, "{}: {:?}", table.edition, evaluation.first_unmet());
        assert!(evaluation.unmet.is_empty());
        assert_eq!(
            evaluation.findings.len(),
            usize::try_from(level).unwrap(),
            "one for every row that was not compared"
        );
        assert!(evaluation.findings.iter().all(|f| f.rule == "LevelRowUnverified"));
    }
}

#[test]
fn the_level_is_the_lowest_of_the_seven() {
    for table in tables() {
        for element in [Element::Infrastructure, Element::Operations] {
            let mut evidence = best(5);
            for attestation in evidence.attestations.iter_mut().filter(|a| a.element == element) {
                attestation.level = 2;
            }
            let evaluation = evaluate(&table, 5, &evidence);
            assert_eq!(evaluation.level, 2);
            let lowest = evaluation.elements.iter().find(|e| e.element == element).unwrap();
            assert_eq!(lowest.level, evaluation.level);
            assert_eq!(evaluation.first_unmet().unwrap().element, element);
        }
    }
}

#[test]
fn infrastructure_is_attested_up_to_its_level_only() {
    // Level 3 asks of the places what level 2 asks, but a word for level 2 is no word for level 3.
    let table = built_in(Edition::Gbt2007).unwrap();
    let mut evidence = best(3);
    for attestation in evidence.attestations.iter_mut().filter(|a| a.element == Element::Infrastructure) {
        attestation.level = 2;
    }
    let unmet = evaluate(&table, 3, &evidence).unmet;
    assert!(unmet[0].measured.contains("attested up to level 2 only"), "{unmet:?}");
}

#[test]
fn nothing_measured_is_no_level() {
    let evidence = Evidence { today: date(2026, 11, 26), ..Evidence::default() };
    for table in tables() {
        let evaluation = evaluate(&table, 3, &evidence);
        assert_eq!(evaluation.level, 0);
        let first = evaluation.first_unmet().unwrap();
        assert_eq!((first.element, first.level), (Element::DataBackup, 1));
        assert!(first.required.contains("once a week") && first.required.contains("at most"), "{}", first.required);
        assert_eq!(first.measured, "FullBackupAge was not measured");
        assert!(!first.remedy.is_empty());
    }
}

#[test]
fn unmet_clauses_come_lower_levels_first() {
    let mut evidence = best(6);
    evidence.full_backup_age = Some(days(10));
    evidence.independent_copies = Some(0);
    let unmet = evaluate(&tables()[0], 6, &evidence).unmet;
    let levels: Vec<i32> = unmet.iter().map(|u| u.level).collect();
    assert!(levels.is_sorted(), "{levels:?}");
    assert_eq!(unmet[0].measured, "FullBackupAge is 10d");
}

#[rstest]
#[case("2026-11-26", true)]
#[case("2026-11-25", false)]
#[case("2026-13-01", false)]
fn a_word_counts_to_its_last_day(#[case] until: &str, #[case] counts: bool) {
    let mut evidence = best(1);
    evidence.attestations = vec![word(Element::Infrastructure, 1, until), word(Element::Operations, 1, "2027-01-01")];
    assert_eq!(evaluate(&tables()[0], 1, &evidence).level == 1, counts);
}

#[test]
fn a_measurement_comes_before_a_word() {
    let evaluation = evaluate(&tables()[0], 1, &best(1));
    let basis = |element: Element| evaluation.elements.iter().find(|e| e.element == element).unwrap().basis;
    assert_eq!(basis(Element::DataBackup), Basis::Measured);
    assert_eq!(basis(Element::Plan), Basis::Measured);
    assert_eq!(basis(Element::Infrastructure), Basis::Attested);
    let (elements, unmet) = evaluation.to_status();
    assert_eq!((elements.len(), unmet.len()), (7, 0));
}

#[test]
fn backups_alone_do_not_make_level_5() {
    let mut evidence = best(6);
    evidence.attestations.retain(|word| word.element != Element::DataBackup);
    let evaluation = evaluate(&tables()[0], 5, &evidence);
    assert_eq!(evaluation.level, 4);
    assert!(evaluation.first_unmet().unwrap().required.contains("real time"));
}

#[test]
fn an_objective_outside_its_row_is_a_finding() {
    let table = built_in(Edition::Gbt2007).unwrap();
    assert!(outside_row(&table, 1, days(7), days(30)).is_empty());
    let findings = outside_row(&table, 5, SignedDuration::from_hours(1), days(3));
    let rules: Vec<_> = findings.iter().map(|f| (f.rule.as_str(), f.pointer.as_str())).collect();
    assert_eq!(
        rules,
        [("ObjectiveOutsideRow", "/spec/objectives/rpo"), ("ObjectiveOutsideRow", "/spec/objectives/rto")]
    );
    assert!(outside_row(&table, 5, SignedDuration::ZERO, SignedDuration::ZERO).is_empty(), "better is never outside");
}

#[rstest]
#[case::order("level: 2\n", "level: 3\n", "takes 1 to 6")]
#[case::element("element: StandbyNetwork\n", "element: Plan\n", "seven elements")]
#[case::metric("metric: IndependentCopies, count: 1", "metric: DrillAge, count: 1", "atLeast one that is a number")]
#[case::limit("limit: 26h", "limit: soon", "is not a length of time")]
#[case::unknown("verified: false", "verfied: false", "cannot be read")]
fn a_broken_table_is_refused(#[case] from: &str, #[case] to: &str, #[case] says: &str) {
    let yaml = include_str!("../../../../catalog/recovery/gbt-20988-2007.yaml");
    assert!(yaml.contains(from));
    let error: TableError = LevelTable::parse(&yaml.replacen(from, to, 1)).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn a_compared_row_raises_no_finding() {
    let yaml = include_str!("../../../../catalog/recovery/gbt-20988-2025.yaml");
    let table = LevelTable::parse(&yaml.replace("verified: false", "verified: true")).unwrap();
    assert!(evaluate(&table, 6, &best(6)).findings.is_empty());
}

fn place(site: &str, building: &str, carrier: &str, coordinates: (f64, f64)) -> Place {
    Place {
        site: site.to_owned(),
        domains: vec![("building", building.to_owned()), ("carrier", carrier.to_owned())],
        coordinates: Some(coordinates),
    }
}

#[test]
fn copies_that_share_a_failure_domain_count_as_one() {
    let hohhot = place("hohhot", "h1", "telecom", (40.84, 111.75));
    let ulanqab = place("ulanqab", "u1", "mobile", (40.99, 113.13));
    let baotou = place("baotou", "b1", "mobile", (40.66, 109.84));
    let copies =
        [("near".to_owned(), hohhot.clone()), ("far".to_owned(), ulanqab.clone()), ("west".to_owned(), baotou)];
    let independence = Independence::of(std::slice::from_ref(&hohhot), &copies);
    assert_eq!(independence.independent(), 1);
    assert!(independence.copies[0].bound_to.as_ref().unwrap().contains("site hohhot"));
    assert!(independence.copies[2].bound_to.as_ref().unwrap().contains("carrier mobile"));
    let kilometres = independence.farthest_kilometres().unwrap();
    assert!((115.0..119.0).contains(&kilometres), "Hohhot to Ulanqab is about 117 km, not {kilometres}");
    assert!(hohhot.kilometres_to(&hohhot).unwrap().abs() < 1e-6);
}

#[test]
fn evidence_comes_from_copies_that_were_verified() {
    let now = at("2026-11-26T12:00:00Z");
    let here = place("hohhot", "h1", "telecom", (40.84, 111.75));
    let there = place("ulanqab", "u1", "mobile", (40.99, 113.13));
    let copies = [("near".to_owned(), here.clone()), ("far".to_owned(), there)];
    let independence = Independence::of(&[here], &copies);
    let copy = |store: &str, hours: i64| CopyEvidence {
        store: store.to_owned(),
        last: Some(RestorePoint {
            captured_at: now - SignedDuration::from_hours(hours),
            verified_at: now - SignedDuration::from_hours(hours - 1),
        }),
        window: None,
        drill: Some(DrillResult { finished_at: now - days(3), rto: Some(SignedDuration::from_hours(1)) }),
        skipped: None,
    };
    let of =
        |copies: &[CopyEvidence]| Evidence::of(copies, &independence, Some(2), Vec::new(), now, date(2026, 11, 26));
    let both = of(&[copy("near", 2), copy("far", 5)]);
    assert_eq!(both.full_backup_age, Some(SignedDuration::from_hours(2)));
    assert_eq!(both.verification_age, Some(SignedDuration::from_hours(4)));
    assert_eq!((both.independent_copies, both.drill_age), (Some(1), Some(days(3))));
    // A copy elsewhere that was never verified is none; a drill of the copy at home proves no standby.
    let unproven = of(&[copy("near", 2), CopyEvidence { store: "far".to_owned(), ..CopyEvidence::default() }]);
    assert_eq!((unproven.independent_copies, unproven.verification_age, unproven.drill_age), (Some(0), None, None));
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let time = || prop::option::of((0_i64..500).prop_map(days));
    let words = prop::collection::vec((0_usize..7, 1_i32..=6, prop::bool::ANY), 0..7).prop_map(|all| {
        all.into_iter()
            .map(|(at, level, past)| word(Element::ALL[at], level, if past { "2020-01-01" } else { "2030-01-01" }))
            .collect::<Vec<_>>()
    });
    (time(), prop::option::of(0_u32..3), prop::option::of(0_u32..5), time(), time(), words).prop_map(
        |(full_backup_age, independent_copies, transfers_per_day, verification_age, drill_age, attestations)| {
            Evidence {
                full_backup_age,
                independent_copies,
                transfers_per_day,
                verification_age,
                drill_age,
                replication_lag: None,
                attestations,
                today: date(2026, 11, 26),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// The level is reached exactly when nothing up to it is unmet.
    #[test]
    fn level_and_unmet_clauses_agree(evidence in evidence()) {
        let table = built_in(Edition::Gbt2025).unwrap();
        let level = evaluate(&table, 1, &evidence).level;
        for asked in 1..=6 {
            let evaluation = evaluate(&table, asked, &evidence);
            prop_assert_eq!(evaluation.level, level, "what is asked for changes nothing");
            prop_assert_eq!(evaluation.unmet.is_empty(), asked <= level);
            prop_assert!(evaluation.first_unmet().is_none_or(|u| u.level == level + 1));
        }
    }

    /// More evidence never lowers a level.
    #[test]
    fn more_evidence_never_hurts(evidence in evidence(), element in 0_usize..7) {
        let table = built_in(Edition::Gbt2025).unwrap();
        let level = evaluate(&table, 6, &evidence).level;
        let mut more = evidence;
        more.full_backup_age = Some(SignedDuration::ZERO);
        more.independent_copies = Some(4);
        more.drill_age = Some(SignedDuration::ZERO);
        more.attestations.push(word(Element::ALL[element], 6, "2030-01-01"));
        prop_assert!(evaluate(&table, 6, &more).level >= level);
    }
}
