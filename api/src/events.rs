//! What changed, in the order in which this process learned it. It is kept for a while, so that a reader who was away reads on
//! where it stopped; whoever stopped before that is told to read the lists again.

mod cursor;
mod log;

use serde::Serialize;
use serde_json::Value;

pub(crate) use cursor::Cursor;
pub(crate) use log::{Gone, Log};

use crate::auth::Sight;
use crate::cache::Cached;

/// What lists show, and readers of changes are told of.
pub(crate) trait Told: Cached {
    /// The noun, as its list's route has it.
    const NOUN: &'static str;

    /// The department that it belongs to; none for what is shown to everyone with a role in some department.
    fn department(&self) -> Option<&str>;

    /// As the list shows it.
    fn item(&self) -> Value;
}

/// A change as it is told.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    /// Its noun, by which readers choose.
    pub(crate) noun: &'static str,
    /// The department that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) department: Option<String>,
    name: String,
    uid: String,
    /// As its list shows it; none once it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Value>,
    /// What it is a kind of, which rights are asked about.
    #[serde(skip)]
    pub(crate) plural: &'static str,
}

impl Change {
    /// That something is there, or is not as it was.
    pub(crate) fn of<K: Told>(object: &K) -> Self {
        Self { item: Some(object.item()), ..Self::gone(object) }
    }

    /// That something is there no more.
    pub(crate) fn gone<K: Told>(object: &K) -> Self {
        let metadata = object.meta();
        Self {
            noun: K::NOUN,
            department: object.department().map(str::to_owned),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            item: None,
            plural: K::PLURAL,
        }
    }

    /// Whether the thing is there no more.
    pub(crate) const fn is_gone(&self) -> bool {
        self.item.is_none()
    }

    /// Whether somebody with such a sight of its kind may know of it.
    pub(crate) fn is_within(&self, sight: &Sight) -> bool {
        match (&self.department, sight) {
            (_, Sight::Everywhere) => true,
            (Some(department), sight) => sight.reaches(department),
            (None, Sight::Departments(departments)) => !departments.is_empty(),
        }
    }
}
