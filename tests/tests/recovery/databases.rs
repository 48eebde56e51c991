//! Databases: one that an administrator declared, and one that a grant delivered. A real server of PostgreSQL stands behind both, on
//! loopback under the operator's laboratory flag; the lab runs no CloudNativePG, so the Secret that it would write is the test's.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::recovery::{BackupPhase, Consistency, RestorePhase, SystemRestoreStatus};
use zhengyun_crds::{RecoveryPlan, Site, SystemBackup};
use zhengyun_tests::lab::postgres::{PASSWORD, Postgres};
use zhengyun_tests::world;

use super::ground::{CLERK, DEPARTMENT, Ground, NAMESPACE};

/// Rows of a table that is compared.
const ROWS: usize = 2_000;
const PLAN: &str = "databases";

pub(crate) async fn protected(ground: &Ground) -> Result<()> {
    let server = Postgres::start()?;
    server.sql("postgres", &format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"))?;
    for database in ["declared", "delivered", "another"] {
        server.sql("postgres", &format!("CREATE DATABASE {database} OWNER app"))?;
        if database == "another" {
            continue;
        }
        let rows = format!(
            "SET ROLE app; CREATE TABLE invoice (id bigserial PRIMARY KEY, code text, raw bytea);
             INSERT INTO invoice (code, raw) SELECT '{database}' || n, decode(md5(n::text), 'hex') FROM generate_series(1, {ROWS}) n;
             CREATE VIEW codes AS SELECT code FROM invoice"
        );
        server.sql(database, &rows)?;
    }
    let stage = Stage { ground, server };
    let grant = stage.declare().await?;
    stage.refused_outside_a_laboratory(&grant).await?;
    ground.restart_operator_with(&["--lab-local-databases", "--lab-http-stores"]).await?;
    stage.backed_up_and_restored().await?;
    stage.goes_where_it_was_read_or_where_a_restore_says().await?;
    stage.what_is_wrong_is_told().await
}

struct Stage<'a> {
    ground: &'a Ground,
    server: Postgres,
}

/// The database that the administrator declared, as a source.
fn declared_source() -> Value {
    json!({ "name": "old", "origin": { "database": { "site": "hohhot", "endpoint": "old-invoices", "database": "declared" } } })
}

