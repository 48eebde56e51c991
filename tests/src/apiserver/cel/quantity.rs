//! Kubernetes quantities as the API server reads them: `quantity()`, `isQuantity()` and what is called on them.
//!
//! A reading of its own, apart from the product's: the simulation must not judge the product by the product's own parser. The
//! rules are those of `resource.ParseQuantity`: any number of digits, decimal suffixes `n u m k M G T P E`, binary ones `Ki Mi
//! Gi Ti Pi Ei`, or a decimal exponent; finer than 1n is rounded up to 1n, and a binary amount is capped at 2^63 - 1.

use std::cmp::Ordering;

/// An amount: `digits * 10^exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quantity {
    negative: bool,
    /// Decimal digits, without zeros at either end; empty for zero.
    digits: Vec<u8>,
    exponent: i64,
}

/// The largest amount with a binary suffix, 2^63 - 1.
const MAX_BINARY: &[u8] = b"9223372036854775807";
/// The finest amount, 10^-9.
const FINEST: i64 = -9;

impl Quantity {
    /// Reads a quantity; `None` for a text that is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if text.is_empty() {
            return None;
        }
        let (whole, rest) = digits(unsigned);
        // What follows nothing but zeros is still read; nothing at all is zero, as the Go parser has it.
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
        let scale = Scale::of(suffix)?;
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b.wrapping_sub(b'0')).collect();
        let fine = i64::try_from(fraction.len()).ok()?;
        let exponent = scale.decimal.checked_sub(fine)?;
        let mut quantity = Self { negative, digits, exponent };
        quantity.trim();
        for _ in 0..scale.binary {
            quantity.double();
        }
        quantity.round_up();
        if scale.binary > 0 {
            let most = Self { negative, digits: MAX_BINARY.iter().map(|b| b - b'0').collect(), exponent: 0 };
            if quantity.magnitude(&most) == Ordering::Greater {
                quantity = most;
            }
        }
        quantity.trim();
        Some(quantity)
    }

    /// -1, 0 or 1.
    pub(crate) fn sign(&self) -> i64 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    /// Which is more.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.sign().cmp(&other.sign()).then_with(|| {
            let magnitudes = self.magnitude(other);
            if self.negative { magnitudes.reverse() } else { magnitudes }
        })
    }

    /// Whether it has no fraction and fits 64 bits, and which integer it is.
    pub(crate) fn integer(&self) -> Option<i64> {
        let zeros = usize::try_from(self.exponent).ok().filter(|zeros| *zeros <= 19)?;
        let text: String =
            self.digits.iter().map(|d| char::from(b'0' + d)).chain(std::iter::repeat_n('0', zeros)).collect();
        let text = if text.is_empty() { "0".to_owned() } else { text };
        if self.negative { format!("-{text}") } else { text }.parse().ok()
    }

    fn trim(&mut self) {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.exponent = self.exponent.saturating_add(1);
        }
        let leading = self.digits.iter().take_while(|d| **d == 0).count();
        self.digits.drain(..leading);
        if self.digits.is_empty() {
            self.exponent = 0;
        }
    }

    fn double(&mut self) {
        let mut carry = 0;
        for digit in self.digits.iter_mut().rev() {
            let twice = *digit * 2 + carry;
            *digit = twice % 10;
            carry = twice / 10;
        }
        if carry > 0 {
            self.digits.insert(0, carry);
        }
    }

    /// Away from zero, to a multiple of the finest amount.
    fn round_up(&mut self) {
        let mut rest = false;
        while self.exponent < FINEST && !self.digits.is_empty() {
            rest |= self.digits.pop().is_some_and(|d| d > 0);
            self.exponent = self.exponent.saturating_add(1);
        }
        if rest {
            self.exponent = FINEST;
            self.increment();
        }
    }

    fn increment(&mut self) {
        for digit in self.digits.iter_mut().rev() {
            if *digit < 9 {
                *digit += 1;
                return;
            }
            *digit = 0;
        }
        self.digits.insert(0, 1);
    }

    /// Compares without the signs.
    fn magnitude(&self, other: &Self) -> Ordering {
        let order = |of: &Self| i64::try_from(of.digits.len()).unwrap_or(i64::MAX).saturating_add(of.exponent);
        let empty = self.digits.is_empty().cmp(&other.digits.is_empty()).reverse();
        // Digits without zeros at the ends compare like fractions once the orders are equal.
        empty.then_with(|| order(self).cmp(&order(other))).then_with(|| self.digits.cmp(&other.digits))
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// What a suffix multiplies by: `2^binary * 10^decimal`.
struct Scale {
    binary: u32,
    decimal: i64,
}

impl Scale {
    fn of(suffix: &str) -> Option<Self> {
        let (binary, decimal) = match suffix {
            "n" => (0, -9),
            "u" => (0, -6),
            "m" => (0, -3),
            "" => (0, 0),
            "k" => (0, 3),
            "M" => (0, 6),
            "G" => (0, 9),
            "T" => (0, 12),
            "P" => (0, 15),
            "E" => (0, 18),
            "Ki" => (10, 0),
            "Mi" => (20, 0),
            "Gi" => (30, 0),
            "Ti" => (40, 0),
            "Pi" => (50, 0),
            "Ei" => (60, 0),
            other => {
                let exponent = other.strip_prefix(['e', 'E'])?;
                let signed = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
                let plain = !signed.is_empty() && signed.bytes().all(|b| b.is_ascii_digit());
                (0, i64::from(exponent.parse::<i32>().ok().filter(|_| plain)?))
            }
        };
        Some(Self { binary, decimal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|| panic!("{text:?} is a quantity"))
    }

    #[test]
    fn texts_that_are_quantities() {
        for text in
            ["0", "+4", "-4", "4", "0.5", ".5", "5.", "500m", "10Gi", "1e3", "1E-3", "100Ei", "1E", "0Ki", "00.10k"]
        {
            assert!(Quantity::parse(text).is_some(), "{text:?}");
        }
        for text in [
            "", "four", "4 cores", "1,5", "0x10", "NaN", "1Gi2", " 4", "4\n", "٤", "1e", "1e+", "1ki", "1.1.M", "--1",
            "1K",
        ] {
            assert!(Quantity::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn equal_amounts_are_equal_however_spelt() {
        for (left, right) in [
            ("1", "1000m"),
            ("1Ki", "1024"),
            ("1.5Gi", "1610612736"),
            ("1e3", "1k"),
            ("0.1n", "1n"),
            ("1.0000000001", "1000000001n"),
            ("16Ei", "9223372036854775807"),
            ("9.9999999999", "10"),
            ("-0", "0"),
        ] {
            assert_eq!(read(left).compare(&read(right)), Ordering::Equal, "{left} and {right}");
        }
    }

    #[test]
    fn amounts_are_in_order() {
        let ascending =
            ["-1e30", "-2", "-1", "-1m", "0", "1n", "1m", "999m", "1", "2", "10", "1Ki", "1Gi", "7Ei", "1e30"];
        for (at, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(read(left).compare(&read(right)), at.cmp(&other), "{left} and {right}");
            }
        }
        assert_eq!((read("-3").sign(), read("0m").sign(), read("3n").sign()), (-1, 0, 1));
    }

    #[test]
    fn integers_are_whole() {
        assert_eq!(read("2k").integer(), Some(2000));
        assert_eq!(read("-1Ki").integer(), Some(-1024));
        assert_eq!(read("0").integer(), Some(0));
        assert_eq!(read("500m").integer(), None);
        assert_eq!(read("1e30").integer(), None);
    }
}
