//! Signals that end the process.

use anyhow::{Context as _, Result};
use tokio_util::sync::CancellationToken;

/// Cancels when the process is asked to end.
///
/// # Errors
/// When signals cannot be listened for.
pub(super) fn watch_signals(shutdown: CancellationToken) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}
