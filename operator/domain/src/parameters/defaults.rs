//! Filling in defaults.

use serde_json::{Map, Value, json};

use crate::finding::{Finding, pointer_to};

/// How far a chain of `$ref` is followed, and how deep values are filled in; both bound a schema that refers to itself.
const MAX_DEPTH: usize = 32;

/// The value with every missing property that has a default.
pub(super) fn apply(schema: &Value, value: &Value) -> Value {
    let mut value = value.clone();
    fill(schema, schema, &mut value, 0);
    value
}

fn fill(root: &Value, schema: &Value, value: &mut Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    let deeper = depth.saturating_add(1);
    let schema = follow(root, schema);
    match value {
        Value::Object(fields) => {
            let Some(Value::Object(properties)) = schema.get("properties") else { return };
            for (name, property) in properties {
                // A default beside a `$ref` goes before the one of what it refers to.
                let default = property.get("default").or_else(|| follow(root, property).get("default"));
                if let Some(default) = default.filter(|_| !fields.contains_key(name)) {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(field) = fields.get_mut(name) {
                    fill(root, property, field, deeper);
                }
            }
        }
        Value::Array(elements) => {
            if let Some(items) = schema.get("items") {
                for element in elements {
                    fill(root, items, element, deeper);
                }
            }
        }
        _ => {}
    }
}

/// The schema that a chain of `$ref` leads to.
fn follow<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..MAX_DEPTH {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// Every default of a schema that the schema itself would refuse.
pub(super) fn check(schema: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    visit(schema, schema, "", &mut findings);
    findings
}

fn visit(root: &Value, schema: &Value, pointer: &str, findings: &mut Vec<Finding>) {
    let Value::Object(fields) = schema else { return };
    if let Some(default) = fields.get("default") {
        findings.extend(fault(root, fields, default, &pointer_to(pointer, "default")));
    }
    for keyword in ["properties", "$defs"] {
        if let Some(Value::Object(named)) = fields.get(keyword) {
            let below = pointer_to(pointer, keyword);
            named.iter().for_each(|(name, schema)| visit(root, schema, &pointer_to(&below, name), findings));
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(schema) = fields.get(keyword) {
            visit(root, schema, &pointer_to(pointer, keyword), findings);
        }
    }
}

/// Judges a default by its own schema, with the definitions of the whole beside it so that references resolve.
fn fault(root: &Value, fields: &Map<String, Value>, default: &Value, pointer: &str) -> Option<Finding> {
    let mut alone = fields.clone();
    alone.insert("$defs".to_owned(), root.get("$defs").cloned().unwrap_or_else(|| json!({})));
    let validator = match super::build(&Value::Object(alone)) {
        Ok(validator) => validator,
        Err(finding) => return Some(finding),
    };
    // What the default leaves out is filled in as well before it is used.
    let mut complete = default.clone();
    fill(root, &Value::Object(fields.clone()), &mut complete, 0);
    let error = validator.iter_errors(&complete).next()?;
    let message = format!("the default does not fit its own schema: {}", super::explain::sentence(&error));
    Some(Finding::new(pointer, "schema.default", message))
}
