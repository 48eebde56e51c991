//! What administrators declare and the department orders before anything can be protected.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};
use zhengyun_crds::{ConditionType, DepartmentQuota, GrantPhase, Site, condition};

use super::{FILES, ROWS, SPACE, runs};
use crate::demo::{Stage, scenes};
use crate::lab::postgres::{PASSWORD, Superuser};
use crate::lab::supervisor::{self, Command};
use crate::lab::wait::settled;
use crate::world;

/// Where the system runs, and where it is brought back.
pub(super) const HOME: &str = "hohhot";
pub(super) const AWAY: &str = "ulanqab";
pub(super) const DEPARTMENT: &str = "finance";
pub(super) const NAMESPACE: &str = "dept-finance";
pub(super) const CLERK: &str = "clerk-finance";
/// Database on each server.
pub(super) const DATABASE: &str = "e_invoice";
/// Folder on the share that the files are brought back to.
const RESTORED: &str = "restored";
const SOON: Duration = Duration::from_mins(1);
const API: &str = "zhengyun.io/v1alpha1";

/// What was made for one run of the story; a rerun makes its own.
#[derive(Debug)]
pub(super) struct Ground {
    suffix: String,
    lab: PathBuf,
    /// Grant and namespace at each site.
    grants: [(String, String); 2],
}

fn object(value: Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(value)?)
}

impl Ground {
    /// Stores, databases and file roots as the administrator declares them, a key, and two spaces of the department.
    pub(super) async fn prepare(stage: &Stage, out: &mut dyn FnMut(&str)) -> Result<Self> {
        let admin = stage.client_of("cloud-admin").await?;
        world::establish(&admin, &stage.watcher("hub").await?, out).await?;
        let mut ground = Self { suffix: stage.suffix(), lab: stage.dir().canonicalize()?, grants: Default::default() };
        out(
            "\ncloud-admin registers a backup store at each site, and declares 财政厅's own database server and file share at each",
        );
        for site in [HOME, AWAY] {
            world::apply(&admin, &[ground.store(site)?]).await?;
            ground.declare(stage, &admin, site).await?;
        }
        ground.key(&admin).await?;
        out(&format!(
            "cloud-admin gives drills their room at {AWAY}: a quota, a folder, and a database server that nobody works with"
        ));
        ground.room_for_drills(&admin).await?;
        ground.server_for_drills(stage, &admin).await?;
        out("财政厅 gets a container space for 财政电子票据 at each site (approved by a policy of the demo)");
        world::apply(&admin, &[without_stages()?]).await?;
        for (at, site) in [HOME, AWAY].into_iter().enumerate() {
            let granted = ground.granted(stage, site).await?;
            if let Some(place) = ground.grants.get_mut(at) {
                *place = granted;
            }
        }
        Ok(ground)
    }

    fn named(&self, site: &str) -> String {
        format!("{site}-{}", self.suffix)
    }

    /// Both stores: the one beside the system first.
    pub(super) fn stores(&self) -> [String; 2] {
        [HOME, AWAY].map(|site| self.named(site))
    }

    fn store_folder(&self, site: &str) -> PathBuf {
        self.lab.join("stores").join(self.named(site))
    }

    /// The department's files at a site.
    pub(super) fn files(&self, site: &str) -> PathBuf {
        self.lab.join("files").join(self.named(site))
    }

    /// Where they are brought back.
    pub(super) fn restored(&self) -> PathBuf {
        self.files(AWAY).join(RESTORED)
    }

    /// Namespace of the department's grant at a site.
    pub(super) fn namespace(&self, site: &str) -> &str {
        let [home, away] = &self.grants;
        if site == HOME { &home.1 } else { &away.1 }
    }

    /// The superuser of the department's server at a site.
    pub(super) async fn database(&self, stage: &Stage, site: &str) -> Result<Superuser> {
        Superuser::at(self.port(stage, site).await?)
    }

    async fn port(&self, stage: &Stage, site: &str) -> Result<u16> {
        let start = Command::StartDatabase(self.named(site));
        supervisor::request(stage.dir(), &start).await?.parse().context("the supervisor answers with a port")
    }

    /// Ends the server of a site; its data go with it.
    pub(super) async fn lose_database(&self, stage: &Stage, site: &str) -> Result<()> {
        supervisor::request(stage.dir(), &Command::StopDatabase(self.named(site))).await.map(drop)
    }

