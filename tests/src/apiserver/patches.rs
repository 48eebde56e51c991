//! Patches that need no field ownership, as the library of kube-apiserver applies them: JSON merge patch (RFC 7386) and JSON
//! patch (RFC 6902), with its departures from both.

use serde_json::{Map, Value};

use super::answer::Refusal;

/// Applies a merge patch.
pub(crate) fn merge(object: &Value, patch: &Value) -> Result<Value, Refusal> {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => Ok(Value::Object(merged(object, patch))),
        _ => Err(Refusal::bad("Invalid JSON Patch")),
    }
}

fn merged(object: &Map<String, Value>, patch: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = object.clone();
    for (name, value) in patch {
        let there = object.get(name).filter(|v| !v.is_null());
        match (there, value) {
            (_, Value::Null) => drop(merged.remove(name)),
            (Some(Value::Object(there)), Value::Object(value)) => {
                merged.insert(name.clone(), Value::Object(self::merged(there, value)));
            }
            // A value in the place of an object is taken as it is, nulls and all.
            (Some(Value::Object(_)), value) => drop(merged.insert(name.clone(), value.clone())),
            (_, value) => drop(merged.insert(name.clone(), without_nulls(value))),
        }
    }
    merged
}

/// New values come without the nulls in them, also in lists.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// Applies a JSON patch.
pub(crate) fn json_patch(object: &Value, patch: &Value) -> Result<Value, Refusal> {
    if patch.is_null() {
        return Ok(object.clone());
    }
    let operations: Option<Vec<&Map<String, Value>>> =
        patch.as_array().and_then(|list| list.iter().map(Value::as_object).collect());
    let operations = operations.ok_or_else(|| Refusal::bad("json: cannot unmarshal the patch"))?;
    let mut patched = object.clone();
    for operation in operations {
        step(&mut patched, operation).map_err(|told| {
            let mut refusal = Refusal::new(
                422,
                "Invalid",
                format!("the server rejected our request due to an error in our request: {told}"),
            );
            refusal.details = serde_json::json!({});
            refusal
        })?;
    }
    Ok(patched)
}

fn step(object: &mut Value, operation: &Map<String, Value>) -> Result<(), String> {
    let text = |field: &str| -> Result<&str, String> {
        operation.get(field).and_then(Value::as_str).ok_or_else(|| format!("operation missing {field} field"))
    };
    let value = || operation.get("value").cloned().unwrap_or_default();
    let kind = operation.get("op").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "add" => add(object, text("path")?, value()),
        "remove" => remove(object, text("path")?),
        "replace" => replace(object, text("path")?, value()),
        "test" => {
            let path = text("path")?;
            let is = if path.is_empty() { object.clone() } else { get(object, path)? };
            if is == value() { Ok(()) } else { Err(format!("testing value {path} failed")) }
        }
        "copy" => {
            let copied = get(object, text("from")?)?;
            add(object, text("path")?, copied)
        }
        "move" => {
            let from = text("from")?;
            let moved = get(object, from)?;
            remove(object, from)?;
            add(object, text("path")?, moved)
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

/// What a path leads into, and its last step.
fn into<'a>(object: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let missing = || format!("doc is missing path: {path}");
    let (outer, last) = path.rsplit_once('/').ok_or_else(missing)?;
    let outer = object.pointer_mut(outer).ok_or_else(missing)?;
    if outer.is_object() || outer.is_array() {
        Ok((outer, last.replace("~1", "/").replace("~0", "~")))
    } else {
        Err(missing())
    }
}

/// A place in a list; from its end if it is negative.
fn place(key: &str, count: usize) -> Result<usize, String> {
    let bad = || format!("Unable to access invalid index: {key}");
    let index: i64 = key.parse().map_err(|_| bad())?;
    let count = i64::try_from(count).map_err(|_| bad())?;
    let index = if index < 0 { index.saturating_add(count) } else { index };
    if index >= count {
        return Err(bad());
    }
    usize::try_from(index).map_err(|_| bad())
}

fn get(object: &mut Value, path: &str) -> Result<Value, String> {
    let (outer, key) = into(object, path)?;
    match outer {
        // What is not there is null.
        Value::Object(map) => Ok(map.get(&key).cloned().unwrap_or_default()),
        Value::Array(items) => {
            let at = place(&key, items.len())?;
            Ok(items.get(at).cloned().unwrap_or_default())
        }
        _ => Err("no container".to_owned()),
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (outer, key) = into(object, path)?;
    match outer {
        Value::Object(map) => drop(map.insert(key, value)),
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let at = place(&key, items.len().saturating_add(1))?;
            items.insert(at, value);
        }
        _ => {}
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<(), String> {
    let (outer, key) = into(object, path)?;
    match outer {
        Value::Object(map) => {
            map.remove(&key).map(drop).ok_or_else(|| format!("Unable to remove nonexistent key: {key}"))
        }
        Value::Array(items) => {
            let at = place(&key, items.len())?;
            items.remove(at);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// In an object, also of what is not there.
fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        return if value.is_object() || value.is_array() {
            *object = value;
            Ok(())
        } else {
            Err("replace operation value must be object or array".to_owned())
        };
    }
    let (outer, key) = into(object, path)?;
    match outer {
        Value::Object(map) => drop(map.insert(key, value)),
        Value::Array(items) => {
            let at = place(&key, items.len())?;
            if let Some(item) = items.get_mut(at) {
                *item = value;
            }
        }
        _ => {}
    }
    Ok(())
}
