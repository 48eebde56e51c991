//! Merge patches (RFC 7386): how what stands becomes exactly what is wanted.

use serde_json::Value;

/// What must be merged so that only the new value is left: keys of objects that are no longer there become null.
pub(crate) fn instead(was: Option<&Value>, becomes: Value) -> Value {
    let (Some(Value::Object(was)), Value::Object(mut becomes)) = (was, becomes.clone()) else { return becomes };
    for (key, old) in was {
        let new = becomes.remove(key).map_or(Value::Null, |new| instead(Some(old), new));
        becomes.insert(key.clone(), new);
    }
    Value::Object(becomes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::instead;

    #[test]
    fn a_merged_order_is_exactly_the_new_one() {
        let old = json!({"site": "a", "leaseEnd": "2027-01-01", "authorityOrder": {"reason": "x", "old": 1}, "items": [{"parameters": {"a": 1}}]});
        let new = json!({"site": "b", "authorityOrder": {"reason": "y"}, "items": [{"parameters": {"b": null}}], "system": "s"});
        let patch = instead(Some(&old), new);
        assert_eq!(
            patch,
            json!({"site": "b", "leaseEnd": null, "authorityOrder": {"reason": "y", "old": null}, "items": [{"parameters": {"b": null}}], "system": "s"})
        );
        assert_eq!(instead(None, json!({"a": 1})), json!({"a": 1}));
        assert_eq!(instead(Some(&json!({"a": 1})), json!([1])), json!([1]));
    }
}
