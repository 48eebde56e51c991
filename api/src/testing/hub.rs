//! A stand-in for the hub: reviews by a table, objects in memory with names, revisions and watches, no rules.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body as Answer;
use futures::StreamExt as _;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::events::Events;
use super::objects::a_small_cloud;

/// Plural resource name of an object, from its kind.
fn plural(object: &Value) -> String {
    match object["kind"].as_str().unwrap() {
        "DepartmentQuota" => "departmentquotas".to_owned(),
        "ApprovalPolicy" => "approvalpolicies".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    }
}

/// Plural resource name, namespace and name of an object.
fn place(object: &Value) -> String {
    format!(
        "{}/{}/{}",
        plural(object),
        object["metadata"]["namespace"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap()
    )
}

/// What the stand-in knows.
#[derive(Default)]
pub(crate) struct FakeHub {
    objects: Mutex<BTreeMap<String, Value>>,
    events: Arc<Events>,
    /// Bearer tokens of the writes that arrived.
    pub(crate) written_by: Mutex<Vec<String>>,
    /// Reviews that arrived, by kind.
    pub(crate) reviews: Mutex<BTreeMap<String, usize>>,
    /// Answers everything with 503.
    pub(crate) down: std::sync::atomic::AtomicBool,
    /// People whose tokens are taken back.
    pub(crate) revoked: Mutex<Vec<String>>,
    /// Token reviews wait for it, when there is one.
    pub(crate) gate: Mutex<Option<Arc<tokio::sync::Notify>>>,
    /// Refuses the next writes with this status.
    pub(crate) refuse: Mutex<Option<Value>>,
}

impl FakeHub {
    /// A hub that holds the small cloud and more.
    pub(crate) fn with(more: Vec<Value>) -> Self {
        let hub = Self::default();
        for object in a_small_cloud().into_iter().chain(more) {
            hub.put(object);
        }
        hub
    }

    pub(crate) fn put(&self, mut object: Value) {
        let metadata = object["metadata"].as_object_mut().unwrap();
        let name = metadata["name"].as_str().unwrap().to_owned();
        metadata.entry("uid").or_insert(json!(format!("uid-{name}")));
        metadata.entry("creationTimestamp").or_insert(json!("2026-03-01T08:00:00Z"));
        let mut objects = self.objects.lock().unwrap();
        let happened = if objects.contains_key(&place(&object)) { "MODIFIED" } else { "ADDED" };
        self.events.record(happened, &plural(&object), &mut object);
        objects.insert(place(&object), object);
    }

    /// Takes an object away.
    pub(crate) fn remove(&self, at: &str) {
        let mut object = self.objects.lock().unwrap().remove(at).unwrap();
        self.events.record("DELETED", at.split('/').next().unwrap(), &mut object);
    }

    /// From now on watches hear of nothing.
    pub(crate) fn hold_watches(&self) {
        self.events.hold();
    }

    /// Watches hear of everything that was held back.
    pub(crate) fn release_watches(&self) {
        self.events.release();
    }

    /// How many things happened at it so far.
    pub(crate) fn revision(&self) -> usize {
        self.events.revision()
    }

    pub(crate) fn object(&self, place: &str) -> Option<Value> {
        self.objects.lock().unwrap().get(place).cloned()
    }

    fn answer(&self, method: &Method, path: &str, query: &str, token: &str, body: &Value) -> (StatusCode, Value) {
        if self.down.load(std::sync::atomic::Ordering::SeqCst) {
            return refusal(503, "ServiceUnavailable", "down");
        }
        let (namespace, rest) = parts(path);
        let plural = rest[0];
        if plural.ends_with("reviews") {
            *self.reviews.lock().unwrap().entry(plural.to_owned()).or_default() += 1;
            let status = if plural == "tokenreviews" {
                whose(&body["spec"]["token"], &self.revoked.lock().unwrap())
            } else {
                allowed(&body["spec"])
            };
            return (StatusCode::CREATED, json!({"status": status}));
        }
        if *method != Method::GET {
            self.written_by.lock().unwrap().push(token.to_owned());
            if let Some(status) = self.refuse.lock().unwrap().clone() {
                return (
                    StatusCode::from_u16(u16::try_from(status["code"].as_u64().unwrap()).unwrap()).unwrap(),
                    status,
                );
            }
        }
        match (method.as_str(), rest.get(1)) {
            ("GET", None) => self.list(plural),
            ("GET", Some(name)) => self.find(&format!("{plural}/{namespace}/{name}")),
            ("POST", _) => self.create(body, namespace, query.contains("dryRun=All")),
            ("DELETE", Some(name)) => {
                self.delete(&format!("{plural}/{namespace}/{name}"), body, query.contains("dryRun=All"))
            }
            ("PATCH", Some(name)) => {
                self.patch(&format!("{plural}/{namespace}/{name}"), body, query.contains("dryRun=All"))
            }
            _ => refusal(405, "MethodNotAllowed", "no"),
        }
    }

    fn list(&self, plural: &str) -> (StatusCode, Value) {
        let objects = self.objects.lock().unwrap();
        let items: Vec<&Value> =
            objects.iter().filter(|(at, _)| at.starts_with(&format!("{plural}/"))).map(|(_, o)| o).collect();
        let revision = self.events.revision().to_string();
        (StatusCode::OK, json!({"metadata": {"resourceVersion": revision}, "items": items}))
    }

    fn find(&self, at: &str) -> (StatusCode, Value) {
        self.object(at).map_or_else(|| refusal(404, "NotFound", "not found"), |object| (StatusCode::OK, object))
    }

    fn create(&self, body: &Value, namespace: &str, dry_run: bool) -> (StatusCode, Value) {
        let mut object = body.clone();
        object["metadata"]["namespace"] = json!(namespace);
        let at = place(&object);
        if self.object(&at).is_some() {
            return refusal(409, "AlreadyExists", "already exists");
        }
        if !dry_run {
            self.put(object.clone());
            object = self.object(&at).unwrap();
        }
        (StatusCode::CREATED, object)
    }

    fn delete(&self, at: &str, options: &Value, dry_run: bool) -> (StatusCode, Value) {
        let Some(object) = self.object(at) else { return refusal(404, "NotFound", "not found") };
        if moved(&object, &options["preconditions"]) {
            return refusal(409, "Conflict", "the object has been modified");
        }
        if !dry_run && options["dryRun"].is_null() {
            self.remove(at);
        }
        (StatusCode::OK, json!({"kind": "Status", "status": "Success"}))
    }

    fn patch(&self, at: &str, patch: &Value, dry_run: bool) -> (StatusCode, Value) {
        let Some(mut object) = self.object(at) else { return refusal(404, "NotFound", "not found") };
        if moved(&object, &patch["metadata"]) {
            return refusal(409, "Conflict", "the object has been modified");
        }
        merge(&mut object, patch);
        if !dry_run {
            self.put(object);
            object = self.object(at).unwrap();
        }
        (StatusCode::OK, object)
    }
}

/// Whether an object is not what a guard says was seen.
fn moved(object: &Value, seen: &Value) -> bool {
    ["resourceVersion", "uid"].iter().any(|field| !seen[*field].is_null() && seen[*field] != object["metadata"][*field])
}

/// The namespace of a path, if any, and what follows: plural and name.
fn parts(path: &str) -> (&str, Vec<&str>) {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments.iter().position(|s| *s == "namespaces") {
        Some(at) => (segments[at + 1], segments[at + 2..].to_vec()),
        None => ("", segments[3..].to_vec()),
    }
}

/// The revision that a watch goes on from.
fn resume(query: &str) -> usize {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("resourceVersion="))
        .map_or(0, |revision| revision.parse().unwrap())
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut into[key], value);
        }
    }
}

