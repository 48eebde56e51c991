//! Takeovers by the real `recover`, from what a new leader reads.
//!
//! `recover` compares sequences and nothing else of them, so any numbers in the order of the relations that a state keeps will do.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use zhengyun_crds::ledger::{JournalEntry, LedgerStatus, ObjectCharge};
use zhengyun_domain::ledger::{Charge, ObjectRecord, recover};
use zhengyun_domain::quota::texts;

use super::books::{Charges, charges_of, department, grant_bit, grant_object, request_bit, request_object};
use super::state::{Entry, Holding, REQUESTS, Record};
use super::town::{SITE, Town, amounts};

/// Sequence of an object's own charge, in a recovery.
const OWN: i64 = 10;
/// Sequence of a journal entry that is newer.
const NEWER: i64 = 20;
/// Sequence of the ledger: nothing is ahead of it.
const LEDGER: i64 = 30;

/// What one object shows, what the journal says of it, and whether the totals count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Read {
    /// Whether the object exists.
    pub(crate) exists: bool,
    /// What its list entry shows.
    pub(crate) own: Holding,
    /// Entry of the journal, beside that.
    pub(crate) entry: Entry,
    /// Whether the ledger's totals count it.
    pub(crate) counted: bool,
}

impl Read {
    /// What is stored.
    pub(crate) const fn of(record: Record, exists: bool) -> Self {
        Self { exists, own: record.own, entry: record.entry, counted: record.counted }
    }
}

/// What a new leader reads: each request with its grant.
pub(crate) type Reading = [[Read; 2]; REQUESTS];

/// What it starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Charges in its books; none if they are not what the configuration can hold.
    pub(crate) charges: Option<Charges>,
    /// Whether it found that the books do not add up.
    pub(crate) held: bool,
    /// Objects whose entry must stay in the journal.
    pub(crate) pending: Charges,
    /// Whether it would release the charge of an object that is gone.
    pub(crate) orphans: bool,
    /// Whether it would start just so if the journal still held entries that their objects show: each of them, and all.
    pub(crate) blind: bool,
}

/// Every recovery that was needed, each carried out once: `recover` is a function of what is read.
#[derive(Debug, Default)]
pub(crate) struct Recoveries {
    known: RwLock<HashMap<Reading, Start>>,
}

impl Recoveries {
    /// Recovers.
    pub(crate) fn start(&self, town: &Town, reading: &Reading) -> Start {
        if let Some(start) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(reading) {
            return *start;
        }
        let mut start = carry_out(town, reading);
        start.blind =
            with_shown(town, reading).iter().all(|other| Start { blind: false, ..carry_out(town, other) } == start);
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(*reading, start);
        start
    }

    /// How many different ones there were.
    pub(crate) fn count(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The reading with one entry that its object shows, for every object that could have one, and with all of them.
fn with_shown(town: &Town, reading: &Reading) -> Vec<Reading> {
    let mut all = *reading;
    let mut readings = Vec::new();
    for request in 0..town.requests() {
        for at in 0..2 {
            let read = &reading[request][at];
            if read.exists && read.own != Holding::Unsaid && read.entry == Entry::Absent {
                all[request][at].entry = Entry::Shown;
                let mut one = *reading;
                one[request][at].entry = Entry::Shown;
                readings.push(one);
            }
        }
    }
    readings.push(all);
    readings
}

fn carry_out(town: &Town, reading: &Reading) -> Start {
    let mut objects = Vec::new();
    let mut status = LedgerStatus { epoch: 2, sequence: LEDGER, ..LedgerStatus::default() };
    let mut totals = Charge::zero();
    for (request, pair) in reading.iter().enumerate().take(town.requests()) {
        let size = amounts(town.orders[request].size);
        let charges = [Charge::reserved(size.clone()), Charge::granted(size)];
        let named = [request_object(town, request), grant_object(town, request)];
        for ((read, charge), object) in pair.iter().zip(charges).zip(named) {
            let charge_of = |held: bool| if held { charge.clone() } else { Charge::zero() };
            let own = |charge: Charge| ObjectCharge {
                site: SITE.to_owned(),
                sequence: OWN,
                reserved: texts(&charge.reserved),
                granted: texts(&charge.granted),
            };
            if read.exists {
                objects.push(ObjectRecord {
                    object: object.clone(),
                    department: department(town, request),
                    charge: (read.own != Holding::Unsaid).then(|| own(charge_of(read.own == Holding::Held))),
                });
            }
            let (sequence, held) = match read.entry {
                Entry::Absent => (None, false),
                Entry::Held => (Some(NEWER), true),
                Entry::Nothing => (Some(NEWER), false),
                // An object that shows an entry shows its very charge; a proof of zero may carry a later sequence with it.
                Entry::Shown | Entry::Stuck => (Some(OWN), read.own == Holding::Held),
            };
            status.journal.extend(sequence.map(|sequence| JournalEntry {
                sequence,
                object: object.clone(),
                department: department(town, request),
                charge: charge_of(held).to_text(),
            }));
            if read.counted {
                totals.reserved = totals.reserved.checked_add(&charge.reserved).unwrap();
                totals.granted = totals.granted.checked_add(&charge.granted).unwrap();
            }
        }
    }
    status.totals = totals.to_text();
    let recovery = recover(town.books(), SITE, &status, &objects).unwrap();
    let mut pending = 0;
    for request in 0..town.requests() {
        let has = |uid: &str| recovery.pending.iter().any(|e| e.object.uid == uid);
        if has(&request_object(town, request).uid) {
            pending |= request_bit(request);
        }
        if has(&grant_object(town, request).uid) {
            pending |= grant_bit(request);
        }
    }
    Start {
        charges: charges_of(town, &recovery.books),
        held: recovery.held.is_some(),
        pending,
        orphans: !recovery.orphaned.is_empty(),
        blind: false,
    }
}
