//! Lengths of time as they stand in custom resources: `15m`, `1h30m`, `7d`.

use jiff::SignedDuration;
use zhengyun_crds::DurationText;

use crate::quota::FieldError;

/// Units from the largest: letter, and how many seconds it stands for. A day is 24 hours.
const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The longest that can be written: a hundred years of 365 days.
const MAX_SECONDS: i64 = 100 * 365 * 86_400;

/// Reads a length of time: whole numbers of `d`, `h`, `m` and `s`, largest first, each at most once.
///
/// # Errors
/// The field, the text and what to write instead.
pub fn parse(field: &str, text: &DurationText) -> Result<SignedDuration, FieldError> {
    seconds(text.as_str()).map(SignedDuration::from_secs).ok_or_else(|| FieldError {
        field: field.to_owned(),
        cause: format!(
            "\"{}\" is not a length of time up to 36500d: write whole numbers of d, h, m and s, largest first, such as 15m or 1h30m",
            text.as_str().chars().take(32).collect::<String>()
        ),
    })
}

/// Reads a length of time that must be longer than nothing.
///
/// # Errors
/// As [`parse`], and when it is zero.
pub fn parse_positive(field: &str, text: &DurationText) -> Result<SignedDuration, FieldError> {
    let duration = parse(field, text)?;
    if duration.is_zero() {
        return Err(FieldError { field: field.to_owned(), cause: format!("{text} must be longer than nothing") });
    }
    Ok(duration)
}

fn seconds(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 32 {
        return None;
    }
    let mut rest = text;
    let mut total: i64 = 0;
    for (letter, worth) in UNITS {
        let Some((digits, after)) = rest.split_once(letter) else { continue };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        total = total.checked_add(digits.parse::<i64>().ok()?.checked_mul(worth)?)?;
        rest = after;
    }
    (rest.is_empty() && total <= MAX_SECONDS).then_some(total)
}

/// Writes a length of time, such as `1d2h`. Parts of a second count as a whole one, so that nothing measured reads as
/// shorter than it was; what is negative reads as `0s`.
pub fn print(duration: SignedDuration) -> DurationText {
    let up = i64::from(duration.subsec_nanos() > 0);
    let mut left = duration.as_secs().saturating_add(up).max(0);
    let mut text = String::new();
    for (letter, worth) in UNITS {
        let count = left.checked_div(worth).unwrap_or_default();
        left = left.checked_rem(worth).unwrap_or_default();
        if count > 0 {
            text.push_str(&count.to_string());
            text.push(letter);
        }
    }
    DurationText(if text.is_empty() { "0s".to_owned() } else { text })
}
