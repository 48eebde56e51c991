//! Watches, and what goes wrong with them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use kube::client::Body;
use serde_json::json;

use super::Line;
use crate::apiserver::{Answer, AnswerBody, BoxError};
use crate::sim::plan::WatchTrouble;

/// How long the latest of watches shows nothing.
pub const VERY_LATE: Duration = Duration::from_secs(600);

impl Line {
    pub(super) async fn watch(self, at: u64, request: Request<Body>) -> Result<Answer, BoxError> {
        if self.is_cut() {
            return Err("connection refused".into());
        }
        let trouble = self.gate.watch_trouble_at(at);
        let line = self.clone();
        let (head, body) = self.serve(request).await?.into_parts();
        let late = match trouble {
            Some(WatchTrouble::Late) => Duration::from_secs(60),
            Some(WatchTrouble::VeryLate) => VERY_LATE,
            _ => Duration::ZERO,
        };
        let broken = matches!(trouble, Some(WatchTrouble::Dropped | WatchTrouble::Gone | WatchTrouble::Broken));
        let frames = BodyStream::new(body);
        let frames = if trouble == Some(WatchTrouble::Hidden) { behind(frames).boxed() } else { frames.boxed() };
        let frames = frames.take(if broken { 1 } else { usize::MAX });
        let frames = frames.then(move |frame| {
            let line = line.clone();
            async move {
                line.life.stand_still().await;
                line.life.or_never().await;
                if line.is_cut() { Err(BoxError::from("connection reset by peer")) } else { frame }
            }
        });
        let begun = stream::once(tokio::time::sleep(late)).flat_map(|()| stream::empty());
        let last = match trouble {
            Some(WatchTrouble::Gone) => Some(error(410, "Expired", "too old resource version")),
            Some(WatchTrouble::Broken) => Some(error(500, "InternalError", "an internal error occurred")),
            _ => None,
        };
        let all = begun.chain(frames).chain(stream::iter(last.map(Ok)));
        Ok(Response::from_parts(head, AnswerBody::new(StreamBody::new(all))))
    }

    /// Whether nothing gets through to the cluster at this moment.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire) || (self.cluster != "hub" && self.gate.weather().cuts())
    }
}

fn error(code: u16, reason: &str, message: &str) -> Frame<Bytes> {
    let status = json!({ "type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code
    } });
    Frame::data(Bytes::from(format!("{status}\n")))
}

/// The first event is not seen before its successor is there.
fn behind<S>(frames: S) -> impl Stream<Item = Result<Frame<Bytes>, BoxError>>
where
    S: Stream<Item = Result<Frame<Bytes>, BoxError>> + Send + Unpin + 'static,
{
    stream::once(async move {
        let mut frames = frames;
        let mut both = BytesMut::new();
        for _ in 0..2 {
            match frames.next().await {
                Some(Ok(frame)) => both.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return stream::iter([Err(error)]).chain(frames),
                None => break,
            }
        }
        stream::iter([Ok(Frame::data(both.freeze()))]).chain(frames)
    })
    .flatten()
}
