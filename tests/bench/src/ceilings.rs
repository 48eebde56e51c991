//! What the machine's API server does without the product: the upper bound of every design on it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use crate::probe;

/// Requests under way at a time.
pub const IN_FLIGHT: usize = 64;
/// The rate is that of the fastest part of this length: a hiccup of the machine is no ceiling.
const PARTS: usize = 4;

/// Rates of bare requests.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ceilings {
    /// Where and on what.
    pub what: String,
    /// Creates a second.
    pub creates: Option<f64>,
    /// Merge patches of a status a second, guarded by UID and resourceVersion.
    pub status_patches: Option<f64>,
    /// Server-side applies of new objects a second.
    pub applies: Option<f64>,
}

impl Ceilings {
    /// Items a second when each costs one create and one status patch, and nothing else.
    pub fn create_and_patch(&self) -> Option<f64> {
        let (creates, patches) = (self.creates?, self.status_patches?);
        Some(1.0 / (1.0 / creates + 1.0 / patches))
    }

    /// The mean of two measurements, before and after.
    #[must_use]
    pub fn mean(&self, other: &Self, what: impl Into<String>) -> Self {
        let mean = |a: Option<f64>, b: Option<f64>| Some(a?.midpoint(b?));
        Self {
            what: what.into(),
            creates: mean(self.creates, other.creates),
            status_patches: mean(self.status_patches, other.status_patches),
            applies: mean(self.applies, other.applies),
        }
    }
}

/// Measures creates, status patches and server-side applies of `many` objects of the size of a request, and removes them.
///
/// `run` tells measurements of one run apart.
///
/// # Errors
/// When the API server refuses any of it.
pub async fn measure(client: &Client, run: &str, many: usize, what: impl Into<String>) -> Result<Ceilings> {
    probe::install(client).await?;
    let probes = probe::api(client);
    let names: Vec<String> = (0..many).map(|number| format!("{run}-{number:05}")).collect();
    let bodies = names.iter().map(|name| probe::object(name, &a_spec())).collect::<Result<Vec<_>>>()?;
    let mut created = Vec::new();
    let creates = rate(&bodies, &mut created, |body| {
        let probes = probes.clone();
        async move { Ok(probes.create(&PostParams::default(), &body).await?) }
    })
    .await
    .context("bare creates")?;
    let status_patches = rate(&created, &mut Vec::new(), |object| {
        let probes = probes.clone();
        async move { patch_status(&probes, &object).await }
    })
    .await
    .context("bare status patches")?;
    let applied =
        (0..many).map(|n| probe::object(&format!("{run}-ssa-{n:05}"), &a_spec())).collect::<Result<Vec<_>>>()?;
    let params = PatchParams::apply("zhengyun-bench").force();
    let applies = rate(&applied, &mut Vec::new(), |body| {
        let (probes, params) = (probes.clone(), params.clone());
        async move { Ok(probes.patch(&body.name_any(), &params, &Patch::Apply(&body)).await?) }
    })
    .await
    .context("bare server-side applies")?;
    probes.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    Ok(Ceilings {
        what: what.into(),
        creates: Some(creates),
        status_patches: Some(status_patches),
        applies: Some(applies),
    })
}

async fn patch_status(probes: &Api<DynamicObject>, object: &DynamicObject) -> Result<DynamicObject> {
    let patch = json!({
        "metadata": { "uid": object.metadata.uid, "resourceVersion": object.metadata.resource_version },
        "status": a_status()
    });
    Ok(probes.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?)
}

/// Sends one request per body, [`IN_FLIGHT`] at a time; requests a second, of the best part.
pub async fn rate<B, T, F, Fut>(bodies: &[B], answers: &mut Vec<T>, send: F) -> Result<f64>
where
    B: Clone,
    F: Fn(B) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let mut best = Duration::MAX;
    for part in bodies.chunks(bodies.len().div_ceil(PARTS).max(1)) {
        let begun = Instant::now();
        let got: Vec<T> = stream::iter(part.to_vec()).map(&send).buffer_unordered(IN_FLIGHT).try_collect().await?;
        let each = begun.elapsed().div_f64(part.len() as f64);
        best = best.min(each);
        answers.extend(got);
    }
    Ok(1.0 / best.as_secs_f64())
}

/// As large as the spec of a request for one item.
fn a_spec() -> Value {
    json!({
        "order": {
            "action": "Create", "system": "bench", "site": "bench", "class": "Test", "justification": "a bare object of this size",
            "items": [{ "item": "unit", "name": "unit", "count": 1, "parameters": {} }]
        },
        "submission": 1, "requestedBy": "bench-clerk", "editedBy": "bench-clerk"
    })
}

/// About as large as the status of a request that was carried out.
fn a_status() -> Value {
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": "AsIntended", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "message": "the grant was charged and its delivery to the site goes on by itself; nothing is left to do"
        })
    };
    let digest = format!("sha256:{}", "0".repeat(64));
    json!({
        "observedGeneration": 1, "phase": "Applied", "submission": 1, "editors": ["bench-clerk"], "grant": "bench-0000-abcdef",
        "review": {
            "orderDigest": digest, "round": 1, "charge": { "cpu": "1" }, "holdSeconds": 0, "correctionDays": 10,
            "items": [{ "item": "unit", "generation": 1, "digest": digest }],
            "policy": { "name": "bench", "uid": "00000000-0000-0000-0000-000000000000", "generation": 1 },
            "bundle": { "objects": [], "kinds": [], "ceilings": {}, "network": [], "readiness": [], "residue": [] }
        },
        "charge": { "site": "bench", "sequence": 1, "reserved": {}, "granted": {} },
        "conditions": [condition("Ready"), condition("Reserved"), condition("Approved")]
    })
}

#[cfg(test)]
mod tests {
    use super::Ceilings;

    #[test]
    fn two_requests_take_the_sum_of_their_times() {
        let ceilings = Ceilings { creates: Some(600.0), status_patches: Some(300.0), ..Ceilings::default() };
        assert!((ceilings.create_and_patch().unwrap() - 200.0).abs() < 1e-9);
        assert_eq!(Ceilings::default().create_and_patch(), None);
    }
}
