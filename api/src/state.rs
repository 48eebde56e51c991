//! What every request shares.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::auth::{AccessReviews, TokenReviews};
use crate::cache::Caches;
use crate::events::Log;
use crate::hub::Hub;
use crate::metrics::Metrics;

/// How many are told of changes at once: each holds a connection for hours, and the connections are fewer than 5,000.
const MAX_STREAMS: usize = 1024;

/// What the layers hold requests to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) concurrent: usize,
    pub(crate) timeout: Duration,
    pub(crate) body_bytes: usize,
    pub(crate) header_bytes: usize,
}

/// The parts that requests share.
#[derive(Debug)]
pub struct App {
    pub(crate) hub: Hub,
    pub(crate) tokens: TokenReviews,
    pub(crate) access: AccessReviews,
    pub(crate) cache: Caches,
    /// What changed lately.
    pub(crate) changes: Arc<Log>,
    /// Places of those who are told what changes.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) limits: Limits,
    /// Cancelled when the process stops taking work.
    pub(crate) stopping: CancellationToken,
}

/// Everything a running API shares between requests: hub connections, watch caches and remembered reviews.
#[derive(Clone, Debug)]
pub struct AppState(Arc<App>);

impl AppState {
    /// Starts the watch caches on the hub; they stop when `stopping` is cancelled.
    pub fn start(args: &Args, hub: Hub, stopping: &CancellationToken) -> Self {
        let metrics = Metrics::new();
        let changes = Arc::new(Log::new());
        Self(Arc::new(App {
            tokens: TokenReviews::new(args.token_cache_ttl(), args.token_cache_size, metrics.clone()),
            access: AccessReviews::new(args.access_cache_ttl(), args.access_cache_size, metrics.clone()),
            cache: Caches::start(hub.own(), &metrics, stopping, &changes),
            changes,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            limits: Limits {
                concurrent: usize::try_from(args.max_concurrent_requests).unwrap_or(usize::MAX),
                timeout: args.request_timeout(),
                body_bytes: usize::try_from(args.max_body_bytes).unwrap_or(usize::MAX),
                header_bytes: usize::try_from(args.max_header_bytes).unwrap_or(usize::MAX),
            },
            stopping: stopping.clone(),
            hub,
            metrics,
        }))
    }

    /// Waits until every watch cache holds what the hub holds; only then are requests answered.
    pub async fn ready(&self) {
        self.cache.synced().await;
    }
}

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}
