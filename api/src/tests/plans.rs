//! Recovery plans are written, paused and deleted as the caller; what they name must be the department's.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::recovery::a_plan;
use crate::testing::{Answered, Door, FakeHub};

const PLANS: &str = "/departments/finance/recovery-plans";
const PLACE: &str = "recoveryplans/dept-finance/weekly";

fn ready() -> Value {
    json!([{"type": "Ready", "status": "True", "reason": "AsIntended", "message": "", "lastTransitionTime": "2026-03-01T08:00:00Z"}])
}

fn a_grant(department: &str, name: &str, system: &str) -> Value {
    json!({
        "kind": "ResourceGrant", "metadata": {"name": name, "namespace": format!("dept-{department}")},
        "spec": {"department": department, "system": system, "site": "hohhot", "request": {"name": "r1", "uid": "u"}, "revision": 1,
            "class": "Standard", "charge": {"cpu": "2"},
            "bundle": {"objects": [{"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "db"}, "spec": {"x": 1}}]}},
        "status": {"phase": "InService", "namespace": format!("zy-{name}")},
    })
}

fn a_store() -> Value {
    json!({
        "kind": "BackupStore", "metadata": {"name": "hohhot-1"},
        "spec": {"displayNames": {"zh-CN": {"full": "某库"}, "en": {"full": "a store"}}, "site": "hohhot",
            "backend": {"filesystem": {"path": "/srv/secret-place"}}},
        "status": {"conditions": ready()},
    })
}

fn content() -> Value {
    a_plan()["spec"].clone()
}

async fn cloud() -> Door {
    let objects = vec![
        a_plan(),
        a_store(),
        a_grant("finance", "portal-1", "portal"),
        a_grant("finance", "other-1", "other"),
        a_grant("health", "clinic-1", "portal"),
    ];
    Door::open(FakeHub::with(objects), &[]).await
}

async fn create(door: &Door, name: &str, plan: &Value) -> Answered {
    door.write(Method::POST, "token-zhang", PLANS, None, &json!({"name": name, "plan": plan})).await
}

async fn put(door: &Door, query: &str, tag: &str, plan: &Value) -> Answered {
    let path = format!("{PLANS}/weekly{query}");
    door.write(Method::PUT, "token-zhang", &path, Some(tag), &json!({"plan": plan})).await
}

async fn delete(door: &Door, path: &str, tag: Option<&str>) -> Answered {
    door.write(Method::DELETE, "token-zhang", &format!("{PLANS}/{path}"), tag, &Value::Null).await
}

#[tokio::test]
async fn a_plan_is_written_once_by_its_caller_and_read_at_once() {
    let door = cloud().await;
    let created = create(&door, "weekly", &content()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(created.header("location"), "/api/v1/departments/finance/recovery-plans/weekly");
    assert_eq!(created.header("etag"), created.body["etag"].as_str().unwrap());
    assert_eq!(
        created.body["plan"]["retention"],
        json!({"last": 0, "daily": 7, "weekly": 0, "monthly": 0, "yearly": 0, "minimum": 1, "history": 30})
    );
    assert!(door.hub.written_by.lock().unwrap().iter().all(|token| token == "token-zhang"));
    let listed = door.get("token-zhang", "/recovery-plans?sort=-name").await;
    assert_eq!(
        (&listed.body["items"][0]["name"], &listed.body["items"][0]["etag"]),
        (&json!("weekly"), &created.body["etag"])
    );

    let again = create(&door, "weekly", &content()).await;
    assert_eq!((again.status, &again.body["uid"]), (StatusCode::OK, &created.body["uid"]));
    let mut other = content();
    other["paused"] = json!(true);
    assert_eq!(create(&door, "weekly", &other).await.code(), "already-exists");
    assert_eq!(create(&door, "Weekly!", &content()).await.body["findings"][0]["pointer"], "/name");
}

#[tokio::test]
async fn what_the_department_does_not_have_is_no_source() {
    let door = cloud().await;
    let with = |origin: Value| {
        let mut plan = content();
        plan["sources"][0]["origin"] = origin;
        plan
    };
    let at = "/plan/sources/0/origin";
    let mut told = Vec::new();
    for (origin, pointer, rule) in [
        (json!({"namespace": {"grant": "clinic-1"}}), format!("{at}/namespace/grant"), "GrantNotFound"),
        (json!({"namespace": {"grant": "nothing"}}), format!("{at}/namespace/grant"), "GrantNotFound"),
        (json!({"namespace": {"grant": "other-1"}}), format!("{at}/namespace/grant"), "SourceRefused"),
        (json!({"item": {"grant": "portal-1", "item": "nothing"}}), format!("{at}/item/item"), "SourceRefused"),
        (
            json!({"database": {"site": "hohhot", "endpoint": "x", "database": "d"}}),
            format!("{at}/database/endpoint"),
            "SourceRefused",
        ),
        (
            json!({"files": {"site": "hohhot", "root": "etc", "subpath": "x"}}),
            format!("{at}/files/root"),
            "SourceRefused",
        ),
        // What names a place of a machine is no field at all.
        (json!({"files": {"path": "/etc"}}), format!("{at}/files/path"), "Schema"),
        (
            json!({"files": {"site": "hohhot", "root": "etc", "subpath": "", "path": "/etc"}}),
            format!("{at}/files/path"),
            "Schema",
        ),
        (
            json!({"database": {"site": "hohhot", "endpoint": "x", "database": "d", "host": "127.0.0.1"}}),
            format!("{at}/database/host"),
            "Schema",
        ),
        (
            json!({"namespace": {"grant": "portal-1", "namespace": "kube-system"}}),
            format!("{at}/namespace/namespace"),
            "Schema",
        ),
    ] {
        let refused = create(&door, "weekly", &with(origin)).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid"), "{refused:?}");
        let finding = refused.body["findings"][0].clone();
        assert_eq!((&finding["pointer"], &finding["rule"]), (&json!(pointer), &json!(rule)), "{refused:?}");
        told.push(finding["message"].as_str().unwrap().replace("clinic-1", "X").replace("nothing", "X"));
    }
    assert_eq!(told[0], told[1], "another department's grant is answered like one that is not there");
    assert!(door.hub.object(PLACE).is_none());
    assert_eq!(
        create(&door, "weekly", &with(json!({"item": {"grant": "portal-1", "item": "db"}}))).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn who_may_not_write_learns_nothing_of_what_the_department_holds() {
    let door = cloud().await;
    *door.hub.refuse.lock().unwrap() = Some(json!({
        "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no", "details": {"kind": "recoveryplans"},
    }));
    let mut plan = content();
    plan["sources"][0]["origin"] = json!({"namespace": {"grant": "nothing"}});
    let body = json!({"name": "weekly", "plan": plan});
    let head = door.write(Method::POST, "token-qian", PLANS, None, &body).await;
    assert_eq!((head.status, head.code()), (StatusCode::FORBIDDEN, "forbidden"), "{head:?}");
    let stranger = door.write(Method::POST, "token-zhou", &format!("{PLANS}?dryRun=all"), None, &body).await;
    assert_eq!((stranger.status, stranger.code()), (StatusCode::NOT_FOUND, "not-found"), "{stranger:?}");
    for answer in [head, stranger] {
        assert!(!answer.body.to_string().contains("portal-1"), "{answer:?}");
    }
    let path = format!("{PLANS}/nightly");
    let deleted = door.write(Method::DELETE, "token-qian", &path, None, &Value::Null).await;
    assert_eq!(deleted.code(), "forbidden", "{deleted:?}");
}

#[tokio::test]
async fn a_change_needs_what_was_seen_and_says_exactly_what_was_sent() {
    let door = cloud().await;
    let mut first = content();
    first["topology"] = json!({"independentCopies": 0, "minimumKilometres": 0});
    let tag = create(&door, "weekly", &first).await.header("etag").to_owned();
    // A field that this version does not know.
    let mut stored = door.hub.object(PLACE).unwrap();
    stored["spec"]["later"] = json!("kept");
    door.hub.put(stored);

    let path = format!("{PLANS}/weekly");
    let blind = door.write(Method::PUT, "token-zhang", &path, None, &json!({"plan": content()})).await;
    assert_eq!(blind.status, StatusCode::PRECONDITION_REQUIRED);
    assert_eq!(put(&door, "", "*", &content()).await.code(), "precondition-required");
    assert_eq!(put(&door, "", "\"stale\"", &content()).await.code(), "precondition-failed");

    let read = door.get("token-zhang", &path).await;
    assert_eq!(read.header("etag"), tag);
    let mut paused = read.body["plan"].clone();
    paused["paused"] = json!(true);
    paused.as_object_mut().unwrap().remove("topology");
    let written = put(&door, "", &tag, &paused).await;
    assert_eq!((written.status, &written.body["paused"]), (StatusCode::OK, &json!(true)), "{written:?}");
    assert_ne!(written.header("etag"), tag);
    let stored = door.hub.object(PLACE).unwrap();
    assert_eq!((&stored["spec"]["later"], &stored["spec"]["paused"]), (&json!("kept"), &json!(true)));
    assert_eq!(
        stored["spec"]["topology"],
        json!({"independentCopies": 1, "minimumKilometres": 0}),
        "left out is the default"
    );
    assert_eq!(put(&door, "", &tag, &paused).await.code(), "precondition-failed", "two windows");

    // The operator measures meanwhile; what was seen is still what people wrote.
    let mut measured = stored;
    measured["status"] = json!({"achievedLevel": 2});
    door.hub.put(measured);
    let writes = door.hub.written_by.lock().unwrap().len();
    let same = put(&door, "", written.header("etag"), &paused).await;
    assert_eq!((same.status, same.header("etag")), (StatusCode::OK, written.header("etag")));
    assert_eq!(door.hub.written_by.lock().unwrap().len(), writes + 1, "tried, and not written again");
    let mut resumed = paused;
    resumed["paused"] = json!(false);
    assert_eq!(put(&door, "", same.header("etag"), &resumed).await.body["paused"], json!(false));
}

#[tokio::test]
async fn a_plan_whose_grant_is_gone_can_be_paused_and_gets_no_new_wrong_source() {
    let mut gone = a_plan();
    gone["metadata"] = json!({"name": "weekly", "namespace": "dept-finance", "uid": "plan-9"});
    gone["spec"]["sources"][0]["origin"] = json!({"namespace": {"grant": "gone"}});
    let door = Door::open(FakeHub::with(vec![gone]), &[]).await;
    let read = door.get("token-zhang", &format!("{PLANS}/weekly")).await;
    let mut plan = read.body["plan"].clone();
    plan["paused"] = json!(true);
    let paused = put(&door, "", read.header("etag"), &plan).await;
    assert_eq!(paused.status, StatusCode::OK, "{paused:?}");
    plan["sources"] = json!([plan["sources"][0], {"name": "more", "origin": {"namespace": {"grant": "gone-too"}}}]);
    let refused = put(&door, "", paused.header("etag"), &plan).await;
    let pointers: Vec<&Value> = refused.body["findings"].as_array().unwrap().iter().map(|f| &f["pointer"]).collect();
    assert_eq!(pointers, [&json!("/plan/sources/1/origin/namespace/grant")], "{refused:?}");
}

#[tokio::test]
async fn a_dry_run_stores_nothing_and_tells_what_would_be() {
    let door = cloud().await;
    let body = |plan: &Value| json!({"name": "weekly", "plan": plan});
    let path = format!("{PLANS}?dryRun=all");
    let tried = async |plan: &Value| door.write(Method::POST, "token-zhang", &path, None, &body(plan)).await;
    let fits = tried(&content()).await;
    assert_eq!((fits.status, &fits.body["findings"]), (StatusCode::OK, &json!([])), "{fits:?}");
    assert_eq!(fits.body["sources"], json!([{"name": "space", "site": "hohhot", "what": "namespace"}]));
    assert_eq!(fits.body["copies"][0]["store"], "hohhot-1");
    assert!(fits.body["copies"][0]["boundTo"].as_str().unwrap().contains("hohhot"), "{fits:?}");
    assert_eq!(fits.body["notes"][0]["rule"], "CopiesNotIndependent");
    assert_eq!(fits.body["notes"][0]["pointer"], "/plan/copies");
    assert_eq!(fits.body["nextRuns"].as_array().unwrap().len(), 3);

    let mut paused = content();
    paused["paused"] = json!(true);
    assert_eq!(tried(&paused).await.body["nextRuns"], json!([]));
    for (change, pointer, rule) in [
        (json!({"schedule": {"cron": "0 0 30 2 *"}}), "/plan/schedule/cron", "ScheduleNeverFires"),
        (json!({"copies": [{"store": "nowhere"}]}), "/plan/copies/0/store", "StoreNotFound"),
        (json!({"ceiling": "-1"}), "/plan/ceiling", "Invalid"),
        (json!({"drill": {"schedule": {"every": "7d"}, "site": "nowhere"}}), "/plan/drill/site", "SiteNotFound"),
    ] {
        let mut plan = content();
        for (key, value) in change.as_object().unwrap() {
            plan[key] = value.clone();
        }
        let answer = tried(&plan).await;
        let finding = &answer.body["findings"][0];
        assert_eq!((&finding["pointer"], &finding["rule"]), (&json!(pointer), &json!(rule)), "{answer:?}");
    }
    assert!(door.hub.object(PLACE).is_none());

    let tag = create(&door, "weekly", &content()).await.header("etag").to_owned();
    let answer = put(&door, "?dryRun=all", &tag, &paused).await;
    assert_eq!((answer.status, &answer.body["nextRuns"]), (StatusCode::OK, &json!([])), "{answer:?}");
    assert_eq!(put(&door, "?dryRun=all", "\"stale\"", &paused).await.code(), "precondition-failed");
    let kept = delete(&door, "weekly?dryRun=all", None).await;
    assert_eq!((kept.status, &kept.body["deleted"]), (StatusCode::OK, &json!(false)), "{kept:?}");
    assert_eq!(door.hub.object(PLACE).unwrap()["spec"]["paused"], json!(false));
}

fn a_backup(name: &str, plan_uid: &str, phase: &str) -> Value {
    json!({
        "kind": "SystemBackup", "metadata": {"name": name, "namespace": "dept-finance"},
        "spec": {"plan": "nightly", "planUID": plan_uid, "trigger": "Manual", "requestedBy": "zhang"},
        "status": {"phase": phase, "copies": [
            {"store": "hohhot-1", "state": "Verified", "snapshot": "s", "bytesAdded": 1000},
            {"store": "ulanqab-1", "state": "Forgotten", "bytesAdded": 5},
        ]},
    })
}

/// Asks for the deletion again until the answer is as wanted: what others write reaches the API a moment later.
async fn deleted_when(door: &Door, path: &str, is: impl Fn(&Answered) -> bool) -> Answered {
    for _ in 0..200 {
        let answer = delete(door, path, None).await;
        if is(&answer) {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{:?}", delete(door, path, None).await)
}

#[tokio::test]
async fn what_a_deleted_plan_had_stays_and_the_answer_says_so() {
    let restore = json!({
        "kind": "SystemRestore", "metadata": {"name": "back", "namespace": "dept-finance"},
        "spec": {"backup": "one", "mode": "Plan", "existing": "Fail", "requestedBy": "zhang"}, "status": {"phase": "Planning"},
    });
    let objects = vec![
        a_plan(),
        a_backup("one", "plan-1", "Completed"),
        a_backup("two", "plan-1", "Incomplete"),
        a_backup("of-another", "plan-0", "Capturing"),
        restore,
    ];
    let door = Door::open(FakeHub::with(objects), &[]).await;
    let ask = json!({"name": "now", "plan": "nightly"});
    door.write(Method::POST, "token-zhang", "/departments/finance/backups", None, &ask).await;
    let busy = delete(&door, "nightly", None).await;
    assert_eq!((busy.status, busy.code()), (StatusCode::CONFLICT, "plan-in-use"), "{busy:?}");
    for language in ["zh-CN", "en"] {
        let said = busy.body["messages"][language].as_str().unwrap();
        assert!(
            said.contains("backups/now") && said.contains("restores/back") && !said.contains("of-another"),
            "{said}"
        );
    }
    for (place, phase) in
        [("systembackups/dept-finance/now", "Cancelled"), ("systemrestores/dept-finance/back", "Planned")]
    {
        let mut ended = door.hub.object(place).unwrap();
        ended["status"] = json!({"phase": phase});
        door.hub.put(ended);
    }
    let tag = door.get("token-zhang", &format!("{PLANS}/nightly")).await.header("etag").to_owned();
    let tried = deleted_when(&door, "nightly?dryRun=all", |answer| answer.status == StatusCode::OK).await;
    assert_eq!((&tried.body["deleted"], &tried.body["backups"]), (&json!(false), &json!(["one", "two"])));
    assert_eq!(delete(&door, "nightly", Some("\"stale\"")).await.code(), "precondition-failed");
    let gone = delete(&door, "nightly", Some(&tag)).await;
    assert_eq!((gone.status, &gone.body["deleted"]), (StatusCode::OK, &json!(true)), "{gone:?}");
    assert_eq!(gone.body["backups"], json!(["one", "two"]));
    assert_eq!(gone.body["copies"], json!([{"store": "hohhot-1", "backups": 2, "bytes": 2000}]));
    for language in ["zh-CN", "en"] {
        let said = gone.body["outcome"][language].as_str().unwrap();
        assert!(said.contains("nightly") && said.contains("key-finance"), "{said}");
    }
    assert!(door.hub.object("recoveryplans/dept-finance/nightly").is_none());
    assert!(door.hub.object("systembackups/dept-finance/one").is_some());
    // Read at once: it is gone from every answer.
    assert_eq!(door.get("token-zhang", &format!("{PLANS}/nightly")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(door.get("token-zhang", "/recovery-plans").await.body["items"], json!([]));
    assert_eq!(delete(&door, "nightly", None).await.code(), "not-found");
}
