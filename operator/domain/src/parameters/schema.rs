//! What an item's schema must look like.

use serde_json::{Map, Value};

use crate::finding::{Finding, pointer_to};

/// Nesting of a schema.
const MAX_DEPTH: usize = 16;

/// Schemas inside a schema, itself included.
const MAX_SCHEMAS: usize = 500;

/// Size of a schema, in bytes of JSON.
const MAX_BYTES: usize = 64 * 1024;

/// Length of a pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 256;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Keywords whose value is a schema, a list of schemas, or a map of schemas.
const ONE: &[&str] = &["items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"];
const MANY: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
const NAMED: &[&str] = &["properties", "$defs"];

/// Keywords without schemas in them.
const PLAIN: &[&str] = &[
    "$schema",
    "$ref",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "type",
    "enum",
    "const",
    "required",
    "dependentRequired",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
];

/// Everything that is wrong with a schema, before it is compiled.
pub(super) fn check(schema: &Value) -> Vec<Finding> {
    let mut checker = Checker { findings: Vec::new(), schemas: 0 };
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        let message = format!("the schema has {bytes} bytes, at most {MAX_BYTES} are allowed");
        return vec![Finding::new("", "schema.size", message)];
    }
    if let Value::Object(root) = schema {
        if root.get("type").and_then(Value::as_str) != Some("object") {
            checker.find("/type", "schema.type", "parameters are a map: set \"type\": \"object\"");
        }
        checker.object(root, "");
    }
    checker.schema(schema, "", 0, Role::Whole);
    checker.findings
}

/// What a schema is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It alone says what a value may be, so it must bound it.
    Whole,
    /// It adds to a schema that bounds the value: inside `allOf`, `if` and the like.
    Part,
}

struct Checker {
    findings: Vec<Finding>,
    schemas: usize,
}

impl Checker {
    fn find(&mut self, pointer: &str, rule: &str, message: impl Into<String>) {
        self.findings.push(Finding::new(pointer, rule, message));
    }

    fn schema(&mut self, schema: &Value, pointer: &str, depth: usize, role: Role) {
        self.schemas = self.schemas.saturating_add(1);
        if depth > MAX_DEPTH || self.schemas > MAX_SCHEMAS {
            let message = format!("the schema is deeper than {MAX_DEPTH} levels or has more than {MAX_SCHEMAS} parts");
            self.find(pointer, "schema.size", message);
            return;
        }
        let Value::Object(fields) = schema else {
            // `true` and `false` are schemas; the one lets anything through, the other is for `additionalProperties`.
            self.find(
                pointer,
                "schema.shape",
                "write a schema here, such as {\"type\": \"string\", \"maxLength\": 64}",
            );
            return;
        };
        self.keywords(fields, pointer);
        if role == Role::Whole {
            self.bounds(fields, pointer);
        }
        let deeper = depth.saturating_add(1);
        for (keyword, value) in fields {
            let below = pointer_to(pointer, keyword);
            self.children(keyword, value, &below, deeper, role);
        }
    }

    fn children(&mut self, keyword: &str, value: &Value, below: &str, depth: usize, role: Role) {
        let is_value = matches!(keyword, "items" | "additionalProperties" | "prefixItems" | "properties" | "$defs");
        let role = if is_value { role } else { Role::Part };
        match value {
            Value::Bool(false) if keyword == "additionalProperties" || keyword == "items" => {}
            _ if ONE.contains(&keyword) => self.schema(value, below, depth, role),
            Value::Array(schemas) if MANY.contains(&keyword) => {
                for (index, schema) in schemas.iter().enumerate() {
                    self.schema(schema, &pointer_to(below, &index.to_string()), depth, role);
                }
            }
            Value::Object(schemas) if NAMED.contains(&keyword) => {
                for (name, schema) in schemas {
                    self.schema(schema, &pointer_to(below, name), depth, role);
                }
            }
            _ => {}
        }
    }

    fn keywords(&mut self, fields: &Map<String, Value>, pointer: &str) {
        for (keyword, value) in fields {
            let below = pointer_to(pointer, keyword);
            let known = [ONE, MANY, NAMED, PLAIN].iter().any(|list| list.contains(&keyword.as_str()));
            match (keyword.as_str(), value.as_str()) {
                ("$ref", Some(target)) if !is_local(target) => {
                    let message = format!("$ref is \"{target}\": only #/$defs/<name> of the same schema can be used");
                    self.find(&below, "schema.reference", message);
                }
                ("$schema", Some(dialect)) if dialect.trim_end_matches('#') != DIALECT => {
                    self.find(
                        &below,
                        "schema.dialect",
                        format!("$schema is \"{dialect}\": use {DIALECT}, or leave it out"),
                    );
                }
                ("pattern", Some(pattern)) if pattern.len() > MAX_PATTERN_BYTES => {
                    let message =
                        format!("the pattern has {} bytes, at most {MAX_PATTERN_BYTES} are allowed", pattern.len());
                    self.find(&below, "schema.size", message);
                }
                _ if !known && !keyword.starts_with("x-") => {
                    let message = format!("\"{keyword}\" is not a keyword that can be used here: correct or remove it");
                    self.find(&below, "schema.keyword", message);
                }
                _ => {}
            }
        }
    }

    /// A schema that says alone what a value may be must say how large it may be.
    fn bounds(&mut self, fields: &Map<String, Value>, pointer: &str) {
        if ["enum", "const", "$ref"].iter().any(|keyword| fields.contains_key(*keyword)) {
            return;
        }
        let types: Vec<&str> = match fields.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => {
                let message = "the value has no type: set \"type\", or list the values with \"enum\"";
                self.find(pointer, "schema.type", message);
                return;
            }
        };
        if types.contains(&"string") && !fields.contains_key("maxLength") {
            self.find(pointer, "schema.bound", "the text has no bound: set \"maxLength\"");
        }
        if types.contains(&"array") {
            for keyword in ["items", "maxItems"].into_iter().filter(|keyword| !fields.contains_key(*keyword)) {
                self.find(pointer, "schema.bound", format!("the list has no bound: set \"{keyword}\""));
            }
        }
        if types.contains(&"object") && !pointer.is_empty() {
            self.object(fields, pointer);
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, pointer: &str) {
        match fields.get("additionalProperties") {
            Some(Value::Bool(false)) => {}
            Some(Value::Object(_)) if !pointer.is_empty() => {
                if !fields.contains_key("maxProperties") {
                    self.find(pointer, "schema.bound", "the map has no bound: set \"maxProperties\"");
                }
            }
            _ => {
                let message = "a property nobody knows would be ignored: set \"additionalProperties\": false";
                self.find(&pointer_to(pointer, "additionalProperties"), "schema.additionalProperties", message);
            }
        }
    }
}

fn is_local(target: &str) -> bool {
    target.strip_prefix("#/$defs/").is_some_and(|name| !name.is_empty() && !name.contains('/'))
}
