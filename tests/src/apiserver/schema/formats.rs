//! Formats of strings and numbers that the API server checks. It ignores the others, and so does this.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};

use super::node::Kind;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    DateTime,
    Date,
    Duration,
    Byte,
    Uuid,
    Ipv4,
    Ipv6,
    Hostname,
    Password,
    Int32,
    Int64,
    Float,
    Double,
}

/// Formats of strings that the API server checks and this server does not know.
const UNMODELLED: &[&str] = &[
    "bsonobjectid",
    "uri",
    "email",
    "cidr",
    "mac",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "k8sshortname",
    "k8slongname",
];

impl Format {
    /// The format of this name at a place of this kind; `None` for one that is ignored.
    pub(super) fn named(name: &str, kind: Kind) -> Result<Option<Self>> {
        let plain = name.replace('-', "");
        Ok(Some(match (kind, plain.as_str()) {
            (Kind::Integer, "int32") => Self::Int32,
            (Kind::Integer, "int64") => Self::Int64,
            (Kind::Number, "float") => Self::Float,
            (Kind::Number, "double") => Self::Double,
            (Kind::String | Kind::Any, "datetime") => Self::DateTime,
            (Kind::String | Kind::Any, "date") => Self::Date,
            (Kind::String | Kind::Any, "duration") => Self::Duration,
            (Kind::String | Kind::Any, "byte") => Self::Byte,
            (Kind::String | Kind::Any, "uuid") => Self::Uuid,
            (Kind::String | Kind::Any, "ipv4") => Self::Ipv4,
            (Kind::String | Kind::Any, "ipv6") => Self::Ipv6,
            (Kind::String | Kind::Any, "hostname") => Self::Hostname,
            (Kind::String | Kind::Any, "password") => Self::Password,
            (Kind::String | Kind::Any, plain) if UNMODELLED.contains(&plain) => {
                bail!("the format {name} is not modelled")
            }
            _ => return Ok(None),
        }))
    }

    /// Its name, as messages have it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::DateTime => "date-time",
            Self::Date => "date",
            Self::Duration => "duration",
            Self::Byte => "byte",
            Self::Uuid => "uuid",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Hostname => "hostname",
            Self::Password => "password",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float => "float",
            Self::Double => "double",
        }
    }

    /// Whether it is a format of strings.
    pub(super) const fn of_strings(self) -> bool {
        !matches!(self, Self::Int32 | Self::Int64 | Self::Float | Self::Double)
    }

    /// Whether a string has the format.
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Self::DateTime => is_date_time(text),
            Self::Date => is_date(text),
            Self::Duration => crate::apiserver::cel::is_duration(text),
            Self::Byte => is_base64(text),
            Self::Uuid => is_uuid(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Hostname => is_hostname(text),
            Self::Password | Self::Int32 | Self::Int64 | Self::Float | Self::Double => true,
        }
    }
}

/// Base64 of something: of nothing is none, and bits that are left over may be anything.
fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let digit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    !digits.is_empty() && text.len().is_multiple_of(4) && digits.bytes().all(digit)
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else { return false };
    // The API server compares hours, minutes and seconds as texts, and takes any zone.
    let clock = |text: Option<&str>, most: &str| {
        text.is_some_and(|t| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()) && t <= most)
    };
    let separators = time.get(2..3) == Some(":") && time.get(5..6) == Some(":");
    let Some(rest) = time.get(8..) else { return false };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            if end == 0 {
                return false;
            }
            fraction.get(end..).unwrap_or_default()
        }
        None => rest,
    };
    let offset = |zone: &str| {
        zone.strip_prefix(['+', '-']).is_some_and(|o| {
            o.len() == 5 && o.bytes().enumerate().all(|(at, b)| if at == 2 { b == b':' } else { b.is_ascii_digit() })
        })
    };
    is_date(date)
        && separators
        && clock(time.get(0..2), "23")
        && clock(time.get(3..5), "59")
        && clock(time.get(6..8), "59")
        && (matches!(zone, "Z" | "z") || offset(zone))
}

/// Hexadecimal digits of a UUID, whose dashes may be left out.
fn is_uuid(text: &str) -> bool {
    let mut rest = text;
    for (part, digits) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if part > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((group, after)) = rest.split_at_checked(digits) else { return false };
        if !group.bytes().all(|b| b.is_ascii_hexdigit()) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// A host name in ASCII, which is less than the API server takes: it takes letters of every script.
fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        for text in ["2026-01-01T00:00:00Z", "2026-01-01t23:59:59.123456+08:00", "2028-02-29T12:00:00-01:00"] {
            assert!(Format::DateTime.fits(text), "{text}");
        }
        for text in [
            "soon",
            "2026-01-01",
            "2026-02-30T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:60Z",
        ] {
            assert!(!Format::DateTime.fits(text), "{text}");
        }
    }

    #[test]
    fn bytes_are_base64() {
        assert!(Format::Byte.fits("YWI=") && Format::Byte.fits("YQ==") && Format::Byte.fits("YR=="));
        assert!(
            !Format::Byte.fits("")
                && !Format::Byte.fits("YWI")
                && !Format::Byte.fits("====")
                && !Format::Byte.fits("Y_I=")
        );
    }

    #[test]
    fn uuids_may_leave_their_dashes_out() {
        assert!(Format::Uuid.fits("00000000-0000-0000-0000-00000000000f"));
        assert!(Format::Uuid.fits("0000000000000000000000000000000F"));
        assert!(!Format::Uuid.fits("00000000-0000-0000-0000-00000000000g"));
    }
}
