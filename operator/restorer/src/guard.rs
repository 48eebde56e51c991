//! The agreed plan, below the client: a write that it does not hold is not sent.
//!
//! The worker writes what a backup holds, object by object. Here every request is held against the plan: what is to be made or
//! replaced passes, without the marks of the grant that it came from; what stays is answered with what stands there; everything else
//! is refused. So nothing that happens between plan and execution can widen what is done.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::BoxError;
use zhengyun_domain::recovery::restore::Action;
use zhengyun_worker::cluster::text;

/// Prefix of labels and annotations that Zhengyun writes; they belong to the grant that an object came from.
const OURS: &str = "zhengyun.io/";

/// What may be done, by directory and name.
#[derive(Clone, Debug)]
pub(crate) struct Permits {
    namespace: String,
    actions: Arc<HashMap<(String, String), Action>>,
    /// File that stands as soon as something may have been written.
    marker: Option<PathBuf>,
    /// Finalizers are left out: nobody would take them off in a place that is removed afterwards.
    scratch: bool,
}

/// What becomes of a request.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It is sent with this body.
    Send(Value),
    /// It is answered with what stands at this path.
    Show(String),
    /// It is refused.
    Refuse(StatusCode, &'static str),
}

impl Permits {
    /// Permits for one namespace.
    pub(crate) fn new(namespace: &str, actions: HashMap<(String, String), Action>) -> Self {
        Self { namespace: namespace.to_owned(), actions: Arc::new(actions), marker: None, scratch: false }
    }

    /// The same for a place that was made for this restore and is removed after it.
    #[must_use]
    pub(crate) fn for_scratch(self, scratch: bool) -> Self {
        Self { scratch, ..self }
    }

    /// The same, which leave a file behind before the first write is sent.
    #[must_use]
    pub(crate) fn noting(self, marker: PathBuf) -> Self {
        Self { marker: Some(marker), ..self }
    }

    /// A client that keeps to them.
    pub(crate) fn guard(&self, client: &Client) -> Client {
        let (permits, client) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (permits, client) = (permits.clone(), client.clone());
            async move { permits.pass(client, request).await }
        });
        Client::new(service, self.namespace.clone())
    }

    async fn pass(&self, client: Client, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        if request.method() == Method::GET {
            // Reading changes nothing.
            return Ok(client.send(request).await?);
        }
        let (mut parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let object: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        match self.judge(&parts.method, parts.uri.path(), object) {
            Verdict::Send(object) => {
                if let Some(marker) = &self.marker {
                    std::fs::write(marker, b"")?;
                }
                parts.headers.remove(http::header::CONTENT_LENGTH);
                let body = serde_json::to_vec(&object)?;
                Ok(client.send(Request::from_parts(parts, Body::from(body))).await?)
            }
            Verdict::Show(path) => {
                let answer = client.send(Request::get(&path).body(Body::empty())?).await?;
                if answer.status() == StatusCode::OK {
                    return Ok(answer);
                }
                refused(StatusCode::UNPROCESSABLE_ENTITY, "it stood here when the plan was made, and is gone")
            }
            Verdict::Refuse(code, why) => refused(code, why),
        }
    }

    fn judge(&self, method: &Method, path: &str, mut object: Value) -> Verdict {
        let Some((directory, named)) = place(path, &self.namespace) else {
            return Verdict::Refuse(StatusCode::FORBIDDEN, "it is not in the namespace of the plan");
        };
        let name = text(&object, "/metadata/name").to_owned();
        if named.as_ref().is_some_and(|named| *named != name) {
            return Verdict::Refuse(StatusCode::FORBIDDEN, "its address names another object");
        }
        let action = self.actions.get(&(directory, name.clone())).copied();
        match (method, action) {
            (&Method::POST, Some(Action::Create)) | (&Method::PUT, Some(Action::Replace)) => {
                self.strip(&mut object);
                Verdict::Send(object)
            }
            (&Method::POST, Some(Action::Replace)) => Verdict::Refuse(StatusCode::CONFLICT, "it is to be replaced"),
            (&Method::POST, Some(Action::Leave | Action::Skip | Action::Delivered)) => {
                Verdict::Show(format!("{path}/{name}"))
            }
            _ => Verdict::Refuse(StatusCode::FORBIDDEN, "the agreed plan does not hold it"),
        }
    }

    /// Takes the marks of the former grant off: the site would refuse them, and rightly.
    fn strip(&self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        for field in ["labels", "annotations"] {
            if let Some(marks) = metadata.get_mut(field).and_then(Value::as_object_mut) {
                marks.retain(|key, _| !key.starts_with(OURS));
            }
        }
        if self.scratch {
            metadata.remove("finalizers");
        }
    }
}

