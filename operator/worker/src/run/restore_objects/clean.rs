//! An object as it is created in a target: without what its old API server and controllers put there.

use serde_json::{Map, Value};

use crate::cluster::text;

/// Metadata that an API server writes itself.
const SERVER_METADATA: &[&str] = &[
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
    "namespace",
    "ownerReferences",
];
/// Annotations by which controllers remember what exists at the old place alone.
const STALE_ANNOTATIONS: &[&str] = &[
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
    "kubernetes.io/service-account.uid",
    "deployment.kubernetes.io/revision",
];
/// Labels that a Job gives its Pods, with its own UID.
const JOB_LABELS: &[&str] = &["controller-uid", "batch.kubernetes.io/controller-uid"];

/// Makes an object ready. Owners are rewritten to what was restored for them; an owner that was not is dropped, because the
/// garbage collector would otherwise delete the object. The old UID stays, for the caller to take out before it writes.
pub fn for_target(mut object: Value, namespace: &str, owner: &dyn Fn(&str) -> Option<String>) -> Value {
    let kind = text(&object, "/kind").to_owned();
    let uid = text(&object, "/metadata/uid").to_owned();
    let owners = owners(&object, owner);
    let Some(fields) = object.as_object_mut() else { return object };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !SERVER_METADATA.contains(&field.as_str()));
        metadata.insert("namespace".to_owned(), namespace.into());
        metadata.insert("uid".to_owned(), uid.into());
        if !owners.is_empty() {
            metadata.insert("ownerReferences".to_owned(), owners.into());
        }
        drop_keys(metadata, "annotations", STALE_ANNOTATIONS);
        // Deletion in the foreground waits for its finalizer; nothing would ever take it away again.
        if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|f| !matches!(f.as_str(), Some("foregroundDeletion" | "orphan")));
        }
    }
    by_kind(&kind, fields);
    object
}

fn owners(object: &Value, owner: &dyn Fn(&str) -> Option<String>) -> Vec<Value> {
    let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let known = references.into_iter().flatten().filter_map(|reference| {
        let new = owner(text(reference, "/uid"))?;
        let mut reference = reference.clone();
        reference.as_object_mut()?.insert("uid".to_owned(), new.into());
        Some(reference)
    });
    known.collect()
}

fn by_kind(kind: &str, object: &mut Map<String, Value>) {
    match kind {
        "Service" => {
            let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
            // Headless is a choice; an address is not.
            if spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
                spec.remove("clusterIP");
                spec.remove("clusterIPs");
            }
            spec.remove("healthCheckNodePort");
            for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                port.as_object_mut().map(|port| port.remove("nodePort"));
            }
        }
        "PersistentVolumeClaim" => {
            object.get_mut("spec").and_then(Value::as_object_mut).map(|spec| spec.remove("volumeName"));
        }
        "ServiceAccount" => drop(object.remove("secrets")),
        // The token of a ServiceAccount is made anew for the new one.
        "Secret" if object.get("type").and_then(Value::as_str) == Some("kubernetes.io/service-account-token") => {
            object.remove("data");
        }
        "Job" => {
            let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
            if spec.get("manualSelector").and_then(Value::as_bool) != Some(true) {
                spec.remove("selector");
                if let Some(metadata) = spec
                    .get_mut("template")
                    .and_then(|template| template.get_mut("metadata"))
                    .and_then(Value::as_object_mut)
                {
                    drop_keys(metadata, "labels", JOB_LABELS);
                }
            }
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                drop_keys(metadata, "labels", JOB_LABELS);
            }
        }
        "Pod" => {
            let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
            spec.remove("nodeName");
            drop_token_volumes(spec);
        }
        _ => {}
    }
}

/// The API server mounts a token into each Pod itself.
fn drop_token_volumes(spec: &mut Map<String, Value>) {
    let is_token = |entry: &Value| text(entry, "/name").starts_with("kube-api-access-");
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

fn drop_keys(parent: &mut Map<String, Value>, field: &str, keys: &[&str]) {
    if let Some(map) = parent.get_mut(field).and_then(Value::as_object_mut) {
        map.retain(|key, _| !keys.contains(&key.as_str()));
        if map.is_empty() {
            parent.remove(field);
        }
    }
}

/// Whether a live object has everything that is wanted. What the API server added is not in the way.
pub fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, value)| live.get(key).map_or_else(|| is_nothing(value), |live| covers(live, value))),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        _ => live == wanted,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{covers, for_target};

    #[test]
    fn what_the_old_server_wrote_goes_and_what_people_wrote_stays() {
        let object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "web", "namespace": "old", "uid": "u1", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "app": "web" },
                "finalizers": ["foregroundDeletion", "example.org/keep"],
                "ownerReferences": [
                    { "kind": "App", "name": "a", "uid": "known", "apiVersion": "example.org/v1" },
                    { "kind": "App", "name": "b", "uid": "lost", "apiVersion": "example.org/v1" },
                ],
            },
            "spec": { "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [{ "port": 80, "nodePort": 30001 }] },
            "status": { "loadBalancer": {} },
        });
        let ready = for_target(object, "new", &|uid| (uid == "known").then(|| "fresh".to_owned()));
        assert_eq!(
            ready,
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {
                    "name": "web", "namespace": "new", "uid": "u1", "labels": { "app": "web" },
                    "finalizers": ["example.org/keep"],
                    "ownerReferences": [{ "kind": "App", "name": "a", "uid": "fresh", "apiVersion": "example.org/v1" }],
                },
                "spec": { "ports": [{ "port": 80 }] },
            })
        );
    }

    #[test]
    fn a_headless_service_stays_headless_and_a_claim_finds_a_new_volume() {
        let service =
            json!({ "kind": "Service", "metadata": {}, "spec": { "clusterIP": "None", "clusterIPs": ["None"] } });
        assert_eq!(for_target(service, "n", &|_| None)["spec"]["clusterIP"], "None");
        let claim = json!({
            "kind": "PersistentVolumeClaim",
            "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } },
            "spec": { "volumeName": "pv-1", "storageClassName": "fast" },
        });
        let ready = for_target(claim, "n", &|_| None);
        assert_eq!(ready["spec"], json!({ "storageClassName": "fast" }));
        assert!(ready["metadata"].get("annotations").is_none());
    }

    #[test]
    fn a_job_and_a_token_are_made_anew() {
        let job = json!({
            "kind": "Job", "metadata": { "labels": { "controller-uid": "u", "app": "a" } },
            "spec": { "selector": { "matchLabels": { "controller-uid": "u" } },
                      "template": { "metadata": { "labels": { "batch.kubernetes.io/controller-uid": "u" } } } },
        });
        let ready = for_target(job, "n", &|_| None);
        assert_eq!(ready["spec"], json!({ "template": { "metadata": {} } }));
        assert_eq!(ready["metadata"]["labels"], json!({ "app": "a" }));
        let token = json!({ "kind": "Secret", "metadata": {}, "type": "kubernetes.io/service-account-token", "data": { "token": "x" } });
        assert!(for_target(token, "n", &|_| None).get("data").is_none());
    }

    #[test]
    fn an_object_covers_what_is_wanted_of_it_and_no_more() {
        let live = json!({ "a": 1, "list": [{ "x": 1, "default": true }], "added": {} });
        assert!(covers(&live, &json!({ "a": 1, "list": [{ "x": 1 }], "none": null, "empty": [] })));
        assert!(!covers(&live, &json!({ "a": 2 })));
        assert!(!covers(&live, &json!({ "list": [] })));
        assert!(!covers(&live, &json!({ "missing": "x" })));
    }
}
