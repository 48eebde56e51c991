//! Schemas of items are strict and bounded; orders get their defaults and clear findings.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_domain::parameters::ParameterSchema;

/// A schema with the given properties, strict as it has to be.
fn object(properties: &Value) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn postgresql() -> ParameterSchema {
    ParameterSchema::compile(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "required": ["storage"],
        "properties": {
            "instances": {"type": "integer", "minimum": 1, "maximum": 5, "default": 3},
            "storage": {"type": "string", "format": "quantity", "maxLength": 40},
            "version": {"enum": ["15", "16", "17"], "default": "17", "x-label-zh": "版本"},
            "owner": {"type": "string", "maxLength": 32, "pattern": "^[a-z_]+$"},
            "backup": {
                "type": "object", "additionalProperties": false, "default": {},
                "properties": {"keepDays": {"type": "integer", "minimum": 1, "default": 7}}
            },
            "extensions": {"type": "array", "maxItems": 2, "uniqueItems": true, "items": {"$ref": "#/$defs/extension"}},
            "settings": {
                "type": "object", "maxProperties": 1, "additionalProperties": {"type": "string", "maxLength": 64}
            },
            "mirror": {
                "type": "object", "additionalProperties": false,
                "properties": {"site": {"type": "string", "maxLength": 63, "default": "ulanqab"}}
            }
        },
        "$defs": {
            "extension": {
                "type": "object", "additionalProperties": false, "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 32},
                    "schema": {"type": "string", "maxLength": 32, "default": "public"}
                }
            }
        }
    }))
    .unwrap()
}

#[test]
fn defaults_are_filled_in_where_their_object_exists() {
    let complete = postgresql().resolve(&json!({"storage": "10Gi", "extensions": [{"name": "postgis"}]})).unwrap();
    assert_eq!(
        complete,
        json!({
            "storage": "10Gi", "instances": 3, "version": "17", "backup": {"keepDays": 7},
            "extensions": [{"name": "postgis", "schema": "public"}]
        })
    );
    let given = postgresql().resolve(&json!({"storage": "1Gi", "instances": 1, "mirror": {}})).unwrap();
    assert_eq!((&given["instances"], &given["mirror"]), (&json!(1), &json!({"site": "ulanqab"})));
}

#[rstest]
#[case(json!({}), "/storage (parameters.required): storage is required: add it")]
#[case(
    json!({"storage": "10Gi", "instance": 1}),
    "/instance (parameters.additionalProperties): instance is not a parameter here: remove it, or use one of backup, extensions, instances, mirror, owner, settings, storage, version"
)]
#[case(
    json!({"storage": "ten"}),
    "/storage (parameters.format): storage must be an amount that is not negative, such as 4, 500m or 10Gi, not \"ten\""
)]
#[case(json!({"storage": "-1Gi"}), "(parameters.format): storage must be an amount that is not negative")]
#[case(json!({"storage": "8Ei"}), "(parameters.format)")]
#[case(json!({"storage": 10}), "/storage (parameters.type): storage must be string, not 10")]
#[case(json!({"storage": "1Gi", "instances": 9}), "/instances (parameters.maximum): instances must be at most 5, not 9")]
#[case(json!({"storage": "1Gi", "instances": 0}), "/instances (parameters.minimum): instances must be at least 1, not 0")]
#[case(json!({"storage": "1Gi", "instances": 1.5}), "/instances (parameters.type): instances must be integer, not 1.5")]
#[case(
    json!({"storage": "1Gi", "version": 17}),
    "/version (parameters.enum): version must be one of \"15\", \"16\", \"17\", not 17"
)]
#[case(json!({"storage": "1Gi", "owner": "a b"}), "/owner (parameters.pattern): owner must match the pattern ^[a-z_]+$, not \"a b\"")]
#[case(json!({"storage": "1Gi", "owner": "a".repeat(33)}), "/owner (parameters.maxLength): owner must have at most 32 characters")]
#[case(json!({"storage": "1Gi", "extensions": [{}]}), "/extensions/0/name (parameters.required): name is required: add it")]
#[case(json!({"storage": "1Gi", "extensions": [1, 2, 3]}), "/extensions (parameters.maxItems): extensions must have at most 2 elements")]
#[case(
    json!({"storage": "1Gi", "extensions": [{"name": "a"}, {"name": "a"}]}),
    "/extensions (parameters.uniqueItems): extensions must not have the same element twice"
)]
#[case(
    json!({"storage": "1Gi", "extensions": [{"name": "a", "n/a": 1}]}),
    "/extensions/0/n~1a (parameters.additionalProperties): n/a is not a parameter here: remove it"
)]
#[case(json!({"storage": "1Gi", "settings": {"a": "1", "b": "2"}}), "/settings (parameters.maxProperties)")]
#[case(json!({"storage": "1Gi", "backup": {"keepDays": "x"}}), "/backup/keepDays (parameters.type)")]
#[case(json!([]), "/ (parameters.type): the whole must be object, not []")]
fn findings_name_the_field_the_value_and_the_fix(#[case] parameters: Value, #[case] expected: &str) {
    let found: Vec<String> = match postgresql().resolve(&parameters) {
        Ok(complete) => panic!("accepted {complete}"),
        Err(findings) => findings.iter().map(ToString::to_string).collect(),
    };
    assert!(found.iter().any(|finding| finding.contains(expected)), "{found:#?}");
}

