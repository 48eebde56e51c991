//! The way in: from HTTP requests to the state and back.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use kube::client::Body;
use serde_json::{Value, json};

use super::answer::{self, Answer, Refusal};
use super::ask::{self, Place, Query, Target};
use super::delete::Deleted;
use super::kinds::KindInfo;
use super::list;
use super::reviews;
use super::serve::Inner;
use super::store::Key;
use super::update::PatchKind;
use super::user::User;
use super::watch;
use super::write::Write;

/// Largest body that is taken.
const MOST_BYTES: usize = 3 * 1024 * 1024;

/// A user's way to the server.
#[derive(Clone)]
pub struct Service {
    server: Arc<Inner>,
    user: User,
    agent: String,
}

impl Service {
    pub(crate) fn new(server: Arc<Inner>, user: &User, agent: &str) -> Self {
        Self { server, user: user.clone(), agent: agent.to_owned() }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("user", &self.user).finish_non_exhaustive()
    }
}

impl tower::Service<Request<Body>> for Service {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let response = match body.collect_bytes().await {
                Ok(body) if body.len() > MOST_BYTES => Err(Refusal::new(
                    413,
                    "RequestEntityTooLarge",
                    format!("Request entity too large: limit is {MOST_BYTES}"),
                )),
                Ok(body) => this.answer(&head, &body),
                Err(error) => Err(Refusal::bad(format!("the body cannot be read: {error}"))),
            };
            this.server.wake();
            Ok(response.unwrap_or_else(|refusal| answer::json(refusal.code, &refusal.status())))
        })
    }
}

impl Service {
    fn answer(&self, head: &http::request::Parts, body: &[u8]) -> Result<Answer, Refusal> {
        let user = match head.headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok()) {
            Some(credential) => credential
                .strip_prefix("Bearer ")
                .and_then(|token| self.server.user_of(token))
                .ok_or_else(|| Refusal::new(401, "Unauthorized", "Unauthorized"))?,
            None => self.user.clone(),
        };
        let query = Query::of(&head.uri);
        match ask::target(head.uri.path())? {
            Target::Version => {
                Ok(answer::json(200, &json!({ "major": "1", "minor": "36", "gitVersion": "v1.36.3-in-memory" })))
            }
            Target::Core => Ok(answer::json(200, &json!({ "kind": "APIVersions", "versions": ["v1"] }))),
            Target::Groups => Ok(answer::json(200, &self.server.state().kinds.groups())),
            Target::Resources { group, version } => {
                let found = self.server.state().kinds.resources(&group, &version);
                found.map(|found| answer::json(200, &found)).ok_or_else(Refusal::no_such_path)
            }
            Target::Objects(place) => self.objects(head, &user, &place, &query, body),
        }
    }

    fn objects(
        &self,
        head: &http::request::Parts,
        user: &User,
        place: &Place,
        query: &Query,
        body: &[u8],
    ) -> Result<Answer, Refusal> {
        if head.method == Method::POST
            && place.name.is_empty()
            && place.plural.ends_with("reviews")
            && let Some(answered) = reviews::review(&self.server, &place.group, &place.plural, user, &parsed(body)?)
        {
            return answered.map(|answer| answer::json(201, &answer));
        }
        let mut state = self.server.state();
        if let Some(fault) = &state.fault {
            return Err(Refusal::not_modelled(fault));
        }
        let kind = state.kinds.get(&place.group, &place.version, &place.plural).ok_or_else(Refusal::no_such_path)?;
        if !kind.namespaced && !place.namespace.is_empty() {
            return Err(Refusal::no_such_path());
        }
        if kind.namespaced && place.namespace.is_empty() && (!place.name.is_empty() || head.method != Method::GET) {
            return Err(Refusal::no_such_path());
        }
        let parts_known = match place.part.as_str() {
            "" => true,
            "status" => kind.status,
            "finalize" => kind.plural == "namespaces",
            other => return Err(Refusal::not_modelled(&format!("subresource {other}"))),
        };
        if !parts_known {
            return Err(Refusal::no_such_path());
        }
        let accept = head.headers.get(ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
        let metadata_only = accept.contains("as=PartialObjectMetadata");
        let manager = query.get("fieldManager").map_or_else(|| manager_of(head), str::to_owned);
        let write = Write {
            kind: &kind,
            place,
            user,
            agent: &self.agent,
            manager: &manager,
            dry_run: query.get("dryRun").is_some(),
            strict: query.get("fieldValidation") == Some("Strict"),
            at: self.server.clock().now(),
            rights: self.server.rights(),
        };
        let shown = |code: u16, object: &Value| {
            answer::json(code, &if metadata_only { list::only_metadata(object) } else { object.clone() })
        };
        match (&head.method, place.name.is_empty()) {
            (&Method::GET, true) if query.says("watch") => {
                watch::watch(&self.server, &state, &kind, place, query, metadata_only)
            }
            (&Method::GET, true) => {
                let listed = list::list(&state, &mut self.server.snapshots(), &kind, place, query, metadata_only)?;
                Ok(answer::json(200, &listed))
            }
            (&Method::GET, false) => {
                let asked = query.version().map_err(|told| Refusal::new(500, "", told))?;
                if let Some(asked) = asked.filter(|asked| *asked > state.revision) {
                    return Err(Refusal::too_large_version(asked, state.revision));
                }
                let found = state.get(&Key::of(&kind, &place.namespace, &place.name));
                found.map(|object| shown(200, object)).ok_or_else(|| Refusal::not_found(&kind, &place.name))
            }
            (&Method::POST, true) => {
                query.options("CreateOptions")?;
                write.create(&mut state, parsed(body)?).map(|object| shown(201, &object))
            }
            (&Method::PUT, false) => {
                query.options("UpdateOptions")?;
                let (made, object) = write.replace(&mut state, parsed(body)?)?;
                Ok(shown(if made { 201 } else { 200 }, &object))
            }
            (&Method::PATCH, false) => {
                let how = patch_kind(head, query, &kind)?;
                query.options("PatchOptions")?;
                query.patch_options(matches!(how, PatchKind::Apply { .. }))?;
                let (made, object) = write.patch(&mut state, how, body)?;
                Ok(shown(if made { 201 } else { 200 }, &object))
            }
            (&Method::DELETE, false) => {
                // What the body says goes before the query, which then says nothing.
                let (options, dry_run) = if body.is_empty() {
                    query.options("DeleteOptions")?;
                    (json!({}), write.dry_run)
                } else {
                    let options = parsed(body)?;
                    let dry_run = options.get("dryRun").and_then(Value::as_array).is_some_and(|d| !d.is_empty());
                    (options, dry_run)
                };
                Ok(match (Write { dry_run, ..write }).delete(&mut state, &options)? {
                    Deleted::Waiting(object) => shown(200, &object),
                    Deleted::Gone(object) if kind.plural == "namespaces" => shown(200, &object),
                    Deleted::Gone(object) => answer::json(200, &gone(&kind, &object)),
                })
            }
            (&Method::DELETE, true) => Err(Refusal::not_modelled("deletion of a collection")),
            _ => Err(Refusal::method_not_allowed()),
        }
    }
}

