//! Reading requests: bodies, paths and queries whose refusals are problems, never plain text.

mod survey;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed as _};
use zhengyun_domain::condition::cut;

use crate::problem::{Finding, Noun, Problem};
use crate::state::AppState;

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::unsupported_media_type());
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::body_too_large(),
            _ => Problem::malformed_request(),
        })?;
        parse(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).and_then(|v| v.split(';').next()).unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads JSON; a wrong field is told with its pointer, broken JSON with its place.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut track = serde_path_to_error::Track::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let surveyed = survey::Survey::new().deserialize(serde_path_to_error::Deserializer::new(&mut reader, &mut track));
    surveyed.map_err(|cause| unreadable(&track.path(), &cause))?;
    reader.end().map_err(|error| Problem::malformed_body(&error.to_string()))?;
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(bytes))
        .map_err(|error| unreadable(error.path(), error.inner()))
}

/// How much of a body its refusal repeats, in bytes: a wrong word may be as long as a body may be.
const REPEATED_BYTES: usize = 1024;

fn unreadable(path: &serde_path_to_error::Path, cause: &serde_json::Error) -> Problem {
    if cause.is_data() {
        let (pointer, message) = (cut(pointer_of(path), REPEATED_BYTES), cut(without_place(cause), REPEATED_BYTES));
        Problem::invalid(vec![Finding::new(pointer, "Schema", message)])
    } else {
        Problem::malformed_body(&cause.to_string())
    }
}

/// The message of a decoding error without line and column, which the pointer replaces.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        let token = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&token);
    }
    pointer
}

/// Parameters of the query; unknown ones are refused, so that a misspelt filter never shows everything.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let axum::extract::Query(value) = axum::extract::Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::invalid_query(vec![query_finding(&rejection.body_text())]))?;
        Ok(Self(value))
    }
}

/// No query at all: whoever sends a parameter expects it to do something, such as `dryRun` to keep a write from being one.
pub(crate) struct NoQuery;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

impl FromRequestParts<AppState> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Query::<NoParameters>::from_request_parts(parts, state).await.map(|_| Self)
    }
}

/// `Failed to deserialize query string: limit: invalid digit` → parameter `limit`, message `invalid digit`.
fn query_finding(text: &str) -> Finding {
    let cause = text.split_once(": ").map_or(text, |(_, cause)| cause);
    let named = cause.split_once(": ").filter(|(name, _)| name.bytes().all(|b| b.is_ascii_alphanumeric()));
    let quoted = || cause.split('`').nth(1).unwrap_or_default();
    match named {
        Some((name, message)) => Finding::new(name, "Query", message),
        None => Finding::new(quoted(), "Query", cause),
    }
}

/// The name of a cluster-wide thing in the path.
pub(crate) struct Named(pub(crate) String);

/// A department and the name of something in it.
pub(crate) struct InDepartment {
    pub(crate) department: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A department in the path.
pub(crate) struct OfDepartment {
    pub(crate) department: String,
    pub(crate) namespace: String,
}

impl FromRequestParts<AppState> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let axum::extract::Path(name) = axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::no_such_route())?;
        Ok(Self(name))
    }
}

impl FromRequestParts<AppState> for OfDepartment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Named(department) = Named::from_request_parts(parts, state).await?;
        // No department can have such a name, so it is simply not there; nothing unchecked goes into a call to the hub.
        let namespace =
            crate::names::namespace_of(&department).ok_or_else(|| Problem::not_found(Noun::Department, &department))?;
        Ok(Self { department, namespace })
    }
}

impl FromRequestParts<AppState> for InDepartment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let axum::extract::Path((department, name)) =
            axum::extract::Path::<(String, String)>::from_request_parts(parts, state)
                .await
                .map_err(|_| Problem::no_such_route())?;
        let namespace =
            crate::names::namespace_of(&department).ok_or_else(|| Problem::not_found(Noun::Department, &department))?;
        if !zhengyun_domain::naming::is_label(&name) {
            return Err(Problem::no_such_route());
        }
        Ok(Self { department, namespace, name })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde::Deserialize;

    use super::{parse, query_finding};
    use crate::problem::{Code, Finding};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only its decoding is tested")]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[expect(dead_code, reason = "only its decoding is tested")]
        count: i32,
    }

    #[rstest]
    #[case(r#"{"items": [{"count": 1}]"#, Code::MalformedRequest, None)]
    #[case(r#"{"items": []} x"#, Code::MalformedRequest, None)]
    #[case(r#"{"items": [], "items": []}"#, Code::Invalid, Some(""))]
    #[case(r#"{"items": [{"a": [{"b": {"c": 1, "\u0063": 2}}]}]}"#, Code::Invalid, Some("/items/0/a/0/b"))]
    #[case("", Code::MalformedRequest, None)]
    #[case(r#"{"items": [{"count": 1}, {"count": "two"}]}"#, Code::Invalid, Some("/items/1/count"))]
    #[case(r#"{"items": [{"count": 99999999999}]}"#, Code::Invalid, Some("/items/0/count"))]
    #[case(r#"{"items": [{"cuont": 1}]}"#, Code::Invalid, Some("/items/0/cuont"))]
    #[case("{}", Code::Invalid, Some(""))]
    fn a_wrong_body_is_told_with_its_place(#[case] body: &str, #[case] code: Code, #[case] pointer: Option<&str>) {
        let problem = parse::<Body>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code(), code, "{problem:?}");
        assert_eq!(problem.findings().first().map(|f| f.pointer.as_str()), pointer, "{problem:?}");
    }

    #[rstest]
    #[case(
        "Failed to deserialize query string: limit: invalid digit found in string",
        "limit",
        "invalid digit found in string"
    )]
    #[case(
        "Failed to deserialize query string: unknown field `pahse`, expected `phase` or `limit`",
        "pahse",
        "unknown field `pahse`, expected `phase` or `limit`"
    )]
    #[case(
        "Failed to deserialize query string: dryRun: unknown field `dryRun`, there are no fields",
        "dryRun",
        "unknown field `dryRun`, there are no fields"
    )]
    fn a_wrong_query_names_the_parameter(#[case] text: &str, #[case] parameter: &str, #[case] message: &str) {
        assert_eq!(query_finding(text), Finding::new(parameter, "Query", message));
    }
}