impl Stage<'_> {
    /// What the administrator declares, what the department plans, and what CloudNativePG would have written.
    /// Gives the name of the grant with the delivered one.
    async fn declare(&self) -> Result<String> {
        let admin = self.ground.town.client_of("cloud-admin")?;
        let declared = json!({ "spec": { "externalSources": { "databases": [{
            "name": "old-invoices", "department": DEPARTMENT, "host": "127.0.0.1", "port": self.server.port,
            "databases": ["declared", "another"], "secretName": "database-old-invoices"
        }] } } });
        let sites: Api<Site> = Api::all(admin.clone());
        sites.patch("hohhot", &PatchParams::default(), &Patch::Merge(&declared)).await?;
        let secret = Self::secret("database-old-invoices", &[("username", "app"), ("password", PASSWORD)]);
        Api::<Secret>::namespaced(admin, "zhengyun-system").create(&PostParams::default(), &secret).await?;
        let grant = self.ground.delivered_database().await?;
        let namespace = grant.status.as_ref().and_then(|s| s.namespace.clone()).context("a grant has a namespace")?;
        let port = self.server.port.to_string();
        let app = [
            ("host", "127.0.0.1"),
            ("port", port.as_str()),
            ("dbname", "delivered"),
            ("username", "app"),
            ("password", PASSWORD),
        ];
        let secrets: Api<Secret> = Api::namespaced(self.ground.town.site_admin("hohhot")?, &namespace);
        secrets.create(&PostParams::default(), &Self::secret("db-app", &app)).await?;
        let plan = serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryPlan",
            "metadata": { "name": PLAN, "namespace": NAMESPACE },
            "spec": {
                "system": "finance-e-invoice", "level": 1, "ceiling": "10Gi",
                "sources": [declared_source()],
                "schedule": { "cron": "0 0 1 1 *" }, "retention": { "last": 7 }, "copies": [{ "store": "hohhot-1" }],
                "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key-finance" }
            }
        }))?;
        world::apply(&self.ground.town.client_of(CLERK)?, &[plan]).await?;
        Ok(grant.name_any())
    }

    /// The plan protects the delivered database as well.
    async fn add_delivered(&self, grant: &str) -> Result<()> {
        let own = json!({ "name": "own", "origin": { "item": { "grant": grant, "item": "db" } } });
        let sources = json!({ "spec": { "sources": [declared_source(), own] } });
        let plans: Api<RecoveryPlan> = Api::namespaced(self.ground.town.client_of(CLERK)?, NAMESPACE);
        plans.patch(PLAN, &PatchParams::default(), &Patch::Merge(&sources)).await?;
        Ok(())
    }

    fn secret(name: &str, fields: &[(&str, &str)]) -> Secret {
        let data: BTreeMap<String, String> =
            fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Secret {
            metadata: kube::api::ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some([("zhengyun.io/department".to_owned(), DEPARTMENT.to_owned())].into()),
                ..Default::default()
            },
            string_data: Some(data),
            ..Default::default()
        }
    }

    async fn change_secret(&self, change: Value) -> Result<()> {
        let api: Api<Secret> = Api::namespaced(self.ground.town.client_of("cloud-admin")?, "zhengyun-system");
        api.patch("database-old-invoices", &PatchParams::default(), &Patch::Merge(&change)).await?;
        Ok(())
    }

    /// Without the flag nothing on the control plane's own machine is spoken to, whoever wrote the address.
    async fn refused_outside_a_laboratory(&self, grant: &str) -> Result<()> {
        self.ground.ask_backup_of(PLAN, "without-ca").await?;
        let said = self.ground.backup_says("without-ca", "ca.crt").await?;
        ensure!(said.contains("secretName"), "{said}");
        self.change_secret(json!({ "stringData": { "ca.crt": "none" } })).await?;
        let ended = self.ground.backup_ends("without-ca", BackupPhase::Failed).await?;
        let failure = ended.failure.context("it says why")?;
        ensure!(failure.reason == "AddressRefused" && failure.message.contains("127.0.0.1"), "{failure:?}");
        self.change_secret(json!({ "data": { "ca.crt": null } })).await?;
        self.add_delivered(grant).await?;
        self.ground.ask_backup_of(PLAN, "delivered-outside").await?;
        let ended = self.ground.backup_ends("delivered-outside", BackupPhase::Failed).await?;
        let failure = ended.failure.context("it says why")?;
        ensure!(failure.reason == "ActionNotAvailable" && failure.message.contains("database db"), "{failure:?}");
        Ok(())
    }

    async fn backed_up_and_restored(&self) -> Result<()> {
        self.ground.ask_backup_of(PLAN, "databases").await?;
        let status = self.ground.backup_ends("databases", BackupPhase::Completed).await?;
        ensure!(status.sources.len() == 2, "{:?}", status.sources);
        for source in &status.sources {
            let told = source.lsn.is_some() && source.server_version.is_some() && source.captured_at.is_some();
            ensure!(told && source.consistency == Some(Consistency::PointInTime), "{source:?}");
        }
        for (source, database) in [("old", "declared"), ("own", "delivered")] {
            let before = self.server.digests(database)?;
            self.server.sql(database, "DROP TABLE invoice CASCADE")?;
            let planned = self.restore(&format!("{source}-plan"), source, None, "Fail").await?;
            ensure!(planned.phase == Some(RestorePhase::Planned), "{:?}", planned.failure);
            ensure!(
                planned.planned.as_ref().is_some_and(|p| p.created > 3 && p.conflicts == 0),
                "{:?}",
                planned.planned
            );
            ensure!(self.server.digests(database)?.is_empty(), "a plan writes nothing");
            let digest = planned.plan_digest.context("a plan has a digest")?;
            let other = format!("sha256:{}", "0".repeat(64));
            let changed = self.restore(&format!("{source}-other"), source, Some(&other), "Fail").await?;
            ensure!(changed.failure.as_ref().is_some_and(|f| f.reason == "PlanChanged"), "{:?}", changed.failure);
            let done = self.restore(&format!("{source}-execute"), source, Some(&digest), "Fail").await?;
            ensure!(done.phase == Some(RestorePhase::Completed), "{:?} {:?}", done.failure, done.failures);
            ensure!(self.server.digests(database)? == before, "what stands is not what was backed up");
            // It is not empty now, and differs: only a policy that says so replaces it.
            self.server.sql(database, "DELETE FROM invoice WHERE id > 10")?;
            let blocked = self.restore(&format!("{source}-blocked"), source, None, "Fail").await?;
            ensure!(
                blocked.failures.first().is_some_and(|f| f.message.contains("not empty")),
                "{:?}",
                blocked.failures
            );
            let digest = blocked.plan_digest.unwrap_or_default();
            let refused = self.restore(&format!("{source}-refused"), source, Some(&digest), "Fail").await?;
            ensure!(refused.phase == Some(RestorePhase::Refused), "{:?}", refused.phase);
            let replacing = self.restore(&format!("{source}-replacing"), source, None, "Replace").await?;
            let digest = replacing.plan_digest.unwrap_or_default();
            let replaced = self.restore(&format!("{source}-replace"), source, Some(&digest), "Replace").await?;
            ensure!(replaced.phase == Some(RestorePhase::Completed), "{:?} {:?}", replaced.failure, replaced.failures);
            ensure!(self.server.digests(database)? == before, "what stands is not what was backed up");
        }
        Ok(())
    }

    /// A plan that names another database by now changes nothing of an earlier backup; a redirect does.
    async fn goes_where_it_was_read_or_where_a_restore_says(&self) -> Result<()> {
        let before = self.server.digests("declared")?;
        let mut source = declared_source();
        source["origin"]["database"]["database"] = json!("another");
        let plans: Api<RecoveryPlan> = Api::namespaced(self.ground.town.client_of(CLERK)?, NAMESPACE);
        let change = |sources: Value| Patch::Merge(json!({ "spec": { "sources": sources } }));
        let sources = plans.get(PLAN).await?.spec.sources;
        plans.patch(PLAN, &PatchParams::default(), &change(json!([source]))).await?;
        let planned = self.restore("old-unmoved", "old", None, "Fail").await?;
        ensure!(planned.planned.as_ref().is_some_and(|p| p.unchanged > 3 && p.created == 0), "{:?}", planned.planned);
        plans.patch(PLAN, &PatchParams::default(), &change(serde_json::to_value(sources)?)).await?;
        let to = json!([{ "source": "old", "database": { "site": "hohhot", "endpoint": "old-invoices", "database": "another" } }]);
        let mut spec = json!({
            "backup": "databases", "mode": "Plan", "existing": "Fail", "sources": ["old"], "redirects": to,
            "requestedBy": CLERK
        });
        let planned = self.ground.restore_as("old-away-plan", spec.clone()).await?;
        spec["mode"] = json!("Execute");
        spec["planDigest"] = json!(planned.plan_digest.context("a plan has a digest")?);
        let done = self.ground.restore_as("old-away", spec).await?;
        ensure!(done.phase == Some(RestorePhase::Completed), "{:?} {:?}", done.failure, done.failures);
        ensure!(self.server.digests("another")? == before, "what stands is not what was backed up");
        // What was changed beside the rows is not called equal.
        self.server.sql("another", "CREATE OR REPLACE VIEW codes AS SELECT code || '!' AS code FROM invoice")?;
        let again = json!({
            "backup": "databases", "mode": "Plan", "existing": "Replace", "sources": ["old"],
            "redirects": [{ "source": "old", "database": { "site": "hohhot", "endpoint": "old-invoices", "database": "another" } }],
            "requestedBy": CLERK
        });
        let planned = self.ground.restore_as("old-away-again", again).await?;
        ensure!(planned.planned.as_ref().is_some_and(|p| p.replaced > 3), "{:?}", planned.planned);
        Ok(())
    }

    async fn what_is_wrong_is_told(&self) -> Result<()> {
        self.change_secret(json!({ "stringData": { "password": "another" } })).await?;
        self.ground.ask_backup_of(PLAN, "wrong-password").await?;
        let ended = self.ground.backup_ends("wrong-password", BackupPhase::Failed).await?;
        let failure = ended.failure.context("it says why")?;
        ensure!(failure.reason == "DatabaseLoginRefused" && failure.message.contains("declared"), "{failure:?}");
        ensure!(!failure.message.contains("another"), "{failure:?}");
        Ok(())
    }

    async fn restore(
        &self,
        name: &str,
        source: &str,
        digest: Option<&str>,
        existing: &str,
    ) -> Result<SystemRestoreStatus> {
        let mut spec = json!({
            "backup": "databases", "mode": if digest.is_some() { "Execute" } else { "Plan" }, "existing": existing,
            "sources": [source], "requestedBy": CLERK
        });
        if let Some(digest) = digest {
            spec["planDigest"] = json!(digest);
        }
        self.ground.restore_as(name, spec).await
    }
}

impl Ground {
    /// Plans the restore of a backup, or carries it out.
    pub(crate) async fn restore_of(
        &self,
        backup: &str,
        name: &str,
        digest: Option<&str>,
    ) -> Result<SystemRestoreStatus> {
        let mut spec = json!({ "backup": backup, "mode": "Plan", "existing": "Fail", "requestedBy": CLERK });
        if let Some(digest) = digest {
            spec["mode"] = json!("Execute");
            spec["planDigest"] = json!(digest);
        }
        self.restore_as(name, spec).await
    }

    /// Asks for a backup of a plan of the department.
    pub(crate) async fn ask_backup_of(&self, plan: &str, name: &str) -> Result<()> {
        let plans: Api<RecoveryPlan> = Api::namespaced(self.town.admin()?, NAMESPACE);
        let uid = plans.get(plan).await?.uid().context("a plan has a UID")?;
        let body: SystemBackup = serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "SystemBackup",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": { "plan": plan, "planUID": uid, "trigger": "Manual", "requestedBy": CLERK }
        }))?;
        let api: Api<SystemBackup> = Api::namespaced(self.town.client_of(CLERK)?, NAMESPACE);
        api.create(&PostParams::default(), &body).await?;
        Ok(())
    }
}
