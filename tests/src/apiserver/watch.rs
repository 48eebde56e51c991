//! Watches: what was written since a revision, and what is written from now on, as lines of JSON.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer::{self, Answer, Refusal};
use super::ask::{Place, Query};
use super::kinds::KindInfo;
use super::list::{in_order, only_metadata};
use super::pulse::Changes;
use super::selector::Selector;
use super::serve::Inner;
use super::store::{Commit, State, Verb};

/// How often a watch that asked for bookmarks gets one.
const BOOKMARK: Duration = Duration::from_secs(60);
/// How long a watch lasts that does not say.
const LONGEST: Duration = Duration::from_secs(1800);

struct Watch {
    server: Arc<Inner>,
    kind: Arc<KindInfo>,
    place: Place,
    selector: Selector,
    metadata_only: bool,
    bookmarks: bool,
    seen: u64,
    ready: Vec<Value>,
    ends: Instant,
    woken: Changes,
    /// How often all watches had been ended when this one began.
    expired: u64,
    over: bool,
}

/// Answers a watch.
pub(crate) fn watch(
    server: &Arc<Inner>,
    state: &State,
    kind: &Arc<KindInfo>,
    place: &Place,
    query: &Query,
    metadata_only: bool,
) -> Result<Answer, Refusal> {
    let selector = Selector::of(query.get("labelSelector"), query.get("fieldSelector"), kind)?;
    let last = query.number("timeoutSeconds")?.map_or(LONGEST, Duration::from_secs);
    let from = query.version().map_err(|told| Refusal::new(500, "", told))?.unwrap_or_default();
    let mut watch = Watch {
        server: Arc::clone(server),
        kind: Arc::clone(kind),
        place: place.clone(),
        selector,
        metadata_only,
        bookmarks: query.says("allowWatchBookmarks"),
        seen: from,
        ready: Vec::new(),
        ends: Instant::now() + last,
        woken: Changes::of(&server.woken),
        expired: state.expired,
        over: false,
    };
    for beyond in ["sendInitialEvents", "resourceVersionMatch", "continue"] {
        if query.get(beyond).is_some() {
            return Err(Refusal::not_modelled(&format!("watches with {beyond}")));
        }
    }
    if from == 0 {
        // From whatever there is: everything first, as if it were just made.
        let all: Vec<Value> = in_order(state, kind, place, &watch.selector)
            .iter()
            .filter(|o| watch.selector.takes(o))
            .map(|o| watch.event("ADDED", o))
            .collect();
        watch.ready.extend(all);
        watch.seen = state.revision;
    } else if from < state.begun {
        let gone = Refusal::new(410, "Expired", format!("too old resource version: {from} ({})", state.begun));
        watch.ready.push(json!({ "type": "ERROR", "object": gone.status() }));
        watch.over = true;
    } else if from > state.revision {
        // The real server waits a little for it and then says so; nobody here can know a revision that was never made.
        let future =
            Refusal::new(504, "Timeout", format!("Too large resource version: {from}, current: {}", state.revision));
        return Err(future);
    }
    let frames = watch.events().map(|event| {
        let mut line = event.to_string();
        line.push('\n');
        Ok::<_, Infallible>(Frame::data(Bytes::from(line)))
    });
    Ok(answer::stream(StreamBody::new(frames)))
}

impl Watch {
    fn event(&self, kind: &str, object: &Value) -> Value {
        let object = if self.metadata_only { only_metadata(object) } else { object.clone() };
        json!({ "type": kind, "object": object })
    }

    fn bookmark(&self) -> Value {
        let (version, kind) = if self.metadata_only {
            ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata")
        } else {
            (self.kind.api_version(), self.kind.kind.as_str())
        };
        json!({ "type": "BOOKMARK", "object": {
            "apiVersion": version, "kind": kind, "metadata": { "resourceVersion": self.seen.to_string(), "creationTimestamp": null }
        } })
    }

    /// What a write is for this watch.
    fn told(&self, commit: &Commit) -> Option<Value> {
        let key = &commit.key;
        let ours = key.group == self.kind.group
            && key.plural == self.kind.plural
            && (self.place.namespace.is_empty() || key.namespace == self.place.namespace);
        if !ours {
            return None;
        }
        let was = commit.before.as_ref().is_some_and(|b| self.selector.takes(b));
        let is = commit.verb != Verb::Delete && self.selector.takes(&commit.after);
        match (was, is) {
            (false, true) => Some(self.event("ADDED", &commit.after)),
            (true, true) => Some(self.event("MODIFIED", &commit.after)),
            (true, false) if commit.verb == Verb::Delete => Some(self.event("DELETED", &commit.after)),
            // It left the selection: it is shown as it was selected last, under the new revision.
            (true, false) => {
                let mut last = commit.before.as_ref().map(|b| b.as_ref().clone()).unwrap_or_default();
                if let Some(metadata) = last.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.insert("resourceVersion".to_owned(), json!(commit.revision.to_string()));
                }
                Some(self.event("DELETED", &last))
            }
            (false, false) => None,
        }
    }

    /// Takes in what was written since.
    fn catch_up(&mut self) {
        let commits: Option<Vec<Arc<Commit>>> = {
            let state = self.server.state();
            let ended = state.expired != self.expired;
            state.since(self.seen).filter(|_| !ended).map(<[_]>::to_vec)
        };
        let Some(commits) = commits else {
            let gone = Refusal::new(410, "Expired", format!("too old resource version: {}", self.seen));
            self.ready.push(json!({ "type": "ERROR", "object": gone.status() }));
            self.over = true;
            return;
        };
        for commit in commits {
            let told = self.told(&commit);
            self.ready.extend(told);
            self.seen = commit.revision;
        }
    }

    fn events(self) -> impl Stream<Item = Value> + Send + 'static {
        futures::stream::unfold(self, |mut watch| async move {
            loop {
                if !watch.over {
                    watch.woken.mark_unchanged();
                    watch.catch_up();
                }
                if !watch.ready.is_empty() {
                    let ready = std::mem::take(&mut watch.ready);
                    return Some((futures::stream::iter(ready), watch));
                }
                if watch.over {
                    return None;
                }
                let wake = if watch.bookmarks { watch.ends.min(Instant::now() + BOOKMARK) } else { watch.ends };
                tokio::select! {
                    biased;
                    () = watch.woken.changed() => {}
                    () = tokio::time::sleep_until(wake) => {
                        if Instant::now() >= watch.ends {
                            return None;
                        }
                        let bookmark = watch.bookmark();
                        watch.ready.push(bookmark);
                    }
                }
            }
        })
        .flatten()
    }
}
