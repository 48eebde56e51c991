//! What the routes of disaster recovery find at the hub: a store, a plan, and runs of it.
//!
//! The operator of this test has no place for runs, so they stay as they were asked for and nothing of them changes beneath a case.

use anyhow::Result;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town};
use zhengyun_tests::world;

use crate::call::Contract;
use crate::plans;
use crate::setting::{CLERK, DEPARTMENT};

/// A backup store.
pub(crate) const STORE: &str = "contract-store";
/// A recovery plan.
pub(crate) const PLAN: &str = "contract-plan";
/// A recovery plan to delete.
pub(crate) const PLAN_TO_DELETE: &str = "contract-plan-to-delete";
/// A backup that stays.
pub(crate) const BACKUP: &str = "contract-backup";
/// A backup to cancel.
pub(crate) const BACKUP_TO_CANCEL: &str = "contract-backup-to-cancel";
/// A restore that stays.
pub(crate) const RESTORE: &str = "contract-restore";
/// A drill that stays.
pub(crate) const DRILL: &str = "contract-drill";
/// A drill to cancel.
pub(crate) const DRILL_TO_CANCEL: &str = "contract-drill-to-cancel";
/// A restore to cancel.
pub(crate) const RESTORE_TO_CANCEL: &str = "contract-restore-to-cancel";

/// Writes them as the people who may, and waits until the API shows them.
pub(crate) async fn prepare(town: &Town, grant: &str) -> Result<()> {
    let namespace = format!("dept-{DEPARTMENT}");
    let store = object(
        "BackupStore",
        STORE,
        None,
        &json!({
            "displayNames": { "zh-CN": { "full": "测试用备份库" }, "en": { "full": "A store for the contract" } },
            "site": "hohhot", "backend": { "filesystem": { "path": "/srv/contract" } }
        }),
    )?;
    world::apply(&town.client_of("cloud-admin")?, &[store]).await?;
    let clerk = town.client_of(CLERK)?;
    for name in [PLAN, PLAN_TO_DELETE] {
        let plan = object("RecoveryPlan", name, Some(&namespace), &plans::content(grant))?;
        world::apply(&clerk, &[plan]).await?;
    }
    let uid = plans::uid_of(town, PLAN).await?;
    let backup = json!({ "plan": PLAN, "planUID": uid, "trigger": "Manual", "requestedBy": CLERK });
    let restore = json!({ "backup": BACKUP, "mode": "Plan", "requestedBy": CLERK });
    let drill = json!({
        "plan": PLAN, "planUID": uid, "store": STORE, "site": "ulanqab", "trigger": "Manual", "requestedBy": CLERK
    });
    let runs = [
        object("SystemBackup", BACKUP, Some(&namespace), &backup)?,
        object("SystemBackup", BACKUP_TO_CANCEL, Some(&namespace), &backup)?,
        object("SystemRestore", RESTORE, Some(&namespace), &restore)?,
        object("SystemRestore", RESTORE_TO_CANCEL, Some(&namespace), &restore)?,
        object("RecoveryDrill", DRILL, Some(&namespace), &drill)?,
        object("RecoveryDrill", DRILL_TO_CANCEL, Some(&namespace), &drill)?,
    ];
    world::apply(&clerk, &runs).await?;
    let door = town.door(CLERK)?;
    settled("the API shows store, plan and runs", SOON, || async {
        for path in [
            format!("/api/v1/backup-stores/{STORE}"),
            format!("/api/v1/departments/{DEPARTMENT}/recovery-plans/{PLAN}"),
            format!("/api/v1/departments/{DEPARTMENT}/recovery-plans/{PLAN_TO_DELETE}"),
            format!("/api/v1/departments/{DEPARTMENT}/backups/{BACKUP_TO_CANCEL}"),
            format!("/api/v1/departments/{DEPARTMENT}/restores/{RESTORE_TO_CANCEL}"),
            format!("/api/v1/departments/{DEPARTMENT}/drills/{DRILL_TO_CANCEL}"),
        ] {
            if let Err(missing) = door.get(&path).await {
                return Ok(Err(missing.to_string()));
            }
        }
        Ok(Ok(()))
    })
    .await
}

fn object(kind: &str, name: &str, namespace: Option<&str>, spec: &Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": kind,
        "metadata": { "name": name, "namespace": namespace }, "spec": spec
    }))?)
}

/// Bodies that ask for no run: each is refused with the place, and nothing is there afterwards.
pub(crate) async fn wrong_runs_are_problems(contract: &Contract) -> Result<()> {
    let ask = |id: &str, body: Value| contract.call(id, &[DEPARTMENT]).by(CLERK).json(&body);
    for (body, pointer) in [
        (json!({ "name": "contract-wrong", "plan": "nothing" }), "/plan"),
        (json!({ "name": "contract-wrong", "plan": "../finance" }), "/plan"),
        (json!({ "name": "Wrong_Name", "plan": PLAN }), "/name"),
        (json!({ "name": "contract-wrong", "plan": 7 }), "/plan"),
    ] {
        ask("createBackup", body).send().await?.is_problem(422, "invalid").points_to(pointer);
    }
    for (change, pointer) in [
        (json!({ "mode": "Perhaps" }), "/mode"),
        (json!({ "existing": "Burn" }), "/existing"),
        (json!({ "planDigest": "sha256:00" }), "/planDigest"),
        (json!({ "name": "" }), "/name"),
    ] {
        let mut body = json!({ "name": "contract-wrong", "backup": BACKUP, "mode": "Plan" });
        for (key, value) in change.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        ask("createRestore", body).send().await?.is_problem(422, "invalid").points_to(pointer);
    }
    let placeless = json!({ "name": "contract-wrong", "plan": PLAN });
    ask("createDrill", placeless).send().await?.is_problem(422, "invalid").points_to("/site");
    // To carry out what nobody looked at is refused by the definition itself.
    let blind = json!({ "name": "contract-wrong", "backup": BACKUP, "mode": "Execute" });
    ask("createRestore", blind).send().await?.is_problem(422, "invalid");
    for id in ["getBackup", "getRestore", "getDrill"] {
        let wrong = contract.call(id, &[DEPARTMENT, "contract-wrong"]).by(CLERK).send().await?;
        wrong.is_problem(404, "not-found");
    }
    let taken = json!({ "name": RESTORE, "backup": BACKUP, "mode": "Plan", "existing": "Replace" });
    ask("createRestore", taken).send().await?.is_problem(409, "already-exists");
    Ok(())
}
