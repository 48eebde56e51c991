//! `SubjectAccessReview`: whether a caller has a right, remembered for seconds.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::SubjectAccessReviewStatus;
use moka::future::Cache;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Identity;
use crate::hub::{Hub, HubError};
use crate::metrics::Metrics;
use crate::problem::Problem;

const PATH: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// Name of these reviews in the figures.
const REVIEW: &str = "access";
/// Reviews under way at once, so that one long list does not drown the hub.
const AT_ONCE: usize = 32;

/// A verb on a resource of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Right {
    verb: &'static str,
    resource: &'static str,
    subresource: String,
}

impl Right {
    /// To read one.
    pub(crate) const fn get(resource: &'static str) -> Self {
        Self { verb: "get", resource, subresource: String::new() }
    }

    /// To read many.
    pub(crate) const fn list(resource: &'static str) -> Self {
        Self { verb: "list", resource, subresource: String::new() }
    }

    /// To decide a stage of requests.
    pub(crate) fn decide(stage: &str) -> Self {
        Self { verb: "decide", resource: "resourcerequests", subresource: stage.to_owned() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    identity: [u8; 32],
    right: Right,
    /// Empty: everywhere.
    namespace: String,
}

/// Remembers who may do what.
pub(crate) struct AccessReviews {
    known: Cache<Question, bool>,
    at_once: Semaphore,
    metrics: Metrics,
}

impl std::fmt::Debug for AccessReviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessReviews").field("known", &self.known.entry_count()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    status: Option<SubjectAccessReviewStatus>,
}

impl AccessReviews {
    pub(crate) fn new(ttl: Duration, size: u64, metrics: Metrics) -> Self {
        Self {
            known: Cache::builder().max_capacity(size).time_to_live(ttl).build(),
            at_once: Semaphore::new(AT_ONCE),
            metrics,
        }
    }

    /// Whether the right is held in a namespace, or everywhere when none is named. Without an answer there is no right.
    pub(crate) async fn holds(
        &self,
        hub: &Hub,
        identity: &Identity,
        right: &Right,
        namespace: Option<&str>,
    ) -> Result<bool, Problem> {
        let question = Question {
            identity: identity.digest(),
            right: right.clone(),
            namespace: namespace.unwrap_or_default().to_owned(),
        };
        if let Some(known) = self.known.get(&question).await {
            self.metrics.reviewed(REVIEW, "remembered");
            return Ok(known);
        }
        let asked = self.ask(hub, identity, right, namespace);
        self.known.try_get_with(question, asked).await.map_err(|error: Arc<HubError>| Problem::hub_unavailable(&error))
    }

    /// Like [`AccessReviews::holds`], but never from memory.
    pub(crate) async fn holds_now(
        &self,
        hub: &Hub,
        identity: &Identity,
        right: &Right,
        namespace: &str,
    ) -> Result<bool, Problem> {
        self.ask(hub, identity, right, Some(namespace)).await.map_err(|error| Problem::hub_unavailable(&error))
    }

    async fn ask(
        &self,
        hub: &Hub,
        identity: &Identity,
        right: &Right,
        namespace: Option<&str>,
    ) -> Result<bool, HubError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": identity.username, "groups": identity.groups, "uid": identity.uid, "extra": identity.extra,
                "resourceAttributes": {
                    "group": zhengyun_crds::GROUP, "version": zhengyun_crds::VERSION,
                    "verb": right.verb, "resource": right.resource, "subresource": right.subresource, "namespace": namespace,
                },
            },
        });
        // The semaphore is never closed; were it, the question would merely not wait its turn.
        let _turn = self.at_once.acquire().await.ok();
        let answer: Result<Answer, HubError> = hub.review(PATH, review.to_string().into_bytes()).await;
        self.metrics.reviewed(REVIEW, if answer.is_ok() { "asked" } else { "failed" });
        Ok(answer?.status.is_some_and(|s| s.allowed && s.denied != Some(true)))
    }
}
