//! The ground of the scenes: a department with a grant at one site and another one elsewhere, a store, a key, a plan.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::{BackupStore, GrantPhase, RecoveryPlan, ResourceGrant};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::lab::{Component, LabOptions};
use zhengyun_tests::town::{Town, phase_of, said};
use zhengyun_tests::world;
use zhengyun_tests::world::content::{self, Content};

use super::OBJECTS;

pub(crate) const DEPARTMENT: &str = "finance";
pub(crate) const NAMESPACE: &str = "dept-finance";
pub(crate) const CLERK: &str = "clerk-finance";
pub(crate) const STORE: &str = "hohhot-1";
/// Of each object.
const BYTES: usize = 12_000;
/// Longest wait for what takes seconds; a build beside it makes it slower.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// A damaged pack, and how to mend it: file and content.
pub(crate) type Damage = (String, (PathBuf, Vec<u8>));

pub(crate) struct Ground {
    // Ends before the folder goes.
    recovering: std::sync::Mutex<Option<Arc<Component>>>,
    pub(crate) town: Town,
    folder: tempfile::TempDir,
    home: ResourceGrant,
    away: ResourceGrant,
    /// Grant of the same department at the other site.
    pub(crate) elsewhere: String,
    /// Grant of another department.
    pub(crate) others: String,
}

fn object(value: Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(value)?)
}

impl Ground {
    pub(crate) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["stores", "exports", "returns", "drills"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        let flags = vec!["--identity".to_owned(), "first".to_owned(), "--lease-seconds".to_owned(), "4".to_owned()];
        let town = Town::start_with(LabOptions::new(&["hohhot", "ulanqab"])?, &flags).await?;
        world::apply(&town.client_of("cloud-admin")?, &[without_stages()?]).await?;
        let space =
            || json!([{ "item": "container-space", "name": "space", "parameters": { "cpu": "2", "memory": "2Gi" } }]);
        let home = granted(&town, DEPARTMENT, CLERK, "finance-e-invoice", "hohhot", "home", space()).await?;
        let away = granted(&town, DEPARTMENT, CLERK, "finance-e-invoice", "ulanqab", "away", space()).await?;
        let theirs =
            granted(&town, "emergency", "clerk-emergency", "smart-emergency", "hohhot", "theirs", space()).await?;
        let client = town.site_admin("hohhot")?;
        content::make(&client, namespace_of(&home)?, 0, OBJECTS, BYTES).await?;
        Ok(Self {
            recovering: std::sync::Mutex::default(),
            elsewhere: away.name_any(),
            others: theirs.name_any(),
            town,
            folder,
            home,
            away,
        })
    }

