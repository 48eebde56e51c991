//! Sites: cut off, flapping, with somebody else's things, or another cluster altogether.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt;
use serde_json::{Value, json};
use zhengyun_crds::{GrantPhase, ResourceGrant};
use zhengyun_domain::naming;

use super::super::people;
use super::super::stage::Stage;
use super::lives::{CLERK, HEAD, HOME, SYSTEM, ended, lines, served};
use super::{order, revocation};
use crate::lab::provisioner::STORAGE_CLASS_RETAIN;

const SITE: &str = "hohhot";

fn namespace_of(grant: &ResourceGrant) -> Result<String> {
    grant.status.clone().and_then(|s| s.namespace).context("a grant in delivery has a namespace")
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

pub(super) async fn two_sites(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, "one", &order(SYSTEM, "Temporary", "2")).await?;
    let mut there = order("flood-watch", "Temporary", "2");
    if let Some(fields) = there.as_object_mut() {
        fields.insert("site".to_owned(), json!("ulanqab"));
    }
    stage.submit("clerk-ulanqab-emergency", "ulanqab-emergency", "two", &there).await?;
    stage.granted(HOME, "one", GrantPhase::InService).await?;
    stage.granted("ulanqab-emergency", "two", GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn cut_deliver(stage: &Stage) -> Result<()> {
    stage.cut(SITE, true)?;
    stage.submit(CLERK, HOME, "space", &order(SYSTEM, "Test", "2")).await?;
    stage.decide(HEAD, HOME, "space", "department", "Approve").await?;
    stage.granted(HOME, "space", GrantPhase::Provisioning).await?;
    tokio::time::sleep(Duration::from_secs(180)).await;
    stage.granted(HOME, "space", GrantPhase::Provisioning).await?;
    stage.cut(SITE, false)?;
    stage.granted(HOME, "space", GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn flapping(stage: &Stage) -> Result<()> {
    stage.submit(CLERK, HOME, "space", &order(SYSTEM, "Test", "2")).await?;
    stage.decide(HEAD, HOME, "space", "department", "Approve").await?;
    for pause in [3, 11, 7, 40, 2, 5, 1, 23] {
        stage.cut(SITE, true)?;
        tokio::time::sleep(Duration::from_millis(pause * 130)).await;
        stage.cut(SITE, false)?;
        tokio::time::sleep(Duration::from_millis(pause * 17)).await;
    }
    let grant = stage.granted(HOME, "space", GrantPhase::InService).await?.name_any();
    stage.submit(CLERK, HOME, "the-end", &revocation(&grant)).await?;
    stage.decide(HEAD, HOME, "the-end", "department", "Approve").await?;
    for pause in [1, 4, 60, 9, 2, 30] {
        tokio::time::sleep(Duration::from_millis(pause * 17)).await;
        stage.cut(SITE, true)?;
        tokio::time::sleep(Duration::from_millis(pause * 130)).await;
        stage.cut(SITE, false)?;
    }
    stage.granted(HOME, "space", GrantPhase::Revoked).await?;
    Ok(())
}

/// A grant whose namespace at the site is somebody else's, and the name of both.
async fn squatting(stage: &Stage) -> Result<(String, String)> {
    // The name follows from the grant's UID, so the site is away until somebody has taken it.
    stage.cut(SITE, true)?;
    stage.submit(CLERK, HOME, "space", &order(SYSTEM, "Test", "2")).await?;
    stage.decide(HEAD, HOME, "space", "department", "Approve").await?;
    let grant = stage.granted(HOME, "space", GrantPhase::Provisioning).await?;
    let hub = stage.world.hub.object("", "namespaces", "", "kube-system").context("the hub's kube-system")?;
    let hub = hub.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
    let name = naming::site_namespace(HOME, &grant.name_any(), hub, &grant.uid().unwrap_or_default());
    crate::world::apply(&stage.at(SITE)?, &[serde_json::from_value(namespace(&name))?]).await?;
    stage.cut(SITE, false)?;
    stage
        .until("the grant says that the namespace is not ours", || {
            let grant = stage.grant(HOME, "space").ok_or("no grant")?;
            let conditions = grant.status.unwrap_or_default().conditions;
            let said = conditions.iter().any(|c| c.message.contains(&name));
            if said { Ok(()) } else { Err(format!("{conditions:?}")) }
        })
        .await?;
    Ok((grant.name_any(), name))
}

pub(super) async fn squatted(stage: &Stage) -> Result<()> {
    let (_, name) = squatting(stage).await?;
    stage.remove(&stage.at(SITE)?, namespace(&name)).await?;
    stage.granted(HOME, "space", GrantPhase::InService).await?;
    Ok(())
}

pub(super) async fn squatted_end(stage: &Stage) -> Result<()> {
    let (grant, name) = squatting(stage).await?;
    ended(stage, "space", &grant).await?;
    let left = stage.standing(SITE, "namespaces", "")?;
    let stands = left.iter().any(|o| o.pointer("/metadata/name").and_then(Value::as_str) == Some(&name));
    ensure!(stands, "what is somebody else's stays");
    Ok(())
}

pub(super) async fn drift(stage: &Stage) -> Result<()> {
    served(stage, "space").await?;
    let grant = stage.granted(HOME, "space", GrantPhase::InService).await?;
    let space = namespace_of(&grant)?;
    let site = stage.at(SITE)?;
    let first = |plural: &str| -> Result<(String, String)> {
        let all = stage.standing(SITE, plural, &space)?;
        let of =
            |pointer: &str| all.first().and_then(|o| o.pointer(pointer)).and_then(Value::as_str).map(str::to_owned);
        of("/metadata/name").zip(of("/metadata/uid")).with_context(|| format!("{plural} of the grant"))
    };
    let (quota, _) = first("resourcequotas")?;
    let named = |api: &str, kind: &str, name: &str| json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name, "namespace": space } });
    stage
        .merge(&site, named("v1", "ResourceQuota", &quota), &json!({ "spec": { "hard": { "requests.cpu": "200" } } }))
        .await?;
    stage
        .until("the quota as granted", || {
            let all = stage.standing(SITE, "resourcequotas", &space).map_err(|e| e.to_string())?;
            let cpu = all.first().and_then(|q| q.pointer("/spec/hard/requests.cpu")).cloned();
            if cpu == Some(json!("2")) { Ok(()) } else { Err(format!("{cpu:?}")) }
        })
        .await?;
    let (policy, uid) = first("networkpolicies")?;
    stage.remove(&site, named("networking.k8s.io/v1", "NetworkPolicy", &policy)).await?;
    stage
        .until("the network policy back", || {
            let all = stage.standing(SITE, "networkpolicies", &space).map_err(|e| e.to_string())?;
            let of = |o: &Value, field: &str| o.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            let back = all.iter().any(|o| of(o, "/metadata/name") == policy && of(o, "/metadata/uid") != uid);
            if back { Ok(()) } else { Err("missing".to_owned()) }
        })
        .await
}

pub(super) async fn replaced(stage: &Stage) -> Result<()> {
    served(stage, "space").await?;
    let grant = stage.granted(HOME, "space", GrantPhase::InService).await?;
    let space = namespace_of(&grant)?;
    let site = stage.at(SITE)?;
    let policy = |spec: Value| json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "zhengyun-default-deny", "namespace": space }, "spec": spec });
    // Open to everybody, and done before anyone can look.
    let open = policy(json!({ "podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"] }));
    stage.cut(SITE, true)?;
    stage.remove(&site, policy(json!({}))).await?;
    crate::world::apply(&site, &[serde_json::from_value(open)?]).await?;
    stage.cut(SITE, false)?;
    stage
        .until("the grant says that the policy is not ours", || {
            let conditions = stage.grant(HOME, "space").and_then(|g| g.status).unwrap_or_default().conditions;
            let said = conditions.iter().any(|c| c.reason == "ForeignObject");
            if said { Ok(()) } else { Err(format!("{conditions:?}")) }
        })
        .await?;
    stage.remove(&site, policy(json!({}))).await?;
    stage
        .until("the delivered policy back", || {
            let all = stage.standing(SITE, "networkpolicies", &space).map_err(|e| e.to_string())?;
            let ours = |o: &Value| o.pointer("/metadata/labels/zhengyun.io~1grant-uid").is_some();
            let named = |o: &Value| o.pointer("/metadata/name") == Some(&json!("zhengyun-default-deny"));
            if all.iter().any(|o| named(o) && ours(o)) { Ok(()) } else { Err(format!("{} others", all.len())) }
        })
        .await
}

