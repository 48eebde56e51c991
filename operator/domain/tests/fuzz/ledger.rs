//! Books recovered from whatever a crash, a restore or a hand left behind.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use zhengyun_crds::amounts::AmountText;
use zhengyun_crds::ledger::{Charge as ChargeText, LedgerStatus};
use zhengyun_domain::amounts::{Amounts, Limit, Limits};
use zhengyun_domain::ledger::{Books, Change, Charge, Recovery, audit_digest, recover};

use crate::books::{SITE, Standing, TREE, Thing, World, charge, world};
use crate::run::fuzz;
use crate::values::{data, loaded_text};

fn recovered(world: &World) -> Recovery {
    recover(world.empty_books(), SITE, &world.status(), &world.records()).unwrap()
}

/// What every object holds, by UID; nothing of those that hold nothing.
fn charges(books: &Books) -> BTreeMap<String, Charge> {
    books.entries().map(|entry| (entry.object.uid.clone(), entry.charge.clone())).collect()
}

fn read(text: &ChargeText) -> Charge {
    Charge::from_text(text).unwrap()
}

/// What an ancestor's subtree holds, added up anew; the site is the empty name.
fn used(books: &Books, ancestor: &str) -> Amounts {
    let under =
        |department: &str| ancestor.is_empty() || books.tree().chain(department).unwrap().iter().any(|a| a == ancestor);
    (books.entries().filter(|entry| under(&entry.department)))
        .fold(Amounts::new(), |sum, entry| sum.checked_add(&entry.charge.total().unwrap()).unwrap())
}

/// Every object holds what was decided last about it, whatever order it is told in.
#[test]
fn recovery_finds_what_was_decided_last() {
    fuzz("ledger::recovery_finds_what_was_decided_last", 1_500, &world(), |world| {
        let recovery = recovered(&world);
        let expected: BTreeMap<String, Charge> = (world.things.iter())
            .filter_map(|thing| Some((thing.object().uid, read(thing.truth().0?))))
            .filter(|(_, charge)| !charge.is_zero())
            .collect();
        prop_assert_eq!(charges(&recovery.books), expected);
        prop_assert_eq!(recovery.books.totals(), &read(&world.sum()));
        for (name, _) in TREE {
            prop_assert_eq!(recovery.books.subtree(name).total().unwrap(), used(&recovery.books, name));
        }
        let pending: Vec<String> = recovery.pending.iter().map(|entry| entry.object.uid.clone()).collect();
        prop_assert_eq!(pending.iter().cloned().collect::<BTreeSet<_>>(), world.standing(Standing::Untold));
        prop_assert_eq!(pending.len(), world.standing(Standing::Untold).len(), "each once");
        let gone: Vec<String> = recovery.orphaned.iter().map(|change| change.object.uid.clone()).collect();
        prop_assert_eq!(gone.iter().cloned().collect::<BTreeSet<_>>(), world.standing(Standing::Gone));
        prop_assert_eq!(gone.len(), world.standing(Standing::Gone).len(), "each once");
        prop_assert!(recovery.orphaned.iter().all(|change| change.charge.is_zero()));

        let future = |thing: &Thing| {
            thing.exists && thing.own.as_ref().is_some_and(|(here, (at, _))| *here && *at > world.sequence)
        };
        let differs = world.totals.as_ref().is_some_and(|totals| read(totals) != read(&world.sum()));
        let held = world.held || differs || world.things.iter().any(future);
        prop_assert_eq!(recovery.held.is_some(), held, "{:?}", recovery.held);
        prop_assert_eq!(recovery.books.held().is_some(), held);
        Ok(())
    });
}

