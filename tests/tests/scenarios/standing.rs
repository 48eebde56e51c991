//! What stands at a site: brought back when somebody changes it, and what is somebody else's left alone.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use zhengyun_crds::{GrantPhase, RequestPhase, ResourceGrant};
use zhengyun_domain::naming;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town, phase_of};

use super::world::{contains, order, revoke, serve, space};

pub(crate) async fn what_was_delivered_is_kept_as_granted(town: &Arc<Town>) -> Result<()> {
    let grant = serve(town, "kept", &space("2")).await?;
    let namespace = town.grant("finance", &grant).await?.status.and_then(|s| s.namespace).context("a namespace")?;
    let site = town.site_admin("hohhot")?;
    let quotas: Api<ResourceQuota> = Api::namespaced(site.clone(), &namespace);
    let name =
        quotas.list(&ListParams::default()).await?.items.first().map(ResourceExt::name_any).context("a quota")?;
    let wider = json!({ "spec": { "hard": { "requests.cpu": "200" } } });
    quotas.patch(&name, &PatchParams::default(), &Patch::Merge(&wider)).await?;
    settled("the widened ResourceQuota is what was granted again", SOON, || async {
        let hard = quotas.get(&name).await?.spec.and_then(|s| s.hard).unwrap_or_default();
        let cpu = hard.get("requests.cpu").map(|q| q.0.clone());
        Ok(if cpu.as_deref() == Some("2") { Ok(()) } else { Err(format!("requests.cpu={cpu:?}")) })
    })
    .await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(site, &namespace);
    let all = policies.list(&ListParams::default()).await?.items;
    let victim = all.first().context("a network policy")?;
    policies.delete(&victim.name_any(), &DeleteParams::default()).await?;
    settled("the deleted NetworkPolicy is back", SOON, || async {
        let there = policies.get_opt(&victim.name_any()).await?;
        Ok(there.filter(|p| p.uid() != victim.uid()).map(|_| ()).ok_or_else(|| "missing".to_owned()))
    })
    .await?;
    revoke(town, &grant).await
}

/// Somebody made a namespace of exactly the name that a grant would get: reported, never adopted, never touched.
pub(crate) async fn what_is_not_ours_is_left_alone(town: &Arc<Town>) -> Result<()> {
    let name = "squatted";
    let site = town.lab().site("hohhot")?;
    let hub_uid = Api::<Namespace>::all(town.admin()?).get("kube-system").await?.uid().unwrap_or_default();
    // The name follows from the grant's UID, so the site is away until somebody has taken it.
    site.stop().await?;
    let begun = granted(town, name).await;
    town.operator().pause()?;
    let back = site.start_again().await;
    let squatted = match &begun {
        Ok(grant) => squat(town, grant, &hub_uid).await,
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    // Whatever came of it, the operator goes on.
    town.operator().resume()?;
    back?;
    let (grant, body) = (begun?.name_any(), squatted?);
    let api: Api<Namespace> = Api::all(town.site_admin("hohhot")?);
    let held = api.get(&body.name_any()).await?;
    let seen = town
        .grant_when("finance", &grant, "saying that the namespace is not ours", |g| {
            let status = g.status.clone().unwrap_or_default();
            status.conditions.iter().any(|c| c.message.contains(&body.name_any()) && c.message.contains("not"))
        })
        .await?;
    ensure!(phase_of(&seen) == GrantPhase::Provisioning, "{:?}", phase_of(&seen));
    let now = api.get(&body.name_any()).await?;
    ensure!(now.metadata.resource_version == held.metadata.resource_version, "the foreign namespace was touched");
    api.delete(&body.name_any(), &DeleteParams::default()).await?;
    // Revoked or delivered: once the squatter is gone, it goes on by itself.
    town.grant_when("finance", &grant, "in service", |g| phase_of(g) == GrantPhase::InService).await?;
    revoke(town, &grant).await?;
    a_foreign_object_inside(town).await
}

async fn granted(town: &Town, name: &str) -> Result<ResourceGrant> {
    town.submit("clerk-finance", "finance", name, &space("1")).await?;
    let request = town.in_phase("finance", name, RequestPhase::Applied).await?;
    let grant = request.status.and_then(|s| s.grant).context("an applied request names its grant")?;
    town.grant_when("finance", &grant, "charged", |g| phase_of(g) == GrantPhase::Provisioning).await
}

/// Takes the namespace's name at the site before the operator can.
async fn squat(town: &Town, grant: &ResourceGrant, hub_uid: &str) -> Result<Namespace> {
    let namespace = naming::site_namespace("finance", &grant.name_any(), hub_uid, &grant.uid().unwrap_or_default());
    let body =
        serde_json::from_value(json!({ "metadata": { "name": namespace, "labels": { "owner": "somebody-else" } } }))?;
    let api: Api<Namespace> = Api::all(town.site_admin("hohhot")?);
    Ok(api.create(&PostParams::default(), &body).await?)
}

/// A tenant or a site administrator already uses the name of an object that a later delivery repairs.
async fn a_foreign_object_inside(town: &Town) -> Result<()> {
    let grant = serve(town, "replaced", &order("block-volume", "disk", &json!({ "size": "1Gi" }))).await?;
    let namespace = town.grant("finance", &grant).await?.status.and_then(|s| s.namespace).context("a namespace")?;
    let claims: Api<k8s_openapi::api::core::v1::PersistentVolumeClaim> =
        Api::namespaced(town.site_admin("hohhot")?, &namespace);
    let ours =
        claims.list(&ListParams::default()).await?.items.first().map(ResourceExt::name_any).context("a claim")?;
    // Deleted and made again by somebody else, while the operator could not look.
    town.operator().pause()?;
    let swapped = swap(&claims, &ours).await;
    town.operator().resume()?;
    let foreign = swapped?;
    let seen = town
        .grant_when("finance", &grant, "reporting the foreign object", |g| {
            let status = g.status.clone().unwrap_or_default();
            status.inventory.iter().any(|e| e.name == ours && e.state != "Ready")
        })
        .await?;
    let conditions = seen.status.unwrap_or_default().conditions;
    contains(
        "foreign object",
        &conditions.iter().map(|c| c.message.as_str()).collect::<Vec<_>>().join("; "),
        &[&ours],
    )?;
    let now = claims.get(&ours).await?;
    ensure!(now.uid() == foreign.uid() && now.labels().get("owner").is_some(), "the foreign object was touched");
    claims.delete(&ours, &DeleteParams::default()).await?;
    settled("ours is back", SOON, || async {
        let there = claims.get_opt(&ours).await?;
        Ok(there
            .filter(|c| c.labels().contains_key("zhengyun.io/grant"))
            .map(|_| ())
            .ok_or_else(|| "missing".to_owned()))
    })
    .await?;
    revoke(town, &grant).await
}

async fn swap(
    claims: &Api<k8s_openapi::api::core::v1::PersistentVolumeClaim>,
    name: &str,
) -> Result<k8s_openapi::api::core::v1::PersistentVolumeClaim> {
    claims.delete(name, &DeleteParams::default()).await?;
    let body = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "owner": "somebody-else" } },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } }
    }))?;
    settled("the claim replaced by somebody else's", SOON, || async {
        match claims.create(&PostParams::default(), &body).await {
            Ok(created) => Ok(Ok(created)),
            // The old one is on its way out.
            Err(error) => Ok(Err::<_, String>(error.to_string())),
        }
    })
    .await
}
