//! Amounts of several resources at once: what is asked, charged, used or left.
//!
//! A resource that is not mentioned is zero, and a zero is never kept, so two [`Amounts`] that mean the same are equal.
//! [`Limits`] say what may be used: a resource that is not mentioned there may not be used at all, and `unlimited`
//! must be written.

mod limits;
mod name;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use limits::{Limit, Limits, Shortfall};
pub use name::{ResourceName, ResourceNameError};

use crate::quantity::{Quantity, QuantityError};

/// How much of each resource, such as `{cpu: "4", memory: 8Gi}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<ResourceName, Quantity>")]
#[serde(into = "BTreeMap<ResourceName, Quantity>")]
pub struct Amounts(BTreeMap<ResourceName, Quantity>);

/// A computation on one resource that has no exact result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{resource}: {cause}")]
pub struct AmountError {
    /// The resource that overflowed.
    pub resource: ResourceName,
    /// What went wrong.
    #[source]
    pub cause: QuantityError,
}

impl Amounts {
    /// Nothing of anything.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// How much of one resource; zero if it is not mentioned.
    pub fn get(&self, resource: &ResourceName) -> Quantity {
        self.0.get(resource).copied().unwrap_or_default()
    }

    /// Replaces the amount of one resource.
    pub fn set(&mut self, resource: ResourceName, quantity: Quantity) {
        if quantity.is_zero() {
            self.0.remove(&resource);
        } else {
            self.0.insert(resource, quantity);
        }
    }

    /// Every resource that is not zero, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceName, &Quantity)> {
        self.0.iter()
    }

    /// Whether there is nothing of anything.
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The first resource with an amount below zero, which no charge may have.
    pub fn first_negative(&self) -> Option<(&ResourceName, &Quantity)> {
        self.0.iter().find(|(_, quantity)| quantity.is_negative())
    }

    /// The sum, resource by resource.
    pub fn checked_add(&self, other: &Self) -> Result<Self, AmountError> {
        self.combine(other, Quantity::checked_add)
    }

    /// The difference, resource by resource, which may be negative.
    pub fn checked_sub(&self, other: &Self) -> Result<Self, AmountError> {
        self.combine(other, Quantity::checked_sub)
    }

    /// The larger of the two, resource by resource: what a change is charged until the site shows the new size.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        self.union(other).map(|(resource, left, right)| (resource.clone(), left.max(right))).collect()
    }

    fn combine(
        &self,
        other: &Self,
        operation: impl Fn(&Quantity, &Quantity) -> Result<Quantity, QuantityError>,
    ) -> Result<Self, AmountError> {
        self.union(other)
            .map(|(resource, left, right)| match operation(&left, &right) {
                Ok(quantity) => Ok((resource.clone(), quantity)),
                Err(cause) => Err(AmountError { resource: resource.clone(), cause }),
            })
            .collect()
    }

    /// Every resource that either side mentions, with both amounts.
    fn union<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a ResourceName, Quantity, Quantity)> {
        let only_other = other.0.keys().filter(|resource| !self.0.contains_key(*resource));
        self.0.keys().chain(only_other).map(|resource| (resource, self.get(resource), other.get(resource)))
    }
}

impl FromIterator<(ResourceName, Quantity)> for Amounts {
    fn from_iter<T: IntoIterator<Item = (ResourceName, Quantity)>>(entries: T) -> Self {
        Self(entries.into_iter().filter(|(_, quantity)| !quantity.is_zero()).collect())
    }
}

impl From<BTreeMap<ResourceName, Quantity>> for Amounts {
    fn from(entries: BTreeMap<ResourceName, Quantity>) -> Self {
        entries.into_iter().collect()
    }
}

impl From<Amounts> for BTreeMap<ResourceName, Quantity> {
    fn from(amounts: Amounts) -> Self {
        amounts.0
    }
}

/// Prints `cpu 4, memory 8Gi`, or `nothing`.
impl std::fmt::Display for Amounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_zero() {
            return f.write_str("nothing");
        }
        for (position, (resource, quantity)) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{resource} {quantity}")?;
        }
        Ok(())
    }
}
