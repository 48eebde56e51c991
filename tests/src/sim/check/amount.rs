//! Amounts as exact numbers: thousandths, by an own reading of the Kubernetes quantity format.

use serde_json::Value;

use super::Sums;

/// Thousandths of one; none if it is no quantity.
pub(super) fn thousandths(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(text.len());
    let (digits, suffix) = text.split_at_checked(end)?;
    let factor: i128 = match suffix {
        "" => 1_000,
        "m" => 1,
        "k" => 1_000_i128.checked_mul(1_000)?,
        "M" => 1_000_i128.checked_pow(2)?.checked_mul(1_000)?,
        "G" => 1_000_i128.checked_pow(3)?.checked_mul(1_000)?,
        "T" => 1_000_i128.checked_pow(4)?.checked_mul(1_000)?,
        "P" => 1_000_i128.checked_pow(5)?.checked_mul(1_000)?,
        "Ki" => 1_024_i128.checked_mul(1_000)?,
        "Mi" => 1_024_i128.checked_pow(2)?.checked_mul(1_000)?,
        "Gi" => 1_024_i128.checked_pow(3)?.checked_mul(1_000)?,
        "Ti" => 1_024_i128.checked_pow(4)?.checked_mul(1_000)?,
        "Pi" => 1_024_i128.checked_pow(5)?.checked_mul(1_000)?,
        _ => return None,
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let number: i128 = format!("{whole}{part}").parse().ok()?;
    number.checked_mul(factor)?.checked_div(scale)
}

/// Adds a map of quantities, or takes it away.
pub(super) fn add(sums: &mut Sums, amounts: Option<&Value>) {
    for (resource, amount) in amounts.and_then(Value::as_object).into_iter().flatten() {
        let amount = amount.as_str().and_then(thousandths).unwrap_or_default();
        let sum = sums.entry(resource.clone()).or_default();
        *sum = sum.saturating_add(amount);
    }
    sums.retain(|_, sum| *sum != 0);
}

#[cfg(test)]
mod tests {
    use super::thousandths;

    #[test]
    fn quantities_are_read_exactly() {
        for (text, wanted) in [
            ("1", 1_000),
            ("250m", 250),
            ("0.5", 500),
            ("1Ki", 1_024_000),
            ("2Gi", 2_147_483_648_000),
            ("1.5k", 1_500_000),
        ] {
            assert_eq!(thousandths(text), Some(wanted), "{text}");
        }
        assert_eq!(thousandths("unlimited"), None);
    }
}
