//! The way between an operator and the clusters: where requests take time, and where a plan's faults happen.

mod answers;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use kube::client::Body;
use serde_json::json;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use answers::{refusal, truncated};

use super::plan::{Fault, Moment, Plan, Trouble, WatchTrouble};
use crate::apiserver::{Answer, AnswerBody, BoxError, Service};

/// After this long without an answer a client gives up.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a paused operator stands still.
pub const STANDSTILL: Duration = Duration::from_secs(30);
/// When what was under way as an operator ended takes place: after the next one took over.
const STRAGGLE: Duration = Duration::from_secs(25);

/// What was sent so far, counted over all operators of a run.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests that store something.
    pub writes: u64,
    /// Writes by cluster, verb and resource.
    pub by_kind: BTreeMap<String, u64>,
    /// Requests of all kinds but watches.
    pub calls: u64,
    /// Watches.
    pub watches: u64,
    /// How often the same was sent.
    alike: BTreeMap<String, u64>,
}

/// The faults of one run.
#[derive(Debug)]
pub struct Gate {
    plan: Plan,
    counts: Mutex<Counts>,
    /// Requests under way, by when their turn comes and what they are.
    turns: Mutex<Turns>,
    /// Told when a request is sent.
    sent: Notify,
    /// Number of the operator that was started last.
    latest: AtomicU32,
    /// Told when an operator ended or stands still, so that another one is started.
    pub vacant: Notify,
}

/// When a request's turn comes, what it is, and how often the like was sent before.
type Turns = BTreeMap<(Instant, String, u64), oneshot::Sender<()>>;

/// One operator process.
#[derive(Debug)]
pub struct Life {
    dead: AtomicBool,
    straggles: AtomicBool,
    still_until: Mutex<Option<Instant>>,
}

