use proptest::prelude::*;
use zhengyun_crds::ledger::{
    Charge as ChargeText, ChargedObject, Held, JournalEntry, LedgerStatus, ObjectCharge, QuarantinedCharge,
};

use super::{Books, Change, Charge, ObjectRecord, Refusal, over_limit, recover};
use crate::amounts::{Amounts, Limit, Limits};
use crate::quota::{LimitBook, QuotaLine, texts};
use crate::tree::Tree;

fn cpu(amount: &str) -> Amounts {
    if amount == "0" {
        return Amounts::new();
    }
    [("cpu".parse().unwrap(), amount.parse().unwrap())].into_iter().collect()
}

fn limits(amount: &str) -> Limits {
    [("cpu".parse().unwrap(), amount.parse::<Limit>().unwrap())].into_iter().collect()
}

fn object(uid: &str) -> ChargedObject {
    ChargedObject {
        kind: "ResourceRequest".into(),
        namespace: "dept-x".into(),
        name: format!("r-{uid}"),
        uid: uid.into(),
    }
}

fn reserve(uid: &str, department: &str, amount: &str) -> Change {
    Change { object: object(uid), department: department.into(), charge: Charge::reserved(cpu(amount)) }
}

fn grant(uid: &str, department: &str, amount: &str) -> Change {
    Change { object: object(uid), department: department.into(), charge: Charge::granted(cpu(amount)) }
}

/// region 10 → league 6 → education 8, and a site of 9.
fn books() -> Books {
    let mut tree = Tree::default();
    tree.place("region", None);
    tree.place("league", Some("region"));
    tree.place("education", Some("league"));
    tree.place("health", Some("league"));
    let mut book = LimitBook { capacity: limits("9"), ..LimitBook::default() };
    for (name, limit) in [("region", "10"), ("league", "6"), ("education", "8")] {
        book.lines.insert(name.into(), QuotaLine { hard: limits(limit), shared_with_unlisted: false });
    }
    Books::new("hohhot", tree, book)
}

fn commit(books: &mut Books, changes: &[Change], sequence: i64) -> Result<(), Refusal> {
    books.check(changes)?;
    books.book(changes, sequence).unwrap();
    Ok(())
}

#[test]
fn a_refusal_names_the_ancestor_and_the_numbers() {
    let mut books = books();
    commit(&mut books, &[reserve("1", "education", "4")], 1).unwrap();
    let refusal = books.check(&[reserve("2", "education", "3")]).unwrap_err();
    let text = refusal.to_string();
    assert_eq!(
        text,
        "cpu: the quota of league at hohhot is 6, 4 is used, 3 was asked, short by 1; ask for less, or have that quota raised"
    );
    assert_eq!(refusal.reason(), zhengyun_crds::Reason::QuotaExceeded);
}

#[test]
fn no_line_is_zero_unless_the_parent_shares() {
    let mut books = books();
    let refusal = books.check(&[reserve("1", "health", "1")]).unwrap_err().to_string();
    assert!(refusal.starts_with("cpu: the quota of health at hohhot is 0"), "{refusal}");
    let mut limits = books.limits().clone();
    limits.lines.get_mut("league").unwrap().shared_with_unlisted = true;
    books.set_limits(limits);
    books.check(&[reserve("1", "health", "6")]).unwrap();
    assert!(books.check(&[reserve("1", "health", "7")]).is_err());
}

#[test]
fn capacity_refuses_by_its_own_reason() {
    let mut books = books();
    let mut wide = books.limits().clone();
    for line in wide.lines.values_mut() {
        line.hard = limits("unlimited");
    }
    books.set_limits(wide);
    let refusal = books.check(&[reserve("1", "education", "10")]).unwrap_err();
    assert_eq!(refusal.reason(), zhengyun_crds::Reason::CapacityExceeded);
    assert!(refusal.to_string().contains("the capacity of site hohhot is 9"), "{refusal}");
}

