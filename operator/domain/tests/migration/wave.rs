//! Which migrations may begin, and why the others may not.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use zhengyun_crds::migration::{AfterWave, ChangeWindow, FreezeDays, MigrationStage as M, WaveMark};
use zhengyun_domain::migration::wave::{Member, Rules, Standing, admit, cycle, last_seen, waits_for_people};
use zhengyun_domain::migration::window::Calendar;

use crate::at;

fn calendar() -> Calendar {
    let window = ChangeWindow { opens: "0 22 * * 5".to_owned(), length: "8h".into() };
    let freeze =
        FreezeDays { from: "2027-02-01".to_owned(), to: "2027-02-10".to_owned(), reason: "spring festival".to_owned() };
    Calendar::read("Asia/Shanghai", &[window], &[freeze]).unwrap()
}

fn member(name: &str, stage: Option<M>, admitted: bool) -> Member {
    Member { key: ("finance".to_owned(), name.to_owned()), stage, admitted, waits: false }
}

fn after(wave: &str, reached: WaveMark) -> AfterWave {
    AfterWave { wave: wave.to_owned(), reached }
}

/// A wave: its name, those before it with how far they must be, and where its migrations stand.
type Line<'a> = (&'a str, &'a [(&'a str, WaveMark)], &'a [Option<M>]);

fn waves(all: &[Line<'_>]) -> BTreeMap<String, Standing> {
    all.iter()
        .map(|(name, before, stages)| {
            let after = before.iter().map(|(wave, mark)| after(wave, *mark)).collect();
            ((*name).to_owned(), Standing { after, stages: stages.to_vec() })
        })
        .collect()
}

fn rules(calendar: &Calendar, max_parallel: usize, max_failures: usize) -> Rules<'_> {
    Rules { name: "second", max_parallel, max_failures, paused: false, calendar }
}

const NOW: &str = "2027-03-01T00:00:00Z";

/// The reason of each member; none for one that may begin or has begun.
fn said(rules: &Rules<'_>, members: &[Member], all: &BTreeMap<String, Standing>, now: &str) -> Vec<Option<String>> {
    let verdicts = admit(rules, members, all, at(now));
    verdicts.into_iter().map(|(_, hold)| hold.map(|(reason, _)| reason.as_str().to_owned())).collect()
}

fn no() -> Option<String> {
    None
}

fn held(reason: &str) -> Option<String> {
    Some(reason.to_owned())
}

#[test]
fn they_begin_in_order_as_far_as_there_is_room() {
    let calendar = calendar();
    let members = [
        member("a", Some(M::FullCopy), true),
        member("b", Some(M::Planned), false),
        member("c", Some(M::Scheduled), false),
        member("d", Some(M::ParallelRun), true),
        member("e", Some(M::Scheduled), false),
        member("f", None, false),
    ];
    let none = waves(&[("second", &[], &[])]);
    let pending = || held("Pending");
    for (max, expected) in [
        (1, [no(), pending(), held("WaveFull"), pending(), held("WaveFull"), pending()]),
        (2, [no(), pending(), no(), pending(), held("WaveFull"), pending()]),
        (3, [no(), pending(), no(), pending(), no(), pending()]),
    ] {
        assert_eq!(said(&rules(&calendar, max, 0), &members, &none, NOW), expected, "{max}");
    }
    // One that was let in and has not begun keeps its place before an earlier one.
    let members = [member("a", Some(M::Scheduled), false), member("b", Some(M::Scheduled), true)];
    assert_eq!(said(&rules(&calendar, 1, 0), &members, &none, NOW), [held("WaveFull"), no()]);
}