fn refusal(code: u16, reason: &str, message: &str) -> (StatusCode, Value) {
    let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message});
    (StatusCode::from_u16(code).unwrap(), status)
}

/// `token-<name>` is the token of `<name>`.
fn whose(token: &Value, revoked: &[String]) -> Value {
    match token.as_str().unwrap().strip_prefix("token-") {
        Some(name) if !revoked.iter().any(|revoked| revoked == name) => {
            json!({"authenticated": true, "user": {"username": name, "groups": ["people", "system:authenticated"]}})
        }
        _ => json!({"authenticated": false, "error": "unknown"}),
    }
}

/// The authority sees everything; clerk and head what is in their department; the technician decides everywhere.
fn allowed(spec: &Value) -> Value {
    let attributes = &spec["resourceAttributes"];
    let (user, namespace) = (spec["user"].as_str().unwrap(), attributes["namespace"].as_str().unwrap_or_default());
    let (verb, subresource) = (attributes["verb"].as_str().unwrap(), attributes["subresource"].as_str().unwrap());
    let reads = verb == "get" || verb == "list";
    let allowed = match user {
        "authority" => reads,
        "technician" => reads || subresource == "technical",
        "zhang" => namespace == "dept-finance" && reads,
        "qian" => namespace == "dept-finance" && (reads || subresource == "department"),
        "zhou" => namespace == "dept-health" && reads,
        _ => false,
    };
    json!({"allowed": allowed})
}

/// A client whose every call goes to the stand-in.
pub(crate) fn client(hub: &Arc<FakeHub>) -> kube::Client {
    let hub = Arc::clone(hub);
    let service = tower::service_fn(move |request: Request<Body>| {
        let hub = Arc::clone(&hub);
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(Answer::new(body), usize::MAX).await.unwrap();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let query = head.uri.query().unwrap_or_default();
            if query.contains("watch=true") {
                let plural = parts(head.uri.path()).1[0].to_owned();
                let events = hub.events.after(resume(query), plural).boxed();
                return Ok::<_, Infallible>(Response::new(Answer::from_stream(events)));
            }
            let token =
                head.headers.get("authorization").map_or("", |v| v.to_str().unwrap()).trim_start_matches("Bearer ");
            let gate = hub.gate.lock().unwrap().clone().filter(|_| head.uri.path().ends_with("tokenreviews"));
            if let Some(gate) = gate {
                gate.notified().await;
            }
            let (status, value) = hub.answer(&head.method, head.uri.path(), query, token, &body);
            Ok(Response::builder().status(status).body(Answer::from(value.to_string())).unwrap())
        }
    });
    kube::Client::new(service, "default")
}
