//! What every kind must have, now and in future: this test walks whatever [`zhengyun_crds::definition::all`] lists.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what is wrong by failing")]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

fn definitions() -> Vec<(String, CustomResourceDefinition, Value)> {
    zhengyun_crds::definition::all()
        .unwrap()
        .into_iter()
        .map(|crd| {
            let schema =
                serde_json::to_value(&crd).unwrap().pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone();
            (crd.spec.names.kind.clone(), crd, schema)
        })
        .collect()
}

/// Walks every schema node with its path.
fn walk(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, schema);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, inner) in properties {
            walk(&format!("{path}.{name}"), inner, visit);
        }
    }
    if let Some(items) = schema.get("items") {
        walk(&format!("{path}[]"), items, visit);
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|v| v.is_object()) {
        walk(&format!("{path}{{}}"), inner, visit);
    }
}

#[test]
fn there_are_the_eighteen_kinds() {
    let mut kinds: Vec<String> = definitions().into_iter().map(|(kind, ..)| kind).collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "Approval",
            "ApprovalPolicy",
            "BackupStore",
            "CatalogItem",
            "Department",
            "DepartmentQuota",
            "InformationSystem",
            "Ledger",
            "MachineRoom",
            "MigrationWave",
            "RecoveryDrill",
            "RecoveryPlan",
            "ResourceGrant",
            "ResourceRequest",
            "Site",
            "SystemBackup",
            "SystemMigration",
            "SystemRestore"
        ]
    );
}

#[test]
fn every_kind_has_short_name_category_status_and_columns() {
    for (kind, crd, _) in definitions() {
        let short = crd.spec.names.short_names.clone().unwrap_or_default();
        let of_many = |name: &String| short.first().is_some_and(|first| *name == format!("{first}s"));
        assert!(
            short.len() == 1 || short.iter().skip(1).all(of_many) && short.len() == 2,
            "{kind}: one short name, and its plural"
        );
        assert_eq!(crd.spec.names.categories.as_deref(), Some(&["zhengyun".to_owned()][..]), "{kind}: category");
        assert_eq!(crd.spec.versions.len(), 1, "{kind}: one version");
        let version = &crd.spec.versions[0];
        assert!(version.subresources.as_ref().is_some_and(|s| s.status.is_some()), "{kind}: status subresource");
        let columns = version.additional_printer_columns.clone().unwrap_or_default();
        let wide: Vec<&str> = columns.iter().filter(|c| c.priority.unwrap_or(0) > 0).map(|c| c.name.as_str()).collect();
        let names: Vec<&str> =
            columns.iter().filter(|c| c.priority.unwrap_or(0) == 0).map(|c| c.name.as_str()).collect();
        assert!(names.len() >= 4, "{kind}: at least four columns, has {names:?}");
        for needed in ["Ready", "Reason", "Age"] {
            assert!(names.contains(&needed), "{kind}: column {needed}");
        }
        assert!(wide.contains(&"Message"), "{kind}: the message shows with -o wide");
        for column in &columns {
            assert!(
                column.description.as_ref().is_some_and(|d| !d.is_empty()),
                "{kind}: column {} has a description",
                column.name
            );
            // A column over a list would print its first element only.
            assert!(!column.json_path.contains("[*]"), "{kind}: column {}", column.name);
        }
        assert!(version.selectable_fields.as_ref().is_some_and(|f| !f.is_empty()), "{kind}: selectable fields");
        assert!(
            crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap().description.is_some(),
            "{kind}: description"
        );
    }
}

#[test]
fn every_field_is_described_and_bounded() {
    let mut faults = Vec::new();
    for (kind, _, schema) in definitions() {
        walk(&kind, &schema, &mut |path, node| {
            let free = node.get("x-kubernetes-preserve-unknown-fields").is_some();
            match node.get("type").and_then(Value::as_str) {
                Some("string") if !["maxLength", "enum", "format"].iter().any(|key| node.get(key).is_some()) => {
                    faults.push(format!("{path}: string without maxLength"));
                }
                Some("array") if node.get("maxItems").is_none() => {
                    faults.push(format!("{path}: list without maxItems"));
                }
                Some("object")
                    if (free || node.get("additionalProperties").is_some()) && node.get("maxProperties").is_none() =>
                {
                    faults.push(format!("{path}: map without maxProperties"));
                }
                None => faults.push(format!("{path}: no type")),
                _ => {}
            }
            for banned in ["anyOf", "oneOf", "allOf", "not", "$ref"] {
                // A choice between required fields validates values and says nothing about structure.
                let choice = |v: &Value| v.as_object().is_some_and(|o| o.keys().all(|k| k == "required"));
                let structural = node.get(banned).and_then(Value::as_array).is_some_and(|all| all.iter().all(choice));
                if node.get(banned).is_some() && !structural {
                    faults.push(format!("{path}: {banned} is not structural"));
                }
            }
            if let Some(properties) = node.get("properties").and_then(Value::as_object) {
                for (name, inner) in properties {
                    let known = path == kind && ["metadata", "spec", "status"].contains(&name.as_str());
                    let in_condition_or_metadata = path.contains(".metadata");
                    if !known
                        && !in_condition_or_metadata
                        && inner.get("description").and_then(Value::as_str).is_none_or(str::is_empty)
                    {
                        faults.push(format!("{path}.{name}: no description for `kubectl explain`"));
                    }
                }
            }
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_kind_has_conditions_as_a_list_map_and_an_observed_generation() {
    for (kind, _, schema) in definitions() {
        let conditions =
            schema.pointer("/properties/status/properties/conditions").unwrap_or_else(|| panic!("{kind}: conditions"));
        assert_eq!(conditions.get("x-kubernetes-list-type"), Some(&Value::from("map")), "{kind}");
        assert_eq!(conditions.get("x-kubernetes-list-map-keys"), Some(&serde_json::json!(["type"])), "{kind}");
        assert!(
            schema.pointer("/properties/status/properties/observedGeneration").is_some(),
            "{kind}: observedGeneration"
        );
    }
}

#[test]
fn optional_words_stay_a_closed_set_without_null_branches() {
    for (kind, _, schema) in definitions() {
        walk(&kind, &schema, &mut |path, node| {
            if let Some(words) = node.get("enum").and_then(Value::as_array) {
                assert!(words.iter().all(Value::is_string), "{path}: enum holds something that is no word: {words:?}");
            }
        });
    }
}

#[test]
fn every_rule_says_what_to_do() {
    for (kind, _, schema) in definitions() {
        walk(&kind, &schema, &mut |path, node| {
            for rule in node.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                let message = rule.get("message").and_then(Value::as_str).unwrap_or_default();
                assert!(message.len() > 10, "{path}: rule {rule} has no message");
            }
        });
    }
}

#[test]
fn the_committed_yaml_is_current() {
    // At run time: a build cache that two checkouts share would keep the folder of the one that compiled.
    let folder = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("yaml");
    for (kind, crd, _) in definitions() {
        let path = folder.join(format!("{}.yaml", crd.spec.names.plural));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{kind}: {}: {e}", path.display()));
        assert!(
            text.ends_with(&serde_saphyr::to_string(&crd).unwrap()),
            "{kind}: {} is stale; run `make generate`",
            path.display()
        );
    }
}
