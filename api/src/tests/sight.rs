//! Everyone sees what is theirs, and nothing else.

use http::StatusCode;
use serde_json::{Value, json};

use crate::testing::{Door, FakeHub, a_request};

fn requests() -> Vec<Value> {
    let mut objects: Vec<Value> = [("finance", "a"), ("finance", "b"), ("health", "c")]
        .map(|(department, name)| serde_json::to_value(a_request(department, name)).unwrap())
        .into();
    objects[1]["status"] =
        json!({"phase": "InReview", "stage": {"name": "technical", "index": 0, "openedAt": "2026-03-01T09:00:00Z"}});
    objects
}

async fn names(door: &Door, token: &str, path: &str) -> Vec<String> {
    let answer = door.get(token, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let name = |item: &Value| item["name"].as_str().or(item["department"].as_str()).unwrap().to_owned();
    answer.body["items"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn lists_hold_what_the_caller_may_see() {
    let door = Door::open(FakeHub::with(requests()), &[]).await;
    for (token, requests, departments) in [
        ("token-zhang", vec!["a", "b"], vec!["finance"]),
        ("token-zhou", vec!["c"], vec!["health"]),
        ("token-authority", vec!["a", "b", "c"], vec!["finance", "health", "region"]),
        ("token-stranger", vec![], vec![]),
    ] {
        assert_eq!(names(&door, token, "/requests?sort=name").await, requests, "{token}");
        assert_eq!(names(&door, token, "/departments").await, departments, "{token}");
        assert_eq!(names(&door, token, "/quotas").await, departments, "{token}");
        let member = !departments.is_empty();
        assert_eq!(names(&door, token, "/sites").await.len(), usize::from(member), "{token}");
        assert_eq!(names(&door, token, "/catalog?site=hohhot").await.len(), usize::from(member), "{token}");
    }
    assert_eq!(names(&door, "token-zhang", "/systems?department=finance").await, ["portal"]);
    assert!(names(&door, "token-zhou", "/systems?department=finance").await.is_empty());
}

#[tokio::test]
async fn filters_and_pages_work_within_what_is_seen() {
    let door = Door::open(FakeHub::with(requests()), &[]).await;
    assert_eq!(names(&door, "token-authority", "/requests?awaiting=technical").await, ["b"]);
    assert_eq!(names(&door, "token-authority", "/requests?phase=Draft&sort=-name").await, ["c", "a"]);
    assert_eq!(names(&door, "token-authority", "/requests?department=health").await, ["c"]);
    assert!(names(&door, "token-zhang", "/requests?department=health").await.is_empty());

    let first = door.get("token-authority", "/requests?sort=name&limit=2").await;
    let token = first.body["nextPageToken"].as_str().unwrap().to_owned();
    assert_eq!(names(&door, "token-authority", &format!("/requests?sort=name&limit=2&pageToken={token}")).await, ["c"]);
    // A token carries no right: it is only a place in a list.
    assert!(names(&door, "token-zhang", &format!("/requests?sort=name&limit=2&pageToken={token}")).await.is_empty());
    let other = door.get("token-authority", &format!("/requests?sort=-name&pageToken={token}")).await;
    assert_eq!(other.code(), "invalid-query");
}

#[tokio::test]
async fn single_things_are_there_or_not() {
    let door = Door::open(FakeHub::with(requests()), &[]).await;
    for (path, zhang, zhou) in [
        ("/departments/finance", 200, 404),
        ("/departments/nowhere", 404, 404),
        ("/quotas/finance", 200, 404),
        ("/sites/hohhot", 200, 200),
        ("/sites/nowhere", 404, 404),
        ("/catalog/space", 200, 200),
        ("/systems/finance/portal", 200, 404),
        ("/departments/finance/requests/a", 200, 404),
        ("/departments/finance/grants/none", 404, 404),
    ] {
        assert_eq!(door.get("token-zhang", path).await.status, zhang, "zhang {path}");
        assert_eq!(door.get("token-zhou", path).await.status, zhou, "zhou {path}");
        assert_eq!(door.get("token-stranger", path).await.status, 404, "stranger {path}");
    }
    let site = door.get("token-zhang", "/sites/hohhot").await.body.to_string();
    assert!(!site.contains("site-hohhot"), "how a site is reached is not shown: {site}");
}

#[tokio::test]
async fn me_names_roles_and_stages() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let head = door.get("token-qian", "/me").await.body;
    assert_eq!(head["username"], "qian");
    assert_eq!(head["allDepartments"], false);
    assert_eq!(
        head["departments"],
        json!([{
            "name": "finance", "roles": ["Head"],
            "displayNames": {"zh-CN": {"full": "某部门"}, "en": {"full": "a department"}},
        }])
    );
    let technician = door.get("token-technician", "/me").await.body;
    assert_eq!((&technician["allDepartments"], &technician["stages"]), (&json!(true), &json!(["technical"])));
}
