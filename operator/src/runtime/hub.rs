//! The hub's clients and the guarded writes that every controller uses.

use std::fmt::Debug;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::{Patch, PatchParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use zhengyun_domain::seeded::{self, Bug};

use super::writes::{Cluster, Writes};
use super::written::note;

/// Longest that one call may take in all.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// Clients of the hub: calls time out, watches do not.
#[derive(Clone)]
pub struct Hub {
    /// For calls.
    pub calls: Client,
    /// For watches.
    pub watches: Client,
}

impl Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

/// Connects to the hub; `writes` counts what is written there.
///
/// # Errors
/// When the kubeconfig cannot be read or used.
pub async fn connect(kubeconfig: Option<&Path>, writes: Option<&Arc<Writes>>) -> Result<Hub> {
    let config = match kubeconfig {
        Some(path) => {
            let text = Kubeconfig::read_from(path)
                .with_context(|| format!("--kubeconfig {}: cannot be read", path.display()))?;
            Config::from_custom_kubeconfig(text, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("--kubeconfig {}: cannot be used", path.display()))?
        }
        None => Config::incluster().context(
            "no --kubeconfig was given and this is not a pod; give --kubeconfig FILE or set ZHENGYUN_KUBECONFIG",
        )?,
    };
    let mut calls = config.clone();
    // The client's own retry repeats POST, so it is off; ours sits where the meaning of a call is known.
    calls.default_retry = false;
    calls.connect_timeout = Some(Duration::from_secs(5));
    calls.read_timeout = Some(CALL_DEADLINE);
    let mut watches = config;
    watches.default_retry = false;
    let builder = ClientBuilder::try_from(calls)?;
    let calls = match writes {
        Some(writes) => builder.with_layer(&writes.layer(Cluster::Hub)).build(),
        None => builder.build(),
    };
    Ok(Hub { calls, watches: Client::try_from(watches)? })
}

/// Addresses of the hub's API server; none if its name has none at the moment.
///
/// # Errors
/// When the kubeconfig cannot be read or used.
pub async fn addresses(kubeconfig: Option<&Path>) -> Result<Vec<IpAddr>> {
    let config = match kubeconfig {
        Some(path) => {
            Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await?
        }
        None => Config::incluster()?,
    };
    let host = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let found = tokio::net::lookup_host((host, 443)).await;
    Ok(found.into_iter().flatten().map(|address| address.ip()).collect())
}

/// Writes a status over a former one, as a merge patch that carries UID and resourceVersion: it lands on the very object
/// that was read, or not at all. Fields that are gone are named as null, for a merge patch only adds.
///
/// # Errors
/// 409 when the object changed or is another one.
pub async fn replace_status<K, S>(api: &Api<K>, object: &K, before: Option<&S>, status: &S) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize,
{
    let before = serde_json::to_value(before).map_err(kube::Error::SerdeError)?;
    let after = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
    let mut patch = json!({
        "metadata": { "uid": object.meta().uid, "resourceVersion": object.meta().resource_version },
        "status": replaced(&before, after)
    });
    if seeded::is(Bug::StatusUnguarded) || (seeded::is(Bug::CommitUnguarded) && K::kind(&()) == "Ledger") {
        patch = json!({ "status": patch.get("status") });
    }
    let params = PatchParams::default();
    let answer = match api.patch_status(&object.name_any(), &params, &Patch::Merge(&patch)).await {
        Err(error) if seeded::is(Bug::ConflictOverwritten) && is_conflict(&error) => {
            let over = json!({ "status": patch.get("status") });
            api.patch_status(&object.name_any(), &params, &Patch::Merge(&over)).await
        }
        answer => answer,
    };
    answer.inspect(note)
}

/// Adds to `after` an explicit null for every field that only `before` has.
fn replaced(before: &serde_json::Value, after: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match (before, after) {
        (Value::Object(before), Value::Object(mut after)) => {
            for (key, old) in before {
                let new = match after.remove(key) {
                    Some(new) => replaced(old, new),
                    None => Value::Null,
                };
                after.insert(key.clone(), new);
            }
            Value::Object(after)
        }
        (_, after) => after,
    }
}

/// Puts a finalizer on, guarded by UID and resourceVersion.
///
/// # Errors
/// 409 when the object changed or is another one.
pub async fn add_finalizer<K>(api: &Api<K>, object: &K, finalizer: &str) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(finalizer.to_owned());
    set_finalizers(api, object, &finalizers).await
}

/// Takes a finalizer off, guarded by UID and resourceVersion.
///
/// # Errors
/// 409 when the object changed or is another one.
pub async fn remove_finalizer<K>(api: &Api<K>, object: &K, finalizer: &str) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let finalizers: Vec<String> = object.finalizers().iter().filter(|f| *f != finalizer).cloned().collect();
    set_finalizers(api, object, &finalizers).await
}

async fn set_finalizers<K>(api: &Api<K>, object: &K, finalizers: &[String]) -> kube::Result<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let patch = json!({ "metadata": {
        "uid": object.meta().uid, "resourceVersion": object.meta().resource_version, "finalizers": finalizers
    } });
    api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await.inspect(note)
}

/// Whether a finalizer is on.
pub fn has_finalizer<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.finalizers().iter().any(|f| f == finalizer)
}

/// Whether an answer says that the thing is not there.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether an answer says that the thing is there already, or changed.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::replaced;

    #[test]
    fn what_is_gone_is_named_null_at_every_depth() {
        let before = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "list": [1, 2] });
        let after = json!({ "b": { "d": 3 }, "list": [2] });
        assert_eq!(replaced(&before, after), json!({ "a": null, "b": { "c": null, "d": 3 }, "list": [2] }));
    }
}
