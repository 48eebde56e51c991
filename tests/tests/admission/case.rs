//! One line of a table: who tries what on which object, and what the API server must say.

use http::Method;
use serde_json::{Value, json};

use super::objects::{At, at, with};
use super::who::Who;

/// What must come of a try.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// It is let through.
    Accepted,
    /// It is refused, and the message contains this.
    Refused(&'static str),
    /// A question about rights is answered so.
    Allowed(bool),
}

/// How a try is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// What must be accepted is a dry run, so that nothing changes under the other lines. What must be refused is tried as a
    /// dry run first, and for real once that was refused: a hole shows itself without tearing the world down.
    Careful,
    /// For real only.
    Real,
}

/// A try.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: Option<Value>,
    /// What it is about, for the reader of a failure.
    pub(crate) about: String,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) who: Who,
    pub(crate) what: String,
    pub(crate) call: Call,
    pub(crate) expected: Expected,
    pub(crate) sending: Sending,
}

impl Case {
    /// Sends it for real only: where a dry run is something else, or where the next lines need it.
    pub(crate) const fn for_real(mut self) -> Self {
        self.sending = Sending::Real;
        self
    }
}

/// It is let through.
pub(crate) fn yes(who: Who, what: impl Into<String>, call: Call) -> Case {
    Case { who, what: what.into(), call, expected: Expected::Accepted, sending: Sending::Careful }
}

/// It is refused, and the message contains the fragment.
pub(crate) fn no(who: Who, what: impl Into<String>, call: Call, fragment: &'static str) -> Case {
    Case { who, what: what.into(), call, expected: Expected::Refused(fragment), sending: Sending::Careful }
}

/// The caller has the right: `verb`, and the resource as `group/plural[/subresource]`, in a namespace or everywhere.
pub(crate) fn may(who: Who, verb: &str, resource: &str, namespace: &str) -> Case {
    right(who, verb, resource, namespace, true)
}

/// The caller does not have the right.
pub(crate) fn never(who: Who, verb: &str, resource: &str, namespace: &str) -> Case {
    right(who, verb, resource, namespace, false)
}

fn right(who: Who, verb: &str, resource: &str, namespace: &str, allowed: bool) -> Case {
    let mut parts = resource.splitn(3, '/');
    let (group, plural, rest) = (parts.next(), parts.next(), parts.next());
    // `secrets#site-hohhot` asks about one object.
    let (plural, name) = plural.unwrap_or_default().split_once('#').unwrap_or((plural.unwrap_or_default(), ""));
    let attributes = json!({
        "verb": verb, "group": group, "resource": plural, "subresource": rest.unwrap_or_default(), "name": name,
        "namespace": namespace
    });
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": attributes }
    });
    let place = if namespace.is_empty() { "everywhere".to_owned() } else { format!("in {namespace}") };
    Case {
        who,
        what: format!("{verb} {resource} {place}"),
        call: Call {
            method: Method::POST,
            path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
            content_type: "application/json",
            body: Some(body),
            about: "its own rights".to_owned(),
        },
        expected: Expected::Allowed(allowed),
        sending: Sending::Real,
    }
}

/// Creations of an object that is fine but for one field: pointer, value, and the fragment of the refusal, if it is refused.
pub(crate) fn fields(who: Who, base: &Value, table: &[(&str, Value, Option<&'static str>)]) -> Vec<Case> {
    let kind = base.pointer("/kind").and_then(Value::as_str).unwrap_or_default();
    table
        .iter()
        .map(|(pointer, value, refused)| {
            let shown: String = value.to_string().chars().take(60).collect();
            let what = format!("{kind} with {pointer} = {shown}");
            let call = create(with(base.clone(), pointer, value.clone()));
            match refused {
                None => yes(who, what, call),
                Some(fragment) => no(who, what, call, fragment),
            }
        })
        .collect()
}

/// POST of an object.
pub(crate) fn create(object: Value) -> Call {
    let at = At::of(&object);
    call(Method::POST, at.collection(), "application/json", Some(object), &at)
}

/// PUT of an object.
pub(crate) fn replace(object: Value) -> Call {
    let at = At::of(&object);
    call(Method::PUT, at.path(), "application/json", Some(object), &at)
}

/// `kubectl apply --server-side`.
pub(crate) fn apply(object: Value) -> Call {
    let at = At::of(&object);
    let path = format!("{}?fieldManager=admission&force=true", at.path());
    call(Method::PATCH, path, "application/apply-patch+yaml", Some(object), &at)
}

/// `kubectl patch --type merge`.
pub(crate) fn merge(at: &At, patch: Value) -> Call {
    call(Method::PATCH, at.path(), "application/merge-patch+json", Some(patch), at)
}

/// A merge patch of the status.
pub(crate) fn status(at: &At, patch: Value) -> Call {
    let path = format!("{}/status", at.path());
    call(Method::PATCH, path, "application/merge-patch+json", Some(json!({ "status": patch })), at)
}

/// DELETE without preconditions.
pub(crate) fn delete(at: &At) -> Call {
    delete_of(at, json!({}))
}

/// DELETE with preconditions.
pub(crate) fn delete_of(at: &At, preconditions: Value) -> Call {
    let body = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions });
    call(Method::DELETE, at.path(), "application/json", Some(body), at)
}

/// DELETE of a collection, narrowed to one name.
pub(crate) fn delete_all(at: &At) -> Call {
    let path = format!("{}?fieldSelector=metadata.name%3D{}", at.collection(), at.name);
    let body = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
    call(Method::DELETE, path, "application/json", Some(body), at)
}

/// GET.
pub(crate) fn read(at: &At) -> Call {
    call(Method::GET, at.path(), "application/json", None, at)
}

/// Eviction of a pod.
pub(crate) fn evict(namespace: &str, pod: &str, metadata: &Value) -> Call {
    let mut eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod, "namespace": namespace }
    });
    super::objects::merge_into(&mut eviction, &json!({ "metadata": metadata }));
    let pod = at("Pod", namespace, pod);
    call(Method::POST, format!("{}/eviction", pod.path()), "application/json", Some(eviction), &pod)
}

fn call(method: Method, path: String, content_type: &'static str, body: Option<Value>, at: &At) -> Call {
    let about = format!("{method} {} {} {}", at.kind, at.namespace, at.name).replace("  ", " ");
    Call { method, path, content_type, body, about }
}
