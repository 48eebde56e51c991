//! One request to a site: with a deadline, without hidden repetition, and with errors that say what was asked.

use std::time::Duration;

use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions, Request};
use kube::core::Status;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zhengyun_crds::grant::InventoryEntry;
use zhengyun_crds::marks;
use zhengyun_domain::seeded::{self, Bug};

use super::SiteError;
use super::link::SiteLink;

/// Longest that one call may take in all.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// Field manager of everything that is written at a site.
const FIELD_MANAGER: &str = "zhengyun-driver";
/// Objects of one page of a list.
const PAGE: u32 = 500;
/// Admission policy at the site that keeps older operators out.
const FENCE_POLICY: &str = "'zhengyun-site-fence'";

/// Why a request has no result: something about the site, or an answer that the caller must judge.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something about the site as a whole.
    Site(SiteError),
    /// An answer in the 400s to this very request.
    Answer(Box<Status>),
}

impl From<SiteError> for Failure {
    fn from(error: SiteError) -> Self {
        Self::Site(error)
    }
}

impl Failure {
    /// The failure where no answer in the 400s was expected.
    pub(super) fn unexpected(self, link: &SiteLink, what: &str) -> SiteError {
        match self {
            Self::Site(error) => error,
            Self::Answer(status) if status.code == 409 => {
                SiteError::Changed { site: link.name().to_owned(), what: what.to_owned() }
            }
            Self::Answer(status) => {
                SiteError::Refused { site: link.name().to_owned(), what: what.to_owned(), cause: said(&status) }
            }
        }
    }
}

/// What an answer says, short enough for a condition.
pub(super) fn said(status: &Status) -> String {
    let text = if status.message.is_empty() { &status.reason } else { &status.message };
    zhengyun_domain::condition::cut(format!("{text} ({})", status.code), 500)
}

/// Whether an answer is about exactly this object not being there, and not about its kind or a path.
fn is_absent(status: &Status, plural: &str, name: &str) -> bool {
    let about = |d: &kube::core::response::StatusDetails| d.name == name && (d.kind == plural || d.kind.is_empty());
    status.code == 404 && status.reason == "NotFound" && status.details.as_ref().is_some_and(about)
}

/// Whether an answer says that the API does not have such a kind.
pub(super) fn is_not_served(status: &Status) -> bool {
    status.code == 404 && status.details.as_ref().is_none_or(|d| d.name.is_empty())
}

/// Whether the site refuses whoever asks and not what is asked: the sentence that every API server has for missing rights (RBAC).
/// Admission refuses with 403 as well, and means the object.
pub(super) fn lacks_rights(status: &Status) -> bool {
    status.code == 403 && status.message.contains("User \"") && status.message.contains("\" cannot ")
}

/// Objects of one kind at the site, in one namespace or in all.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    path: String,
    plural: String,
    title: String,
}

impl Collection {
    /// A kind in a namespace; an empty namespace stands for all, or for a kind that has none.
    pub(super) fn of(group: &str, version: &str, kind: &str, plural: &str, namespace: &str) -> Self {
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let (path, title) = if namespace.is_empty() {
            (format!("{root}/{plural}"), kind.to_owned())
        } else {
            (format!("{root}/namespaces/{namespace}/{plural}"), format!("{namespace}/{kind}"))
        };
        Self { path, plural: plural.to_owned(), title }
    }

    /// The collection that an object of the inventory is in.
    pub(super) fn holding(entry: &InventoryEntry) -> Self {
        Self::of(&entry.group, &entry.version, &entry.kind, &entry.plural, &entry.namespace)
    }

    /// Namespaces.
    pub(super) fn namespaces() -> Self {
        Self::of("", "v1", "Namespace", "namespaces", "")
    }

    fn request(&self) -> Request {
        Request::new(self.path.clone())
    }
}

