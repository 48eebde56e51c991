//! Backups, restores and drills are asked for and cancelled as the caller, once.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{Answered, Door, FakeHub};

const BACKUPS: &str = "/departments/finance/backups";
const RESTORES: &str = "/departments/finance/restores";

pub(crate) fn a_plan() -> Value {
    json!({
        "kind": "RecoveryPlan", "metadata": {"name": "nightly", "namespace": "dept-finance", "uid": "plan-1"},
        "spec": {
            "system": "portal", "sources": [{"name": "space", "origin": {"namespace": {"grant": "portal-1"}}}],
            "schedule": {"cron": "0 2 * * *"}, "retention": {"daily": 7}, "copies": [{"store": "hohhot-1"}],
            "ceiling": "50Gi", "objectives": {"rpo": "1d", "rto": "4h"}, "level": 2, "encryption": {"secretName": "key-finance"},
        },
        "status": {"achievedLevel": 1, "worstRpo": "25h", "unmet": [{"clause": "2.1", "element": "DataBackup", "level": 2,
            "required": "weekly", "reason": "none", "remedy": "back up"}]},
    })
}

fn a_store() -> Value {
    json!({
        "kind": "BackupStore", "metadata": {"name": "hohhot-1"},
        "spec": {"displayNames": {"zh-CN": {"full": "某库"}, "en": {"full": "a store"}}, "site": "hohhot",
            "backend": {"filesystem": {"path": "/srv/secret-place"}}},
        "status": {"used": "3Gi", "backups": 2, "lastCheck": {"finishedAt": "2026-03-01T08:00:00Z", "passed": true}},
    })
}

async fn cloud() -> Door {
    Door::open(FakeHub::with(vec![a_plan(), a_store()]), &[]).await
}

async fn post(door: &Door, token: &str, path: &str, body: Value) -> Answered {
    door.write(Method::POST, token, path, None, &body).await
}

#[tokio::test]
async fn a_backup_is_asked_for_once_and_cancelled_for_good() {
    let door = cloud().await;
    let body = json!({"name": "now", "plan": "nightly"});
    let created = post(&door, "token-zhang", BACKUPS, body.clone()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(created.header("location"), "/api/v1/departments/finance/backups/now");
    assert_eq!((created.body["phase"].as_str(), created.body["trigger"].as_str()), (Some("Pending"), Some("Manual")));
    let stored = door.hub.object("systembackups/dept-finance/now").unwrap();
    assert_eq!((&stored["spec"]["planUID"], &stored["spec"]["requestedBy"]), (&json!("plan-1"), &json!("zhang")));
    let again = post(&door, "token-zhang", BACKUPS, body.clone()).await;
    assert_eq!((again.status, &again.body["uid"]), (StatusCode::OK, &created.body["uid"]));

    let listed = door.get("token-zhang", "/backups?plan=nightly&phase=Pending").await;
    assert_eq!(listed.body["items"][0]["name"], "now", "{listed:?}");
    assert_eq!(door.get("token-zhang", "/backups?phase=Completed").await.body["items"], json!([]));

    let path = format!("{BACKUPS}/now/cancellation");
    let cancelled = post(&door, "token-zhang", &path, json!({})).await;
    assert_eq!((cancelled.status, &cancelled.body["cancel"]), (StatusCode::ACCEPTED, &json!(true)), "{cancelled:?}");
    let writes = door.hub.written_by.lock().unwrap().len();
    assert_eq!(post(&door, "token-zhang", &path, json!({})).await.status, StatusCode::ACCEPTED);
    assert_eq!(door.hub.written_by.lock().unwrap().len(), writes, "what is cancelled is not written again");
    // Asking again for what was cancelled is not answered with the cancelled one.
    assert_eq!(post(&door, "token-zhang", BACKUPS, body).await.code(), "already-exists");
}

#[tokio::test]
async fn what_ended_is_not_cancelled() {
    let door = cloud().await;
    post(&door, "token-zhang", BACKUPS, json!({"name": "now", "plan": "nightly"})).await;
    let mut ended = door.hub.object("systembackups/dept-finance/now").unwrap();
    ended["status"] = json!({"phase": "Completed"});
    door.hub.put(ended);
    let refused = post(&door, "token-zhang", &format!("{BACKUPS}/now/cancellation"), json!({})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "run-ended"));
    assert!(refused.body["detail"].as_str().unwrap().contains("Completed"), "{refused:?}");
}

#[tokio::test]
async fn a_backup_of_no_plan_names_the_field() {
    let door = cloud().await;
    for plan in ["none", "../other"] {
        let refused = post(&door, "token-zhang", BACKUPS, json!({"name": "now", "plan": plan})).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid"), "{refused:?}");
        assert_eq!(refused.body["findings"][0]["pointer"], "/plan");
    }
    let refused = post(&door, "token-zhang", BACKUPS, json!({"name": "Now!", "plan": "nightly"})).await;
    assert_eq!(refused.body["findings"][0]["pointer"], "/name", "{refused:?}");
}