/// Recovering twice, in another order, or after some of the objects were told, gives the same books.
#[test]
fn replaying_changes_nothing() {
    let values = (world(), any::<u16>());
    fuzz("ledger::replaying_changes_nothing", 1_000, &values, |(world, told)| {
        let first = recovered(&world);
        let digest = |recovery: &Recovery| audit_digest(&recovery.books, world.sequence);
        let mut turned = world.status();
        turned.journal.reverse();
        turned.quarantine.reverse();
        let mut records = world.records();
        records.reverse();
        let again = recover(world.empty_books(), SITE, &turned, &records).unwrap();
        prop_assert_eq!(charges(&again.books), charges(&first.books));
        prop_assert_eq!((digest(&again), &again.held), (digest(&first), &first.held));

        // The operator ends while it tells the objects; the journal still holds what it told.
        let mut later = world.clone();
        for entry in &first.pending {
            let thing = later.things.iter_mut().find(|thing| thing.object().uid == entry.object.uid).unwrap();
            if told >> thing.number & 1 == 1 {
                thing.own = Some((true, (entry.sequence, entry.charge.to_text())));
            }
        }
        let later = recovered(&later);
        prop_assert_eq!(charges(&later.books), charges(&first.books));
        prop_assert_eq!(digest(&later), digest(&first));
        prop_assert!(later.pending.len() <= first.pending.len());

        // Booking what is booked is no change either.
        let mut books = first.books.clone();
        let entries: Vec<Change> = (first.books.entries())
            .map(|e| Change { object: e.object.clone(), department: e.department.clone(), charge: e.charge.clone() })
            .collect();
        books.check(&entries).ok();
        books.book(&entries, world.sequence + 1).unwrap();
        prop_assert_eq!(charges(&books), charges(&first.books));
        prop_assert_eq!(books.totals(), first.books.totals());
        Ok(())
    });
}

/// A decision asked for after the recovery: new charges of some objects, of one department or of several.
type Decision = Vec<(usize, usize, ChargeText)>;

fn over(limits: &Limits, used: &Amounts) -> Vec<String> {
    let is_over = |resource: &&zhengyun_domain::amounts::ResourceName| match limits.get(resource) {
        Limit::Unlimited => false,
        Limit::AtMost(most) => used.get(resource) > most,
    };
    used.iter().map(|(resource, _)| resource).filter(is_over).map(ToString::to_string).collect()
}

/// Whatever was recovered: nothing that is taken from then on makes any sum grow beyond its limit.
#[test]
fn nothing_is_oversold_after_a_recovery() {
    let decision = proptest::collection::vec((0_usize..14, 0..TREE.len(), charge()), 1..4);
    let values = (world(), proptest::collection::vec(decision, 1..30));
    fuzz("ledger::nothing_is_oversold_after_a_recovery", 300, &values, |(world, decisions): (World, Vec<Decision>)| {
        let recovery = recovered(&world);
        let mut books = recovery.books;
        let quarantined: BTreeSet<&str> =
            world.things.iter().filter(|t| t.quarantined.is_some()).map(Thing::department_name).collect();
        for (at, decision) in decisions.into_iter().enumerate() {
            let mut changes: BTreeMap<String, Change> = BTreeMap::new();
            for (number, department, charge) in decision {
                // An object charges one department for its whole life.
                let thing = world.things.get(number).cloned().unwrap_or(Thing {
                    number,
                    department,
                    exists: true,
                    own: None,
                    journal: Vec::new(),
                    quarantined: None,
                });
                let department = books
                    .entry(&thing.object().uid)
                    .map_or(thing.department_name().to_owned(), |e| e.department.clone());
                changes
                    .insert(thing.object().uid, Change { object: thing.object(), department, charge: read(&charge) });
            }
            let changes: Vec<Change> = changes.into_values().collect();
            let before = books.clone();
            if books.check(&changes).is_err() {
                continue;
            }
            books.book(&changes, world.sequence + 1 + i64::try_from(at).unwrap()).unwrap();
            let nodes = TREE.iter().map(|(name, _)| *name).chain([""]);
            for (node, limits) in nodes.zip(&world.limits) {
                let (was, is) = (used(&before, node), used(&books, node));
                for resource in over(limits, &is) {
                    let resource = resource.parse().unwrap();
                    prop_assert!(
                        is.get(&resource) <= was.get(&resource),
                        "{resource} of {node:?}: {was}, then {is}, limits {limits:?}"
                    );
                }
                let grew = is.checked_sub(&was).unwrap().iter().any(|(_, amount)| !amount.is_negative());
                prop_assert!(!(grew && recovery.held.is_some()), "held books took a charge");
                prop_assert!(
                    !(grew && quarantined.contains(node) && TREE.iter().all(|(_, parent)| *parent != Some(node)))
                );
            }
            prop_assert_eq!(books.totals().total().unwrap(), used(&books, ""));
        }
        Ok(())
    });
}

