//! Rendered objects, checked before anything is charged or sent to a site.
//!
//! A catalog item's template may render only namespaced objects of the kinds its item allows, under plain names, without
//! the fields by which an object could escape its namespace, hide from deletion or pass for one that Zhengyun labelled.

mod checks;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::finding::Finding;

/// The prefix of labels and annotations that only Zhengyun writes.
pub const RESERVED_DOMAIN: &str = "zhengyun.io";

/// A kind that an item's template may render.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllowedKind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Kind, such as `PersistentVolumeClaim`.
    pub kind: String,
    /// Plural resource name, such as `persistentvolumeclaims`.
    pub plural: String,
    /// Whether objects of the kind live in a namespace. A kind that does not is never delivered, even if it is listed.
    pub namespaced: bool,
}

impl AllowedKind {
    /// The `apiVersion` of objects of this kind.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// A rendered object that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    kind: AllowedKind,
    name: String,
    object: Map<String, Value>,
}

impl Manifest {
    /// Checks one rendered object for a namespace; a refusal lists everything that is wrong, in a fixed order.
    pub fn check(object: Value, allowed: &[AllowedKind], namespace: &str) -> Result<Self, Vec<Finding>> {
        let Value::Object(object) = object else {
            return Err(vec![checks::not_an_object()]);
        };
        let mut findings = Vec::new();
        let kind = checks::kind(&object, allowed, &mut findings);
        let name = checks::name(&object, &mut findings);
        checks::namespace(&object, namespace, &mut findings);
        checks::metadata(&object, &mut findings);
        checks::top_level(&object, &mut findings);
        findings.sort();
        match (kind, name) {
            (Some(kind), Some(name)) if findings.is_empty() => Ok(Self { kind, name, object }),
            _ => Err(findings),
        }
    }

    /// Checks the objects of one bundle, with the position of each in front of its pointers; no two may be the same object.
    pub fn check_all(objects: Vec<Value>, allowed: &[AllowedKind], namespace: &str) -> Result<Vec<Self>, Vec<Finding>> {
        let mut manifests = Vec::with_capacity(objects.len());
        let mut findings = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, object) in objects.into_iter().enumerate() {
            match Self::check(object, allowed, namespace) {
                Ok(manifest) => {
                    let (kind, name) = (&manifest.kind.kind, &manifest.name);
                    if !seen.insert((manifest.kind.group.clone(), kind.clone(), name.clone())) {
                        findings.push(Finding::new(
                            format!("/{index}/metadata/name"),
                            "manifest.duplicate",
                            format!("{kind} \"{name}\" is rendered twice: give every object of a kind its own name"),
                        ));
                    }
                    manifests.push(manifest);
                }
                Err(found) => findings
                    .extend(found.into_iter().map(|f| Finding { pointer: format!("/{index}{}", f.pointer), ..f })),
            }
        }
        if findings.is_empty() { Ok(manifests) } else { Err(findings) }
    }

    /// The kind, with its group, version and plural.
    pub const fn kind(&self) -> &AllowedKind {
        &self.kind
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object as rendered.
    pub const fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// The object as it is sent to the site: in the namespace, with these labels and annotations beside its own.
    pub fn decorate(
        mut self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Value {
        let mut metadata = take_map(&mut self.object, "metadata");
        metadata.insert("namespace".to_owned(), Value::from(namespace));
        for (field, entries) in [("labels", labels), ("annotations", annotations)] {
            let mut merged = take_map(&mut metadata, field);
            merged.extend(entries.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))));
            if !merged.is_empty() {
                metadata.insert(field.to_owned(), Value::Object(merged));
            }
        }
        self.object.insert("metadata".to_owned(), Value::Object(metadata));
        Value::Object(self.object)
    }
}

/// Takes the map under a key out; empty if there is none. (The checks refused anything else there.)
fn take_map(parent: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match parent.remove(key) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