impl Life {
    /// A process that runs.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            dead: AtomicBool::new(false),
            straggles: AtomicBool::new(false),
            still_until: Mutex::new(None),
        })
    }

    /// Ends it: nothing that it sends from now on takes place.
    pub fn end(&self, straggles: bool) {
        self.straggles.store(straggles, Ordering::Release);
        self.dead.store(true, Ordering::Release);
    }

    /// Whether it ended.
    pub fn is_over(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    async fn stand_still(&self) {
        loop {
            let until = *self.still_until.lock().unwrap_or_else(PoisonError::into_inner);
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    async fn or_never(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }
}

enum Turn {
    Call { at: u64, write: Option<u64> },
    Watch(u64),
}

impl Gate {
    /// The faults of a plan.
    pub fn new(plan: &Plan) -> Arc<Self> {
        let gate = Arc::new(Self {
            plan: plan.clone(),
            counts: Mutex::default(),
            turns: Mutex::default(),
            sent: Notify::new(),
            latest: AtomicU32::new(0),
            vacant: Notify::new(),
        });
        tokio::spawn(Arc::clone(&gate).take_turns());
        gate
    }

    /// Lets one request after the other take place, never two in the same millisecond. Which of several comes first follows from
    /// what they are and from the seed, not from the order in which the process happened to send them: hash maps in it have an
    /// order of their own in every run.
    async fn take_turns(self: Arc<Self>) {
        loop {
            let next = self.turns.lock().unwrap_or_else(PoisonError::into_inner).keys().next().cloned();
            let Some(next) = next else {
                self.sent.notified().await;
                continue;
            };
            if next.0 > Instant::now() {
                // Something with an earlier turn may be sent meanwhile.
                let _ = tokio::time::timeout_at(next.0, self.sent.notified()).await;
                continue;
            }
            let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(&next);
            if let Some(turn) = turn {
                // Whoever gave up waiting does not take its turn.
                let _ = turn.send(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn await_turn(&self, what: String) {
        let turn = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let nth = counts.alike.entry(what.clone()).or_default();
            *nth = nth.saturating_add(1);
            let at = Instant::now() + pace(self.plan.seed, &what, *nth);
            let (sender, turn) = oneshot::channel();
            self.turns.lock().unwrap_or_else(PoisonError::into_inner).insert((at, what, *nth), sender);
            turn
        };
        self.sent.notify_one();
        // An error would mean that the run is over.
        let _ = turn.await;
    }

    /// An operator was started.
    pub fn started(&self, number: u32) {
        self.latest.store(number, Ordering::Release);
    }

    /// Whether an operator is the one that was started last.
    pub fn is_latest(&self, number: u32) -> bool {
        self.latest.load(Ordering::Acquire) == number
    }

    /// What was sent so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, cluster: &str, request: &Request<Body>) -> Turn {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let query = request.uri().query().unwrap_or_default();
        if query.split('&').any(|p| p == "watch=true") {
            counts.watches = counts.watches.saturating_add(1);
            return Turn::Watch(counts.watches);
        }
        counts.calls = counts.calls.saturating_add(1);
        let path = request.uri().path();
        let tries = query.split('&').any(|p| p.starts_with("dryRun="));
        let stores = request.method() != Method::GET && !tries && !path.ends_with("reviews");
        let write = stores.then(|| {
            counts.writes = counts.writes.saturating_add(1);
            counts.writes
        });
        if stores {
            let kind = format!("{cluster} {} {}", request.method(), resource(path));
            let seen = counts.by_kind.entry(kind).or_default();
            *seen = seen.saturating_add(1);
        }
        Turn::Call { at: counts.calls, write }
    }

    fn crash_at(&self, write: Option<u64>) -> Option<Moment> {
        let write = write?;
        self.plan.faults.iter().find_map(|f| match f {
            Fault::Crash(at, moment) if *at == write => Some(*moment),
            _ => None,
        })
    }

    fn pauses_at(&self, write: Option<u64>) -> bool {
        write.is_some_and(|write| self.plan.faults.contains(&Fault::Pause(write)))
    }

    fn trouble_at(&self, call: u64) -> Option<Trouble> {
        self.plan.faults.iter().find_map(|f| match f {
            Fault::Call(at, trouble) if *at == call => Some(*trouble),
            _ => None,
        })
    }

    fn watch_trouble_at(&self, watch: u64) -> Option<WatchTrouble> {
        self.plan.faults.iter().find_map(|f| match f {
            Fault::Watch(at, trouble) if *at == watch => Some(*trouble),
            _ => None,
        })
    }
}

/// A request takes one to four milliseconds, by seed and by what it is.
fn pace(seed: u64, what: &str, nth: u64) -> Duration {
    let mixed = what
        .bytes()
        .chain(nth.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    Duration::from_millis(1 + (mixed >> 40) % 4)
}

/// What a request is, whichever process sends it. Events are named after the wall clock.
fn what(cluster: &str, request: &Request<Body>) -> String {
    let path = request.uri().path();
    let path = path.split_once("/events").map_or(path, |(before, _)| before);
    format!("{cluster} {} {path}?{}", request.method(), request.uri().query().unwrap_or_default())
}

fn resource(path: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let rest = if parts.first() == Some(&"api") { parts.get(2..) } else { parts.get(3..) }.unwrap_or_default();
    match rest {
        ["namespaces", _, sub @ ("status" | "finalize")] => format!("namespaces/{sub}"),
        ["namespaces", _, plural, _, sub] | [plural, _, sub] => format!("{plural}/{sub}"),
        ["namespaces", _, plural, ..] | [plural, ..] => (*plural).to_owned(),
        [] => String::new(),
    }
}

/// One operator's way to one cluster.
#[derive(Clone, Debug)]
pub struct Line {
    gate: Arc<Gate>,
    life: Arc<Life>,
    cluster: String,
    server: Service,
    cut: Arc<AtomicBool>,
}

impl Line {
    /// A way through the gate; while `cut` is set, nothing gets through and connections fail at once.
    pub fn new(gate: &Arc<Gate>, life: &Arc<Life>, cluster: &str, server: Service, cut: &Arc<AtomicBool>) -> Self {
        Self {
            gate: Arc::clone(gate),
            life: Arc::clone(life),
            cluster: cluster.to_owned(),
            server,
            cut: Arc::clone(cut),
        }
    }

    async fn serve(mut self, request: Request<Body>) -> Result<Answer, BoxError> {
        Ok(tower::Service::call(&mut self.server, request).await?)
    }

    async fn go(self, request: Request<Body>) -> Result<Answer, BoxError> {
        self.life.or_never().await;
        self.life.stand_still().await;
        tracing::trace!(cluster = self.cluster, method = %request.method(), uri = %request.uri(), "sent");
        self.gate.await_turn(what(&self.cluster, &request)).await;
        self.life.stand_still().await;
        if self.life.is_over() {
            if self.life.straggles.load(Ordering::Acquire) && request.method() != Method::GET {
                tokio::spawn(async move {
                    tokio::time::sleep(STRAGGLE).await;
                    // Nobody waits for the answer any more.
                    drop(self.serve(request).await);
                });
            }
            return std::future::pending().await;
        }
        match self.gate.count(&self.cluster, &request) {
            Turn::Watch(at) => self.watch(at, request).await,
            Turn::Call { at, write } => self.call(at, write, request).await,
        }
    }

    async fn call(self, at: u64, write: Option<u64>, request: Request<Body>) -> Result<Answer, BoxError> {
        let (gate, life) = (Arc::clone(&self.gate), Arc::clone(&self.life));
        let crash = gate.crash_at(write);
        if crash == Some(Moment::Before) {
            life.end(false);
            gate.vacant.notify_one();
            return std::future::pending().await;
        }
        if gate.pauses_at(write) {
            *life.still_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + STANDSTILL);
            gate.vacant.notify_one();
            life.stand_still().await;
        }
        if self.cut.load(Ordering::Acquire) {
            return Err("connection refused".into());
        }
        let answer = match gate.trouble_at(at) {
            None => self.serve(request).await,
            Some(Trouble::Silence) => {
                tokio::time::sleep(DEADLINE).await;
                Err("no answer in time".into())
            }
            Some(Trouble::Reset) => Err("connection reset by peer".into()),
            Some(Trouble::TimeoutAfter) => {
                drop(self.serve(request).await);
                Ok(refusal(504, "Timeout", "the request timed out"))
            }
            Some(Trouble::Truncated) => truncated(self.serve(request).await?).await,
            Some(Trouble::Conflict) => Ok(refusal(
                409,
                "Conflict",
                "the object has been modified; please apply your changes to the latest version and try again",
            )),
            Some(Trouble::TooMany) => Ok(refusal(429, "TooManyRequests", "the server has received too many requests")),
            Some(Trouble::Internal) => Ok(refusal(500, "InternalError", "an internal error occurred")),
            Some(Trouble::Unavailable) => {
                Ok(refusal(503, "ServiceUnavailable", "the server is currently unable to handle the request"))
            }
            Some(Trouble::Unauthorized) => Ok(refusal(401, "Unauthorized", "Unauthorized")),
            Some(Trouble::Forbidden) => Ok(refusal(403, "Forbidden", "forbidden: rights are being set up")),
        };
        if crash == Some(Moment::After) {
            life.end(false);
            gate.vacant.notify_one();
        }
        life.stand_still().await;
        life.or_never().await;
        if crash == Some(Moment::Answered) {
            life.end(true);
            gate.vacant.notify_one();
        }
        answer
    }

    async fn watch(self, at: u64, request: Request<Body>) -> Result<Answer, BoxError> {
        if self.cut.load(Ordering::Acquire) {
            return Err("connection refused".into());
        }
        let trouble = self.gate.watch_trouble_at(at);
        let (life, cut) = (Arc::clone(&self.life), Arc::clone(&self.cut));
        let (head, body) = self.serve(request).await?.into_parts();
        let late = match trouble {
            Some(WatchTrouble::Late) => Duration::from_secs(60),
            Some(WatchTrouble::VeryLate) => Duration::from_secs(600),
            _ => Duration::ZERO,
        };
        let first_only = matches!(trouble, Some(WatchTrouble::Dropped | WatchTrouble::Gone));
        let frames = BodyStream::new(body).take(if first_only { 1 } else { usize::MAX });
        let frames = frames.then(move |frame| {
            let (life, cut) = (Arc::clone(&life), Arc::clone(&cut));
            async move {
                life.stand_still().await;
                life.or_never().await;
                if cut.load(Ordering::Acquire) { Err(BoxError::from("connection reset by peer")) } else { frame }
            }
        });
        let begun = futures::stream::once(tokio::time::sleep(late)).flat_map(|()| futures::stream::empty());
        let gone = (trouble == Some(WatchTrouble::Gone)).then(|| {
            let status = json!({ "type": "ERROR", "object": { "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "too old resource version", "reason": "Expired", "code": 410 } });
            Ok(Frame::data(Bytes::from(format!("{status}\n"))))
        });
        let all = begun.chain(frames).chain(futures::stream::iter(gone));
        Ok(Response::from_parts(head, AnswerBody::new(StreamBody::new(all))))
    }
}

impl tower::Service<Request<Body>> for Line {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().go(request))
    }
}
