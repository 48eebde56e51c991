//! A person as the hub's authenticators describe them.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Username, groups and whatever else the hub's authorizers may look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Identity {
    pub(crate) username: String,
    pub(crate) uid: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// A short name for exactly this description, under which answers about it are remembered.
    pub(crate) fn digest(&self) -> [u8; 32] {
        // Strings always have a JSON form, and field order is fixed.
        Sha256::digest(serde_json::to_vec(self).unwrap_or_default()).into()
    }
}
