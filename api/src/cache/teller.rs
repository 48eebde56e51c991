//! From the events of a watch to the changes that readers are told of.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

use super::Cached;
use super::feed::{Key, key};
use crate::events::{Change, Log, Told};

/// Tells the changes of one kind; kinds that no list shows have none.
pub(super) struct Teller<K: Cached> {
    log: Arc<Log>,
    changed: fn(&K) -> Change,
    gone: fn(&K) -> Change,
    /// What the list that is arriving holds; none while there is none.
    listed: Option<BTreeSet<Key>>,
    /// What that list shows otherwise than it was.
    differing: Vec<Change>,
}

impl<K: Told> Teller<K> {
    pub(super) fn new(log: &Arc<Log>) -> Self {
        Self {
            log: Arc::clone(log),
            changed: Change::of::<K>,
            gone: Change::gone::<K>,
            listed: None,
            differing: Vec::new(),
        }
    }
}

impl<K: Cached> Teller<K> {
    /// What is to be told of an event once the cache has taken it in. `known` is what the cache holds before; it is none until the first
    /// list is complete, which tells nothing: whoever begins to listen reads the lists.
    pub(super) fn changes(&mut self, event: &Event<K>, known: Option<&Store<K>>) -> Vec<Change> {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                self.differing.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(key(object));
                }
                // A list that is read again after a watch broke: what did not change meanwhile is no news.
                if known.is_some_and(|known| !holds(known, object)) {
                    self.differing.push((self.changed)(object));
                }
                Vec::new()
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let before = known.map(Store::state).unwrap_or_default();
                let gone = before.iter().filter(|object| !listed.contains(&key(object.as_ref())));
                let gone: Vec<Change> = gone.map(|object| (self.gone)(object)).collect();
                gone.into_iter().chain(self.differing.drain(..)).collect()
            }
            Event::Apply(object) => vec![(self.changed)(object)],
            Event::Delete(object) => vec![(self.gone)(object)],
        }
    }

    /// Tells them.
    pub(super) fn tell(&self, changes: Vec<Change>) {
        for change in changes {
            self.log.add(change);
        }
    }
}

/// Whether the cache holds an object in this very state.
fn holds<K: Cached>(known: &Store<K>, object: &K) -> bool {
    let mut reference = ObjectRef::new(object.meta().name.as_deref().unwrap_or_default());
    reference.namespace.clone_from(&object.meta().namespace);
    let same = |held: Arc<K>| {
        (&held.meta().uid, &held.meta().resource_version) == (&object.meta().uid, &object.meta().resource_version)
    };
    known.get(&reference).is_some_and(same)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::core::DeserializeGuard;
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use serde_json::json;
    use tokio::sync::watch;
    use zhengyun_crds::DepartmentQuota;

    use super::super::{Progress, feed::Feed};
    use super::Teller;
    use crate::events::{Cursor, Log};
    use crate::metrics::Metrics;

    fn quota(name: &str, revision: &str) -> DeserializeGuard<DepartmentQuota> {
        serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "DepartmentQuota",
            "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": revision}, "spec": {},
        }))
        .unwrap()
    }

    /// What was told after a place: each name, and whether it is gone.
    fn told(log: &Log, at: Cursor) -> Vec<String> {
        let changes = log.after(at, usize::MAX).unwrap();
        let text = |change: &crate::events::Change| {
            let department = change.department.clone().unwrap_or_default();
            if change.is_gone() { format!("-{department}") } else { department }
        };
        changes.iter().map(|(_, change)| text(change)).collect()
    }

    #[test]
    fn a_list_that_is_read_again_tells_only_what_changed_meanwhile() {
        let log = Arc::new(Log::new());
        let (store, writer) = store();
        let (announce, _progress) = watch::channel(Progress::default());
        let mut feed = Feed::new(store, writer, Metrics::new(), announce).telling(Some(Teller::new(&log)));
        let start = log.end();
        feed.take(Event::Init);
        for (name, revision) in [("same", "1"), ("changed", "2"), ("gone", "3")] {
            feed.take(Event::InitApply(quota(name, revision)));
        }
        feed.take(Event::InitDone);
        assert!(told(&log, start).is_empty(), "who begins to listen reads the lists");
        feed.take(Event::Apply(quota("same", "4")));
        feed.take(Event::Delete(quota("never-seen", "5")));
        assert_eq!(told(&log, start), ["same", "-never-seen"]);

        let at = log.end();
        feed.take(Event::Init);
        for (name, revision) in [("same", "4"), ("changed", "6"), ("new", "7")] {
            feed.take(Event::InitApply(quota(name, revision)));
        }
        assert!(told(&log, at).is_empty(), "a list counts when it is complete");
        feed.take(Event::InitDone);
        assert_eq!(told(&log, at), ["-gone", "changed", "new"]);
        // One that breaks off in the middle counts for nothing.
        let at = log.end();
        feed.take(Event::Init);
        feed.take(Event::InitApply(quota("changed", "8")));
        feed.take(Event::Init);
        for (name, revision) in [("same", "4"), ("changed", "6"), ("new", "7")] {
            feed.take(Event::InitApply(quota(name, revision)));
        }
        feed.take(Event::InitDone);
        assert!(told(&log, at).is_empty());
    }
}
