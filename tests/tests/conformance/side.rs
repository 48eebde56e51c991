//! One of the two servers as a sequence meets it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body as HttpBody;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinHandle;
use zhengyun_tests::apiserver::{Apiserver, User};

use super::memory::Memory;
use super::step::{Body, Call, Watch};

/// Where requests go.
pub(crate) enum Door {
    /// A real API server, as its administrator, who may speak for others.
    Real(Client),
    /// One in memory.
    Memory(Apiserver),
}

/// Somebody without rights of their own: `people` come with group `people`.
fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        groups: vec!["people".to_owned(), "system:authenticated".to_owned()],
        uid: String::new(),
    }
}

/// One of the two servers.
pub(crate) struct Side {
    door: Door,
    pub(crate) memory: Memory,
    watches: Vec<Watching>,
}

/// What a server said.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// As it came.
    pub(crate) body: Value,
    /// As it is compared.
    pub(crate) shown: Value,
}

struct Watching {
    code: u16,
    refusal: Value,
    events: UnboundedReceiver<Value>,
    task: JoinHandle<()>,
}

impl Side {
    pub(crate) fn new(door: Door) -> Self {
        Self { door, memory: Memory::default(), watches: Vec::new() }
    }

    /// The request as this side sends it: for the report.
    pub(crate) fn written(&self, call: &Call) -> String {
        let body = self.body(&call.body).unwrap_or_default();
        let body = String::from_utf8_lossy(&body).into_owned();
        let user = call.user.map(|user| format!(" as {user}")).unwrap_or_default();
        let accept = if call.metadata_only { " (metadata only)" } else { "" };
        format!("{} {}{user}{accept} {} {body}", call.method, self.uri(&call.path, &call.query), call.content)
    }

    fn uri(&self, path: &str, query: &[(String, String)]) -> String {
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        for (key, value) in query {
            serializer.append_pair(key, &self.memory.fill(value));
        }
        let query = serializer.finish();
        let path = self.memory.fill(path);
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    fn body(&self, body: &Body) -> Result<Vec<u8>> {
        Ok(match body {
            Body::Nothing => Vec::new(),
            Body::Text(text) => text.as_bytes().to_vec(),
            Body::Is(value) => serde_json::to_vec(&self.memory.fill_value(value))?,
            Body::Seen { at, change } => {
                let mut object = self.memory.last(at);
                if object.is_null() {
                    // Never seen: the same nonsense on both sides.
                    object = json!({ "metadata": {} });
                }
                if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove("managedFields");
                }
                json_patch::merge(&mut object, &self.memory.fill_value(change));
                serde_json::to_vec(&object)?
            }
        })
    }

    async fn send(&self, call: &Call) -> Result<http::Response<HttpBody>> {
        let accept = if call.metadata_only {
            let watches = call.query.iter().any(|(key, _)| key == "watch");
            if call.method == Method::GET && !watches && !call.path.contains("@{") && is_collection(&call.path) {
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
            } else {
                "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
            }
        } else {
            "application/json"
        };
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(self.uri(&call.path, &call.query))
            .header(ACCEPT, accept)
            .header(CONTENT_TYPE, call.content)
            .header(http::header::USER_AGENT, "conformance/1");
        let client = match (&self.door, call.user) {
            (Door::Real(client), None) => client.clone(),
            (Door::Real(client), Some(name)) => {
                request = request.header("impersonate-user", name).header("impersonate-group", "people");
                client.clone()
            }
            (Door::Memory(server), None) => server.client(&User::system(), "conformance"),
            (Door::Memory(server), Some(name)) => server.client(&user(name), "conformance"),
        };
        let request = request.body(HttpBody::from(self.body(&call.body)?))?;
        client.send(request).await.with_context(|| self.written(call))
    }

