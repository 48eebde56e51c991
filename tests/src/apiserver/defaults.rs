//! What the API server itself adds to new objects of built-in kinds, as far as the product relies on it.

use serde_json::{Value, json};

use super::form::Form;
use super::kinds::KindInfo;
use super::store::State;
use super::write::text;

/// What is filled in when an object is read: a namespace is labelled with its name.
pub(crate) fn read(kind: &KindInfo, object: &mut Value) {
    if !text(object, "/metadata/name").is_empty() {
        canonical(kind, object);
    }
}

/// What is filled in before an object is stored.
pub(crate) fn canonical(kind: &KindInfo, object: &mut Value) {
    if kind.form == Some(Form::Namespace) {
        let name = text(object, "/metadata/name").to_owned();
        put(object, "/metadata", "labels", "kubernetes.io/metadata.name", json!(name));
    }
}

/// Fills a new object up.
pub(crate) fn created(state: &State, kind: &KindInfo, object: &mut Value) {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "namespaces") => {
            canonical(kind, object);
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
                && let Some(list) = spec.entry("finalizers").or_insert(json!([])).as_array_mut()
                && !list.iter().any(|f| f == "kubernetes")
            {
                list.push(json!("kubernetes"));
            }
            fill(object, "status", json!({ "phase": "Active" }));
        }
        ("", "persistentvolumeclaims") => {
            finalize(object, "kubernetes.io/pvc-protection");
            if text(object, "/spec/storageClassName").is_empty()
                && let Some(class) = default_class(state)
                && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
            {
                spec.insert("storageClassName".to_owned(), json!(class));
            }
            fill(object, "status", json!({ "phase": "Pending" }));
        }
        ("", "persistentvolumes") => {
            finalize(object, "kubernetes.io/pv-protection");
            fill(object, "status", json!({ "phase": "Available" }));
        }
        ("", "resourcequotas") => fill(object, "status", json!({})),
        ("apiextensions.k8s.io", _) => {
            fill(
                object,
                "status",
                json!({ "conditions": [
                { "type": "NamesAccepted", "status": "True", "reason": "NoConflicts" },
                { "type": "Established", "status": "True", "reason": "InitialNamesAccepted" }
            ] }),
            );
        }
        _ => {}
    }
}

fn default_class(state: &State) -> Option<String> {
    let kind = state.kinds.get("storage.k8s.io", "v1", "storageclasses")?;
    let marked = |object: &Value| {
        object
            .pointer("/metadata/annotations")
            .and_then(|a| a.get("storageclass.kubernetes.io/is-default-class"))
            .and_then(Value::as_str)
            == Some("true")
    };
    state.of_kind(&kind, "").find(|(_, class)| marked(class)).map(|(key, _)| key.name.clone())
}

fn fill(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

fn put(object: &mut Value, at: &str, field: &str, key: &str, value: Value) {
    if let Some(outer) = object.pointer_mut(at).and_then(Value::as_object_mut)
        && let Some(inner) = outer.entry(field).or_insert(json!({})).as_object_mut()
    {
        inner.insert(key.to_owned(), value);
    }
}

fn finalize(object: &mut Value, finalizer: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(list) = metadata.entry("finalizers").or_insert(json!([])).as_array_mut()
        && !list.iter().any(|f| f == finalizer)
    {
        list.push(json!(finalizer));
    }
}
