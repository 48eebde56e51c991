//! From a watch into a cache.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use backon::ExponentialBuilder;
use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event, ExponentialBackoff, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;

use super::Cached;
use crate::metrics::Metrics;

/// Shortest pause before a failed watch is taken up again.
const MIN_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause: how long an answer may lag behind once the hub is back.
const MAX_PAUSE: Duration = Duration::from_secs(3);

/// Namespace and name.
type Key = (Option<String>, String);

/// Moves the events of one kind's watch into its cache.
pub(super) struct Feed<K: Cached> {
    store: Store<K>,
    writer: Writer<K>,
    metrics: Metrics,
    synced: watch::Sender<bool>,
    undecodable: BTreeSet<Key>,
    failing: bool,
}

impl<K: Cached> Feed<K> {
    pub(super) fn new(store: Store<K>, writer: Writer<K>, metrics: Metrics, synced: watch::Sender<bool>) -> Self {
        Self { store, writer, metrics, synced, undecodable: BTreeSet::new(), failing: false }
    }

    /// Watches until it is dropped; a failed watch is taken up again with growing pauses.
    pub(super) async fn run(mut self, client: Client) {
        let events = watcher(Api::<DeserializeGuard<K>>::all(client), watcher::Config::default());
        let mut events = pin!(events.backoff(patience()));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.take(event),
                Err(error) => self.failed(&error),
            }
        }
    }

    fn take(&mut self, event: Event<DeserializeGuard<K>>) {
        if self.failing {
            self.failing = false;
            tracing::info!(kind = K::PLURAL, "watching {} again", K::PLURAL);
        }
        let done = matches!(event, Event::InitDone);
        if let Some(event) = self.screen(event) {
            self.writer.apply_watcher_event(&event);
        }
        if done {
            self.synced.send_replace(true);
        }
        if !matches!(self.store_is_filling(), Some(true)) {
            self.metrics.holds(K::PLURAL, self.store.len(), self.undecodable.len());
        }
    }

    /// While the first list arrives, its objects are not in the store yet and there is nothing to report.
    fn store_is_filling(&self) -> Option<bool> {
        (!*self.synced.borrow()).then_some(true)
    }

    fn failed(&mut self, error: &watcher::Error) {
        self.metrics.watch_failed(K::PLURAL);
        // Once per outage: the attempts in between fail for the same reason.
        if !self.failing {
            self.failing = true;
            tracing::warn!(
                kind = K::PLURAL,
                "the watch of {} failed and is tried again; answers may be out of date meanwhile: {}",
                K::PLURAL,
                plain(error)
            );
        }
    }

    /// The event without what cannot be decoded; an object that no longer can be leaves the cache.
    fn screen(&mut self, event: Event<DeserializeGuard<K>>) -> Option<Event<K>> {
        match event {
            Event::Init => {
                self.undecodable.clear();
                Some(Event::Init)
            }
            Event::InitDone => Some(Event::InitDone),
            Event::InitApply(guard) => self.decoded(guard).ok().map(Event::InitApply),
            Event::Apply(guard) => match self.decoded(guard) {
                Ok(object) => Some(Event::Apply(object)),
                Err((namespace, name)) => self.held(namespace.as_deref(), &name).map(Event::Delete),
            },
            Event::Delete(DeserializeGuard(Ok(object))) => {
                self.undecodable.remove(&key(&object));
                Some(Event::Delete(object))
            }
            Event::Delete(guard) => {
                let (namespace, name) = key(&guard);
                self.undecodable.remove(&(namespace.clone(), name.clone()));
                self.held(namespace.as_deref(), &name).map(Event::Delete)
            }
        }
    }

    fn decoded(&mut self, guard: DeserializeGuard<K>) -> Result<K, Key> {
        let key = key(&guard);
        match guard.0 {
            Ok(mut object) => {
                self.undecodable.remove(&key);
                object.meta_mut().managed_fields = None;
                object.trim();
                Ok(object)
            }
            Err(invalid) => {
                let (namespace, name) = (key.0.as_deref().unwrap_or_default(), &key.1);
                tracing::warn!(
                    kind = K::PLURAL,
                    namespace,
                    name,
                    "{} {name} cannot be decoded and is left out: {}",
                    K::PLURAL,
                    invalid.error
                );
                self.undecodable.insert(key.clone());
                Err(key)
            }
        }
    }

    fn held(&self, namespace: Option<&str>, name: &str) -> Option<K> {
        let mut reference = ObjectRef::new(name);
        reference.namespace = namespace.map(str::to_owned);
        self.store.get(&reference).map(|object| (*object).clone())
    }
}

fn patience() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::default().with_min_delay(MIN_PAUSE).with_max_delay(MAX_PAUSE);
    pauses.with_jitter().without_max_times().into()
}

/// What went wrong, without the whole refusal printed a second time.
fn plain(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => status.to_string(),
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion => error.to_string(),
    }
}

fn key<R: kube::Resource>(object: &R) -> Key {
    (object.namespace(), object.name_any())
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use serde_json::json;
    use tokio::sync::watch;
    use zhengyun_crds::DepartmentQuota;

    use super::Feed;
    use crate::metrics::Metrics;

    fn quota(name: &str, percent: &serde_json::Value) -> DeserializeGuard<DepartmentQuota> {
        serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "DepartmentQuota",
            "metadata": {"name": name, "managedFields": [{"manager": "kubectl"}]}, "spec": {"overcommitPercent": percent},
        }))
        .unwrap()
    }

    #[test]
    fn one_bad_object_never_sticks_the_others_and_comes_back_once_mended() {
        let (reader, writer) = store();
        let (announce, synced) = watch::channel(false);
        let mut feed = Feed::new(reader.clone(), writer, Metrics::new(), announce);
        feed.take(Event::Init);
        feed.take(Event::InitApply(quota("good", &json!(100))));
        feed.take(Event::InitApply(quota("bad", &json!("a lot"))));
        assert!(!*synced.borrow());
        feed.take(Event::InitDone);
        assert!(*synced.borrow());
        assert_eq!((reader.len(), feed.undecodable.len()), (1, 1));
        assert_eq!(reader.state()[0].metadata.managed_fields, None);

        feed.take(Event::Apply(quota("good", &json!("broken"))));
        assert_eq!((reader.len(), feed.undecodable.len()), (0, 2));
        feed.take(Event::Apply(quota("good", &json!(110))));
        feed.take(Event::Delete(quota("bad", &json!("a lot"))));
        assert_eq!((reader.len(), feed.undecodable.len()), (1, 0));
    }
}
