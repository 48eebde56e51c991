//! What a schema does to objects, and in which words and for which fields it refuses them.

use anyhow::Result;
use serde_json::{Value, json};
use zhengyun_tests::apiserver::schema::{Schema, check_metadata};
use zhengyun_tests::lab::Assets;
use zhengyun_tests::lab::install;

use super::world::definitions;

/// A definition of `example.org/v1 Thing` with this spec.
fn thing(spec: &Value) -> Result<Schema> {
    let root =
        json!({ "type": "object", "properties": { "spec": spec, "status": { "type": "object", "nullable": true } } });
    of_root(&root)
}

fn of_root(root: &Value) -> Result<Schema> {
    let versions = json!([{ "name": "v1", "schema": { "openAPIV3Schema": root } }]);
    Schema::of(&json!({ "spec": { "group": "example.org", "names": { "kind": "Thing" }, "versions": versions } }), "v1")
}

fn with_spec(spec: Value) -> Value {
    json!({ "apiVersion": "example.org/v1", "kind": "Thing", "metadata": { "name": "a" }, "spec": spec })
}

/// Field and reason of every cause.
fn causes(schema: &Schema, spec: Value, old: Option<Value>) -> Vec<(String, String)> {
    let mut object = with_spec(spec);
    schema.prepare(&mut object);
    let old = old.map(with_spec);
    let told = schema.validate(&object, old.as_ref());
    told.into_iter().map(|cause| (cause.field, cause.reason.trim_start_matches("FieldValue").to_owned())).collect()
}

fn refused(schema: &Schema, table: &[(Value, &[(&str, &str)])]) {
    for (spec, expected) in table {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(field, reason)| ((*field).to_owned(), (*reason).to_owned())).collect();
        assert_eq!(causes(schema, spec.clone(), None), expected, "{spec}");
    }
}

const UNCHECKED: (&str, &str) = ("<nil>", "Invalid");

#[test]
fn every_definition_compiles() {
    let ours = definitions().unwrap();
    assert_eq!(ours.len(), 18);
    let schemas = Assets::find().unwrap().schemas;
    let mut foreign = 0;
    for project in ["cloudnative-pg", "container-object-storage-interface-api", "external-snapshotter"] {
        for definition in install::read_folder(&schemas.join(project)).unwrap() {
            let definition = serde_json::to_value(definition).unwrap();
            for version in definition["spec"]["versions"].as_array().unwrap() {
                foreign += 1;
                Schema::of(&definition, version["name"].as_str().unwrap()).unwrap();
            }
        }
    }
    assert!(foreign >= 20, "{foreign} foreign versions");
}

#[test]
fn what_is_not_modelled_does_not_compile() {
    for (spec, part) in [
        (json!({ "type": "object", "patternProperties": {} }), "patternProperties is not modelled"),
        (
            json!({ "type": "string", "allOf": [{ "x-kubernetes-validations": [{ "rule": "true" }] }] }),
            "rules within allOf",
        ),
        (json!({ "type": "string", "format": "isbn" }), "the format isbn is not modelled"),
        (json!({ "type": "string", "pattern": "(" }), "the pattern"),
        (json!({ "type": "object", "x-kubernetes-validations": [{ "rule": "self.frob()" }] }), "frob"),
        (json!({ "type": "object", "x-kubernetes-validations": [{ "rule": "other == 1" }] }), "undeclared reference"),
        (json!({ "type": "object", "properties": { "a": { "$ref": "#/b" } } }), "$ref is not modelled"),
    ] {
        let told = format!("{:#}", thing(&spec).expect_err("it compiled"));
        assert!(told.contains(part) && told.contains("spec"), "{told}");
    }
    let strange = thing(&json!({ "type": "string", "format": "strange" })).unwrap();
    assert!(causes(&strange, json!("x"), None).is_empty(), "formats that the API server does not know are ignored");
}