#[tokio::test]
async fn a_restore_is_planned_and_then_carried_out() {
    let door = cloud().await;
    let body = json!({"name": "try", "backup": "now", "mode": "Plan", "redirects": [{"source": "space", "grant": "portal-2"}]});
    let planned = post(&door, "token-zhang", RESTORES, body).await;
    assert_eq!(planned.status, StatusCode::CREATED, "{planned:?}");
    assert_eq!((&planned.body["existing"], &planned.body["phase"]), (&json!("Fail"), &json!("Pending")));
    let stored = door.hub.object("systemrestores/dept-finance/try").unwrap();
    assert_eq!(stored["spec"]["redirects"], json!([{"source": "space", "grant": "portal-2"}]));

    let digest = format!("sha256:{}", "a".repeat(64));
    let mut seen = stored;
    seen["status"] = json!({"phase": "Planned", "planDigest": digest, "planned": {"created": 200}});
    door.hub.put(seen);
    let read = door.get("token-zhang", &format!("{RESTORES}/try")).await;
    assert_eq!((&read.body["planDigest"], &read.body["planned"]["created"]), (&json!(digest), &json!(200)));

    let body = json!({"name": "do", "backup": "now", "mode": "Execute", "planDigest": digest, "existing": "Replace"});
    let asked = post(&door, "token-zhang", RESTORES, body).await;
    assert_eq!((asked.status, &asked.body["planDigest"]), (StatusCode::CREATED, &json!(digest)), "{asked:?}");
    let folder = json!({"site": "hohhot", "root": "returns", "subpath": "2026/11"});
    let elsewhere = json!([{"source": "scans", "files": folder}]);
    let body = json!({"name": "tree", "backup": "now", "mode": "Plan", "sources": ["scans"], "redirects": elsewhere});
    let asked = post(&door, "token-zhang", RESTORES, body).await;
    assert_eq!((asked.status, &asked.body["redirects"]), (StatusCode::CREATED, &elsewhere), "{asked:?}");
    assert_eq!(door.hub.object("systemrestores/dept-finance/tree").unwrap()["spec"]["redirects"], elsewhere);
    let path = json!([{"source": "scans", "files": {"path": "/etc"}}]);
    let body = json!({"name": "x", "backup": "now", "mode": "Plan", "redirects": path});
    let wrong = post(&door, "token-zhang", RESTORES, body).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    let wrong = post(&door, "token-zhang", RESTORES, json!({"name": "x", "backup": "now", "mode": "Perhaps"})).await;
    assert_eq!(wrong.body["findings"][0]["pointer"], "/mode", "{wrong:?}");
}

#[tokio::test]
async fn a_drill_is_of_the_plans_first_store_at_its_site_unless_stated() {
    let door = cloud().await;
    let drills = "/departments/finance/drills";
    let placeless = post(&door, "token-zhang", drills, json!({"name": "try", "plan": "nightly"})).await;
    assert_eq!(placeless.body["findings"][0]["pointer"], "/site", "{placeless:?}");
    let mut plan = a_plan();
    plan["spec"]["drill"] = json!({"schedule": {"cron": "0 3 1 * *"}, "site": "ulanqab"});
    door.hub.put(plan);
    let created = post(&door, "token-zhang", drills, json!({"name": "try", "plan": "nightly"})).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let said = |part: &str| created.body[part].as_str().unwrap_or_default().to_owned();
    assert_eq!([said("store"), said("site"), said("trigger")], ["hohhot-1", "ulanqab", "Manual"]);
    let stored = door.hub.object("recoverydrills/dept-finance/try").unwrap();
    assert_eq!((&stored["spec"]["planUID"], &stored["spec"]["requestedBy"]), (&json!("plan-1"), &json!("zhang")));

    let mut ended = stored;
    let at = "2026-11-27T03:00:00Z";
    ended["status"] = json!({
        "phase": "Passed", "measuredRto": "4m", "coverage": {"objectsCompared": 7, "objectsTotal": 7}, "folder": "zy-drill-1",
        "parts": [
            {"source": "space", "kind": "Namespace", "scratch": {"grant": "try-1", "namespace": "zy-drill-try"}, "restoredAt": at, "duration": "1m"},
            {"source": "rows", "kind": "Database", "database": "zy_drill_1", "attempt": 2},
        ],
    });
    door.hub.put(ended);
    let read = door.get("token-zhang", &format!("{drills}/try")).await;
    let parts = json!([
        {"source": "space", "kind": "Namespace", "namespace": "zy-drill-try", "restoredAt": at, "duration": "1m"},
        {"source": "rows", "kind": "Database", "database": "zy_drill_1"},
    ]);
    assert_eq!((&read.body["parts"], &read.body["folder"]), (&parts, &json!("zy-drill-1")), "{read:?}");
    assert_eq!((&read.body["measuredRto"], &read.body["coverage"]["objectsCompared"]), (&json!("4m"), &json!(7)));
    let listed = door.get("token-zhang", "/drills?plan=nightly&phase=Passed").await;
    assert_eq!(listed.body["items"][0]["measuredRto"], "4m", "{listed:?}");
    let refused = post(&door, "token-zhang", &format!("{drills}/try/cancellation"), json!({})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "run-ended"));
}

#[tokio::test]
async fn others_see_nothing_of_it_and_nobody_sees_where_a_store_lies() {
    let door = cloud().await;
    post(&door, "token-zhang", BACKUPS, json!({"name": "now", "plan": "nightly"})).await;
    for path in ["/departments/finance/backups/now", "/departments/finance/recovery-plans/nightly"] {
        assert_eq!(door.get("token-zhang", path).await.status, StatusCode::OK, "{path}");
        assert_eq!(door.get("token-zhou", path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(door.get("token-zhou", "/recovery-plans").await.body["items"], json!([]));
    let plan = door.get("token-zhang", "/departments/finance/recovery-plans/nightly").await;
    assert_eq!((&plan.body["worstRpo"], &plan.body["unmet"][0]["remedy"]), (&json!("25h"), &json!("back up")));
    assert_eq!(plan.body["sources"][0], json!({"name": "space", "kind": "namespace", "grant": "portal-1"}));
    let store = door.get("token-authority", "/backup-stores/hohhot-1").await;
    assert_eq!((&store.body["backend"], &store.body["intact"]), (&json!("filesystem"), &json!(true)), "{store:?}");
    assert!(!store.body.to_string().contains("secret-place"));
}
