//! Waiting on a condition with a deadline, in place of sleeping and hoping.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// How often a condition is looked at again.
const INTERVAL: Duration = Duration::from_millis(25);

/// Waits until `look` returns `Some`, and names what was awaited and the last error when it never does.
///
/// An error of `look` is not final: it is what "not yet" looks like while a server starts.
pub async fn until<T, F>(what: &str, limit: Duration, look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    until_every(what, limit, INTERVAL, look).await
}

/// [`until`] with an interval of the caller's choice, for looks that cost the machine something.
pub async fn until_every<T, F>(
    what: &str,
    limit: Duration,
    interval: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + limit;
    let mut last = None;
    loop {
        // The look itself may hang on a server that accepts and never answers.
        match tokio::time::timeout_at(deadline, look()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => last = None,
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        if Instant::now() + interval >= deadline {
            match last {
                Some(error) => bail!("{what}: not within {limit:?}; last error: {error:#}"),
                None => bail!("{what}: not within {limit:?}"),
            }
        }
        tokio::time::sleep(interval).await;
    }
}

/// Looks until the world is as told; the error says what was seen last.
///
/// # Errors
/// When it did not come about in time.
pub async fn settled<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Result<T, String>>>,
{
    let begun = Instant::now();
    loop {
        let seen = match look().await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if begun.elapsed() > limit {
            bail!("{what} did not come about in {} s; last seen: {seen}", limit.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
