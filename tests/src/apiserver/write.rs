//! A write on its way: how its body is read, checked and admitted, in kube-apiserver's order.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::admission::Admission;
use super::answer::Refusal;
use super::apply::{Manager, Ownership};
use super::ask::Place;
use super::cel::Access;
use super::kinds::KindInfo;
use super::meta;
use super::serve::Rights;
use super::store::{Key, State, Writer};
use super::user::User;

/// A write on its way.
pub(crate) struct Write<'a> {
    pub(crate) kind: &'a Arc<KindInfo>,
    pub(crate) place: &'a Place,
    pub(crate) user: &'a User,
    pub(crate) agent: &'a str,
    pub(crate) manager: &'a str,
    pub(crate) dry_run: bool,
    pub(crate) strict: bool,
    pub(crate) at: Timestamp,
    pub(crate) rights: &'a dyn Rights,
}

/// Where an object comes from that is read: the same fault is told in other ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The body of a request.
    Body,
    /// A stored object with a patch.
    Patched,
    /// A stored object with what was applied.
    Applied,
}

impl Write<'_> {
    pub(super) fn key(&self, name: &str) -> Key {
        Key::of(self.kind, &self.place.namespace, name)
    }

    pub(super) fn writer(&self) -> Writer<'_> {
        Writer { user: &self.user.name, agent: self.agent, at: self.at, guarded: false }
    }

    pub(super) fn manager(&self, applies: bool) -> Manager {
        Manager::new(self.manager, applies, &self.place.part)
    }

    /// Reads an object: its kind, its metadata, and the fields that its kind has.
    pub(super) fn read(&self, mut object: Value, from: Source) -> Result<Value, Refusal> {
        let said = text(&object, "/kind").to_owned();
        let fault = |told: String| match from {
            Source::Body => Refusal::bad(format!("{said} cannot be handled as a {}: {told}", self.kind.kind)),
            Source::Patched => patched_badly(&told),
            Source::Applied => Refusal::new(500, "", told),
        };
        if object.is_null() && self.kind.schema.is_none() {
            // Nothing is read as an object that says nothing.
            object = json!({});
        }
        if !object.is_object() {
            return Err(fault("no object".to_owned()));
        }
        self.is_of_kind(&mut object, from)?;
        if !self.is_mine(&object) {
            // Another kind of the same group is told of when it is validated.
            return Ok(object);
        }
        let mut unknown = meta::read(&mut object).map_err(&fault)?;
        if let Some(form) = self.kind.form {
            unknown.extend(form.read(&mut object).map_err(&fault)?);
            super::defaults::read(self.kind, &mut object);
        } else if let Some(schema) = self.kind.schema.as_ref() {
            if self.strict {
                let mut pruned = object.clone();
                schema.prune(&mut pruned);
                missing("", &object, &pruned, &mut unknown);
            }
            if from == Source::Applied {
                // What was taken away may have left nulls, which are looked at before they are dropped.
                schema.set_defaults(&mut object);
            } else {
                schema.prepare(&mut object);
            }
        }
        if self.strict && !unknown.is_empty() {
            let said: Vec<String> = unknown.iter().map(|f| format!("unknown field \"{f}\"")).collect();
            return Err(fault(format!("strict decoding error: {}", said.join(", "))));
        }
        Ok(object)
    }

    /// Whether it says to be of this kind.
    pub(super) fn is_mine(&self, object: &Value) -> bool {
        text(object, "/kind") == self.kind.kind && text(object, "/apiVersion") == self.kind.api_version()
    }

    fn is_of_kind(&self, object: &mut Value, from: Source) -> Result<(), Refusal> {
        let Some(fields) = object.as_object_mut() else { return Ok(()) };
        if self.kind.schema.is_none() && from == Source::Patched && fields.get("apiVersion").is_none_or(Value::is_null)
        {
            // It is read as nothing at all.
            return Err(Refusal::bad(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                self.place.name
            )));
        }
        if self.kind.schema.is_none() {
            // What a built-in kind's body does not say is taken from its path.
            let absent = |v: Option<&Value>| v.is_none_or(|v| v.is_null() || v == "");
            if absent(fields.get("apiVersion")) {
                fields.insert("apiVersion".to_owned(), json!(self.kind.api_version()));
            }
            if absent(fields.get("kind")) {
                fields.insert("kind".to_owned(), json!(self.kind.kind));
            }
        }
        let (version, kind) = (text(object, "/apiVersion").to_owned(), text(object, "/kind").to_owned());
        let custom = self.kind.schema.is_some();
        if kind.is_empty() {
            let told = "Object 'Kind' is missing";
            return Err(if from == Source::Patched { patched_badly(told) } else { Refusal::bad(told) });
        }
        if from == Source::Patched && custom {
            // What a patch makes of the type is told of when it is validated; that there is none, at once.
            if version.is_empty() {
                return Err(Refusal::internal("Object 'apiVersion' is missing in 'object has no apiVersion field'"));
            }
            return Ok(());
        }
        let bad = |told: String| if from == Source::Patched { patched_badly(&told) } else { Refusal::bad(told) };
        if version != self.kind.api_version() {
            return Err(bad(format!(
                "the API version in the data ({version}) does not match the expected API version ({})",
                self.kind.api_version()
            )));
        }
        if !custom && kind != self.kind.kind {
            return Err(bad(format!("{kind} in version \"{version}\" cannot be handled as a {}", self.kind.kind)));
        }
        Ok(())
    }

    /// Puts an object where the request is, and checks that it has the request's name.
    pub(super) fn belongs(&self, object: &mut Value) -> Result<(), Refusal> {
        meta::place(object, if self.kind.namespaced { &self.place.namespace } else { "" })?;
        let (said, name) = (text(object, "/metadata/name"), &self.place.name);
        if said != name {
            return Err(Refusal::bad(format!(
                "the name of the object ({said}) does not match the name on the URL ({name})"
            )));
        }
        meta::unite_owners(object);
        Ok(())
    }

    pub(super) fn namespace_takes(&self, state: &State, name: &str) -> Result<(), Refusal> {
        if !self.kind.namespaced {
            return Ok(());
        }
        let Some(kind) = state.kinds.get("", "v1", "namespaces") else { return Ok(()) };
        let space = state
            .get(&Key::of(&kind, "", &self.place.namespace))
            .ok_or_else(|| Refusal::not_found(&kind, &self.place.namespace))?;
        if is_deleting(space) {
            let namespace = &self.place.namespace;
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            let mut refusal = Refusal::forbidden(self.kind, name, &why);
            if let Some(details) = refusal.details.as_object_mut() {
                let cause = json!({ "reason": "NamespaceTerminating", "field": "metadata.namespace", "message": format!("namespace {namespace} is being terminated") });
                details.insert("causes".to_owned(), json!([cause]));
            }
            return Err(refusal);
        }
        Ok(())
    }

    /// Refuses an object that is not as its kind wants it.
    pub(super) fn validate(&self, object: &Value, old: Option<&Value>) -> Result<(), Refusal> {
        // That of another kind is not looked at.
        let mut causes = if self.is_mine(object) { meta::validate(self.kind, object, old) } else { Vec::new() };
        if let Some(form) = self.kind.form {
            causes.extend(form.validate(object, old));
        } else if let Some(schema) = self.kind.schema.as_ref() {
            causes = match old {
                Some(old) if self.place.part == "status" => [causes, schema.validate_status(object, old)].concat(),
                _ => schema.validate_with(object, old, causes),
            };
        }
        if causes.is_empty() {
            return Ok(());
        }
        let group = text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
        Err(Refusal::invalid(group, text(object, "/kind"), text(object, "/metadata/name"), &causes))
    }

    /// Brings an object into the form in which it is stored.
    pub(super) fn as_stored(&self, object: &mut Value, from: Source, ownership: &mut Ownership) {
        if let Some(schema) = self.kind.schema.as_ref().filter(|_| from == Source::Applied) {
            let mut raw = object.clone();
            schema.prepare(object);
            if raw == *object && ownership.unseen.is_null() {
                return;
            }
            meta::unset(&mut raw, "resourceVersion");
            ownership.unseen = json!([raw, ownership.unseen]);
        }
    }

    pub(super) fn admit(
        &self,
        state: &State,
        operation: &str,
        name: &str,
        (object, old): (Option<&Value>, Option<&Value>),
        options: Option<&Value>,
    ) -> Result<(), Refusal> {
        let space = state.kinds.get("", "v1", "namespaces").and_then(|kind| {
            let of = if self.kind.namespaced { self.place.namespace.as_str() } else { name };
            let is_namespace = self.kind.plural == "namespaces" && self.kind.group.is_empty();
            (self.kind.namespaced || is_namespace).then(|| state.get(&Key::of(&kind, "", of)).cloned()).flatten()
        });
        let params = |version: &str, kind: &str, namespace: &str, name: &str| -> Option<Value> {
            let group = version.split_once('/').map_or("", |(group, _)| group);
            let kind = state.kinds.by_kind(group, kind)?;
            state.get(&Key::of(&kind, namespace, name)).map(|found| found.as_ref().clone())
        };
        let authorizer = |asked: &Access| {
            self.rights.may(self.user, &asked.verb, &asked.group, &asked.resource, &asked.subresource, &asked.namespace)
        };
        let admission = Admission {
            operation,
            group: &self.kind.group,
            version: &self.kind.version,
            resource: &self.kind.plural,
            subresource: &self.place.part,
            kind: &self.kind.kind,
            name,
            namespace: &self.place.namespace,
            object,
            old,
            namespace_object: space.as_deref(),
            user: self.user,
            dry_run: self.dry_run,
            options,
            params: &params,
            authorizer: &authorizer,
        };
        state.policies.check(&admission).map_err(|denied| {
            let told = format!("{} \"{name}\" is forbidden: {}", self.kind.qualified(), denied.message);
            let mut refusal = Refusal::new(denied.code, &denied.reason, told).about(self.kind, name);
            if let Some(details) = refusal.details.as_object_mut() {
                details.insert("causes".to_owned(), json!([{ "message": denied.message }]));
            }
            refusal
        })
    }
}

/// What becomes of an object by a patch cannot be read.
fn patched_badly(told: &str) -> Refusal {
    let mut refusal = Refusal::new(422, "Invalid", format!(" \"\" is invalid: patch: Invalid value: {told}"));
    refusal.details = json!({ "causes": [{ "reason": "FieldValueInvalid", "field": "patch", "message": told }] });
    refusal
}

/// Fields that were there before.
fn missing(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match after.get(name) {
                    Some(there) => missing(&at, value, there, found),
                    None => found.push(at),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (index, (value, there)) in before.iter().zip(after).enumerate() {
                missing(&format!("{path}[{index}]"), value, there, found);
            }
        }
        _ => {}
    }
}

/// Whether an object's deletion was asked for.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// Whether no finalizer holds an object; a namespace has some in its spec, too.
pub(crate) fn waits_for_nobody(object: &Value) -> bool {
    object.pointer("/metadata/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty)
        && super::form::finalized(object)
}

/// A time as metadata has it: to the second.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Text at a pointer; empty if there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