impl SiteLink {
    /// Sends one request and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, Failure> {
        let (site, what) = (self.name().to_owned(), what.to_owned());
        let request = match request {
            Ok(request) => request,
            Err(error) => return Err(SiteError::Refused { site, what, cause: error.to_string() }.into()),
        };
        let unreachable = |cause: String| {
            self.lost(&cause);
            SiteError::Unreachable { site: self.name().to_owned(), what: what.clone(), cause }
        };
        match tokio::time::timeout(CALL_DEADLINE, self.calls().request::<T>(request)).await {
            Err(_) => Err(unreachable(format!("no answer within {} s", CALL_DEADLINE.as_secs())).into()),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) => Err(judged(site, what, status)),
            Ok(Err(kube::Error::SerdeError(error))) => {
                Err(SiteError::Failing { site, what, cause: format!("the answer cannot be understood: {error}") }
                    .into())
            }
            Ok(Err(error)) => Err(unreachable(root_cause(&error)).into()),
        }
    }

    /// Reads an object from the newest state; none if exactly this object is not there.
    pub(super) async fn get(&self, at: &Collection, name: &str) -> Result<Option<Value>, Failure> {
        let what = format!("GET {} {name}", at.title);
        match self.ask(&what, at.request().get(name, &GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(Failure::Answer(status)) if is_absent(&status, &at.plural, name) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Lists everything from the newest state, all pages of it.
    pub(super) async fn list(
        &self,
        at: &Collection,
        labels: Option<&str>,
        detail: Detail,
    ) -> Result<Vec<Value>, Failure> {
        let what = format!("LIST {}", at.title);
        let mut page =
            ListParams { limit: Some(PAGE), label_selector: labels.map(str::to_owned), ..ListParams::default() };
        let mut all = Vec::new();
        loop {
            let request = match detail {
                Detail::Whole => at.request().list(&page),
                Detail::Metadata => at.request().list_metadata(&page),
            };
            let mut answer: Value = self.ask(&what, request).await?;
            let items = match answer.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => items,
                // An empty list of metadata comes as null.
                Some(Value::Null) => Vec::new(),
                _ => {
                    let cause = "the answer holds no list".to_owned();
                    return Err(SiteError::Failing { site: self.name().to_owned(), what, cause }.into());
                }
            };
            all.extend(items);
            let next = answer.pointer("/metadata/continue").and_then(Value::as_str).filter(|t| !t.is_empty());
            match next {
                Some(token) => page.continue_token = Some(token.to_owned()),
                None => return Ok(all),
            }
        }
    }

    /// Creates an object; nothing but its own name is taken for granted.
    pub(super) async fn create(&self, at: &Collection, name: &str, body: &Value, how: Write) -> Result<Value, Failure> {
        let what = format!("CREATE {} {name}{}", at.title, how.said());
        let params = PostParams { dry_run: how == Write::Try, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let request = serde_json::to_vec(body)
            .map_err(kube::core::request::Error::SerializeBody)
            .and_then(|bytes| at.request().create(&params, bytes))
            .and_then(strict);
        self.unless_fenced(self.ask(&what, request).await)
    }

    /// Server-side apply onto the object with the UID in the body, whoever else owns its fields; refused if that object is gone.
    pub(super) async fn server_side_apply(&self, at: &Collection, name: &str, body: &Value) -> Result<Value, Failure> {
        let what = format!("APPLY {} {name}", at.title);
        let params = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
        self.unless_fenced(self.ask(&what, at.request().patch(name, &params, &Patch::Apply(body))).await)
    }

    /// Changes fields of exactly the object that was read: `metadata` of the patch carries its UID and resourceVersion.
    pub(super) async fn merge(&self, at: &Collection, name: &str, patch: &Value) -> Result<Value, Failure> {
        let what = format!("PATCH {} {name}", at.title);
        // Another manager than that of the applies, so that what an apply no longer says goes away.
        let params = PatchParams { field_manager: Some("zhengyun-driver-stamp".to_owned()), ..PatchParams::default() };
        self.unless_fenced(self.ask(&what, at.request().patch(name, &params, &Patch::Merge(patch))).await)
    }

    /// Deletes exactly the object that was read.
    pub(super) async fn delete(&self, at: &Collection, name: &str, uid: &str, version: &str) -> Result<(), Failure> {
        let what = format!("DELETE {} {name}", at.title);
        let exactly = Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()) };
        let mut params = DeleteParams::background().preconditions(exactly);
        if seeded::is(Bug::DeleteUnguarded) {
            params.preconditions = None;
        }
        let answer = self.unless_fenced(self.ask::<Value>(&what, at.request().delete(name, &params)).await);
        match answer {
            Err(Failure::Answer(status)) if is_absent(&status, &at.plural, name) => Ok(()),
            other => other.map(drop),
        }
    }

    fn unless_fenced(&self, answer: Result<Value, Failure>) -> Result<Value, Failure> {
        match answer {
            Err(Failure::Answer(status)) if is_fence(&status) => {
                Err(SiteError::Fenced { site: self.name().to_owned(), cause: said(&status) }.into())
            }
            other => other,
        }
    }
}

/// How much of each object a list brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// Everything.
    Whole,
    /// Its metadata.
    Metadata,
}

/// Whether a write is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// It is.
    Real,
    /// Everything but storing is done.
    Try,
}

impl Write {
    const fn said(self) -> &'static str {
        match self {
            Self::Real => "",
            Self::Try => " (dry run)",
        }
    }
}

/// Makes the server refuse fields that the kind does not have, instead of dropping them silently.
fn strict(mut request: http::Request<Vec<u8>>) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    let uri = format!("{}&fieldValidation=Strict", request.uri());
    let refused = |_| kube::core::request::Error::Validation("the address cannot be built".to_owned());
    *request.uri_mut() = uri.parse().map_err(refused)?;
    Ok(request)
}

fn judged(site: String, what: String, status: Box<Status>) -> Failure {
    match status.code {
        401 => SiteError::Unauthorized { site, what }.into(),
        429 | 500.. => SiteError::Failing { site, what, cause: said(&status) }.into(),
        // The list changed too much between two pages.
        410 => SiteError::Changed { site, what }.into(),
        _ => Failure::Answer(status),
    }
}

/// Whether the fence refused a write because a newer operator has taken over.
pub(super) fn is_fence(status: &Status) -> bool {
    status.code == 403 && status.message.contains(FENCE_POLICY) && status.message.contains("behind the fence")
}

/// The innermost cause: what a person can look up, without the layers of the client around it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    zhengyun_domain::condition::cut(cause.to_string(), 300)
}

/// Text at a pointer; empty if there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A label's value; empty if there is none.
pub(super) fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    object.pointer("/metadata/labels").and_then(|l| l.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// The epoch that an object was last written with.
pub(super) fn stamped(object: &Value) -> &str {
    object
        .pointer("/metadata/annotations")
        .and_then(|a| a.get(marks::ANNOTATION_EPOCH))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// `metadata` of a merge patch that lands on exactly the object that was read, with the epoch on it.
pub(super) fn guard(live: &Value, epoch: i64) -> Value {
    json!({
        "uid": text(live, "/metadata/uid"),
        "resourceVersion": text(live, "/metadata/resourceVersion"),
        "annotations": { marks::ANNOTATION_EPOCH: epoch.to_string() }
    })
}
