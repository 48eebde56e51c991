//! Turns: in which order requests take place, and how long they take.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::Request;
use kube::client::Body;
use tokio::sync::oneshot;
use tokio::time::Instant;
use zhengyun_operator::runtime::written::looked_at;

use super::Gate;

/// Requests under way.
pub(super) type Turns = BTreeMap<Turn, oneshot::Sender<()>>;

/// Where a request stands among the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// When its turn comes.
    at: Instant,
    /// What it is.
    what: String,
    /// How often the same was sent in an earlier millisecond.
    nth: u64,
    /// For which object it is sent: two looks may ask the same in the same millisecond, and go on differently.
    sake: Option<String>,
    /// How many requests are under way that are the same in all of this.
    twin: u64,
}

impl Gate {
    /// Lets one request after the other take place, never two in the same millisecond. Which of several comes first follows from
    /// what they are and from the seed, not from the order in which the process happened to send them: hash maps in it have an
    /// order of their own in every run.
    pub(super) async fn take_turns(self: Arc<Self>) {
        loop {
            let next = self.turns.lock().unwrap_or_else(PoisonError::into_inner).keys().next().cloned();
            let Some(next) = next else {
                self.sent.notified().await;
                continue;
            };
            if next.at > Instant::now() {
                // Something with an earlier turn may be sent meanwhile.
                let _ = tokio::time::timeout_at(next.at, self.sent.notified()).await;
                continue;
            }
            let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(&next);
            if let Some(turn) = turn {
                // Whoever gave up waiting does not take its turn.
                let _ = turn.send(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) async fn await_turn(&self, what: String) {
        let turn = {
            let now = Instant::now();
            let nth = {
                let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                let (nth, last) = counts.alike.entry(what.clone()).or_insert((1, now));
                if *last != now {
                    (*nth, *last) = (nth.saturating_add(1), now);
                }
                *nth
            };
            let at = now + pace(self.plan.seed, &what, nth);
            let mut own = Turn { at, what, nth, sake: looked_at(), twin: 0 };
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            while turns.contains_key(&own) {
                own.twin = own.twin.saturating_add(1);
            }
            let (sender, turn) = oneshot::channel();
            turns.insert(own, sender);
            turn
        };
        self.sent.notify_one();
        // An error would mean that the run is over.
        let _ = turn.await;
    }
}

/// A request takes one to four milliseconds, by seed and by what it is.
fn pace(seed: u64, what: &str, nth: u64) -> Duration {
    let mixed = what
        .bytes()
        .chain(nth.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    Duration::from_millis(1 + (mixed >> 40) % 4)
}

/// What a request is, and who sends it. Events are named after the wall clock.
pub(super) fn what(agent: &str, cluster: &str, request: &Request<Body>) -> String {
    let path = request.uri().path();
    let path = path.split_once("/events").map_or(path, |(before, _)| before);
    format!("{agent} {cluster} {} {path}?{}", request.method(), request.uri().query().unwrap_or_default())
}
