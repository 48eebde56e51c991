//! What a department has in a namespace, as somebody else than the product makes and compares it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value, json};

/// Label of everything that was made here.
const MAKER: &str = "zhengyun-tests";
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

/// Kinds that are made here, with the fields that people write.
const KINDS: [(&str, &str, &str, &[&str]); 3] = [
    ("", "v1", "ConfigMap", &["data", "immutable"]),
    ("", "v1", "Secret", &["data", "type"]),
    ("apps", "v1", "Deployment", &["spec"]),
];

/// Kind and name, and what people wrote.
pub type Content = BTreeMap<(String, String), Value>;

fn api(client: &Client, namespace: &str, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

fn is_own(object: &DynamicObject) -> bool {
    object.labels().get("made-by").is_some_and(|by| by == MAKER)
}

/// Makes objects of about so many bytes, numbered from `first`: maps, secrets and deployments without pods.
///
/// # Errors
/// The object that could not be made, with the reason.
pub async fn make(client: &Client, namespace: &str, first: usize, count: usize, bytes: usize) -> Result<()> {
    for number in first..first + count {
        let labels = json!({ "made-by": MAKER, "number": number.to_string() });
        // Text that does not shrink, so that a backup takes a moment.
        let text: String = (0..bytes).filter_map(|n| LETTERS.chars().nth((n * 7 + number * n + n / 11) % 26)).collect();
        let (kind, group, body) = match number % 10 {
            0..=6 => (
                "ConfigMap",
                "",
                json!({
                    "metadata": { "name": format!("map-{number:03}"), "labels": labels, "annotations": { "note": "政务" } },
                    "data": { "text": text, "empty": "" }
                }),
            ),
            7 | 8 => (
                "Secret",
                "",
                json!({
                    "metadata": { "name": format!("secret-{number:03}"), "labels": labels },
                    "type": "Opaque", "stringData": { "password": text }
                }),
            ),
            _ => (
                "Deployment",
                "apps",
                json!({
                    "metadata": { "name": format!("app-{number:03}"), "labels": labels },
                    "spec": {
                        "replicas": 0, "selector": { "matchLabels": { "app": format!("app-{number:03}") } },
                        "template": {
                            "metadata": { "labels": { "app": format!("app-{number:03}") } },
                            "spec": { "containers": [{ "name": "web", "image": "registry.example/web:1" }] }
                        }
                    }
                }),
            ),
        };
        let mut object: DynamicObject = serde_json::from_value(body)?;
        object.types = Some(kube::core::TypeMeta {
            api_version: if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") },
            kind: kind.to_owned(),
        });
        api(client, namespace, group, "v1", kind)
            .create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("make {kind} {number}"))?;
    }
    Ok(())
}

/// What stands there, without what an API server or a controller writes.
///
/// # Errors
/// When the cluster does not answer.
pub async fn read(client: &Client, namespace: &str) -> Result<Content> {
    let mut content = Content::new();
    for (group, version, kind, fields) in KINDS {
        let all = api(client, namespace, group, version, kind).list(&ListParams::default()).await?;
        for object in all.items.into_iter().filter(is_own) {
            let mut annotations = object.annotations().clone();
            annotations.remove("deployment.kubernetes.io/revision");
            let mut kept = Map::new();
            kept.insert("labels".to_owned(), json!(object.labels()));
            kept.insert("annotations".to_owned(), json!(annotations));
            for field in fields {
                kept.insert((*field).to_owned(), object.data.get(*field).cloned().unwrap_or(Value::Null));
            }
            content.insert((kind.to_owned(), object.name_any()), Value::Object(kept));
        }
    }
    Ok(content)
}

/// Deletes all of it.
///
/// # Errors
/// When the cluster does not answer.
pub async fn destroy(client: &Client, namespace: &str) -> Result<()> {
    let own = ListParams::default().labels(&format!("made-by={MAKER}"));
    for (group, version, kind, _) in KINDS {
        api(client, namespace, group, version, kind).delete_collection(&DeleteParams::background(), &own).await?;
    }
    Ok(())
}
