//! What one object holds, as amounts and as the text of custom resources.

use zhengyun_crds::amounts::Amounts as AmountsText;
use zhengyun_crds::ledger::Charge as ChargeText;

use crate::amounts::{AmountError, Amounts};
use crate::quota;
use crate::seeded::{self, Bug};

/// What one object holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Reserved by a request under review.
    pub reserved: Amounts,
    /// Held by a grant.
    pub granted: Amounts,
}

impl Charge {
    /// Nothing.
    pub const fn zero() -> Self {
        Self { reserved: Amounts::new(), granted: Amounts::new() }
    }

    /// A reservation.
    pub const fn reserved(amounts: Amounts) -> Self {
        Self { reserved: amounts, granted: Amounts::new() }
    }

    /// A grant's charge.
    pub const fn granted(amounts: Amounts) -> Self {
        Self { reserved: Amounts::new(), granted: amounts }
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.reserved.is_zero() && self.granted.is_zero()
    }

    /// Reserved and granted together: what limits are held against.
    ///
    /// # Errors
    /// When the sum is beyond what an amount can be.
    pub fn total(&self) -> Result<Amounts, AmountError> {
        if seeded::is(Bug::ReservationsNotSummed) {
            return Ok(self.granted.clone());
        }
        self.reserved.checked_add(&self.granted)
    }

    pub(super) fn plus(&self, other: &Self) -> Result<Self, AmountError> {
        Ok(Self {
            reserved: self.reserved.checked_add(&other.reserved)?,
            granted: self.granted.checked_add(&other.granted)?,
        })
    }

    pub(super) fn minus(&self, other: &Self) -> Result<Self, AmountError> {
        Ok(Self {
            reserved: self.reserved.checked_sub(&other.reserved)?,
            granted: self.granted.checked_sub(&other.granted)?,
        })
    }

    /// As text for a custom resource.
    pub fn to_text(&self) -> ChargeText {
        ChargeText { reserved: quota::texts(&self.reserved), granted: quota::texts(&self.granted) }
    }

    /// From the text of a custom resource.
    ///
    /// # Errors
    /// The first field that is not an amount, or is one below zero: such a charge would make room that is not there.
    pub fn from_text(text: &ChargeText) -> Result<Self, quota::FieldError> {
        Self::read(&text.reserved, &text.granted)
    }

    pub(super) fn read(reserved: &AmountsText, granted: &AmountsText) -> Result<Self, quota::FieldError> {
        let amounts = |field: &str, text: &AmountsText| {
            let amounts = quota::amounts(field, text)?;
            match amounts.first_negative() {
                Some((resource, quantity)) => Err(quota::FieldError {
                    field: format!("{field}.{resource}"),
                    cause: format!("{quantity} is below zero, which no charge is"),
                }),
                None => Ok(amounts),
            }
        };
        Ok(Self { reserved: amounts("reserved", reserved)?, granted: amounts("granted", granted)? })
    }
}
