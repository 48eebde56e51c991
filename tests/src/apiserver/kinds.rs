//! The kinds that are served: the built-in ones that the product touches, and those of CustomResourceDefinitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::fields::Shape;
use super::form::{self, Form};
use super::schema::Schema;

/// A kind as served under one version.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each says something else about a kind")]
pub struct KindInfo {
    /// API group; empty for the core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Plural, as in paths.
    pub plural: String,
    /// Singular.
    pub singular: String,
    /// Whether objects stand in namespaces.
    pub namespaced: bool,
    /// Whether `status` is written by itself.
    pub status: bool,
    /// Whether changes of the spec are counted in `metadata.generation`.
    pub counted: bool,
    /// Whether an update may come without resourceVersion.
    pub unconditional: bool,
    /// Fields that a field selector may name, as JSON pointers by their path (`spec.site`).
    pub selectable: BTreeMap<String, String>,
    /// Schema, for kinds of CustomResourceDefinitions.
    pub schema: Option<Schema>,
    /// What it says about merging.
    pub(crate) shape: Shape,
    /// How its body is taken, for built-in kinds whose own rules are modelled.
    pub(crate) form: Option<Form>,
}

impl KindInfo {
    /// `group/version`, or the version alone.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural.group`, or the plural alone: how messages name a resource.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// An object of the kind that says nothing yet.
    pub(crate) fn empty(&self) -> Value {
        let mut empty = json!({ "apiVersion": self.api_version(), "kind": self.kind });
        if let (Some(form), Some(fields)) = (self.form, empty.as_object_mut()) {
            fields.extend(form.always().iter().map(|field| ((*field).to_owned(), json!({}))));
        }
        empty
    }

    fn described(&self) -> Vec<Value> {
        let entry = |name: String, verbs: &[&str]| {
            json!({
                "name": name, "singularName": if name.contains('/') { "" } else { self.singular.as_str() },
                "namespaced": self.namespaced, "kind": self.kind, "verbs": verbs
            })
        };
        let all = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        let mut entries = vec![entry(self.plural.clone(), &all)];
        if self.status {
            entries.push(entry(format!("{}/status", self.plural), &["get", "patch", "update"]));
        }
        entries
    }
}

/// Group, version, kind, plural, namespaced, status, counted in generation.
type Row = (&'static str, &'static str, &'static str, &'static str, bool, bool, bool);

/// Built-in kinds. Their bodies are taken as they come: only what the product's tests rely on of their own rules is modelled.
const BUILT_IN: &[Row] = &[
    ("", "v1", "Namespace", "namespaces", false, true, false),
    ("", "v1", "Node", "nodes", false, true, false),
    ("", "v1", "Secret", "secrets", true, false, false),
    ("", "v1", "ConfigMap", "configmaps", true, false, false),
    ("", "v1", "Event", "events", true, false, false),
    ("", "v1", "ServiceAccount", "serviceaccounts", true, false, false),
    ("", "v1", "Service", "services", true, true, false),
    ("", "v1", "Pod", "pods", true, true, true),
    ("", "v1", "PersistentVolume", "persistentvolumes", false, true, false),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true, true, false),
    ("", "v1", "ResourceQuota", "resourcequotas", true, true, false),
    ("", "v1", "LimitRange", "limitranges", true, false, false),
    ("apps", "v1", "Deployment", "deployments", true, true, true),
    ("apps", "v1", "StatefulSet", "statefulsets", true, true, true),
    ("events.k8s.io", "v1", "Event", "events", true, false, false),
    ("coordination.k8s.io", "v1", "Lease", "leases", true, false, false),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true, false, true),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true, false, false),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true, false, false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false, false, false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false, false, false),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", false, false, false),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        false,
        true,
        true,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        false,
        false,
        true,
    ),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false, true, true),
];

fn selectable(group: &str, plural: &str) -> BTreeMap<String, String> {
    let fields: &[(&str, &str)] = match (group, plural) {
        ("", "namespaces") => &[("status.phase", "/status/phase")],
        ("", "secrets") => &[("type", "/type")],
        _ => &[],
    };
    fields.iter().map(|(path, pointer)| ((*path).to_owned(), (*pointer).to_owned())).collect()
}

