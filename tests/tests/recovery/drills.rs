//! Drills at the other site: asked for by people and by a plan, without room, over a damaged copy, killed and cancelled.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zhengyun_crds::recovery::{
    BackupPhase, DrillPhase, DrillRecord, DrillTrigger, RecoveryDrillStatus, RecoveryPlanStatus,
};
use zhengyun_crds::{ConditionType as C, Department, DepartmentQuota, GrantPhase, RecoveryDrill, condition};
use zhengyun_tests::lab::wait::{settled, until_every};
use zhengyun_tests::town::{phase_of, said};
use zhengyun_tests::world;

use super::ground::{CLERK, DEPARTMENT, Ground, NAMESPACE, PATIENCE, STORE};
use super::{OBJECTS, is, runs};

/// Site of the drills: not the one of the source, nor of the store.
const SITE: &str = "ulanqab";

fn object(value: Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(value)?)
}

/// Without room a drill is skipped, and says what is missing; nothing is made.
pub(crate) async fn without_room(ground: &Ground) -> Result<()> {
    let skipped = ground.drill("no-department", DrillPhase::Skipped).await?;
    let told = skipped.failure.context("a skipped drill says why")?;
    ensure!(told.reason == "DrillSkipped" && told.message.contains("there is no department drill"), "{told:?}");
    let admin = ground.town.client_of("cloud-admin")?;
    let department = object(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "Department", "metadata": { "name": "drill" },
        "spec": {
            "type": "Institution", "level": "Region", "parent": "neimenggu",
            "displayNames": { "zh-CN": { "full": "灾备演练" }, "en": { "full": "Recovery drills" } }
        }
    }))?;
    world::apply(&admin, &[department]).await?;
    let departments: Api<Department> = Api::all(ground.town.admin()?);
    settled("the department of drills has its place", PATIENCE, || async {
        let status = departments.get("drill").await?.status.unwrap_or_default();
        Ok(if status.namespace.is_some() { Ok(()) } else { Err(said(&status.conditions)) })
    })
    .await?;
    // The grant whose copy is tried is charged two processors.
    room(ground, "1").await?;
    let skipped = ground.drill("no-room", DrillPhase::Skipped).await?;
    let told = skipped.failure.clone().context("a skipped drill says why")?;
    ensure!(told.message.contains("cpu") && told.message.contains("drill"), "{told:?}");
    ensure!(skipped.parts[0].scratch.is_none() && skipped.measured_rto.is_none(), "{skipped:?}");
    ground.nothing_is_left().await?;
    ground
        .plan_says("a skipped drill proves nothing", |plan| told_of(plan, C::ObjectiveMet) == ("DrillSkipped", false))
        .await?;
    room(ground, "2").await
}

fn told_of(plan: &RecoveryPlanStatus, type_: C) -> (&str, bool) {
    condition::find(&plan.conditions, type_)
        .map_or(("", false), |c| (c.reason.as_str(), c.status == zhengyun_crds::ConditionStatus::True))
}

/// The quota of the department that drills are charged to.
pub(crate) async fn room(ground: &Ground, cpu: &str) -> Result<()> {
    let quota = object(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "DepartmentQuota", "metadata": { "name": "drill" },
        "spec": { "limits": [{ "site": SITE, "hard": { "cpu": cpu, "memory": "8Gi" } }] }
    }))?;
    world::apply(&ground.town.client_of("cloud-admin")?, &[quota]).await?;
    let quotas: Api<DepartmentQuota> = Api::all(ground.town.admin()?);
    settled("the quota of drills is in force", PATIENCE, || async {
        let status = quotas.get("drill").await?.status.unwrap_or_default();
        let hard = status.adopted.first().and_then(|line| line.hard.get("cpu").map(|amount| format!("{amount:?}")));
        let seen = format!("{hard:?}, {}", said(&status.conditions));
        Ok(if hard.is_some_and(|hard| hard.contains(&format!("\"{cpu}\""))) { Ok(()) } else { Err(seen) })
    })
    .await
}

