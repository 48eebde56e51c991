//! The form of those built-in kinds whose own rules are modelled: ConfigMap, Secret, Namespace and Lease.
//!
//! A body is read into typed fields: what the kind does not know is dropped, what is empty is not kept, a value of another type
//! is an error. Bodies of other built-in kinds are taken as they come.

use serde_json::{Map, Value, json};

use super::fields::Shape;
use super::schema::Cause;
use super::write::text;

/// A kind with a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    ConfigMap,
    Secret,
    Namespace,
    Lease,
}

/// The type of a field.
#[derive(Clone, Copy)]
enum Type {
    Text,
    /// A text that is kept when empty.
    OptionalText,
    /// A whole number of 32 bits.
    Number,
    Flag,
    Bytes,
    /// A time to the microsecond.
    Time,
    /// A time to the second, null if there is none.
    Second,
    MapOf(&'static Self),
    ListOf(&'static Self),
    Fields(&'static [(&'static str, Self)]),
}

const CONDITION: Type = Type::Fields(&[
    ("type", Type::Text),
    ("status", Type::Text),
    ("lastTransitionTime", Type::Second),
    ("reason", Type::Text),
    ("message", Type::Text),
]);

/// What may be larger in no ConfigMap and no Secret, in bytes.
const MOST_DATA: usize = 1024 * 1024;

impl Form {
    pub(crate) fn of(group: &str, plural: &str) -> Option<Self> {
        match (group, plural) {
            ("", "configmaps") => Some(Self::ConfigMap),
            ("", "secrets") => Some(Self::Secret),
            ("", "namespaces") => Some(Self::Namespace),
            ("coordination.k8s.io", "leases") => Some(Self::Lease),
            _ => None,
        }
    }

    const fn fields(self) -> &'static [(&'static str, Type)] {
        match self {
            Self::ConfigMap => &[
                ("data", Type::MapOf(&Type::Text)),
                ("binaryData", Type::MapOf(&Type::Bytes)),
                ("immutable", Type::Flag),
            ],
            Self::Secret => &[
                ("data", Type::MapOf(&Type::Bytes)),
                ("stringData", Type::MapOf(&Type::Text)),
                ("type", Type::Text),
                ("immutable", Type::Flag),
            ],
            Self::Namespace => &[
                ("spec", Type::Fields(&[("finalizers", Type::ListOf(&Type::Text))])),
                ("status", Type::Fields(&[("phase", Type::Text), ("conditions", Type::ListOf(&CONDITION))])),
            ],
            Self::Lease => &[(
                "spec",
                Type::Fields(&[
                    ("holderIdentity", Type::OptionalText),
                    ("leaseDurationSeconds", Type::Number),
                    ("acquireTime", Type::Time),
                    ("renewTime", Type::Time),
                    ("leaseTransitions", Type::Number),
                ]),
            )],
        }
    }

    /// Fields that are shown even when there is nothing in them.
    pub(crate) const fn always(self) -> &'static [&'static str] {
        match self {
            Self::Namespace => &["spec", "status"],
            Self::Lease => &["spec"],
            Self::ConfigMap | Self::Secret => &[],
        }
    }

    /// Reads a body; returns the fields that the kind does not have.
    pub(crate) fn read(self, body: &mut Value) -> Result<Vec<String>, String> {
        let mut unknown = Vec::new();
        let Some(map) = body.as_object_mut() else { return Err("no object".to_owned()) };
        let mut outer = Map::new();
        for name in ["apiVersion", "kind", "metadata"] {
            outer.extend(map.remove(name).map(|value| (name.to_owned(), value)));
        }
        take(self.fields(), map, "", &mut unknown)?;
        map.extend(outer);
        for name in self.always() {
            map.entry(*name).or_insert(json!({}));
        }
        if self == Self::Secret {
            secret(map);
        }
        Ok(unknown)
    }

    /// What is wrong with an object of the kind, beside its metadata.
    pub(crate) fn validate(self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        match self {
            Self::ConfigMap => {
                let mut causes = locked(object, old, &["data", "binaryData"]);
                causes.extend(keys(object, &["data", "binaryData"]));
                causes
            }
            Self::Secret => {
                let mut causes = locked(object, old, &["data"]);
                if old.is_some_and(|old| old.get("type") != object.get("type")) {
                    causes.push(invalid("type", "field is immutable"));
                }
                causes.extend(keys(object, &["data"]));
                causes
            }
            Self::Namespace => Vec::new(),
            Self::Lease => {
                let number = |field: &str| object.pointer(&format!("/spec/{field}")).and_then(Value::as_i64);
                let mut causes = Vec::new();
                if number("leaseDurationSeconds").is_some_and(|n| n <= 0) {
                    causes.push(invalid("spec.leaseDurationSeconds", "must be greater than 0"));
                }
                if number("leaseTransitions").is_some_and(|n| n < 0) {
                    causes.push(invalid("spec.leaseTransitions", "must be greater than or equal to 0"));
                }
                causes
            }
        }
    }
}

