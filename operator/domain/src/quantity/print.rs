//! Printing a quantity in the canonical form of Kubernetes.

use std::fmt;

use super::{Format, Quantity};

/// Letters of the powers of 1000 from `m` (10^-3) upwards.
const DECIMAL: [(i32, &str); 8] = [(-3, "m"), (0, ""), (3, "k"), (6, "M"), (9, "G"), (12, "T"), (15, "P"), (18, "E")];

/// Letters of the powers of 1024.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.pad("0");
        }
        let text = match self.format {
            // Kubernetes writes a binary amount as a decimal one where it would have to round, or below 1Ki.
            Format::BinarySi => match self.whole_units() {
                Some(units) if units.unsigned_abs() >= 1024 => binary(units),
                _ => decimal(self.milli, suffix_letter),
            },
            Format::DecimalSi => decimal(self.milli, suffix_letter),
            Format::DecimalExponent => decimal(self.milli, suffix_exponent),
        };
        f.pad(&text)
    }
}

fn binary(mut units: i64) -> String {
    let mut letters = BINARY.iter();
    let mut letter = letters.next().copied().unwrap_or_default();
    while units.checked_rem(1024) == Some(0) {
        let Some(next) = letters.next() else { break };
        units = units.checked_div(1024).unwrap_or(units);
        letter = next;
    }
    format!("{units}{letter}")
}

/// The shortest mantissa whose exponent is a multiple of three.
fn decimal(milli: i128, suffix: fn(i32) -> String) -> String {
    let mut mantissa = milli;
    let mut exponent: i32 = -3;
    while mantissa.checked_rem(1000) == Some(0) {
        mantissa = mantissa.checked_div(1000).unwrap_or(mantissa);
        exponent = exponent.saturating_add(3);
    }
    format!("{mantissa}{}", suffix(exponent))
}

fn suffix_letter(exponent: i32) -> String {
    DECIMAL
        .iter()
        .find(|(power, _)| *power == exponent)
        .map_or_else(|| suffix_exponent(exponent), |(_, letter)| (*letter).to_owned())
}

fn suffix_exponent(exponent: i32) -> String {
    if exponent == 0 { String::new() } else { format!("e{exponent}") }
}