/// One that waits for signatures keeps nobody else waiting, and goes on when it is signed.
#[test]
fn whoever_waits_for_people_gives_its_place_up() {
    let calendar = calendar();
    let none = waves(&[("second", &[], &[])]);
    let waiting = Member { waits: true, ..member("a", Some(M::Rehearsed), true) };
    let next = member("b", Some(M::Scheduled), false);
    let of =
        |first: &Member, second: &Member| said(&rules(&calendar, 1, 0), &[first.clone(), second.clone()], &none, NOW);
    assert_eq!(of(&waiting, &next), [no(), no()], "both are in");
    let begun = member("b", Some(M::FullCopy), true);
    let signed = Member { waits: false, ..waiting.clone() };
    assert_eq!(of(&signed, &begun), [no(), no()], "what was let in stays in");
    assert_eq!(of(&signed, &next), [no(), held("WaveFull")]);
    assert!(waits_for_people("AwaitingSignature") && waits_for_people("Paused"));
    // What is to be mended keeps its place: whatever broke one would break the next.
    assert!(!["RunFailed", "FindingBlocks", "Differs", "OutsideWindow", ""].into_iter().any(waits_for_people));
}

#[test]
fn what_is_over_and_was_deleted_counts_as_it_ended() {
    let calendar = calendar();
    for stage in M::ALL.iter().copied() {
        let known = matches!(stage, M::SourceFrozen | M::Retained | M::Erased | M::Cancelled);
        assert_eq!(last_seen(Some(stage)), known.then_some(stage), "{stage}");
        let all =
            waves(&[("second", &[("first", WaveMark::Accepted)], &[]), ("first", &[], &[last_seen(Some(stage))])]);
        let verdicts = admit(&rules(&calendar, 1, 0), &[member("a", Some(M::Scheduled), false)], &all, at(NOW));
        assert_eq!(verdicts[0].1.is_none(), known, "{stage}: {verdicts:?}");
    }
    assert_eq!(last_seen(None), None);
}

#[rstest]
#[case(WaveMark::CutOver, M::CuttingOver, false)]
#[case(WaveMark::CutOver, M::ParallelRun, true)]
#[case(WaveMark::CutOver, M::Retained, true)]
#[case(WaveMark::CutOver, M::Cancelled, true)]
#[case(WaveMark::CutOver, M::RolledBack, false)]
#[case(WaveMark::Accepted, M::ParallelRun, false)]
#[case(WaveMark::Accepted, M::Accepted, true)]
#[case(WaveMark::Accepted, M::Erased, true)]
fn a_wave_begins_when_the_one_before_is_far_enough(#[case] mark: WaveMark, #[case] stage: M, #[case] begins: bool) {
    let calendar = calendar();
    let all = waves(&[("second", &[("first", mark)], &[]), ("first", &[], &[Some(M::Accepted), Some(stage)])]);
    let verdicts = admit(&rules(&calendar, 1, 0), &[member("a", Some(M::Scheduled), false)], &all, at(NOW));
    assert_eq!(verdicts[0].1.is_none(), begins, "{verdicts:?}");
    if let Some((reason, message)) = &verdicts[0].1 {
        assert_eq!(reason.as_str(), "WaveBefore");
        assert!(message.contains("1 of 2") && message.contains("first"), "{message}");
    }
}

#[test]
fn what_holds_a_wave_holds_only_what_has_not_begun() {
    let calendar = calendar();
    let members = [
        member("a", Some(M::Replicating), true),
        member("b", Some(M::RolledBack), false),
        member("c", Some(M::Scheduled), false),
    ];
    let plain = waves(&[("second", &[], &[])]);
    let missing = waves(&[("second", &[("first", WaveMark::CutOver)], &[])]);
    let unknown = waves(&[("second", &[("first", WaveMark::CutOver)], &[]), ("first", &[], &[None])]);
    let open = rules(&calendar, 9, 1);
    let third = |rules: &Rules<'_>, all: &BTreeMap<String, Standing>, now: &str| {
        let said = said(rules, &members, all, now);
        assert_eq!(said[0], no(), "what is under way goes on");
        said[2].clone()
    };
    assert_eq!(third(&open, &plain, NOW), no());
    assert_eq!(third(&rules(&calendar, 9, 0), &plain, NOW), held("WaveStopped"));
    assert_eq!(third(&Rules { paused: true, ..open.clone() }, &plain, NOW), held("Paused"));
    assert_eq!(third(&open, &plain, "2027-02-05T00:00:00Z"), held("FreezeDay"));
    assert_eq!(third(&open, &missing, NOW), held("WaveBefore"));
    assert_eq!(third(&open, &unknown, NOW), held("WaveBefore"));
}

