//! The definitions as they are installed: every kind's CRD, with every open schema bounded.
//!
//! The API server needs bounds to estimate the cost of CEL rules, and bounds keep one careless client from filling etcd.
//! Types state the bounds that mean something; [`finished`] gives the rest their defaults in one place.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

/// Longest string where the type does not say: enough for names, references and digests.
const DEFAULT_MAX_LENGTH: u64 = 256;
/// Longest list where the type does not say.
const DEFAULT_MAX_ITEMS: u64 = 64;
/// Largest map where the type does not say.
const DEFAULT_MAX_PROPERTIES: u64 = 64;

/// The definition of every kind, in the order in which a reader meets them.
///
/// # Errors
/// When a schema is not what the API server would take, which is a defect of this crate.
pub fn all() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    // Called one by one: all of them at once are a lot for a stack.
    let all: [fn() -> CustomResourceDefinition; 18] = [
        crate::Department::crd,
        crate::DepartmentQuota::crd,
        crate::Site::crd,
        crate::CatalogItem::crd,
        crate::InformationSystem::crd,
        crate::ResourceRequest::crd,
        crate::Approval::crd,
        crate::ApprovalPolicy::crd,
        crate::ResourceGrant::crd,
        crate::Ledger::crd,
        crate::BackupStore::crd,
        crate::RecoveryPlan::crd,
        crate::SystemBackup::crd,
        crate::SystemRestore::crd,
        crate::RecoveryDrill::crd,
        crate::MachineRoom::crd,
        crate::MigrationWave::crd,
        crate::SystemMigration::crd,
    ];
    all.into_iter().map(|definition| finished(definition())).collect()
}

/// Bounds every string, list and map of a definition that the types left open.
///
/// # Errors
/// When the bounded definition cannot be read back.
pub fn finished(crd: CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut value = serde_json::to_value(crd)?;
    if let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
                bound(schema);
                bound_metadata(schema);
            }
        }
    }
    serde_json::from_value(value)
}

/// Root CEL rules read `metadata.name`; the API server must know that it is short to price them.
fn bound_metadata(root: &mut Value) {
    let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) else { return };
    properties.insert(
        "metadata".to_owned(),
        json!({ "type": "object", "properties": { "name": { "type": "string", "maxLength": 63 } } }),
    );
}

fn bound(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    match object.get("type").and_then(Value::as_str) {
        Some("string") => bound_string(object),
        Some("array") => {
            object.entry("maxItems").or_insert_with(|| json!(DEFAULT_MAX_ITEMS));
        }
        Some("object") if object.contains_key("additionalProperties") => {
            object.entry("maxProperties").or_insert_with(|| json!(DEFAULT_MAX_PROPERTIES));
        }
        _ => {}
    }
    // An optional word is absent or one of the set; null is neither.
    if let Some(words) = object.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !word.is_null());
    }
    // Formats that only Rust knows make the API server warn on every apply.
    if matches!(
        object.get("format").and_then(Value::as_str),
        Some("int" | "uint" | "uint8" | "uint16" | "uint32" | "uint64")
    ) {
        object.remove("format");
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(bound);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            bound(inner);
        }
    }
}

fn bound_string(object: &mut Map<String, Value>) {
    let bounded = object.contains_key("maxLength") || object.contains_key("enum") || object.contains_key("format");
    if !bounded {
        object.insert("maxLength".to_owned(), json!(DEFAULT_MAX_LENGTH));
    }
}
