//! Metadata of any object: names, labels, annotations, finalizers, owners.

use serde_json::{Map, Value};

use super::causes::Cause;
use super::fields::child;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// All annotations together, in bytes.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// What is wrong with the metadata of an object whose name is a DNS subdomain, as that of every custom resource.
pub fn check(object: &Value, namespaced: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let empty = Value::Object(Map::new());
    let metadata = object.get("metadata").unwrap_or(&empty);
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, prefix) = (text("name"), text("generateName"));
    if !prefix.is_empty() {
        invalid(&mut causes, "metadata.generateName", prefix, subdomain(&without_last_dash(prefix)));
    }
    if name.is_empty() && prefix.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if !name.is_empty() {
        invalid(&mut causes, "metadata.name", name, subdomain(name));
    }
    let namespace = text("namespace");
    match (namespaced, namespace.is_empty()) {
        (true, true) => causes.push(Cause::required("metadata.namespace", "")),
        (false, false) => causes.push(Cause::forbidden("metadata.namespace", "not allowed on this type")),
        _ => {}
    }
    check_parts(metadata, "metadata", &mut causes);
    causes
}

/// What is wrong with the parts of metadata beside its names.
pub(super) fn check_parts(metadata: &Value, path: &str, causes: &mut Vec<Cause>) {
    let map = |name: &str| metadata.get(name).and_then(Value::as_object).into_iter().flatten();
    let labels = child(path, "labels");
    for (name, value) in map("labels") {
        let value = value.as_str().unwrap_or_default();
        invalid(causes, &labels, name, qualified(name));
        let too_long = (value.len() > 63).then_some("must be no more than 63 bytes");
        invalid(causes, &labels, value, too_long.or_else(|| (!is_name_part(value, true)).then_some(LABEL_VALUE)));
    }
    let annotations = child(path, "annotations");
    let mut size = 0_usize;
    for (name, value) in map("annotations") {
        invalid(causes, &annotations, name, qualified(&name.to_lowercase()));
        size = size.saturating_add(name.len()).saturating_add(value.as_str().map_or(0, str::len));
    }
    if size > MAX_ANNOTATIONS {
        causes.push(Cause::too_long(&annotations, MAX_ANNOTATIONS as u64));
    }
    let finalizers = metadata.get("finalizers").and_then(Value::as_array).into_iter().flatten();
    for finalizer in finalizers.filter_map(Value::as_str) {
        invalid(causes, &child(path, "finalizers"), finalizer, qualified(finalizer));
    }
    let owners = metadata.get("ownerReferences").and_then(Value::as_array).into_iter().flatten();
    for owner in owners {
        // Which of them is not told.
        let path = child(path, "ownerReferences");
        for name in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(name).and_then(Value::as_str).unwrap_or_default().is_empty() {
                let told = if name == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                causes.push(Cause::invalid(&child(&path, name), &Value::from(""), told));
            }
        }
    }
}

fn invalid(causes: &mut Vec<Cause>, path: &str, value: &str, detail: Option<&str>) {
    causes.extend(detail.map(|detail| Cause::invalid(path, &Value::from(value), detail)));
}

/// What a name is to begin with may end in a dash, as the real server looks at it.
fn without_last_dash(prefix: &str) -> String {
    let mut rest = prefix.strip_suffix('-').unwrap_or_default().chars();
    match rest.next_back() {
        Some(_) => format!("{}a", rest.as_str()),
        None => prefix.to_owned(),
    }
}

/// Why it is no DNS subdomain.
fn subdomain(name: &str) -> Option<&'static str> {
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 {
        Some("must be no more than 253 bytes")
    } else {
        (!name.split('.').all(label)).then_some(SUBDOMAIN)
    }
}

/// Why it is no name with an optional prefix, such as `example.org/name`.
fn qualified(name: &str) -> Option<&'static str> {
    let part = match name.split_once('/') {
        Some(("", _)) => return Some("prefix part must be non-empty"),
        Some((prefix, part)) => match subdomain(prefix) {
            None => part,
            Some(told) => return Some(told),
        },
        None => name,
    };
    if part.is_empty() {
        Some("name part must be non-empty")
    } else if part.len() > 63 {
        Some("name part must be no more than 63 bytes")
    } else {
        (!is_name_part(part, false)).then_some(QUALIFIED)
    }
}

fn is_name_part(text: &str, may_be_empty: bool) -> bool {
    if text.is_empty() {
        return may_be_empty;
    }
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && ends(text.chars().next())
        && ends(text.chars().last())
}
