//! Deleting objects, or marking them where finalizers hold them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Refusal;
use super::form::Form;
use super::meta;
use super::schema::Cause;
use super::store::{State, Verb, Writer};
use super::write::{Write, is_deleting, stamp, text, waits_for_nobody};

/// What a deletion left: the object that waits for its finalizers, or nothing.
pub(crate) enum Deleted {
    Waiting(Arc<Value>),
    Gone(Arc<Value>),
}

impl Write<'_> {
    /// Deletes an object, or marks it where finalizers hold it.
    pub(crate) fn delete(&self, state: &mut State, options: &Value) -> Result<Deleted, Refusal> {
        let name = &self.place.name;
        let key = self.key(name);
        let wanted = |field: &str| options.pointer(field).and_then(Value::as_str).map(str::to_owned);
        options_are_good(options)?;
        let live = state.get(&key).cloned().ok_or_else(|| Refusal::not_found(self.kind, name))?;
        self.preconditions(&live, wanted("/preconditions/uid"), wanted("/preconditions/resourceVersion"))?;
        let policy = wanted("/propagationPolicy").unwrap_or_else(|| "Background".to_owned());
        if policy != "Background" {
            return Err(Refusal::not_modelled(&format!("propagationPolicy {policy}")));
        }
        if options.get("orphanDependents").is_some_and(|o| !o.is_null()) {
            return Err(Refusal::not_modelled("orphanDependents"));
        }
        let namespace = self.kind.form == Some(Form::Namespace);
        if namespace && is_deleting(&live) && !super::form::finalized(&live) {
            return Ok(Deleted::Waiting(live));
        }
        self.admit(state, "DELETE", name, (None, Some(&live)), Some(options))?;
        let by = Writer { guarded: wanted("/preconditions/uid").is_some(), ..self.writer() };
        // A namespace is marked first, whoever it waits for.
        if waits_for_nobody(&live) && (!namespace || is_deleting(&live)) {
            if self.dry_run {
                return Ok(Deleted::Gone(live));
            }
            return Ok(Deleted::Gone(state.commit(&key, Verb::Delete, live.as_ref().clone(), &by)));
        }
        if is_deleting(&live) {
            return Ok(Deleted::Waiting(live));
        }
        let mut marked = live.as_ref().clone();
        meta::set(&mut marked, "deletionTimestamp", json!(stamp(self.at)));
        if namespace {
            if let Some(status) = marked.get_mut("status").and_then(Value::as_object_mut) {
                status.insert("phase".to_owned(), json!("Terminating"));
            }
        } else {
            meta::set(&mut marked, "deletionGracePeriodSeconds", json!(0));
            if let Some(generation) = live.pointer("/metadata/generation").and_then(Value::as_i64) {
                meta::set(&mut marked, "generation", json!(generation.saturating_add(1)));
            }
        }
        if self.dry_run {
            return Ok(Deleted::Waiting(Arc::new(marked)));
        }
        if let Some(ownership) = state.ownership.get_mut(&key) {
            ownership.unseen = Value::Null;
        }
        Ok(Deleted::Waiting(state.commit(&key, Verb::Update, marked, &by)))
    }

    fn preconditions(&self, live: &Value, uid: Option<String>, version: Option<String>) -> Result<(), Refusal> {
        for (what, said, own) in [
            ("UID", uid, text(live, "/metadata/uid")),
            ("ResourceVersion", version, text(live, "/metadata/resourceVersion")),
        ] {
            let Some(said) = said.filter(|said| said != own) else { continue };
            let why = format!("the {what} in the precondition ({said}) does not match the {what} in record ({own})");
            let mut refusal = Refusal::conflict(self.kind, &self.place.name, &why);
            // The kind is told by its name where it is otherwise told by its plural.
            if self.kind.form != Some(Form::Namespace)
                && let Some(details) = refusal.details.as_object_mut()
            {
                details.insert("kind".to_owned(), json!(self.kind.kind));
            }
            return Err(refusal);
        }
        Ok(())
    }
}

/// Whether a value is of the type that an option has.
type Fits = fn(&Value) -> bool;

fn options_are_good(options: &Value) -> Result<(), Refusal> {
    let types: [(&str, Fits); 7] = [
        ("/kind", |v| v == "DeleteOptions" || v == ""),
        ("/gracePeriodSeconds", Value::is_i64),
        ("/orphanDependents", Value::is_boolean),
        ("/propagationPolicy", Value::is_string),
        ("/dryRun", |v| v.as_array().is_some_and(|d| d.iter().all(Value::is_string))),
        ("/preconditions/uid", Value::is_string),
        ("/preconditions/resourceVersion", Value::is_string),
    ];
    for (pointer, fits) in types {
        if options.pointer(pointer).is_some_and(|v| !v.is_null() && !fits(v)) {
            return Err(Refusal::bad(format!("DeleteOptions cannot be read: {pointer}")));
        }
    }
    let mut causes = Vec::new();
    let mut unsupported = |field: &str, value: &str| {
        causes.push(Cause {
            reason: "FieldValueNotSupported".to_owned(),
            field: field.to_owned(),
            message: format!("Unsupported value: \"{value}\""),
        });
    };
    let policy = text(options, "/propagationPolicy");
    if !matches!(policy, "" | "Background" | "Foreground" | "Orphan") {
        unsupported("propagationPolicy", policy);
    }
    let dry = options.get("dryRun").and_then(Value::as_array).into_iter().flatten();
    if dry.clone().any(|d| d != "All") {
        unsupported("dryRun", "");
    }
    if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid_options("DeleteOptions", &causes)) }
}
