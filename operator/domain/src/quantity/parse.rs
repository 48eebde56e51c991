//! Reading a quantity: sign, decimal digits, suffix or exponent.

use std::str::FromStr;

use super::{Format, MAX_MILLI, Quantity, QuantityError};

/// The longest text that is read, in bytes. Any amount in range has a shorter spelling.
const MAX_TEXT_BYTES: usize = 64;

/// How much of an offending text is repeated in an error, in characters.
const SHOWN_CHARS: usize = 64;

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let malformed = || QuantityError::Malformed { text: shown(text) };
        if text.len() > MAX_TEXT_BYTES {
            return Err(malformed());
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() || !is_suffix_shaped(suffix) {
            return Err(malformed());
        }
        let scale = Scale::of(suffix)
            .ok_or_else(|| QuantityError::UnknownSuffix { text: shown(text), suffix: suffix.to_owned() })?;
        let magnitude = scale.apply(whole, fraction).map_err(|misfit| match misfit {
            Misfit::Fine => QuantityError::TooFine { text: shown(text) },
            Misfit::Large => QuantityError::TooLarge { text: shown(text) },
        })?;
        // As in Kubernetes: a binary amount below one unit is kept as a decimal one.
        let format = match scale.format {
            Format::BinarySi if magnitude > 0 && magnitude < 1000 => Format::DecimalSi,
            format => format,
        };
        let milli = if negative { magnitude.saturating_neg() } else { magnitude };
        Ok(Self { milli, format })
    }
}

/// The powers a suffix stands for: `2^binary * 10^decimal`.
struct Scale {
    binary: u32,
    decimal: i64,
    format: Format,
}

enum Misfit {
    Fine,
    Large,
}

impl Scale {
    fn of(suffix: &str) -> Option<Self> {
        let decimal = |decimal| Some(Self { binary: 0, decimal, format: Format::DecimalSi });
        let binary = |binary| Some(Self { binary, decimal: 0, format: Format::BinarySi });
        match suffix {
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "" => decimal(0),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(10),
            "Mi" => binary(20),
            "Gi" => binary(30),
            "Ti" => binary(40),
            "Pi" => binary(50),
            "Ei" => binary(60),
            other => {
                let exponent = other.strip_prefix(['e', 'E'])?.parse::<i64>().ok()?;
                Some(Self { binary: 0, decimal: exponent, format: Format::DecimalExponent })
            }
        }
    }

    /// The milli units of `whole.fraction` under this scale, without its sign.
    fn apply(&self, whole: &str, fraction: &str) -> Result<i128, Misfit> {
        let fraction = fraction.trim_end_matches('0');
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            let digit = i128::from(digit.saturating_sub(b'0'));
            // More digits than an i128 holds: too many before the point, or more than a thousandth can need after it.
            mantissa = mantissa
                .checked_mul(10)
                .and_then(|shifted| shifted.checked_add(digit))
                .ok_or(if fraction.is_empty() { Misfit::Large } else { Misfit::Fine })?;
        }
        if mantissa == 0 {
            return Ok(0);
        }
        // milli = mantissa * 2^binary * 10^tens; splitting 10 into 2 * 5 keeps every step exact.
        let places = i64::try_from(fraction.len()).map_err(|_| Misfit::Fine)?;
        let tens = self.decimal.checked_add(3).and_then(|tens| tens.checked_sub(places)).ok_or(Misfit::Large)?;
        let twos = tens.checked_add(i64::from(self.binary)).ok_or(Misfit::Large)?;
        let milli = scale_by(scale_by(mantissa, 5, tens.min(0))?, 2, twos.min(0))?;
        let milli = scale_by(scale_by(milli, 5, tens.max(0))?, 2, twos.max(0))?;
        if milli > MAX_MILLI { Err(Misfit::Large) } else { Ok(milli) }
    }
}

/// `value * base^power`, exactly.
fn scale_by(value: i128, base: i128, power: i64) -> Result<i128, Misfit> {
    let factor = u32::try_from(power.unsigned_abs()).ok().and_then(|power| base.checked_pow(power));
    if power >= 0 {
        return factor.and_then(|factor| value.checked_mul(factor)).ok_or(Misfit::Large);
    }
    // A divisor beyond i128 divides no value other than zero.
    let factor = factor.ok_or(Misfit::Fine)?;
    match value.checked_rem(factor) {
        Some(0) => value.checked_div(factor).ok_or(Misfit::Fine),
        _ => Err(Misfit::Fine),
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The shape Kubernetes lets through before it looks a suffix up: `[eEinumkKMGTP]*[-+]?[0-9]*`.
fn is_suffix_shaped(suffix: &str) -> bool {
    let rest = suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
    let rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    rest.bytes().all(|byte| byte.is_ascii_digit())
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}
