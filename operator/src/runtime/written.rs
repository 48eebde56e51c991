//! What this process wrote and its watches have not shown yet.
//!
//! Every write comes back by the watch a moment later. A look at what was there before it could only repeat what was decided
//! already, read again what is known, and meet a conflict; so an object is not looked at before it shows what was written last.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::Resource;
use tokio::time::Instant;

/// A watch that shows nothing for so long is late, and what it will show is looked for without it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Above so many, what nobody waits for any more is forgotten: objects whose last write ended them.
const MANY: usize = 1024;

/// One look at an object.
#[derive(Debug)]
struct Look {
    /// Kind and name of the object.
    of: String,
    /// UIDs and resourceVersions of the answers to its writes.
    noted: RefCell<Vec<(String, u64)>>,
}

tokio::task_local! {
    static LOOK: Look;
}

/// Kind and name of the object that is being looked at; none outside a look.
pub fn looked_at() -> Option<String> {
    LOOK.try_with(|look| look.of.clone()).ok()
}

/// Notes the answer to a write.
pub fn note<K: Resource>(answer: &K) {
    if let Some(write) = version(answer) {
        // Outside a look nobody waits for it.
        let _ = LOOK.try_with(|look| look.noted.borrow_mut().push(write));
    }
}

/// Versions of one resource are numbers that grow; Kubernetes lets clients compare them so (KEP-5504).
fn version<K: Resource>(object: &K) -> Option<(String, u64)> {
    let meta = object.meta();
    Some((meta.uid.clone()?, meta.resource_version.as_ref()?.parse().ok()?))
}

/// Versions that the watches have still to show, by UID.
#[derive(Debug, Default)]
pub struct Written {
    awaited: Mutex<HashMap<String, (u64, Instant)>>,
}

impl Written {
    /// Runs a look at an object, given by kind and name, and keeps what it wrote.
    pub async fn during<T>(&self, of: String, look: impl Future<Output = T>) -> T {
        let whole = async {
            let outcome = look.await;
            self.keep(LOOK.with(|look| look.noted.take()));
            outcome
        };
        LOOK.scope(Look { of, noted: RefCell::default() }, whole).await
    }

    fn keep(&self, noted: Vec<(String, u64)>) {
        if noted.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        for (uid, version) in noted {
            // Two looks may write to one object, and the one that wrote first may end last.
            let last = awaited.entry(uid).or_insert((version, now));
            if last.0 < version {
                *last = (version, now);
            }
        }
        if awaited.len() > MANY {
            awaited.retain(|_, (_, since)| now.duration_since(*since) < PATIENCE);
        }
    }

    /// Whether an object, as the watch shows it, is older than what was written to it; then for how long that may stay so.
    pub fn is_before<K: Resource>(&self, object: &K) -> Option<Duration> {
        let (uid, shown) = version(object)?;
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let (written, since) = *awaited.get(&uid)?;
        let left = PATIENCE.saturating_sub(since.elapsed());
        if shown < written && !left.is_zero() {
            return Some(left);
        }
        awaited.remove(&uid);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::ConfigMap;

    use super::{PATIENCE, Written, looked_at, note};

    fn map(uid: &str, version: &str) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.uid = Some(uid.to_owned());
        map.metadata.resource_version = Some(version.to_owned());
        map
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_is_before_its_last_write_until_the_watch_shows_it() {
        let written = Written::default();
        note(&map("a", "7"));
        assert_eq!(written.is_before(&map("a", "1")), None, "outside a look nothing is kept");
        let look = async {
            assert_eq!(looked_at().as_deref(), Some("ConfigMap a"));
            note(&map("a", "9"));
            note(&map("a", "10"));
        };
        written.during("ConfigMap a".to_owned(), look).await;
        assert_eq!(looked_at(), None);
        assert_eq!(written.is_before(&map("a", "9")), Some(PATIENCE), "9 is less than 10");
        assert_eq!(written.is_before(&map("b", "9")), None);
        assert_eq!(written.is_before(&map("a", "11")), None);
        assert_eq!(written.is_before(&map("a", "9")), None, "it was shown; another store may be behind");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_ends_late_does_not_hide_what_was_written_after_its_own_writes() {
        let written = Written::default();
        written.during("ConfigMap a".to_owned(), async { note(&map("a", "9")) }).await;
        written.during("ConfigMap a".to_owned(), async { note(&map("a", "8")) }).await;
        assert_eq!(written.is_before(&map("a", "8")), Some(PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_watch_is_not_waited_for_without_end() {
        let written = Written::default();
        written.during("ConfigMap a".to_owned(), async { note(&map("a", "9")) }).await;
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(written.is_before(&map("a", "8")), Some(Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(written.is_before(&map("a", "8")), None);
    }
}
