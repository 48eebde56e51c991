//! Metadata: how it is read, what belongs to the server, and what may not change.

use serde_json::{Value, json};

use super::answer::Refusal;
use super::form::Form;
use super::kinds::KindInfo;
use super::schema::{Cause, check_metadata};
use super::write::text;

/// A type within metadata.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Number,
    Flag,
    Time,
    Texts,
    TextMap,
    Owners,
    Managers,
}

const FIELDS: &[(&str, Type)] = &[
    ("name", Type::Text),
    ("generateName", Type::Text),
    ("namespace", Type::Text),
    ("selfLink", Type::Text),
    ("uid", Type::Text),
    ("resourceVersion", Type::Text),
    ("generation", Type::Number),
    ("creationTimestamp", Type::Time),
    ("deletionTimestamp", Type::Time),
    ("deletionGracePeriodSeconds", Type::Number),
    ("labels", Type::TextMap),
    ("annotations", Type::TextMap),
    ("ownerReferences", Type::Owners),
    ("finalizers", Type::Texts),
    ("managedFields", Type::Managers),
];

const OWNER: &[(&str, Type)] = &[
    ("apiVersion", Type::Text),
    ("kind", Type::Text),
    ("name", Type::Text),
    ("uid", Type::Text),
    ("controller", Type::Flag),
    ("blockOwnerDeletion", Type::Flag),
];

/// Reads an object's metadata: what there is no field for is dropped and returned, what is empty is not kept.
pub(crate) fn read(object: &mut Value) -> Result<Vec<String>, String> {
    let Some(map) = object.as_object_mut() else { return Err("no object".to_owned()) };
    let metadata = map.entry("metadata").or_insert(json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    let Some(metadata) = metadata.as_object_mut() else { return Err("metadata is no object".to_owned()) };
    let mut unknown = Vec::new();
    for name in metadata.keys().cloned().collect::<Vec<_>>() {
        let Some((_, of)) = FIELDS.iter().find(|(known, _)| *known == name) else {
            metadata.remove(&name);
            unknown.push(format!("metadata.{name}"));
            continue;
        };
        let Some(value) = metadata.get_mut(&name) else { continue };
        let at = format!("metadata.{name}");
        if !value.is_null() {
            fit(*of, value, &at, &mut unknown)?;
        }
        let zero = name == "generation" && value.as_i64() == Some(0);
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => zero,
        };
        if empty || matches!(of, Type::Managers) {
            metadata.remove(&name);
        }
    }
    Ok(unknown)
}

fn fit(of: Type, value: &mut Value, at: &str, unknown: &mut Vec<String>) -> Result<(), String> {
    let fits = match (of, &mut *value) {
        (Type::Text, Value::String(_)) | (Type::Flag, Value::Bool(_)) => true,
        (Type::Number, Value::Number(number)) => number.as_i64().is_some(),
        (Type::Time, Value::String(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(time) => {
                *text = super::write::stamp(time);
                true
            }
            Err(_) => false,
        },
        (Type::TextMap, Value::Object(map)) => map.values_mut().all(|value| {
            if value.is_null() {
                // As Go reads it.
                *value = json!("");
            }
            value.is_string()
        }),
        (Type::Texts, Value::Array(items)) => items.iter().all(Value::is_string),
        (Type::Managers, Value::Array(items)) => items.iter().all(|item| item.is_object() || item.is_null()),
        (Type::Owners, Value::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                owner(item, &format!("{at}[{index}]"), unknown)?;
            }
            true
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("json: cannot unmarshal {value} into field {at}")) }
}

fn owner(item: &mut Value, at: &str, unknown: &mut Vec<String>) -> Result<(), String> {
    let Some(map) = item.as_object_mut() else { return Err(format!("{at} is no object")) };
    for name in map.keys().cloned().collect::<Vec<_>>() {
        let Some((_, of)) = OWNER.iter().find(|(known, _)| *known == name) else {
            map.remove(&name);
            unknown.push(format!("{at}.{name}"));
            continue;
        };
        let Some(value) = map.get_mut(&name) else { continue };
        if value.is_null() {
            map.remove(&name);
        } else {
            fit(*of, value, &format!("{at}.{name}"), unknown)?;
        }
    }
    for (name, _) in OWNER.iter().take(4) {
        map.entry(*name).or_insert(json!(""));
    }
    Ok(())
}

/// Fields of an object's metadata that there is nothing in; null if there are none.
pub(crate) fn empty_fields(object: &Value) -> Value {
    let fields = object.get("metadata").and_then(Value::as_object).into_iter().flatten();
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    let found: Vec<(&String, &Value)> = fields.filter(|(_, value)| empty(value)).collect();
    if found.is_empty() { Value::Null } else { json!(found) }
}

