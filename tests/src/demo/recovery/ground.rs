//! What administrators declare and the department orders before anything can be protected.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use zhengyun_crds::{ConditionType, DepartmentQuota, Site, condition};

use super::{FILES, ROWS, SPACE};
use crate::demo::parts::{self, API, Desk, SOON, object};
use crate::demo::{Stage, runs};
use crate::lab::postgres::{PASSWORD, Superuser};
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

/// What was made for one run of the story; a rerun makes its own.
#[derive(Debug)]
pub(super) struct Ground {
    suffix: String,
    lab: PathBuf,
    /// Grant and namespace at each site.
    grants: [(String, String); 2],
}

/// Where the department's clerk works.
pub(super) const fn desk(stage: &Stage) -> Desk<'_> {
    Desk { stage, department: DEPARTMENT, clerk: CLERK }
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
            world::apply(&admin, &[parts::store(&ground.named(site), site, &ground.store_folder(site))?]).await?;
            ground.declare(stage, &admin, site).await?;
        }
        parts::key(&admin, &ground.key_name(), DEPARTMENT).await?;
        out(&format!(
            "cloud-admin gives drills their room at {AWAY}: a quota, a folder, and a database server that nobody works with"
        ));
        ground.room_for_drills(&admin).await?;
        parts::server_for_drills(stage, &admin, &ground.named("drills"), AWAY).await?;
        out("财政厅 gets a container space for 财政电子票据 at each site (approved by a policy of the demo)");
        world::apply(&admin, &[parts::without_stages()?]).await?;
        for (at, site) in [HOME, AWAY].into_iter().enumerate() {
            let name = format!("e-invoice-{}", ground.named(site));
            let granted = parts::space(&desk(stage), &name, ("finance-e-invoice", site), "财政电子票据灾备").await?;
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
        Superuser::at(parts::database_port(stage, &self.named(site)).await?)
    }

    /// Ends the server of a site; its data go with it.
    pub(super) async fn lose_database(&self, stage: &Stage, site: &str) -> Result<()> {
        parts::end_database(stage, &self.named(site)).await
    }

    /// Removes everything that the store at a site holds.
    pub(super) fn lose_store(&self, site: &str) -> Result<()> {
        let folder = self.store_folder(site);
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))
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
                "name": "e-invoice", "department": DEPARTMENT, "host": "127.0.0.1", "port": parts::database_port(stage, &self.named(site)).await?,
                "databases": [DATABASE], "secretName": secret
            }],
            "fileRoots": [{ "name": "e-invoice", "department": DEPARTMENT, "folder": "shares", "subpath": self.named(site) }]
        } } });
        Api::<Site>::all(admin.clone()).patch(site, &PatchParams::default(), &Patch::Merge(&sources)).await?;
        parts::secret(admin, (&secret, DEPARTMENT), parts::login("app")).await
    }

    fn key_name(&self) -> String {
        format!("key-finance-{}", self.suffix)
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
        runs::plan_says(&desk(stage), &name, |plan| condition::find(&plan.conditions, ConditionType::Ready).is_some())
            .await?;
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
