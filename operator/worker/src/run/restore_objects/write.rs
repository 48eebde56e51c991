//! One object into the API server.

use std::time::Duration;

use serde_json::Value;

use super::super::restore::{Existing, Outcome};
use super::clean::covers;
use crate::cluster::discover::Kind;
use crate::cluster::{Cluster, Refusal, escaped, may_pass, text, wished};
use crate::error::WorkerError;

/// How often a write is repeated.
const REPEATS: u32 = 6;
/// The first pause between repeats; doubled each time.
const PAUSE: Duration = Duration::from_millis(250);

/// Writes objects.
#[derive(Clone)]
pub(super) struct Writer {
    cluster: Cluster,
    namespace: String,
    existing: Existing,
}

/// What became of an object.
pub(super) struct Written {
    pub(super) outcome: Outcome,
    pub(super) cause: Option<String>,
    /// Its UID in the target.
    pub(super) uid: Option<String>,
    /// Whether the API server asked for mercy on the way.
    pub(super) throttled: bool,
    /// What no other object would fare better with.
    pub(super) fatal: Option<WorkerError>,
}

impl Written {
    fn good(outcome: Outcome, live: &Value, throttled: bool) -> Self {
        Self { outcome, cause: None, uid: Some(text(live, "/metadata/uid").to_owned()), throttled, fatal: None }
    }

    fn bad(refusal: &Refusal, action: &str, throttled: bool) -> Self {
        // An API server that is gone, or a token that ended: going on would fail every object that is left.
        let fatal = matches!(refusal.code(), None | Some(401)).then(|| refusal.told(action));
        Self { outcome: Outcome::Failed, cause: Some(refusal.cause()), uid: None, throttled, fatal }
    }
}

impl Writer {
    pub(super) const fn new(cluster: Cluster, namespace: String, existing: Existing) -> Self {
        Self { cluster, namespace, existing }
    }

    /// Creates an object, or deals with the one that is there.
    pub(super) async fn write(&self, kind: &Kind, mut object: Value) -> Written {
        if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("uid");
        }
        let path = kind.path(&self.namespace);
        let name = text(&object, "/metadata/name").to_owned();
        let (created, throttled) = self.repeated(http::Method::POST, &path, &object).await;
        let refusal = match created {
            Ok(live) => return Written::good(Outcome::Created, &live, throttled),
            Err(refusal) => refusal,
        };
        let action = format!("POST {path} {name}");
        // A quota that is full answers 403 whether or not the object is there, so only what it says of the name counts.
        if refusal.code() != Some(409) {
            return Written::bad(&refusal, &action, throttled);
        }
        let one = format!("{path}/{}", escaped(&name));
        match self.cluster.read(&one).await {
            Ok(live) if covers(&live, &object) => Written::good(Outcome::Same, &live, throttled),
            Ok(live) => self.taken(&one, &live, object, throttled).await,
            Err(_) => Written::bad(&refusal, &action, throttled),
        }
    }

    /// Another object has the name.
    async fn taken(&self, path: &str, live: &Value, mut object: Value, throttled: bool) -> Written {
        match self.existing {
            Existing::Skip => Written::good(Outcome::Skipped, live, throttled),
            Existing::Fail => Written {
                outcome: Outcome::Failed,
                cause: Some(
                    "another object of the name is there; say --existing skip or --existing replace".to_owned(),
                ),
                uid: None,
                throttled,
                fatal: None,
            },
            Existing::Replace => {
                // Exactly the object that was looked at is replaced.
                if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
                    for field in ["uid", "resourceVersion"] {
                        metadata.insert(field.to_owned(), text(live, &format!("/metadata/{field}")).into());
                    }
                }
                let (replaced, slow) = self.repeated(http::Method::PUT, path, &object).await;
                match replaced {
                    Ok(live) => Written::good(Outcome::Replaced, &live, throttled || slow),
                    // A repeated request may find what its first try wrote.
                    Err(refusal) if refusal.code() == Some(409) => {
                        if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
                            metadata.remove("resourceVersion");
                        }
                        match self.cluster.read(path).await {
                            Ok(live) if covers(&live, &object) => Written::good(Outcome::Replaced, &live, throttled),
                            _ => Written::bad(&refusal, &format!("PUT {path}"), throttled || slow),
                        }
                    }
                    Err(refusal) => Written::bad(&refusal, &format!("PUT {path}"), throttled || slow),
                }
            }
        }
    }

    /// Writes, and repeats what may pass: the name makes a second creation show, the version a second replacement.
    async fn repeated(&self, method: http::Method, path: &str, body: &Value) -> (Result<Value, Refusal>, bool) {
        let (mut left, mut pause, mut throttled) = (REPEATS, PAUSE, false);
        loop {
            let request = http::Request::builder()
                .method(method.clone())
                .uri(format!("{path}?fieldManager=zhengyun-worker"))
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body.to_string().into_bytes());
            let answer = match request {
                Ok(request) => self.cluster.ask(request).await,
                Err(error) => Err(Refusal::Silence(error.to_string())),
            };
            match answer {
                Err(refusal) if left > 0 && may_pass(&refusal) => {
                    throttled |= refusal.code() == Some(429);
                    left -= 1;
                    tokio::time::sleep(wished(&refusal).unwrap_or(pause)).await;
                    pause = pause.saturating_mul(2);
                }
                other => return (other, throttled),
            }
        }
    }
}
