//! A simulated API server, just large enough for a namespace: discovery, paged lists, create, read, replace.
//!
//! It is no kube-apiserver: nothing is validated, defaulted, authorized, charged to a quota or kept beyond the test, versions are
//! not converted, and a page is cut from what is there at that moment. It stands here for what a real one does only when it is
//! pressed: a list that goes stale between two pages, 429, a group that does not answer, a change in the middle of a capture, an order
//! of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// group/version, plural, kind.
const KINDS: &[(&str, &str, &str)] = &[
    ("v1", "configmaps", "ConfigMap"),
    ("v1", "secrets", "Secret"),
    ("v1", "events", "Event"),
    ("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("v1", "pods", "Pod"),
    ("v1", "services", "Service"),
    ("apps/v1", "deployments", "Deployment"),
    ("apps/v1", "replicasets", "ReplicaSet"),
    ("example.org/v1", "widgets", "Widget"),
];

type Meanwhile = Box<dyn FnOnce(&mut State) + Send>;

/// What the server holds and does.
#[derive(Default)]
pub(crate) struct State {
    /// By plural and name.
    pub(crate) objects: BTreeMap<(String, String), Value>,
    /// Writes in order: method, plural, name.
    pub(crate) writes: Vec<(String, String, String)>,
    pub(crate) requests: u64,
    /// Sizes of pages that were asked for.
    pub(crate) limits: Vec<usize>,
    version: u64,
    uid: u64,
    /// Lists are answered from the end.
    pub(crate) backwards: bool,
    /// The next page that is asked for is gone.
    pub(crate) stale_once: bool,
    /// Every so many writes one is turned away with 429.
    pub(crate) throttle: Option<u64>,
    /// This group does not answer.
    pub(crate) silent: Option<String>,
    /// Done once, when metadata is first listed.
    pub(crate) meanwhile: Option<Meanwhile>,
}

#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

impl Server {
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let accept = parts.headers.get("accept").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
                let (code, answer) = server.state().answer(&parts.method, &parts.uri, &accept, &body);
                let response = Response::builder().status(code).header("content-type", "application/json");
                Ok::<_, std::convert::Infallible>(response.body(Body::from(answer.to_string().into_bytes())).unwrap())
            }
        });
        Client::new(service, "default")
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    pub(crate) fn put(&mut self, plural: &str, mut object: Value) -> Value {
        self.version += 1;
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if object["metadata"]["uid"].is_null() {
            self.uid += 1;
            object["metadata"]["uid"] = format!("uid-{}-{:p}", self.uid, &raw const *self).into();
        }
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        object["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z".into();
        object["metadata"]["managedFields"] = json!([{ "manager": "test" }]);
        self.objects.insert((plural.to_owned(), name), object.clone());
        object
    }

    fn answer(&mut self, method: &Method, uri: &http::Uri, accept: &str, body: &[u8]) -> (u16, Value) {
        self.requests += 1;
        let path = uri.path().replace("%3F", "?").replace("%23", "#").replace("%20", " ").replace("%3D", "=");
        let path = path.replace("%3A", ":");
        let path = path.as_str();
        if path == "/apis" {
            let groups = ["apps", "example.org", "metrics.k8s.io"];
            let group = |g: &&str| json!({ "name": g, "preferredVersion": { "version": "v1" } });
            return (200, json!({ "groups": groups.iter().map(group).collect::<Vec<_>>() }));
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (gv, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return refusal(404, "no such path"),
        };
        if self.silent.as_ref().is_some_and(|group| gv.starts_with(group)) {
            return refusal(403, "not for you");
        }
        match rest {
            [] => (200, resources(&gv)),
            ["namespaces", "finance"] => (200, json!({ "kind": "Namespace", "metadata": { "name": "finance" } })),
            ["namespaces", "finance", plural] if method == Method::GET => self.list(&gv, plural, uri, accept),
            ["namespaces", "finance", plural] => self.create(plural, body),
            ["namespaces", "finance", plural, name] => {
                let key = ((*plural).to_owned(), (*name).to_owned());
                match (self.objects.get(&key).cloned(), method) {
                    (None, _) => refusal(404, "not found"),
                    (Some(object), &Method::GET) => (200, object),
                    (Some(object), _) => self.replace(plural, &object, body),
                }
            }
            _ => refusal(404, "not found"),
        }
    }

    fn list(&mut self, gv: &str, plural: &str, uri: &http::Uri, accept: &str) -> (u16, Value) {
        let metadata = accept.contains("PartialObjectMetadata");
        if metadata && let Some(meanwhile) = self.meanwhile.take() {
            meanwhile(self);
        }
        let query: BTreeMap<&str, &str> =
            uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
        let limit: usize = query["limit"].parse().unwrap();
        self.limits.push(limit);
        let from: usize = query.get("continue").map_or(0, |token| token.replace("%3D", "").parse().unwrap());
        if from > 0 && std::mem::take(&mut self.stale_once) {
            return refusal(410, "the version is too old");
        }
        let mut all: Vec<&Value> = self.objects.iter().filter(|((p, _), _)| p == plural).map(|(_, o)| o).collect();
        if self.backwards {
            all.reverse();
        }
        let page = all.iter().skip(from).take(limit).map(|object| {
            let mut item = (*object).clone();
            item.as_object_mut().unwrap().retain(|key, _| !["apiVersion", "kind"].contains(&key.as_str()));
            if metadata { json!({ "metadata": item["metadata"] }) } else { item }
        });
        let items: Vec<Value> = page.collect();
        let next = if from + limit < all.len() { format!("{}=", from + limit) } else { String::new() };
        let items = if metadata && items.is_empty() { Value::Null } else { items.into() };
        (200, json!({ "apiVersion": gv, "metadata": { "continue": next }, "items": items }))
    }

    fn create(&mut self, plural: &str, body: &[u8]) -> (u16, Value) {
        let object: Value = serde_json::from_slice(body).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if self.throttle.is_some_and(|n| self.requests.is_multiple_of(n)) {
            let mut answer = refusal(429, "too many");
            answer.1["details"] = json!({ "retryAfterSeconds": 0 });
            return answer;
        }
        for field in ["uid", "resourceVersion", "managedFields"] {
            assert!(object["metadata"].get(field).is_none(), "{field} is sent: {object}");
        }
        if self.objects.contains_key(&(plural.to_owned(), name.clone())) {
            return refusal(409, "already exists");
        }
        self.writes.push(("POST".to_owned(), plural.to_owned(), name));
        (201, self.put(plural, object))
    }

    fn replace(&mut self, plural: &str, live: &Value, body: &[u8]) -> (u16, Value) {
        let object: Value = serde_json::from_slice(body).unwrap();
        for field in ["uid", "resourceVersion"] {
            if object["metadata"][field] != live["metadata"][field] {
                return refusal(409, "it is another");
            }
        }
        let name = live["metadata"]["name"].as_str().unwrap().to_owned();
        self.writes.push(("PUT".to_owned(), plural.to_owned(), name));
        (200, self.put(plural, object))
    }
}

fn resources(gv: &str) -> Value {
    let verbs = json!(["create", "delete", "get", "list", "update", "watch"]);
    let of_group = KINDS.iter().filter(|(group, _, _)| *group == gv);
    let mut all: Vec<Value> = of_group
        .map(|(_, plural, kind)| json!({ "name": plural, "kind": kind, "namespaced": true, "verbs": verbs }))
        .collect();
    if gv == "v1" {
        all.push(json!({ "name": "pods/status", "kind": "Pod", "namespaced": true, "verbs": verbs }));
        all.push(json!({ "name": "namespaces", "kind": "Namespace", "namespaced": false, "verbs": verbs }));
        all.push(json!({ "name": "bindings", "kind": "Binding", "namespaced": true, "verbs": ["create"] }));
    }
    json!({ "resources": all })
}

fn refusal(code: u16, message: &str) -> (u16, Value) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": "Test",
        "code": code,
    });
    (code, body)
}