pub(super) async fn retained(stage: &Stage) -> Result<()> {
    let wanted = lines(&json!([
        { "item": "block-volume", "name": "disk", "parameters": { "size": "1Gi", "storageClass": STORAGE_CLASS_RETAIN } }
    ]));
    stage.submit(CLERK, HOME, "disk", &wanted).await?;
    stage.decide(HEAD, HOME, "disk", "department", "Approve").await?;
    let grant = stage.granted(HOME, "disk", GrantPhase::InService).await?.name_any();
    stage.submit(CLERK, HOME, "the-end", &revocation(&grant)).await?;
    stage.decide(HEAD, HOME, "the-end", "department", "Approve").await?;
    stage.says("resourcegrants", "dept-finance", &grant, "RetainedStorage").await?;
    let site = stage.at(SITE)?;
    for volume in stage.standing(SITE, "persistentvolumes", "")? {
        let name = volume.pointer("/metadata/name").cloned();
        stage
            .remove(&site, json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": name } }))
            .await?;
    }
    stage.granted(HOME, "disk", GrantPhase::Revoked).await?;
    Ok(())
}

/// The hub's Secret of a site, and what it holds.
fn secret(stage: &Stage, site: &str) -> Result<(Value, Value)> {
    let name = format!("site-{site}");
    let found = stage.world.hub.object("", "secrets", "zhengyun-system", &name).context("the site's Secret")?;
    let named =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "zhengyun-system" } });
    Ok((named, json!({ "data": found.get("data") })))
}