/// Sets a field of an object's metadata.
pub(crate) fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut()
        && let Some(metadata) = map.entry("metadata").or_insert(json!({})).as_object_mut()
    {
        metadata.insert(field.to_owned(), value);
    }
}

/// Takes a field out of an object's metadata.
pub(crate) fn unset(object: &mut Value, field: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove(field);
    }
}

/// Puts an object into the namespace of its request; into none for kinds that have none.
pub(crate) fn place(object: &mut Value, namespace: &str) -> Result<(), Refusal> {
    let said = text(object, "/metadata/namespace");
    if namespace.is_empty() {
        unset(object, "namespace");
    } else if said.is_empty() {
        set(object, "namespace", json!(namespace));
    } else if said != namespace {
        return Err(Refusal::bad(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// The same owner, said twice, is one.
pub(crate) fn unite_owners(object: &mut Value) {
    if let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
        let mut seen: Vec<Value> = Vec::new();
        owners.retain(|owner| {
            let new = !seen.contains(owner);
            if new {
                seen.push(owner.clone());
            }
            new
        });
    }
}

/// Takes over what belongs to the server.
pub(crate) fn keep_servers(object: &mut Value, old: &Value) {
    let before = old.get("metadata").and_then(Value::as_object);
    let before = |name: &str| before.and_then(|m| m.get(name)).cloned();
    for name in ["uid", "deletionGracePeriodSeconds"] {
        // Who says something else is told that it may not change.
        let said = object.get("metadata").and_then(|m| m.get(name)).is_some();
        if let Some(value) = before(name).filter(|_| !said) {
            set(object, name, value);
        }
    }
    for name in ["creationTimestamp", "deletionTimestamp"] {
        if let Some(time) = before(name) {
            set(object, name, time);
        }
    }
    match before("generation") {
        Some(generation) => set(object, "generation", generation),
        None => unset(object, "generation"),
    }
}

/// What is wrong with an object's metadata.
pub(crate) fn validate(kind: &KindInfo, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = check_metadata(object, kind.namespaced);
    let name = text(object, "/metadata/name");
    if kind.group == "rbac.authorization.k8s.io" {
        // RBAC names are path segments, not domain names.
        causes.retain(|cause| cause.field != "metadata.name");
    }
    if kind.form == Some(Form::Namespace) {
        let told = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'";
        let prefix = text(object, "/metadata/generateName");
        // Of a prefix that ends in a dash, the real server does not look at what is before it either.
        let looked_at = prefix.strip_suffix('-').map(|rest| {
            let mut rest = rest.chars();
            rest.next_back();
            rest.as_str()
        });
        let prefix = looked_at.unwrap_or(prefix);
        let labels = [("name", name), ("generateName", prefix)].into_iter();
        let wrong = labels.filter(|(_, label)| label.len() > 63 || label.contains('.'));
        causes.extend(wrong.map(|(field, label)| invalid(field, label, told)));
    }
    if kind.schema.is_none() && kind.group != "coordination.k8s.io" {
        causes.extend(known_finalizers(object));
    }
    if let Some(old) = old {
        causes.extend(may_change(object, old));
    }
    causes
}

/// Most built-in kinds take only finalizers that say whose they are.
fn known_finalizers(object: &Value) -> Vec<Cause> {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten();
    let anonymous = |name: &str| !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion");
    let told = "name is neither a standard finalizer name nor is it fully qualified";
    finalizers
        .enumerate()
        .filter_map(|(at, finalizer)| finalizer.as_str().map(|name| (at, name)))
        .filter(|(_, name)| anonymous(name))
        .map(|(at, name)| invalid(&format!("finalizers[{at}]"), name, told))
        .collect()
}

fn invalid(field: &str, value: &str, told: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid".to_owned(),
        field: format!("metadata.{field}"),
        message: format!("Invalid value: \"{value}\": {told}"),
    }
}

fn may_change(object: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for name in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let of = |object: &Value| object.pointer(&format!("/metadata/{name}")).cloned();
        if of(object) != of(old) {
            causes.push(invalid(name, &of(object).unwrap_or_default().to_string(), "field is immutable"));
        }
    }
    if super::write::is_deleting(old) {
        let finalizers = |object: &Value| -> Vec<Value> {
            object.pointer("/metadata/finalizers").and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let before = finalizers(old);
        let new: Vec<String> =
            finalizers(object).iter().filter(|f| !before.contains(f)).map(Value::to_string).collect();
        if !new.is_empty() {
            causes.push(Cause {
                reason: "FieldValueForbidden".to_owned(),
                field: "metadata.finalizers".to_owned(),
                message: format!(
                    "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    new.join(", ")
                ),
            });
        }
    }
    causes
}