#[test]
fn a_transfer_from_request_to_grant_needs_no_room_even_over_the_limit() {
    let mut books = books();
    commit(&mut books, &[reserve("1", "education", "6")], 1).unwrap();
    let mut cut = books.limits().clone();
    cut.lines.get_mut("league").unwrap().hard = limits("2");
    books.set_limits(cut);
    assert_eq!(
        over_limit(&books).unwrap(),
        [("league".to_owned(), "cpu: 6 is used, the limit is 2, over by 4".to_owned())]
    );
    commit(&mut books, &[reserve("1", "education", "0"), grant("2", "education", "6")], 2).unwrap();
    assert_eq!(books.totals().granted, cpu("6"));
    assert!(books.check(&[reserve("3", "education", "1")]).is_err());
    commit(&mut books, &[grant("2", "education", "0")], 3).unwrap();
    assert!(books.totals().is_zero());
}

#[test]
fn held_books_release_but_do_not_charge() {
    let mut books = books();
    commit(&mut books, &[reserve("1", "education", "2")], 1).unwrap();
    books.hold(Some("totals differ".into()));
    assert!(matches!(books.check(&[reserve("2", "education", "1")]), Err(Refusal::Held { .. })));
    // A transfer creates a new grant out of an old approval, which held books must not do.
    assert!(matches!(
        books.check(&[reserve("1", "education", "0"), grant("9", "education", "2")]),
        Err(Refusal::Held { .. })
    ));
    commit(&mut books, &[reserve("1", "education", "0")], 2).unwrap();
}

#[test]
fn a_quarantine_blocks_its_department_only() {
    let mut books = books();
    books.quarantine("education", "ResourceGrant x");
    assert!(matches!(books.check(&[reserve("1", "education", "1")]), Err(Refusal::Quarantined { .. })));
    let mut limits_ = books.limits().clone();
    limits_.lines.insert("health".into(), QuotaLine { hard: limits("1"), shared_with_unlisted: false });
    books.set_limits(limits_);
    books.check(&[reserve("1", "health", "1")]).unwrap();
}

fn record(uid: &str, department: &str, charge: Option<(i64, &Charge)>) -> ObjectRecord {
    ObjectRecord {
        object: object(uid),
        department: department.into(),
        charge: charge.map(|(sequence, c)| ObjectCharge {
            site: "hohhot".into(),
            sequence,
            reserved: texts(&c.reserved),
            granted: texts(&c.granted),
        }),
    }
}

#[test]
fn recovery_overlays_the_journal_and_replays_it_twice_without_harm() {
    let two = Charge::reserved(cpu("2"));
    let three = Charge::reserved(cpu("3"));
    let status = LedgerStatus {
        epoch: 1,
        sequence: 7,
        totals: Charge::reserved(cpu("3")).to_text(),
        journal: vec![JournalEntry {
            sequence: 7,
            object: object("1"),
            department: "education".into(),
            charge: three.to_text(),
        }],
        ..LedgerStatus::default()
    };
    let stale = recover(books(), "hohhot", &status, &[record("1", "education", Some((5, &two)))]).unwrap();
    assert_eq!(stale.books.totals(), &three);
    assert_eq!(stale.pending.len(), 1);
    assert!(stale.held.is_none());
    let current = recover(books(), "hohhot", &status, &[record("1", "education", Some((7, &three)))]).unwrap();
    assert_eq!(current.books.totals(), &three);
    assert!(current.pending.is_empty() && current.held.is_none());
}

