//! Bytes of backups in the ledger: charged is what the repository takes up; without room, or past the ceiling, nothing good is lost.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use zhengyun_crds::recovery::{BackupPhase, CopyState};
use zhengyun_crds::{DepartmentQuota, RecoveryPlan};
use zhengyun_tests::audit;
use zhengyun_tests::lab::wait::settled;

use super::ground::{DEPARTMENT, Ground, NAMESPACE, PATIENCE, STORE};

const RESOURCE: &str = "storage.backup";
/// What a run gives back with its lease, after it measured.
const WORDS: u64 = 1024;

/// Bytes of all files below a folder, counted here.
fn bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { bytes(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}

/// Bytes that the plan is charged at the site: granted, and whether anything is reserved.
fn charged(plan: &RecoveryPlan) -> (u64, bool) {
    let charges = plan.status.as_ref().map(|status| status.charges.as_slice()).unwrap_or_default();
    let Some(here) = charges.iter().find(|charge| charge.site == "hohhot") else { return (0, false) };
    let whole = |text: Option<&zhengyun_crds::AmountText>| {
        let quantity: Option<zhengyun_domain::quantity::Quantity> = text.and_then(|text| text.as_str().parse().ok());
        quantity.and_then(|quantity| u64::try_from(quantity.whole_units()?).ok()).unwrap_or_default()
    };
    (whole(here.granted.get(RESOURCE)), !here.reserved.is_empty())
}

/// Waits until the plan is charged what stands, its department's quota shows the same, and the books are balanced.
async fn what_stands(ground: &Ground) -> Result<u64> {
    let plans: Api<RecoveryPlan> = Api::namespaced(ground.town.admin()?, NAMESPACE);
    let quotas: Api<DepartmentQuota> = Api::all(ground.town.admin()?);
    let granted = settled("the plan is charged what stands", PATIENCE, || async {
        let stands = bytes(&ground.repository(STORE))?;
        let plan = plans.get("e-invoice").await?;
        let (granted, reserved) = charged(&plan);
        let usage = quotas.get(DEPARTMENT).await?.status.unwrap_or_default().usage;
        let here = usage.iter().find(|usage| usage.site == "hohhot");
        let used = here.and_then(|usage| usage.granted.get(RESOURCE)).map(|used| used.as_str().to_owned());
        let shown = plan.status.iter().flat_map(|s| &s.charges).find(|charge| charge.site == "hohhot").cloned();
        let same = shown.as_ref().and_then(|charge| charge.granted.get(RESOURCE)).map(|text| text.as_str().to_owned());
        let good = granted > 0 && granted.abs_diff(stands) < WORDS && !reserved && used == same;
        Ok(if good { Ok(granted) } else { Err(format!("{stands} bytes stand, {shown:?} is charged, {used:?} used")) })
    })
    .await?;
    audit::balanced(&ground.town.kubeconfig_of("cloud-admin")).await?;
    Ok(granted)
}

/// Room for backups of the department at both sites.
async fn room(ground: &Ground, amount: &str) -> Result<()> {
    let quotas: Api<DepartmentQuota> = Api::all(ground.town.client_of("cloud-admin")?);
    let mut limits = quotas.get(DEPARTMENT).await?.spec.limits;
    for line in &mut limits {
        line.hard.insert(RESOURCE.to_owned(), amount.into());
    }
    let patch = json!({ "spec": { "limits": limits } });
    quotas.patch(DEPARTMENT, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    settled(&format!("there is room for {amount}"), PATIENCE, || async {
        let adopted = quotas.get(DEPARTMENT).await?.status.unwrap_or_default().adopted;
        let is = adopted.iter().all(|line| line.hard.get(RESOURCE).is_some_and(|hard| hard.0 == amount));
        Ok(if is { Ok(()) } else { Err(format!("{adopted:?}")) })
    })
    .await
}

pub(crate) async fn charged_exactly(ground: &Ground) -> Result<()> {
    let before = what_stands(ground).await?;
    room(ground, "1Gi").await?;
    ground.ask_backup("without-room", false).await?;
    let said = ground.backup_says("without-room", "QuotaExceeded").await?;
    ensure!(said.contains("the quota of finance at hohhot is 1Gi") && said.contains("short by"), "{said}");
    ground
        .plan_says("it says so as well", |plan| {
            plan.conditions.iter().any(|told| told.reason == "QuotaExceeded" && told.message.contains("without-room"))
        })
        .await?;
    ensure!(what_stands(ground).await? == before, "something was written without room");
    room(ground, "10Ti").await?;
    ground.backup_ends("without-room", BackupPhase::Completed).await?;
    let stands = what_stands(ground).await?;
    ensure!(stands > before, "{before} bytes, then {stands}");

    // The least that a backup writes is more than a byte.
    ground.change_plan(json!({ "spec": { "ceiling": (stands + 1).to_string() } })).await?;
    ground.ask_backup("too-much", false).await?;
    let failed = ground.backup_ends("too-much", BackupPhase::Failed).await?;
    let failure = failed.failure.context("a failed backup says why")?;
    ensure!(failure.reason == "QuotaExceeded" && failure.message.contains("the backups before it stay"), "{failure:?}");
    let kept = ground.backups()?.get("without-room").await?.status.unwrap_or_default();
    ensure!(kept.copies[0].state == CopyState::Verified, "{:?}", kept.copies);
    what_stands(ground).await?;
    ground.change_plan(json!({ "spec": { "ceiling": "10Gi" } })).await
}
