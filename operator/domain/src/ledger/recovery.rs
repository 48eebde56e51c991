//! Start-up of a ledger: charges from the objects, overlaid with the journal, compared with the ledger's own totals.

use std::collections::BTreeMap;

use serde::Serialize;
use zhengyun_crds::Reason;
use zhengyun_crds::ledger::{ChargedObject, Held, LedgerStatus, ObjectCharge};

use super::{Books, Change, Charge, Entry};
use crate::digest;
use crate::quota::FieldError;
use crate::seeded::{self, Bug};

/// A request, grant or recovery plan as a consistent list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRecord {
    /// Which.
    pub object: ChargedObject,
    /// Department that it charges.
    pub department: String,
    /// What its own status says, if anything.
    pub charge: Option<ObjectCharge>,
}

/// What a ledger starts with.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Books with every charge entered.
    pub books: Books,
    /// Journal entries whose object does not show them yet: their status must be written.
    pub pending: Vec<Entry>,
    /// Charges of objects that are gone: to be released by a further commit.
    pub orphaned: Vec<Change>,
    /// Set when totals and objects differ.
    pub held: Option<Held>,
}

/// Rebuilds the books of a site from a consistent list and the ledger.
///
/// An object holds what the newest decision about it says, whatever order the journal is in.
///
/// # Errors
/// The first charge that cannot be read, with the object that it belongs to.
pub fn recover(
    mut books: Books,
    site: &str,
    ledger: &LedgerStatus,
    objects: &[ObjectRecord],
) -> Result<Recovery, FieldError> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let mut ahead = Vec::new();
    for record in objects {
        let Some(own) = record.charge.as_ref().filter(|c| c.site == site) else { continue };
        let charge = Charge::read(&own.reserved, &own.granted).map_err(|e| of("status.charge", &record.object, e))?;
        if own.sequence > ledger.sequence {
            ahead.push(format!(
                "{} {}/{} was charged at sequence {}, the ledger is at {}",
                record.object.kind, record.object.namespace, record.object.name, own.sequence, ledger.sequence
            ));
        }
        let entry = Entry {
            object: record.object.clone(),
            department: record.department.clone(),
            charge,
            sequence: own.sequence,
        };
        entries.insert(record.object.uid.clone(), entry);
    }
    let mut pending = Vec::new();
    let mut orphaned = Vec::new();
    for entry in newest(ledger)?.into_values() {
        let uid = entry.object.uid.clone();
        let exists = objects.iter().any(|r| r.object.uid == uid);
        if !exists && !entry.charge.is_zero() {
            orphaned.push(Change {
                object: entry.object.clone(),
                department: entry.department.clone(),
                charge: Charge::zero(),
            });
            entries.insert(uid, entry);
        } else if exists && entries.get(&uid).is_none_or(|own| own.sequence < entry.sequence) {
            pending.push(entry.clone());
            entries.insert(uid, entry);
        }
    }
    for quarantined in &ledger.quarantine {
        let charge = Charge::from_text(&quarantined.charge)
            .map_err(|e| of("ledger status.quarantine charge", &quarantined.object, e))?;
        books.quarantine(&quarantined.department, &format!("{} {}", quarantined.object.kind, quarantined.object.name));
        entries.entry(quarantined.object.uid.clone()).or_insert_with(|| Entry {
            object: quarantined.object.clone(),
            department: quarantined.department.clone(),
            charge,
            sequence: ledger.sequence,
        });
    }
    for entry in entries.values().filter(|e| !e.charge.is_zero()) {
        let change =
            Change { object: entry.object.clone(), department: entry.department.clone(), charge: entry.charge.clone() };
        books.book(&[change], entry.sequence).map_err(|e| {
            of("charge", &entry.object, FieldError { field: e.resource.to_string(), cause: e.to_string() })
        })?;
    }
    ahead.sort_unstable();
    let held = mismatch(&books, ledger, &ahead);
    if let Some(held) = &held {
        books.hold(Some(held.message.clone()));
    }
    Ok(Recovery { books, pending, orphaned, held })
}

/// The newest entry of each object in the journal, by UID.
fn newest(ledger: &LedgerStatus) -> Result<BTreeMap<&str, Entry>, FieldError> {
    let mut newest: BTreeMap<&str, Entry> = BTreeMap::new();
    if seeded::is(Bug::JournalNotReplayed) {
        return Ok(newest);
    }
    for journalled in &ledger.journal {
        let entry = Entry {
            object: journalled.object.clone(),
            department: journalled.department.clone(),
            charge: Charge::from_text(&journalled.charge)
                .map_err(|e| of("ledger status.journal charge", &journalled.object, e))?,
            sequence: journalled.sequence,
        };
        let uid = journalled.object.uid.as_str();
        if newest.get(uid).is_none_or(|other| other.sequence < entry.sequence) {
            newest.insert(uid, entry);
        }
    }
    Ok(newest)
}

/// A fault in a charge, with where it stands and whose it is.
fn of(place: &str, object: &ChargedObject, error: FieldError) -> FieldError {
    let ChargedObject { kind, namespace, name, uid: _ } = object;
    FieldError { field: format!("{kind} {namespace}/{name}: {place}.{}", error.field), cause: error.cause }
}

fn mismatch(books: &Books, ledger: &LedgerStatus, ahead: &[String]) -> Option<Held> {
    if let Some(held) = &ledger.held {
        // Held outlives a restart: only an accepted audit ends it. The digest follows the books.
        return Some(Held { digest: audit_digest(books, ledger.sequence), ..held.clone() });
    }
    let recorded = Charge::from_text(&ledger.totals);
    let computed = books.totals();
    if recorded.as_ref() == Ok(computed) && ahead.is_empty() {
        return None;
    }
    let message = match recorded {
        _ if !ahead.is_empty() => format!(
            "objects are ahead of the ledger, as after a restore of the hub: {}; run `zhengyun-operator audit-ledger`, then accept with --accept and a reason",
            ahead.join("; ")
        ),
        Ok(recorded) => format!(
            "the ledger's totals are reserved {}, granted {}, but its requests, grants and recovery plans add up to reserved {}, granted {}; compare with `zhengyun-operator audit-ledger`, then accept with --accept and a reason",
            recorded.reserved, recorded.granted, computed.reserved, computed.granted
        ),
        Err(error) => format!(
            "the ledger's totals cannot be read ({error}), but its requests, grants and recovery plans add up to reserved {}, granted {}; compare with `zhengyun-operator audit-ledger`, then accept with --accept and a reason",
            computed.reserved, computed.granted
        ),
    };
    let reason = if ahead.is_empty() { Reason::TotalsMismatch } else { Reason::HubRestoredToPast };
    Some(Held {
        reason: reason.as_str().to_owned(),
        message: crate::condition::cut(message, 2000),
        digest: audit_digest(books, ledger.sequence),
    })
}

/// The digest of an audit: every charge of a site, in a fixed order. Whoever accepts it accepts exactly these books.
pub fn audit_digest(books: &Books, sequence: i64) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        uid: &'a str,
        department: &'a str,
        charge: zhengyun_crds::ledger::Charge,
    }
    let lines: Vec<Line<'_>> = books
        .entries()
        .map(|e| Line { uid: &e.object.uid, department: &e.department, charge: e.charge.to_text() })
        .collect();
    // With the sequence, which every acceptance raises: one word of an administrator ends one hold, never a later one.
    digest::of(&(sequence, lines))
}
