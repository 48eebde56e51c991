//! Who listens is told what changes, as far as it may be seen, and misses nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::testing::{Door, FakeHub, a_request, request};

/// One event of a stream.
#[derive(Debug, Default, PartialEq)]
struct Told {
    name: String,
    id: String,
    data: Value,
}

/// A stream that is read.
struct Listener {
    body: BodyDataStream,
    text: String,
}

impl Listener {
    async fn open(door: &Door, token: &str, query: &str, last: Option<&str>) -> Self {
        let mut asked = request(Method::GET, token, &format!("/events{query}"));
        if let Some(last) = last {
            asked = asked.header("last-event-id", last);
        }
        let response = door.router.clone().oneshot(asked.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next block, comments among them; none at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let next = tokio::time::timeout(Duration::from_secs(60), self.body.next()).await.expect("a block in time");
            self.text.push_str(std::str::from_utf8(&next?.unwrap()).unwrap());
        }
    }

    /// The next event.
    async fn next(&mut self) -> Told {
        loop {
            let block = self.block().await.expect("an event");
            let mut told = Told::default();
            for line in block.lines() {
                match line.split_once(": ") {
                    Some(("event", name)) => name.clone_into(&mut told.name),
                    Some(("id", id)) => id.clone_into(&mut told.id),
                    Some(("data", data)) => told.data = serde_json::from_str(data).unwrap(),
                    _ => {}
                }
            }
            if !told.name.is_empty() {
                return told;
            }
        }
    }

    async fn named(&mut self) -> (String, String) {
        let told = self.next().await;
        (told.name, told.data["name"].as_str().unwrap_or_default().to_owned())
    }
}

fn a(department: &str, name: &str) -> Value {
    serde_json::to_value(a_request(department, name)).unwrap()
}

fn is(name: &str, of: &str) -> (String, String) {
    (name.to_owned(), of.to_owned())
}

#[tokio::test]
async fn each_is_told_what_they_may_see() {
    let door = Door::open(FakeHub::with(vec![a("finance", "before")]), &[]).await;
    let mut clerk = Listener::open(&door, "token-zhang", "", None).await;
    let mut authority = Listener::open(&door, "token-authority", "", None).await;
    let mut stranger = Listener::open(&door, "token-stranger", "", None).await;
    for listener in [&mut clerk, &mut authority, &mut stranger] {
        assert_eq!(listener.named().await, is("ready", ""));
    }
    door.hub.put(a("health", "theirs"));
    door.hub.put(a("finance", "ours"));
    let told = clerk.next().await;
    assert_eq!((told.name.as_str(), &told.data["noun"]), ("changed", &json!("requests")));
    assert_eq!((&told.data["department"], &told.data["name"]), (&json!("finance"), &json!("ours")));
    let list = door.get("token-zhang", "/requests").await;
    assert!(list.body["items"].as_array().unwrap().contains(&told.data["item"]), "as the list shows it");
    assert_eq!(authority.named().await, is("changed", "theirs"));
    assert_eq!(authority.named().await, is("changed", "ours"));

    door.hub.remove("resourcerequests/dept-finance/before");
    let gone = clerk.next().await;
    assert_eq!(
        (gone.name.as_str(), &gone.data["name"], &gone.data["item"]),
        ("deleted", &json!("before"), &Value::Null)
    );
    // Sites belong to no department: they are shown to whoever has a role.
    let mut site = door.hub.object("sites//hohhot").unwrap();
    site["spec"]["capacity"] = json!({"requests.cpu": "7"});
    door.hub.put(site);
    assert_eq!(clerk.named().await, is("changed", "hohhot"));
    // The stranger was told of none of it: the next thing is that the stream ends.
    door.state.stopping.cancel();
    assert_eq!(stranger.block().await, None);
}

#[tokio::test]
async fn who_reads_on_after_a_break_misses_nothing() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let mut first = Listener::open(&door, "token-zhang", "?nouns=requests,grants", None).await;
    assert_eq!(first.named().await, is("ready", ""));
    door.hub.put(a("finance", "a"));
    let last = first.next().await.id;
    drop(first);
    door.hub.put(a("finance", "b"));
    door.hub.put(a("health", "c"));
    door.hub.put(a("finance", "d"));
    let mut again = Listener::open(&door, "token-zhang", "", Some(&last)).await;
    assert_eq!(again.named().await, is("changed", "b"));
    assert_eq!(again.named().await, is("changed", "d"));
    // A cursor of another process, or none at all, says nothing about what is kept here.
    for stale in ["00000000-1", "", "what"] {
        let mut stale = Listener::open(&door, "token-zhang", "", Some(stale)).await;
        assert_eq!(stale.named().await, is("resync", ""));
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_told() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let mut grants = Listener::open(&door, "token-authority", "?nouns=sites", None).await;
    let mut health = Listener::open(&door, "token-authority", "?department=health", None).await;
    assert_eq!((grants.named().await, health.named().await), (is("ready", ""), is("ready", "")));
    door.hub.put(a("finance", "a"));
    door.hub.put(a("health", "b"));
    let site = door.hub.object("sites//hohhot").unwrap();
    door.hub.put(site);
    assert_eq!((grants.named().await, health.named().await), (is("changed", "hohhot"), is("changed", "b")));
    let wrong = door.get("token-authority", "/events?nouns=requests,grnats").await;
    assert_eq!((wrong.status, wrong.code()), (StatusCode::BAD_REQUEST, "invalid-query"));
    let message = wrong.body["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("grnats") && message.contains("grants"), "{message}");
    assert_eq!(door.get("", "/events").await.code(), "unauthenticated");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_taken_back_ends_it_within_a_heartbeat() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let mut clerk = Listener::open(&door, "token-zhang", "", None).await;
    assert_eq!(clerk.named().await, is("ready", ""));
    let alive = clerk.block().await.unwrap();
    assert!(alive.contains(':') && !alive.contains("event"), "a sign of life: {alive}");
    door.hub.revoked.lock().unwrap().push("zhang".to_owned());
    // What was asked a moment ago is remembered for a moment, so one more sign of life may come.
    let ended = clerk.next().await;
    assert_eq!((ended.name.as_str(), &ended.data["code"]), ("end", &json!("invalid-token")));
    assert_eq!(clerk.block().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_cannot_say_what_may_be_seen_ends_it() {
    let door = Door::open(FakeHub::with(vec![]), &[]).await;
    let mut clerk = Listener::open(&door, "token-zhang", "", None).await;
    assert_eq!(clerk.named().await, is("ready", ""));
    door.hub.down.store(true, Ordering::SeqCst);
    let ended = clerk.next().await;
    assert_eq!((ended.name.as_str(), &ended.data["code"]), ("end", &json!("hub-unavailable")));
}

#[tokio::test(start_paused = true)]
async fn who_may_see_more_than_before_reads_the_lists_again() {
    let binding = "rolebindings/dept-finance/zhengyun-department-clerk";
    let hub = FakeHub::with(vec![]);
    let held = hub.object(binding).unwrap();
    hub.remove(binding);
    let door = Door::open(hub, &[]).await;
    let mut clerk = Listener::open(&door, "token-zhang", "", None).await;
    assert_eq!(clerk.named().await, is("ready", ""));
    door.hub.put(a("finance", "unseen"));
    door.hub.put(held);
    assert_eq!(clerk.named().await, is("resync", ""));
    door.hub.put(a("finance", "seen"));
    assert_eq!(clerk.named().await, is("changed", "seen"));
}
