//! The API as a process of the simulation, and people who use it the way programs should: what was not answered is sent again.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use clap::Parser as _;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use zhengyun_api::{AppState, Args, Hub};

use super::base::World;
use super::fault::{Gate, Life, Line, Role};
use super::people;
use crate::apiserver::User;
use crate::world::door::request_path;

/// A person waits this long for an answer.
const PATIENCE: Duration = Duration::from_secs(35);
/// Pause before a call is made again, and how often it is.
const PAUSE: Duration = Duration::from_secs(5);
const TRIES: u32 = 240;
/// What the API spends at most on one call to the hub.
const HUB_TIMEOUT: Duration = Duration::from_secs(10);

/// The API's processes of one run: one at a time, another one when it ended.
#[derive(Clone, Debug)]
pub struct Door {
    world: World,
    gate: Arc<Gate>,
    process: Arc<Mutex<Option<Process>>>,
}

#[derive(Clone, Debug)]
struct Process {
    number: u32,
    life: Arc<Life>,
    router: Router,
    stop: CancellationToken,
}

/// What the API answered.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    etag: Option<String>,
    body: Value,
}

/// Whether a call did what was wanted of it.
enum Outcome {
    Done(Value),
    Again(String),
}

impl Door {
    /// The API of a world; its first process starts with the first call.
    pub fn new(world: &World, gate: &Arc<Gate>) -> Self {
        Self { world: world.clone(), gate: Arc::clone(gate), process: Arc::default() }
    }

    async fn process(&self) -> Result<Process> {
        let (number, running) = {
            let held = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            (held.as_ref().map_or(0, |p| p.number), held.clone().filter(|p| !p.life.is_over()))
        };
        if let Some(running) = running {
            return Ok(running);
        }
        let started = self.start(number.saturating_add(1)).await?;
        let mut held = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(former) = held.replace(started.clone()) {
            former.stop.cancel();
        }
        Ok(started)
    }

    async fn start(&self, number: u32) -> Result<Process> {
        let life = Life::new(Role::Api, &format!("api-{number}"));
        let client = |user: &User| {
            let open = Arc::new(AtomicBool::new(false));
            Client::new(
                Line::new(&self.gate, &life, "hub", self.world.hub.service(user, &life.agent), &open),
                "default",
            )
        };
        // Without a bearer token nobody is anybody.
        let hub = Hub::from_clients(client(&people::api()), client(&User::default()), HUB_TIMEOUT);
        let args = Args::try_parse_from(["zhengyun-api"]).context("the API's defaults")?;
        let stop = CancellationToken::new();
        let state = AppState::start(&args, hub, &stop);
        state.ready().await;
        Ok(Process { number, life: Arc::clone(&life), router: zhengyun_api::router(&state), stop })
    }

