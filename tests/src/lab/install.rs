//! Puts manifests into a cluster the way an administrator does, and waits until they are in force.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        core::v1::{ConfigMap, Namespace},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
    discovery::{self, ApiResource, Scope},
};
use serde_json::{Value, json};

use super::{client as clients, wait};

/// The namespace of the product on the hub and on every site.
pub const SYSTEM_NAMESPACE: &str = "zhengyun-system";
const FIELD_MANAGER: &str = "zhengyun-lab";
const IN_FORCE_LIMIT: Duration = Duration::from_mins(1);

/// Reads every manifest of a folder's `*.yaml` files, by file name; a missing or empty folder is an error.
pub fn read_folder(dir: &Path) -> Result<Vec<DynamicObject>> {
    let entries = fs::read_dir(dir)
        .with_context(|| format!("the manifests {} are missing; they are generated and committed", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut objects = Vec::new();
    for file in &files {
        objects.extend(read_file(file)?);
    }
    if objects.is_empty() {
        bail!("{} holds no manifest (*.yaml)", dir.display());
    }
    Ok(objects)
}

/// Reads the documents of one YAML file.
pub fn read_file(path: &Path) -> Result<Vec<DynamicObject>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).with_context(|| format!("parse {}", path.display()))?;
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(|document| {
            serde_json::from_value(document).with_context(|| format!("{}: not a Kubernetes object", path.display()))
        })
        .collect()
}

/// Applies objects server-side: namespaces and CRDs first, then, once those are served, the rest.
pub async fn apply(client: &Client, objects: Vec<DynamicObject>) -> Result<()> {
    let mut kinds = Kinds { client, known: HashMap::new() };
    let (first, rest): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|object| matches!(kind_of(object), "Namespace" | "CustomResourceDefinition"));
    for object in &first {
        kinds.apply(object).await?;
    }
    for object in first.iter().filter(|object| kind_of(object) == "CustomResourceDefinition") {
        wait_established(client, &object.name_any()).await?;
    }
    for object in &rest {
        kinds.apply(object).await?;
    }
    if rest.iter().any(|object| kind_of(object) == "ValidatingAdmissionPolicy") {
        wait_policies_in_force(client).await?;
    }
    Ok(())
}

/// Makes sure a namespace is there.
pub async fn ensure_namespace(client: &Client, name: &str) -> Result<()> {
    let namespace: Value = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    Api::<Namespace>::all(client.clone())
        .patch(name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(&namespace))
        .await
        .with_context(|| format!("make namespace {name}"))?;
    Ok(())
}

fn kind_of(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| types.kind.as_str())
}

/// The kinds met so far: one discovery request for each.
struct Kinds<'a> {
    client: &'a Client,
    known: HashMap<GroupVersionKind, (ApiResource, Scope)>,
}

impl Kinds<'_> {
    async fn apply(&mut self, object: &DynamicObject) -> Result<()> {
        let name = object.name_any();
        let what = format!("{} {name}", kind_of(object));
        let types = object.types.as_ref().with_context(|| format!("{name} has no apiVersion and kind"))?;
        let (resource, scope) = self.resolve(&GroupVersionKind::try_from(types)?).await?;
        let api: Api<DynamicObject> = match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = object.namespace().unwrap_or_else(|| SYSTEM_NAMESPACE.to_owned());
                Api::namespaced_with(self.client.clone(), &namespace, &resource)
            }
        };
        let mut parameters = PatchParams::apply(FIELD_MANAGER).force();
        // The lab has no nodes and runs the product's programs as processes beside it: a Deployment is
        // checked by the apiserver, but not kept, for its pods would wait for ever.
        parameters.dry_run = kind_of(object) == "Deployment";
        api.patch(&name, &parameters, &Patch::Apply(object))
            .await
            .map_err(clients::plain)
            .with_context(|| format!("apply {what}"))?;
        Ok(())
    }

    async fn resolve(&mut self, gvk: &GroupVersionKind) -> Result<(ApiResource, Scope)> {
        if let Some((resource, scope)) = self.known.get(gvk) {
            return Ok((resource.clone(), scope.clone()));
        }
        // A kind whose CRD was established a moment ago may still be missing from discovery.
        let what = format!("{}/{} {} is served", gvk.group, gvk.version, gvk.kind);
        let (resource, capabilities) = wait::until(&what, Duration::from_secs(15), || async {
            Ok(Some(discovery::pinned_kind(self.client, gvk).await?))
        })
        .await?;
        self.known.insert(gvk.clone(), (resource.clone(), capabilities.scope.clone()));
        Ok((resource, capabilities.scope))
    }
}

async fn wait_established(client: &Client, name: &str) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    wait::until(&format!("CRD {name} is Established"), IN_FORCE_LIMIT, || async {
        let conditions = crds.get(name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
        for condition in &conditions {
            if condition.type_ == "NonStructuralSchema" || condition.type_ == "KubernetesAPIApprovalPolicyConformant" {
                let wanted = if condition.type_ == "NonStructuralSchema" { "False" } else { "True" };
                if condition.status != wanted {
                    bail!("{}: {}", condition.type_, condition.message.as_deref().unwrap_or_default());
                }
            }
        }
        Ok(conditions.iter().any(|c| c.type_ == "Established" && c.status == "True").then_some(()))
    })
    .await
}

/// Waits until the apiserver enforces every admission policy applied so far.
///
/// It takes policies up about once a second, all of them together. So a last one, which refuses a
/// ConfigMap that only this function tries to make (as a dry run), shows that the earlier ones are in force.
pub async fn wait_policies_in_force(client: &Client) -> Result<()> {
    const CANARY: &str = "zhengyun-lab-canary";
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let policy: Value = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": CANARY },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"],
                "resourceNames": [CANARY],
            }] },
            "validations": [{ "expression": "false", "message": "the canary of the lab sings" }],
        },
    });
    let binding: Value = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": CANARY },
        "spec": { "policyName": CANARY, "validationActions": ["Deny"] },
    });
    policies.patch(CANARY, &parameters, &Patch::Apply(&policy)).await.context("apply the canary policy")?;
    bindings.patch(CANARY, &parameters, &Patch::Apply(&binding)).await.context("bind the canary policy")?;

    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let probe = ConfigMap {
        metadata: kube::api::ObjectMeta { name: Some(CANARY.to_owned()), ..Default::default() },
        ..Default::default()
    };
    let dry_run = PostParams { dry_run: true, ..Default::default() };
    let every = Duration::from_millis(100);
    let sung = wait::until_every("the admission policies are in force", IN_FORCE_LIMIT, every, || async {
        match config_maps.create(&dry_run, &probe).await {
            Err(kube::Error::Api(status)) if status.message.contains("canary of the lab sings") => Ok(Some(())),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(None),
        }
    })
    .await;
    bindings.delete(CANARY, &DeleteParams::default()).await.context("remove the canary binding")?;
    policies.delete(CANARY, &DeleteParams::default()).await.context("remove the canary policy")?;
    sung
}
