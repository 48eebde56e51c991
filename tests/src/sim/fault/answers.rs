//! Answers that something on the way makes, or breaks.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::json;

use crate::apiserver::{Answer, AnswerBody, BoxError};

/// A refusal that the server itself did not make.
pub(super) fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code });
    let mut response = Response::new(Full::new(Bytes::from(status.to_string())).map_err(Into::into).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if code == 429 {
        response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    }
    response
}

/// The first half of an answer, then a broken connection.
pub(super) async fn truncated(answer: Answer) -> Result<Answer, BoxError> {
    let (head, body) = answer.into_parts();
    let whole = body.collect().await?.to_bytes();
    let half = whole.slice(..whole.len() / 2);
    let frames = [Ok(Frame::data(half)), Err(BoxError::from("connection reset by peer"))];
    Ok(Response::from_parts(head, AnswerBody::new(StreamBody::new(futures::stream::iter(frames)))))
}
