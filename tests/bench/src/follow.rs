//! Following many objects by one watch, so that whoever waits for one of them does not ask the API server again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use kube::core::{ApiResource, Object};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What is read of a spec.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The request that a grant comes from.
    pub request: RequestName,
}

/// A request's name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestName {
    /// Name.
    pub name: String,
}

/// What is read of a status.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Phase of a request or a grant.
    pub phase: String,
    /// Why a submission was refused.
    pub refusal: Option<Refusal>,
    /// The grant of a request.
    pub grant: Option<String>,
}

/// A refusal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// Stable code.
    pub reason: String,
    /// In words.
    pub message: String,
}

/// The part of an object that is followed.
pub type Seen = Object<Spec, Status>;

type Wanted = Box<dyn Fn(&Status) -> bool + Send>;

#[derive(Default)]
struct Entry {
    last: Option<Status>,
    waiting: Vec<(Wanted, oneshot::Sender<Status>)>,
}

/// The last known status of every followed object, by `namespace/name`.
pub struct Board {
    entries: Mutex<HashMap<String, Entry>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Board")
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// A kind of the product.
pub fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: "zhengyun.io".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "zhengyun.io/v1alpha1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// The key of an object on a board.
pub fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Board {
    /// Follows all requests.
    pub fn of_requests(client: &Client) -> Arc<Self> {
        Self::start(client, &resource("ResourceRequest", "resourcerequests"), ResourceExt::name_any)
    }

    /// Follows all grants, each under the name of the request that it comes from.
    pub fn of_grants(client: &Client) -> Arc<Self> {
        Self::start(client, &resource("ResourceGrant", "resourcegrants"), |object| object.spec.request.name.clone())
    }

    fn start(client: &Client, resource: &ApiResource, name: impl Fn(&Seen) -> String + Send + 'static) -> Arc<Self> {
        let board = Arc::new(Self { entries: Mutex::default(), task: Mutex::default() });
        let api: Api<Seen> = Api::all_with(client.clone(), resource);
        let weak = Arc::downgrade(&board);
        let task = tokio::spawn(async move {
            let mut changes = watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
            while let Some(change) = changes.next().await {
                let Some(board) = weak.upgrade() else { return };
                // A watch that broke off starts again by itself and lists everything.
                let Ok(object) = change else { continue };
                let key = key(&object.namespace().unwrap_or_default(), &name(&object));
                board.saw(key, object.status.unwrap_or_default());
            }
        });
        *board.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        board
    }

    fn saw(&self, key: String, status: Status) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(key).or_default();
        let mut still = Vec::new();
        for (wanted, tell) in entry.waiting.drain(..) {
            if wanted(&status) {
                // Whoever asked may have given up.
                let _ = tell.send(status.clone());
            } else {
                still.push((wanted, tell));
            }
        }
        entry.waiting = still;
        entry.last = Some(status);
    }

    /// Waits until an object's status is as wanted.
    ///
    /// # Errors
    /// When the watch ended.
    pub async fn until(&self, key: &str, wanted: impl Fn(&Status) -> bool + Send + 'static) -> Result<Status> {
        let answer = {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = entries.entry(key.to_owned()).or_default();
            if let Some(last) = entry.last.as_ref().filter(|last| wanted(last)) {
                return Ok(last.clone());
            }
            let (tell, answer) = oneshot::channel();
            entry.waiting.push((Box::new(wanted), tell));
            answer
        };
        answer.await.with_context(|| format!("the watch ended before {key} was as wanted"))
    }

    /// How many objects are in each phase.
    pub fn phases(&self) -> HashMap<String, usize> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut phases = HashMap::new();
        for last in entries.values().filter_map(|e| e.last.as_ref()) {
            *phases.entry(last.phase.clone()).or_default() += 1;
        }
        phases
    }
}

/// The answer to a submission: it was carried out, or refused.
pub fn is_answered(status: &Status) -> bool {
    status.phase == "Applied" || status.refusal.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_who_waits_is_told_once_it_is_so() {
        let board = Arc::new(Board { entries: Mutex::default(), task: Mutex::default() });
        let status = |phase: &str| Status { phase: phase.to_owned(), ..Status::default() };
        let waiting = Arc::clone(&board);
        let told = tokio::spawn(async move { waiting.until("a/b", is_answered).await });
        board.saw("a/b".to_owned(), status("InReview"));
        board.saw("a/c".to_owned(), status("Applied"));
        tokio::task::yield_now().await;
        assert!(!told.is_finished());
        board.saw("a/b".to_owned(), status("Applied"));
        assert_eq!(told.await.unwrap().unwrap().phase, "Applied");
        // One who comes late is told at once.
        assert_eq!(board.until("a/b", is_answered).await.unwrap().phase, "Applied");
    }
}