/// A plan with a drill at the other site: started by the schedule, measured, removed, and from then on the objective is met.
pub(crate) async fn scheduled(ground: &Ground) -> Result<()> {
    ground.hold_on(true).await?;
    ground.ask_backup("held", false).await?;
    ground.backup_ends("held", BackupPhase::Completed).await?;
    ground.hold_on(false).await?;
    ground
        .change_plan(json!({ "spec": {
            "paused": false, "schedule": { "cron": "0 0 1 1 *", "every": null },
            // Every minute since the plan was written: what passed meanwhile is made up for at once, by one drill.
            "drill": { "schedule": { "every": "1m" }, "site": SITE }
        } }))
        .await?;
    let begun = Instant::now();
    let name = ground.scheduled_drill().await?;
    ground.change_plan(json!({ "spec": { "paused": true } })).await?;
    let status = ground.drill_ends(&name, DrillPhase::Passed).await?;
    eprintln!(
        "drill of {OBJECTS} objects and more: {:.1} s, recovery time {:?}",
        begun.elapsed().as_secs_f64(),
        status.measured_rto
    );
    let coverage = status.coverage.clone().context("a drill that passed compared something")?;
    ensure!(coverage.objects_total >= i64::try_from(OBJECTS)?, "{coverage:?}");
    ensure!(coverage.objects_compared == coverage.objects_total && coverage.bytes_total > 1_000_000, "{coverage:?}");
    // The frame of the grant and what was ordered for it come with a grant.
    ensure!(coverage.objects_delivered > 0 && status.difference_count == 0, "{coverage:?}");
    ensure!(status.measured_rto.is_some() && is(i64::from(status.attempt), 1), "{status:?}");
    let proof = status.zero_proof.clone().context("zero was proven")?;
    ensure!(proof.checks.iter().any(|check| check.starts_with("Namespace zy-drill-")), "{proof:?}");
    ground.is_signed(&status).await?;
    ground.nothing_is_left().await?;
    let plan = ground.plan_says("its objective is met", |plan| condition::is_true(&plan.conditions, C::ObjectiveMet));
    let plan = plan.await?;
    ensure!(plan.last_measured_rto == status.measured_rto && plan.worst_rpo.is_some(), "{plan:?}");
    ensure!(plan.copies[0].rto.is_some() && plan.copies[0].drilled_at.is_some(), "{:?}", plan.copies);
    ensure!(plan.copies[0].drill_due.is_some() && plan.last_drill_due.is_some(), "{plan:?}");
    Ok(())
}

/// A damaged copy does not pass, and leaves nothing behind.
pub(crate) async fn over_damage(ground: &Ground) -> Result<()> {
    let damaged = ground.flip_a_byte_everywhere()?;
    let failed = ground.drill("over-damage", DrillPhase::Failed).await;
    for (_, (path, before)) in &damaged {
        std::fs::write(path, before)?;
    }
    let failed = failed?;
    let why = failed.failure.clone().context("a failed drill says why")?;
    let found = ["NotIntact", "RepositoryDamaged", "EvidenceInvalid", "EngineFailure"].contains(&why.reason.as_str());
    ensure!(!damaged.is_empty() && found, "{} damaged packs and {why:?}", damaged.len());
    ensure!(
        failed.parts[0].scratch.is_some() && failed.zero_proof.is_some() && failed.measured_rto.is_none(),
        "{failed:?}"
    );
    ground.is_signed(&failed).await?;
    ground.nothing_is_left().await?;
    ground
        .plan_says("its copy is unproven", |plan| {
            told_of(plan, C::ObjectiveMet) == ("NotMeasured", false) && plan.copies[0].rto.is_none()
        })
        .await
        .map(drop)
}

/// The operator dies in the middle of a drill and its process too; then the operator once more while the scratch goes.
pub(crate) async fn killed(ground: &Ground) -> Result<()> {
    ground.ask_drill("killed").await?;
    let worker = ground.worker_of_drill("killed").await?;
    ground.operator().kill9().await?;
    runs::kill(worker)?;
    ground.operator().start_again()?;
    ground.drill_is("killed", &[DrillPhase::Removing, DrillPhase::Passed]).await?;
    ground.operator().kill9().await?;
    ground.operator().start_again()?;
    let status = ground.drill_ends("killed", DrillPhase::Passed).await?;
    ensure!(status.attempt == 2, "its process was taken up once: {}", status.attempt);
    ensure!(status.measured_rto.is_some() && status.difference_count == 0, "{status:?}");
    ground.nothing_is_left().await?;
    ground.plan_says("it counts as well", |plan| condition::is_true(&plan.conditions, C::ObjectiveMet)).await.map(drop)
}

