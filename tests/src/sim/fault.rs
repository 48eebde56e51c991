//! The way between an operator and the clusters: where requests take time, and where a plan's faults happen.

mod answers;
mod life;
mod turns;
mod watch;
mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request};
use kube::client::Body;
use tokio::sync::Notify;
use tokio::time::Instant;

use answers::{refusal, truncated};
pub use life::{Life, Role};
use turns::{Turns, what};
pub use watch::VERY_LATE;
use weather::Weather;

use super::plan::{Cut, Fault, Moment, Plan, Rate, Trouble, WatchTrouble};
use crate::apiserver::{Answer, BoxError, Service};

/// After this long without an answer a client gives up.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a paused operator stands still.
pub const STANDSTILL: Duration = Duration::from_secs(30);
/// When what was under way as an operator ended takes place: after the next one took over.
const STRAGGLE: Duration = Duration::from_secs(25);

/// More requests than any run sends that comes to an end, and longer than any takes on a real clock.
const FLOOD: u64 = 12_000;
const TOO_LONG: Duration = Duration::from_secs(120);

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
    /// Which of the calls are writes.
    pub writing: BTreeSet<u64>,
    /// How often the same was sent, and when last.
    alike: BTreeMap<String, (u64, Instant)>,
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
    /// What is wrong with the ways to sites.
    weather: Mutex<Weather>,
    /// Number of the operator that was started last.
    latest: AtomicU32,
    begun: std::time::Instant,
    /// Told when the run does not come to its end.
    flood: Notify,
    /// Told when an operator ended or stands still, so that another one is started.
    pub vacant: Notify,
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
            weather: Mutex::default(),
            latest: AtomicU32::new(0),
            begun: std::time::Instant::now(),
            flood: Notify::new(),
            vacant: Notify::new(),
        });
        tokio::spawn(Arc::clone(&gate).take_turns());
        gate
    }

    /// An operator was started.
    pub fn started(&self, number: u32) {
        self.latest.store(number, Ordering::Release);
    }

    /// Whether an operator is the one that was started last.
    pub fn is_latest(&self, number: u32) -> bool {
        self.latest.load(Ordering::Acquire) == number
    }

    /// Returns when the run sends without end: what goes wrong in it must not keep the campaign.
    pub async fn flooded(&self) -> String {
        self.flood.notified().await;
        format!("no end after {} requests and {} s", self.counts().calls, self.begun.elapsed().as_secs())
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
        if counts.calls > FLOOD || self.begun.elapsed() > TOO_LONG {
            self.flood.notify_one();
        }
        let path = request.uri().path();
        let tries = query.split('&').any(|p| p.starts_with("dryRun="));
        let stores = request.method() != Method::GET && !tries && !path.ends_with("reviews");
        let write = stores.then(|| {
            let call = counts.calls;
            counts.writing.insert(call);
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

    fn cut_at(&self, write: Option<u64>) -> Option<Cut> {
        let write = write?;
        self.plan.faults.iter().find_map(|f| match f {
            Fault::Cut(at, cut) if *at == write => Some(*cut),
            _ => None,
        })
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How fast the operators' clocks go.
    pub fn rate(&self) -> Option<Rate> {
        self.plan.faults.iter().find_map(|f| match f {
            Fault::Clock(rate) => Some(*rate),
            _ => None,
        })
    }

    /// A process ends.
    fn over(&self, life: &Life, straggles: bool) {
        life.end(straggles);
        self.left(life);
    }

    /// A process does nothing any more, or not for a while: another operator takes over.
    fn left(&self, life: &Life) {
        if life.role == Role::Operator {
            self.vacant.notify_one();
        }
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
        tracing::trace!(agent = self.life.agent, cluster = self.cluster, method = %request.method(), uri = %request.uri(), "sent");
        self.gate.await_turn(what(&self.life.agent, &self.cluster, &request)).await;
        self.life.stand_still().await;
        if self.life.is_over() {
            if self.life.straggles() && request.method() != Method::GET {
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
            gate.over(&life, false);
            return std::future::pending().await;
        }
        if gate.pauses_at(write) {
            life.halt(STANDSTILL);
            gate.left(&life);
            life.stand_still().await;
        }
        if let Some(cut) = gate.cut_at(write) {
            gate.weather.lock().unwrap_or_else(PoisonError::into_inner).begin(cut);
        }
        if self.is_cut() {
            return Err("connection refused".into());
        }
        let weather = if self.cluster == "hub" { Weather::default() } else { gate.weather() };
        tokio::time::sleep(weather.delay()).await;
        let answer = match gate.trouble_at(at) {
            None if weather.swallows_answers() => {
                drop(self.serve(request).await);
                tokio::time::sleep(DEADLINE).await;
                Err("no answer in time".into())
            }
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
            Some(Trouble::Forbidden) => Ok(refusal(
                403,
                "Forbidden",
                "forbidden: User \"simulated\" cannot do this while rights are being set up",
            )),
        };
        if crash == Some(Moment::After) {
            gate.over(&life, false);
        }
        life.stand_still().await;
        life.or_never().await;
        if crash == Some(Moment::Answered) {
            gate.over(&life, true);
        }
        answer
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
