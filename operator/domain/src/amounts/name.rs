//! The name of a chargeable resource.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a resource that catalog items charge for, such as `cpu` or `storage.block`.
///
/// Lower-case letters, digits, dots and hyphens, starting with a letter, ending with a letter or digit, at most 63
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(String);

/// A text that cannot name a resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{name}\" cannot name a resource: use lower-case letters, digits, dots and hyphens, starting with a letter and ending with a letter or digit, at most {max} characters",
    max = ResourceName::MAX_BYTES
)]
pub struct ResourceNameError {
    name: String,
}

impl ResourceName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 63;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_valid(name: &str) -> bool {
        name.len() <= Self::MAX_BYTES
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
    }
}

impl TryFrom<String> for ResourceName {
    type Error = ResourceNameError;

    fn try_from(name: String) -> Result<Self, ResourceNameError> {
        if Self::is_valid(&name) {
            Ok(Self(name))
        } else {
            // Cut, so that an error never repeats an unbounded text.
            Err(ResourceNameError { name: name.chars().take(Self::MAX_BYTES).collect() })
        }
    }
}

impl TryFrom<&str> for ResourceName {
    type Error = ResourceNameError;

    fn try_from(name: &str) -> Result<Self, ResourceNameError> {
        Self::try_from(name.to_owned())
    }
}

impl FromStr for ResourceName {
    type Err = ResourceNameError;

    fn from_str(name: &str) -> Result<Self, ResourceNameError> {
        Self::try_from(name)
    }
}

impl From<ResourceName> for String {
    fn from(name: ResourceName) -> Self {
        name.0
    }
}

impl Borrow<str> for ResourceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
