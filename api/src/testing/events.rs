//! What happened at the stand-in hub, in the order of its revisions, and the watches that hear of it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Every event since the hub began; its place in the list, counted from one, is its revision.
pub(super) struct Events {
    log: Mutex<Vec<(String, Value)>>,
    /// How many of them the watches have heard of.
    told: watch::Sender<usize>,
    held: AtomicBool,
}

impl Default for Events {
    fn default() -> Self {
        Self { log: Mutex::default(), told: watch::Sender::new(0), held: AtomicBool::new(false) }
    }
}

impl Events {
    /// The newest revision.
    pub(super) fn revision(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// Gives an object the revision of what happens to it, and tells the watches.
    pub(super) fn record(&self, happened: &str, plural: &str, object: &mut Value) {
        let mut log = self.log.lock().unwrap();
        object["metadata"]["resourceVersion"] = json!((log.len() + 1).to_string());
        log.push((plural.to_owned(), json!({"type": happened, "object": object})));
        if !self.held.load(Ordering::SeqCst) {
            self.told.send_replace(log.len());
        }
    }

    /// From now on watches hear of nothing, as when the hub's connection is slow.
    pub(super) fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Tells the watches everything that was held back.
    pub(super) fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
        self.told.send_replace(self.revision());
    }

    /// The body of a watch: one line per event after a revision.
    pub(super) fn after(
        self: &Arc<Self>,
        revision: usize,
        plural: String,
    ) -> impl Stream<Item = Result<Vec<u8>, Infallible>> + use<> {
        let start = (Arc::clone(self), self.told.subscribe(), revision);
        futures::stream::unfold(start, move |(events, mut told, mut at)| {
            let plural = plural.clone();
            async move {
                loop {
                    let known = *told.wait_for(|told| *told > at).await.ok()?;
                    let next = {
                        let log = events.log.lock().unwrap();
                        let found = log[at..known].iter().position(|(of, _)| *of == plural);
                        found.map(|ahead| (at + ahead + 1, format!("{}\n", log[at + ahead].1)))
                    };
                    match next {
                        Some((seen, line)) => return Some((Ok(line.into_bytes()), (events, told, seen))),
                        None => at = known,
                    }
                }
            }
        })
    }
}
