//! What stands at a site for a grant: its namespace with its rules, and the objects of its bundle.

use serde_json::{Map, Value, json};
use zhengyun_crds::grant::{InventoryEntry, ResourceGrant};
use zhengyun_crds::marks;

/// Role at the site that a department's people hold in its namespaces.
const TENANT_ROLE: &str = "zhengyun-tenant-admin";

/// One object that should stand at the site.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// What it is, without UID and state.
    pub entry: InventoryEntry,
    /// Its manifest.
    pub body: Value,
}

/// Labels of everything that is delivered for a grant.
pub fn labels(grant: &ResourceGrant) -> Map<String, Value> {
    let mut labels = Map::new();
    let mut put = |key: &str, value: &str| labels.insert(key.to_owned(), Value::String(value.to_owned()));
    put(marks::LABEL_MANAGED_BY, marks::MANAGED_BY);
    put(marks::LABEL_DEPARTMENT, &grant.spec.department);
    put(marks::LABEL_SYSTEM, &grant.spec.system);
    put(marks::LABEL_GRANT, grant.metadata.name.as_deref().unwrap_or_default());
    put(marks::LABEL_GRANT_UID, grant.metadata.uid.as_deref().unwrap_or_default());
    labels
}

/// Everything that should stand at the site, in the order in which it is created.
///
/// Frozen: network denied, no pods, data kept.
pub fn desired(grant: &ResourceGrant, namespace: &str, frozen: bool) -> Vec<Desired> {
    let labels = labels(grant);
    let mut all = vec![
        namespace_object(namespace, &labels),
        quota(grant, namespace, &labels, frozen),
        limits(namespace, &labels),
    ];
    all.push(deny_all(namespace, &labels));
    if !frozen {
        all.extend(allow_rules(grant, namespace, &labels));
    }
    // What a drill restores is another department's: nobody is let into it, whoever that department consists of.
    if grant.spec.department != marks::DRILL_DEPARTMENT {
        all.push(tenants(grant, namespace, &labels));
    }
    for object in &grant.spec.bundle.objects {
        if let Some(desired) = bundled(grant, namespace, object, &labels) {
            all.push(desired);
        }
    }
    all
}

fn namespace_object(namespace: &str, labels: &Map<String, Value>) -> Desired {
    let mut labels = labels.clone();
    for mode in ["enforce", "audit", "warn"] {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), json!("restricted"));
    }
    desired_object("", "v1", "Namespace", "namespaces", "", namespace, json!({ "labels": labels }), Map::new())
}

fn quota(grant: &ResourceGrant, namespace: &str, labels: &Map<String, Value>, frozen: bool) -> Desired {
    let mut hard = Map::new();
    // What no item pays for is not there to be used.
    for key in ["services.nodeports", "services.loadbalancers"] {
        hard.insert(key.to_owned(), json!("0"));
    }
    for (key, amount) in &grant.spec.bundle.ceilings {
        hard.insert(key.clone(), json!(amount.as_str()));
    }
    if frozen {
        hard.insert("pods".to_owned(), json!("0"));
    }
    let fields = Map::from_iter([("spec".to_owned(), json!({ "hard": hard }))]);
    desired_object(
        "",
        "v1",
        "ResourceQuota",
        "resourcequotas",
        namespace,
        &named("quota"),
        json!({ "labels": labels }),
        fields,
    )
}

fn limits(namespace: &str, labels: &Map<String, Value>) -> Desired {
    // Only so that a pod without requests fits under a quota that demands them; the quota is the ceiling.
    let spec = json!({ "limits": [{
        "type": "Container",
        "default": { "cpu": "500m", "memory": "512Mi" },
        "defaultRequest": { "cpu": "100m", "memory": "128Mi" }
    }] });
    let fields = Map::from_iter([("spec".to_owned(), spec)]);
    desired_object(
        "",
        "v1",
        "LimitRange",
        "limitranges",
        namespace,
        &named("limits"),
        json!({ "labels": labels }),
        fields,
    )
}

fn deny_all(namespace: &str, labels: &Map<String, Value>) -> Desired {
    policy(namespace, labels, "default-deny", json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }))
}