    /// The store, the key and the plan, each written by whoever writes it in life.
    pub(crate) async fn register(&self) -> Result<()> {
        let admin = self.town.client_of("cloud-admin")?;
        self.add_store(STORE, "hohhot").await?;
        let key = Secret {
            metadata: kube::api::ObjectMeta {
                name: Some("key-finance".to_owned()),
                labels: Some([("zhengyun.io/department".to_owned(), DEPARTMENT.to_owned())].into()),
                ..Default::default()
            },
            string_data: Some([("key".to_owned(), data_encoding::BASE64.encode(&[7; 32]))].into()),
            ..Default::default()
        };
        Api::<Secret>::namespaced(admin, "zhengyun-system").create(&PostParams::default(), &key).await?;
        let plan = object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryPlan",
            "metadata": { "name": "e-invoice", "namespace": NAMESPACE },
            "spec": {
                "system": "finance-e-invoice", "level": 1, "ceiling": "10Gi",
                "sources": [{ "name": "space", "origin": { "namespace": { "grant": self.home.name_any() } } }],
                "schedule": { "cron": "0 0 1 1 *" }, "retention": { "last": 7 }, "copies": [{ "store": STORE }],
                "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key-finance" }
            }
        }))?;
        world::apply(&self.town.client_of(CLERK)?, &[plan]).await?;
        self.ask_backup("first", false).await
    }

    pub(crate) async fn add_store(&self, name: &str, site: &str) -> Result<()> {
        let path = self.root().join(name).display().to_string();
        world::apply(&self.town.client_of("cloud-admin")?, &[store(name, site, &path)?]).await
    }

    /// Where the department's repository in a store lies.
    pub(crate) fn repository(&self, store: &str) -> PathBuf {
        self.root().join(store).join(DEPARTMENT)
    }

    pub(crate) async fn plan_uid(&self) -> Result<String> {
        self.uid_of_plan("e-invoice").await
    }

    pub(crate) async fn uid_of_plan(&self, plan: &str) -> Result<String> {
        let plans: Api<RecoveryPlan> = Api::namespaced(self.town.admin()?, NAMESPACE);
        plans.get(plan).await?.uid().context("a plan has a UID")
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("stores")
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.folder.path().join("own/runs")
    }

    /// Ends the operator that has no place for runs, and starts one that has.
    pub(crate) async fn restart_operator_with_recovery(&self) -> Result<()> {
        self.town.operator().stop().await?;
        self.start_operator("second", &[])
    }

    /// Ends the operator that carries out runs, and starts one with more flags, and with folders for file trees.
    pub(crate) async fn restart_operator_with(&self, more: &[&str]) -> Result<()> {
        self.operator().stop().await?;
        let folder = |name: &str| format!("{name}={}", self.folder(name).display());
        let (read, written) = (folder("exports"), folder("returns"));
        let drills = format!("ulanqab={}", self.folder("drills").display());
        let folders = ["--file-root", &read, "--writable-file-root", &written, "--drill-folder", &drills];
        self.start_operator("third", &[more, &folders].concat())
    }

    /// A folder beside those of the operator.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start_operator(&self, identity: &str, more: &[&str]) -> Result<()> {
        let path = |path: PathBuf| path.display().to_string();
        let flags = [
            ("--identity", identity.to_owned()),
            ("--lease-seconds", "4".to_owned()),
            ("--recovery-dir", path(self.folder.path().join("own"))),
            ("--backup-root", path(self.root())),
        ];
        let mut flags: Vec<String> = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        let operator = Arc::new(self.town.lab().start_operator(&format!("recovery-{identity}"), &flags)?);
        *self.recovering.lock().unwrap() = Some(operator);
        Ok(())
    }

    /// The department's grant with its objects.
    pub(crate) fn home_grant(&self) -> String {
        self.home.name_any()
    }

    /// One more grant of the department, without anything in it.
    pub(crate) async fn space(&self, name: &str) -> Result<ResourceGrant> {
        let items =
            json!([{ "item": "container-space", "name": "space", "parameters": { "cpu": "1", "memory": "1Gi" } }]);
        granted(&self.town, DEPARTMENT, CLERK, "finance-e-invoice", "hohhot", name, items).await
    }

    /// A grant of the department with a database, delivered as far as the lab delivers one.
    pub(crate) async fn delivered_database(&self) -> Result<ResourceGrant> {
        let items = json!([{
            "item": "postgresql", "name": "db",
            "parameters": { "instances": 1, "cpu": "250m", "memory": "512Mi", "storage": "1Gi" }
        }]);
        granted(&self.town, DEPARTMENT, CLERK, "finance-e-invoice", "hohhot", "database", items).await
    }

    /// The operator that carries out runs.
    pub(crate) fn operator(&self) -> Arc<Component> {
        self.recovering.lock().unwrap().clone().expect("it was started")
    }

    pub(crate) fn place(&self, site: &str) -> Result<&str> {
        namespace_of(if site == "hohhot" { &self.home } else { &self.away })
    }

    pub(crate) async fn content(&self, site: &str) -> Result<Content> {
        content::read(&self.town.site_admin(site)?, self.place(site)?).await
    }

    pub(crate) async fn same_content(&self, site: &str, wanted: &Content) -> Result<()> {
        let found = self.content(site).await?;
        for (key, value) in wanted {
            ensure!(found.get(key) == Some(value), "{key:?} at {site}: {:?}, was {value:?}", found.get(key));
        }
        ensure!(found.len() == wanted.len(), "{} objects at {site}, there were {}", found.len(), wanted.len());
        Ok(())
    }

    pub(crate) async fn destroy(&self, site: &str) -> Result<()> {
        content::destroy(&self.town.site_admin(site)?, self.place(site)?).await?;
        settled("everything destroyed", PATIENCE, || async {
            let left = self.content(site).await?.len();
            Ok(if left == 0 { Ok(()) } else { Err(format!("{left} are left")) })
        })
        .await
    }

    pub(crate) async fn add_objects(&self, count: usize) -> Result<()> {
        content::make(&self.town.site_admin("hohhot")?, self.place("hohhot")?, OBJECTS, count, BYTES).await
    }

    pub(crate) async fn change(&self, site: &str, map: &str, patch: Value) -> Result<()> {
        let client = self.town.site_admin(site)?;
        let api: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(client, self.place(site)?);
        api.patch(map, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    pub(crate) async fn store_says(&self, wanted: &str) -> Result<String> {
        self.store_named_says(STORE, wanted).await
    }

    pub(crate) async fn store_named_says(&self, name: &str, wanted: &str) -> Result<String> {
        let api: Api<BackupStore> = Api::all(self.town.admin()?);
        settled(&format!("store {name} says {wanted}"), PATIENCE, || async {
            let seen = said(&api.get(name).await?.status.unwrap_or_default().conditions);
            Ok(if seen.contains(wanted) { Ok(seen) } else { Err(seen) })
        })
        .await
    }

    pub(crate) async fn store_is_measured(&self) -> Result<()> {
        let api: Api<BackupStore> = Api::all(self.town.admin()?);
        settled("the store is Ready, pinned and measured", PATIENCE, || async {
            let status = api.get(STORE).await?.status.unwrap_or_default();
            let ready = said(&status.conditions).starts_with("Ready=True");
            let used = status.used.as_ref().and_then(|u| u.as_str().parse::<u64>().ok()).unwrap_or(0);
            let seen = format!("{} {:?} {} {used}", said(&status.conditions), status.identity, status.backups);
            let good = ready && status.identity.is_some() && used > 10_000;
            Ok(if good { Ok(()) } else { Err(seen) })
        })
        .await
    }

    /// The password that opens the repository without the hub is shown to whoever may read the Secret, and opens it.
    pub(crate) async fn escrow_is_shown(&self) -> Result<()> {
        self.listed_in(STORE).await.map(drop)
    }

    /// Snapshots of the signed backups in a store, as the worker tells whoever has the escrow password.
    pub(crate) async fn listed_in(&self, store: &str) -> Result<Vec<String>> {
        let secrets: Api<Secret> = Api::namespaced(self.town.admin()?, "zhengyun-system");
        let escrow = secrets.get(&format!("recovery-escrow.{store}.{DEPARTMENT}")).await?;
        let password = escrow.data.unwrap_or_default().remove("password").context("it holds a password")?;
        let file = self.folder.path().join(format!("escrow-{store}"));
        std::fs::write(&file, password.0)?;
        let worker = zhengyun_tests::lab::component::binary("zhengyun-worker")?;
        let output = std::process::Command::new(worker)
            .args(["snapshots", "--store"])
            .arg(self.repository(store))
            .arg("--escrow-file")
            .arg(&file)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let snapshots = report["backups"].as_array().context("a list of backups")?.iter();
        Ok(snapshots.filter_map(|backup| backup["snapshot"].as_str().map(str::to_owned)).collect())
    }

    /// After a run the account of recovery may not enter the namespace any more.
    pub(crate) async fn site_is_shut(&self, site: &str) -> Result<()> {
        let api: Api<RoleBinding> = Api::namespaced(self.town.site_admin(site)?, self.place(site)?);
        settled("the site shut for recovery", PATIENCE, || async {
            let all = api.list(&ListParams::default()).await?;
            let open: Vec<String> =
                all.iter().map(ResourceExt::name_any).filter(|name| name.starts_with("zhengyun-recovery")).collect();
            Ok(if open.is_empty() { Ok(()) } else { Err(format!("{open:?}")) })
        })
        .await
    }

    pub(crate) async fn outside_store_is_refused(&self) -> Result<()> {
        let admin = self.town.client_of("cloud-admin")?;
        let outside = self.folder.path().join("elsewhere").display().to_string();
        world::apply(&admin, &[store("outside", "hohhot", &outside)?]).await?;
        self.store_named_says("outside", "--backup-root").await?;
        ensure!(!self.folder.path().join("elsewhere").exists(), "nothing is made outside the administrator's folders");
        Ok(())
    }

    pub(crate) async fn somebody_elses_name_is_refused(&self) -> Result<()> {
        let body = self.backup_body("forged", "head-finance", false).await?;
        let api = world::api_of(&self.town.client_of(CLERK)?, &body).await?;
        match api.create(&PostParams::default(), &body).await {
            Err(error) if error.to_string().contains("spec.requestedBy must be you") => Ok(()),
            other => bail!("a run in somebody else's name: {other:?}"),
        }
    }

    /// Flips one byte of the largest pack; says which, and how it was.
    pub(crate) fn flip_one_byte(&self) -> Result<Damage> {
        flip(self.packs()?.pop().context("a repository has packs")?.1)
    }

    /// Flips one byte of every pack.
    pub(crate) fn flip_a_byte_everywhere(&self) -> Result<Vec<Damage>> {
        self.packs()?.into_iter().map(|(_, path)| flip(path)).collect()
    }

    /// The packs of the repository by size.
    fn packs(&self) -> Result<Vec<(u64, PathBuf)>> {
        let mut packs: Vec<(u64, PathBuf)> = Vec::new();
        let mut open = vec![self.root().join(STORE).join(DEPARTMENT).join("data")];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.metadata()?.is_dir() {
                    open.push(entry.path());
                } else {
                    packs.push((entry.metadata()?.len(), entry.path()));
                }
            }
        }
        packs.sort();
        Ok(packs)
    }
}