    /// Sends a request and remembers the answer.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<Answer> {
        let response = self.send(call).await?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.context("an answer's body")?.to_bytes();
        let body: Value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
        if call.method == Method::GET && is_collection(&call.path) {
            self.memory.listed(&body);
            for item in body["items"].as_array().into_iter().flatten() {
                let name = item.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                self.memory.saw(&format!("{}/{name}", call.path), item);
            }
        } else if code < 300 && !dry(call) {
            if let (Some(alias), Some(name)) = (&call.alias, body.pointer("/metadata/name").and_then(Value::as_str)) {
                self.memory.named(alias, name);
            }
            self.memory.saw(&call.object(), &body);
        }
        let mut shown = self.memory.hide(&body);
        condense(&mut shown);
        Ok(Answer { code, body, shown })
    }

    /// Opens a watch.
    pub(crate) async fn watch(&mut self, watch: &Watch) -> Result<()> {
        let mut call = super::step::read(&watch.path).with("watch", "true");
        call.query.extend(watch.query.iter().cloned());
        call.metadata_only = watch.metadata_only;
        let response = self.send(&call).await?;
        let code = response.status().as_u16();
        let (sender, events) = mpsc::unbounded_channel();
        let mut body = response.into_body();
        let mut refusal = Value::Null;
        let task = if code == 200 {
            tokio::spawn(async move {
                let mut pending = Vec::new();
                while let Some(Ok(frame)) = body.frame().await {
                    let Ok(data) = frame.into_data() else { continue };
                    pending.extend_from_slice(&data);
                    while let Some(end) = pending.iter().position(|b| *b == b'\n') {
                        let line: Vec<u8> = pending.drain(..=end).collect();
                        let event = serde_json::from_slice::<Value>(&line).unwrap_or_else(|_| Value::from("no JSON"));
                        if event["type"] != "BOOKMARK" && sender.send(event).is_err() {
                            return;
                        }
                    }
                }
            })
        } else {
            let bytes = body.collect().await?.to_bytes();
            refusal = serde_json::from_slice(&bytes).unwrap_or_default();
            tokio::spawn(async {})
        };
        self.watches.push(Watching { code, refusal, events, task });
        Ok(())
    }

    /// What a watch told: its code and refusal, and its events; up to an object of this name, or until `count` events came and
    /// nothing more for a moment.
    pub(crate) async fn told(&mut self, which: usize, until: Option<&str>, count: usize, quiet: Duration) -> Told {
        let watching = &mut self.watches[which];
        let mut events = Vec::new();
        if watching.code == 200 {
            loop {
                let patience = if until.is_some() || events.len() < count { Duration::from_secs(10) } else { quiet };
                let Ok(Some(event)) = tokio::time::timeout(patience, watching.events.recv()).await else { break };
                let name = event.pointer("/object/metadata/name").and_then(Value::as_str);
                if until.is_some() && name == until {
                    break;
                }
                events.push(event);
            }
        }
        watching.task.abort();
        let shown = events
            .iter()
            .map(|event| {
                let mut shown = self.memory.hide(event);
                if let Some(object) = shown.get_mut("object") {
                    condense(object);
                }
                shown
            })
            .collect();
        let mut refusal = self.watches[which].refusal.clone();
        condense(&mut refusal);
        Told { code: self.watches[which].code, refusal, events, shown }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // A watch would go on for as long as the connection, which carries only so many at once.
        self.watches.iter().for_each(|watching| watching.task.abort());
    }
}

/// What a watch told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: u16,
    pub(crate) refusal: Value,
    pub(crate) events: Vec<Value>,
    pub(crate) shown: Vec<Value>,
}

fn dry(call: &Call) -> bool {
    call.query.iter().any(|(key, _)| key == "dryRun")
}

fn is_collection(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    // api/v1/… or apis/group/version/…, then perhaps namespaces/name, then the plural.
    let rest = &parts[if parts[0] == "api" { 2 } else { 3 }..];
    matches!(rest, [_] | ["namespaces", _, _]) && !matches!(rest, [.., "status" | "finalize"])
}

/// Of a refusal only what clients act on is compared: not its wording.
fn condense(answer: &mut Value) {
    if answer.get("kind").and_then(Value::as_str) != Some("Status") {
        return;
    }
    let Some(status) = answer.as_object_mut() else { return };
    status.remove("message");
    if let Some(details) = status.get_mut("details").and_then(Value::as_object_mut) {
        details.remove("retryAfterSeconds");
        if let Some(causes) = details.get_mut("causes").and_then(Value::as_array_mut) {
            for cause in causes.iter_mut().filter_map(Value::as_object_mut) {
                cause.remove("message");
            }
            causes.sort_by_key(ToString::to_string);
            causes.dedup();
        }
    }
}
