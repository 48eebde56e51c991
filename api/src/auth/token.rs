//! `TokenReview`: whose token it is, remembered for seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Identity;
use crate::hub::{Hub, HubError};
use crate::metrics::Metrics;
use crate::problem::Problem;

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
/// Name of these reviews in the figures.
const REVIEW: &str = "token";

/// Remembers whose token it is, under the token's SHA-256; tokens themselves are kept nowhere.
pub(crate) struct TokenReviews {
    known: Cache<[u8; 32], Arc<Identity>>,
    metrics: Metrics,
}

impl std::fmt::Debug for TokenReviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenReviews").field("known", &self.known.entry_count()).finish_non_exhaustive()
    }
}

/// Only what is read of the answer: the rest echoes the token.
#[derive(Deserialize)]
struct Answer {
    status: Option<TokenReviewStatus>,
}

enum Refusal {
    Unknown,
    Hub(HubError),
}

impl TokenReviews {
    pub(crate) fn new(ttl: Duration, size: u64, metrics: Metrics) -> Self {
        Self { known: Cache::builder().max_capacity(size).time_to_live(ttl).build(), metrics }
    }

    /// Whose token it is. Refusals are not remembered: a token that becomes valid works at once.
    pub(crate) async fn identify(&self, hub: &Hub, token: &SecretString) -> Result<Arc<Identity>, Problem> {
        let key: [u8; 32] = Sha256::digest(token.expose_secret().as_bytes()).into();
        if let Some(identity) = self.known.get(&key).await {
            self.metrics.reviewed(REVIEW, "remembered");
            return Ok(identity);
        }
        // Calls with the same token that arrive together ask once.
        self.known.try_get_with(key, self.ask(hub, token)).await.map_err(|refusal| match &*refusal {
            Refusal::Unknown => Problem::invalid_token(),
            Refusal::Hub(error) => Problem::hub_unavailable(error),
        })
    }

    async fn ask(&self, hub: &Hub, token: &SecretString) -> Result<Arc<Identity>, Refusal> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token.expose_secret()}});
        let answer: Result<Answer, HubError> = hub.review(PATH, review.to_string().into_bytes()).await;
        self.metrics.reviewed(REVIEW, if answer.is_ok() { "asked" } else { "failed" });
        let status = answer.map_err(Refusal::Hub)?.status.ok_or(Refusal::Unknown)?;
        let user = status.user.filter(|_| status.authenticated == Some(true)).ok_or(Refusal::Unknown)?;
        identity(user).map(Arc::new).ok_or(Refusal::Unknown)
    }
}

/// The identity exactly as the hub gives it: approvals must name the same groups in the same order.
fn identity(user: UserInfo) -> Option<Identity> {
    Some(Identity {
        username: user.username.filter(|name| !name.is_empty())?,
        uid: user.uid.filter(|uid| !uid.is_empty()),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.map(BTreeMap::from_iter).unwrap_or_default(),
    })
}
