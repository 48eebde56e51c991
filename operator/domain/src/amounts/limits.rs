//! What may be used, and by how much a demand misses it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AmountError, Amounts, ResourceName};
use crate::quantity::Quantity;

/// The word that must be written where a resource has no limit.
const UNLIMITED: &str = "unlimited";

/// How much of one resource may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Any amount: written as `unlimited`.
    Unlimited,
    /// Up to and including this amount.
    AtMost(Quantity),
}

/// What may be used of each resource; one that is not mentioned may not be used at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limits(BTreeMap<ResourceName, Limit>);

/// One resource of which there is not enough, with the numbers that say so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{resource}: limit {limit}, used {used}, asked {asked}, short by {short_by}")]
pub struct Shortfall {
    /// The resource that is short.
    pub resource: ResourceName,
    /// What may be used.
    pub limit: Quantity,
    /// What is in use already, reserved amounts included.
    pub used: Quantity,
    /// What is asked in addition.
    pub asked: Quantity,
    /// By how much used and asked together exceed the limit.
    pub short_by: Quantity,
}

impl Limits {
    /// Limits that allow nothing.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// How much of one resource may be used.
    pub fn get(&self, resource: &ResourceName) -> Limit {
        self.0.get(resource).copied().unwrap_or(Limit::AtMost(Quantity::ZERO))
    }

    /// Replaces the limit of one resource.
    pub fn set(&mut self, resource: ResourceName, limit: Limit) {
        self.0.insert(resource, limit);
    }

    /// Every resource with a written limit, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceName, &Limit)> {
        self.0.iter()
    }

    /// Every resource of which `asked` does not fit beside `used`, in the order of names; empty means it fits.
    ///
    /// A resource of which nothing is asked, or of which something is given back, never falls short: a limit lowered
    /// below use blocks growth and nothing else.
    pub fn shortfalls(&self, used: &Amounts, asked: &Amounts) -> Result<Vec<Shortfall>, AmountError> {
        let mut shortfalls = Vec::new();
        for (resource, asked) in asked.iter().filter(|(_, asked)| !asked.is_negative()) {
            let Limit::AtMost(limit) = self.get(resource) else { continue };
            let used = used.get(resource);
            let short_by = used
                .checked_add(asked)
                .and_then(|total| total.checked_sub(&limit))
                .map_err(|cause| AmountError { resource: resource.clone(), cause })?;
            if short_by > Quantity::ZERO {
                shortfalls.push(Shortfall { resource: resource.clone(), limit, used, asked: *asked, short_by });
            }
        }
        Ok(shortfalls)
    }

    /// The resources of which more is used than allowed, with `asked` zero: what makes a quota `OverLimit`.
    pub fn exceeded_by(&self, used: &Amounts) -> Result<Vec<Shortfall>, AmountError> {
        let as_if_asked = self.shortfalls(&Amounts::new(), used)?;
        Ok(as_if_asked.into_iter().map(|s| Shortfall { used: s.asked, asked: Quantity::ZERO, ..s }).collect())
    }

    /// The lower of two limits, resource by resource; what either leaves out may not be used at all.
    ///
    /// While a change of limits is being recorded, decisions follow this one: they oversell under neither.
    #[must_use]
    pub fn lower_of(&self, other: &Self) -> Self {
        let pick = |left: Limit, right: Limit| match (left, right) {
            (Limit::Unlimited, limit) | (limit, Limit::Unlimited) => limit,
            (Limit::AtMost(left), Limit::AtMost(right)) => Limit::AtMost(left.min(right)),
        };
        self.iter().map(|(resource, limit)| (resource.clone(), pick(*limit, other.get(resource)))).collect()
    }
}

impl FromIterator<(ResourceName, Limit)> for Limits {
    fn from_iter<T: IntoIterator<Item = (ResourceName, Limit)>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl From<Amounts> for Limits {
    fn from(amounts: Amounts) -> Self {
        BTreeMap::from(amounts).into_iter().map(|(resource, quantity)| (resource, Limit::AtMost(quantity))).collect()
    }
}

impl std::str::FromStr for Limit {
    type Err = crate::quantity::QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == UNLIMITED { Ok(Self::Unlimited) } else { text.parse().map(Self::AtMost) }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.pad(UNLIMITED),
            Self::AtMost(quantity) => quantity.fmt(f),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
