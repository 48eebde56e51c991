//! The door under fire: bodies, paths, queries and headers of strangers.
//!
//! Whatever is sent, there is an answer; no answer is a 5xx; a refusal is a problem in both languages; and what is refused
//! leaves the hub as it was. The hub is the stand-in of these tests: it has no rules of its own, so all that is refused here is
//! refused by the API.

mod bodies;
mod knocks;
#[path = "../../../tests/fuzz/run.rs"]
mod run;

use std::cell::RefCell;
use std::collections::BTreeMap;

use axum::body::Body;
use http::{HeaderValue, Method, Request};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use zhengyun_crds::ResourceRequest;

use crate::etag::Tag;
use crate::openapi::document;
use crate::testing::{Answered, Door, FakeHub, a_request};
use bodies::{Sent, body};
use knocks::{Knock, knock};
use run::fuzz;

/// Requests that one door answers before another opens: the stand-in keeps everything that ever happened to it.
const PER_DOOR: usize = 100;
/// The longest answer to a refusal, in bytes: what was sent is repeated within bounds.
const LONGEST_PROBLEM: usize = 16 * 1024;

/// Everybody whose token the stand-in knows.
const PEOPLE: &[&str] = &["zhang", "qian", "technician", "authority", "zhou", "nobody"];

/// An operation of the document.
#[derive(Clone, Debug)]
struct Operation {
    method: Method,
    path: String,
    id: String,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(document()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                id: operation["operationId"].as_str().unwrap().to_owned(),
            });
        }
    }
    operations
}

/// A request under review that some people edited.
fn under_review(name: &str, editors: &[&str]) -> Value {
    let mut request = super::writing::under_review();
    request["metadata"]["name"] = json!(name);
    request["metadata"]["uid"] = json!(format!("uid-{name}"));
    request["status"]["editors"] = json!(editors);
    request
}

/// What the hub holds: a draft, a request that was returned, one that was carried out with its grant, and two under review.
/// Everybody edited them once, so that nobody waits for the operator to record the last editor; but `undecided` for those who
/// are to decide it.
fn requests() -> Vec<Value> {
    let request = |name: &str, phase: &str| {
        let mut object = serde_json::to_value(a_request("finance", name)).unwrap();
        object["status"] = json!({"phase": phase, "submission": 0, "editors": PEOPLE});
        object
    };
    vec![
        request("draft", "Draft"),
        request("returned", "ReturnedForCorrection"),
        request("applied", "Applied"),
        under_review("reviewed", PEOPLE),
        under_review("undecided", &["zhang"]),
    ]
}

/// The tags of the requests as the stand-in first holds them, by name.
fn tags() -> BTreeMap<String, String> {
    let tag = |request: Value| {
        let request: ResourceRequest = serde_json::from_value(request).unwrap();
        (request.metadata.name.clone().unwrap(), Tag::of(&request).as_str().to_owned())
    };
    requests().into_iter().map(tag).collect()
}

fn hub() -> FakeHub {
    let grant = json!({
        "kind": "ResourceGrant", "metadata": {"name": "held", "namespace": "dept-finance"},
        "spec": {"department": "finance", "system": "portal", "site": "hohhot", "request": {"name": "applied", "uid": "u"}, "revision": 3,
            "class": "Standard", "charge": {"cpu": "2"}, "bundle": {}},
        "status": {"phase": "InService"},
    });
    FakeHub::with(requests().into_iter().chain([grant]).collect())
}

/// Doors one after the other, each with the runtime that its watches end with.
#[derive(Default)]
struct Street(RefCell<Option<(Runtime, Door, usize)>>);

impl Street {
    /// Sends a request, and checks what holds of every answer.
    fn send(&self, request: Request<Body>, check: impl Fn(&Answered, &Change) -> TestCaseResult) -> TestCaseResult {
        let mut open = self.0.borrow_mut();
        if open.as_ref().is_none_or(|(_, _, sent)| *sent >= PER_DOOR) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let door = runtime.block_on(Door::open(hub(), &[]));
            *open = Some((runtime, door, 0));
        }
        let (runtime, door, sent) = open.as_mut().unwrap();
        *sent += 1;
        let is_head = request.method() == Method::HEAD;
        let before = Change::at(&door.hub);
        let answer = runtime.block_on(door.send(request));
        let change = before.until(&door.hub);
        prop_assert!(!answer.status.is_server_error(), "{answer:?}");
        prop_assert!(door.state.metrics.text().unwrap().contains("zhengyun_api_panics_total 0"), "{answer:?}");
        if answer.status.is_client_error() {
            // The answer to HEAD is one to GET without its body.
            if !is_head {
                is_problem(&answer)?;
            }
            prop_assert_eq!(change.revisions, 0, "a refusal that was written: {:?}", answer);
        }
        if REFUSED_AT_THE_DOOR.contains(&answer.code()) {
            prop_assert_eq!(change.attempts, 0, "a refusal that went to the hub: {:?}", answer);
        }
        check(&answer, &change)
    }
}