fn invalid(field: &str, told: &str) -> Cause {
    Cause { reason: "FieldValueInvalid".to_owned(), field: field.to_owned(), message: format!("Invalid value: {told}") }
}

/// What may not change once an object says that it is immutable.
fn locked(object: &Value, old: Option<&Value>, fields: &[&str]) -> Vec<Cause> {
    let is = |object: &Value| object.get("immutable") == Some(&Value::Bool(true));
    let Some(old) = old.filter(|old| is(old)) else { return Vec::new() };
    let changed = fields.iter().filter(|f| old.get(**f) != object.get(**f)).copied();
    let freed = (!is(object)).then_some("immutable");
    let forbidden = |field: &str| Cause {
        reason: "FieldValueForbidden".to_owned(),
        field: field.to_owned(),
        message: "Forbidden: field is immutable when `immutable` is set".to_owned(),
    };
    freed.into_iter().chain(changed).map(forbidden).collect()
}

/// Keys of data, and its size.
fn keys(object: &Value, fields: &[&str]) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut size = 0_usize;
    for field in fields {
        for (key, value) in object.get(field).and_then(Value::as_object).into_iter().flatten() {
            let good = (1..=253).contains(&key.len())
                && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
                && key != "."
                && !key.starts_with("..");
            let twice = *field == "data"
                && fields.len() > 1
                && object.pointer("/binaryData").is_some_and(|b| b.get(key).is_some());
            if !good || twice {
                causes.push(invalid(
                    &format!("{field}[{key}]"),
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                ));
            }
            let text = value.as_str().unwrap_or_default();
            let encoded = *field == "binaryData" || fields.len() == 1;
            size = size.saturating_add(if encoded { text.len() / 4 * 3 } else { text.len() });
        }
    }
    if size > MOST_DATA {
        let message = format!("Too long: may not be more than {MOST_DATA} bytes");
        causes.push(Cause { reason: "FieldValueTooLong".to_owned(), field: "<nil>".to_owned(), message });
    }
    causes
}

/// What was written as text becomes data, and there is always a type.
fn secret(fields: &mut Map<String, Value>) {
    fields.entry("type").or_insert(json!("Opaque"));
    let Some(Value::Object(plain)) = fields.remove("stringData") else { return };
    let data = fields.entry("data").or_insert(json!({}));
    if let Some(data) = data.as_object_mut() {
        for (key, value) in plain {
            let text = value.as_str().unwrap_or_default();
            data.insert(key, json!(data_encoding::BASE64.encode(text.as_bytes())));
        }
    }
}

