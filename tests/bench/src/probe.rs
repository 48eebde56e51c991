//! A bare kind: a spec and a status without a schema. What an API server does with it is all that it can do.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};
use zhengyun_tests::lab::{install, wait};

/// Namespace of everything that is written beside the product.
pub const NAMESPACE: &str = "bench-raw";

/// The kind.
pub fn resource() -> ApiResource {
    ApiResource {
        group: "bench.zhengyun.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "bench.zhengyun.io/v1".to_owned(),
        kind: "Probe".to_owned(),
        plural: "probes".to_owned(),
    }
}

/// The kind's API in [`NAMESPACE`].
pub fn api(client: &Client) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), NAMESPACE, &resource())
}

/// Registers the kind, and waits until it is served.
///
/// # Errors
/// When it is not.
pub async fn install(client: &Client) -> Result<()> {
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let definition: Value = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "probes.bench.zhengyun.io" },
        "spec": {
            "group": "bench.zhengyun.io", "scope": "Namespaced",
            "names": { "plural": "probes", "singular": "probe", "kind": "Probe", "listKind": "ProbeList" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": any, "status": any } } }
            }]
        }
    });
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply("zhengyun-bench").force();
    definitions.patch("probes.bench.zhengyun.io", &params, &Patch::Apply(&definition)).await?;
    install::ensure_namespace(client, NAMESPACE).await?;
    let probes = api(client);
    wait::until("the bare kind is served", Duration::from_secs(30), || async {
        Ok(Some(probes.list(&kube::api::ListParams::default().limit(1)).await?))
    })
    .await?;
    Ok(())
}

/// An object of the kind.
///
/// # Errors
/// Never for a spec that is JSON.
pub fn object(name: &str, spec: &Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "bench.zhengyun.io/v1", "kind": "Probe",
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec
    }))?)
}