/// All kinds, by group, version and plural.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kinds {
    known: BTreeMap<(String, String, String), Arc<KindInfo>>,
}

impl Kinds {
    pub(crate) fn built_in() -> Self {
        let mut known = BTreeMap::new();
        for (group, version, kind, plural, namespaced, status, counted) in BUILT_IN.iter().copied() {
            let info = KindInfo {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: kind.to_owned(),
                plural: plural.to_owned(),
                singular: kind.to_lowercase(),
                namespaced,
                status,
                counted,
                // Leases are written by those who have read them, or made by their first update.
                unconditional: plural != "leases",
                selectable: selectable(group, plural),
                schema: None,
                shape: form::shape(group, plural),
                form: Form::of(group, plural),
            };
            known.insert((group.to_owned(), version.to_owned(), plural.to_owned()), Arc::new(info));
        }
        Self { known }
    }

    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<KindInfo>> {
        self.known.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// A kind by its name, under whichever version.
    pub(crate) fn by_kind(&self, group: &str, kind: &str) -> Option<Arc<KindInfo>> {
        self.known.values().find(|k| k.group == group && k.kind == kind).cloned()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<KindInfo>> {
        self.known.values()
    }

    /// Serves the versions of a CustomResourceDefinition.
    pub(crate) fn define(&mut self, crd: &Value) -> Result<()> {
        let text = |pointer: &str| {
            crd.pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("a CRD has {pointer}"))
        };
        let (group, plural, kind) = (text("/spec/group")?, text("/spec/names/plural")?, text("/spec/names/kind")?);
        self.forget(&group, &plural);
        let versions = crd.pointer("/spec/versions").and_then(Value::as_array).cloned().unwrap_or_default();
        for version in versions.iter().filter(|v| v.get("served") == Some(&Value::Bool(true))) {
            let name = version.get("name").and_then(Value::as_str).unwrap_or_default();
            let selectable = version
                .pointer("/selectableFields")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|f| f.get("jsonPath").and_then(Value::as_str))
                .map(|path| (path.trim_start_matches('.').to_owned(), path.replace('.', "/")))
                .collect();
            let info = KindInfo {
                group: group.clone(),
                version: name.to_owned(),
                kind: kind.clone(),
                plural: plural.clone(),
                singular: text("/spec/names/singular").unwrap_or_else(|_| kind.to_lowercase()),
                namespaced: text("/spec/scope")? == "Namespaced",
                status: version.pointer("/subresources/status").is_some(),
                counted: true,
                unconditional: false,
                selectable,
                schema: Some(Schema::of(crd, name)?),
                shape: version.pointer("/schema/openAPIV3Schema").map_or_else(Shape::unknown, Shape::of),
                form: None,
            };
            self.known.insert((group.clone(), name.to_owned(), plural.clone()), Arc::new(info));
        }
        Ok(())
    }

    /// Serves a kind no longer.
    pub(crate) fn forget(&mut self, group: &str, plural: &str) {
        self.known.retain(|(g, _, p), _| g != group || p != plural);
    }

    /// `/apis`.
    pub(crate) fn groups(&self) -> Value {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for info in self.known.values().filter(|k| !k.group.is_empty()) {
            let versions = groups.entry(&info.group).or_default();
            if !versions.contains(&info.version.as_str()) {
                versions.push(&info.version);
            }
        }
        let described: Vec<Value> = groups
            .iter()
            .map(|(group, versions)| {
                let of = |v: &&str| json!({ "groupVersion": format!("{group}/{v}"), "version": v });
                json!({ "name": group, "versions": versions.iter().map(of).collect::<Vec<_>>(), "preferredVersion": versions.first().map(of) })
            })
            .collect();
        json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": described })
    }

    /// `/api/v1` and `/apis/<group>/<version>`; none if nothing is served there.
    pub(crate) fn resources(&self, group: &str, version: &str) -> Option<Value> {
        let of: Vec<Value> = self
            .known
            .values()
            .filter(|k| k.group == group && k.version == version)
            .flat_map(|k| k.described())
            .collect();
        let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        (!of.is_empty())
            .then(|| json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": of }))
    }
}
