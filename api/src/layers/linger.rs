//! Bodies that nobody reads to their end, because the request is refused first.
//!
//! A connection that is closed over unread data is reset, and the reset may overtake the answer: whoever is still sending then
//! never reads why (RFC 9112, section 9.6). So the rest is read and thrown away, within bounds, while the answer goes out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::Request;
use futures::{Stream, StreamExt as _};
use tokio::runtime::Handle;

/// What is thrown away at most: the largest body that the arguments can allow.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// For how long, at most.
const LONGEST: Duration = Duration::from_secs(5);

/// Lets the rest of the body be thrown away when it is dropped before its end.
pub(super) async fn linger(request: Request) -> Request {
    request.map(
        |body| {
            if body.is_end_stream() { body } else { Body::from_stream(Lingering(Some(body.into_data_stream()))) }
        },
    )
}

/// A body, or nothing once it came to its end.
struct Lingering(Option<BodyDataStream>);

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = self.0.as_mut() else { return Poll::Ready(None) };
        let next = ready!(body.poll_next_unpin(context));
        if !matches!(next, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        // Outside of a runtime there is no connection either.
        if let (Some(rest), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(throw_away(rest));
        }
    }
}

async fn throw_away(mut rest: BodyDataStream) {
    let mut left = MOST_BYTES;
    let reading = async {
        while left > 0
            && let Some(Ok(bytes)) = rest.next().await
        {
            left = left.saturating_sub(bytes.len());
        }
    };
    // Whoever sends more or slower than that loses the connection.
    tokio::time::timeout(LONGEST, reading).await.ok();
}
