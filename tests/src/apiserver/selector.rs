//! Label and field selectors.

mod labels;

use serde_json::Value;

use super::answer::Refusal;
use super::kinds::KindInfo;

/// What a list or a watch is limited to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<labels::Term>,
    fields: Vec<(String, bool, String)>,
}

impl Selector {
    pub(crate) fn of(labels: Option<&str>, fields: Option<&str>, kind: &KindInfo) -> Result<Self, Refusal> {
        let labels = labels.map(labels::parse).transpose().map_err(Refusal::bad)?.unwrap_or_default();
        let mut wanted = Vec::new();
        for term in fields.unwrap_or_default().split(',').filter(|t| !t.is_empty()) {
            let (path, is, value) = if let Some((path, value)) = term.split_once("!=") {
                (path, false, value)
            } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (path, true, value)
            } else {
                return Err(Refusal::bad(format!("invalid selector: {term:?}; can't understand {term:?}")));
            };
            let pointer = match path {
                "metadata.name" => "/metadata/name".to_owned(),
                "metadata.namespace" if kind.namespaced => "/metadata/namespace".to_owned(),
                other => kind.selectable.get(other).cloned().ok_or_else(|| {
                    Refusal::bad(format!("Unable to find \"{}\" that match label selector, field selector \"{term}\": field label not supported: {other}", kind.qualified()))
                })?,
            };
            wanted.push((pointer, is, value.to_owned()));
        }
        Ok(Self { labels, fields: wanted })
    }

    /// Whether nothing is left out.
    pub(crate) fn takes_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The name that an object must have, if one is said.
    pub(crate) fn name(&self) -> Option<&str> {
        self.fields.iter().find(|(pointer, is, _)| *is && pointer == "/metadata/name").map(|(.., name)| name.as_str())
    }

    pub(crate) fn takes(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        self.labels.iter().all(|term| term.takes(labels))
            && self.fields.iter().all(|(pointer, is, value)| {
                let found = match object.pointer(pointer) {
                    Some(Value::String(text)) => text.clone(),
                    Some(Value::Null) | None => String::new(),
                    Some(other) => other.to_string(),
                };
                (found == *value) == *is
            })
    }
}
