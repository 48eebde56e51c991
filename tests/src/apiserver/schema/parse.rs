//! Reads a schema as written in a CustomResourceDefinition.

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value};

use super::formats::Format;
use super::node::{Additional, Bound, Kind, ListType, Node};
use super::rules::Rule;
use crate::apiserver::cel;

/// Keys that say nothing about what is valid here. `x-kubernetes-map-type` matters to server-side apply only: both of its values
/// let rules see the old value.
const SILENT: &[&str] = &["description", "title", "example", "externalDocs", "x-kubernetes-map-type"];

/// The schema of whole objects.
pub(super) fn root(schema: &Value) -> Result<Node> {
    let mut root = node(schema, "")?;
    root.root = true;
    Ok(root)
}

fn node(schema: &Value, path: &str) -> Result<Node> {
    read(schema, path).with_context(|| format!("at {}", if path.is_empty() { "the root" } else { path }))
}

fn read(schema: &Value, path: &str) -> Result<Node> {
    let map = schema.as_object().context("a schema is an object")?;
    let int_or_string = map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    let mut node = Node::of(match map.get("type").map(|t| t.as_str().unwrap_or_default()) {
        _ if int_or_string => Kind::IntOrString,
        None => Kind::Any,
        Some("object") => Kind::Object,
        Some("array") => Kind::Array,
        Some("string") => Kind::String,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        Some(other) => bail!("the type {other:?} is not modelled"),
    });
    for (key, value) in map {
        set(&mut node, key, value, map, path).with_context(|| format!("{key} of {path:?}"))?;
    }
    let below = || {
        let each = match &node.additional {
            Additional::Each(each) => Some(each.as_ref()),
            _ => None,
        };
        node.properties.values().chain(each).chain(node.items.as_deref())
    };
    let branches = node.all_of.iter().chain(&node.any_of).chain(&node.one_of).chain(node.not.as_deref());
    if branches.into_iter().any(|branch| branch.has_rules) {
        bail!("rules within allOf, anyOf, oneOf or not are not modelled");
    }
    node.has_rules = !node.rules.is_empty() || below().any(|n| n.has_rules);
    node.has_list_types = node.list_type != ListType::Atomic || below().any(|n| n.has_list_types);
    Ok(node)
}

fn set(into: &mut Node, key: &str, value: &Value, map: &Map<String, Value>, path: &str) -> Result<()> {
    match key {
        // Read with the kind, and with the bounds.
        "type" | "x-kubernetes-int-or-string" | "exclusiveMinimum" | "exclusiveMaximum" => {}
        "nullable" => into.nullable = flag(value)?,
        "format" => into.format = Format::named(value.as_str().context("a text")?, into.kind)?,
        "default" => into.default = Some(value.clone()).filter(|v| !v.is_null()),
        "properties" => {
            into.with_properties = true;
            for (name, schema) in value.as_object().context("an object")? {
                into.properties.insert(name.clone(), node(schema, &super::fields::child(path, name))?);
            }
        }
        "additionalProperties" => {
            into.additional = match value {
                Value::Bool(allowed) => Additional::Allowed(*allowed),
                schema => Additional::Each(Box::new(node(schema, &format!("{path}[*]"))?)),
            };
        }
        "items" => into.items = Some(Box::new(node(value, &format!("{path}[]"))?)),
        "x-kubernetes-preserve-unknown-fields" => into.preserve = flag(value)?,
        "x-kubernetes-embedded-resource" => into.embedded = flag(value)?,
        "x-kubernetes-list-type" => {
            into.list_type = match value.as_str() {
                Some("atomic") => ListType::Atomic,
                Some("set") => ListType::Set,
                Some("map") => ListType::Map,
                _ => bail!("{value} is not modelled"),
            };
        }
        "x-kubernetes-list-map-keys" => into.list_keys = texts(value)?,
        "x-kubernetes-validations" => {
            let rules = value.as_array().context("a list")?.iter();
            into.rules = rules.map(Rule::read).collect::<Result<_>>()?;
        }
        "required" => into.required = texts(value)?,
        "enum" => into.choices.clone_from(value.as_array().context("a list")?),
        "pattern" => {
            let text = value.as_str().context("a text")?;
            into.pattern = Some((text.to_owned(), cel::compile_pattern(text)?)).filter(|_| !text.is_empty());
        }
        "minimum" => {
            into.minimum = Some(Bound { value: number(value)?, exclusive: exclusive(map, "exclusiveMinimum")? });
        }
        "maximum" => {
            into.maximum = Some(Bound { value: number(value)?, exclusive: exclusive(map, "exclusiveMaximum")? });
        }
        "multipleOf" => into.multiple_of = Some(number(value)?).filter(|v| *v > 0.0),
        "minLength" => into.min_length = Some(count(value)?),
        "maxLength" => into.max_length = Some(count(value)?),
        "minItems" => into.min_items = Some(count(value)?),
        "maxItems" => into.max_items = Some(count(value)?),
        "minProperties" => into.min_properties = Some(count(value)?),
        "maxProperties" => into.max_properties = Some(count(value)?),
        "uniqueItems" => into.unique_items = flag(value)?,
        "oneOf" => into.one_of = branches(value, path)?,
        "anyOf" => into.any_of = branches(value, path)?,
        "allOf" => into.all_of = branches(value, path)?,
        "not" => into.not = Some(Box::new(node(value, path)?)),
        silent if SILENT.contains(&silent) => {}
        other => bail!("{other} is not modelled"),
    }
    Ok(())
}

fn branches(value: &Value, path: &str) -> Result<Vec<Node>> {
    value.as_array().context("a list")?.iter().map(|schema| node(schema, path)).collect()
}

fn exclusive(map: &Map<String, Value>, key: &str) -> Result<bool> {
    map.get(key).map_or(Ok(false), flag)
}

fn flag(value: &Value) -> Result<bool> {
    value.as_bool().with_context(|| format!("{value} is neither true nor false"))
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("{value} is no number"))
}

fn count(value: &Value) -> Result<u64> {
    value.as_u64().with_context(|| format!("{value} is no count"))
}

fn texts(value: &Value) -> Result<Vec<String>> {
    let list = value.as_array().context("a list")?.iter();
    list.map(|v| v.as_str().map(str::to_owned).ok_or_else(|| anyhow!("{v} is no text"))).collect()
}