#[test]
fn objects_are_brought_into_form() {
    let schema = thing(&json!({
        "type": "object",
        "properties": {
            "known": { "type": "string", "default": "d" },
            "nullable": { "type": "string", "nullable": true, "default": "d" },
            "plain": { "type": "string" },
            "map": { "type": "object", "additionalProperties": { "type": "object", "properties": { "x": { "type": "string" } } } },
            "open": { "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": { "shut": { "type": "object" } } },
            "list": { "type": "array", "items": { "type": "object", "properties": { "y": { "type": "integer", "default": 1 } } } },
            "nested": { "type": "object", "default": {}, "properties": { "z": { "type": "boolean", "default": true } } }
        }
    }))
    .unwrap();
    for (spec, expected) in [
        (json!({}), json!({ "known": "d", "nullable": "d", "nested": { "z": true } })),
        (
            json!({ "known": null, "nullable": null, "plain": null, "unknown": 1, "nested": { "q": 1 } }),
            json!({ "known": "d", "nullable": null, "nested": { "z": true } }),
        ),
        (
            json!({ "map": { "k": { "x": "1", "q": 1 } }, "open": { "a": { "b": 1 }, "shut": { "c": 1 } }, "list": [{ "q": 1 }, { "y": 2 }] }),
            json!({
                "known": "d", "nullable": "d", "nested": { "z": true }, "map": { "k": { "x": "1" } },
                "open": { "a": { "b": 1 }, "shut": {} }, "list": [{ "y": 1 }, { "y": 2 }]
            }),
        ),
    ] {
        let mut object = with_spec(spec.clone());
        schema.prepare(&mut object);
        assert_eq!(object["spec"], expected, "{spec}");
    }
    let mut object = with_spec(json!({}));
    object["metadata"] =
        json!({ "name": "a", "labels": {}, "annotations": { "a": "b" }, "strange": 1, "creationTimestamp": null });
    object["extra"] = json!(1);
    schema.prepare(&mut object);
    assert_eq!(object["metadata"], json!({ "name": "a", "annotations": { "a": "b" } }));
    assert_eq!(object.get("extra"), None);
}