/// A booking whose sums are beyond what an amount can be leaves the books as they were, however far it came.
#[test]
fn a_booking_that_fails_changes_nothing() {
    let amount =
        proptest::sample::select(vec!["1", "9223372036854775807", "9223372036854775806", "4611686018427387904", "0"]);
    let change = (0_usize..6, 0..TREE.len(), amount, any::<bool>());
    let values = (world(), proptest::collection::vec(proptest::collection::vec(change, 1..5), 1..6));
    fuzz("ledger::a_booking_that_fails_changes_nothing", 500, &values, |(world, bookings)| {
        let mut books = recovered(&world).books;
        for booking in bookings {
            let mut changes: BTreeMap<String, Change> = BTreeMap::new();
            for (number, department, amount, granted) in booking {
                let thing =
                    Thing { number, department, exists: true, own: None, journal: Vec::new(), quarantined: None };
                let department =
                    books.entry(&thing.object().uid).map_or(thing.department_name(), |e| e.department.as_str());
                let amounts: Amounts = [("cpu".parse().unwrap(), amount.parse().unwrap())].into_iter().collect();
                let charge = if granted { Charge::granted(amounts) } else { Charge::reserved(amounts) };
                let change = Change { object: thing.object(), department: department.to_owned(), charge };
                changes.insert(thing.object().uid, change);
            }
            let changes: Vec<Change> = changes.into_values().collect();
            let before = books.clone();
            if books.book(&changes, world.sequence + 1).is_err() {
                prop_assert_eq!(books.entries().collect::<Vec<_>>(), before.entries().collect::<Vec<_>>());
                prop_assert_eq!(books.totals(), before.totals());
                for (name, _) in TREE {
                    prop_assert_eq!(books.subtree(name), before.subtree(name));
                }
            }
        }
        Ok(())
    });
}

/// Where a bad text is put.
#[derive(Clone, Debug)]
enum Place {
    Own,
    Journal,
    Quarantine,
    Totals,
}

