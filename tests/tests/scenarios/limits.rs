//! Limits that are cut below use, and charges whose object vanishes.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use zhengyun_crds::{ConditionType, DepartmentQuota, GrantPhase, Ledger, condition};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town, phase_of, said};

use super::world::{contains, forget, revoke, serve, space};

async fn set(town: &Town, cores: &str) -> Result<()> {
    let quotas: Api<DepartmentQuota> = Api::all(town.client_of("cloud-admin")?);
    let mut quota = quotas.get("finance").await?;
    for line in quota.spec.limits.iter_mut().filter(|l| l.site == "hohhot") {
        line.hard.insert("cpu".to_owned(), zhengyun_crds::amounts::LimitText(cores.to_owned()));
    }
    let patch = json!({ "spec": { "limits": quota.spec.limits } });
    let written = quotas.patch("finance", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    settled(&format!("a limit of {cores} in force"), SOON, || async {
        let status = quotas.get("finance").await?.status.unwrap_or_default();
        let adopted =
            status.adopted.iter().find(|a| a.site == "hohhot").and_then(|a| a.hard.get("cpu").map(|l| l.0.clone()));
        let done = adopted.as_deref() == Some(cores) && Some(status.observed_generation) == written.metadata.generation;
        Ok(if done { Ok(()) } else { Err(said(&status.conditions)) })
    })
    .await
}

pub(crate) async fn a_cut_takes_nothing_away(town: &Arc<Town>) -> Result<()> {
    let grant = serve(town, "before-the-cut", &space("8")).await?;
    set(town, "4").await?;
    let quotas: Api<DepartmentQuota> = Api::all(town.admin()?);
    let message = settled("the quota says that use is above it", SOON, || async {
        let status = quotas.get("finance").await?.status.unwrap_or_default();
        let over =
            condition::find(&status.conditions, ConditionType::OverLimit).filter(|c| c.reason == "UseAboveLimit");
        Ok(over.map(|c| c.message.clone()).ok_or_else(|| said(&status.conditions)))
    })
    .await?;
    contains("over limit", &message, &["cpu at hohhot", "8", "4", "nothing is taken away"])?;
    let held = town.grant("finance", &grant).await?;
    ensure!(phase_of(&held) == GrantPhase::InService, "what is granted stays");
    town.submit("clerk-finance", "finance", "after-the-cut", &space("1")).await?;
    let (reason, message) = town.refused("finance", "after-the-cut").await?;
    ensure!(reason == "QuotaExceeded", "{reason}: {message}");
    forget(town, "finance", "after-the-cut").await?;
    revoke(town, &grant).await?;
    let again = serve(town, "under-the-cut", &space("1")).await?;
    revoke(town, &again).await?;
    set(town, "64").await
}

/// Somebody with all rights takes the guards away and makes a live grant vanish: its charge stays, its department waits, nobody
/// else is touched, and an administrator ends it by accepting the books.
pub(crate) async fn a_vanished_charge_is_kept(town: &Arc<Town>) -> Result<()> {
    let grant = serve(town, "vanishing", &space("3")).await?;
    let namespace = town.grant("finance", &grant).await?.status.and_then(|s| s.namespace).context("a namespace")?;
    without_guards(town, &["zhengyun-records", "zhengyun-finalizers"], || async {
        let grants = town.grants("finance")?;
        grants.delete(&grant, &DeleteParams::default()).await?;
        let bare = json!({ "metadata": { "finalizers": null } });
        grants.patch(&grant, &PatchParams::default(), &Patch::Merge(&bare)).await?;
        Ok(())
    })
    .await?;
    let ledgers: Api<Ledger> = Api::all(town.admin()?);
    settled("the charge is quarantined", SOON, || async {
        let status = ledgers.get("hohhot").await?.status.unwrap_or_default();
        let kept = status.quarantine.iter().any(|q| q.object.name == grant);
        let counted = status.totals.granted.get("cpu").is_some_and(|q| q.as_str() == "3");
        Ok(if kept && counted { Ok(()) } else { Err(format!("{:?} {:?}", status.quarantine, status.totals)) })
    })
    .await?;
    town.submit("clerk-finance", "finance", "in-quarantine", &space("1")).await?;
    let (reason, message) = town.refused("finance", "in-quarantine").await?;
    ensure!(reason == "Quarantined", "{reason}: {message}");
    contains("quarantine", &message, &[&grant, "audit"])?;
    forget(town, "finance", "in-quarantine").await?;

    // What stands at the site is removed by hand, with the reason on it; then the books are accepted.
    let site: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(town.site_admin("hohhot")?);
    let because = json!({ "metadata": { "annotations": { "zhengyun.io/remove-because": "its record vanished" } } });
    site.patch(&namespace, &PatchParams::default(), &Patch::Merge(&because)).await?;
    site.delete(&namespace, &DeleteParams::default()).await?;
    settled("the namespace gone", SOON, || async {
        Ok(site.get_opt(&namespace).await?.map_or(Ok(()), |_| Err("there".to_owned())))
    })
    .await?;
    settled("the books accepted", SOON, || async {
        let (_, text) = audit(town, &["--site", "hohhot"]).await?;
        let digest =
            text.split("digest ").nth(1).and_then(|t| t.split_whitespace().next()).unwrap_or_default().to_owned();
        let (_, text) =
            audit(town, &["--site", "hohhot", "--accept", &digest, "--reason", "the record vanished"]).await?;
        let status = ledgers.get("hohhot").await?.status.unwrap_or_default();
        let balanced = status.quarantine.is_empty() && status.held.is_none() && status.totals.granted.is_empty();
        Ok(if balanced { Ok(()) } else { Err(format!("{text} {:?}", status.totals)) })
    })
    .await?;
    let again = serve(town, "after-quarantine", &space("1")).await?;
    revoke(town, &again).await
}

async fn audit(town: &Town, arguments: &[&str]) -> Result<(bool, String)> {
    zhengyun_tests::audit::run(&town.kubeconfig_of("cloud-admin"), arguments).await
}

/// Does something while bindings of admission policies are away, and puts them back.
async fn without_guards<F: Future<Output = Result<()>>>(
    town: &Town,
    names: &[&str],
    act: impl Fn() -> F,
) -> Result<()> {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(town.admin()?);
    let mut away = Vec::new();
    for name in names {
        away.push(bindings.get(name).await?);
        bindings.delete(name, &DeleteParams::default()).await?;
    }
    // The API server forgets them a moment later.
    let done =
        settled("the act without guards", SOON, || async { Ok(act().await.map_err(|e| format!("{e:#}"))) }).await;
    for mut binding in away {
        binding.metadata.resource_version = None;
        binding.metadata.uid = None;
        bindings.create(&PostParams::default(), &binding).await?;
    }
    done
}
