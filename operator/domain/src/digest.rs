//! Digests of what people decide on: SHA-256 over canonical JSON, named with its algorithm.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// `sha256:<hex>` of a value in canonical JSON: keys sorted, no blanks.
///
/// A value that has no JSON form (which none of our types is) digests as `null`.
pub fn of<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    let mut hasher = Sha256::new();
    hasher.update(canonical(&value).as_bytes());
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&hasher.finalize()))
}

/// Canonical JSON text: object keys in byte order at every depth, whatever map type `serde_json` was built with.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let entries: Vec<String> = keys
                .into_iter()
                .filter_map(|key| {
                    map.get(key).map(|inner| format!("{}:{}", Value::String(key.clone()), canonical(inner)))
                })
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{canonical, of};

    #[test]
    fn order_of_keys_does_not_matter() {
        assert_eq!(
            of(&json!({"b": [1, {"y": 1, "x": 2}], "a": "t\""})),
            of(&json!({"a": "t\"", "b": [1, {"x": 2, "y": 1}]}))
        );
        assert_eq!(canonical(&json!({"b": 1, "a": "ö\n"})), "{\"a\":\"ö\\n\",\"b\":1}");
    }

    #[test]
    fn order_of_items_matters() {
        assert_ne!(of(&json!([1, 2])), of(&json!([2, 1])));
    }
}
