//! Exact amounts of a resource, written the way Kubernetes writes them.
//!
//! A [`Quantity`] is a whole number of thousandths ("milli units", the finest step Kubernetes schedules by), so
//! sums and differences are exact and every overflow is an error. Reading and printing agree with
//! `k8s.io/apimachinery/pkg/api/resource` (vectors of the real implementation: `tests/data/quantity_vectors.tsv`),
//! with four deliberate differences, each a refusal where Kubernetes would change the number silently:
//!
//! - An amount that is not a whole number of thousandths (`1n`, `0.5m`, `0.0001Ki`) is [`QuantityError::TooFine`].
//!   Kubernetes keeps nine decimals and rounds anything finer *up*; a charge that was rounded is not the charge that
//!   was approved. `1000u` is exactly `1m` and is fine.
//! - An amount beyond ±(2^63-1) whole units is [`QuantityError::TooLarge`]. Kubernetes cuts binary amounts there
//!   (`8Ei` becomes `9223372036854775807`) and its quota code reads whole units as int64. The same bound holds after
//!   every sum, so whatever is printed can be read again by either side.
//! - A text without any digit (`+`, `.`, `Ki`) is an error; Kubernetes reads it as zero.
//! - A decimal exponent beyond int32 (`1e4294967296`) is an error; Kubernetes truncates it to 32 bits and reads `1`.
//!
//! [`Display`](std::fmt::Display) prints Go's canonical form. (Go's `String()` echoes some texts that are already
//! nearly canonical, such as `1.100`; the canonical form of that is `1100m`, here and there.)

mod parse;
mod print;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// The largest number of milli units a quantity can hold, in either direction: 2^63-1 whole units.
const MAX_MILLI: i128 = 9_223_372_036_854_775_807_000;

/// How a quantity prefers to be written; it changes the text, never the amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Powers of ten with a letter: `12M`, `500m`.
    #[default]
    DecimalSi,
    /// Powers of 1024 with two letters: `12Mi`.
    BinarySi,
    /// Powers of ten as an exponent: `12e6`.
    DecimalExponent,
}

/// An exact amount of one resource, such as `500m` cores or `10Gi` of memory.
///
/// Comparison, equality and hashing go by the amount alone: `1Ki` equals `1024`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    milli: i128,
    format: Format,
}

/// Why a text is not a quantity, or why a computation has no exact result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text does not have the shape of a number with a suffix.
    #[error("\"{text}\" is not a quantity: write a number with an optional suffix, such as 4, 500m or 10Gi")]
    Malformed {
        /// The offending text, cut to a printable length.
        text: String,
    },
    /// The suffix is none that Kubernetes knows.
    #[error(
        "\"{text}\" has the unknown suffix \"{suffix}\": use n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or an exponent such as e3"
    )]
    UnknownSuffix {
        /// The offending text, cut to a printable length.
        text: String,
        /// The part after the number.
        suffix: String,
    },
    /// The amount is not a whole number of thousandths.
    #[error("\"{text}\" is finer than one thousandth of a unit: write it in whole m (thousandths)")]
    TooFine {
        /// The offending text, cut to a printable length.
        text: String,
    },
    /// The amount is beyond 2^63-1 whole units.
    #[error("\"{text}\" is beyond 9223372036854775807 units, the most an amount can be")]
    TooLarge {
        /// The offending text, cut to a printable length.
        text: String,
    },
    /// A sum, difference or product is beyond 2^63-1 whole units.
    #[error("{operation} is beyond 9223372036854775807 units, the most an amount can be")]
    Overflow {
        /// The computation, as a reader would write it.
        operation: String,
    },
    /// A number with a fraction was given as a floating-point number.
    #[error("{value} is a floating-point number, which is not exact: write it as text, such as \"500m\"")]
    Float {
        /// The number as it was given.
        value: String,
    },
}

impl Quantity {
    /// No amount at all.
    pub const ZERO: Self = Self { milli: 0, format: Format::DecimalSi };

    /// An amount of `milli` thousandths, printed in `format`.
    pub fn from_milli(milli: i128, format: Format) -> Result<Self, QuantityError> {
        Self::bounded(milli, format, || format!("{milli}m"))
    }

    /// The amount in thousandths of a unit.
    pub const fn milli(&self) -> i128 {
        self.milli
    }

    /// How the amount prefers to be written.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The amount in whole units, or `None` if it has a fraction.
    pub fn whole_units(&self) -> Option<i64> {
        if self.milli.checked_rem(1000)? != 0 {
            return None;
        }
        i64::try_from(self.milli.checked_div(1000)?).ok()
    }

    /// Whether the amount is nothing.
    pub const fn is_zero(&self) -> bool {
        self.milli == 0
    }

    /// Whether the amount is below nothing.
    pub const fn is_negative(&self) -> bool {
        self.milli < 0
    }

    /// The sum of two amounts. As in Kubernetes, a zero takes over the other's format.
    pub fn checked_add(&self, other: &Self) -> Result<Self, QuantityError> {
        let sum = self.milli.checked_add(other.milli).unwrap_or(i128::MAX);
        Self::bounded(sum, self.format_with(other), || format!("{self} + {other}"))
    }

    /// The difference of two amounts, which may be negative.
    pub fn checked_sub(&self, other: &Self) -> Result<Self, QuantityError> {
        let difference = self.milli.checked_sub(other.milli).unwrap_or(i128::MAX);
        Self::bounded(difference, self.format_with(other), || format!("{self} - {other}"))
    }

    /// The amount taken `times` times.
    pub fn checked_mul(&self, times: i64) -> Result<Self, QuantityError> {
        let product = self.milli.checked_mul(i128::from(times)).unwrap_or(i128::MAX);
        Self::bounded(product, self.format, || format!("{self} * {times}"))
    }

    fn format_with(self, other: &Self) -> Format {
        if self.is_zero() { other.format } else { self.format }
    }

    fn bounded(milli: i128, format: Format, operation: impl FnOnce() -> String) -> Result<Self, QuantityError> {
        if (-MAX_MILLI..=MAX_MILLI).contains(&milli) {
            Ok(Self { milli, format })
        } else {
            Err(QuantityError::Overflow { operation: operation() })
        }
    }
}

impl From<u32> for Quantity {
    fn from(units: u32) -> Self {
        // A u32 times 1000 is far inside i128 and inside MAX_MILLI.
        Self { milli: i128::from(units).saturating_mul(1000), format: Format::DecimalSi }
    }
}

impl TryFrom<i64> for Quantity {
    type Error = QuantityError;

    fn try_from(units: i64) -> Result<Self, QuantityError> {
        Self::bounded(i128::from(units).saturating_mul(1000), Format::DecimalSi, || units.to_string())
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.milli == other.milli
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.milli.cmp(&other.milli)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.milli.hash(state);
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a string or a whole number; a floating-point number is refused because it is not exact.
impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QuantityVisitor;

        impl Visitor<'_> for QuantityVisitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a quantity such as \"500m\" or \"10Gi\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, units: i64) -> Result<Quantity, E> {
                Quantity::try_from(units).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, units: u64) -> Result<Quantity, E> {
                units.to_string().parse().map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Quantity, E> {
                Err(E::custom(QuantityError::Float { value: value.to_string() }))
            }
        }

        deserializer.deserialize_any(QuantityVisitor)
    }
}