/// What holds the scratch holds the end of the drill and its charge, and is told until it is gone.
pub(crate) async fn cancelled(ground: &Ground) -> Result<()> {
    ground.ask_drill("cancelled").await?;
    let begun = ground.drill_is("cancelled", &[DrillPhase::Restoring]).await?;
    let namespace = begun.parts[0].scratch.clone().context("it says where it restores")?.namespace;
    let maps: Api<ConfigMap> = Api::namespaced(ground.town.site_admin(SITE)?, &namespace);
    let stuck = json!({ "metadata": { "name": "stuck", "finalizers": ["example.org/stuck"] } });
    maps.create(&PostParams::default(), &serde_json::from_value(stuck)?).await?;
    let patch = Patch::Merge(json!({ "spec": { "cancel": true } }));
    ground.drills_of(CLERK)?.patch("cancelled", &PatchParams::default(), &patch).await?;
    let api = ground.drills()?;
    settled("the drill says what holds its scratch", PATIENCE, || async {
        let status = api.get("cancelled").await?.status.unwrap_or_default();
        let told = condition::find(&status.conditions, C::RetainedStorage).map(|c| c.message.clone());
        let seen = format!("{:?}: {}", status.phase, said(&status.conditions));
        Ok(if told.is_some_and(|told| told.contains("example.org/stuck")) { Ok(()) } else { Err(seen) })
    })
    .await?;
    ensure!(ground.nothing_is_left().await.is_err(), "it is charged as long as it stands");
    maps.patch("stuck", &PatchParams::default(), &Patch::Merge(json!({ "metadata": { "finalizers": null } }))).await?;
    let status = ground.drill_ends("cancelled", DrillPhase::Cancelled).await?;
    ensure!(status.zero_proof.is_some() && status.measured_rto.is_none(), "{status:?}");
    // One that is deleted is cancelled first, and goes once nothing is left.
    ground.ask_drill("deleted").await?;
    ground.drill_is("deleted", &[DrillPhase::Preparing, DrillPhase::Restoring]).await?;
    ground.drills_of(CLERK)?.delete("deleted", &kube::api::DeleteParams::default()).await?;
    let api = ground.drills()?;
    settled("the deleted drill goes", PATIENCE, || async {
        let left = api.get_opt("deleted").await?.and_then(|drill| drill.status);
        Ok(left.map_or(Ok(()), |status| Err(format!("{:?}: {}", status.phase, said(&status.conditions)))))
    })
    .await?;
    ground.nothing_is_left().await
}

