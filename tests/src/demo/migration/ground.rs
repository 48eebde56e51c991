//! What stands in the room, and what administrators and departments declare before anything moves.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::{Timestamp, tz::TimeZone};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};
use zhengyun_crds::{ConditionType, DepartmentQuota, Site, condition};

use super::Sizes;
use super::application::SECTORS;
use super::share::Share;
use crate::demo::parts::{self, API, Desk, SOON, object};
use crate::demo::{Stage, runs};
use crate::lab::postgres::{PASSWORD, Superuser};
use crate::lab::wait::settled;
use crate::world;

/// Where the systems land.
pub(super) const HOME: &str = "hohhot";
/// Where the second copy of their backups is, and where drills take place.
const AWAY: &str = "ulanqab";
/// Database on both servers.
pub(super) const DATABASE: &str = "forest_chief";

/// A department with a system in the room; names are the fixtures'.
pub(super) struct Office {
    pub(super) department: &'static str,
    pub(super) clerk: String,
    pub(super) head: String,
    pub(super) system: &'static str,
    /// Names for people: of the department and of the system.
    pub(super) short: String,
    pub(super) title: String,
    /// What everything of it is called after in this run.
    pub(super) name: String,
    pub(super) grant: String,
    pub(super) share: Share,
    /// Where its files land.
    pub(super) landing: PathBuf,
}

impl Office {
    pub(super) fn desk<'a>(&'a self, stage: &'a Stage) -> Desk<'a> {
        Desk { stage, department: self.department, clerk: &self.clerk }
    }

    /// A file root of it as the room declares it, and the site for backups.
    fn in_room(&self, suffix: &str) -> Value {
        json!({ "name": self.name, "department": self.department, "folder": "rooms", "subpath": format!("{suffix}/{}", self.department) })
    }
}

/// What was made for one run of the story; a rerun makes its own.
pub(super) struct Ground {
    pub(super) suffix: String,
    lab: PathBuf,
    pub(super) forest: Office,
    pub(super) petitions: Office,
}

fn folder(lab: &std::path::Path, below: &str) -> Result<PathBuf> {
    let path = lab.join(below);
    std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
    Ok(path)
}

impl Ground {
    /// The room as it is used, the cloud as it waits.
    pub(super) async fn prepare(stage: &Stage, sizes: Sizes, out: &mut dyn FnMut(&str)) -> Result<Self> {
        let admin = stage.client_of("cloud-admin").await?;
        world::establish(&admin, &stage.watcher("hub").await?, out).await?;
        let (suffix, lab) = (stage.suffix(), stage.dir().canonicalize()?);
        let (forest, petitions) = (("forestry-grassland", "forest-chief"), ("petitions", "internet-petitions"));
        let forest = office(forest, &lab, &suffix, sizes.files).await?;
        let petitions = office(petitions, &lab, &suffix, sizes.files / 5).await?;
        let mut ground = Self { suffix, lab, forest, petitions };
        let kind = if ground.forest.share.is_volume {
            "volumes of their own: their closing is proven"
        } else {
            "ordinary folders, for mounting takes root: that nobody writes is declared and signed, and everything is read twice"
        };
        out(&format!("\nIn the machine room of {}, file shares are {kind}", ground.forest.short));
        ground.fill_database(stage, sizes.rows).await?;
        ground.tell_room(sizes, out);
        out("cloud-admin declares what may be read in the room and written at hohhot, and registers two backup stores");
        ground.declare(stage, &admin).await?;
        for office in [&ground.forest, &ground.petitions] {
            quota(&admin, office.department).await?;
        }
        world::apply(&admin, &[parts::without_stages()?]).await?;
        for office in [&mut ground.forest, &mut ground.petitions] {
            let place = (office.system, HOME);
            office.grant = parts::space(&office.desk(stage), &office.name, place, "机房迁云").await?.0;
            out(&format!("{} has a space at {HOME} for {}: grant {}", office.short, office.title, office.grant));
        }
        ground.plans(stage, &admin, out).await?;
        Ok(ground)
    }

    fn tell_room(&self, sizes: Sizes, out: &mut dyn FnMut(&str)) {
        let (forest, petitions) = (&self.forest, &self.petitions);
        out(&format!(
            "  {}'s {}: {} rows in PostgreSQL and {} files; {}'s {} as a guest: {} files",
            forest.short,
            forest.title,
            sizes.rows,
            sizes.files + 1,
            petitions.short,
            petitions.title,
            sizes.files / 5 + 1
        ));
        out(&format!(
            "  of {} only the file tree moves: nothing moves what it runs in a Kubernetes namespace yet",
            petitions.title
        ));
    }

    fn named(&self, what: &str) -> String {
        format!("{what}-{}", self.suffix)
    }

    pub(super) fn room(&self) -> String {
        self.named("forest-room")
    }

    /// Waves in their order.
    pub(super) fn waves(&self) -> [String; 2] {
        [self.named("wave-1"), self.named("wave-2")]
    }

    /// Both stores: the one beside the system first.
    pub(super) fn stores(&self) -> [String; 2] {
        [self.named("near"), self.named("far")]
    }

