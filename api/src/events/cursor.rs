//! A place in the changes of one process.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;

/// Which process, and after how many of its changes.
///
/// Another process learns the same changes in another order, so a place in the one says nothing about the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(super) process: u32,
    pub(super) place: u64,
}

/// A name of this process that the one before and the one beside it do not have.
pub(super) fn process() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().hash_one(std::process::id()).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.process, self.place)
    }
}

/// It is no cursor of this API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (process, place) = text.split_once('-').ok_or(NoCursor)?;
        let process = u32::from_str_radix(process, 16).map_err(|_| NoCursor)?;
        let cursor = Self { process, place: place.parse().map_err(|_| NoCursor)? };
        // One place has one spelling.
        if cursor.to_string() == text { Ok(cursor) } else { Err(NoCursor) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::{Cursor, NoCursor};

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was_given_out(process: u32, place: u64) {
            let cursor = Cursor { process, place };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[rstest]
    #[case("")]
    #[case("12")]
    #[case("0000000g-1")]
    #[case("1-1")]
    #[case("00000001-+1")]
    #[case("00000001-01")]
    #[case("000000001-1")]
    #[case("00000001-18446744073709551616")]
    fn anything_else_is_none(#[case] text: &str) {
        assert_eq!(text.parse::<Cursor>(), Err(NoCursor));
    }
}
