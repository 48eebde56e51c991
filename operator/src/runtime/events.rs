//! Events on objects: refusals and results, aggregated, never on the path of a decision.

use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Resource, ResourceExt};
use tokio::time::Instant;
use zhengyun_domain::seeded::{self, Bug};

use super::metrics::Metrics;

/// Events that may be written at once.
const BURST: f64 = 100.0;
/// Events a second in the long run: a thousand refusals in a minute are in conditions and metrics, and must not slow decisions.
const RATE: f64 = 10.0;

/// Publishes Events under the operator's name.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    metrics: Arc<Metrics>,
    /// What may still be written, and when that was reckoned.
    allowance: Arc<Mutex<(f64, Instant)>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// One recorder for all controllers: it aggregates repeated Events.
    pub fn new(client: Client, identity: &str, metrics: Arc<Metrics>) -> Self {
        let reporter = Reporter { controller: "zhengyun-operator".to_owned(), instance: Some(identity.to_owned()) };
        let allowance = Arc::new(Mutex::new((BURST, Instant::now())));
        Self { recorder: Recorder::new(client, reporter), metrics, allowance }
    }

    fn is_allowed(&self) -> bool {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let left = (allowance.0 + now.duration_since(allowance.1).as_secs_f64() * RATE).min(BURST);
        let allowed = left >= 1.0;
        *allowance = (if allowed { left - 1.0 } else { left }, now);
        allowed
    }

    /// Says that something was refused or failed. Returns at once; an Event that cannot be written is not worth a failure.
    pub fn warn<K: Resource<DynamicType = ()>>(&self, object: &K, action: &str, reason: &str, note: &str) {
        self.publish(object, EventType::Warning, action, reason, note);
    }

    /// Says that something came to a result.
    pub fn normal<K: Resource<DynamicType = ()>>(&self, object: &K, action: &str, reason: &str, note: &str) {
        self.publish(object, EventType::Normal, action, reason, note);
    }

    fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        action: &str,
        reason: &str,
        note: &str,
    ) {
        if !self.is_allowed() {
            self.metrics.events_left_out.inc();
            return;
        }
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(zhengyun_domain::condition::cut(note.to_owned(), 1000)),
            action: action.to_owned(),
            secondary: None,
        };
        let (recorder, mut reference, name) = (self.recorder.clone(), object.object_ref(&()), object.name_any());
        if seeded::is(Bug::ToldInSystem) {
            reference.namespace = Some("kube-system".to_owned());
        }
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event, &reference).await {
                tracing::debug!(name, %error, "an Event could not be written");
            }
        });
    }
}
