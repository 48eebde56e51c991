//! Where objects are, and objects that the API server takes as they are: tables change one field of them at a time.

use serde_json::{Map, Value, json};

/// Collections by kind.
const KINDS: &[(&str, &str, &str)] = &[
    ("Department", "zhengyun.io/v1alpha1", "departments"),
    ("DepartmentQuota", "zhengyun.io/v1alpha1", "departmentquotas"),
    ("Site", "zhengyun.io/v1alpha1", "sites"),
    ("CatalogItem", "zhengyun.io/v1alpha1", "catalogitems"),
    ("ApprovalPolicy", "zhengyun.io/v1alpha1", "approvalpolicies"),
    ("Ledger", "zhengyun.io/v1alpha1", "ledgers"),
    ("InformationSystem", "zhengyun.io/v1alpha1", "informationsystems"),
    ("ResourceRequest", "zhengyun.io/v1alpha1", "resourcerequests"),
    ("Approval", "zhengyun.io/v1alpha1", "approvals"),
    ("ResourceGrant", "zhengyun.io/v1alpha1", "resourcegrants"),
    ("BackupStore", "zhengyun.io/v1alpha1", "backupstores"),
    ("RecoveryPlan", "zhengyun.io/v1alpha1", "recoveryplans"),
    ("SystemBackup", "zhengyun.io/v1alpha1", "systembackups"),
    ("SystemRestore", "zhengyun.io/v1alpha1", "systemrestores"),
    ("RecoveryDrill", "zhengyun.io/v1alpha1", "recoverydrills"),
    ("MachineRoom", "zhengyun.io/v1alpha1", "machinerooms"),
    ("MigrationWave", "zhengyun.io/v1alpha1", "migrationwaves"),
    ("SystemMigration", "zhengyun.io/v1alpha1", "systemmigrations"),
    ("Namespace", "v1", "namespaces"),
    ("Secret", "v1", "secrets"),
    ("ConfigMap", "v1", "configmaps"),
    ("Pod", "v1", "pods"),
    ("Service", "v1", "services"),
    ("ServiceAccount", "v1", "serviceaccounts"),
    ("ResourceQuota", "v1", "resourcequotas"),
    ("LimitRange", "v1", "limitranges"),
    ("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    ("Deployment", "apps/v1", "deployments"),
    ("DaemonSet", "apps/v1", "daemonsets"),
    ("Job", "batch/v1", "jobs"),
    ("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
    ("Ingress", "networking.k8s.io/v1", "ingresses"),
    ("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    ("Role", "rbac.authorization.k8s.io/v1", "roles"),
    ("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
    ("ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles"),
    ("Cluster", "postgresql.cnpg.io/v1", "clusters"),
    ("BucketClaim", "objectstorage.k8s.io/v1alpha1", "bucketclaims"),
    ("BucketAccess", "objectstorage.k8s.io/v1alpha1", "bucketaccesses"),
];

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// An object by kind, namespace (empty for none) and name.
pub(crate) fn at(kind: &str, namespace: &str, name: &str) -> At {
    At { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

impl At {
    /// Where an object says that it is.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        at(text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
    }

    pub(crate) fn collection(&self) -> String {
        let (_, api, plural) =
            KINDS.iter().find(|(kind, ..)| *kind == self.kind).unwrap_or_else(|| panic!("no path for {}", self.kind));
        let root = if api.contains('/') { "apis" } else { "api" };
        if self.namespace.is_empty() {
            format!("/{root}/{api}/{plural}")
        } else {
            format!("/{root}/{api}/namespaces/{}/{plural}", self.namespace)
        }
    }

    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    /// API version of its kind.
    pub(crate) fn api(&self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self.kind).unwrap_or_else(|| panic!("no path for {}", self.kind)).1
    }
}

/// An object with content beside its metadata.
pub(crate) fn object(kind: &str, namespace: &str, name: &str, content: &Value) -> Value {
    let place = at(kind, namespace, name);
    let mut object = json!({ "apiVersion": place.api(), "kind": kind, "metadata": { "name": name } });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    merge_into(&mut object, content);
    object
}

/// An object with one field set, by JSON pointer; what is missing on the way is made. `null` takes the field away.
pub(crate) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer begins with /");
    let mut node = &mut object;
    for step in parent.split('/').skip(1) {
        node = match node {
            Value::Array(list) => &mut list[step.parse::<usize>().expect("a place in a list")],
            other => {
                let map = other.as_object_mut().unwrap_or_else(|| panic!("{pointer}: {step} is in no map"));
                map.entry(step).or_insert_with(|| Value::Object(Map::new()))
            }
        };
    }
    let key = key.replace("~1", "/");
    match node {
        Value::Array(list) => list[key.parse::<usize>().expect("a place in a list")] = value,
        Value::Object(map) if value.is_null() => drop(map.remove(&key)),
        Value::Object(map) => drop(map.insert(key, value)),
        _ => panic!("{pointer}: no map"),
    }
    object
}

/// Merges maps, replaces everything else.
pub(crate) fn merge_into(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge_into(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// `a` repeated.
pub(crate) fn long(length: usize) -> String {
    "a".repeat(length)
}

fn names() -> Value {
    json!({ "zh-CN": { "full": "准入测试" }, "en": { "full": "Admission" } })
}

pub(crate) fn department(name: &str) -> Value {
    let spec = json!({ "type": "Organ", "level": "Region", "parent": "neimenggu", "displayNames": names() });
    object("Department", "", name, &json!({ "spec": spec }))
}

pub(crate) fn quota(name: &str) -> Value {
    let spec = json!({ "limits": [{ "site": "hohhot", "hard": { "cpu": "1" } }] });
    object("DepartmentQuota", "", name, &json!({ "spec": spec }))
}

pub(crate) fn site(name: &str) -> Value {
    let spec = json!({
        "displayNames": names(), "location": { "address": "somewhere" }, "architectures": ["amd64"],
        "protectionLevel": 3, "zones": ["GovernmentExtranet"], "capacity": { "cpu": "1" },
        "delivery": { "direct": { "secretName": "site-nowhere" } }
    });
    object("Site", "", name, &json!({ "spec": spec }))
}

/// A catalogue item that delivers a Service, which no item of the product's own pack does.
pub(crate) fn item(name: &str) -> Value {
    let spec = json!({
        "displayNames": names(),
        "parameters": { "type": "object", "additionalProperties": false, "properties": {} },
        "charges": { "cpu": "quantity('1') * count" },
        "allowedKinds": [{ "version": "v1", "kind": "Service", "plural": "services" }],
        "template": [{
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "${name}" },
            "spec": { "type": "ClusterIP", "selector": { "app": "web" }, "ports": [{ "port": 80, "protocol": "TCP" }] }
        }]
    });
    object("CatalogItem", "", name, &json!({ "spec": spec }))
}

pub(crate) fn policy(name: &str, matching: &str) -> Value {
    let spec = json!({
        "displayNames": names(), "match": matching, "priority": 900, "stages": [{ "name": "department" }],
        "confirm": "Auto"
    });
    object("ApprovalPolicy", "", name, &json!({ "spec": spec }))
}

pub(crate) fn system(namespace: &str, name: &str) -> Value {
    let spec = json!({
        "displayNames": names(), "protection": { "level": 2 }, "dataClass": "General", "zone": "GovernmentExtranet"
    });
    object("InformationSystem", namespace, name, &json!({ "spec": spec }))
}

/// The order of a small container space.
pub(crate) fn order(class: &str) -> Value {
    json!({
        "action": "Create", "system": "smart-emergency", "site": "hohhot", "class": class, "justification": "admission",
        "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "1", "memory": "1Gi" } }]
    })
}

/// The order to end a grant.
pub(crate) fn end_of(grant: &str, class: &str) -> Value {
    json!({
        "action": "Revoke", "site": "hohhot", "grant": grant, "class": class, "justification": "admission",
        "disposition": "Delete"
    })
}

/// A request as `author` writes it.
pub(crate) fn request(namespace: &str, name: &str, author: &str, order: Value) -> Value {
    let spec = json!({ "order": order, "requestedBy": author, "editedBy": author });
    object("ResourceRequest", namespace, name, &json!({ "spec": spec }))
}
