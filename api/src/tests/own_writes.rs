//! Whoever writes through the door reads the own write, however far the watches are behind.

use std::pin::pin;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::writing::{REQUESTS, order, under_review};
use crate::testing::{Answered, Door, FakeHub};

/// Turns that a write gets to come back before it is believed to wait: one that does not wait needs a handful.
const TURNS: usize = 200;

async fn write(door: &Door, method: Method, path: &str, body: &Value) -> Answered {
    let tag = door.get("token-zhang", path).await.header("etag").to_owned();
    door.write(method, "token-zhang", path, (!tag.is_empty()).then_some(&tag), body).await
}

/// Sends a write while the watches hear of nothing, sees that it is stored and not answered, lets them hear, and answers.
async fn held_back(door: &Door, write: impl Future<Output = Answered>) -> Answered {
    door.hub.hold_watches();
    let writes = || door.hub.written_by.lock().unwrap().len();
    let before = writes();
    let mut write = pin!(write);
    while writes() == before {
        assert!(futures::poll!(&mut write).is_pending(), "answered before anything was written");
        tokio::task::yield_now().await;
    }
    for _ in 0..TURNS {
        assert!(futures::poll!(&mut write).is_pending(), "answered before the watch has shown it");
        tokio::task::yield_now().await;
    }
    door.hub.release_watches();
    write.await
}

/// The request as lists show it: those are made of the cache alone.
async fn listed(door: &Door, name: &str) -> Value {
    let list = door.get("token-zhang", "/requests").await;
    let found = list.body["items"].as_array().unwrap().iter().find(|item| item["name"] == name).cloned();
    found.unwrap_or_else(|| panic!("{name} is not in {list:?}"))
}

#[tokio::test]
async fn an_answered_write_is_what_is_read_next() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let path = format!("{REQUESTS}/r1");
    let body = json!({"name": "r1", "order": order()});
    let created = held_back(&door, write(&door, Method::POST, REQUESTS, &body)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(listed(&door, "r1").await["etag"], created.body["etag"]);

    let mut corrected = order();
    corrected["justification"] = json!("another reason");
    let body = json!({"order": corrected});
    let corrected = held_back(&door, write(&door, Method::PUT, &path, &body)).await;
    assert_eq!(corrected.status, StatusCode::OK, "{corrected:?}");
    assert_eq!(listed(&door, "r1").await["etag"], corrected.body["etag"]);
    assert_ne!(corrected.body["etag"], created.body["etag"]);

    for (verb, field) in [("submission", "submission"), ("withdrawal", "withdrawn")] {
        let path = format!("{path}/{verb}");
        let tag = door.get("token-zhang", &format!("{REQUESTS}/r1")).await.header("etag").to_owned();
        let nothing = json!({});
        let write = door.write(Method::POST, "token-zhang", &path, Some(&tag), &nothing);
        let answer = held_back(&door, write).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        let read = door.get("token-zhang", &format!("{REQUESTS}/r1")).await;
        assert_eq!((&read.body["etag"], &read.body[field]), (&answer.body["etag"], &answer.body[field]));
    }
}

#[tokio::test]
async fn a_revocation_is_read_by_who_ordered_it() {
    let grant = json!({
        "kind": "ResourceGrant", "metadata": {"name": "r1-abc", "namespace": "dept-finance"},
        "spec": {"department": "finance", "system": "portal", "site": "hohhot", "request": {"name": "r1", "uid": "u"}, "revision": 3,
            "class": "Standard", "charge": {"cpu": "2"}, "bundle": {}},
        "status": {"phase": "InService"},
    });
    let door = Door::open(FakeHub::with(vec![grant]), &[]).await;
    let body = json!({"justification": "no longer needed"});
    let path = "/departments/finance/grants/r1-abc/revocation";
    let ordered = held_back(&door, door.write(Method::POST, "token-zhang", path, None, &body)).await;
    assert_eq!(ordered.status, StatusCode::CREATED, "{ordered:?}");
    assert_eq!(listed(&door, ordered.body["name"].as_str().unwrap()).await["etag"], ordered.body["etag"]);
}

#[tokio::test]
async fn what_stores_nothing_that_is_read_waits_for_nothing() {
    let door = Door::open(FakeHub::with(vec![under_review()]), &[]).await;
    door.hub.hold_watches();
    let tried = format!("{REQUESTS}?dryRun=all");
    let body = json!({"name": "r2", "order": order()});
    let tag = door.get("token-qian", &format!("{REQUESTS}/r1")).await.header("etag").to_owned();
    let decisions = format!("{REQUESTS}/r1/decisions");
    let verdict = json!({"verdict": "Approve"});
    let both = async {
        let tried = door.write(Method::POST, "token-zhang", &tried, None, &body).await;
        let decided = door.write(Method::POST, "token-qian", &decisions, Some(&tag), &verdict).await;
        (tried.status, decided.status)
    };
    let answered = tokio::time::timeout(Duration::from_secs(1), both).await;
    assert_eq!(answered.unwrap(), (StatusCode::OK, StatusCode::CREATED));
}

#[tokio::test]
async fn a_watch_that_is_far_behind_costs_two_seconds_and_is_counted() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    door.hub.hold_watches();
    let begun = Instant::now();
    let body = json!({"name": "r1", "order": order()});
    let created = door.write(Method::POST, "token-zhang", REQUESTS, None, &body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert!((Duration::from_secs(2)..Duration::from_secs(10)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let figures = door.state.metrics.text().unwrap();
    assert!(figures.contains("zhengyun_api_unseen_writes_total{kind=\"resourcerequests\"} 1"), "{figures}");
    // Nothing is lost: the request itself is read from the hub when the cache does not have it.
    assert_eq!(door.get("token-zhang", &format!("{REQUESTS}/r1")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_edits_only_the_justification_is_not_overwritten() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let body = json!({"name": "r1", "order": order()});
    let tag = door.write(Method::POST, "token-zhang", REQUESTS, None, &body).await.header("etag").to_owned();
    let reason = |text: &str| {
        let mut order = order();
        order["justification"] = json!(text);
        json!({"order": order})
    };
    let path = format!("{REQUESTS}/r1");
    let put = async |text: &str| door.write(Method::PUT, "token-zhang", &path, Some(&tag), &reason(text)).await;
    assert_eq!(put("mine").await.status, StatusCode::OK);
    assert_eq!(put("theirs").await.code(), "precondition-failed");
    assert_eq!(door.get("token-zhang", &path).await.body["order"]["justification"], "mine");
}

#[tokio::test]
async fn what_was_submitted_is_not_edited_by_who_has_not_seen_it() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let body = json!({"name": "r1", "order": order()});
    let tag = door.write(Method::POST, "token-zhang", REQUESTS, None, &body).await.header("etag").to_owned();
    let path = format!("{REQUESTS}/r1");
    let submit = async |tag: Option<&str>| {
        door.write(Method::POST, "token-zhang", &format!("{path}/submission"), tag, &json!({})).await
    };
    assert_eq!(submit(Some(&tag)).await.status, StatusCode::ACCEPTED);
    let edit = door.write(Method::PUT, "token-zhang", &path, Some(&tag), &json!({"order": order()})).await;
    assert_eq!(edit.code(), "precondition-failed");
    // Whoever says what was seen hears that it changed; whoever does not repeats without effect.
    assert_eq!(submit(Some(&tag)).await.code(), "precondition-failed");
    assert_eq!(submit(None).await.body["submission"], 1);
}
