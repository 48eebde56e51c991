//! Amounts of resources as they stand in custom resources: names of data-defined resources to Kubernetes quantities.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A Kubernetes quantity as text, such as `4`, `500m` or `10Gi`; the exact value is computed by the domain.
///
/// Own newtype because the schema of Kubernetes' own `Quantity` also admits numbers and carries a page of description.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AmountText(pub String);

impl AmountText {
    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for AmountText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for AmountText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Display for AmountText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for AmountText {
    fn schema_name() -> Cow<'static, str> {
        "AmountText".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": 40,
            "x-kubernetes-validations": [{
                "rule": "isQuantity(self) && sign(quantity(self)) >= 0",
                "message": "must be a Kubernetes quantity that is not negative, such as 4, 500m or 10Gi"
            }]
        })
    }
}

/// Resource name (`cpu`, `memory`, `storage.block`, ...) to amount. Names are data, introduced by catalogue items.
pub type Amounts = BTreeMap<String, AmountText>;

/// A limit: an amount, or the word `unlimited`, which must be written out because an absent limit is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LimitText(pub String);

impl LimitText {
    /// The word for "no limit".
    pub const UNLIMITED: &'static str = "unlimited";
}

impl From<&str> for LimitText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for LimitText {
    fn schema_name() -> Cow<'static, str> {
        "LimitText".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": 40,
            "x-kubernetes-validations": [{
                "rule": "self == 'unlimited' || (isQuantity(self) && sign(quantity(self)) >= 0)",
                "message": "must be a Kubernetes quantity that is not negative, such as 4, 500m or 10Gi, or the word unlimited"
            }]
        })
    }
}

/// Resource name to limit. A resource that is absent has the limit 0.
pub type Limits = BTreeMap<String, LimitText>;

/// A map from resource names to `AmountText`, bounded, with its keys checked by the API server.
pub(crate) fn amounts_schema(generator: &mut SchemaGenerator) -> Schema {
    keyed(&AmountText::json_schema(generator))
}

/// A map from resource names to `LimitText`, bounded, with its keys checked by the API server.
pub(crate) fn limits_schema(generator: &mut SchemaGenerator) -> Schema {
    keyed(&LimitText::json_schema(generator))
}

fn keyed(value: &Schema) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 24, "additionalProperties": value,
        "x-kubernetes-validations": [{
            "rule": "self.all(k, size(k) <= 63 && k.matches('^[a-z]([-a-z0-9.]*[a-z0-9])?$'))",
            "message": "resource names are lower-case letters, digits, dots and dashes, at most 63, such as cpu or storage.block"
        }]
    })
}

/// An object of any shape, kept as it was written.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true, "maxProperties": 64 })
}