impl Ground {
    /// An object that a controller holds, and an account of the cluster's own that somebody changed; or all that undone.
    async fn hold_on(&self, held: bool) -> Result<()> {
        let client = self.town.site_admin("hohhot")?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), self.place("hohhot")?);
        let accounts: Api<ServiceAccount> = Api::namespaced(client, self.place("hohhot")?);
        let pull = if held { json!([{ "name": "registry" }]) } else { json!(null) };
        let patch = Patch::Merge(json!({ "imagePullSecrets": pull }));
        accounts.patch("default", &PatchParams::default(), &patch).await?;
        if held {
            let map =
                json!({ "metadata": { "name": "held", "finalizers": ["example.org/held"] }, "data": { "a": "b" } });
            maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
        } else {
            let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
            maps.patch("held", &PatchParams::default(), &free).await?;
            maps.delete("held", &kube::api::DeleteParams::default()).await?;
        }
        Ok(())
    }

    fn drills(&self) -> Result<Api<RecoveryDrill>> {
        Ok(Api::namespaced(self.town.admin()?, NAMESPACE))
    }

    fn drills_of(&self, person: &str) -> Result<Api<RecoveryDrill>> {
        Ok(Api::namespaced(self.town.client_of(person)?, NAMESPACE))
    }

    async fn ask_drill(&self, name: &str) -> Result<()> {
        self.ask_drill_of("e-invoice", SITE, name).await
    }

    /// A drill of any plan, at any site.
    pub(crate) async fn ask_drill_of(&self, plan: &str, site: &str, name: &str) -> Result<()> {
        let body: RecoveryDrill = serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryDrill",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "plan": plan, "planUID": self.uid_of_plan(plan).await?, "store": STORE, "site": site,
                "trigger": "Manual", "requestedBy": CLERK
            }
        }))?;
        self.drills_of(CLERK)?.create(&PostParams::default(), &body).await?;
        Ok(())
    }

    async fn drill(&self, name: &str, wanted: DrillPhase) -> Result<RecoveryDrillStatus> {
        self.ask_drill(name).await?;
        self.drill_ends(name, wanted).await
    }

    async fn drill_is(&self, name: &str, wanted: &[DrillPhase]) -> Result<RecoveryDrillStatus> {
        let api = self.drills()?;
        until_every(&format!("drill {name} is {wanted:?}"), PATIENCE, Duration::from_millis(50), || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            if status.phase.is_some_and(|phase| phase.is_terminal() && !wanted.contains(&phase)) {
                bail!("drill {name} is {:?}: {:?}", status.phase, status.failure);
            }
            Ok(status.phase.is_some_and(|phase| wanted.contains(&phase)).then_some(status))
        })
        .await
    }

    pub(crate) async fn drill_ends(&self, name: &str, wanted: DrillPhase) -> Result<RecoveryDrillStatus> {
        let api = self.drills()?;
        let status = settled(&format!("drill {name} ends"), PATIENCE, || async {
            let status = api.get(name).await?.status.unwrap_or_default();
            let seen = format!("{:?}: {} {:?}", status.phase, said(&status.conditions), status.failure);
            Ok(if status.phase.is_some_and(DrillPhase::is_terminal) { Ok(status) } else { Err(seen) })
        })
        .await?;
        ensure!(
            status.phase == Some(wanted),
            "drill {name} is {:?}, not {wanted}: {:?}, {}",
            status.phase,
            status.failure,
            said(&status.conditions)
        );
        Ok(status)
    }

    /// The one drill that the schedule started.
    async fn scheduled_drill(&self) -> Result<String> {
        let api = self.drills()?;
        settled("a drill is started by the schedule", PATIENCE, || async {
            let all = api.list(&ListParams::default()).await?.items;
            let due: Vec<String> = all
                .iter()
                .filter(|drill| drill.spec.trigger == DrillTrigger::Scheduled)
                .map(ResourceExt::name_any)
                .collect();
            Ok(match due.as_slice() {
                [one] => Ok(one.clone()),
                others => Err(format!("{others:?}")),
            })
        })
        .await
    }

    /// The process that carries a drill out, as soon as it is one.
    async fn worker_of_drill(&self, drill: &str) -> Result<i32> {
        let uid = self.drills()?.get(drill).await?.uid().context("a drill has a UID")?;
        self.worker_in(self.runs().join(format!("{uid}-drill"))).await
    }

    /// No namespace of a drill stands at the site, no grant of one is left in use, and nothing is charged to them.
    pub(crate) async fn nothing_is_left(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.town.site_admin(SITE)?);
        let of_drills = ListParams::default().labels("zhengyun.io/department=drill");
        let left: Vec<String> = namespaces.list(&of_drills).await?.iter().map(ResourceExt::name_any).collect();
        ensure!(left.is_empty(), "{left:?} stand at {SITE}");
        for grant in self.town.grants("drill")?.list(&ListParams::default()).await? {
            let charge = grant.status.as_ref().and_then(|s| s.charge.clone()).unwrap_or_default();
            let over = phase_of(&grant) == GrantPhase::Revoked && charge.granted.is_empty();
            ensure!(over, "{} is {} and holds {charge:?}", grant.name_any(), phase_of(&grant));
        }
        Ok(())
    }

    /// The record says what the status says, and the key that signs the repositories signed it.
    pub(crate) async fn is_signed(&self, status: &RecoveryDrillStatus) -> Result<()> {
        let DrillRecord { statement, digest: named, algorithm: _, key, signature } =
            status.record.clone().context("a drill that ended has a record")?;
        let secrets: Api<Secret> = Api::namespaced(self.town.admin()?, "zhengyun-system");
        let known = secrets.get(&format!("recovery-repository.{STORE}.{DEPARTMENT}")).await?;
        let known = known.data.unwrap_or_default().remove("publicKey").context("who signs a repository is known")?;
        ensure!(known.0 == key.as_bytes(), "{key} is not who signs the repository");
        ensure!(
            named == format!("sha256:{}", HEXLOWER.encode(digest(&SHA256, statement.as_bytes()).as_ref())),
            "{named}"
        );
        let public = BASE64.decode(key.trim_start_matches("ed25519 ").as_bytes())?;
        let verified = UnparsedPublicKey::new(&ED25519, public)
            .verify(statement.as_bytes(), &BASE64.decode(signature.as_bytes())?);
        ensure!(verified.is_ok(), "the signature holds");
        let said: Value = serde_json::from_str(&statement)?;
        ensure!(said["result"] == json!(status.phase) && said["measuredRto"] == json!(status.measured_rto), "{said}");
        ensure!(said["manifestRoot"].as_str().is_some_and(|root| root.len() == 64), "{said}");
        Ok(())
    }
}
