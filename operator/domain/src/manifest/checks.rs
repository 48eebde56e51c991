//! The rules for one rendered object. Each adds what it finds, with the field, the value and what to write instead.

use serde_json::{Map, Value};

use super::{AllowedKind, RESERVED_DOMAIN};
use crate::finding::{Finding, pointer_to};
use crate::naming::{MAX_LABEL_BYTES, is_label};

/// How much of an offending value is repeated, in characters.
const SHOWN_CHARS: usize = 80;

/// Metadata that the API server writes, or by which an object escapes its owner, with the reason.
const FORBIDDEN_METADATA: &[(&str, &str)] = &[
    ("finalizers", "it would keep the object from being deleted"),
    ("ownerReferences", "it would tie the object's life to another one"),
    ("generateName", "names are deterministic here: set metadata.name"),
    ("uid", "the API server sets it"),
    ("resourceVersion", "the API server sets it"),
    ("generation", "the API server sets it"),
    ("creationTimestamp", "the API server sets it"),
    ("deletionTimestamp", "the API server sets it"),
    ("deletionGracePeriodSeconds", "the API server sets it"),
    ("managedFields", "the API server sets it"),
    ("selfLink", "the API server sets it"),
];

pub(super) fn not_an_object() -> Finding {
    Finding::new("", "manifest.object", "a manifest must be a map with apiVersion, kind and metadata")
}

pub(super) fn kind(
    object: &Map<String, Value>,
    allowed: &[AllowedKind],
    findings: &mut Vec<Finding>,
) -> Option<AllowedKind> {
    let mut text = |field: &str| {
        let value = object.get(field).and_then(Value::as_str).filter(|value| !value.is_empty());
        if value.is_none() {
            let message = format!("{field} is missing or not a text: set the {field} of the object");
            findings.push(Finding::new(format!("/{field}"), "manifest.kind", message));
        }
        value
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (api_version, kind) = (api_version?, kind?);
    let Some(found) = allowed.iter().find(|a| a.kind == kind && a.api_version() == api_version) else {
        let mut known: Vec<String> = allowed.iter().map(|a| format!("{} {}", a.api_version(), a.kind)).collect();
        known.sort();
        let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        let message = format!(
            "{} {} is not on the item's list of kinds, which has {known}: add it to allowedKinds or leave the object out",
            shown(api_version),
            shown(kind)
        );
        findings.push(Finding::new("/kind", "manifest.kind", message));
        return None;
    };
    if !found.namespaced {
        let message =
            format!("{kind} is cluster-scoped: only objects that live in the grant's namespace are delivered");
        findings.push(Finding::new("/kind", "manifest.clusterScoped", message));
    }
    Some(found.clone())
}

pub(super) fn name(object: &Map<String, Value>, findings: &mut Vec<Finding>) -> Option<String> {
    let mut refuse = |message: String| {
        findings.push(Finding::new("/metadata/name", "manifest.name", message));
        None
    };
    match object.get("metadata").and_then(|metadata| metadata.get("name")) {
        None => refuse("metadata.name is missing: every object needs a fixed name".to_owned()),
        Some(Value::String(name)) if is_label(name) => Some(name.clone()),
        Some(Value::String(name)) if name.len() > MAX_LABEL_BYTES => refuse(format!(
            "metadata.name \"{}\" has {} characters: use at most {MAX_LABEL_BYTES}",
            shown(name),
            name.len()
        )),
        Some(Value::String(name)) => refuse(format!(
            "metadata.name \"{}\" is not a DNS label: use lower-case letters, digits and hyphens, starting and ending with a letter or digit",
            shown(name)
        )),
        Some(_) => refuse("metadata.name is not a text".to_owned()),
    }
}

pub(super) fn namespace(object: &Map<String, Value>, namespace: &str, findings: &mut Vec<Finding>) {
    let written = match object.get("metadata").and_then(|metadata| metadata.get("namespace")) {
        None => return,
        Some(Value::String(written)) if written == namespace => return,
        Some(Value::String(written)) => format!("\"{}\"", shown(written)),
        Some(_) => "a value that is not a text".to_owned(),
    };
    let message = format!("metadata.namespace is {written}: leave it out, the object goes to \"{namespace}\"");
    findings.push(Finding::new("/metadata/namespace", "manifest.namespace", message));
}

pub(super) fn metadata(object: &Map<String, Value>, findings: &mut Vec<Finding>) {
    let metadata = match object.get("metadata") {
        Some(Value::Object(metadata)) => metadata,
        // A missing name is found already.
        None => return,
        Some(_) => {
            findings.push(Finding::new("/metadata", "manifest.object", "metadata is not a map"));
            return;
        }
    };
    for (field, reason) in FORBIDDEN_METADATA.iter().filter(|(field, _)| metadata.contains_key(*field)) {
        let message = format!("metadata.{field} may not be set, {reason}: leave it out");
        findings.push(Finding::new(format!("/metadata/{field}"), "manifest.forbiddenMetadata", message));
    }
    for field in ["labels", "annotations"] {
        match metadata.get(field) {
            None => {}
            Some(Value::Object(entries)) => entries.iter().for_each(|(key, value)| entry(field, key, value, findings)),
            Some(_) => findings.push(Finding::new(
                format!("/metadata/{field}"),
                "manifest.object",
                format!("metadata.{field} is not a map"),
            )),
        }
    }
}

fn entry(field: &str, key: &str, value: &Value, findings: &mut Vec<Finding>) {
    let pointer = pointer_to(&format!("/metadata/{field}"), key);
    if is_reserved(key) {
        let message = format!("metadata.{field} has \"{}\", which only Zhengyun writes: leave it out", shown(key));
        findings.push(Finding::new(pointer, "manifest.reservedKey", message));
    } else if !value.is_string() {
        let message = format!("metadata.{field} has \"{}\" with a value that is not a text: quote it", shown(key));
        findings.push(Finding::new(pointer, "manifest.object", message));
    }
}

pub(super) fn top_level(object: &Map<String, Value>, findings: &mut Vec<Finding>) {
    if object.contains_key("status") {
        let message = "status is written by the controller of the kind: leave it out";
        findings.push(Finding::new("/status", "manifest.status", message));
    }
}

/// Whether a label or annotation belongs to Zhengyun: `zhengyun.io/...` or `anything.zhengyun.io/...`.
fn is_reserved(key: &str) -> bool {
    let domain = key.split_once('/').map_or(key, |(domain, _)| domain).to_ascii_lowercase();
    domain.strip_suffix(RESERVED_DOMAIN).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}
