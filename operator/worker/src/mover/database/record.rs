//! What either side says of its migration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fence::Marked;
use super::gate::Doors;
use super::known::Known;
use crate::mover::Mark;

/// How the rows come over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Mode {
    /// Logical replication: the source stays in use until the freeze.
    Replication,
    /// A dump under the freeze: everything is copied while both sides are closed.
    Dump,
}

/// What the source says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SourceRecord {
    #[serde(flatten)]
    pub(super) mark: Mark,
    /// Identity of the target.
    pub(super) other: String,
    /// How it was closed; written in the transaction that closes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) freeze: Option<Freeze>,
}

/// How the source was closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Freeze {
    pub(super) at: String,
    /// Place in the log after the last commit of an application; none until that is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lsn: Option<String>,
    /// Who could come in before; `thaw` makes it so again.
    pub(super) before: Doors,
}

/// What the target says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetRecord {
    #[serde(flatten)]
    pub(super) mark: Mark,
    /// Identity of the source.
    pub(super) other: String,
    pub(super) mode: Mode,
    /// The role that everything belongs to, if the roles of the source are not taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    /// The role by which the target's server reaches the source.
    pub(super) replication_role: String,
    /// Whether the schema was loaded.
    pub(super) loaded: bool,
    /// Whether nothing stands in the way of copying.
    pub(super) prepared: bool,
    /// The source's schema as it was loaded: what there is, and a digest of each.
    pub(super) schema: BTreeMap<String, String>,
    /// Roles that the migration made.
    #[serde(default)]
    pub(super) made_roles: Vec<String>,
    /// Roles that get in when the target is opened.
    #[serde(default)]
    pub(super) applications: Vec<String>,
    /// Rows and bytes that were copied, as they were shown last.
    pub(super) copied: (u64, u64),
    /// Whether every table was copied once, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) complete: Option<String>,
    /// Whether applications ever got the target.
    pub(super) was_open: bool,
    /// What is known to be equal while the target follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) known: Option<Known>,
    /// When both sides were found equal under the freeze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) finished: Option<Finished>,
}

/// Both sides were found equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finished {
    pub(super) at: String,
    /// Place in the source's log after which nothing was written.
    pub(super) lsn: String,
    pub(super) digest: String,
}

impl Marked for SourceRecord {
    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn mark_mut(&mut self) -> &mut Mark {
        &mut self.mark
    }

    fn other(&self) -> &str {
        &self.other
    }
}

impl Marked for TargetRecord {
    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn mark_mut(&mut self) -> &mut Mark {
        &mut self.mark
    }

    fn other(&self) -> &str {
        &self.other
    }
}
