//! A migration: what it is waited for, what is changed of it, and who signs under it.

use anyhow::{Context as _, Result};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use zhengyun_crds::SystemMigration;
use zhengyun_crds::migration::{MigrationStage, SystemMigrationStatus};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::world;

use crate::ground::{AUTHORITY, CLERK, Ground, HEAD, NAMESPACE, PATIENCE, PROVIDER, SYSTEM, object};

pub(crate) struct Migration<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) name: &'a str,
}

impl Migration<'_> {
    /// Asks for it, as the clerk; what is given goes on top of what all of them have.
    pub(crate) async fn ask(&self, room: &str, workload: Value, more: &Value) -> Result<()> {
        let mut spec = json!({
            "system": SYSTEM, "room": room, "strategy": "Rehost", "grant": self.ground.grant, "recoveryPlan": "e-invoice",
            "workloads": [workload],
            "cutover": {
                "downtimeBudget": "5m", "approvers": [HEAD], "inStepFor": "1s", "quiet": "1s",
                "rollbackPlan": "open the source in the room again"
            },
            "trial": { "length": "3s", "retention": "2s" },
            "signers": { "department": [HEAD], "authority": [AUTHORITY], "provider": [PROVIDER] }
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let body = object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "SystemMigration",
            "metadata": { "name": self.name, "namespace": NAMESPACE }, "spec": spec
        }))?;
        world::apply(&self.ground.town.client_of(CLERK)?, &[body]).await
    }

    pub(crate) fn by(&self, person: &str) -> Result<Api<SystemMigration>> {
        Ok(Api::namespaced(self.ground.town.client_of(person)?, NAMESPACE))
    }

    /// Waits until it is as wanted.
    pub(crate) async fn when(
        &self,
        what: &str,
        wanted: impl Fn(&SystemMigrationStatus) -> bool,
    ) -> Result<SystemMigrationStatus> {
        let api: Api<SystemMigration> = Api::namespaced(self.ground.town.admin()?, NAMESPACE);
        settled(&format!("the migration {} {what}", self.name), PATIENCE, || async {
            let status = api.get(self.name).await?.status.unwrap_or_default();
            let seen = format!(
                "{:?} {:?} epoch {}: {:?}, {:?}",
                status.stage, status.step, status.epoch, status.blocker, status.workloads
            );
            Ok(if wanted(&status) { Ok(status) } else { Err(seen) })
        })
        .await
    }

    pub(crate) async fn at(&self, stage: MigrationStage) -> Result<SystemMigrationStatus> {
        self.when(&format!("is {stage}"), |status| status.stage == Some(stage)).await
    }

    /// Waits until it stands at a stage and waits for something.
    pub(crate) async fn waits(&self, stage: MigrationStage, reason: &str) -> Result<SystemMigrationStatus> {
        let of = |status: &SystemMigrationStatus| status.blocker.as_ref().is_some_and(|b| b.reason == reason);
        self.when(&format!("is {stage} and waits: {reason}"), |s| s.stage == Some(stage) && of(s)).await
    }

    pub(crate) async fn change(&self, spec: Value) -> Result<()> {
        let api = self.by(CLERK)?;
        api.patch(self.name, &PatchParams::default(), &Patch::Merge(&json!({ "spec": spec }))).await?;
        Ok(())
    }

    /// Deletes it, as the clerk.
    pub(crate) async fn delete(&self) -> Result<()> {
        self.by(CLERK)?.delete(self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Signs what the status shows, as whoever looks at it does.
    pub(crate) async fn sign(&self, person: &str, party: &str, purpose: &str, evidence: &str) -> Result<()> {
        let api = self.by(person)?;
        let seen = serde_json::to_value(api.get(self.name).await?)?;
        let records = seen["status"]["evidence"].as_array().cloned().unwrap_or_default();
        let digest = records.iter().find(|record| record["kind"] == evidence && record["workload"] == "");
        let digest =
            digest.with_context(|| format!("no evidence {evidence} to sign in {records:?}"))?["digest"].clone();
        let mut signatures = seen["spec"]["signatures"].as_array().cloned().unwrap_or_default();
        signatures.push(json!({ "purpose": purpose, "party": party, "by": person, "digest": digest }));
        let change = json!({ "spec": { "signatures": signatures } });
        api.patch(self.name, &PatchParams::default(), &Patch::Merge(&change)).await?;
        Ok(())
    }

    /// From its comparison to where the department can approve: rehearsed by a drill.
    pub(crate) async fn rehearsed(&self, drill: &str) -> Result<()> {
        self.waits(MigrationStage::Replicating, "NotRehearsed").await?;
        self.ground.rehearse(drill).await?;
        self.waits(MigrationStage::Rehearsed, "AwaitingSignature").await.map(drop)
    }

    /// All three parties sign that it runs as it should.
    pub(crate) async fn accept(&self) -> Result<SystemMigrationStatus> {
        self.waits(MigrationStage::ParallelRun, "AwaitingSignature").await?;
        for (person, party) in [(HEAD, "Department"), (AUTHORITY, "Authority"), (PROVIDER, "Provider")] {
            self.sign(person, party, "Acceptance", "Acceptance").await?;
        }
        self.waits(MigrationStage::Accepted, "SourceKept").await
    }
}
