//! Values by a kind's schema: mostly as it wants them, sometimes not.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fastrand::Rng;
use serde_json::{Map, Value, json};
use zhengyun_tests::lab::{install, project_root};

use crate::kinds::{self, Kind};

/// The schemas of the custom kinds.
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let read = install::read_folder(&project_root().join("crds/yaml")).expect("the project's definitions");
    let mut definitions: Vec<Value> = read.iter().map(|d| serde_json::to_value(d).expect("a definition")).collect();
    definitions.push(kinds::widget_definition());
    let text =
        |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let schema = |d: &Value| d.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default();
    definitions.iter().map(|d| (text(d, "/spec/names/kind"), schema(d))).collect()
});

/// The schema of a part of a kind: `spec` or `status`.
pub(super) fn schema(kind: &Kind, part: &str) -> Option<&'static Value> {
    SCHEMAS.get(kind.kind)?.pointer(&format!("/properties/{part}"))
}

/// Changes a value somewhere.
pub(super) fn change(rng: &mut Rng, schema: &Value, value: &mut Value) {
    if rng.u32(0..4) > 0 {
        let properties = schema.get("properties").and_then(Value::as_object);
        match value {
            Value::Object(map) => {
                if let Some(properties) = properties.filter(|p| !p.is_empty()) {
                    let (name, inner) = rng.choice(properties.iter()).expect("a property");
                    match map.get_mut(name) {
                        Some(there) if rng.u32(0..5) > 0 => return change(rng, inner, there),
                        _ if rng.u32(0..4) == 0 => drop(map.remove(name)),
                        _ => drop(map.insert(name.clone(), any(rng, inner, 3))),
                    }
                    return;
                }
            }
            Value::Array(items) => {
                let inner = schema.get("items").cloned().unwrap_or_default();
                match rng.u32(0..6) {
                    0 => items.push(any(rng, &inner, 3)),
                    1 if !items.is_empty() => drop(items.remove(rng.usize(0..items.len()))),
                    2 if !items.is_empty() => items.push(items[rng.usize(0..items.len())].clone()),
                    3 => items.reverse(),
                    _ if !items.is_empty() => {
                        let at = rng.usize(0..items.len());
                        change(rng, &inner, &mut items[at]);
                    }
                    _ => items.push(any(rng, &inner, 3)),
                }
                return;
            }
            _ => {}
        }
    }
    *value = any(rng, schema, 3);
}

/// A value for a place in a schema.
pub(super) fn any(rng: &mut Rng, schema: &Value, depth: usize) -> Value {
    if rng.u32(0..12) == 0 {
        return odd(rng);
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && rng.u32(0..12) > 0
    {
        return rng.choice(choices.iter()).cloned().unwrap_or_default();
    }
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => text(rng, schema),
        Some("integer" | "number") => {
            let (least, most) = (number("minimum").unwrap_or(-2.0), number("maximum").unwrap_or(40.0));
            let value = match rng.u32(0..10) {
                0 => least - 1.0,
                1 => most + 1.0,
                2 => least,
                3 => most,
                _ => least + (rng.f64() * (most - least)).floor(),
            };
            #[expect(clippy::cast_possible_truncation, reason = "a bound of a schema, or one beside it")]
            let value = value as i64;
            json!(value)
        }
        Some("boolean") => json!(rng.bool()),
        Some("array") => {
            let count = if depth == 0 { 0 } else { rng.usize(0..3) };
            let inner = schema.get("items").cloned().unwrap_or_default();
            Value::Array((0..count).map(|_| any(rng, &inner, depth - 1)).collect())
        }
        Some("object") => object(rng, schema, depth),
        _ => odd(rng),
    }
}

fn object(rng: &mut Rng, schema: &Value, depth: usize) -> Value {
    let mut map = Map::new();
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let wanted =
            if required.contains(&name.as_str()) { rng.u32(0..20) > 0 } else { depth > 0 && rng.u32(0..3) == 0 };
        if wanted {
            map.insert(name.clone(), any(rng, inner, depth.saturating_sub(1)));
        }
    }
    if let Some(each) = schema.get("additionalProperties").filter(|a| a.is_object()) {
        for _ in 0..rng.usize(0..3) {
            let key = *rng.choice(["cpu", "memory", "k", "bad key", "Upper", "x.y-z"].iter()).expect("a key");
            map.insert(key.to_owned(), any(rng, each, depth.saturating_sub(1)));
        }
    }
    if schema.get("x-kubernetes-preserve-unknown-fields").is_some() {
        map.insert("free".to_owned(), json!({ "a": [1, null, { "b": null }], "n": null }));
    }
    if rng.u32(0..20) == 0 {
        map.insert("unknown".to_owned(), odd(rng));
    }
    Value::Object(map)
}

fn text(rng: &mut Rng, schema: &Value) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength").unwrap_or(20));
    let choices = [
        "a".repeat(least.max(1)),
        "a".repeat(most),
        "a".repeat(most + 1),
        "字".repeat(most.min(300)),
        String::new(),
        "hohhot".to_owned(),
        "1".to_owned(),
        "1Gi".to_owned(),
        "-5m".to_owned(),
        "unlimited".to_owned(),
        "2026-02-03".to_owned(),
        "2026-02-03T04:05:06Z".to_owned(),
        "2026-02-03T04:05:06.789+08:00".to_owned(),
        format!("sha256:{}", "0".repeat(64)),
        "0".repeat(64),
        "system:x".to_owned(),
    ];
    json!(rng.choice(choices.iter()).expect("a text"))
}

fn odd(rng: &mut Rng) -> Value {
    let values = [
        Value::Null,
        json!(""),
        json!("text"),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(3_000_000_000_u64),
        json!(true),
        json!([]),
        json!({}),
        json!(["x", "x"]),
        json!([null]),
        json!([{ "name": "x" }]),
        json!({ "x": null }),
        json!({ "name": "x", "y": { "z": 1 } }),
    ];
    rng.choice(values.iter()).cloned().unwrap_or_default()
}