fn allow_rules(grant: &ResourceGrant, namespace: &str, labels: &Map<String, Value>) -> Vec<Desired> {
    let dns = json!({
        "podSelector": {}, "policyTypes": ["Egress"],
        "egress": [{
            "to": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } } }],
            "ports": [{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }]
        }]
    });
    let mut rules = vec![policy(namespace, labels, "allow-dns", dns)];
    let mut ports: Vec<i32> = grant.spec.bundle.network.iter().map(|n| n.port).collect();
    ports.sort_unstable();
    ports.dedup();
    if !ports.is_empty() {
        let ports: Vec<Value> = ports.into_iter().map(|port| json!({ "port": port, "protocol": "TCP" })).collect();
        let peers = json!([{ "podSelector": {} }]);
        let inside = json!({
            "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{ "from": peers, "ports": ports }],
            "egress": [{ "to": peers, "ports": ports }]
        });
        rules.push(policy(namespace, labels, "allow-within", inside));
    }
    rules
}

fn policy(namespace: &str, labels: &Map<String, Value>, name: &str, spec: Value) -> Desired {
    let fields = Map::from_iter([("spec".to_owned(), spec)]);
    desired_object(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        namespace,
        &named(name),
        json!({ "labels": labels }),
        fields,
    )
}

fn tenants(grant: &ResourceGrant, namespace: &str, labels: &Map<String, Value>) -> Desired {
    let group = format!("dept:{}", grant.spec.department);
    let fields = Map::from_iter([
        (
            "roleRef".to_owned(),
            json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": TENANT_ROLE }),
        ),
        ("subjects".to_owned(), json!([{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group }])),
    ]);
    desired_object(
        "rbac.authorization.k8s.io",
        "v1",
        "RoleBinding",
        "rolebindings",
        namespace,
        &named("tenants"),
        json!({ "labels": labels }),
        fields,
    )
}

fn bundled(
    grant: &ResourceGrant,
    namespace: &str,
    object: &Map<String, Value>,
    labels: &Map<String, Value>,
) -> Option<Desired> {
    let api_version = object.get("apiVersion")?.as_str()?;
    let kind = object.get("kind")?.as_str()?;
    let name = object.get("metadata")?.get("name")?.as_str()?;
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let allowed =
        grant.spec.bundle.kinds.iter().find(|k| k.group == group && k.version == version && k.kind == kind)?;
    let mut fields = object.clone();
    let mut metadata = fields.remove("metadata").and_then(|m| m.as_object().cloned()).unwrap_or_default();
    fields.remove("apiVersion");
    fields.remove("kind");
    let mut own = metadata.remove("labels").and_then(|l| l.as_object().cloned()).unwrap_or_default();
    own.extend(labels.clone());
    let mut meta = json!({ "labels": own });
    if let (Some(annotations), Some(meta)) = (metadata.remove("annotations"), meta.as_object_mut()) {
        meta.insert("annotations".to_owned(), annotations);
    }
    Some(desired_object(group, version, kind, &allowed.plural, namespace, name, meta, fields))
}

#[expect(clippy::too_many_arguments, reason = "the coordinates of a Kubernetes object are what they are")]
fn desired_object(
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
    namespace: &str,
    name: &str,
    mut metadata: Value,
    fields: Map<String, Value>,
) -> Desired {
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("name".to_owned(), json!(name));
        if !namespace.is_empty() {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
    }
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut body = Map::from_iter([
        ("apiVersion".to_owned(), json!(api_version)),
        ("kind".to_owned(), json!(kind)),
        ("metadata".to_owned(), metadata),
    ]);
    body.extend(fields);
    Desired {
        entry: InventoryEntry {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: None,
            state: "Intended".to_owned(),
            message: String::new(),
        },
        body: Value::Object(body),
    }
}

fn named(what: &str) -> String {
    format!("{}{what}", marks::SITE_OBJECT_PREFIX)
}

/// Whether what stands at the site already says everything that is desired. Fields that the API server or other
/// controllers added do not count; lists must be equal, for a list has no field-wise merge.
pub fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, want)| match live.get(key) {
            Some(have) => covers(have, want),
            None => is_empty(want),
        }),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len() && live.iter().zip(desired).all(|(have, want)| covers(have, want))
        }
        (have, want) => have == want || same_quantity(have, want),
    }
}

/// An absent field and an empty one mean the same to the API server.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// The API server writes quantities in its own way: `0.5` comes back as `500m`.
fn same_quantity(have: &Value, want: &Value) -> bool {
    let parse = |v: &Value| v.as_str().and_then(|s| s.parse::<crate::quantity::Quantity>().ok());
    matches!((parse(have), parse(want)), (Some(have), Some(want)) if have == want)
}
