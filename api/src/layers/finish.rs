//! The last touch: a request id, the caller's language, and headers that every answer carries.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::{Language, MEDIA_TYPE, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a caller or an ingress.
const MAX_ID_BYTES: usize = 64;

/// Which request it is, in the answer and in every log line about it.
#[derive(Clone, Debug)]
pub(super) struct RequestId(String);

impl RequestId {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that came with the request, if it can stand in a log, else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let fit = |id: &&str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
            !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(plain)
        };
        let given = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(fit);
        Self(given.map_or_else(fresh, str::to_owned))
    }
}

/// Unique within the process by its number, and among processes by their random starts.
fn fresh() -> String {
    static START: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:012x}-{}", *START >> 16, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Gives every answer its id and every problem its language.
pub(super) async fn finish(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let language = Language::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let mut response = as_problem(next.run(request).await, language, &id);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What one person may see is not for a shared cache.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Writes a problem in the caller's language; an error that is no problem yet becomes one.
fn as_problem(mut response: Response, language: Language, id: &RequestId) -> Response {
    let problem = response.extensions_mut().remove::<Problem>();
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|t| t == MEDIA_TYPE);
    let problem = match problem {
        Some(problem) => problem,
        None if is_error && !is_problem => Problem::of_status(status),
        None => return response,
    };
    let mut answer = problem.answer(language, id.as_str());
    if let Some(allow) = response.headers_mut().remove(ALLOW) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use rstest::rstest;

    use super::{REQUEST_ID, RequestId};

    #[rstest]
    #[case("trace-1.a_B", true)]
    #[case("", false)]
    #[case("a b", false)]
    #[case("a\"b", false)]
    #[case("0123456789012345678901234567890123456789012345678901234567890123456789", false)]
    fn only_a_plain_id_is_taken_over(#[case] given: &str, #[case] kept: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, given.parse().unwrap());
        assert_eq!(RequestId::of(&headers).as_str() == given, kept);
    }

    #[test]
    fn fresh_ids_differ() {
        let headers = HeaderMap::new();
        assert_ne!(RequestId::of(&headers).as_str(), RequestId::of(&headers).as_str());
    }
}
