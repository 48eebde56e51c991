//! Events on objects: refusals and results, aggregated, never on the path of a decision.

use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Resource, ResourceExt};

/// Publishes Events under the operator's name.
#[derive(Clone)]
pub struct Events(Recorder);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// One recorder for all controllers: it aggregates repeated Events.
    pub fn new(client: Client, identity: &str) -> Self {
        Self(Recorder::new(
            client,
            Reporter { controller: "zhengyun-operator".to_owned(), instance: Some(identity.to_owned()) },
        ))
    }

    /// Says that something was refused or failed. Returns at once; an Event that cannot be written is not worth a failure.
    pub fn warn<K: Resource<DynamicType = ()>>(&self, object: &K, action: &str, reason: &str, note: &str) {
        self.publish(object, EventType::Warning, action, reason, note);
    }

    /// Says that something came to a result.
    pub fn normal<K: Resource<DynamicType = ()>>(&self, object: &K, action: &str, reason: &str, note: &str) {
        self.publish(object, EventType::Normal, action, reason, note);
    }

    fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        action: &str,
        reason: &str,
        note: &str,
    ) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(zhengyun_domain::condition::cut(note.to_owned(), 1000)),
            action: action.to_owned(),
            secondary: None,
        };
        let (recorder, reference, name) = (self.0.clone(), object.object_ref(&()), object.name_any());
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event, &reference).await {
                tracing::debug!(name, %error, "an Event could not be written");
            }
        });
    }
}
