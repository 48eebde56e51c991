//! The ground of the scenes: a machine room with a file share, a department with a grant on the cloud, two stores, a plan and a wave.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::migration::MachineRoomStatus;
use zhengyun_crds::recovery::{BackupPhase, DrillPhase};
use zhengyun_crds::{BackupStore, GrantPhase, MachineRoom, RecoveryDrill, RecoveryPlan, Site, SystemBackup};
use zhengyun_tests::lab::LabOptions;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{Town, phase_of, said};
use zhengyun_tests::world;

use crate::moves::Migration;

pub(crate) const DEPARTMENT: &str = "finance";
pub(crate) const NAMESPACE: &str = "dept-finance";
pub(crate) const SYSTEM: &str = "finance-e-invoice";
pub(crate) const CLERK: &str = "clerk-finance";
pub(crate) const HEAD: &str = "head-finance";
pub(crate) const AUTHORITY: &str = "authority-chief";
pub(crate) const PROVIDER: &str = "provider-ops";
pub(crate) const ADMIN: &str = "cloud-admin";
pub(crate) const ROOM: &str = "old-room";
pub(crate) const MIGRATION: &str = "e-invoice-scans";
const PLAN: &str = "e-invoice";
/// Longest wait for what takes seconds; a build beside it makes it slower.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) struct Ground {
    pub(crate) town: Town,
    pub(crate) grant: String,
    /// Whether the share of the room is a volume of its own, which can be made read-only.
    pub(crate) is_volume: bool,
    folder: tempfile::TempDir,
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.is_volume {
            // What is left mounted would outlive the test.
            let _ = Command::new("umount").arg("--lazy").arg(self.share()).status();
        }
    }
}

pub(crate) fn object(value: Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(value)?)
}

pub(crate) fn names(chinese: &str, english: &str) -> Value {
    json!({ "zh-CN": { "full": chinese }, "en": { "full": english } })
}

