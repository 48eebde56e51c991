//! CloudNativePG `Cluster`s: status only, no server runs.

use anyhow::Result;
use kube::{
    Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{FAULT, NAME, SAID_BY, in_namespace, resource, unless_gone, wants_fault};

pub(super) fn kind() -> ApiResource {
    resource("postgresql.cnpg.io", "v1", "Cluster", "clusters")
}

/// Writes the status that CloudNativePG writes for a cluster whose instances all run.
pub(super) fn provision(site: &Client, seen: DynamicObject) -> impl Future<Output = Result<()>> + Send + 'static {
    let site = site.clone();
    async move {
        let api = in_namespace(&site, &seen, &kind())?;
        let name = seen.name_any();
        let Some(cluster) = api.get_opt(&name).await? else { return Ok(()) };
        if cluster.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let status = status(&cluster);
        if already(&cluster, &status) {
            return Ok(());
        }
        let patch = json!({ "metadata": { "uid": cluster.uid() }, "status": status });
        unless_gone(
            api.patch_status(
                &name,
                &PatchParams { field_manager: Some(NAME.to_owned()), ..Default::default() },
                &Patch::Merge(&patch),
            )
            .await,
        )?;
        Ok(())
    }
}

fn status(cluster: &DynamicObject) -> Value {
    let instances = cluster.data.pointer("/spec/instances").and_then(Value::as_u64).unwrap_or(1);
    let failed = wants_fault(cluster);
    let ready = if failed { 0 } else { instances };
    let (phase, phase_reason) =
        if failed { ("Simulated failure", FAULT) } else { ("Cluster in healthy state", SAID_BY) };
    let primary = format!("{}-1", cluster.name_any());
    json!({
        "phase": phase,
        "phaseReason": phase_reason,
        "instances": instances,
        "readyInstances": ready,
        "currentPrimary": primary,
        "targetPrimary": primary,
        "writeService": format!("{}-rw", cluster.name_any()),
        "readService": format!("{}-r", cluster.name_any()),
        "conditions": [{
            "type": "Ready",
            "status": if failed { "False" } else { "True" },
            "reason": if failed { "SimulatedFailure" } else { "ClusterIsReady" },
            "message": if failed { FAULT } else { "Cluster is Ready (simulated provisioner of the lab)" },
            "lastTransitionTime": super::now(),
        }],
    })
}

/// Whether the status says so already; times alone are no reason to write.
fn already(cluster: &DynamicObject, wanted: &Value) -> bool {
    ["/phase", "/instances", "/readyInstances"]
        .into_iter()
        .all(|field| cluster.data.pointer(&format!("/status{field}")) == wanted.pointer(field))
}
