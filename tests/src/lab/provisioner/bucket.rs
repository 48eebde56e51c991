//! COSI `BucketClaim`s and the `Bucket`s behind them.

use anyhow::{Context as _, Result};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{BUCKET_CLASS, DRIVER, NAME, in_namespace, resource, unless_gone, wants_fault};

/// What the real COSI controller keeps on a claim until its bucket is gone.
const FINALIZER: &str = "cosi.objectstorage.k8s.io/bucketclaim-protection";

pub(super) fn kind() -> ApiResource {
    resource("objectstorage.k8s.io", "v1alpha1", "BucketClaim", "bucketclaims")
}

fn bucket_kind() -> ApiResource {
    resource("objectstorage.k8s.io", "v1alpha1", "Bucket", "buckets")
}

/// Makes a bucket for a claim, and removes it with the claim unless its class says `Retain`.
pub(super) fn provision(site: &Client, seen: DynamicObject) -> impl Future<Output = Result<()>> + Send + 'static {
    let site = site.clone();
    async move {
        let claims = in_namespace(&site, &seen, &kind())?;
        let Some(claim) = claims.get_opt(&seen.name_any()).await? else { return Ok(()) };
        let bucket_name = format!("simulated-{}", claim.uid().context("a claim without a UID")?);
        if claim.metadata.deletion_timestamp.is_some() {
            return remove(&site, &claims, &claim, &bucket_name).await;
        }
        let failed = wants_fault(&claim);
        if ready(&claim) == Some(!failed) {
            return Ok(());
        }
        if failed {
            return set_status(&claims, &claim, &json!({ "bucketReady": false })).await;
        }
        set_finalizers(&claims, &claim, true).await?;
        make_bucket(&site, &claim, &bucket_name).await?;
        set_status(&claims, &claim, &json!({ "bucketReady": true, "bucketName": bucket_name })).await
    }
}

fn ready(claim: &DynamicObject) -> Option<bool> {
    claim.data.pointer("/status/bucketReady").and_then(Value::as_bool)
}

async fn make_bucket(site: &Client, claim: &DynamicObject, name: &str) -> Result<()> {
    let class = claim.data.pointer("/spec/bucketClassName").and_then(Value::as_str).unwrap_or(BUCKET_CLASS);
    let classes = resource("objectstorage.k8s.io", "v1alpha1", "BucketClass", "bucketclasses");
    let class_object =
        super::dynamic(site, &classes).get(class).await.with_context(|| format!("BucketClass {class}"))?;
    let policy = class_object.data.pointer("/deletionPolicy").and_then(Value::as_str).unwrap_or("Retain");
    let bucket = json!({
        "apiVersion": "objectstorage.k8s.io/v1alpha1", "kind": "Bucket",
        "metadata": { "name": name },
        "spec": {
            "driverName": DRIVER, "bucketClassName": class, "deletionPolicy": policy,
            "protocols": claim.data.pointer("/spec/protocols"),
            "bucketClaim": {
                "apiVersion": "objectstorage.k8s.io/v1alpha1", "kind": "BucketClaim",
                "name": claim.name_any(), "namespace": claim.namespace(), "uid": claim.uid(),
            },
        },
    });
    let buckets: Api<DynamicObject> = super::dynamic(site, &bucket_kind());
    buckets.patch(name, &PatchParams::apply(NAME).force(), &Patch::Apply(&bucket)).await?;
    let status = json!({ "status": { "bucketReady": true, "bucketID": name } });
    buckets.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

async fn remove(site: &Client, claims: &Api<DynamicObject>, claim: &DynamicObject, bucket_name: &str) -> Result<()> {
    let buckets = super::dynamic(site, &bucket_kind());
    if let Some(bucket) = buckets.get_opt(bucket_name).await? {
        let policy = bucket.data.pointer("/spec/deletionPolicy").and_then(Value::as_str).unwrap_or_default();
        if policy.eq_ignore_ascii_case("delete") {
            unless_gone(buckets.delete(bucket_name, &DeleteParams::default()).await)?;
        }
    }
    set_finalizers(claims, claim, false).await
}

/// Adds or takes away our finalizer, leaving everybody else's alone.
async fn set_finalizers(claims: &Api<DynamicObject>, claim: &DynamicObject, ours: bool) -> Result<()> {
    let before = claim.finalizers();
    let mut after: Vec<&str> = before.iter().map(String::as_str).filter(|name| *name != FINALIZER).collect();
    if ours {
        after.push(FINALIZER);
    }
    if after.iter().eq(before.iter()) {
        return Ok(());
    }
    // The resource version guards against a finalizer that somebody else adds at this moment.
    let patch = json!({ "metadata": { "finalizers": after, "resourceVersion": claim.resource_version() } });
    unless_gone(claims.patch(&claim.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await)?;
    Ok(())
}

async fn set_status(claims: &Api<DynamicObject>, claim: &DynamicObject, status: &Value) -> Result<()> {
    let patch = json!({ "metadata": { "uid": claim.uid() }, "status": status });
    unless_gone(claims.patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await)?;
    Ok(())
}
