//! The parameters of a catalog item: what may be ordered, what is filled in, and what is wrong with an order.
//!
//! An item describes its parameters with a JSON schema (draft 2020-12). The schema itself is checked when the item is
//! saved, so that whatever it lets through is small and says what it means:
//!
//! - the whole is `type: object` with `additionalProperties: false`, and so is every object in it, unless it is a bounded
//!   map (`additionalProperties` with a schema and `maxProperties`): a misspelt parameter is an error, never ignored;
//! - every value has a type (or is listed by `enum` or `const`), every string a `maxLength`, every list `items` and
//!   `maxItems`;
//! - only known keywords are used, so that a misspelt keyword is an error too (`x-...` is free for others);
//! - `$ref` leads to `#/$defs/...` only: nothing is fetched, and `$id`, anchors and dynamic references are refused;
//! - `format` is checked, with `quantity` beside the formats of the standard: a Kubernetes quantity that is not negative
//!   and that [`Quantity`] can hold;
//! - `pattern` is matched by an engine without backtracking, so its time is linear in the value;
//! - a `default` must itself be valid.

mod defaults;
mod explain;
mod schema;

use serde_json::Value;

use crate::finding::Finding;
use crate::quantity::Quantity;

/// Nesting of an order's parameters.
const MAX_VALUE_DEPTH: usize = 16;

/// Values in an order's parameters, lists and maps included.
const MAX_VALUE_NODES: usize = 5000;

/// The most findings that are reported; more would not help anybody.
const MAX_FINDINGS: usize = 50;

/// The compiled schema of an item's parameters.
#[derive(Debug)]
pub struct ParameterSchema {
    schema: Value,
    validator: jsonschema::Validator,
}

impl ParameterSchema {
    /// Compiles an item's schema; a refusal lists everything that is wrong with it, in a fixed order.
    pub fn compile(schema: &Value) -> Result<Self, Vec<Finding>> {
        let mut findings = schema::check(schema);
        if !findings.is_empty() {
            findings.sort();
            findings.truncate(MAX_FINDINGS);
            return Err(findings);
        }
        let validator = build(schema).map_err(|finding| vec![finding])?;
        let findings = defaults::check(schema);
        if findings.is_empty() { Ok(Self { schema: schema.clone(), validator }) } else { Err(findings) }
    }

    /// The schema as written.
    pub const fn schema(&self) -> &Value {
        &self.schema
    }

    /// The parameters with every missing property that has a `default` filled in. An object that is missing itself is not
    /// made up from the defaults inside it; give the object a default.
    #[must_use]
    pub fn with_defaults(&self, parameters: &Value) -> Value {
        defaults::apply(&self.schema, parameters)
    }

    /// Everything that is wrong with parameters, in a fixed order; empty if they are valid.
    pub fn validate(&self, parameters: &Value) -> Vec<Finding> {
        let mut nodes = 0;
        if !is_small(parameters, 0, &mut nodes) {
            let message = format!(
                "the parameters are nested deeper than {MAX_VALUE_DEPTH} levels or have more than {MAX_VALUE_NODES} values"
            );
            return vec![Finding::new("", "parameters.size", message)];
        }
        let mut findings: Vec<Finding> =
            self.validator.iter_errors(parameters).flat_map(|error| explain::explain(&error, &self.schema)).collect();
        findings.sort();
        findings.dedup();
        findings.truncate(MAX_FINDINGS);
        findings
    }

    /// The parameters with their defaults, or everything that is wrong with them.
    pub fn resolve(&self, parameters: &Value) -> Result<Value, Vec<Finding>> {
        let complete = self.with_defaults(parameters);
        let findings = self.validate(&complete);
        if findings.is_empty() { Ok(complete) } else { Err(findings) }
    }
}

/// Builds a validator that fetches nothing and matches patterns in linear time.
fn build(schema: &Value) -> Result<jsonschema::Validator, Finding> {
    /// Memory of one compiled pattern, in bytes.
    const PATTERN_BYTES: usize = 1 << 20;

    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .offline()
        .with_pattern_options(
            jsonschema::PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES),
        )
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_format("quantity", |text: &str| text.parse::<Quantity>().is_ok_and(|quantity| !quantity.is_negative()))
        .build(schema)
        .map_err(|error| explain::explain_schema(&error))
}

fn is_small(value: &Value, depth: usize, nodes: &mut usize) -> bool {
    *nodes = nodes.saturating_add(1);
    if depth > MAX_VALUE_DEPTH || *nodes > MAX_VALUE_NODES {
        return false;
    }
    let deeper = depth.saturating_add(1);
    match value {
        Value::Array(elements) => elements.iter().all(|element| is_small(element, deeper, nodes)),
        Value::Object(fields) => fields.values().all(|field| is_small(field, deeper, nodes)),
        _ => true,
    }
}
