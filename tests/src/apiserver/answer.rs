//! Refusals in the API's own form, and answers as HTTP.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::kinds::KindInfo;
use super::schema::Cause;

/// Whatever went wrong on the way.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of an answer.
pub type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;
/// An answer.
pub type Answer = Response<AnswerBody>;

/// Why a request was not carried out: what becomes a `Status` object.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// HTTP status code.
    pub code: u16,
    /// Reason in one word.
    pub reason: String,
    /// Sentence.
    pub message: String,
    /// `details` of the Status.
    pub details: Value,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: Value::Null }
    }

    pub(crate) fn about(mut self, kind: &KindInfo, name: &str) -> Self {
        self.details = details(name, &kind.group, &kind.plural);
        self
    }

    pub(crate) fn not_found(kind: &KindInfo, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.qualified())).about(kind, name)
    }

    pub(crate) fn no_such_path() -> Self {
        let mut refusal = Self::new(404, "NotFound", "the server could not find the requested resource");
        refusal.details = json!({});
        refusal
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    pub(crate) fn exists(kind: &KindInfo, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.qualified())).about(kind, name)
    }

    pub(crate) fn conflict(kind: &KindInfo, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified()))
            .about(kind, name)
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// What went wrong within the server.
    pub(crate) fn internal(told: &str) -> Self {
        let mut refusal = Self::new(500, "InternalError", format!("Internal error occurred: {told}"));
        refusal.details = json!({ "causes": [{ "message": told }] });
        refusal
    }

    /// A revision that was never made. The real server waits a little for it before it says so.
    pub(crate) fn too_large_version(asked: u64, current: u64) -> Self {
        let told = format!("Too large resource version: {asked}, current: {current}");
        let mut refusal = Self::new(504, "Timeout", told);
        refusal.details =
            json!({ "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }] });
        refusal
    }

    pub(crate) fn unsupported_media_type(kind: &KindInfo) -> Self {
        let mut refusal = Self::new(415, "UnsupportedMediaType", "the body of the request was in an unknown format");
        if kind.schema.is_none() {
            refusal.details = json!({});
        }
        refusal
    }

    /// What is wrong with the options of a request.
    pub(crate) fn invalid_options(options: &str, causes: &[Cause]) -> Self {
        Self::invalid("meta.k8s.io", options, "", causes)
    }

    /// What is wrong with an object.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let said: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let said = if said.len() == 1 { said.concat() } else { format!("[{}]", said.join(", ")) };
        let mut refusal = Self::new(422, "Invalid", format!("{kind}{} \"{name}\" is invalid: {said}", dotted(group)));
        let causes: Vec<Value> =
            causes.iter().map(|c| json!({ "reason": c.reason, "message": c.message, "field": c.field })).collect();
        refusal.details = details(name, group, kind);
        if let Some(details) = refusal.details.as_object_mut() {
            details.insert("causes".to_owned(), json!(causes));
        }
        refusal
    }

    pub(crate) fn forbidden(kind: &KindInfo, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} \"{name}\" is forbidden: {why}", kind.qualified())).about(kind, name)
    }

    /// What this server does not model: it must fail the run rather than answer by a guess.
    pub(crate) fn not_modelled(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("the in-memory API server does not model {what}"))
    }

    /// As a `Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code
        });
        if let Some(status) = status.as_object_mut() {
            if self.reason.is_empty() {
                status.remove("reason");
            }
            if !self.details.is_null() {
                status.insert("details".to_owned(), self.details.clone());
            }
        }
        status
    }
}

/// What a `Status` is about; what is empty is not said.
pub(crate) fn details(name: &str, group: &str, kind: &str) -> Value {
    let said = [("name", name), ("group", group), ("kind", kind)].into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(said.map(|(field, value)| (field.to_owned(), json!(value))).collect())
}

fn dotted(group: &str) -> String {
    if group.is_empty() { String::new() } else { format!(".{group}") }
}

/// A JSON answer.
pub(crate) fn json(code: u16, body: &Value) -> Answer {
    bytes(code, Bytes::from(body.to_string()))
}

/// An answer of JSON that is written already.
pub(crate) fn bytes(code: u16, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body).map_err(Into::into).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

/// An answer that goes on.
pub(crate) fn stream<B>(body: B) -> Answer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut response = Response::new(body.map_err(Into::into).boxed_unsync());
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