/// A plan holds something at several sites, and may hold nothing but what the journal says.
#[test]
fn recovery_takes_of_a_plan_what_it_holds_at_this_site() {
    let two = Charge::granted(cpu("2"));
    let at = |site: &str, sequence| {
        let mut record = record("plan", "education", Some((sequence, &two)));
        if let Some(charge) = &mut record.charge {
            charge.site = site.to_owned();
        }
        record
    };
    let status = LedgerStatus { epoch: 1, sequence: 7, totals: two.to_text(), ..LedgerStatus::default() };
    let known = [record("plan", "education", None), at("hohhot", 5), at("ulanqab", 90)];
    let recovered = recover(books(), "hohhot", &status, &known).unwrap();
    assert_eq!((recovered.books.totals(), recovered.held), (&two, None));
    let entry =
        JournalEntry { sequence: 7, object: object("plan"), department: "education".into(), charge: two.to_text() };
    let status = LedgerStatus { journal: vec![entry], ..status };
    let recovered = recover(books(), "hohhot", &status, &known[..1]).unwrap();
    assert_eq!((recovered.books.totals(), recovered.pending.len(), recovered.orphaned.len()), (&two, 1, 0));
}

#[test]
fn recovery_holds_on_a_difference_and_on_objects_from_the_future() {
    let two = Charge::granted(cpu("2"));
    let status =
        LedgerStatus { epoch: 1, sequence: 7, totals: Charge::granted(cpu("3")).to_text(), ..LedgerStatus::default() };
    let held = recover(books(), "hohhot", &status, &[record("1", "education", Some((5, &two)))]).unwrap();
    assert_eq!(held.held.unwrap().reason, "TotalsMismatch");
    let status = LedgerStatus { totals: two.to_text(), ..status };
    let held = recover(books(), "hohhot", &status, &[record("1", "education", Some((9, &two)))]).unwrap();
    assert_eq!(held.held.unwrap().reason, "HubRestoredToPast");
    assert!(held.books.held().is_some());
}

#[test]
fn a_journalled_object_that_is_gone_is_released_by_a_further_commit() {
    let status = LedgerStatus {
        epoch: 1,
        sequence: 7,
        totals: Charge::reserved(cpu("3")).to_text(),
        journal: vec![JournalEntry {
            sequence: 7,
            object: object("1"),
            department: "education".into(),
            charge: Charge::reserved(cpu("3")).to_text(),
        }],
        ..LedgerStatus::default()
    };
    let recovery = recover(books(), "hohhot", &status, &[]).unwrap();
    assert!(recovery.held.is_none());
    assert_eq!(recovery.orphaned, [reserve("1", "education", "0")]);
}

/// A status at sequence 7 whose totals are the charge of its one journal entry.
fn status_of(charge: &ChargeText) -> LedgerStatus {
    let entry =
        JournalEntry { sequence: 7, object: object("1"), department: "education".into(), charge: charge.clone() };
    LedgerStatus { epoch: 1, sequence: 7, totals: charge.clone(), journal: vec![entry], ..LedgerStatus::default() }
}

fn text(amount: &str) -> ChargeText {
    ChargeText { reserved: [("cpu".to_owned(), amount.into())].into(), ..ChargeText::default() }
}

#[test]
fn totals_that_cannot_be_read_hold_the_books() {
    let three = Charge::reserved(cpu("3"));
    let mut status = status_of(&text("3"));
    status.totals = text("three");
    let records = [record("1", "education", Some((7, &three)))];
    let held = recover(books(), "hohhot", &status, &records).unwrap().held.unwrap();
    assert_eq!(held.reason, "TotalsMismatch");
    assert!(held.message.contains("cannot be read (reserved.cpu: \"three\" is not a quantity"), "{}", held.message);
    // And what the books are held for already is not forgotten over it.
    status.held = Some(Held { reason: "HubRestoredToPast".into(), message: "why".into(), ..Held::default() });
    let held = recover(books(), "hohhot", &status, &records).unwrap();
    assert_eq!((held.held.unwrap().reason.as_str(), held.books.held()), ("HubRestoredToPast", Some("why")));
}