    /// The servers in the room and on the cloud.
    pub(super) fn servers(&self) -> [String; 2] {
        [self.named("forest-room"), self.named("forest-cloud")]
    }

    fn server_of_drills(&self) -> String {
        self.named("forest-drills")
    }

    /// Folder in which the operator keeps the movers that run.
    pub(super) fn runs(&self) -> PathBuf {
        self.lab.join("recovery/runs")
    }

    async fn fill_database(&self, stage: &Stage, rows: u64) -> Result<()> {
        let [room, cloud] = self.servers();
        let room = Superuser::at(parts::database_port(stage, &room).await?)?;
        let cloud = Superuser::at(parts::database_port(stage, &cloud).await?)?;
        tokio::task::spawn_blocking(move || {
            let role = format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE {DATABASE}");
            room.sql("postgres", &role)?;
            room.sql(DATABASE, &patrols(rows))?;
            cloud.sql("postgres", &format!("CREATE DATABASE {DATABASE}"))
        })
        .await??;
        Ok(())
    }

    /// Addresses and folders stand only in what the administrator declares; migrations and plans name them.
    async fn declare(&self, stage: &Stage, admin: &Client) -> Result<()> {
        let [room, cloud] = self.servers();
        let secret = self.named("database-forest");
        let database = |name: &str, port: u16| {
            json!({
                "name": name, "department": self.forest.department, "host": "127.0.0.1", "port": port,
                "databases": [DATABASE], "secretName": secret
            })
        };
        let old = database(&room, parts::database_port(stage, &room).await?);
        let new = database(&cloud, parts::database_port(stage, &cloud).await?);
        let shares = [self.forest.in_room(&self.suffix), self.petitions.in_room(&self.suffix)];
        let landings = [&self.forest, &self.petitions].map(|office| {
            json!({
                "name": format!("{}-landing", office.name), "department": office.department,
                "folder": "shares", "subpath": format!("{}-{}", self.suffix, office.department)
            })
        });
        // Backups name the sources in the room through the site as well.
        let at_site = json!({ "spec": { "externalSources": {
            "databases": [old, new], "fileRoots": shares.iter().chain(&landings).collect::<Vec<_>>()
        } } });
        let sites: Api<Site> = Api::all(admin.clone());
        sites.patch(HOME, &PatchParams::default(), &Patch::Merge(&at_site)).await?;
        // A source is given up only once backups stand at two places that do not fail together.
        let apart = json!({ "spec": { "failureDomains": { "carrier": "another" } } });
        sites.patch(AWAY, &PatchParams::default(), &Patch::Merge(&apart)).await?;
        parts::secret(admin, (&secret, self.forest.department), parts::login("postgres")).await?;
        parts::server_for_drills(stage, admin, &self.server_of_drills(), AWAY).await?;
        let [near, far] = self.stores();
        let stores = [(near, HOME), (far, AWAY)]
            .map(|(name, site)| parts::store(&name, site, &self.lab.join("stores").join(&name)))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        world::apply(admin, &stores).await?;
        let room = self.room_of(&json!({ "databases": [old], "fileRoots": shares }))?;
        world::apply(admin, &[room]).await
    }

    fn room_of(&self, sources: &Value) -> Result<DynamicObject> {
        let name = format!("{}机房", self.forest.short);
        let hosted = [&self.forest, &self.petitions];
        object(json!({
            "apiVersion": API, "kind": "MachineRoom", "metadata": { "name": self.room() },
            "spec": {
                "displayNames": { "zh-CN": { "full": name }, "en": { "full": "Machine room of the forestry bureau (demo)" } },
                "department": self.forest.department, "location": { "address": "呼和浩特" }, "networks": ["10.20.0.0/16"],
                "systems": hosted.map(|office| json!({ "department": office.department, "system": office.system })),
                "sources": sources
            }
        }))
    }

    /// A recovery plan for each system: its backups prove that the source can be brought back, its drills rehearse the cutover.
    async fn plans(&self, stage: &Stage, admin: &Client, out: &mut dyn FnMut(&str)) -> Result<()> {
        let [room, _] = self.servers();
        let database = json!({ "name": "patrols", "origin": { "database": { "site": HOME, "endpoint": room, "database": DATABASE } } });
        let files =
            |office: &Office| json!({ "name": "photos", "origin": { "files": { "site": HOME, "root": office.name } } });
        for (office, sources) in
            [(&self.forest, json!([database, files(&self.forest)])), (&self.petitions, json!([files(&self.petitions)]))]
        {
            let key = format!("key-{}", office.name);
            parts::key(admin, &key, office.department).await?;
            let plan = json!({
                "apiVersion": API, "kind": "RecoveryPlan",
                "metadata": { "name": office.name, "namespace": office.desk(stage).namespace() },
                "spec": {
                    "system": office.system, "level": 2, "ceiling": "10Gi", "sources": sources,
                    // The story asks for its backups and drills itself.
                    "schedule": { "cron": "0 3 1 1 *" }, "retention": { "last": 7 },
                    "drill": { "schedule": { "cron": "0 4 1 1 *" }, "site": AWAY },
                    "copies": self.stores().map(|store| json!({ "store": store })),
                    "objectives": { "rpo": "6h", "rto": "1h" }, "encryption": { "secretName": key }
                }
            });
            world::apply(&stage.client_of(&office.clerk).await?, &[object(plan)?]).await?;
            let said = |plan: &zhengyun_crds::recovery::RecoveryPlanStatus| {
                condition::find(&plan.conditions, ConditionType::Ready).is_some()
            };
            runs::plan_says(&office.desk(stage), &office.name, said).await?;
        }
        out(
            "Each department writes a recovery plan: its backups prove that the source can be brought back, its drills rehearse the cutover",
        );
        Ok(())
    }