#[test]
fn everything_wrong_is_listed_in_a_fixed_order() {
    let found = postgresql().validate(&json!({"zeta": 1, "alpha": 1, "instances": 9}));
    let pointers: Vec<&str> = found.iter().map(|finding| finding.pointer.as_str()).collect();
    assert_eq!(pointers, ["/alpha", "/instances", "/storage", "/zeta"]);
}

#[test]
fn the_size_of_an_order_is_bounded() {
    let mut deep = json!(1);
    for _ in 0..30 {
        deep = json!({"backup": deep});
    }
    assert_eq!(postgresql().validate(&deep)[0].rule, "parameters.size");
    let wide: Vec<u32> = (0..6000).collect();
    assert_eq!(postgresql().validate(&json!({"extensions": wide}))[0].rule, "parameters.size");
}

#[rstest]
#[case(json!(true), "/ (schema.shape): write a schema here")]
#[case(json!({"type": "object"}), "/additionalProperties (schema.additionalProperties): a property nobody knows would be ignored: set \"additionalProperties\": false")]
#[case(json!({"type": "object", "additionalProperties": true}), "set \"additionalProperties\": false")]
#[case(json!({"additionalProperties": false}), "/type (schema.type): parameters are a map: set \"type\": \"object\"")]
#[case(json!({"type": "array", "additionalProperties": false, "items": false, "maxItems": 1}), "parameters are a map")]
#[case(object(&json!({"a": {"type": "string"}})), "/properties/a (schema.bound): the text has no bound: set \"maxLength\"")]
#[case(object(&json!({"a": {"type": ["string", "null"]}})), "/properties/a (schema.bound): the text has no bound")]
#[case(object(&json!({"a": {"type": "array", "items": {"type": "integer"}}})), "the list has no bound: set \"maxItems\"")]
#[case(object(&json!({"a": {"type": "array", "maxItems": 3}})), "the list has no bound: set \"items\"")]
#[case(object(&json!({"a": {"type": "object", "properties": {}}})), "/properties/a/additionalProperties (schema.additionalProperties)")]
#[case(
    object(&json!({"a": {"type": "object", "additionalProperties": {"type": "integer"}}})),
    "/properties/a (schema.bound): the map has no bound: set \"maxProperties\""
)]
#[case(object(&json!({"a": {}})), "/properties/a (schema.type): the value has no type")]
#[case(object(&json!({"a": true})), "/properties/a (schema.shape)")]
#[case(object(&json!({"a": {"type": "string", "maxLenght": 3}})), "/properties/a/maxLenght (schema.keyword): \"maxLenght\" is not a keyword")]
#[case(object(&json!({"a": {"$ref": "https://example.org/schema"}})), "/properties/a/$ref (schema.reference): $ref is \"https://example.org/schema\"")]
#[case(object(&json!({"a": {"$ref": "#"}})), "(schema.reference)")]
#[case(object(&json!({"a": {"$ref": "file:///etc/passwd"}})), "(schema.reference)")]
#[case(object(&json!({"a": {"$ref": "#/$defs/gone"}})), "(schema.invalid)")]
#[case(object(&json!({"a": {"type": "integer", "$id": "urn:x"}})), "\"$id\" is not a keyword that can be used here")]
#[case(object(&json!({"a": {"$dynamicRef": "#x"}})), "\"$dynamicRef\" is not a keyword")]
#[case(object(&json!({"a": {"type": "integer", "default": "x"}})), "/properties/a/default (schema.default): the default does not fit its own schema: must be integer, not \"x\"")]
#[case(object(&json!({"a": {"type": "int"}})), "(schema.invalid)")]
#[case(object(&json!({"a": {"type": "integer", "minimum": "1"}})), "(schema.invalid)")]
#[case(object(&json!({"a": {"type": "string", "maxLength": 9, "pattern": "("}})), "(schema.invalid)")]
#[case(object(&json!({"a": {"type": "string", "maxLength": 9, "pattern": "(?=a)"}})), "(schema.invalid)")]
#[case(object(&json!({"a": {"type": "string", "maxLength": 9, "pattern": "((a{1000}){1000}){1000}"}})), "(schema.invalid)")]
#[case(object(&json!({"a": {"type": "string", "maxLength": 9, "pattern": "a".repeat(300)}})), "the pattern has 300 bytes")]
#[case(object(&json!({"a": {"type": "string", "maxLength": 9, "format": "amount"}})), "(schema.invalid)")]
#[case(
    json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false}),
    "/$schema (schema.dialect)"
)]
#[case(object(&json!({"a": {"const": "x".repeat(70_000)}})), "(schema.size)")]
fn loose_schemas_are_refused(#[case] schema: Value, #[case] expected: &str) {
    let found: Vec<String> = match ParameterSchema::compile(&schema) {
        Ok(_) => panic!("accepted {schema}"),
        Err(findings) => findings.iter().map(ToString::to_string).collect(),
    };
    assert!(found.iter().any(|finding| finding.contains(expected)), "{found:#?}");
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {"tree": {"$ref": "#/$defs/node"}, "loop": {"$ref": "#/$defs/loop"}},
        "$defs": {
            "node": {"type": "object", "additionalProperties": false, "properties": {"child": {"$ref": "#/$defs/node"}}},
            "loop": {"$ref": "#/$defs/loop"}
        }
    });
    if let Ok(schema) = ParameterSchema::compile(&schema) {
        assert!(schema.resolve(&json!({"tree": {"child": {"child": {}}}})).is_ok());
        let _ = schema.validate(&json!({"loop": 1}));
        assert!(!schema.validate(&json!({"tree": {"child": 1}})).is_empty());
    }
}

#[test]
fn conditions_may_add_to_what_bounds_a_value() {
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {"kind": {"enum": ["a", "b"]}, "size": {"type": "integer"}},
        "if": {"properties": {"kind": {"const": "b"}}},
        "then": {"required": ["size"]},
        "allOf": [{"not": {"required": ["nothing"]}}]
    });
    let schema = ParameterSchema::compile(&schema).unwrap();
    assert!(schema.validate(&json!({"kind": "a"})).is_empty());
    assert_eq!(
        schema.validate(&json!({"kind": "b"}))[0].to_string(),
        "/size (parameters.required): size is required: add it"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9]{0,6}|10Gi".prop_map(Value::from),
    ];
    let key = "storage|instances|extensions|name|backup|keepDays|[a-z]{1,3}";
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn filling_in_twice_changes_nothing_more(parameters in any_json()) {
        let schema = postgresql();
        let once = schema.with_defaults(&parameters);
        prop_assert_eq!(schema.with_defaults(&once), once);
    }

    #[test]
    fn findings_are_repeatable(parameters in any_json()) {
        prop_assert_eq!(postgresql().validate(&parameters), postgresql().validate(&parameters));
    }
}