#[test]
fn an_entry_that_cannot_be_read_is_named() {
    let error = |status: &LedgerStatus, records: &[ObjectRecord]| {
        recover(books(), "hohhot", status, records).unwrap_err().to_string()
    };
    assert_eq!(
        error(&status_of(&text("-3")), &[]),
        "ResourceRequest dept-x/r-1: ledger status.journal charge.reserved.cpu: -3 is below zero, which no charge is"
    );
    let quarantined = QuarantinedCharge { object: object("2"), department: "education".into(), charge: text("1n") };
    let status = LedgerStatus { quarantine: vec![quarantined], ..status_of(&text("3")) };
    let told = error(&status, &[]);
    assert!(told.starts_with("ResourceRequest dept-x/r-2: ledger status.quarantine charge.reserved.cpu: "), "{told}");
    let mut own = record("3", "education", Some((5, &Charge::zero())));
    own.charge.as_mut().unwrap().granted = [("CPU".to_owned(), "1".into())].into();
    let told = error(&status_of(&text("3")), &[own]);
    assert!(told.starts_with("ResourceRequest dept-x/r-3: status.charge.granted.CPU: \"CPU\" cannot name"), "{told}");
}

#[test]
fn a_journal_that_names_an_object_twice_means_the_newer_entry() {
    let mut status = status_of(&text("3"));
    let released =
        JournalEntry { sequence: 9, charge: ChargeText::default(), ..status.journal.first().unwrap().clone() };
    (status.sequence, status.totals) = (9, ChargeText::default());
    status.journal.push(released);
    let record = record("1", "education", None);
    for _ in 0..2 {
        for records in [&[][..], std::slice::from_ref(&record)] {
            let recovery = recover(books(), "hohhot", &status, records).unwrap();
            assert!(recovery.books.totals().is_zero() && recovery.held.is_none(), "{:?}", recovery.held);
            assert!(recovery.orphaned.is_empty());
            assert_eq!(recovery.pending.len(), records.len());
        }
        status.journal.reverse();
    }
}

#[test]
fn departments_that_grow_together_are_held_against_what_they_share() {
    let mut books = books();
    let mut limits_ = books.limits().clone();
    limits_.lines.insert("health".into(), QuotaLine { hard: limits("6"), shared_with_unlisted: false });
    books.set_limits(limits_);
    // Each of the two fits under the league's 6 alone.
    books.check(&[reserve("1", "education", "4"), reserve("2", "health", "2")]).unwrap();
    let refusal = books.check(&[reserve("1", "education", "4"), reserve("2", "health", "3")]).unwrap_err();
    assert!(
        refusal.to_string().starts_with("cpu: the quota of league at hohhot is 6, 4 is used, 3 was asked, short by 1"),
        "{refusal}"
    );
}

#[test]
fn a_booking_that_fails_half_way_changes_nothing() {
    let mut books = books();
    books.book(&[reserve("1", "education", "2"), grant("2", "education", "9223372036854775800")], 1).unwrap();
    let before = books.clone();
    let too_much = [reserve("1", "education", "0"), reserve("3", "education", "5"), grant("4", "education", "9")];
    assert!(books.book(&too_much, 2).is_err());
    assert_eq!(books.totals(), before.totals());
    assert_eq!(books.subtree("league"), before.subtree("league"));
    assert_eq!(books.entries().collect::<Vec<_>>(), before.entries().collect::<Vec<_>>());
}

#[derive(Clone, Debug)]
enum Operation {
    Reserve { uid: u8, department: u8, amount: u8 },
    Transfer { from: u8, to: u8 },
    Release { uid: u8 },
    Cut { department: u8, limit: u8 },
    ReplayLast,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0u8..24, 0u8..5, 1u8..6).prop_map(|(uid, department, amount)| Operation::Reserve { uid, department, amount }),
        2 => (0u8..24, 24u8..40).prop_map(|(from, to)| Operation::Transfer { from, to }),
        2 => (0u8..40).prop_map(|uid| Operation::Release { uid }),
        1 => (0u8..5, 0u8..30).prop_map(|(department, limit)| Operation::Cut { department, limit }),
        1 => Just(Operation::ReplayLast),
    ]
}

const NAMES: [&str; 5] = ["region", "league-a", "league-b", "a-education", "b-health"];