    /// One call; no answer comes from a process that ended.
    async fn send(
        &self,
        who: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Option<Answer>> {
        let process = tokio::time::timeout(PATIENCE, self.process()).await;
        let Ok(process) = process else { return Ok(None) };
        let process = process?;
        let token = people::token(who);
        self.world.hub.admit(&token, &people::person(who)?);
        let mut request =
            Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
        if let Some(etag) = etag {
            request = request.header("if-match", etag);
        }
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(axum::body::Body::from(body.to_string()))
            }
            None => request.body(axum::body::Body::empty()),
        }?;
        let answered = async {
            let response = process.router.clone().oneshot(request).await?;
            let (head, body) = response.into_parts();
            let bytes = body.collect().await?.to_bytes();
            anyhow::Ok((head, bytes))
        };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        if process.life.is_over() {
            return Ok(None);
        }
        let Ok(answered) = answered else { return Ok(None) };
        let (head, bytes) = answered?;
        let etag = head.headers.get("etag").and_then(|v| v.to_str().ok()).map(str::to_owned);
        Ok(Some(Answer { status: head.status, etag, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }))
    }

    async fn until_done<F: Future<Output = Result<Outcome>>>(
        &self,
        what: &str,
        attempt: impl Fn() -> F,
    ) -> Result<Value> {
        let mut last = String::new();
        for _ in 0..TRIES {
            match attempt().await? {
                Outcome::Done(value) => return Ok(value),
                Outcome::Again(why) => last = why,
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("{what}: tried {TRIES} times; at last: {last}")
    }

    /// Reads until what is read is as wanted.
    ///
    /// # Errors
    /// What it was instead.
    pub async fn read(&self, who: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        self.until_done(path, || async {
            let answer = self.send(who, &Method::GET, path, None, None).await?;
            Ok(match answer {
                Some(answer) if answer.status.is_success() && wanted(&answer.body) => Outcome::Done(answer.body),
                other => Outcome::Again(said(other.as_ref())),
            })
        })
        .await
    }

    /// Posts until it is answered with success: repeating these calls is safe.
    ///
    /// # Errors
    /// What was answered instead.
    pub async fn post(&self, who: &str, path: &str, body: &Value) -> Result<Value> {
        self.until_done(path, || async {
            let answer = self.send(who, &Method::POST, path, Some(body), None).await?;
            Ok(match answer {
                Some(answer) if answer.status.is_success() => Outcome::Done(answer.body),
                other => Outcome::Again(said(other.as_ref())),
            })
        })
        .await
    }

    /// Creates a draft.
    ///
    /// # Errors
    /// What was answered instead.
    pub async fn create(&self, who: &str, department: &str, name: &str, order: &Value) -> Result<Value> {
        let path = format!("/api/v1/departments/{department}/requests");
        self.post(who, &path, &json!({ "name": name, "order": order })).await
    }

    /// Writes on a request as it was read, until it was done or shows that it is.
    async fn on_request(
        &self,
        who: &str,
        department: &str,
        name: &str,
        call: (Method, &str, Option<Value>),
        is_done: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let read = request_path(department, name);
        let (method, part, body) = call;
        let path = format!("{read}{part}");
        self.until_done(&format!("{method} {path} as {who}"), || async {
            let seen = match self.send(who, &Method::GET, &read, None, None).await? {
                Some(seen) if seen.status.is_success() => seen,
                other => return Ok(Outcome::Again(said(other.as_ref()))),
            };
            if is_done(&seen.body) {
                return Ok(Outcome::Done(seen.body));
            }
            let answer = self.send(who, &method, &path, body.as_ref(), seen.etag.as_deref()).await?;
            Ok(match answer {
                Some(answer) if answer.status.is_success() => Outcome::Done(answer.body),
                other => Outcome::Again(said(other.as_ref())),
            })
        })
        .await
    }

    /// Submits a request.
    ///
    /// # Errors
    /// What was answered instead.
    pub async fn submit(&self, who: &str, department: &str, name: &str) -> Result<Value> {
        let submitted = |r: &Value| !["", "Draft", "ReturnedForCorrection"].contains(&phase(r));
        self.on_request(who, department, name, (Method::POST, "/submission", None), submitted).await
    }

    /// Replaces the order of a request that was returned.
    ///
    /// # Errors
    /// What was answered instead.
    pub async fn correct(&self, who: &str, department: &str, name: &str, order: &Value) -> Result<Value> {
        self.on_request(who, department, name, (Method::PUT, "", Some(json!({ "order": order }))), |_| false).await
    }

    /// Decides on the open stage of a request.
    ///
    /// # Errors
    /// What was answered instead.
    pub async fn decide(&self, who: &str, department: &str, name: &str, stage: &str, verdict: &str) -> Result<Value> {
        let body = json!({ "verdict": verdict, "reason": "decided in a simulation", "stage": stage });
        let decided = |r: &Value| !["", "Draft", "InReview"].contains(&phase(r));
        self.on_request(who, department, name, (Method::POST, "/decisions", Some(body)), decided).await
    }
}

/// Phase in a body of the API.
pub fn phase(body: &Value) -> &str {
    body.get("phase").and_then(Value::as_str).unwrap_or_default()
}

fn said(answer: Option<&Answer>) -> String {
    answer.map_or_else(|| "no answer".to_owned(), |a| format!("{} {}", a.status, a.body))
}
