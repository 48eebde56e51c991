//! The acts, from the registration of the room to its closure.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zhengyun_crds::MachineRoom;
use zhengyun_crds::recovery::{BackupPhase, DrillPhase};

use super::application::{Application, Side};
use super::ground::{DATABASE, Ground, HOME, Office, wave};
use super::moves::{Migration, Seen, bytes};
use super::share::{INDEX, Share};
use super::{Figures, WAY_BACK};
use crate::demo::files::sha256;
use crate::demo::{Stage, parts, runs};
use crate::lab::postgres::Superuser;
use crate::lab::wait::settled;
use crate::world;

const ADMIN: &str = "cloud-admin";
const AUTHORITY: &str = "authority-chief";
const PROVIDER: &str = "provider-ops";
const PATIENCE: Duration = Duration::from_mins(2);
/// In place of 30 days and 90 days.
const TRIAL: &str = "10s";
const RETENTION: &str = "5s";

pub(super) struct Story<'a> {
    pub(super) stage: &'a Stage,
    pub(super) ground: &'a Ground,
    pub(super) application: &'a Application,
}

impl<'a> Story<'a> {
    fn migration(&self, office: &'a Office) -> Result<Migration<'a>> {
        Migration::new(office.desk(self.stage), office.name.clone())
    }

    /// What operations staff see at the end of an act.
    fn tables(&self, out: &mut dyn FnMut(&str)) -> Result<()> {
        let (room, [first, second]) = (self.ground.room(), self.ground.waves());
        let of_room = format!("spec.room={room}");
        let looks = [
            vec!["get", "rooms", room.as_str()],
            vec!["get", "waves", first.as_str(), second.as_str()],
            vec!["get", "migrations", "--all-namespaces", "--field-selector", of_room.as_str()],
        ];
        for arguments in looks {
            out(&format!("\n$ kubectl {}", arguments.join(" ")));
            out(runs::kubectl(self.stage, &arguments)?.trim_end());
        }
        Ok(())
    }

    /// What both migrations have in common; `workloads` and `probes` are their own.
    fn spec(&self, office: &Office, workloads: &[Value], probes: &Value) -> Value {
        json!({
            "system": office.system, "room": self.ground.room(), "strategy": "Rehost", "grant": office.grant,
            "recoveryPlan": office.name, "workloads": workloads,
            "dependencies": [{ "name": "统一身份认证", "owner": "政务服务与数据管理局" }],
            "cutover": {
                "downtimeBudget": "10m", "approvers": [office.head], "inStepFor": "2s", "quiet": "1s", "probes": probes,
                "rollbackPlan": format!("open the source in the room again, {} answers for it", office.head)
            },
            "trial": { "length": TRIAL, "retention": RETENTION },
            "signers": { "department": [office.head], "authority": [AUTHORITY], "provider": [PROVIDER] }
        })
    }

    pub(super) async fn registered(&self, out: &mut dyn FnMut(&str)) -> Result<()> {
        let (forest, petitions) = (&self.ground.forest, &self.ground.petitions);
        out("\nAct 1. The room is assessed, and to be given up. Two systems are to leave it in two waves");
        self.record(ADMIN, "Assessed", out).await?;
        let withdraw = json!({ "spec": { "decision": { "withdraw": { "by": "2027-12-31" } } } });
        self.rooms(ADMIN).await?.patch(&self.ground.room(), &PatchParams::default(), &Patch::Merge(&withdraw)).await?;
        self.room_is("ToWithdraw", out).await?;
        let [first, second] = self.ground.waves();
        let gate = json!([{ "wave": first, "reached": "CutOver" }]);
        let waves = [wave(&first, forest, &json!([]))?, wave(&second, petitions, &gate)?];
        world::apply(&self.stage.client_of(ADMIN).await?, &waves).await?;
        let [room, cloud] = self.ground.servers();
        let database = json!({
            "name": "patrols", "source": { "database": { "endpoint": room, "database": DATABASE } },
            "target": { "database": { "site": HOME, "endpoint": cloud, "database": DATABASE } }
        });
        out(&format!(
            "  both clerks ask for a migration. Its trial is {TRIAL} long and what the source holds is kept for {RETENTION}, in place of 30 and 90 days"
        ));
        // A digest that no file has: the first cutover is to fail.
        let wrong = json!([{ "workload": "photos", "path": INDEX, "digest": format!("sha256:{}", "0".repeat(64)) }]);
        let asked = self.spec(forest, &[database, photos(forest)], &wrong);
        self.migration(forest)?.ask(asked).await?;
        let right = json!([{ "workload": "photos", "path": INDEX, "digest": Share::index_digest() }]);
        let guest = self.migration(petitions)?;
        guest.ask(self.spec(petitions, &[photos(petitions)], &right)).await?;
        out(&format!("  {}:", guest.name));
        let held = guest.waits("Scheduled", "WaveBefore", out).await?;
        out(&format!("  the gate of {second} holds it: {}", held.blocker.unwrap_or_default().message));
        self.tables(out)
    }

    /// Copied, compared and rehearsed.
    pub(super) async fn copied(&self, out: &mut dyn FnMut(&str)) -> Result<()> {
        let forest = &self.ground.forest;
        out(&format!("\nAct 2. {} is copied while it is written", forest.title));
        self.rehearsed(forest, "first", out).await?;
        self.tables(out)
    }

    /// From the copy to where its cutover can be approved.
    async fn rehearsed(&self, office: &'a Office, name: &str, out: &mut dyn FnMut(&str)) -> Result<()> {
        let migration = self.migration(office)?;
        let begun = Instant::now();
        let seen = migration.waits("Replicating", "NotRehearsed", out).await?;
        out(&format!(
            "  {} and {} items are there after {:.1} s, both sides are equal, the target follows",
            bytes(seen.progress.bytes_total),
            seen.progress.objects_total,
            begun.elapsed().as_secs_f64()
        ));
        office.share.write(&format!("written-{name}.txt"), name)?;
        let (desk, run) = (office.desk(self.stage), format!("{}-{name}", office.name));
        out(&format!(
            "  {} asks for a backup and for a drill, which rehearses the cutover on an isolated copy",
            office.clerk
        ));
        runs::backup(&desk, &office.name, &run, BackupPhase::Completed, out).await?;
        let [near, _] = self.ground.stores();
        let drill = runs::drill(&desk, &office.name, &near, &run, DrillPhase::Passed, out).await?;
        let took = drill.measured_rto.as_ref().map(ToString::to_string).context("a passed drill measured")?;
        out(&format!("  rehearsed in {took}"));
        migration.waits("Rehearsed", "AwaitingSignature", out).await.map(drop)
    }

    async fn approve(&self, office: &'a Office, out: &mut dyn FnMut(&str)) -> Result<Migration<'a>> {
        let migration = self.migration(office)?;
        let head = (office.head.as_str(), "Department");
        if !office.share.is_volume {
            migration.sign(head, ("DeclaredFreeze", "Cutover"), out).await?;
        }
        migration.sign(head, ("Cutover", "Cutover"), out).await?;
        Ok(migration)
    }

    /// A probe that does not pass takes the cutover back by itself.
    pub(super) async fn goes_back(&self, figures: &mut Figures, out: &mut dyn FnMut(&str)) -> Result<()> {
        let forest = &self.ground.forest;
        out("\nAct 3. The first cutover: a probe finds another file than it wants, and everything goes back by itself");
        let migration = self.approve(forest, out).await?;
        let back = migration.until("goes back", |seen| seen.went_back.is_some(), out).await?;
        let written = self.application.writes(Side::Room, back.since).await?;
        let (way_back, silent) = (written.acknowledged - back.since, self.application.silence_before(&written)?);
        let seen = migration.at("RolledBack", out).await?;
        ensure!(seen.traffic_admitted_at.is_none(), "applications never had the target: {seen:?}");
        let why = seen.went_back.context("it says why it went back")?.message;
        ensure!(why.contains("a probe did not pass"), "it went back for another reason: {why}");
        ensure!(way_back <= WAY_BACK, "the way back took {way_back:?}, and may take {WAY_BACK:?}");
        out(&format!("  why: {why}"));
        out(&format!(
            "  the source is open again and written to {:.1} s after the way back began; the application stood still for {:.1} s",
            way_back.as_secs_f64(),
            silent.as_secs_f64()
        ));
        figures
            .add("way back, to the first commit in the room", format!("{:.1} s (limit 60 s)", way_back.as_secs_f64()));
        figures.add("application stood still in the cutover that failed", format!("{:.1} s", silent.as_secs_f64()));
        self.tables(out)
    }

    /// The probe is mended, and this time the system runs on the cloud.
    pub(super) async fn cut_over(&self, figures: &mut Figures, out: &mut dyn FnMut(&str)) -> Result<()> {
        let forest = &self.ground.forest;
        out("\nAct 4. The probe is mended and the round raised: copied, compared and rehearsed again, then cut over");
        let probes = json!([{ "workload": "photos", "path": INDEX, "digest": Share::index_digest() }]);
        let migration = self.migration(forest)?;
        migration.change(json!({ "round": 1, "cutover": { "probes": probes } })).await?;
        self.rehearsed(forest, "second", out).await?;
        let approved = Instant::now();
        self.approve(forest, out).await?;
        let seen = migration.at("ParallelRun", out).await?;
        let written = self.application.writes(Side::Cloud, approved).await?;
        let silent = self.application.silence_before(&written)?;
        let files = forest.share.is_equal_to(&forest.landing)?;
        let size = self.both_hold_the_same().await?;
        let downtime = seen.downtime.clone().context("a cutover measures its downtime")?;
        out(&format!(
            "  neither side was open for {downtime} ({} to {}), with a database of {size} and {files} files; the application stood still for {:.1} s",
            seen.frozen_at.as_deref().unwrap_or_default(),
            seen.traffic_admitted_at.as_deref().unwrap_or_default(),
            silent.as_secs_f64()
        ));
        out(&format!(
            "  {}; patrols and files are equal on both sides by other means than the product's",
            freezes(&seen)
        ));
        figures.add("downtime, as the operator measured it", downtime);
        figures.add("downtime, as the application saw it", format!("{:.1} s", silent.as_secs_f64()));
        figures.add("database at the cutover", size);
        figures.add("files moved with it, equal on both sides", files.to_string());
        self.tables(out)
    }

    /// What the application does not change is the same on both servers, as they say themselves; the size of the database for people.
    async fn both_hold_the_same(&self) -> Result<String> {
        let mut servers = Vec::new();
        for name in self.ground.servers() {
            servers.push(Superuser::at(parts::database_port(self.stage, &name).await?)?);
        }
        let look = move || -> Result<(Vec<String>, String)> {
            let sum = "SELECT count(*), sum(hashtextextended(p::text, 0)) FROM patrol p";
            let sums = servers.iter().map(|server| server.sql(DATABASE, sum)).collect::<Result<_>>()?;
            let cloud = servers.last().context("there are two servers")?;
            Ok((sums, cloud.sql("postgres", &format!("SELECT pg_database_size('{DATABASE}')"))?))
        };
        let (sums, size) = tokio::task::spawn_blocking(look).await??;
        ensure!(sums.windows(2).all(|both| both.first() == both.last()), "patrols differ: {sums:?}");
        Ok(bytes(size.parse()?))
    }

    /// The gate is open: the guest's files follow.
    pub(super) async fn second_wave(&self, figures: &mut Figures, out: &mut dyn FnMut(&str)) -> Result<()> {
        let petitions = &self.ground.petitions;
        out(&format!(
            "\nAct 5. The second wave: {}'s files. What runs in a Kubernetes namespace does not move yet",
            petitions.title
        ));
        self.rehearsed(petitions, "first", out).await?;
        let migration = self.approve(petitions, out).await?;
        let seen = migration.at("ParallelRun", out).await?;
        let files = petitions.share.is_equal_to(&petitions.landing)?;
        let downtime = seen.downtime.clone().context("a cutover measures its downtime")?;
        out(&format!("  neither side was open for {downtime}, with {files} files; {}", freezes(&seen)));
        figures.add("second wave: downtime, files", format!("{downtime}, {files}"));
        self.tables(out)
    }

    /// The trial is over: three parties sign for each system.
    pub(super) async fn accepted(&self, out: &mut dyn FnMut(&str)) -> Result<()> {
        out(&format!("\nAct 6. The trial of {TRIAL} is over: department, authority and provider sign (迁云确认报告)"));
        for office in [&self.ground.forest, &self.ground.petitions] {
            let migration = self.migration(office)?;
            migration.waits("ParallelRun", "AwaitingSignature", out).await?;
            let parties = [(office.head.as_str(), "Department"), (AUTHORITY, "Authority"), (PROVIDER, "Provider")];
            for signer in parties {
                migration.sign(signer, ("Acceptance", "Acceptance"), out).await?;
            }
            migration.waits("Accepted", "SourceKept", out).await?;
        }
        self.room_is("Emptied", out).await?;
        self.tables(out)
    }

    /// The sources are closed for good, kept, and erased once two more people signed.
    pub(super) async fn erased(&self, out: &mut dyn FnMut(&str)) -> Result<()> {
        out(&format!(
            "\nAct 7. The sources are closed for good, kept for {RETENTION}, and erased by a second approval"
        ));
        for office in [&self.ground.forest, &self.ground.petitions] {
            let migration = self.migration(office)?;
            out(&format!(
                "  {} closes the source of {} for good: from here there is no way back",
                office.clerk, office.title
            ));
            migration.change(json!({ "closeSource": true })).await?;
            let kept = migration.waits("Retained", "AwaitingSignature", out).await?;
            out(&format!("  kept until {}", kept.retained_until.unwrap_or_default()));
            for signer in [(office.head.as_str(), "Department"), (AUTHORITY, "Authority")] {
                migration.sign(signer, ("Erasure", "Erasure"), out).await?;
            }
            migration.waits("Retained", "RecordMissing", out).await?;
            let record = format!("sha256:{}", sha256(format!("erased: {}", office.system).as_bytes()));
            migration.change(json!({ "erasureRecord": record })).await?;
            migration.at("Erased", out).await?;
            self.nothing_runs(&migration).await?;
        }
        out("  nothing is left of the processes that moved them");
        self.tables(out)
    }

    async fn nothing_runs(&self, migration: &Migration<'_>) -> Result<()> {
        let (uid, runs) = (migration.uid().await?, self.ground.runs());
        settled("nothing is left of its processes", PATIENCE, || async {
            let names = std::fs::read_dir(&runs)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let left: Vec<String> = names.filter(|run| run.starts_with(&uid)).collect();
            Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
        })
        .await
    }

    pub(super) async fn room_closed(&self, out: &mut dyn FnMut(&str)) -> Result<()> {
        out("\nAct 8. The room: media wiped, assets disposed of, lines cut, closed; the authority verifies it");
        for phase in ["Sanitised", "AssetsDisposed", "LinksCut", "Closed"] {
            self.record(ADMIN, phase, out).await?;
            self.room_is(phase, out).await?;
        }
        self.record(AUTHORITY, "Verified", out).await?;
        self.room_is("Verified", out).await?;
        self.tables(out)
    }

    async fn rooms(&self, person: &str) -> Result<Api<MachineRoom>> {
        Ok(Api::all(self.stage.client_of(person).await?))
    }

    /// Adds a record of the room's closure, with the digest of its document.
    async fn record(&self, person: &str, phase: &str, out: &mut dyn FnMut(&str)) -> Result<()> {
        let (api, room) = (self.rooms(person).await?, self.ground.room());
        let mut records = serde_json::to_value(api.get(&room).await?.spec.records)?;
        let title = format!("record of {phase}");
        let digest = format!("sha256:{}", sha256(title.as_bytes()));
        records
            .as_array_mut()
            .context("records are a list")?
            .push(json!({ "phase": phase, "title": title, "digest": digest, "by": person }));
        let change = json!({ "spec": { "records": records } });
        api.patch(&room, &PatchParams::default(), &Patch::Merge(&change)).await?;
        out(&format!("  {person} records {phase} with the digest of its document"));
        Ok(())
    }

    async fn room_is(&self, phase: &str, out: &mut dyn FnMut(&str)) -> Result<()> {
        let (api, room) = (self.rooms(ADMIN).await?, self.ground.room());
        settled(&format!("the room is {phase}"), PATIENCE, || async {
            let status = api.get(&room).await?.status.unwrap_or_default();
            let is = status.phase.is_some_and(|found| found.as_str() == phase);
            Ok(if is { Ok(()) } else { Err(format!("{:?} {:?}", status.phase, status.systems)) })
        })
        .await?;
        out(&format!("  the room is {phase}"));
        Ok(())
    }
}

/// The share of an office, as a workload.
fn photos(office: &Office) -> Value {
    json!({
        "name": "photos", "source": { "files": { "root": office.name } },
        "target": { "files": { "site": HOME, "root": format!("{}-landing", office.name), "subpath": "landed" } }
    })
}

/// How each source was closed.
fn freezes(seen: &Seen) -> String {
    let each = seen.workloads.iter().map(|work| {
        format!("{}: {}", work.name, work.freeze_strength.as_deref().unwrap_or("not closed").to_lowercase())
    });
    format!("closing of the source: {}", each.collect::<Vec<_>>().join(", "))
}
