//! What one side has seen: the values that marks stand for, and how they are hidden when answers are compared.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// A UID that no object has.
const NO_UID: &str = "00000000-0000-4000-8000-000000000000";

/// What one side has seen.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    objects: BTreeMap<String, Seen>,
    names: BTreeMap<String, String>,
    lists: Vec<(String, String)>,
    uids: HashMap<String, usize>,
    versions: HashMap<String, usize>,
}

#[derive(Debug, Default)]
struct Seen {
    uids: Vec<String>,
    versions: Vec<String>,
    last: Value,
}

impl Memory {
    /// Remembers an object that came with an answer.
    pub(crate) fn saw(&mut self, at: &str, object: &Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (uid, version) = (text("/metadata/uid"), text("/metadata/resourceVersion"));
        if uid.is_empty() {
            return;
        }
        let seen = self.objects.entry(at.to_owned()).or_default();
        if seen.uids.last() != Some(&uid) {
            seen.uids.push(uid);
        }
        if !version.is_empty() && seen.versions.last() != Some(&version) {
            seen.versions.push(version);
        }
        if object.get("kind").and_then(Value::as_str) != Some("PartialObjectMetadata") {
            seen.last = object.clone();
        }
    }

    /// Remembers a generated name.
    pub(crate) fn named(&mut self, alias: &str, name: &str) {
        self.names.insert(alias.to_owned(), name.to_owned());
    }

    /// Remembers a list.
    pub(crate) fn listed(&mut self, list: &Value) {
        let text = |pointer: &str| list.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (mut version, token) = (text("/metadata/resourceVersion"), text("/metadata/continue"));
        if version.is_empty() {
            // One that was refused stands for the one before.
            version = self.lists.last().map_or_else(String::new, |(version, _)| version.clone());
        }
        self.lists.push((version, token));
    }

    /// An object as it was seen last.
    pub(crate) fn last(&self, at: &str) -> Value {
        self.objects.get(at).map(|seen| seen.last.clone()).unwrap_or_default()
    }

    /// A text with its marks replaced.
    pub(crate) fn fill(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("@{") else { return text.to_owned() };
        // Marks may hold marks: the path of a generated name.
        let mut depth = 1_usize;
        let end = rest.char_indices().find(|(_, c)| {
            depth = match c {
                '{' => depth + 1,
                '}' => depth - 1,
                _ => depth,
            };
            depth == 0
        });
        let Some((end, _)) = end else { return text.to_owned() };
        let (mark, after) = (&rest[..end], &rest[end + 1..]);
        format!("{before}{}{}", self.value(mark), self.fill(after))
    }

    fn value(&self, mark: &str) -> String {
        let (kind, what) = mark.split_once(':').unwrap_or((mark, ""));
        let seen = self.objects.get(what);
        let number = || what.parse::<usize>().ok().and_then(|n| self.lists.get(n));
        let found = match kind {
            "uid" => seen.and_then(|s| s.uids.last().cloned()),
            "uid0" => seen.and_then(|s| s.uids.first().cloned()),
            "rv" => seen.and_then(|s| s.versions.last().cloned()),
            "rv0" => seen.and_then(|s| s.versions.first().cloned()),
            "name" => self.names.get(what).cloned(),
            "list" => number().map(|l| l.0.clone()),
            "continue" => number().map(|l| l.1.clone()),
            other => panic!("no mark is called {other}"),
        };
        found.unwrap_or_else(|| match kind {
            "uid" | "uid0" => NO_UID.to_owned(),
            "name" => format!("nobody-{what}"),
            // A revision from before the test.
            _ => "1".to_owned(),
        })
    }

    /// A value with its marks replaced.
    pub(crate) fn fill_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => Value::Array(items.iter().map(|i| self.fill_value(i)).collect()),
            Value::Object(map) => Value::Object(map.iter().map(|(k, v)| (self.fill(k), self.fill_value(v))).collect()),
            other => other.clone(),
        }
    }

    /// An answer with everything hidden that differs between servers: UIDs and revisions become numbers in the order of their
    /// first appearance, so that it shows which of them are the same.
    pub(crate) fn hide(&mut self, answer: &Value) -> Value {
        let mut shown = answer.clone();
        self.note(&shown);
        self.hide_in(&mut shown);
        shown
    }

    /// Numbers the UIDs and revisions of an answer.
    fn note(&mut self, value: &Value) {
        if let Some(uid) = value.pointer("/metadata/uid").and_then(Value::as_str) {
            let next = self.uids.len();
            self.uids.entry(uid.to_owned()).or_insert(next);
            // That of a list is another matter: it counts what others write, too.
            if let Some(version) = value.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
                let next = self.versions.len();
                self.versions.entry(version.to_owned()).or_insert(next);
            }
        }
        for item in value.get("items").and_then(Value::as_array).into_iter().flatten() {
            self.note(item);
        }
        if let Some(object) = value.get("object") {
            self.note(object);
        }
    }

    fn hide_in(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                let is_list = map.contains_key("items") && map.contains_key("metadata");
                if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove("managedFields");
                    for time in ["creationTimestamp", "deletionTimestamp"] {
                        if let Some(at) = metadata.get_mut(time).filter(|at| at.is_string()) {
                            *at = Value::from("(time)");
                        }
                    }
                    if let Some(version) = metadata.get_mut("resourceVersion") {
                        let known = version.as_str().and_then(|v| self.versions.get(v));
                        *version = match known {
                            _ if is_list => Value::from("(list)"),
                            Some(number) => Value::from(format!("(revision {number})")),
                            None => Value::from("(another revision)"),
                        };
                    }
                    if is_list && let Some(token) = metadata.get_mut("continue") {
                        *token = Value::from(if token == "" { "" } else { "(continue)" });
                    }
                }
                map.values_mut().for_each(|v| self.hide_in(v));
            }
            Value::Array(items) => items.iter_mut().for_each(|v| self.hide_in(v)),
            Value::String(text) => {
                if let Some(number) = self.uids.get(text.as_str()) {
                    *text = format!("(uid {number})");
                } else if let Some((alias, _)) = self.names.iter().find(|(_, name)| *name == text) {
                    *text = format!("(generated {alias})");
                }
            }
            _ => {}
        }
    }
}
