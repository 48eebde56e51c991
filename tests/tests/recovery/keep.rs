//! A grant is ended and its data kept: nothing is removed before a backup that was made for this is proven, and it brings the data back.

use anyhow::{Context as _, Result, bail, ensure};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::recovery::{BackupPhase, BackupTrigger, RestorePhase};
use zhengyun_crds::{GrantPhase, RecoveryPlan};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{phase_of, said};
use zhengyun_tests::world;
use zhengyun_tests::world::content;

use super::ground::{CLERK, DEPARTMENT, Ground, NAMESPACE, PATIENCE, STORE};
use super::is;

const PLAN: &str = "kept";
/// Objects in the grant that is ended, with names that no other grant of the test has.
const FIRST: usize = 500;
const COUNT: usize = 20;

pub(crate) async fn with_a_backup(ground: &Ground) -> Result<()> {
    let grant = ground.space("ending").await?;
    let name = grant.name_any();
    let namespace = grant.status.as_ref().and_then(|s| s.namespace.clone()).context("a grant has a namespace")?;
    let site = ground.town.site_admin("hohhot")?;
    content::make(&site, &namespace, FIRST, COUNT, 1_000).await?;
    let before = content::read(&site, &namespace).await?;
    ensure!(before.len() == COUNT, "{} objects were made", before.len());

    let order = json!({
        "action": "Revoke", "site": "hohhot", "grant": name, "class": "Test", "justification": "recovery",
        "disposition": "KeepBackup"
    });
    ground.town.submit(CLERK, DEPARTMENT, "end", &order).await?;
    // Nothing protects it: that is said with the fix, and nothing is removed.
    ground.grant_says(&name, "BackupNotFound", &format!("namespace: {{grant: {name}}}")).await?;
    ensure!(content::read(&site, &namespace).await? == before, "data went before there was a restore point");
    // A plan that cannot run is told with its field.
    ground.write_kept_plan(&name, "nowhere").await?;
    ground.grant_says(&name, "StoreNotFound", "/spec/copies/0/store").await?;
    ensure!(content::read(&site, &namespace).await? == before, "data went before there was a restore point");
    ensure!(ground.kept_backups(&name).await?.is_empty(), "a plan that cannot run started a backup");
    ground.write_kept_plan(&name, STORE).await?;
    let held = settled("the grant ends", PATIENCE, || async {
        let held = ground.town.grant(DEPARTMENT, &name).await?;
        let seen = format!("{:?}: {}", phase_of(&held), said(&held.status.clone().unwrap_or_default().conditions));
        Ok(if phase_of(&held) == GrantPhase::Revoked { Ok(held) } else { Err(seen) })
    })
    .await?;
    let ended = held.status.unwrap_or_default();
    let made = ground.kept_backups(&name).await?;
    let [backup] = made.as_slice() else { bail!("{made:?} were made") };
    let status = ground.backup_ends(backup, BackupPhase::Completed).await?;
    let ordered = held.spec.revocation.and_then(|r| r.ordered_at).context("an order says when it was given")?;
    ensure!(
        status.captured_at.as_ref().is_some_and(|at| at.0 >= ordered.0),
        "{:?}, ordered {ordered:?}",
        status.captured_at
    );
    let (proven, gone) = (status.finished_at.context("it ended")?, ended.zero_proof.context("zero was proven")?.at);
    ensure!(proven.0 <= gone.0, "proven {proven:?}, gone {gone:?}");
    // What was kept can be brought back: everything is in it.
    let spec = json!({
        "backup": backup, "mode": "Plan", "existing": "Fail", "requestedBy": CLERK,
        "redirects": [{ "source": "space", "grant": ground.elsewhere }]
    });
    let planned = ground.restore_as("kept-plan", spec.clone()).await?;
    ensure!(planned.phase == Some(RestorePhase::Planned), "{:?}", planned.failure);
    ensure!(planned.planned.as_ref().is_some_and(|p| is(p.created, COUNT)), "{:?}", planned.planned);
    // A plan that is deleted leaves everything. Nothing names the key then; written again under its name, it does.
    let plans: Api<RecoveryPlan> = Api::namespaced(ground.town.client_of(CLERK)?, NAMESPACE);
    plans.delete(PLAN, &DeleteParams::default()).await?;
    settled("another plan is charged for what it had", PATIENCE, || async {
        let left = plans.get_opt(PLAN).await?;
        Ok(left.map_or(Ok(()), |plan| Err(said(&plan.status.unwrap_or_default().conditions))))
    })
    .await?;
    let orphan = ground.restore_as("kept-orphan", spec.clone()).await?;
    let why = orphan.failure.unwrap_or_default().message;
    ensure!(orphan.phase == Some(RestorePhase::Refused) && why.contains("encryption.secretName"), "{why}");
    ground.write_kept_plan(&name, STORE).await?;
    let again = ground.restore_as("kept-again", spec).await?;
    ensure!(again.phase == Some(RestorePhase::Planned), "{:?}", again.failure);
    ensure!(again.planned.as_ref().is_some_and(|p| is(p.created, COUNT)), "{:?}", again.planned);
    Ok(())
}

impl Ground {
    async fn grant_says(&self, grant: &str, reason: &str, told: &str) -> Result<()> {
        settled(&format!("grant {grant} says {reason}"), PATIENCE, || async {
            let held = self.town.grant(DEPARTMENT, grant).await?;
            let seen = said(&held.status.clone().unwrap_or_default().conditions);
            let good = phase_of(&held) == GrantPhase::Revoking && seen.contains(reason) && seen.contains(told);
            Ok(if good { Ok(()) } else { Err(format!("{:?}: {seen}", phase_of(&held))) })
        })
        .await
    }

    async fn write_kept_plan(&self, grant: &str, store: &str) -> Result<()> {
        let client = self.town.client_of(CLERK)?;
        let api: Api<RecoveryPlan> = Api::namespaced(client.clone(), NAMESPACE);
        let copies: Value = json!([{ "store": store }]);
        if api.get_opt(PLAN).await?.is_some() {
            let change = json!({ "spec": { "copies": copies } });
            api.patch(PLAN, &PatchParams::default(), &Patch::Merge(&change)).await?;
            return Ok(());
        }
        let plan = serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryPlan",
            "metadata": { "name": PLAN, "namespace": NAMESPACE },
            "spec": {
                "system": "finance-e-invoice", "level": 1, "ceiling": "10Gi",
                "sources": [{ "name": "space", "origin": { "namespace": { "grant": grant } } }],
                "schedule": { "cron": "0 0 1 1 *" }, "retention": { "last": 7 }, "copies": copies,
                "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key-finance" }
            }
        }))?;
        world::apply(&client, &[plan]).await
    }

    /// Names of the backups that were made because a grant is ended.
    async fn kept_backups(&self, grant: &str) -> Result<Vec<String>> {
        let all = self.backups()?.list(&ListParams::default()).await?.items;
        let own = all.iter().filter(|backup| {
            backup.spec.trigger == BackupTrigger::Revocation && backup.spec.grant.as_deref() == Some(grant)
        });
        Ok(own.map(ResourceExt::name_any).collect())
    }
}
