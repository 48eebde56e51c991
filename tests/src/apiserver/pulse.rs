//! Telling watches that something was written: everybody is woken in the order in which they wait, so that runs repeat exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts what there is to see.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    seen: AtomicU64,
    revision: AtomicU64,
    notify: Notify,
}

impl Pulse {
    /// There is something to see, whatever it is.
    pub(crate) fn beat(&self) {
        self.seen.fetch_add(1, Ordering::AcqRel);
        self.notify.notify_waiters();
    }

    /// There is something to see if the revision is another one than before.
    pub(crate) fn at(&self, revision: u64) {
        if self.revision.swap(revision, Ordering::AcqRel) != revision {
            self.beat();
        }
    }
}

/// Wakes whoever waits for the next write.
#[derive(Clone, Debug)]
pub struct Changes {
    pulse: Arc<Pulse>,
    seen: u64,
}

impl Changes {
    pub(crate) fn of(pulse: &Arc<Pulse>) -> Self {
        Self { pulse: Arc::clone(pulse), seen: pulse.seen.load(Ordering::Acquire) }
    }

    /// Everything so far was seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.pulse.seen.load(Ordering::Acquire);
    }

    /// Waits until there is something that was not seen.
    pub async fn changed(&mut self) {
        loop {
            let mut notified = std::pin::pin!(self.pulse.notify.notified());
            notified.as_mut().enable();
            let now = self.pulse.seen.load(Ordering::Acquire);
            if now != self.seen {
                self.seen = now;
                return;
            }
            notified.await;
        }
    }
}