#[test]
fn causes_name_the_fields() {
    let schema = thing(&json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 3, "pattern": "^[a-z]*$" },
            "choice": { "type": "string", "enum": ["A", "B"] },
            "size": { "type": "integer", "format": "int32", "minimum": 1, "maximum": 9 },
            "port": { "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] },
            "when": { "type": "string", "format": "date-time" },
            "set": { "type": "array", "maxItems": 2, "minItems": 1, "x-kubernetes-list-type": "set", "items": { "type": "string" } },
            "keyed": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": { "type": "object", "required": ["k"], "properties": { "k": { "type": "string" } } }
            },
            "one": { "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "string" } }, "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] },
            "map": { "type": "object", "maxProperties": 1, "additionalProperties": { "type": "string" } }
        },
        "x-kubernetes-validations": [{ "rule": "!has(self.size) || self.size != 5", "message": "not five", "fieldPath": ".size", "reason": "FieldValueForbidden" }]
    }))
    .unwrap();
    assert!(
        causes(&schema, json!({ "name": "a", "port": "http", "size": 9, "when": "2026-01-01T00:00:00Z" }), None)
            .is_empty()
    );
    let ok = |more: Value| {
        let mut spec = json!({ "name": "a" });
        super::objects::merge_into(&mut spec, &more);
        spec
    };
    refused(
        &schema,
        &[
            (json!({}), &[("spec.name", "Required"), UNCHECKED]),
            (ok(json!({ "name": "" })), &[("spec.name", "Invalid")]),
            (ok(json!({ "name": "abcd" })), &[("spec.name", "TooLong"), UNCHECKED]),
            (ok(json!({ "name": "A" })), &[("spec.name", "Invalid")]),
            (ok(json!({ "name": 1 })), &[("spec.name", "TypeInvalid"), UNCHECKED]),
            (ok(json!({ "choice": "C" })), &[("spec.choice", "NotSupported"), UNCHECKED]),
            (ok(json!({ "size": 0 })), &[("spec.size", "Invalid")]),
            (ok(json!({ "size": 10 })), &[("spec.size", "Invalid")]),
            (ok(json!({ "size": "1" })), &[("spec.size", "TypeInvalid"), UNCHECKED]),
            (ok(json!({ "size": 1.5 })), &[("spec.size", "TypeInvalid"), UNCHECKED, UNCHECKED]),
            (ok(json!({ "size": 5 })), &[("spec.size", "Forbidden")]),
            (
                ok(json!({ "port": true })),
                &[("spec.port", "TypeInvalid"), UNCHECKED, ("spec.port", "TypeInvalid"), UNCHECKED],
            ),
            (ok(json!({ "when": "soon" })), &[("spec.when", "TypeInvalid"), UNCHECKED]),
            (ok(json!({ "set": [] })), &[("spec.set", "Invalid")]),
            (ok(json!({ "set": ["a", "b", "c"] })), &[("spec.set", "TooMany"), UNCHECKED]),
            (ok(json!({ "set": ["a", "a"] })), &[("spec.set[1]", "Duplicate")]),
            (ok(json!({ "keyed": [{ "k": "a" }, { "k": "a" }, { "k": "a" }] })), &[("spec.keyed[1]", "Duplicate")]),
            (ok(json!({ "keyed": [{}] })), &[("spec.keyed[0].k", "Required"), UNCHECKED]),
            (ok(json!({ "one": {} })), &[("<nil>", "Invalid"), ("spec.one.a", "Required"), UNCHECKED]),
            (ok(json!({ "one": { "a": "", "b": "" } })), &[("<nil>", "Invalid")]),
            (ok(json!({ "map": { "a": 1 } })), &[("spec.map.a", "TypeInvalid"), UNCHECKED]),
            (ok(json!({ "map": { "a": "1", "b": "2" } })), &[("spec.map", "TooMany"), UNCHECKED]),
        ],
    );
    let other = json!({ "apiVersion": "example.org/v2", "kind": "Other" });
    let told: Vec<String> = schema.validate(&other, None).into_iter().map(|cause| cause.field).collect();
    assert_eq!(told, ["kind", "apiVersion"]);
}

#[test]
fn what_was_wrong_before_and_did_not_change_is_forgiven() {
    let schema = thing(&json!({
        "type": "object",
        "properties": {
            "a": { "type": "string", "maxLength": 1, "x-kubernetes-validations": [{ "rule": "self != 'x'" }] },
            "list": { "type": "array", "items": { "type": "string", "maxLength": 1 } },
            "keyed": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": { "type": "object", "properties": { "k": { "type": "string" }, "v": { "type": "string", "maxLength": 1 } } }
            },
            "set": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
            "other": { "type": "string" }
        }
    }))
    .unwrap();
    let forgiven = |old: Value, new: Value| causes(&schema, new, Some(old)).is_empty();
    assert!(forgiven(json!({ "a": "long" }), json!({ "a": "long", "other": "new" })));
    assert!(!forgiven(json!({ "a": "long" }), json!({ "a": "longer" })));
    assert!(forgiven(json!({ "a": "x" }), json!({ "a": "x", "other": "new" })), "a rule on an unchanged value");
    assert!(!forgiven(json!({ "a": "y" }), json!({ "a": "x" })));
    assert!(forgiven(json!({ "list": ["long"] }), json!({ "list": ["long"], "other": "new" })));
    assert!(!forgiven(json!({ "list": ["long"] }), json!({ "list": ["long", "b"] })), "a list counts as a whole");
    let keyed = |v: &str, more: &str| json!({ "keyed": [{ "k": "0", "v": more }, { "k": "1", "v": v }] });
    assert!(forgiven(keyed("long", "a"), keyed("long", "b")), "elements with keys count by themselves");
    assert!(!forgiven(keyed("long", "a"), keyed("longer", "a")));
    assert!(forgiven(json!({ "set": ["a", "a"] }), json!({ "set": ["b", "b"] })), "lists that held duplicates before");
}