#[test]
fn a_circle_is_refused_and_named() {
    let mark = WaveMark::CutOver;
    let all = waves(&[
        ("first", &[("third", mark)], &[]),
        ("second", &[("other", mark), ("first", mark)], &[]),
        ("third", &[("second", mark)], &[]),
        ("other", &[], &[]),
        ("outside", &[("first", mark)], &[]),
        ("own", &[("own", mark)], &[]),
    ]);
    let named = |name: &str| cycle(name, &all).map(|circle| circle.join(" "));
    assert_eq!(named("first").as_deref(), Some("first third second first"));
    assert_eq!(named("second").as_deref(), Some("second first third second"));
    assert_eq!(named("own").as_deref(), Some("own own"));
    assert_eq!(named("other"), None);
    assert_eq!(named("outside"), None, "it comes after a circle and is not in it");
    let calendar = calendar();
    let verdicts = admit(&rules(&calendar, 1, 0), &[member("a", Some(M::Scheduled), false)], &all, at(NOW));
    let (reason, message) = verdicts[0].1.clone().unwrap();
    assert_eq!(reason.as_str(), "WaveCycle");
    assert!(message.contains("second after first after third after second"), "{message}");
}

fn stages() -> impl Strategy<Value = Option<M>> {
    prop_oneof![5 => Just(Some(M::Scheduled)), 4 => prop::sample::select(M::ALL.to_vec()).prop_map(Some), 1 => Just(None)]
}

proptest! {
    /// However stages and limits change between looks: nothing begins beyond the limit, and nothing that may not.
    #[test]
    fn never_are_more_under_way_than_may_be(
        first in prop::collection::vec(stages(), 1..20),
        looks in prop::collection::vec((1_usize..6, 0_usize..4, any::<bool>(), any::<usize>(), stages()), 1..40),
    ) {
        let calendar = calendar();
        let all = waves(&[("second", &[], &[])]);
        let mut members: Vec<Member> =
            first.into_iter().enumerate().map(|(n, stage)| member(&format!("m{n}"), stage, false)).collect();
        let busy = |members: &[Member]| {
            members.iter().filter(|m| m.stage.is_some_and(|s| s.is_under_way() || (s == M::Scheduled && m.admitted))).count()
        };
        for (max, failures, paused, pick, stage) in looks {
            let before = busy(&members);
            let rules = Rules { paused, ..rules(&calendar, max, failures) };
            let verdicts = admit(&rules, &members, &all, at(NOW));
            prop_assert_eq!(verdicts.len(), members.len());
            for (member, (key, hold)) in members.iter_mut().zip(&verdicts) {
                prop_assert_eq!(&member.key, key);
                // Its reason is one that holds.
                if let Some((reason, message)) = hold {
                    prop_assert!(!message.is_empty());
                    prop_assert!(!member.admitted || member.stage != Some(M::Scheduled), "{} was let in", reason);
                }
                member.admitted = hold.is_none();
            }
            let after = busy(&members);
            prop_assert!(after <= max.max(before), "{} of {} before {}", after, max, before);
            let failed = members.iter().filter(|m| m.stage == Some(M::RolledBack)).count();
            prop_assert!(after == before || (!paused && failed <= failures));
            // A migration goes on by itself: one that was not let in never comes to be under way.
            let index = pick % members.len();
            let member = &mut members[index];
            let lets = stage.is_none_or(|stage| !stage.is_under_way()) || member.admitted;
            if lets {
                member.stage = stage;
                member.admitted &= stage.is_some();
            }
        }
    }
}