fn flip(path: PathBuf) -> Result<Damage> {
    let before = std::fs::read(&path)?;
    let mut flipped = before.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut permissions = std::fs::metadata(&path)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(&path, permissions)?;
    std::fs::write(&path, flipped)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, (path, before)))
}

fn namespace_of(grant: &ResourceGrant) -> Result<&str> {
    grant.status.as_ref().and_then(|s| s.namespace.as_deref()).context("a grant in service has a namespace")
}

fn store(name: &str, site: &str, path: &str) -> Result<DynamicObject> {
    object(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "BackupStore", "metadata": { "name": name },
        "spec": {
            "displayNames": { "zh-CN": { "full": "测试用备份库" }, "en": { "full": "A store for the test" } },
            "site": site, "backend": { "filesystem": { "path": path } }
        }
    }))
}

fn without_stages() -> Result<DynamicObject> {
    object(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": "recovery-test" },
        "spec": {
            "displayNames": { "zh-CN": { "full": "测试用免审批" }, "en": { "full": "No stages, for the test" } },
            "match": "(request.action == 'Create' || request.action == 'Revoke') && request.class == 'Test'", "priority": 900,
            "autoApprove": { "basis": "a test" }, "confirm": "Auto", "holdSeconds": 0
        }
    }))
}

async fn granted(
    town: &Town,
    department: &str,
    clerk: &str,
    system: &str,
    site: &str,
    name: &str,
    items: Value,
) -> Result<ResourceGrant> {
    let order = json!({
        "action": "Create", "system": system, "site": site, "class": "Test", "justification": "recovery",
        "items": items
    });
    settled(&format!("request {name} carried out"), PATIENCE, || async {
        let Ok(request) = town.request(department, name).await else {
            town.submit(clerk, department, name, &order).await?;
            return Ok(Err("submitted".to_owned()));
        };
        let status = request.status.unwrap_or_default();
        let Some(grant) = status.grant else {
            let seen = format!("{:?} {:?}", status.refusal, said(&status.conditions));
            return Ok(Err(seen));
        };
        let held = town.grant(department, &grant).await?;
        let seen = format!("{:?}: {}", phase_of(&held), said(&held.status.clone().unwrap_or_default().conditions));
        Ok(if phase_of(&held) == GrantPhase::InService { Ok(held) } else { Err(seen) })
    })
    .await
}
