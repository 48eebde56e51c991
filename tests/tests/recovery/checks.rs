//! A store is read through on a schedule: damage is told with department and part, to the plan as well, and goes once it is mended; a
//! backup beside a check does not make it say damaged.

use anyhow::{Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use zhengyun_crds::recovery::{BackupPhase, BackupStoreStatus, CheckOutcome, RecoveryPlanStatus};
use zhengyun_crds::{BackupStore, ConditionStatus, ConditionType, condition};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::said;

use super::ground::{DEPARTMENT, Ground, PATIENCE, STORE};

pub(crate) async fn scheduled(ground: &Ground) -> Result<()> {
    let status = ground.store_status().await?;
    let next = status.next_check.as_ref().map(|at| at.0);
    ensure!(status.last_check.is_none() && next.is_some(), "once a week unless stated: {next:?}");
    ground.check_every("1m").await?;
    // A backup goes on beside it, and neither waits for the other nor calls the other's work damage.
    ground.ask_backup("beside-a-check", false).await?;
    ground.backup_ends("beside-a-check", BackupPhase::Completed).await?;
    let intact = ground.checked("intact", |s| intact_is(s, ConditionStatus::True) && s.last_check.is_some()).await?;
    let check = intact.last_check.unwrap();
    ensure!(check.passed && check.bytes_read > 100_000 && check.damaged_count == 0, "{check:?}");
    let read = check.repositories.iter().find(|one| one.department == DEPARTMENT);
    ensure!(read.is_some_and(|one| one.outcome == CheckOutcome::Intact), "{check:?}");

    let (pack, undo) = ground.flip_one_byte()?;
    let damaged = ground.checked("damaged", |s| intact_is(s, ConditionStatus::False)).await?;
    let told =
        condition::find(&damaged.conditions, ConditionType::Intact).map(|c| c.message.clone()).unwrap_or_default();
    ensure!(told.contains(&pack) && told.contains(DEPARTMENT), "{told}");
    let ended = ground.checked("ended", |s| s.last_check.as_ref().is_some_and(|check| !check.passed)).await?;
    let check = ended.last_check.unwrap();
    ensure!(check.damaged_count > 0 && check.damaged.iter().any(|part| part.contains(&pack)), "{check:?}");
    ensure!(
        condition::is_true(&ended.conditions, ConditionType::Ready),
        "backups are still taken: {}",
        said(&ended.conditions)
    );
    ground.damage_is_an_event(&pack).await?;
    let accepted = |plan: &RecoveryPlanStatus| {
        condition::find(&plan.conditions, ConditionType::Accepted).map(|c| c.message.clone()).unwrap_or_default()
    };
    let plan = ground.plan_says("the damage of its store", |plan| accepted(plan).contains(&pack)).await?;
    ensure!(accepted(&plan).contains("/spec/copies/0/store"), "{}", accepted(&plan));

    std::fs::write(&undo.0, &undo.1)?;
    let mended = ground.checked("mended", |s| intact_is(s, ConditionStatus::True)).await?;
    ensure!(mended.last_check.is_some_and(|check| check.passed), "the check that found nothing ended");
    // What a check leaves: no lease, no process, no file.
    ground.check_every("4h").await?;
    ground.no_check_is_left().await
}

fn intact_is(status: &BackupStoreStatus, wanted: ConditionStatus) -> bool {
    let done = status.checking.is_none() || wanted == ConditionStatus::False;
    done && condition::find(&status.conditions, ConditionType::Intact).is_some_and(|c| c.status == wanted)
}

impl Ground {
    fn stores(&self) -> Result<Api<BackupStore>> {
        Ok(Api::all(self.town.admin()?))
    }

    async fn store_status(&self) -> Result<BackupStoreStatus> {
        Ok(self.stores()?.get(STORE).await?.status.unwrap_or_default())
    }

    async fn check_every(&self, every: &str) -> Result<()> {
        let api: Api<BackupStore> = Api::all(self.town.client_of("cloud-admin")?);
        let schedule = json!({ "cron": null, "every": every, "jitter": null });
        let change = json!({ "spec": { "check": { "schedule": schedule } } });
        api.patch(STORE, &PatchParams::default(), &Patch::Merge(&change)).await?;
        Ok(())
    }

    async fn checked(&self, what: &str, is: impl Fn(&BackupStoreStatus) -> bool) -> Result<BackupStoreStatus> {
        settled(&format!("a check says {what}"), PATIENCE * 2, || async {
            let status = self.store_status().await?;
            let seen = format!("{} {:?} {:?}", said(&status.conditions), status.last_check, status.checking);
            Ok(if is(&status) { Ok(status) } else { Err(seen) })
        })
        .await
    }

    async fn damage_is_an_event(&self, pack: &str) -> Result<()> {
        let events: Api<Event> = Api::all(self.town.admin()?);
        settled("an Event names the damage", PATIENCE, || async {
            let all = events.list(&ListParams::default()).await?;
            let of = all.iter().filter(|event| event.reason.as_deref() == Some("RepositoryDamaged"));
            let notes: Vec<String> = of.filter_map(|event| event.note.clone()).collect();
            Ok(if notes.iter().any(|note| note.contains(pack)) { Ok(()) } else { Err(format!("{notes:?}")) })
        })
        .await
    }

    async fn no_check_is_left(&self) -> Result<()> {
        let uid = self.stores()?.get(STORE).await?.uid().unwrap_or_default();
        let folder = self.runs().join(format!("{uid}-check-{DEPARTMENT}"));
        settled("nothing is left of the checks", PATIENCE, || async {
            let under_way = self.store_status().await?.checking.is_some();
            Ok(if under_way || folder.exists() { Err(format!("{under_way} {}", folder.display())) } else { Ok(()) })
        })
        .await
    }
}
