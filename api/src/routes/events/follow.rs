//! One reader of changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use crate::auth::{Caller, Right, Sight};
use crate::cache::Caches;
use crate::events::{Change, Cursor, Gone};
use crate::problem::Problem;
use crate::state::AppState;

/// How often a sign of life is sent, and whether the caller may still see what is told is asked again.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After how long a client whose connection broke comes back.
const RETRY: Duration = Duration::from_secs(2);
/// Changes that are looked at in one go.
const AT_ONCE: usize = 256;

/// Which changes a reader asked for.
pub(super) struct Wanted {
    pub(super) nouns: BTreeSet<&'static str>,
    pub(super) department: Option<String>,
}

impl Wanted {
    fn holds(&self, change: &Change) -> bool {
        self.nouns.contains(change.noun)
            && (self.department.is_none() || self.department.as_deref() == change.department.as_deref())
    }
}

/// From where on a reader is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// It begins.
    Now,
    /// It goes on after what it read last.
    After(Cursor),
    /// What it read last cannot be told.
    Unreadable,
}

/// What a caller may know of, by plural.
type Sights = BTreeMap<&'static str, Sight>;

/// A reader, as far as it has come.
pub(super) struct Follower {
    state: AppState,
    caller: Caller,
    wanted: Wanted,
    sights: Sights,
    at: Cursor,
    more: watch::Receiver<u64>,
    /// When the next sign of life is due.
    due: Instant,
    /// What is to be sent before anything is looked at.
    waiting: VecDeque<Event>,
    has_ended: bool,
    /// Its place among the readers.
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// A reader, once it is known what it may be told.
    pub(super) async fn begin(
        state: AppState,
        caller: Caller,
        wanted: Wanted,
        start: Start,
        place: OwnedSemaphorePermit,
    ) -> Result<Self, Problem> {
        let (more, end) = (state.changes.watch(), state.changes.end());
        let sights = sights(&state, &caller, &wanted).await?;
        let (first, at) = match start {
            Start::Now => (Some("ready"), end),
            Start::After(last) if state.changes.after(last, 0).is_ok() => (None, last),
            Start::After(_) | Start::Unreadable => (Some("resync"), end),
        };
        let due = Instant::now() + HEARTBEAT;
        let waiting = match first {
            Some(name) => notice(name, at),
            // Headers go out with the first bytes: who reads on learns at once that it is served.
            None => Event::default().comment("").retry(RETRY),
        };
        let waiting = VecDeque::from([waiting]);
        Ok(Self { state, caller, wanted, sights, at, more, due, waiting, has_ended: false, _place: place })
    }

    /// The next event; none when the process stops or the reader was told that it is over.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            // Before anything is read: changes that never pause put off neither this nor the end.
            if self.state.stopping.is_cancelled() {
                return None;
            }
            if Instant::now() >= self.due {
                self.due = Instant::now() + HEARTBEAT;
                self.live_on().await;
                continue;
            }
            self.more.mark_unchanged();
            self.read();
            if !self.waiting.is_empty() {
                continue;
            }
            tokio::select! {
                () = self.state.stopping.cancelled() => {}
                () = sleep_until(self.due) => {}
                // The log lives as long as the process.
                _ = self.more.changed() => {}
            }
        }
    }

    /// Takes up what changed since.
    fn read(&mut self) {
        loop {
            match self.state.changes.after(self.at, AT_ONCE) {
                Ok(changes) if changes.is_empty() => return,
                Ok(changes) => {
                    for (at, change) in changes {
                        self.at = at;
                        if self.may_know(&change) {
                            self.waiting.push_back(told(at, &change));
                        }
                    }
                    if !self.waiting.is_empty() {
                        return;
                    }
                }
                Err(Gone) => return self.resync(),
            }
        }
    }

    fn may_know(&self, change: &Change) -> bool {
        self.wanted.holds(change) && self.sights.get(change.plural).is_some_and(|sight| change.is_within(sight))
    }

    fn resync(&mut self) {
        self.at = self.state.changes.end();
        self.waiting.push_back(notice("resync", self.at));
    }

    /// A sign of life, and whether everything may still be told.
    async fn live_on(&mut self) {
        match self.renewed().await {
            Ok(sights) => {
                let sees_more = sights.iter().any(|(plural, sight)| self.sights.get(plural) != Some(sight));
                self.sights = sights;
                if sees_more {
                    // Of what is new to see, earlier changes were not told.
                    self.resync();
                } else {
                    self.waiting.push_back(Event::default().comment("").id(self.at.to_string()));
                }
            }
            Err(problem) => {
                let data = json!({ "code": problem.code().as_str() }).to_string();
                self.waiting.push_back(Event::default().event("end").data(data));
                self.has_ended = true;
            }
        }
    }

    async fn renewed(&mut self) -> Result<Sights, Problem> {
        self.caller.renew(&self.state).await?;
        sights(&self.state, &self.caller, &self.wanted).await
    }
}

/// What the caller may know of by now.
async fn sights(state: &AppState, caller: &Caller, wanted: &Wanted) -> Result<Sights, Problem> {
    let mut sights = Sights::new();
    for (noun, plural) in Caches::told() {
        if wanted.nouns.contains(noun) {
            sights.insert(plural, caller.sight(state, &Right::list(plural)).await?);
        }
    }
    Ok(sights)
}

fn notice(name: &str, at: Cursor) -> Event {
    Event::default().event(name).id(at.to_string()).retry(RETRY).data("{}")
}

fn told(at: Cursor, change: &Arc<Change>) -> Event {
    let name = if change.is_gone() { "deleted" } else { "changed" };
    // It holds strings, numbers and lists of them, which always have a JSON form.
    let data = serde_json::to_string(&**change).unwrap_or_default();
    Event::default().event(name).id(at.to_string()).data(data)
}