/// Directory of the kind, and name if the path has one.
fn place(path: &str, namespace: &str) -> Option<(String, Option<String>)> {
    let mut steps = path.strip_prefix('/')?.split('/');
    let group = match steps.next()? {
        "api" => String::new(),
        "apis" => steps.next()?.to_owned(),
        _ => return None,
    };
    steps.next()?;
    if steps.next()? != "namespaces" || steps.next()? != namespace {
        return None;
    }
    let plural = steps.next()?;
    let directory = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    let name = steps.next().map(str::to_owned);
    steps.next().is_none().then_some((directory, name))
}

fn refused(code: StatusCode, why: &str) -> Result<Response<Body>, BoxError> {
    let reason = if code == StatusCode::CONFLICT { "AlreadyExists" } else { "Forbidden" };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": why, "reason": reason, "code": code.as_u16()
    });
    let body = Bytes::from(serde_json::to_vec(&status)?);
    Ok(Response::builder()
        .status(code)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use http::{Method, StatusCode};
    use serde_json::json;
    use zhengyun_domain::recovery::restore::Action;

    use super::{Permits, Verdict};

    fn permits() -> Permits {
        let entry = |directory: &str, name: &str, action| ((directory.to_owned(), name.to_owned()), action);
        let actions = HashMap::from([
            entry("configmaps", "new", Action::Create),
            entry("deployments.apps", "web", Action::Replace),
            entry("configmaps", "same", Action::Leave),
            entry("resourcequotas", "zhengyun-quota", Action::Delivered),
        ]);
        Permits::new("zy-a", actions)
    }

    #[test]
    fn what_the_plan_holds_passes_without_the_marks_of_another_grant() {
        let object = json!({ "metadata": { "name": "new", "labels": { "zhengyun.io/grant-uid": "u", "app": "a" } } });
        let judged = permits().judge(&Method::POST, "/api/v1/namespaces/zy-a/configmaps", object);
        assert_eq!(judged, Verdict::Send(json!({ "metadata": { "name": "new", "labels": { "app": "a" } } })));
        let web = json!({ "metadata": { "name": "web" } });
        let path = "/apis/apps/v1/namespaces/zy-a/deployments";
        let conflict = permits().judge(&Method::POST, path, web.clone());
        assert!(matches!(conflict, Verdict::Refuse(StatusCode::CONFLICT, _)));
        assert_eq!(permits().judge(&Method::PUT, &format!("{path}/web"), web.clone()), Verdict::Send(web));
    }

    #[test]
    fn a_scratch_gets_no_finalizers() {
        let object = json!({ "metadata": { "name": "new", "finalizers": ["example.org/wait"] } });
        let judged = |scratch| {
            let permits = permits().for_scratch(scratch);
            permits.judge(&Method::POST, "/api/v1/namespaces/zy-a/configmaps", object.clone())
        };
        assert_eq!(judged(true), Verdict::Send(json!({ "metadata": { "name": "new" } })));
        assert_eq!(judged(false), Verdict::Send(object.clone()));
    }

    #[test]
    fn everything_else_is_shown_or_refused() {
        let named = |name: &str| json!({ "metadata": { "name": name } });
        let maps = "/api/v1/namespaces/zy-a/configmaps";
        assert_eq!(permits().judge(&Method::POST, maps, named("same")), Verdict::Show(format!("{maps}/same")));
        let refused = |method: Method, path: &str, name: &str| {
            matches!(permits().judge(&method, path, named(name)), Verdict::Refuse(StatusCode::FORBIDDEN, _))
        };
        assert!(refused(Method::PUT, &format!("{maps}/same"), "same"));
        assert!(refused(Method::PUT, "/api/v1/namespaces/zy-a/resourcequotas/zhengyun-quota", "zhengyun-quota"));
        assert!(refused(Method::POST, maps, "stranger"));
        assert!(refused(Method::DELETE, &format!("{maps}/new"), "new"));
        assert!(refused(Method::POST, "/api/v1/namespaces/zy-b/configmaps", "new"));
        assert!(refused(Method::PUT, "/apis/apps/v1/namespaces/zy-a/deployments/other", "web"));
        assert!(refused(Method::PUT, "/apis/apps/v1/namespaces/zy-a/deployments/web/scale", "web"));
        assert!(refused(Method::POST, "/api/v1/namespaces", "new"));
    }
}
