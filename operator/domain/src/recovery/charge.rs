//! What backups are charged: exact bytes, as quantities for the ledger.
//!
//! A plan is charged at the site of each of its stores. While a run is under way it holds its whole ceiling there: what stands is
//! granted, the rest is reserved. When the run ends, one decision settles it to the bytes that stand. A run may therefore never
//! fill a store beyond what was reserved, and a run that would pass the ceiling stops and leaves the backups before it alone.

use std::collections::BTreeMap;

use crate::amounts::{AmountError, Amounts, ResourceName};
use crate::ledger::Charge;
use crate::quantity::{Format, Quantity, QuantityError};

/// Resource that bytes of backups are charged as.
pub const STORAGE_BACKUP: &str = "storage.backup";

/// How a ceiling is or would be passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Store.
    pub store: String,
    /// Bytes that stand.
    pub stored: Quantity,
    /// Bytes that would be written.
    pub more: Quantity,
    /// The ceiling.
    pub ceiling: Quantity,
    /// By how much it is passed.
    pub over: Quantity,
}

/// What cannot be charged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChargeError {
    /// What stands is above the ceiling before the run begins.
    #[error(
        "QuotaExceeded: store {} holds {} of this plan and spec.ceiling is {}, less than that by {}: raise spec.ceiling, or keep fewer backups and wait for retention",
        .0.store, .0.stored, .0.ceiling, .0.over
    )]
    AboveCeiling(Box<Passed>),
    /// The run would pass the ceiling.
    #[error(
        "QuotaExceeded: store {} holds {} of this plan, {} more would pass spec.ceiling {} by {}: the run stops and the backups before it stay; raise spec.ceiling, or keep fewer backups",
        .0.store, .0.stored, .0.more, .0.ceiling, .0.over
    )]
    WouldPass(Box<Passed>),
    /// The ceiling is not a whole number of bytes.
    #[error("Invalid: spec.ceiling {0} is not a whole number of bytes: write one such as 50Gi")]
    NotBytes(Quantity),
    /// A number of bytes is beyond what an amount can be.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// A sum is beyond what an amount can be.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// What a plan has in one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Store.
    pub store: String,
    /// Site whose ledger is charged.
    pub site: String,
    /// Bytes that the plan's backups take up there.
    pub bytes: u64,
}

/// Bytes as a quantity, exactly.
///
/// # Errors
/// When they are beyond 2^63-1.
pub fn bytes(count: u64) -> Result<Quantity, QuantityError> {
    Quantity::from_milli(i128::from(count).saturating_mul(1000), Format::BinarySi)
}

/// What a plan is charged at each site while a run is under way: its ceiling in every store.
///
/// # Errors
/// When a store already holds more than the ceiling; then no run begins, and [`settled`] is what is charged.
pub fn running(stores: &[Stored], ceiling: &Quantity) -> Result<BTreeMap<String, Charge>, ChargeError> {
    if ceiling.whole_units().is_none() {
        return Err(ChargeError::NotBytes(*ceiling));
    }
    let mut charges: BTreeMap<String, Charge> = BTreeMap::new();
    for stored in stores {
        let granted = bytes(stored.bytes)?;
        let left = ceiling.checked_sub(&granted)?;
        if left.is_negative() {
            return Err(ChargeError::AboveCeiling(Box::new(Passed {
                store: stored.store.clone(),
                stored: granted,
                more: Quantity::ZERO,
                ceiling: *ceiling,
                over: granted.checked_sub(ceiling)?,
            })));
        }
        add(&mut charges, &stored.site, left, granted)?;
    }
    Ok(charges)
}

/// What a plan is charged at each site while nothing runs: the bytes that stand.
///
/// # Errors
/// When a sum is beyond what an amount can be.
pub fn settled(stores: &[Stored]) -> Result<BTreeMap<String, Charge>, ChargeError> {
    let mut charges: BTreeMap<String, Charge> = BTreeMap::new();
    for stored in stores {
        add(&mut charges, &stored.site, Quantity::ZERO, bytes(stored.bytes)?)?;
    }
    Ok(charges)
}

/// Whether a run may write more into a store. Asked before every batch, with the batch's bytes.
///
/// # Errors
/// When that would pass the ceiling.
pub fn may_write(stored: &Stored, more: u64, ceiling: &Quantity) -> Result<(), ChargeError> {
    let (have, more) = (bytes(stored.bytes)?, bytes(more)?);
    let over = have.checked_add(&more)?.checked_sub(ceiling)?;
    if over.is_negative() || over.is_zero() {
        return Ok(());
    }
    Err(ChargeError::WouldPass(Box::new(Passed {
        store: stored.store.clone(),
        stored: have,
        more,
        ceiling: *ceiling,
        over,
    })))
}

fn add(
    charges: &mut BTreeMap<String, Charge>,
    site: &str,
    reserved: Quantity,
    granted: Quantity,
) -> Result<(), ChargeError> {
    let charge = charges.entry(site.to_owned()).or_default();
    charge.reserved = charge.reserved.checked_add(&amounts(reserved))?;
    charge.granted = charge.granted.checked_add(&amounts(granted))?;
    Ok(())
}

fn amounts(quantity: Quantity) -> Amounts {
    // The name is a constant that reads as a resource name; a test holds it to that.
    ResourceName::try_from(STORAGE_BACKUP).map(|name| Amounts::from_iter([(name, quantity)])).unwrap_or_default()
}
