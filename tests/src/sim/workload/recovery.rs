//! Disaster recovery: the ground of its workloads, with what they look at.

pub(super) mod backups;
pub(super) mod charges;
pub(super) mod drills;
pub(super) mod restores;

use anyhow::{Context as _, Result};
use kube::ResourceExt;
use serde_json::{Value, json};
use zhengyun_crds::{GrantPhase, ResourceGrant};

use super::super::stage::Stage;
use super::lives::{CLERK, HEAD, HOME, SYSTEM};
use super::order;

const SPACE: &str = "dept-finance";

const PLAN: &str = "invoices";

/// Stores, each in the bucket beside a site.
const NEAR: &str = "near";

const FAR: &str = "far";

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    let metadata = match kind {
        "BackupStore" | "Department" | "DepartmentQuota" | "Site" => json!({ "name": name }),
        _ => json!({ "name": name, "namespace": SPACE }),
    };
    json!({ "apiVersion": "zhengyun.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec })
}

/// A grant of the department at a site, delivered.
async fn space(stage: &Stage, name: &str, site: &str) -> Result<ResourceGrant> {
    let mut wanted = order(SYSTEM, "Test", "2");
    if let Some(fields) = wanted.as_object_mut() {
        fields.insert("site".to_owned(), json!(site));
    }
    stage.submit(CLERK, HOME, name, &wanted).await?;
    stage.decide(HEAD, HOME, name, "department", "Approve").await?;
    stage.granted(HOME, name, GrantPhase::InService).await
}

fn namespace(grant: &ResourceGrant) -> Result<String> {
    grant.status.as_ref().and_then(|s| s.namespace.clone()).context("a grant in service has a namespace")
}

fn map(namespace: &str, name: &str, content: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": namespace },
        "data": { "content": content }
    })
}

/// What the department keeps in its namespace.
async fn content(stage: &Stage, site: &str, namespace: &str) -> Result<()> {
    let client = stage.at(site)?;
    for (name, content) in [("invoice-1", "one"), ("invoice-2", "two"), ("invoice-3", "three")] {
        let object = serde_json::from_value(map(namespace, name, content))?;
        crate::world::apply(&client, &[object]).await?;
    }
    Ok(())
}

/// Stores in both buckets, registered by the cloud administrator.
async fn stores(stage: &Stage) -> Result<()> {
    for (name, site) in [(NEAR, "hohhot"), (FAR, "ulanqab")] {
        let spec = json!({
            "displayNames": { "zh-CN": { "full": "模拟备份库" }, "en": { "full": name } }, "site": site,
            "backend": { "s3": {
                "endpoint": "https://s3.simulated.invalid", "bucket": format!("bucket-{site}"), "secretName": "buckets"
            } }
        });
        stage.apply(vec![object("BackupStore", name, &spec)]).await?;
    }
    Ok(())
}

/// A plan over a grant; `more` replaces what it names.
async fn plan(stage: &Stage, name: &str, grant: &ResourceGrant, more: &Value) -> Result<()> {
    let mut spec = json!({
        "system": SYSTEM, "level": 1, "ceiling": "10Gi",
        "sources": [{ "name": "space", "origin": { "namespace": { "grant": grant.name_any() } } }],
        "schedule": { "cron": "0 0 1 1 *" }, "retention": { "last": 7 }, "copies": [{ "store": NEAR }],
        "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key-finance" }
    });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    write(stage, "RecoveryPlan", name, &spec).await
}

/// A clerk writes an object of the department.
async fn write(stage: &Stage, kind: &str, name: &str, spec: &Value) -> Result<()> {
    let object = serde_json::from_value(object(kind, name, spec))?;
    crate::world::apply(&stage.world.client_of(CLERK)?, &[object]).await
}

async fn change_plan(stage: &Stage, spec: &Value) -> Result<()> {
    let client = stage.world.client_of(CLERK)?;
    stage.merge(&client, object("RecoveryPlan", PLAN, &json!({})), &json!({ "spec": spec })).await
}

fn read(stage: &Stage, plural: &str, name: &str) -> Option<Value> {
    let space = if plural == "backupstores" { "" } else { SPACE };
    stage.world.hub.object("zhengyun.io", plural, space, name).map(|found| found.as_ref().clone())
}

fn said(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Waits until an object of the department is as wanted.
async fn when(stage: &Stage, plural: &str, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    stage
        .until(&format!("{plural} {name} {what}"), || match read(stage, plural, name) {
            Some(found) if wanted(&found) => Ok(found),
            Some(other) => Err(other.pointer("/status").cloned().unwrap_or_default().to_string()),
            None => Err("it is not there".to_owned()),
        })
        .await
}

async fn in_phase(stage: &Stage, plural: &str, name: &str, phase: &str) -> Result<Value> {
    when(stage, plural, name, phase, |found| said(found, "/status/phase") == phase).await
}

/// A clerk asks for a backup.
async fn ask(stage: &Stage, name: &str) -> Result<()> {
    ask_of(stage, PLAN, name).await
}

/// The same, of some plan.
async fn ask_of(stage: &Stage, plan: &str, name: &str) -> Result<()> {
    let found = read(stage, "recoveryplans", plan).context("the plan")?;
    let spec = json!({
        "plan": plan, "planUID": said(&found, "/metadata/uid"), "trigger": "Manual", "requestedBy": CLERK
    });
    write(stage, "SystemBackup", name, &spec).await
}

/// A grant with content at the first site, stores, and a plan over it.
async fn ground(stage: &Stage, more: &Value) -> Result<ResourceGrant> {
    let grant = space(stage, "space", "hohhot").await?;
    content(stage, "hohhot", &namespace(&grant)?).await?;
    stores(stage).await?;
    plan(stage, PLAN, &grant, more).await?;
    Ok(grant)
}

/// Backups of the department.
fn backups(stage: &Stage) -> Vec<Value> {
    let all = stage.world.hub.objects().into_iter().filter(|(key, _)| key.plural == "systembackups");
    all.map(|(_, object)| object.as_ref().clone()).collect()
}

fn states(backup: &Value) -> Vec<String> {
    let copies = backup.pointer("/status/copies").and_then(Value::as_array).into_iter().flatten();
    copies.map(|copy| said(copy, "/state")).collect()
}

/// For messages.
fn told(backups: &[Value]) -> String {
    let one = |backup: &Value| {
        let (name, phase) = (said(backup, "/metadata/name"), said(backup, "/status/phase"));
        let failure = said(backup, "/status/failure/message");
        let conditions = backup.pointer("/status/conditions").cloned().unwrap_or_default();
        format!("{name} {phase} {:?} {failure} {conditions}", states(backup))
    };
    backups.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Names and contents in a namespace of the department.
fn held(stage: &Stage, site: &str, namespace: &str) -> Result<Vec<(String, String)>> {
    let maps = stage.standing(site, "configmaps", namespace)?;
    let own = maps.iter().map(|map| (said(map, "/metadata/name"), said(map, "/data/content")));
    Ok(own.filter(|(_, content)| !content.is_empty()).collect())
}

fn phase(object: &Value) -> String {
    said(object, "/status/phase")
}

/// A bucket cannot be reached, or can again.
fn lost(stage: &Stage, bucket: &str, cut: bool) -> Result<()> {
    let found = stage.world.buckets.get(bucket).with_context(|| format!("there is no {bucket}"))?;
    found.cut.store(cut, std::sync::atomic::Ordering::Release);
    Ok(())
}