#[test]
fn rules_compare_with_the_value_before() {
    let schema = thing(&json!({
        "type": "object",
        "properties": {
            "fixed": { "type": "string", "x-kubernetes-validations": [{ "rule": "self == oldSelf", "messageExpression": "'was ' + oldSelf" }] },
            "keyed": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {
                    "type": "object", "properties": { "k": { "type": "string" }, "n": { "type": "integer" } },
                    "x-kubernetes-validations": [{ "rule": "self.n >= oldSelf.n" }]
                }
            },
            "once": { "type": "string", "x-kubernetes-validations": [{ "rule": "oldSelf.hasValue() || self == 'first'", "optionalOldSelf": true }] },
            "open": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "namespace": { "type": "string" }
        },
        "x-kubernetes-validations": [
            { "rule": "!has(oldSelf.open) || self.open == oldSelf.open", "message": "open is fixed" },
            { "rule": "!has(self.__namespace__) || self.__namespace__ != 'x'" }
        ]
    }))
    .unwrap();
    let told = |old: Option<Value>, new: Value| causes(&schema, new, old);
    let invalid = |field: &str| vec![(field.to_owned(), "Invalid".to_owned())];
    assert_eq!(told(None, json!({ "fixed": "a" })), []);
    assert_eq!(told(Some(json!({ "fixed": "a" })), json!({ "fixed": "b" })), invalid("spec.fixed"));
    assert_eq!(told(Some(json!({})), json!({ "fixed": "b" })), [], "there is nothing to compare with");
    let keyed = |list: &[(&str, i64)]| json!({ "keyed": list.iter().map(|(k, n)| json!({ "k": k, "n": n })).collect::<Value>() });
    assert_eq!(told(Some(keyed(&[("a", 1), ("b", 2)])), keyed(&[("b", 2), ("a", 1)])), []);
    assert_eq!(told(Some(keyed(&[("a", 1), ("b", 2)])), keyed(&[("b", 1), ("a", 1)])), invalid("spec.keyed[0]"));
    assert_eq!(told(None, json!({ "once": "second" })), invalid("spec.once"));
    assert_eq!(told(Some(json!({ "once": "first" })), json!({ "once": "second" })), []);
    assert_eq!(told(None, json!({ "namespace": "x" })), invalid("spec"));
    let open = |value: Value| json!({ "open": value });
    assert_eq!(told(Some(open(json!({ "a": 1 }))), open(json!({ "a": 2 }))), invalid("spec"));
    // As the API server has it: of data without a schema, a key that changes is no change.
    assert_eq!(told(Some(open(json!({ "a": 1 }))), open(json!({ "b": 1 }))), []);
    let mut object = with_spec(json!({ "fixed": "b" }));
    schema.prepare(&mut object);
    let causes = schema.validate(&object, Some(&with_spec(json!({ "fixed": "a" }))));
    assert_eq!(causes[0].message, "Invalid value: \"b\": was a");
}

