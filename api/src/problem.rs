//! Problems: every refusal and failure as RFC 9457 `application/problem+json`, in Chinese and in English.
//!
//! The answer carries both languages; `title` and `detail` repeat the one that `Accept-Language` asks for. What went wrong
//! inside is never in an answer: it is in the log, under the request id that the answer names.

mod body;
mod code;
mod from_hub;
mod language;
mod messages;

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

pub(crate) use body::{Bilingual, Finding, ProblemBody};
pub(crate) use code::Code;
pub(crate) use from_hub::{About, from_hub, is_denied_by_policy};
pub(crate) use language::Language;
pub(crate) use messages::Noun;

/// The media type of every error answer.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// A sentence in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) zh: Cow<'static, str>,
    pub(crate) en: Cow<'static, str>,
}

impl Text {
    /// A sentence in Chinese and in English.
    pub(crate) fn new(zh: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }
}

/// What keeps a request from being answered as asked.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Content>);

#[derive(Clone, Debug)]
struct Content {
    code: Code,
    detail: Text,
    remedy: Text,
    findings: Vec<Finding>,
    retry_after_seconds: Option<u32>,
}

impl Problem {
    /// A problem with its code's usual remedy.
    pub(crate) fn new(code: Code, detail: Text) -> Self {
        Self(Box::new(Content {
            code,
            detail,
            remedy: code.remedy(),
            findings: Vec::new(),
            retry_after_seconds: code.retry_after_seconds(),
        }))
    }

    /// Says what to do instead of the code's usual remedy.
    pub(crate) fn with_remedy(mut self, remedy: Text) -> Self {
        self.0.remedy = remedy;
        self
    }

    /// Adds what is wrong field by field.
    pub(crate) fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.0.findings = findings;
        self
    }

    /// Lets what it finds point below a part of the body in which what the hub was given stands whole; the name stands beside it.
    pub(crate) fn within(mut self, part: &str) -> Self {
        for finding in &mut self.0.findings {
            let pointer = &mut finding.pointer;
            if pointer.starts_with('/') && pointer != "/name" {
                *pointer = format!("{part}{pointer}");
            }
        }
        self
    }

    /// Its stable code.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// What is wrong field by field.
    #[cfg(test)]
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.0.findings
    }

    /// The answer in one language, naming the request under which the log holds the rest.
    pub(crate) fn answer(&self, language: Language, request_id: &str) -> Response {
        let content = &*self.0;
        let body = ProblemBody::new(
            content.code,
            &content.detail,
            &content.remedy,
            content.findings.clone(),
            language,
            request_id,
        );
        // The body holds strings only, which always have a JSON form.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = content.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.insert(VARY, HeaderValue::from_static("accept-language"));
        if let Some(seconds) = content.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if content.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(content.code.challenge()));
        }
        response
    }

    /// The problem that a bare error status stands for, when something beneath the routes answered with one.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::PAYLOAD_TOO_LARGE => Self::body_too_large(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type(),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::headers_too_large(),
            StatusCode::NOT_FOUND => Self::no_such_route(),
            status if status.is_client_error() => Self::malformed_request(),
            _ => Self::internal(&format!("an inner service answered {status}")),
        }
    }
}

impl IntoResponse for Problem {
    /// Leaves the problem in the response, so that the outermost layer can write it in the caller's language.
    fn into_response(self) -> Response {
        let mut response = self.answer(Language::default(), "");
        response.extensions_mut().insert(self);
        response
    }
}