    /// What stood in the room, and what only the story needed, is switched off; what runs on the cloud goes on.
    pub(super) async fn clear(&self, stage: &Stage) -> Result<()> {
        let [room, _] = self.servers();
        parts::end_database(stage, &room).await?;
        parts::end_database(stage, &self.server_of_drills()).await
    }
}

/// A wave of one migration, whose change window is open and stays so for hours.
pub(super) fn wave(name: &str, office: &Office, after: &Value) -> Result<DynamicObject> {
    let hour = Timestamp::now().to_zoned(TimeZone::UTC).hour();
    object(json!({
        "apiVersion": API, "kind": "MigrationWave", "metadata": { "name": name },
        "spec": {
            "displayNames": { "zh-CN": { "full": format!("{}迁移批次（演示）", office.short) }, "en": { "full": "Wave (demo)" } },
            "timeZone": "UTC", "maxFailures": 1, "after": after,
            "members": [{ "department": office.department, "migration": office.name }],
            "windows": [{ "opens": format!("0 {hour} * * *"), "length": "1d" }]
        }
    }))
}

async fn office(
    (department, system): (&'static str, &'static str),
    lab: &std::path::Path,
    suffix: &str,
    files: u64,
) -> Result<Office> {
    let unit =
        world::units()?.into_iter().find(|unit| unit.slug == department).context("a department of the fixtures")?;
    let row = world::systems()?.into_iter().find(|row| row.slug == system).context("a system of the fixtures")?;
    let path = folder(lab, &format!("rooms/{suffix}"))?.join(department);
    let share = tokio::task::spawn_blocking(move || Share::make(path, files)).await??;
    Ok(Office {
        department,
        clerk: format!("clerk-{department}"),
        head: format!("head-{department}"),
        system,
        short: unit.short_zh,
        title: row.name_zh,
        name: format!("{system}-{suffix}"),
        grant: String::new(),
        share,
        landing: folder(lab, &format!("files/{suffix}-{department}"))?.join("landed"),
    })
}

/// The region's quota refuses departments that have none of their own.
async fn quota(admin: &Client, department: &str) -> Result<()> {
    let hard = json!({ "cpu": "16", "memory": "64Gi", "storage.block": "1Ti", "storage.object": "1Ti", "storage.backup": "1Ti" });
    let limits = [HOME, AWAY].map(|site| json!({ "site": site, "hard": hard }));
    let quota = object(json!({
        "apiVersion": API, "kind": "DepartmentQuota", "metadata": { "name": department },
        "spec": { "limits": limits, "unlistedChildren": "Refuse" }
    }))?;
    world::apply(admin, &[quota]).await?;
    let quotas: Api<DepartmentQuota> = Api::all(admin.clone());
    settled(&format!("the quota of {department} is in force"), SOON, || async {
        let conditions = quotas.get(department).await?.status.unwrap_or_default().conditions;
        let said = condition::find(&conditions, ConditionType::Ready).map(|c| c.message.clone());
        let is = condition::is_true(&conditions, ConditionType::Ready);
        Ok(if is { Ok(()) } else { Err(said.unwrap_or_default()) })
    })
    .await
}

/// Patrols by sector, and where the application numbers its commits; nothing keeps a number from being there twice.
fn patrols(rows: u64) -> String {
    format!(
        "GRANT CREATE ON SCHEMA public TO app; SET ROLE app;
         CREATE TABLE sector (id int PRIMARY KEY, banner text NOT NULL, chief text NOT NULL, visits bigint NOT NULL DEFAULT 0);
         INSERT INTO sector SELECT n, '旗县 ' || n % 103, '林长 ' || n FROM generate_series(1, {SECTORS}) n;
         CREATE TABLE patrol (id bigserial PRIMARY KEY, sector int NOT NULL REFERENCES sector, ranger text NOT NULL,
                              kilometres numeric(8, 2), note text);
         INSERT INTO patrol (sector, ranger, kilometres, note)
         SELECT n % {SECTORS} + 1, '护林员 ' || n % 4001, n % 3000 / 100.0, md5(n::text) FROM generate_series(1, {rows}) n;
         CREATE INDEX patrol_sector ON patrol (sector);
         CREATE VIEW walked AS SELECT sector, sum(kilometres) AS kilometres FROM patrol GROUP BY sector;
         CREATE TABLE commit_log (id bigserial PRIMARY KEY, n bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
         ANALYZE sector, patrol"
    )
}