/// Codes of what the hub is never asked to write.
const REFUSED_AT_THE_DOOR: &[&str] = &[
    "unauthenticated",
    "invalid-token",
    "malformed-request",
    "invalid",
    "invalid-query",
    "unsupported-media-type",
    "body-too-large",
    "headers-too-large",
    "method-not-allowed",
    "action-not-available",
    "precondition-required",
    "precondition-failed",
    "request-frozen",
    "request-closed",
    "not-under-review",
    "stage-not-open",
    "order-changed",
    "duties-not-separate",
    "nothing-to-confirm",
    "grant-not-live",
];

/// What happened at the hub meanwhile.
struct Change {
    attempts: usize,
    revisions: usize,
}

impl Change {
    fn at(hub: &FakeHub) -> Self {
        Self { attempts: hub.written_by.lock().unwrap().len(), revisions: hub.revision() }
    }

    fn until(&self, hub: &FakeHub) -> Self {
        let now = Self::at(hub);
        Self { attempts: now.attempts - self.attempts, revisions: now.revisions - self.revisions }
    }
}

/// That an answer is a problem (RFC 9457) with every member, in both languages.
fn is_problem(answer: &Answered) -> TestCaseResult {
    let body = &answer.body;
    prop_assert_eq!(answer.header("content-type"), "application/problem+json", "{:?}", answer);
    prop_assert_eq!(&body["status"], answer.status.as_u16(), "{}", body);
    prop_assert_eq!(&body["type"], &json!(format!("urn:zhengyun:problem:{}", answer.code())));
    for text in ["/messages/zh-CN", "/messages/en", "/remedy/zh-CN", "/remedy/en", "/title", "/detail", "/requestId"] {
        prop_assert!(body.pointer(text).and_then(Value::as_str).is_some_and(|t| !t.is_empty()), "{text} in {body}");
    }
    let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    prop_assert!(chinese(body["messages"]["zh-CN"].as_str().unwrap()), "{body}");
    prop_assert!(
        chinese(body["remedy"]["zh-CN"].as_str().unwrap()) && !chinese(body["remedy"]["en"].as_str().unwrap()),
        "{body}"
    );
    let language = if answer.header("content-language") == "en" { "en" } else { "zh-CN" };
    prop_assert_eq!(&body["detail"], &body["messages"][language]);
    prop_assert_eq!(&body["requestId"], answer.header("x-request-id"));
    for finding in body["findings"].as_array().unwrap() {
        prop_assert!(["pointer", "rule", "message"].iter().all(|member| finding[*member].is_string()), "{finding}");
        prop_assert!(
            !finding["rule"].as_str().unwrap().is_empty() && !finding["message"].as_str().unwrap().is_empty(),
            "{finding}"
        );
    }
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    prop_assert_eq!(
        members,
        ["code", "detail", "findings", "messages", "remedy", "requestId", "status", "title", "type"]
    );
    prop_assert!(body.to_string().len() <= LONGEST_PROBLEM, "{} bytes", body.to_string().len());
    Ok(())
}

/// Bodies: good ones with something changed, and bytes that are none.
#[test]
fn no_body_breaks_the_door() {
    let street = Street::default();
    fuzz("api::no_body_breaks_the_door", 1_500, &body(operations()), |sent: Sent| {
        let Some(request) = sent.request() else { return Ok(()) };
        street.send(request, |answer, change| {
            if sent.is_ambiguous {
                prop_assert!(answer.status.is_client_error(), "what can be read in two ways was accepted: {sent:?}");
            }
            if !answer.status.is_success() {
                return Ok(());
            }
            prop_assert!(change.attempts <= 1 && change.revisions <= 1, "{sent:?}");
            if sent.is_dry_run() {
                prop_assert_eq!(change.revisions, 0, "{:?}", sent);
            }
            // What is stored is what was sent.
            let body: Value = serde_json::from_slice(&sent.bytes).unwrap_or_default();
            if let (Some(order), Some(asked)) = (answer.body.get("order"), body.get("order")) {
                for (field, value) in asked.as_object().unwrap() {
                    prop_assert!(same(value, &order[field]), "{field}: {value} was sent, {} is stored", order[field]);
                }
            }
            Ok(())
        })
    });
}

/// Whether a value is what was sent, but for what is optional and absent in the one and null in the other.
fn same(sent: &Value, stored: &Value) -> bool {
    match (sent, stored) {
        (Value::Object(sent), Value::Object(stored)) => {
            sent.iter().all(|(field, value)| stored.get(field).map_or(value.is_null(), |stored| same(value, stored)))
        }
        (Value::Array(sent), Value::Array(stored)) => {
            sent.len() == stored.len() && sent.iter().zip(stored).all(|(sent, stored)| same(sent, stored))
        }
        _ => sent == stored,
    }
}

/// Paths, queries, methods and headers.
#[test]
fn no_path_query_or_header_breaks_the_door() {
    let street = Street::default();
    fuzz("api::no_path_query_or_header_breaks_the_door", 2_500, &knock(operations()), |knock: Knock| {
        let Some(request) = knock.request() else { return Ok(()) };
        street.send(request, |answer, _| {
            if answer.status.is_success() && !answer.body.is_null() {
                prop_assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
            }
            // No header of a stranger gets into an answer as it is.
            for (name, value) in &answer.headers {
                prop_assert!(value.to_str().is_ok_and(|v| v.len() <= 512), "{name}: {value:?}");
            }
            Ok(())
        })
    });
}

/// A header value of any text, if it can be sent at all.
fn header(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}