/// What is answered when an object is gone.
fn gone(kind: &KindInfo, object: &Value) -> Value {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut details = answer::details(text("/metadata/name"), &kind.group, &kind.plural);
    if let Some(details) = details.as_object_mut() {
        details.insert("uid".to_owned(), json!(text("/metadata/uid")));
    }
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
}

fn parsed(body: &[u8]) -> Result<Value, Refusal> {
    let parsed: Value = serde_json::from_slice(body).map_err(|error| {
        Refusal::bad(format!("the object provided is unrecognized (must be of type JSON): {error}"))
    })?;
    if parsed.is_object() || parsed.is_array() || parsed.is_null() {
        Ok(parsed)
    } else {
        Err(Refusal::bad("the object provided is no object"))
    }
}

fn patch_kind(head: &http::request::Parts, query: &Query, kind: &KindInfo) -> Result<PatchKind, Refusal> {
    let content = head.headers.get(CONTENT_TYPE).and_then(|c| c.to_str().ok()).unwrap_or_default();
    match content.split(';').next().unwrap_or_default() {
        "application/merge-patch+json" => Ok(PatchKind::Merge),
        "application/json-patch+json" => Ok(PatchKind::Json),
        "application/apply-patch+yaml" => Ok(PatchKind::Apply { force: query.says("force") }),
        strategic @ "application/strategic-merge-patch+json" if kind.schema.is_none() => {
            Err(Refusal::not_modelled(&format!("patches of type {strategic:?}")))
        }
        _ => Err(Refusal::unsupported_media_type(kind)),
    }
}

fn manager_of(head: &http::request::Parts) -> String {
    let agent = head.headers.get(http::header::USER_AGENT).and_then(|a| a.to_str().ok()).unwrap_or("unknown");
    agent.split('/').next().unwrap_or("unknown").to_owned()
}
