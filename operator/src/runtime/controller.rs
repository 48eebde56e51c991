//! The loop of a controller: a queue without duplicates, bounded concurrency, one reconcile per object at a time, backoff.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt, TryStreamExt};
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zhengyun_domain::seeded::{self, Bug};

use super::backoff::Backoff;
use super::metrics::{KindLabel, Metrics, ReconcileLabels};
use super::watches::{Kind, Watched, key};
use super::written::Written;

/// Why a reconcile did not come to its end, and who can do something about it.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Trying again helps; the object backs off.
    #[error("{0}")]
    Transient(String),
    /// The object changed under our hands; it is looked at again at once.
    #[error("{0}")]
    Stale(String),
}

impl From<kube::Error> for ReconcileError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 409 => {
                Self::Stale(format!("the object changed meanwhile: {}", status.message))
            }
            other => Self::Transient(other.to_string()),
        }
    }
}

/// The result of one reconcile.
pub type Outcome = Result<Action, ReconcileError>;

/// What makes a controller look at objects of its kind.
pub struct Triggers<K: Kind> {
    streams: SelectAll<BoxStream<'static, ObjectRef<K>>>,
}

impl<K: Kind> std::fmt::Debug for Triggers<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Triggers").field("streams", &self.streams.len()).finish()
    }
}

impl<K: Kind> Triggers<K> {
    /// The kind's own changes.
    pub fn own(watched: &Watched<K>) -> Self {
        let mut streams = SelectAll::new();
        let own = watched.changes().map(|object| ObjectRef::from_obj(object.as_ref()));
        streams.push(own.boxed());
        Self { streams }
    }

    /// Changes of another kind, mapped to objects of this one.
    #[must_use]
    pub fn on<T: Kind, I: IntoIterator<Item = ObjectRef<K>>>(
        mut self,
        other: &Watched<T>,
        map: impl Fn(Arc<T>) -> I + Send + 'static,
    ) -> Self
    where
        I::IntoIter: Send + 'static,
    {
        let mapped = other.changes().flat_map(move |object| futures::stream::iter(map(object)));
        self.streams.push(mapped.boxed());
        self
    }

    /// Changes of another kind in the facts that matter here; whatever else is written on those objects passes unnoticed.
    #[must_use]
    pub fn on_facts<T: Kind, F: PartialEq + Send + 'static, I: IntoIterator<Item = ObjectRef<K>>>(
        self,
        other: &Watched<T>,
        facts: impl Fn(&T) -> F + Send + 'static,
        map: impl Fn(Arc<T>) -> I + Send + 'static,
    ) -> Self
    where
        I::IntoIter: Send + 'static,
    {
        let store = other.store.clone();
        let mut seen: HashMap<ObjectRef<T>, F> = HashMap::new();
        let changes = other.changes().filter(move |object| {
            let reference = ObjectRef::from_obj(object.as_ref());
            let differs = if store.get(&reference).is_some() {
                let now = facts(object);
                let differs = seen.get(&reference) != Some(&now);
                seen.insert(reference, now);
                differs
            } else {
                // That it is gone is a fact as well.
                seen.remove(&reference);
                true
            };
            std::future::ready(differs)
        });
        self.from_stream(changes.flat_map(move |object| futures::stream::iter(map(object))))
    }

    /// Any other stream.
    #[must_use]
    pub fn from_stream(mut self, stream: impl Stream<Item = ObjectRef<K>> + Send + 'static) -> Self {
        self.streams.push(stream.boxed());
        self
    }
}

/// What all controllers of one operator share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Where looks are counted.
    pub metrics: Arc<Metrics>,
    /// What was written and is not seen yet.
    pub written: Arc<Written>,
}

/// Runs a controller until shutdown; reconciles under way are finished.
pub async fn run<K, F, Fut>(
    watched: Watched<K>,
    triggers: Triggers<K>,
    concurrency: u16,
    shared: Shared,
    shutdown: CancellationToken,
    reconcile: F,
) where
    K: Kind,
    F: Fn(Arc<K>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    let kind = K::kind(&()).to_string();
    let backoff = Arc::new(Backoff::default());
    let queue = triggers.streams.take_until(shutdown.cancelled_owned()).map(Ok::<_, std::convert::Infallible>);
    let stale = Arc::new(Backoff::of_stale_views());
    let (policy_backoff, policy_stale) = (Arc::clone(&backoff), Arc::clone(&stale));
    let wrapped = move |object: Arc<K>, _: Arc<()>| -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let (Shared { metrics, written }, kind, reconcile) = (shared.clone(), kind.clone(), reconcile.clone());
        let (backoff, stale) = (Arc::clone(&backoff), Arc::clone(&stale));
        Box::pin(async move {
            if let Some(left) = written.is_before(object.as_ref()) {
                return Ok(Action::requeue(left));
            }
            let name = key(object.as_ref());
            let started = Instant::now();
            let outcome = written.during(format!("{kind} {name}"), reconcile(object)).await;
            metrics
                .reconcile_seconds
                .get_or_create(&KindLabel { kind: kind.clone() })
                .observe(started.elapsed().as_secs_f64());
            let word = match &outcome {
                Ok(_) => "ok",
                Err(ReconcileError::Transient(_)) => "transient",
                Err(ReconcileError::Stale(_)) => "stale",
            };
            metrics.reconciles.get_or_create(&ReconcileLabels { kind: kind.clone(), outcome: word.to_owned() }).inc();
            match &outcome {
                Ok(_) => {
                    backoff.succeed(&name);
                    stale.succeed(&name);
                }
                Err(ReconcileError::Transient(why)) => {
                    tracing::warn!(kind, object = name, why, "reconcile failed; it is tried again");
                }
                Err(ReconcileError::Stale(why)) => tracing::debug!(kind, object = name, why, "looked at again"),
            }
            outcome
        })
    };
    let policy = move |object: Arc<K>, error: &ReconcileError, _: Arc<()>| match error {
        ReconcileError::Stale(_) if seeded::is(Bug::StaleNotRetried) => Action::await_change(),
        ReconcileError::Transient(_) if seeded::is(Bug::ErrorsSwallowed) => Action::await_change(),
        ReconcileError::Stale(_) => Action::requeue(policy_stale.next(&key(object.as_ref()))),
        ReconcileError::Transient(_) => Action::requeue(policy_backoff.next(&key(object.as_ref()))),
    };
    let config = Config::default().concurrency(concurrency);
    applier(wrapped, policy, Arc::new(()), watched.store.clone(), queue, config)
        .into_stream()
        .for_each(|result| async move {
            // Failures of a reconcile are logged where they happen; an object that is gone needs no word.
            if let Err(kube::runtime::controller::Error::QueueError(error)) = result {
                tracing::error!(%error, "the queue of a controller failed");
            }
        })
        .await;
}