fn take(
    fields: &[(&str, Type)],
    map: &mut Map<String, Value>,
    at: &str,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let path = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let names: Vec<String> = map.keys().cloned().collect();
    for name in names {
        let Some((_, of)) = fields.iter().find(|(known, _)| *known == name) else {
            map.remove(&name);
            unknown.push(path(&name));
            continue;
        };
        let Some(value) = map.get_mut(&name) else { continue };
        if !value.is_null() {
            fit(*of, value, &path(&name), unknown)?;
        }
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty() && !matches!(of, Type::OptionalText),
            Value::Object(map) => map.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if empty {
            map.remove(&name);
        }
    }
    for (name, _) in fields.iter().filter(|(_, of)| matches!(of, Type::Second)) {
        map.entry(*name).or_insert(Value::Null);
    }
    Ok(())
}

/// Reads a value as one of a type.
fn fit(of: Type, value: &mut Value, at: &str, unknown: &mut Vec<String>) -> Result<(), String> {
    let fits = match (of, &mut *value) {
        (Type::Text | Type::OptionalText, Value::String(_)) | (Type::Flag, Value::Bool(_)) => true,
        (Type::Number, Value::Number(number)) => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        (Type::Bytes, Value::String(text)) => data_encoding::BASE64.decode(text.as_bytes()).is_ok(),
        (Type::Bytes, Value::Array(items)) => {
            // Go reads bytes from a list of numbers, too.
            let bytes: Option<Vec<u8>> = items.iter().map(|i| i.as_u64().and_then(|n| u8::try_from(n).ok())).collect();
            let fits = bytes.is_some();
            *value = json!(data_encoding::BASE64.encode(&bytes.unwrap_or_default()));
            fits
        }
        (Type::Time, Value::String(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(time) => {
                *text = time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
                true
            }
            Err(_) => false,
        },
        (Type::Second, Value::String(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(time) => {
                *text = super::write::stamp(time);
                true
            }
            Err(_) => false,
        },
        (Type::MapOf(of), Value::Object(map)) => {
            for (name, value) in map.iter_mut() {
                if value.is_null() {
                    // As Go reads it.
                    *value = json!("");
                }
                fit(*of, value, &format!("{at}[{name}]"), unknown)?;
            }
            true
        }
        (Type::ListOf(of), Value::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                fit(*of, item, &format!("{at}[{index}]"), unknown)?;
            }
            true
        }
        (Type::Fields(fields), Value::Object(map)) => {
            take(fields, map, at, unknown)?;
            true
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("json: cannot unmarshal {} into field {at}", kind_of(value))) }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What a built-in kind's schema says about merging.
pub(crate) fn shape(group: &str, plural: &str) -> Shape {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer" });
    let flag = json!({ "type": "boolean" });
    let time = json!({ "type": "string", "format": "date-time" });
    let properties = match Form::of(group, plural) {
        None => return Shape::unknown(),
        Some(Form::ConfigMap) => json!({ "data": texts, "binaryData": texts, "immutable": flag }),
        Some(Form::Secret) => json!({ "data": texts, "stringData": texts, "type": text, "immutable": flag }),
        Some(Form::Lease) => json!({ "spec": { "type": "object", "properties": {
            "holderIdentity": text, "leaseDurationSeconds": number, "acquireTime": time, "renewTime": time,
            "leaseTransitions": number, "strategy": text, "preferredHolder": text
        } } }),
        Some(Form::Namespace) => json!({
            "spec": { "type": "object", "properties": { "finalizers": { "type": "array", "items": text } } },
            "status": { "type": "object", "properties": {
                "phase": text,
                "conditions": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                    "items": { "type": "object", "properties": {
                        "type": text, "status": text, "lastTransitionTime": time, "reason": text, "message": text
                    } }
                }
            } }
        }),
    };
    Shape::of(&json!({ "type": "object", "properties": properties }))
}

/// Whether a namespace's own list of finalizers is empty.
pub(crate) fn finalized(object: &Value) -> bool {
    text(object, "/kind") != "Namespace"
        || object.pointer("/spec/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty)
}
