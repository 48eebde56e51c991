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
use kube::{Api, Client, Resource as _, ResourceExt as _};
use tokio::sync::watch;

use super::teller::Teller;
use super::{Cached, Progress, revision};
use crate::metrics::Metrics;

/// Shortest pause before a failed watch is taken up again.
const MIN_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause: how long an answer may lag behind once the hub is back.
const MAX_PAUSE: Duration = Duration::from_secs(3);

/// Namespace and name.
pub(super) type Key = (Option<String>, String);

/// Moves the events of one kind's watch into its cache.
pub(super) struct Feed<K: Cached> {
    store: Store<K>,
    writer: Writer<K>,
    metrics: Metrics,
    progress: watch::Sender<Progress>,
    /// The newest revision in the list that is arriving.
    listed: u64,
    undecodable: BTreeSet<Key>,
    failing: bool,
    teller: Option<Teller<K>>,
}

impl<K: Cached> Feed<K> {
    pub(super) fn new(store: Store<K>, writer: Writer<K>, metrics: Metrics, progress: watch::Sender<Progress>) -> Self {
        Self { store, writer, metrics, progress, listed: 0, undecodable: BTreeSet::new(), failing: false, teller: None }
    }

    /// Lets changes be told as well.
    pub(super) fn telling(self, teller: Option<Teller<K>>) -> Self {
        Self { teller, ..self }
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

    pub(super) fn take(&mut self, event: Event<DeserializeGuard<K>>) {
        if self.failing {
            self.failing = false;
            tracing::info!(kind = K::PLURAL, "watching {} again", K::PLURAL);
        }
        let progress = self.after(&event);
        let mut changes = Vec::new();
        if let Some(event) = self.screen(event) {
            let known = self.progress.borrow().synced.then_some(&self.store);
            if let Some(teller) = &mut self.teller {
                changes = teller.changes(&event, known);
            }
            self.writer.apply_watcher_event(&event);
        }
        // Only now: whoever waits for it looks into the store next.
        self.progress.send_replace(progress);
        if let Some(teller) = &self.teller {
            teller.tell(changes);
        }
        if !matches!(self.store_is_filling(), Some(true)) {
            self.metrics.holds(K::PLURAL, self.store.len(), self.undecodable.len());
        }
    }

    /// How far the cache has come once an event is taken in.
    fn after(&mut self, event: &Event<DeserializeGuard<K>>) -> Progress {
        let Progress { synced, revision: seen } = *self.progress.borrow();
        // What cannot be decoded was seen, too.
        let of = |guard: &DeserializeGuard<K>| revision(guard.meta()).unwrap_or_default();
        match event {
            Event::Init => self.listed = 0,
            // A list counts when it is complete: until then the store holds what was before it.
            Event::InitApply(guard) => self.listed = self.listed.max(of(guard)),
            // Not the larger of the two: a hub that was restored goes on from an older revision.
            Event::InitDone => return Progress { synced: true, revision: self.listed },
            Event::Apply(guard) | Event::Delete(guard) => return Progress { synced, revision: seen.max(of(guard)) },
        }
        Progress { synced, revision: seen }
    }

    /// While the first list arrives, its objects are not in the store yet and there is nothing to report.
    fn store_is_filling(&self) -> Option<bool> {
        (!self.progress.borrow().synced).then_some(true)
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

pub(super) fn key<R: kube::Resource>(object: &R) -> Key {
    (object.namespace(), object.name_any())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use kube::core::DeserializeGuard;
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use rstest::rstest;
    use serde_json::json;
    use tokio::sync::watch;
    use zhengyun_crds::DepartmentQuota;

    use super::super::{Cache, Progress};
    use super::Feed;
    use crate::metrics::Metrics;

    fn quota(name: &str, percent: &serde_json::Value) -> DeserializeGuard<DepartmentQuota> {
        at("1", name, percent)
    }

    fn at(revision: &str, name: &str, percent: &serde_json::Value) -> DeserializeGuard<DepartmentQuota> {
        serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "DepartmentQuota",
            "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": revision, "managedFields": [{"manager": "kubectl"}]},
            "spec": {"overcommitPercent": percent},
        }))
        .unwrap()
    }

    fn written(revision: &str, uid: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some("one".into()),
            uid: Some(uid.into()),
            resource_version: Some(revision.into()),
            ..ObjectMeta::default()
        }
    }

    fn fed() -> (Cache<DepartmentQuota>, Feed<DepartmentQuota>) {
        let (store, writer) = store();
        let (announce, progress) = watch::channel(Progress::default());
        let feed = Feed::new(store.clone(), writer, Metrics::new(), announce);
        (Cache { store, progress, metrics: Metrics::new() }, feed)
    }

    fn has_seen(cache: &Cache<DepartmentQuota>, revision: &str, uid: &str) -> bool {
        let up_to = cache.progress.borrow().revision;
        cache.has_seen(&written(revision, uid), up_to)
    }

    #[test]
    fn one_bad_object_never_sticks_the_others_and_comes_back_once_mended() {
        let (cache, mut feed) = fed();
        let reader = cache.store.clone();
        feed.take(Event::Init);
        feed.take(Event::InitApply(quota("good", &json!(100))));
        feed.take(Event::InitApply(quota("bad", &json!("a lot"))));
        assert!(!cache.is_synced());
        feed.take(Event::InitDone);
        assert!(cache.is_synced());
        assert_eq!((reader.len(), feed.undecodable.len()), (1, 1));
        assert_eq!(reader.state()[0].metadata.managed_fields, None);

        feed.take(Event::Apply(quota("good", &json!("broken"))));
        assert_eq!((reader.len(), feed.undecodable.len()), (0, 2));
        feed.take(Event::Apply(quota("good", &json!(110))));
        feed.take(Event::Delete(quota("bad", &json!("a lot"))));
        assert_eq!((reader.len(), feed.undecodable.len()), (1, 0));
    }

    #[test]
    fn a_list_counts_once_it_is_complete() {
        let (cache, mut feed) = fed();
        feed.take(Event::Init);
        feed.take(Event::InitApply(at("9", "one", &json!(100))));
        feed.take(Event::InitApply(at("8", "two", &json!(100))));
        assert!(!has_seen(&cache, "8", "uid-one"));
        feed.take(Event::InitDone);
        assert!(has_seen(&cache, "9", "uid-one"));
        assert!(!has_seen(&cache, "10", "uid-one"), "compared as numbers: as text, 10 comes before 9");
        // The hub was restored: what is written from now on has older revisions, and none of it was seen yet.
        feed.take(Event::Init);
        feed.take(Event::InitApply(at("4", "one", &json!(100))));
        feed.take(Event::InitDone);
        assert!(!has_seen(&cache, "5", "uid-one"));
    }

    #[rstest]
    #[case::as_it_was_written(Event::Apply(at("12", "one", &json!(100))), true)]
    #[case::a_later_state(Event::Apply(at("13", "one", &json!(100))), true)]
    #[case::another_under_its_name(Event::Apply(at("15", "one", &json!(100))), true)]
    #[case::its_deletion(Event::Delete(at("14", "one", &json!(100))), true)]
    #[case::a_state_that_cannot_be_decoded(Event::Apply(at("12", "one", &json!("broken"))), true)]
    #[case::something_later_of_its_kind(Event::Apply(at("16", "two", &json!(100))), true)]
    #[case::its_former_state(Event::Apply(at("11", "one", &json!(100))), false)]
    #[case::the_deletion_of_the_one_before(Event::Delete(at("11", "one", &json!(100))), false)]
    fn a_write_is_seen_with_what_came_of_it(
        #[case] event: Event<DeserializeGuard<DepartmentQuota>>,
        #[case] expected: bool,
    ) {
        let (cache, mut feed) = fed();
        feed.take(Event::Init);
        feed.take(Event::InitApply(at("10", "one", &json!(100))));
        feed.take(Event::InitDone);
        assert!(!has_seen(&cache, "12", "uid-one"));
        feed.take(event);
        assert_eq!(has_seen(&cache, "12", "uid-one"), expected);
    }

    #[test]
    fn revisions_that_are_no_numbers_are_recognised_by_equality() {
        let (cache, mut feed) = fed();
        feed.take(Event::Apply(at("b", "one", &json!(100))));
        assert!(has_seen(&cache, "b", "uid-one"));
        assert!(!has_seen(&cache, "a", "uid-one"));
        assert!(!has_seen(&cache, "b", "uid-other"));
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_the_event_and_by_the_end() {
        let (cache, mut feed) = fed();
        let metadata = written("12", "uid-one");
        let mut waiting = Box::pin(cache.catch_up(&metadata));
        assert!(futures::poll!(&mut waiting).is_pending());
        feed.take(Event::Apply(at("11", "one", &json!(100))));
        assert!(futures::poll!(&mut waiting).is_pending());
        feed.take(Event::Apply(at("12", "one", &json!(100))));
        assert!(futures::poll!(&mut waiting).is_ready());

        let later = written("13", "uid-one");
        let mut waiting = Box::pin(cache.catch_up(&later));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(feed);
        assert!(futures::poll!(&mut waiting).is_ready(), "a process that stops holds nothing back");
        assert!(!cache.metrics.text().unwrap().contains("unseen_writes_total{"), "that is no lag");
    }
}
