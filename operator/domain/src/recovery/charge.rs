//! What the bytes of backups are charged: exact, as quantities for the ledger.
//!
//! A department has one repository in a store, which its plans share. What the repository takes up was measured at the end of the last
//! process that wrote it, and is divided among the plans without a rest: each has what its kept backups added; the remainder (what
//! dropped and given-up backups left behind until it is freed, indexes, evidence) is the oldest plan's.
//!
//! While a run of a plan may write to a store, the plan holds its whole ceiling there: what stands is granted, the rest is reserved. As long as
//! that is so, no charge of the department falls at that site. So what its plans hold in a store together never falls below what a
//! process was told that the repository may hold.

mod site;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::ResourceExt;
use zhengyun_crds::recovery::{BackupPhase, RecoveryPlan, SystemBackup};

use super::retention::{left_behind, stands_in};
use crate::amounts::{AmountError, Amounts, ResourceName};
use crate::quantity::{Format, Quantity, QuantityError};

pub use site::{changes, wanted};

/// Resource that bytes of backups are charged as.
pub const STORAGE_BACKUP: &str = "storage.backup";

/// A plan as a bearer of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// UID of the plan.
    pub uid: String,
    /// When it was written.
    pub created: Timestamp,
    /// Whether it is being deleted: it bears only what no other plan can.
    pub leaves: bool,
    /// Bytes that its backups may take up in each store.
    pub ceiling: u64,
    /// Bytes that its kept backups added, by store.
    pub added: BTreeMap<String, u64>,
    /// Stores that a run of it may be writing to, or left something in that was not measured yet.
    pub writes: BTreeSet<String>,
}

/// A store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Site whose ledger is charged.
    pub site: String,
    /// Bytes of the department's repository when it was last measured; 0 before its first backup.
    pub bytes: u64,
}

/// What a plan has in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Bytes that stand.
    pub stands: u64,
    /// Bytes that it holds: the same, or its ceiling while a run may be writing.
    pub holds: u64,
}

/// Shares by store and UID of the plan.
pub type Shares = BTreeMap<String, BTreeMap<String, Share>>;

/// What cannot be charged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChargeError {
    /// What stands is above the ceiling before the run begins.
    #[error(
        "QuotaExceeded: store {store} holds {stands} of this plan and spec.ceiling is {ceiling}: raise spec.ceiling, or keep fewer backups and wait for retention"
    )]
    AboveCeiling {
        /// Store.
        store: String,
        /// Bytes that stand.
        stands: Quantity,
        /// The ceiling.
        ceiling: Quantity,
    },
    /// A number of bytes is beyond what an amount can be.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// A sum is beyond what an amount can be.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl Bearer {
    /// A plan with its backups; those of others are left aside.
    pub fn of(plan: &RecoveryPlan, backups: &[&SystemBackup]) -> Self {
        let uid = plan.metadata.uid.clone().unwrap_or_default();
        let mut bearer = Self {
            created: plan.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |at| at.0),
            leaves: plan.metadata.deletion_timestamp.is_some(),
            ceiling: ceiling(plan),
            ..Self::default()
        };
        for backup in backups.iter().filter(|b| b.spec.plan_uid == uid && b.namespace() == plan.namespace()) {
            for copy in backup.status.iter().flat_map(|status| &status.copies) {
                if stands_in(backup, &copy.store) {
                    let sum = bearer.added.entry(copy.store.clone()).or_default();
                    *sum = sum.saturating_add(u64::try_from(copy.bytes_added).unwrap_or_default());
                }
            }
            bearer.writes.extend(written(backup));
        }
        Self { uid, ..bearer }
    }
}

/// The ceiling of a plan in bytes; 0 for one that is none, under which nothing runs.
pub fn ceiling(plan: &RecoveryPlan) -> u64 {
    let read: Option<Quantity> = plan.spec.ceiling.as_str().parse().ok();
    read.and_then(|ceiling| u64::try_from(ceiling.whole_units()?).ok()).unwrap_or_default()
}

/// Stores that a backup may be writing to, or left something in that is still to be removed and measured.
fn written(backup: &SystemBackup) -> BTreeSet<String> {
    let status = backup.status.clone().unwrap_or_default();
    match status.phase.unwrap_or(BackupPhase::Pending) {
        BackupPhase::Pending | BackupPhase::Reserving => BTreeSet::new(),
        phase if phase.is_terminal() => left_behind(backup),
        _ => status.copies.into_iter().map(|copy| copy.store).collect(),
    }
}

/// Divides what stands in each store among the plans of the department, and says what each holds.
pub fn shares(bearers: &[Bearer], places: &BTreeMap<String, Place>) -> Shares {
    places.iter().map(|(store, place)| (store.clone(), divided(bearers, store, place.bytes))).collect()
}

fn divided(bearers: &[Bearer], store: &str, bytes: u64) -> BTreeMap<String, Share> {
    let stay = bearers.iter().any(|bearer| !bearer.leaves);
    let mut bearing: Vec<&Bearer> = bearers.iter().filter(|bearer| !stay || !bearer.leaves).collect();
    bearing.sort_by(|a, b| (a.created, &a.uid).cmp(&(b.created, &b.uid)));
    let mut left = bytes;
    let mut all: BTreeMap<String, Share> = BTreeMap::new();
    for bearer in bearing.iter().skip(1) {
        let stands = bearer.added.get(store).copied().unwrap_or_default().min(left);
        left = left.saturating_sub(stands);
        all.insert(bearer.uid.clone(), Share { stands, holds: stands });
    }
    if let Some(oldest) = bearing.first() {
        all.insert(oldest.uid.clone(), Share { stands: left, holds: left });
    }
    for bearer in bearers.iter().filter(|bearer| bearer.writes.contains(store)) {
        let share = all.entry(bearer.uid.clone()).or_default();
        share.holds = share.holds.max(bearer.ceiling);
    }
    all
}

/// Bytes that the repository in a store may hold: what the department's plans hold there together.
pub fn room(shares: &Shares, store: &str) -> u64 {
    let held = shares.get(store).into_iter().flat_map(BTreeMap::values);
    held.fold(0_u64, |sum, share| sum.saturating_add(share.holds))
}

/// Whether a run of a plan may begin at all.
///
/// # Errors
/// When what stands in one of the stores is above the ceiling already.
pub fn may_begin(bearer: &Bearer, shares: &Shares, stores: &BTreeSet<String>) -> Result<(), ChargeError> {
    for store in stores {
        let share = shares.get(store).and_then(|all| all.get(&bearer.uid)).copied().unwrap_or_default();
        if share.stands > bearer.ceiling {
            let (stands, ceiling) = (bytes(share.stands)?, bytes(bearer.ceiling)?);
            return Err(ChargeError::AboveCeiling { store: store.clone(), stands, ceiling });
        }
    }
    Ok(())
}

/// Bytes as a quantity, exactly.
///
/// # Errors
/// When they are beyond 2^63-1.
pub fn bytes(count: u64) -> Result<Quantity, QuantityError> {
    Quantity::from_milli(i128::from(count).saturating_mul(1000), Format::BinarySi)
}

fn amounts(count: u64) -> Result<Amounts, QuantityError> {
    if count == 0 {
        return Ok(Amounts::new());
    }
    let quantity = bytes(count)?;
    // The name is a constant that reads as a resource name; a test holds it to that.
    Ok(ResourceName::try_from(STORAGE_BACKUP).map(|name| Amounts::from_iter([(name, quantity)])).unwrap_or_default())
}