#[test]
fn rules_see_values_as_the_schema_has_them() {
    let schema = thing(&json!({
        "type": "object",
        "properties": {
            "keyed": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": { "type": "object", "properties": { "k": { "type": "string" }, "n": { "type": "integer" } } }
            },
            "set": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
            "list": { "type": "array", "items": { "type": "string" } },
            "nullable": { "type": "string", "nullable": true },
            "when": { "type": "string", "format": "date-time" },
            "port": { "x-kubernetes-int-or-string": true },
            "ratio": { "type": "number" }
        },
        "x-kubernetes-validations": [
            { "rule": "!has(oldSelf.keyed) || self.keyed == oldSelf.keyed", "fieldPath": ".keyed" },
            { "rule": "!has(oldSelf.set) || self.set == oldSelf.set", "fieldPath": ".set" },
            { "rule": "!has(oldSelf.list) || self.list == oldSelf.list", "fieldPath": ".list" },
            { "rule": "!has(self.nullable)", "fieldPath": ".nullable" },
            { "rule": "!has(self.when) || self.when < timestamp('2027-01-01T00:00:00Z')", "fieldPath": ".when" },
            { "rule": "!has(self.port) || type(self.port) == int || self.port.endsWith('%')", "fieldPath": ".port" },
            { "rule": "!has(self.ratio) || self.ratio < 1.5", "fieldPath": ".ratio" }
        ]
    }))
    .unwrap();
    let after = |old: Value, new: Value| causes(&schema, new, Some(old));
    let invalid = |field: &str| vec![(field.to_owned(), "Invalid".to_owned())];
    let keyed = |list: &[(&str, i64)]| json!({ "keyed": list.iter().map(|(k, n)| json!({ "k": k, "n": n })).collect::<Value>() });
    let two = || keyed(&[("a", 1), ("b", 2)]);
    assert_eq!(after(two(), keyed(&[("b", 2), ("a", 1)])), [], "elements with keys have no order");
    assert_eq!(after(two(), keyed(&[("b", 1), ("a", 2)])), invalid("spec.keyed"));
    assert_eq!(after(two(), keyed(&[("a", 1), ("c", 2)])), invalid("spec.keyed"));
    assert_eq!(after(json!({ "set": ["a", "b"] }), json!({ "set": ["b", "a"] })), [], "sets have no order");
    assert_eq!(after(json!({ "set": ["a", "b"] }), json!({ "set": ["a", "c"] })), invalid("spec.set"));
    assert_eq!(after(json!({ "list": ["a", "b"] }), json!({ "list": ["b", "a"] })), invalid("spec.list"));
    let told = |spec: Value| causes(&schema, spec, None);
    assert_eq!(told(json!({ "nullable": null })), [], "a field that is null is absent");
    assert_eq!(told(json!({ "nullable": "" })), invalid("spec.nullable"));
    assert_eq!(told(json!({ "when": "2026-01-01T08:00:00+08:00" })), []);
    assert_eq!(told(json!({ "when": "2027-01-01T00:00:00Z" })), invalid("spec.when"));
    assert_eq!(told(json!({ "port": 80, "ratio": 1 })), []);
    assert_eq!(told(json!({ "port": "50%", "ratio": 2 })), invalid("spec.ratio"));
    assert_eq!(told(json!({ "port": "http" })), invalid("spec.port"));
}

#[test]
fn metadata_is_checked() {
    let told = |metadata: Value, namespaced: bool| -> Vec<String> {
        check_metadata(&json!({ "metadata": metadata }), namespaced).into_iter().map(|cause| cause.field).collect()
    };
    assert_eq!(
        told(json!({ "name": "a.b-1", "labels": { "example.org/a": "B_c" }, "finalizers": ["zhengyun.io/x"] }), false),
        [""; 0]
    );
    assert_eq!(told(json!({}), false), ["metadata.name"]);
    assert_eq!(told(json!({ "generateName": "a-" }), false), [""; 0]);
    assert_eq!(told(json!({ "name": "A" }), false), ["metadata.name"]);
    assert_eq!(told(json!({ "name": "a" }), true), ["metadata.namespace"]);
    assert_eq!(told(json!({ "name": "a", "namespace": "b" }), false), ["metadata.namespace"]);
    assert_eq!(told(json!({ "name": "a", "labels": { "/a": "b" } }), false), ["metadata.labels"]);
    assert_eq!(told(json!({ "name": "a", "labels": { "a": "-b" } }), false), ["metadata.labels"]);
    assert_eq!(told(json!({ "name": "a", "annotations": { "a b": "c" } }), false), ["metadata.annotations"]);
    assert_eq!(told(json!({ "name": "a", "finalizers": ["a b"] }), false), ["metadata.finalizers"]);
    let owner = json!([{ "apiVersion": "v1", "kind": "Pod", "name": "a" }]);
    assert_eq!(told(json!({ "name": "a", "ownerReferences": owner }), false), ["metadata.ownerReferences.uid"]);
}
