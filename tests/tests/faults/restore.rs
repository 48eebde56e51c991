//! The hub is restored from an older copy of its store: it has forgotten a grant that stands at a site.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use zhengyun_crds::{ConditionType, GrantPhase, Ledger, condition};
use zhengyun_tests::lab::Component;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town, phase_of, said};

use super::{audit, life};

pub(crate) async fn a_hub_restored_to_the_past_is_held(town: &Arc<Town>) -> Result<()> {
    let operator = start(town)?;
    let kept = life::serve(town, "life-kept").await?;
    operator.stop().await?;
    let copy = town.lab().dir().join("hub-copy");
    town.lab().hub().save_data_to(&copy).await?;

    // The future that will be forgotten: a grant, and an operator that raised the fences once. The next one of the restored hub
    // takes the very same epoch from its ledger, and must not take that fence for its own.
    let operator = start(town)?;
    let lost = life::serve(town, "life-lost").await?;
    let stranger = town.grant("life-lost", &lost).await?.status.and_then(|s| s.namespace).context("a namespace")?;
    operator.stop().await?;

    town.lab().hub().restore_data_from(&copy).await?;
    let operator = start(town)?;
    held_by(town, Some("HubRestoredToPast")).await?;
    let site: Api<Namespace> = Api::all(town.site_admin("hohhot")?);
    let before = site.get(&stranger).await?.metadata.resource_version;

    // Nothing new is charged, and what stands at the site is left alone.
    let order = json!({
        "action": "Create", "system": "system", "site": "hohhot", "justification": "after the restore", "class": "Test",
        "items": [{ "item": "container-space", "name": "more", "parameters": { "cpu": "100m", "memory": "64Mi" } }]
    });
    town.submit("clerk-finance", "life-kept", "more", &order).await?;
    let (reason, message) = town.refused("life-kept", "more").await?;
    ensure!(reason == "LedgerHeld" && message.contains("audit"), "{reason}: {message}");
    ensure!(site.get(&stranger).await?.metadata.resource_version == before, "the forgotten namespace was touched");

    accept(town, "hohhot").await?;
    accept(town, "ulanqab").await?;
    // With the fence ours again, the sweep finds what the hub does not know, and holds the site for it.
    held_at(town, "hohhot", Some("UnknownGrantAtSite")).await?;
    site.delete(&stranger, &DeleteParams::default()).await.expect_err("a grant's namespace is not simply deleted");
    let because = json!({ "metadata": { "annotations": { "zhengyun.io/remove-because": "lost in the restore" } } });
    site.patch(&stranger, &PatchParams::default(), &Patch::Merge(&because)).await?;
    site.delete(&stranger, &DeleteParams::default()).await?;
    settled("the stranger gone", SOON, || async {
        Ok(site.get_opt(&stranger).await?.map_or(Ok(()), |_| Err("it is being removed".to_owned())))
    })
    .await?;
    accept(town, "hohhot").await?;
    held_by(town, None).await?;

    // What the hub remembers goes on as if nothing had been.
    let grant = town.grant("life-kept", &kept).await?;
    ensure!(phase_of(&grant) == GrantPhase::InService, "{:?}", grant.status.map(|s| said(&s.conditions)));
    life::end(town, "life-kept", &kept).await?;
    life::nothing_at(town, "hohhot").await?;
    audit::balanced(town).await?;
    operator.stop().await?;
    Ok(())
}

fn start(town: &Town) -> Result<Component> {
    town.lab().start_operator("restore", &life::flags("restore", None))
}

/// Every ledger is held for this reason, or none is, by an operator that leads.
async fn held_by(town: &Town, reason: Option<&str>) -> Result<()> {
    for site in ["hohhot", "ulanqab"] {
        held_at(town, site, reason).await?;
    }
    Ok(())
}

async fn held_at(town: &Town, site: &str, reason: Option<&str>) -> Result<()> {
    let ledgers: Api<Ledger> = Api::all(town.admin()?);
    let sites: Api<zhengyun_crds::Site> = Api::all(town.admin()?);
    settled(&format!("ledger of {site} held: {reason:?}"), SOON, || async {
        let status = ledgers.get(site).await?.status.unwrap_or_default();
        let held = status.held.as_ref().map(|h| h.reason.clone());
        let at_site = sites.get(site).await?.status.unwrap_or_default();
        let ready = condition::is_true(&at_site.conditions, ConditionType::Ready);
        let settled = held.as_deref() == reason && status.holder == "restore" && ready == reason.is_none();
        // Without a hold the fence must be this operator's as well: otherwise it has not led yet.
        let fenced = reason.is_some() || at_site.fence_epoch == status.epoch;
        Ok(if settled && fenced { Ok(()) } else { Err(format!("{held:?}, {}", said(&at_site.conditions))) })
    })
    .await
}

/// The administrator's way out: read the audit, accept exactly those books with a reason.
async fn accept(town: &Town, site: &str) -> Result<()> {
    let (balanced, text) = audit::run(town, &["--site", site]).await?;
    ensure!(!balanced && text.contains("held:"), "an audit of held books says so: {text}");
    let digest = audit::digest(&text, site).with_context(|| format!("a digest in {text}"))?;
    let wrong = audit::run(town, &["--site", site, "--accept", "sha256:0", "--reason", "a test"]).await?;
    ensure!(!wrong.0, "another digest than the books' is refused: {}", wrong.1);
    let (accepted, text) = audit::run(town, &["--site", site, "--accept", &digest, "--reason", "a test"]).await?;
    ensure!(accepted, "{text}");
    let ledgers: Api<Ledger> = Api::all(town.admin()?);
    settled(&format!("the hold of {site} ended or became another"), SOON, || async {
        let status = ledgers.list(&ListParams::default()).await?.items.into_iter().find(|l| l.spec.site == site);
        let held = status.and_then(|l| l.status).and_then(|s| s.held);
        Ok(if held.as_ref().is_none_or(|h| h.digest != digest) { Ok(()) } else { Err(format!("{held:?}")) })
    })
    .await
}
