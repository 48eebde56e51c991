//! One watch per kind, shared by every controller: a store to read from, and a stream of what changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::backoff::spread;
use super::clock::Clock;
use super::metrics::{KindLabel, Metrics};

/// First and longest pause before a watch that failed begins anew.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What every watched kind is.
pub trait Kind:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
}
impl<K> Kind for K where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
}

/// A watched kind.
#[derive(Debug)]
pub struct Watched<K: Kind> {
    /// Objects as last seen.
    pub store: Store<K>,
    subscribers: Arc<Mutex<Vec<mpsc::UnboundedSender<Arc<K>>>>>,
}

impl<K: Kind> Clone for Watched<K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), subscribers: Arc::clone(&self.subscribers) }
    }
}

impl<K: Kind> Watched<K> {
    /// Every object that is created, changed or deleted from now on.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Arc<K>> {
        let (sender, receiver) = mpsc::unbounded();
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// Every object as last seen, by namespace and name: what is done to many is done in the same order each time.
    pub fn all(&self) -> Vec<Arc<K>> {
        let mut all = self.store.state();
        all.sort_unstable_by(|a, b| (&a.meta().namespace, &a.meta().name).cmp(&(&b.meta().namespace, &b.meta().name)));
        all
    }

    /// Those that are wanted, by namespace and name.
    pub fn matching(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let mut found = self.store.state_filter(wanted);
        found
            .sort_unstable_by(|a, b| (&a.meta().namespace, &a.meta().name).cmp(&(&b.meta().namespace, &b.meta().name)));
        found
    }

    /// A cluster-scoped object as last seen.
    pub fn get(&self, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name))
    }

    /// A namespaced object as last seen.
    pub fn get_in(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }

    fn publish(&self, object: &Arc<K>) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|s| s.unbounded_send(Arc::clone(object)).is_ok());
    }
}

/// Pauses of a watch that failed: doubled each time up to ten seconds, spread by kind; after a success from the start.
#[derive(Debug)]
struct Pauses {
    kind: String,
    round: u32,
}

impl Pauses {
    fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), round: 0 }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let doubled = FIRST_PAUSE.saturating_mul(1_u32 << self.round.min(10));
        self.round = self.round.saturating_add(1);
        Some(spread(doubled.min(LONGEST_PAUSE), &self.kind, self.round))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.round = 0;
    }
}

/// Starts the watch of a kind. Subscribe before anything else is awaited, so that no change is missed.
pub fn start<K: Kind>(client: &Client, clock: Clock, metrics: Arc<Metrics>, shutdown: CancellationToken) -> Watched<K> {
    let (store, mut writer) = reflector::store::<K>();
    let watched = Watched { store, subscribers: Arc::default() };
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let client = client.clone();
    let own = watched.clone();
    tokio::spawn(async move {
        let stream = watch(api, watcher::Config::default()).backoff(Pauses::new(&K::kind(&())));
        tokio::pin!(stream);
        loop {
            let event = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                event = stream.next() => event,
            };
            let Some(event) = event else { return };
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&()), %error, "the watch broke off; it starts again by itself");
                    continue;
                }
            };
            let Some(event) = decoded::<K>(event, &client, clock, &metrics).await else { continue };
            writer.apply_watcher_event(&event);
            match event {
                Event::Init | Event::InitApply(_) => {}
                Event::InitDone => own.all().iter().for_each(|object| own.publish(object)),
                // What waits in queues is what the store holds, not a copy of it.
                Event::Apply(object) => {
                    let held = own.store.get(&ObjectRef::from_obj(&object)).unwrap_or_else(|| Arc::new(object));
                    own.publish(&held);
                }
                Event::Delete(object) => own.publish(&Arc::new(object)),
            }
        }
    });
    watched
}

/// Takes the guard off; an object that cannot be decoded is reported on itself and otherwise passed over.
async fn decoded<K: Kind>(
    event: Event<DeserializeGuard<K>>,
    client: &Client,
    clock: Clock,
    metrics: &Metrics,
) -> Option<Event<K>> {
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(DeserializeGuard(Ok(object))) => Event::InitApply(trimmed(object)),
        Event::Apply(DeserializeGuard(Ok(object))) => Event::Apply(trimmed(object)),
        Event::Delete(DeserializeGuard(Ok(object))) => Event::Delete(object),
        Event::InitApply(DeserializeGuard(Err(invalid))) | Event::Apply(DeserializeGuard(Err(invalid))) => {
            let kind = K::kind(&()).to_string();
            metrics.undecodable.get_or_create(&KindLabel { kind: kind.clone() }).inc();
            let name = invalid.metadata.name.clone().unwrap_or_default();
            tracing::error!(kind, namespace = invalid.metadata.namespace, name, error = %invalid.error, "the object cannot be decoded and is passed over until it is corrected");
            report_undecodable::<K>(client, clock, &invalid).await;
            return None;
        }
        Event::Delete(DeserializeGuard(Err(_))) => return None,
    })
}

/// Without what nobody here reads: who wrote which field takes more memory than the fields.
fn trimmed<K: Kind>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

async fn report_undecodable<K: Kind>(
    client: &Client,
    clock: Clock,
    invalid: &kube::core::error_boundary::InvalidObject,
) {
    use kube::core::{ApiResource, DynamicObject};
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = match &invalid.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let Some(name) = invalid.metadata.name.as_deref() else { return };
    let message = format!(
        "the operator cannot read this object: {}; correct the field, then it goes on by itself",
        invalid.error
    );
    let patch = serde_json::json!({
        "metadata": { "uid": invalid.metadata.uid, "resourceVersion": invalid.metadata.resource_version },
        "status": { "conditions": [{
            "type": "Ready", "status": "False", "reason": "Undecodable", "message": message,
            "observedGeneration": invalid.metadata.generation.unwrap_or_default(), "lastTransitionTime": clock.now().to_string()
        }] }
    });
    if let Err(error) = api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        tracing::debug!(name, %error, "the condition about an undecodable object could not be written");
    }
}

/// `namespace/name`, or the name of a cluster-scoped object.
pub fn key<K: Resource>(object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }
}
