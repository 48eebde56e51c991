//! What a sequence consists of: requests that are the same for every server, although UIDs and revisions differ.
//!
//! Texts may hold **marks**, which each side replaces by what it has seen itself: `@{uid:PATH}` and `@{uid0:PATH}` are the UID of
//! the object at a path as seen last and first, `@{rv:PATH}` and `@{rv0:PATH}` its revision, `@{name:ALIAS}` a generated name,
//! `@{list:N}` the revision of the N-th list and `@{continue:N}` its token.

use http::Method;
use serde_json::Value;

/// Content types.
pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const PATCH: &str = "application/json-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// A step of a sequence.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Call(Call),
    Watch(Watch),
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) content: &'static str,
    pub(crate) body: Body,
    /// Asks for metadata alone.
    pub(crate) metadata_only: bool,
    /// Under which alias the generated name of the answer is kept.
    pub(crate) alias: Option<String>,
    /// Who sends it; the administrator if nobody is named.
    pub(crate) user: Option<&'static str>,
}

impl From<Call> for Step {
    fn from(call: Call) -> Self {
        Self::Call(call)
    }
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Nothing,
    Is(Value),
    /// The object at a path as it was seen last, with a merge patch applied.
    Seen {
        at: String,
        change: Value,
    },
    Text(&'static str),
}

/// A watch that runs until the end of the sequence.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) metadata_only: bool,
    /// An object that is made at the end and that the watch selects: what comes before it is complete.
    pub(crate) sentinel: Option<Box<Call>>,
}

impl Call {
    fn new(method: Method, path: impl Into<String>, content: &'static str, body: Body) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            content,
            body,
            metadata_only: false,
            alias: None,
            user: None,
        }
    }

    /// With a parameter of the query.
    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.query.push((key.to_owned(), value.into()));
        self
    }

    pub(crate) fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }

    pub(crate) fn called(mut self, alias: &str) -> Self {
        self.alias = Some(alias.to_owned());
        self
    }

    pub(crate) fn by(mut self, user: &'static str) -> Self {
        self.user = Some(user);
        self
    }

    /// What sort of request it is, for the count at the end.
    pub(crate) fn sort(&self) -> String {
        let what = match (&self.method, self.content) {
            (&Method::PATCH, MERGE) => "merge patch",
            (&Method::PATCH, PATCH) => "JSON patch",
            (&Method::PATCH, _) => "apply",
            (method, _) => method.as_str(),
        };
        let part = if self.path.ends_with("/status") { " of the status" } else { "" };
        let dry = if self.query.iter().any(|(key, _)| key == "dryRun") { ", dry" } else { "" };
        format!("{what}{part}{dry}")
    }

    /// The path of the object that it is about, with its marks; the key of what a side remembers.
    pub(crate) fn object(&self) -> String {
        let path = self.path.strip_suffix("/status").or_else(|| self.path.strip_suffix("/finalize"));
        let path = path.unwrap_or(&self.path);
        if self.method != Method::POST {
            return path.to_owned();
        }
        match (&self.alias, &self.body) {
            (Some(alias), _) => format!("{path}/@{{name:{alias}}}"),
            (None, Body::Is(body)) => {
                let name = body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                format!("{path}/{name}")
            }
            (None, _) => path.to_owned(),
        }
    }
}

/// POST of an object to a collection.
pub(crate) fn create(collection: &str, object: Value) -> Call {
    Call::new(Method::POST, collection, JSON, Body::Is(object))
}

/// GET of an object or a collection.
pub(crate) fn read(path: &str) -> Call {
    Call::new(Method::GET, path, JSON, Body::Nothing)
}

/// PUT of an object.
pub(crate) fn put(path: &str, object: Value) -> Call {
    Call::new(Method::PUT, path, JSON, Body::Is(object))
}

/// PUT of an object as it was seen last, changed. `path` may be that of a part of it.
pub(crate) fn put_changed(path: &str, change: Value) -> Call {
    let mut call = Call::new(Method::PUT, path, JSON, Body::Nothing);
    call.body = Body::Seen { at: call.object(), change };
    call
}

/// PATCH.
pub(crate) fn patch(path: &str, content: &'static str, patch: Value) -> Call {
    Call::new(Method::PATCH, path, content, Body::Is(patch))
}

/// Merge patch.
pub(crate) fn merge(path: &str, change: Value) -> Call {
    patch(path, MERGE, change)
}

/// Server-side apply by a manager.
pub(crate) fn apply(path: &str, manager: &str, object: Value) -> Call {
    patch(path, APPLY, object).with("fieldManager", manager)
}

/// DELETE, with options if they are not null.
pub(crate) fn delete(path: &str, options: Value) -> Call {
    let body = if options.is_null() { Body::Nothing } else { Body::Is(options) };
    Call::new(Method::DELETE, path, JSON, body)
}

/// A request with a body that is no JSON object.
pub(crate) fn raw(method: Method, path: &str, content: &'static str, text: &'static str) -> Call {
    Call::new(method, path, content, Body::Text(text))
}