fn random_books() -> Books {
    let mut tree = Tree::default();
    tree.place("region", None);
    tree.place("league-a", Some("region"));
    tree.place("league-b", Some("region"));
    tree.place("a-education", Some("league-a"));
    tree.place("b-health", Some("league-b"));
    let mut book = LimitBook { capacity: limits("25"), ..LimitBook::default() };
    for name in NAMES {
        book.lines.insert(name.into(), QuotaLine { hard: limits("20"), shared_with_unlisted: false });
    }
    Books::new("s", tree, book)
}

/// Recomputed from the entries alone: what the running sums must equal.
fn recomputed(books: &Books, department: &str) -> Amounts {
    books
        .entries()
        .filter(|e| books.tree().chain(&e.department).unwrap().iter().any(|a| a == department))
        .fold(Amounts::new(), |sum, e| sum.checked_add(&e.charge.total().unwrap()).unwrap())
}

proptest! {
    // 100 cases of 1,000 operations: 10^5 random operations with replays.
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn no_commit_oversells_and_sums_are_conserved(operations in prop::collection::vec(operation(), 1000)) {
        let mut books = random_books();
        let mut last: Vec<Change> = Vec::new();
        for (at, operation) in operations.into_iter().enumerate() {
            let sequence = i64::try_from(at).unwrap();
            let changes = match operation {
                Operation::Reserve { uid, department, amount } => {
                    // One object charges one department for its whole life.
                    let uid = format!("{uid}-{department}");
                    vec![reserve(&uid, NAMES[usize::from(department)], &amount.to_string())]
                }
                Operation::Transfer { from, to } => {
                    let Some(entry) = books.entries().find(|e| e.object.uid.starts_with(&format!("{from}-"))).cloned() else { continue };
                    let to = format!("{to}-{}", entry.department);
                    if books.entry(&to).is_some() || entry.charge.reserved.is_zero() { continue }
                    vec![
                        Change { object: entry.object.clone(), department: entry.department.clone(), charge: Charge::zero() },
                        Change { object: object(&to), department: entry.department.clone(), charge: Charge::granted(entry.charge.reserved.clone()) },
                    ]
                }
                Operation::Release { uid } => {
                    let Some(entry) = books.entries().find(|e| e.object.uid.starts_with(&format!("{uid}-"))).cloned() else { continue };
                    vec![Change { object: entry.object, department: entry.department, charge: Charge::zero() }]
                }
                Operation::Cut { department, limit } => {
                    let mut book = books.limits().clone();
                    book.lines.get_mut(NAMES[usize::from(department)]).unwrap().hard = limits(&limit.to_string());
                    books.set_limits(book);
                    continue;
                }
                Operation::ReplayLast => {
                    // Replaying a booked decision may only repeat what is there.
                    if last.iter().all(|c| books.entry(&c.object.uid).is_some_and(|e| e.charge == c.charge)) {
                        let before = books.totals().clone();
                        books.book(&last, sequence).unwrap();
                        prop_assert_eq!(books.totals(), &before);
                    }
                    continue;
                }
            };
            let before: Vec<Amounts> = NAMES.iter().map(|n| books.subtree(n).total().unwrap()).collect();
            let site_before = books.totals().total().unwrap();
            if books.check(&changes).is_ok() {
                books.book(&changes, sequence).unwrap();
                for (name, before) in NAMES.iter().zip(before) {
                    let now = books.subtree(name).total().unwrap();
                    prop_assert_eq!(&now, &recomputed(&books, name));
                    let over = !books.limits().lines[*name].hard.exceeded_by(&now).unwrap().is_empty();
                    let grew = now.checked_sub(&before).unwrap().iter().any(|(_, q)| !q.is_negative());
                    prop_assert!(!(over && grew), "{name} grew beyond its limit");
                    prop_assert!(now.first_negative().is_none());
                }
                let site = books.totals().total().unwrap();
                let over = !books.limits().capacity.exceeded_by(&site).unwrap().is_empty();
                let grew = site.checked_sub(&site_before).unwrap().iter().any(|(_, q)| !q.is_negative());
                prop_assert!(!(over && grew));
                last = changes;
            }
        }
    }
}