impl Ground {
    pub(crate) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["stores", "room/share", "room/archive", "cloud", "drills"] {
            std::fs::create_dir_all(folder.path().join(name))?;
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        let is_volume = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "none"])
            .arg(folder.path().join("room/share"))
            .status()
            .is_ok_and(|status| status.success());
        let flags: Vec<String> = [
            ("--identity", "first".to_owned()),
            ("--lease-seconds", "4".to_owned()),
            ("--recovery-dir", path("own")),
            ("--backup-root", path("stores")),
            ("--file-root", format!("room={}", path("room"))),
            ("--writable-file-root", format!("cloud={}", path("cloud"))),
            ("--drill-folder", format!("ulanqab={}", path("drills"))),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        // The servers of databases are on this machine.
        .chain(["--lab-local-databases".to_owned()])
        .collect();
        let town = Town::start_with(LabOptions::new(&["hohhot", "ulanqab"])?, &flags).await?;
        let mut ground = Self { town, grant: String::new(), is_volume, folder };
        world::apply(&ground.town.client_of(ADMIN)?, &[without_stages()?]).await?;
        ground.grant = ground.granted().await?;
        Ok(ground)
    }

    /// A folder of the lab.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The share of the system in its room.
    pub(crate) fn share(&self) -> PathBuf {
        self.folder.path().join("room/share")
    }

    /// The folder of the system on the cloud.
    pub(crate) fn landing(&self) -> PathBuf {
        self.folder.path().join("cloud/e-invoice")
    }

    /// Where another workload lands.
    pub(crate) fn landing_of(&self, name: &str) -> PathBuf {
        self.folder.path().join("cloud").join(name)
    }

    /// Processes of movers that stand here, by name.
    pub(crate) fn runs(&self) -> Result<Vec<String>> {
        let all = std::fs::read_dir(self.folder.path().join("own/runs"))?;
        Ok(all.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    /// Everything that is registered before a migration is asked for.
    pub(crate) async fn register(&self) -> Result<()> {
        let admin = self.town.client_of(ADMIN)?;
        let store = |name: &str, site: &str| {
            let path = self.folder.path().join("stores").join(name).display().to_string();
            object(json!({
                "apiVersion": "zhengyun.io/v1alpha1", "kind": "BackupStore", "metadata": { "name": name },
                "spec": {
                    "displayNames": names("测试用备份库", "A store for the test"), "site": site,
                    "backend": { "filesystem": { "path": path } }
                }
            }))
        };
        let declared = json!({ "spec": { "externalSources": { "fileRoots": [
            { "name": "share", "department": DEPARTMENT, "folder": "room", "subpath": "share" },
            { "name": "landing", "department": DEPARTMENT, "folder": "cloud" },
        ] } } });
        let sites: Api<Site> = Api::all(admin.clone());
        sites.patch("hohhot", &PatchParams::default(), &Patch::Merge(&declared)).await?;
        // A source is given up for good only once backups stand at two places that do not fail together.
        let apart = json!({ "spec": { "failureDomains": { "carrier": "another" } } });
        sites.patch("ulanqab", &PatchParams::default(), &Patch::Merge(&apart)).await?;
        let room = object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "MachineRoom", "metadata": { "name": ROOM },
            "spec": {
                "displayNames": names("财政厅机房", "Machine room of the department of finance"),
                "department": DEPARTMENT, "location": { "address": "Hohhot" }, "networks": ["10.20.0.0/16"],
                "systems": [{ "department": DEPARTMENT, "system": SYSTEM }],
                "sources": { "fileRoots": [
                    { "name": "share", "department": DEPARTMENT, "folder": "room", "subpath": "share" }
                ] }
            }
        }))?;
        let wave = object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "MigrationWave", "metadata": { "name": "first" },
            "spec": {
                "displayNames": names("第一批", "First wave"), "timeZone": "UTC", "maxFailures": 1,
                "members": [{ "department": DEPARTMENT, "migration": MIGRATION }],
                "windows": [{ "opens": "0 0 * * 1", "length": "7d" }]
            }
        }))?;
        world::apply(&admin, &[store("near", "hohhot")?, store("far", "ulanqab")?, room, wave]).await?;
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
            "metadata": { "name": PLAN, "namespace": NAMESPACE },
            "spec": {
                "system": SYSTEM, "level": 1, "ceiling": "10Gi",
                "sources": [{ "name": "share", "origin": { "files": { "site": "hohhot", "root": "share" } } }],
                "schedule": { "cron": "0 0 1 1 *" }, "retention": { "last": 7 },
                "copies": [{ "store": "near" }, { "store": "far" }],
                "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key-finance" }
            }
        }))?;
        world::apply(&self.town.client_of(CLERK)?, &[plan]).await?;
        let stores: Api<BackupStore> = Api::all(self.town.admin()?);
        for name in ["near", "far"] {
            settled(&format!("store {name} takes backups"), PATIENCE, || async {
                let seen = said(&stores.get(name).await?.status.unwrap_or_default().conditions);
                Ok(if seen.contains("takes backups") { Ok(()) } else { Err(seen) })
            })
            .await?;
        }
        Ok(())
    }

    async fn plan_uid(&self) -> Result<String> {
        let plans: Api<RecoveryPlan> = Api::namespaced(self.town.admin()?, NAMESPACE);
        plans.get(PLAN).await?.uid().context("a plan has a UID")
    }

    /// A verified backup of the share.
    pub(crate) async fn back_up(&self, name: &str) -> Result<()> {
        let body = object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "SystemBackup",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": { "plan": PLAN, "planUID": self.plan_uid().await?, "trigger": "Manual", "requestedBy": CLERK }
        }))?;
        world::api_of(&self.town.client_of(CLERK)?, &body).await?.create(&PostParams::default(), &body).await?;
        let api: Api<SystemBackup> = Api::namespaced(self.town.admin()?, NAMESPACE);
        settled(&format!("backup {name} verified"), PATIENCE, || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            let seen = format!("{:?}: {}", status.phase, said(&status.conditions));
            Ok(if status.phase == Some(BackupPhase::Completed) { Ok(()) } else { Err(seen) })
        })
        .await
    }

    /// A drill that passed: what rehearses the cutover.
    pub(crate) async fn rehearse(&self, name: &str) -> Result<()> {
        let body = object(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryDrill",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "plan": PLAN, "planUID": self.plan_uid().await?, "store": "near", "site": "ulanqab",
                "trigger": "Manual", "requestedBy": CLERK
            }
        }))?;
        world::api_of(&self.town.client_of(CLERK)?, &body).await?.create(&PostParams::default(), &body).await?;
        let api: Api<RecoveryDrill> = Api::namespaced(self.town.admin()?, NAMESPACE);
        settled(&format!("drill {name} passed"), PATIENCE, || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            let seen = format!("{:?} {:?}: {}", status.phase, status.failure, said(&status.conditions));
            Ok(if status.phase == Some(DrillPhase::Passed) { Ok(()) } else { Err(seen) })
        })
        .await
    }

    async fn granted(&self) -> Result<String> {
        let order = json!({
            "action": "Create", "system": SYSTEM, "site": "hohhot", "class": "Test", "justification": "migration",
            "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "1", "memory": "1Gi" } }]
        });
        let town = &self.town;
        settled("the grant to land on is in service", PATIENCE, || async {
            let Ok(request) = town.request(DEPARTMENT, "landing").await else {
                town.submit(CLERK, DEPARTMENT, "landing", &order).await?;
                return Ok(Err("submitted".to_owned()));
            };
            let status = request.status.unwrap_or_default();
            let Some(grant) = status.grant else {
                return Ok(Err(format!("{:?} {}", status.refusal, said(&status.conditions))));
            };
            let held = town.grant(DEPARTMENT, &grant).await?;
            Ok(if phase_of(&held) == GrantPhase::InService { Ok(grant) } else { Err(format!("{:?}", phase_of(&held))) })
        })
        .await
    }

    pub(crate) fn rooms(&self, person: &str) -> Result<Api<MachineRoom>> {
        Ok(Api::all(self.town.client_of(person)?))
    }

    /// A migration of the department.
    pub(crate) fn of<'a>(&'a self, name: &'a str) -> Migration<'a> {
        Migration { ground: self, name }
    }

    /// Adds a record of the room's closure.
    pub(crate) async fn record(&self, person: &str, room: &str, phase: &str) -> Result<()> {
        let api = self.rooms(person)?;
        let seen = serde_json::to_value(api.get(room).await?)?;
        let mut records = seen["spec"]["records"].as_array().cloned().unwrap_or_default();
        let digest = format!("sha256:{}", "ab".repeat(32));
        records.push(json!({ "phase": phase, "title": format!("record of {phase}"), "digest": digest, "by": person }));
        let change = json!({ "spec": { "records": records } });
        api.patch(room, &PatchParams::default(), &Patch::Merge(&change)).await?;
        Ok(())
    }

    pub(crate) async fn room_is(&self, room: &str, phase: &str) -> Result<MachineRoomStatus> {
        let api = self.rooms(ADMIN)?;
        settled(&format!("the room {room} is {phase}"), PATIENCE, || async {
            let status = api.get(room).await?.status.unwrap_or_default();
            let seen = format!("{:?} {:?}: {}", status.phase, status.systems, said(&status.conditions));
            Ok(if status.phase.is_some_and(|found| found.as_str() == phase) { Ok(status) } else { Err(seen) })
        })
        .await
    }

    /// Ends the operator like a power cut, and starts another one.
    pub(crate) async fn operator_dies(&self) -> Result<()> {
        self.town.operator().kill9().await?;
        ensure!(!self.town.operator().is_running(), "it is dead");
        self.town.operator().start_again()
    }
}

fn without_stages() -> Result<DynamicObject> {
    object(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": "migration-test" },
        "spec": {
            "displayNames": names("测试用免审批", "No stages, for the test"),
            "match": "request.action == 'Create' && request.class == 'Test'", "priority": 900,
            "autoApprove": { "basis": "a test" }, "confirm": "Auto", "holdSeconds": 0
        }
    }))
}

/// Whether nobody but the mover's user gets into a folder.
pub(crate) fn is_closed(folder: &Path) -> Result<bool> {
    Ok(std::fs::metadata(folder)?.permissions().mode() & 0o777 == 0o700)
}

/// Everything in a tree by path: what is in each file; directories have no content.
pub(crate) fn tree(root: &Path) -> Result<std::collections::BTreeMap<PathBuf, Option<Vec<u8>>>> {
    let mut found = std::collections::BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let below = path.strip_prefix(root)?.to_owned();
            // The record of the migration is none of the system's.
            if below == Path::new(".zhengyun-migration") {
                continue;
            }
            if path.is_dir() {
                open.push(path);
                found.insert(below, None);
            } else {
                found.insert(below, Some(std::fs::read(&path)?));
            }
        }
    }
    Ok(found)
}
