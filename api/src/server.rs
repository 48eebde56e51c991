//! Serving: listeners, connections, and a stop that finishes what was begun.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::error::RunError;
use crate::health;
use crate::hub::Hub;
use crate::state::AppState;

/// Time for a client to send the head of a request. It runs on idle connections, too, so it is longer than ingresses keep
/// those (60 s): a connection closed first by this side would cost its next request.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(75);
/// Connections at once; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 4096;
/// Room above the header limit, so that a request slightly over it still gets a readable answer.
const HEADER_HEADROOM_BYTES: usize = 64 * 1024;
/// Streams at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The API with its listeners bound, ready to serve.
#[derive(Debug)]
pub struct Server {
    api: TcpListener,
    operations: TcpListener,
    state: AppState,
    drain: Duration,
}

/// Serves until `shutdown` is cancelled, then finishes what was begun.
pub async fn run(args: &Args, shutdown: CancellationToken) -> Result<(), RunError> {
    let hub = Hub::connect(args).await?;
    let server = Server::bind(args, hub, &shutdown).await?;
    server.serve(shutdown).await;
    Ok(())
}

/// A token that is cancelled by SIGTERM or SIGINT; the only signal handler of the process.
pub fn shutdown_signal() -> Result<CancellationToken, RunError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(shutdown)
}

impl Server {
    /// Binds both addresses and starts the watch caches, which stop with `stopping`.
    pub async fn bind(args: &Args, hub: Hub, stopping: &CancellationToken) -> Result<Self, RunError> {
        let api = listen("--listen", args.listen).await?;
        let operations = listen("--metrics-listen", args.metrics_listen).await?;
        let state = AppState::start(args, hub, stopping);
        Ok(Self { api, operations, state, drain: args.drain() })
    }

    /// The address of the API, with the port that the system chose for `:0`.
    pub fn address(&self) -> Result<SocketAddr, RunError> {
        Ok(self.api.local_addr()?)
    }

    /// The address of health and metrics.
    pub fn metrics_address(&self) -> Result<SocketAddr, RunError> {
        Ok(self.operations.local_addr()?)
    }

    /// What the served requests share.
    pub const fn state(&self) -> &AppState {
        &self.state
    }

    /// Serves until `shutdown` is cancelled, then gives requests under way the drain time to finish.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { api, operations, state, drain } = self;
        if let (Ok(api), Ok(operations)) = (api.local_addr(), operations.local_addr()) {
            tracing::info!(%api, metrics = %operations, "serving the API on {api}, health and metrics on {operations}");
        }
        // Health answers until the last request is done, so that a watcher sees "not ready" rather than a refused connection.
        let drained = CancellationToken::new();
        let health = tokio::spawn(serve_connections(
            operations,
            health::router(&state),
            limits(&state),
            drained.clone(),
            Duration::ZERO,
        ));
        let settings = limits(&state);
        serve_connections(api, crate::router(&state), settings, shutdown, drain).await;
        drained.cancel();
        health.await.ok();
        tracing::info!("stopped");
    }
}

async fn listen(flag: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|cause| RunError::Bind { flag, address, cause })
}

fn limits(state: &AppState) -> auto::Builder<TokioExecutor> {
    let header_bytes = state.limits.header_bytes.saturating_add(HEADER_HEADROOM_BYTES);
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT).max_buf_size(header_bytes);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(HEADER_READ_TIMEOUT);
    http
}

async fn serve_connections(
    listener: TcpListener,
    router: Router,
    http: auto::Builder<TokioExecutor>,
    shutdown: CancellationToken,
    drain: Duration,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    while let Some((stream, permit)) = next_connection(&listener, &room, &shutdown).await {
        let connection =
            http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone())).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks is the client's affair; what matters of it is in the request's own log line.
            if let Err(error) = connection.await {
                tracing::debug!("connection ended: {error}");
            }
            drop(permit);
        });
    }
    drop(listener);
    let open = graceful.count();
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() && !drain.is_zero() {
        tracing::warn!(open, "some connections did not finish in {} s and are cut", drain.as_secs());
    }
}

/// The next connection with its place among the allowed ones, or nothing once the process stops.
async fn next_connection(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = tokio::select! {
        biased;
        () = shutdown.cancelled() => return None,
        permit = Arc::clone(room).acquire_owned() => permit.ok()?,
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small and complete; waiting to merge them only adds delay.
                stream.set_nodelay(true).ok();
                return Some((stream, permit));
            }
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