/// One entry that cannot be read: an error that names it, or the books are held. Never as if it were not there.
#[test]
fn an_unreadable_entry_is_named() {
    let bad = proptest::sample::select(vec![
        "",
        "x",
        "-1",
        "-1m",
        "1n",
        "0.0001",
        "1K",
        "4 Gi",
        "9e99",
        "99999999999999999999",
        "١",
        "NaN",
    ]);
    let place = proptest::sample::select(vec![Place::Own, Place::Journal, Place::Quarantine, Place::Totals]);
    let name = prop_oneof![4 => Just("cpu".to_owned()), 1 => Just("CPU".to_owned()), 1 => loaded_text()];
    let values = (world(), place, any::<Index>(), (bad, name, any::<bool>()), (0_i64..30, charge()));
    fuzz(
        "ledger::an_unreadable_entry_is_named",
        2_000,
        &values,
        |(mut world, place, at, (bad, name, granted), account)| {
            let mut charge = account.1;
            let amounts = if granted { &mut charge.granted } else { &mut charge.reserved };
            // A name that is none makes a good amount unreadable, too.
            let text = if name == "cpu" { bad } else { "1" };
            amounts.insert(name.clone(), AmountText(text.to_owned()));
            let is_bad = name == "cpu" || Charge::from_text(&charge).is_err();
            if world.things.is_empty() || !is_bad {
                return Ok(());
            }
            let thing = at.index(world.things.len());
            let thing = &mut world.things[thing];
            let object = thing.object();
            match place {
                Place::Own => (thing.exists, thing.own) = (true, Some((true, (account.0, charge)))),
                Place::Journal => thing.journal = vec![(account.0, charge)],
                Place::Quarantine => thing.quarantined = Some(charge),
                Place::Totals => world.totals = Some(charge),
            }
            // The model cannot add up what cannot be read. What the books are held for already is told first.
            world.totals.get_or_insert_default();
            (world.held, world.sequence) = (false, 50);
            let outcome = recover(world.empty_books(), SITE, &world.status(), &world.records());
            if matches!(place, Place::Totals) {
                let held = outcome.unwrap().held.unwrap();
                prop_assert!(held.message.contains("totals"), "{}", held.message);
                return Ok(());
            }
            let error = outcome.map(|recovery| charges(&recovery.books)).unwrap_err();
            for part in [&object.kind, &object.namespace, &object.name] {
                prop_assert!(error.field.contains(part.as_str()), "{error}");
            }
            prop_assert!(error.field.contains(if granted { "granted" } else { "reserved" }), "{error}");
            prop_assert!(error.to_string().chars().count() < 600, "{error}");
            Ok(())
        },
    );
}

/// A status of any shape: it is read or refused; its books are recovered or refused; a charge that is read is written as the same.
#[test]
fn no_status_makes_recovery_panic() {
    let pointer = proptest::sample::select(vec![
        "/sequence",
        "/totals",
        "/totals/reserved",
        "/journal",
        "/journal/0",
        "/journal/0/charge",
        "/journal/0/charge/granted",
        "/journal/0/object/uid",
        "/journal/0/sequence",
        "/quarantine",
        "/quarantine/0/charge",
        "/held",
    ]);
    let amount = prop_oneof![
        Just("9223372036854775807".to_owned()),
        Just("9223372036854775.807k".to_owned()),
        Just("7Ei".to_owned()),
        Just("-9E".to_owned()),
        loaded_text(),
        "[0-9]{1,22}[mkEP]?",
    ];
    let charge = proptest::collection::btree_map("cpu|memory|[a-zA-Z.]{0,4}", amount.prop_map(AmountText), 0..4);
    let whole = (charge.clone(), charge).prop_map(|(reserved, granted)| ChargeText { reserved, granted });
    let values = (world(), pointer, data(), proptest::collection::vec(whole, 1..6), i64::MIN..=i64::MAX);
    fuzz("ledger::no_status_makes_recovery_panic", 2_000, &values, |(mut world, pointer, value, charges, sequence)| {
        for (thing, charge) in world.things.iter_mut().zip(&charges) {
            thing.journal = vec![(sequence, charge.clone())];
        }
        world.totals = charges.first().cloned();
        let mut status = serde_json::to_value(world.status()).unwrap();
        recover(world.empty_books(), SITE, &world.status(), &world.records()).ok();
        if let Some(place) = status.pointer_mut(pointer) {
            *place = value;
        }
        if let Ok(status) = serde_json::from_value::<LedgerStatus>(status) {
            recover(world.empty_books(), SITE, &status, &world.records()).ok();
        }
        for charge in charges {
            if let Ok(read) = Charge::from_text(&charge) {
                prop_assert_eq!(Charge::from_text(&read.to_text()).unwrap(), read.clone());
                prop_assert!(read.reserved.first_negative().is_none() && read.granted.first_negative().is_none());
                prop_assert_eq!(
                    serde_json::to_value(read.to_text()).unwrap().get("reserved").is_none_or(Value::is_object),
                    true
                );
            }
        }
        Ok(())
    });
}