    /// Removes everything that the store at a site holds.
    pub(super) fn lose_store(&self, site: &str) -> Result<()> {
        let folder = self.store_folder(site);
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))
    }

    fn store(&self, site: &str) -> Result<DynamicObject> {
        object(json!({
            "apiVersion": API, "kind": "BackupStore", "metadata": { "name": self.named(site) },
            "spec": {
                "displayNames": { "zh-CN": { "full": format!("{site} 备份库（演示）") }, "en": { "full": format!("Store at {site} (demo)") } },
                "site": site, "backend": { "filesystem": { "path": self.store_folder(site).display().to_string() } }
            }
        }))
    }

    /// The department's server and share at a site, under names that plans use; addresses and paths stand only there.
    async fn declare(&self, stage: &Stage, admin: &Client, site: &str) -> Result<()> {
        let server = self.database(stage, site).await?;
        let role = format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'");
        tokio::task::spawn_blocking(move || {
            server.sql("postgres", &role)?;
            server.sql("postgres", &format!("CREATE DATABASE {DATABASE} OWNER app"))
        })
        .await??;
        let files = self.files(site);
        std::fs::create_dir_all(&files).with_context(|| format!("make {}", files.display()))?;
        let secret = format!("database-{}", self.named(site));
        let sources = json!({ "spec": { "externalSources": {
            "databases": [{
                "name": "e-invoice", "department": DEPARTMENT, "host": "127.0.0.1", "port": self.port(stage, site).await?,
                "databases": [DATABASE], "secretName": secret
            }],
            "fileRoots": [{ "name": "e-invoice", "department": DEPARTMENT, "folder": "shares", "subpath": self.named(site) }]
        } } });
        Api::<Site>::all(admin.clone()).patch(site, &PatchParams::default(), &Patch::Merge(&sources)).await?;
        let login = [("username", "app".to_owned()), ("password", PASSWORD.to_owned())];
        self.secret(admin, (&secret, DEPARTMENT), login.into()).await
    }

    /// Databases of drills are made on a server of their own, by a user who may do nothing else.
    async fn server_for_drills(&self, stage: &Stage, admin: &Client) -> Result<()> {
        let name = self.named("drills");
        let port: u16 = supervisor::request(stage.dir(), &Command::StartDatabase(name.clone())).await?.parse()?;
        let server = Superuser::at(port)?;
        let role = format!("CREATE ROLE drill LOGIN CREATEDB PASSWORD '{PASSWORD}'");
        tokio::task::spawn_blocking(move || server.sql("postgres", &role)).await??;
        let server = json!({ "spec": { "drillServer": { "host": "127.0.0.1", "port": port, "secretName": name } } });
        Api::<Site>::all(admin.clone()).patch(AWAY, &PatchParams::default(), &Patch::Merge(&server)).await?;
        let login = [("username", "drill".to_owned()), ("password", PASSWORD.to_owned())];
        self.secret(admin, (&name, "drill"), login.into()).await
    }

    async fn secret(&self, admin: &Client, (name, of): (&str, &str), text: Vec<(&str, String)>) -> Result<()> {
        let secret = Secret {
            metadata: kube::api::ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some([("zhengyun.io/department".to_owned(), of.to_owned())].into()),
                ..Default::default()
            },
            string_data: Some(text.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ..Default::default()
        };
        Api::<Secret>::namespaced(admin.clone(), "zhengyun-system").create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    fn key_name(&self) -> String {
        format!("key-finance-{}", self.suffix)
    }

    /// The department's key of 32 bytes, made for this run.
    async fn key(&self, admin: &Client) -> Result<()> {
        let mut key = [0_u8; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
        self.secret(admin, (&self.key_name(), DEPARTMENT), vec![("key", data_encoding::BASE64.encode(&key))]).await
    }

    /// Drills are charged to a department of their own, with a quota where they take place.
    async fn room_for_drills(&self, admin: &Client) -> Result<()> {
        let department = object(json!({
            "apiVersion": API, "kind": "Department", "metadata": { "name": "drill" },
            "spec": {
                "type": "Institution", "level": "Region", "parent": "neimenggu",
                "displayNames": { "zh-CN": { "full": "灾备演练" }, "en": { "full": "Recovery drills" } }
            }
        }))?;
        let quota = object(json!({
            "apiVersion": API, "kind": "DepartmentQuota", "metadata": { "name": "drill" },
            "spec": { "limits": [{ "site": AWAY, "hard": { "cpu": "8", "memory": "32Gi" } }] }
        }))?;
        world::apply(admin, &[department, quota]).await?;
        let quotas: Api<DepartmentQuota> = Api::all(admin.clone());
        settled("the quota of drills is in force", SOON, || async {
            let conditions = quotas.get("drill").await?.status.unwrap_or_default().conditions;
            let ready = condition::find(&conditions, ConditionType::Ready).map(|c| c.message.clone());
            let is = condition::is_true(&conditions, ConditionType::Ready);
            Ok(if is { Ok(()) } else { Err(ready.unwrap_or_default()) })
        })
        .await
    }

    async fn granted(&self, stage: &Stage, site: &str) -> Result<(String, String)> {
        let name = format!("e-invoice-{}", self.named(site));
        let clerk = stage.door(CLERK)?;
        let order = json!({
            "action": "Create", "system": "finance-e-invoice", "site": site, "class": "Test",
            "justification": "财政电子票据灾备",
            "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "4", "memory": "8Gi" } }]
        });
        clerk.create(DEPARTMENT, &name, &order).await?;
        settled(&format!("request {name} can be submitted"), SOON, || async {
            Ok(clerk.submit(DEPARTMENT, &name).await.map(drop).map_err(|error| error.to_string()))
        })
        .await?;
        let grant = scenes::granted(stage, DEPARTMENT, &name).await?;
        let namespace = scenes::grant_in(stage, DEPARTMENT, &grant, "InService", |grant| {
            let status = grant.status.clone().unwrap_or_default();
            (status.phase == Some(GrantPhase::InService)).then_some(status.namespace).flatten()
        })
        .await?;
        Ok((grant, namespace))
    }

    /// One plan for everything that the system consists of; its copies are drilled. Gives its name.
    pub(super) async fn plan(&self, stage: &Stage, out: &mut dyn FnMut(&str)) -> Result<String> {
        let name = format!("e-invoice-{}", self.suffix);
        let [home, _] = &self.grants;
        out(
            "clerk-finance writes a recovery plan for the space, the database and the files: RPO 6 h, RTO 1 h, a copy in each store",
        );
        let plan = json!({
            "apiVersion": API, "kind": "RecoveryPlan", "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "system": "finance-e-invoice", "level": 2, "ceiling": "10Gi",
                "sources": [
                    { "name": SPACE, "origin": { "namespace": { "grant": home.0 } } },
                    { "name": ROWS, "origin": { "database": { "site": HOME, "endpoint": "e-invoice", "database": DATABASE } } },
                    { "name": FILES, "origin": { "files": { "site": HOME, "root": "e-invoice" } } }
                ],
                // The story asks for its backups and drills itself.
                "schedule": { "cron": "0 3 1 1 *" }, "retention": { "last": 7 },
                "drill": { "schedule": { "cron": "0 4 1 1 *" }, "site": AWAY },
                "copies": self.stores().map(|store| json!({ "store": store })),
                "objectives": { "rpo": "6h", "rto": "1h" }, "encryption": { "secretName": self.key_name() }
            }
        });
        world::apply(&stage.client_of(CLERK).await?, &[object(plan)?]).await?;
        runs::plan_says(stage, &name, |plan| condition::find(&plan.conditions, ConditionType::Ready).is_some()).await?;
        Ok(name)
    }

    /// Where a source goes at the other site.
    pub(super) fn redirect(&self, source: &str) -> Value {
        let [_, away] = &self.grants;
        match source {
            SPACE => json!({ "source": source, "grant": away.0 }),
            ROWS => {
                json!({ "source": source, "database": { "site": AWAY, "endpoint": "e-invoice", "database": DATABASE } })
            }
            _ => json!({ "source": source, "files": { "site": AWAY, "root": "e-invoice", "subpath": RESTORED } }),
        }
    }
}

fn without_stages() -> Result<DynamicObject> {
    object(json!({
        "apiVersion": API, "kind": "ApprovalPolicy", "metadata": { "name": "demo-recovery" },
        "spec": {
            "displayNames": { "zh-CN": { "full": "灾备演示免审批" }, "en": { "full": "No stages, for the recovery demo" } },
            "match": "request.action == 'Create' && request.class == 'Test'", "priority": 900,
            "autoApprove": { "basis": "a demo" }, "confirm": "Auto", "holdSeconds": 0
        }
    }))
}