/// The Secret is read when the site is looked at; writing on the site object makes the operator look.
async fn nudge(stage: &Stage, site: &str, why: &str) -> Result<()> {
    let named = json!({ "apiVersion": "zhengyun.io/v1alpha1", "kind": "Site", "metadata": { "name": site } });
    let note = json!({ "metadata": { "annotations": { "test.example/note": why } } });
    stage.merge(&stage.world.client_of("cloud-admin")?, named, &note).await
}

pub(super) async fn lost_key(stage: &Stage) -> Result<()> {
    let grant = served(stage, "space").await?;
    let (named, good) = secret(stage, SITE)?;
    let admin = stage.world.admin();
    // A token stands in what cannot be read.
    let spoilt = data_encoding::BASE64.encode(format!("users: [{{ user: {{ token: {}", people::token(SITE)).as_bytes());
    stage.merge(&admin, named.clone(), &json!({ "data": { "kubeconfig": spoilt } })).await?;
    nudge(stage, SITE, "spoilt").await?;
    stage.says("sites", "", SITE, "KubeconfigRefused").await?;
    stage.submit(CLERK, HOME, "the-end", &revocation(&grant)).await?;
    stage.decide(HEAD, HOME, "the-end", "department", "Approve").await?;
    stage.granted(HOME, "space", GrantPhase::Revoking).await?;
    tokio::time::sleep(Duration::from_secs(90)).await;
    stage.granted(HOME, "space", GrantPhase::Revoking).await?;
    stage.merge(&admin, named, &good).await?;
    nudge(stage, SITE, "mended").await?;
    stage.granted(HOME, "space", GrantPhase::Revoked).await?;
    Ok(())
}

pub(super) async fn other_cluster(stage: &Stage) -> Result<()> {
    let (named, own) = secret(stage, "ulanqab")?;
    let (_, other) = secret(stage, SITE)?;
    let admin = stage.world.admin();
    let before = stage.standing(SITE, "configmaps", "zhengyun-system")?.len();
    stage.merge(&admin, named.clone(), &other).await?;
    nudge(stage, "ulanqab", "wrong cluster").await?;
    stage.says("sites", "", "ulanqab", "DuplicateSite").await?;
    let mut there = order("flood-watch", "Temporary", "2");
    if let Some(fields) = there.as_object_mut() {
        fields.insert("site".to_owned(), json!("ulanqab"));
    }
    stage.submit("clerk-ulanqab-emergency", "ulanqab-emergency", "two", &there).await?;
    tokio::time::sleep(Duration::from_secs(90)).await;
    ensure!(
        stage.standing(SITE, "configmaps", "zhengyun-system")?.len() == before,
        "nothing is written where the site is not"
    );
    stage.merge(&admin, named, &own).await?;
    nudge(stage, "ulanqab", "right again").await?;
    stage.granted("ulanqab-emergency", "two", GrantPhase::InService).await?;
    let grant = served(stage, "space").await?;
    ended(stage, "space", &grant).await
}
