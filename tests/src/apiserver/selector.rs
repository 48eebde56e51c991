//! Label and field selectors.

use serde_json::Value;

use super::answer::Refusal;
use super::kinds::KindInfo;

/// What a list or a watch is limited to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Term>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug)]
enum Term {
    Is(String, String),
    IsNot(String, String),
    Among(String, Vec<String>),
    NotAmong(String, Vec<String>),
    Has(String),
    HasNot(String),
}

impl Selector {
    pub(crate) fn of(labels: Option<&str>, fields: Option<&str>, kind: &KindInfo) -> Result<Self, Refusal> {
        let labels = labels.map(terms).transpose()?.unwrap_or_default();
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
        let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        let by_label = self.labels.iter().all(|term| match term {
            Term::Is(key, value) => label(key) == Some(value),
            Term::IsNot(key, value) => label(key) != Some(value),
            Term::Among(key, values) => label(key).is_some_and(|l| values.iter().any(|v| v == l)),
            Term::NotAmong(key, values) => label(key).is_none_or(|l| values.iter().all(|v| v != l)),
            Term::Has(key) => label(key).is_some(),
            Term::HasNot(key) => label(key).is_none(),
        });
        by_label
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

fn terms(text: &str) -> Result<Vec<Term>, Refusal> {
    let mut terms = Vec::new();
    for part in parts(text) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let set = |rest: &str| -> Vec<String> {
            rest.trim().trim_start_matches('(').trim_end_matches(')').split(',').map(|v| v.trim().to_owned()).collect()
        };
        terms.push(if let Some((key, rest)) = part.split_once(" notin ") {
            Term::NotAmong(key.trim().to_owned(), set(rest))
        } else if let Some((key, rest)) = part.split_once(" in ") {
            Term::Among(key.trim().to_owned(), set(rest))
        } else if let Some((key, value)) = part.split_once("!=") {
            Term::IsNot(key.trim().to_owned(), value.trim().to_owned())
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            Term::Is(key.trim().to_owned(), value.trim().to_owned())
        } else if let Some(key) = part.strip_prefix('!') {
            Term::HasNot(key.trim().to_owned())
        } else if part.contains(' ') || part.contains('(') {
            return Err(Refusal::bad(format!("unable to parse requirement: {part:?}")));
        } else {
            Term::Has(part.to_owned())
        });
    }
    Ok(terms)
}

/// Splits at commas outside parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0_u32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(text.get(from..at).unwrap_or_default());
                from = at.saturating_add(1);
            }
            _ => {}
        }
    }
    found.push(text.get(from..).unwrap_or_default());
    found
}
