//! What of a captured object is the user's, and what the server or a controller put there.

use serde_json::{Map, Value};

use crate::digest;

/// Metadata that the API server alone writes.
const SERVER_METADATA: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// Annotations that controllers write for themselves.
const CONTROLLER_ANNOTATIONS: [&str; 9] = [
    "kubernetes.io/service-account.uid",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
    "control-plane.alpha.kubernetes.io/leader",
];

/// Labels by which a Job's controller finds its pods; they hold the UID of the old Job.
const JOB_LABELS: [&str; 4] =
    ["controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"];

/// Prefix of labels and annotations that Zhengyun writes; a restored object gets those of its target.
const OURS: &str = "zhengyun.io/";

/// Takes away what the server or a controller put into an object, so that it can be created anew and compared.
pub fn strip(mut object: Value) -> Value {
    let Some(fields) = object.as_object_mut() else { return object };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        strip_metadata(metadata);
    }
    match (api_version.as_str(), kind.as_str()) {
        ("v1", "Service") => strip_service(fields),
        ("v1", "PersistentVolumeClaim") => remove(fields, "spec", &["volumeName"]),
        ("v1", "ServiceAccount") => {
            fields.remove("secrets");
        }
        ("v1", "Pod") => {
            remove(fields, "spec", &["nodeName"]);
            strip_token_volumes(fields);
        }
        // The token is made anew for the account that stands at the target.
        ("v1", "Secret") if text_of(fields, "type") == "kubernetes.io/service-account-token" => {
            fields.remove("data");
        }
        ("batch/v1", "Job") => strip_job(fields),
        _ => {}
    }
    object
}

/// Digest of what of an object is the user's: equal for two objects that mean the same.
pub fn content_digest(object: Value) -> String {
    let mut object = strip(object);
    // Namespace and owners change when an object is restored elsewhere; finalizers are a controller's hold on it, and come back with that.
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["namespace", "ownerReferences", "finalizers"] {
            metadata.remove(field);
        }
    }
    digest::of(&object)
}

fn strip_metadata(metadata: &mut Map<String, Value>) {
    for key in SERVER_METADATA {
        metadata.remove(key);
    }
    for (field, banned) in [("annotations", &CONTROLLER_ANNOTATIONS[..]), ("labels", &[][..])] {
        let empty = metadata.get_mut(field).and_then(Value::as_object_mut).is_some_and(|entries| {
            entries.retain(|key, _| !key.starts_with(OURS) && !banned.contains(&key.as_str()));
            entries.is_empty()
        });
        if empty {
            metadata.remove(field);
        }
    }
}

fn text_of<'a>(fields: &'a Map<String, Value>, key: &str) -> &'a str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The API server mounts a token into each Pod itself, under a name of chance.
fn strip_token_volumes(fields: &mut Map<String, Value>) {
    let is_token = |entry: &Value| {
        entry.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with("kube-api-access-"))
    };
    let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|volume| !is_token(volume));
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.retain(|mount| !is_token(mount));
            }
        }
    }
}

/// Addresses and ports that the cluster gave out. A headless Service says so by `None`, which stays.
fn strip_service(fields: &mut Map<String, Value>) {
    let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    spec.remove("healthCheckNodePort");
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}

/// The selector that the API server made, unless the user made it.
fn strip_job(fields: &mut Map<String, Value>) {
    let manual = fields.get("spec").and_then(|spec| spec.get("manualSelector")) == Some(&Value::Bool(true));
    if manual {
        return;
    }
    remove(fields, "spec", &["selector"]);
    let Some(spec) = fields.get_mut("spec") else { return };
    if let Some(labels) = spec.pointer_mut("/template/metadata/labels").and_then(Value::as_object_mut) {
        labels.retain(|key, _| !JOB_LABELS.contains(&key.as_str()));
    }
    if let Some(labels) = fields.get_mut("metadata").and_then(|m| m.get_mut("labels")).and_then(Value::as_object_mut) {
        labels.retain(|key, _| !JOB_LABELS.contains(&key.as_str()));
    }
}

fn remove(fields: &mut Map<String, Value>, parent: &str, keys: &[&str]) {
    if let Some(inner) = fields.get_mut(parent).and_then(Value::as_object_mut) {
        for key in keys {
            inner.remove(*key);
        }
    }
}
