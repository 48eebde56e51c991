//! Changing objects: PUT, patches, server-side apply.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::apply::Ownership;
use super::meta;
use super::patches;
use super::store::{State, Verb};
use super::write::{Source, Write, is_deleting, text, waits_for_nobody};

/// The kind of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Merge,
    Json,
    Apply { force: bool },
}

const CHANGED: &str = "the object has been modified; please apply your changes to the latest version and try again";

impl Write<'_> {
    /// Replaces an object, or its status. Says whether it was made.
    pub(crate) fn replace(&self, state: &mut State, body: Value) -> Result<(bool, Arc<Value>), Refusal> {
        let forgets = self.forgets_owners(&body);
        let mut wanted = self.read(body, Source::Body)?;
        self.belongs(&mut wanted)?;
        let name = &self.place.name;
        let live = state.get(&self.key(name)).cloned();
        let makes = self.kind.plural == "leases";
        if live.is_none() && !makes {
            return Err(Refusal::not_found(self.kind, name));
        }
        let uid = text(&wanted, "/metadata/uid");
        let own = live.as_ref().map_or("", |live| text(live, "/metadata/uid"));
        if !uid.is_empty() && uid != own {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {own}");
            return Err(Refusal::conflict(self.kind, name, &why));
        }
        let Some(live) = live else {
            let mut ownership = Ownership::default();
            ownership.wrote(self.kind, &self.manager(false), None, &wanted);
            return self.add(state, wanted, ownership, Source::Body).map(|made| (true, made));
        };
        let mut ownership = state.ownership.get(&self.key(name)).cloned().filter(|_| !forgets).unwrap_or_default();
        ownership.wrote(self.kind, &self.manager(false), Some(&live), &wanted);
        self.change(state, &live, wanted, ownership, Source::Body).map(|changed| (false, changed))
    }

    /// Whether an object says that nobody owns any of its fields.
    fn forgets_owners(&self, object: &Value) -> bool {
        let said = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        self.place.part.is_empty()
            && said.is_some_and(|said| match said.as_slice() {
                [] => true,
                [only] => only.as_object().is_none_or(Map::is_empty),
                _ => false,
            })
    }

    /// Patches an object, or its status. Says whether it was made.
    pub(crate) fn patch(&self, state: &mut State, how: PatchKind, patch: &[u8]) -> Result<(bool, Arc<Value>), Refusal> {
        let name = &self.place.name;
        let key = self.key(name);
        let live = state.get(&key).cloned();
        let mut ownership = state.ownership.get(&key).cloned().unwrap_or_default();
        if let PatchKind::Apply { force } = how {
            if live.is_none() && !self.place.part.is_empty() {
                return Err(Refusal::not_found(self.kind, name));
            }
            let patch = match serde_json::from_slice(patch) {
                Ok(patch @ Value::Object(_)) => patch,
                Ok(Value::Null) => json!({}),
                _ if patch.iter().all(u8::is_ascii_whitespace) => json!({}),
                _ => return Err(Refusal::bad("error decoding YAML")),
            };
            return self.apply(state, live, ownership, force, &patch);
        }
        let live = live.ok_or_else(|| Refusal::not_found(self.kind, name))?;
        let patch: Value =
            serde_json::from_slice(patch).map_err(|error| Refusal::bad(format!("error decoding patch: {error}")))?;
        let patched =
            if how == PatchKind::Merge { patches::merge(&live, &patch)? } else { patches::json_patch(&live, &patch)? };
        if self.forgets_owners(&patched) {
            ownership = Ownership::default();
        }
        let mut wanted = self.read(patched, Source::Patched)?;
        ownership.wrote(self.kind, &self.manager(false), Some(&live), &wanted);
        self.belongs(&mut wanted)?;
        self.change(state, &live, wanted, ownership, Source::Patched).map(|changed| (false, changed))
    }

    fn apply(
        &self,
        state: &mut State,
        live: Option<Arc<Value>>,
        mut ownership: Ownership,
        force: bool,
        patch: &Value,
    ) -> Result<(bool, Arc<Value>), Refusal> {
        let version = text(patch, "/apiVersion");
        if version != self.kind.api_version() {
            return Err(Refusal::bad(format!(
                "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
                self.kind.api_version()
            )));
        }
        if patch.pointer("/metadata/managedFields").is_some_and(Value::is_array) {
            return Err(Refusal::bad("metadata.managedFields must be nil"));
        }
        let merged = ownership.apply(self.kind, &self.manager(true), force, live.as_deref(), patch)?;
        let keeps_metadata = self.kind.schema.is_some() && self.place.part.is_empty();
        ownership.unseen = if keeps_metadata { meta::empty_fields(&merged) } else { Value::Null };
        let mut wanted = self.read(merged, Source::Applied)?;
        if let (None, uid) = (&live, text(&wanted, "/metadata/uid"))
            && !uid.is_empty()
        {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Refusal::conflict(self.kind, &self.place.name, &why));
        }
        self.belongs(&mut wanted)?;
        match live {
            None => self.add(state, wanted, ownership, Source::Applied).map(|made| (true, made)),
            Some(live) => self.change(state, &live, wanted, ownership, Source::Applied).map(|changed| (false, changed)),
        }
    }

    /// Stores what an object is to become.
    fn change(
        &self,
        state: &mut State,
        live: &Arc<Value>,
        mut wanted: Value,
        mut ownership: Ownership,
        from: Source,
    ) -> Result<Arc<Value>, Refusal> {
        let name = &self.place.name;
        let old: &Value = live;
        let own = text(old, "/metadata/resourceVersion");
        match text(&wanted, "/metadata/resourceVersion") {
            said if !said.is_empty() && said.parse::<u64>().is_err() => {
                return Err(Refusal::new(500, "", format!("strconv.ParseUint: parsing \"{said}\": invalid syntax")));
            }
            "" | "0" if self.kind.unconditional => {}
            "" | "0" => {
                let message = "Invalid value: 0: must be specified for an update".to_owned();
                let cause = super::schema::Cause {
                    reason: "FieldValueInvalid".to_owned(),
                    field: "metadata.resourceVersion".to_owned(),
                    message,
                };
                return Err(Refusal::invalid(&self.kind.group, &self.kind.plural, name, &[cause]));
            }
            said if said != own => return Err(Refusal::conflict(self.kind, name, CHANGED)),
            _ => {}
        }
        meta::set(&mut wanted, "resourceVersion", json!(own));
        self.keep_other_parts(old, &mut wanted);
        meta::keep_servers(&mut wanted, old);
        self.count(old, &mut wanted);
        self.validate(&wanted, Some(old))?;
        self.as_stored(&mut wanted, from, &mut ownership);
        super::defaults::canonical(self.kind, &mut wanted);
        self.admit(state, "UPDATE", name, (Some(&wanted), Some(old)), None)?;
        if self.dry_run {
            return Ok(Arc::new(wanted));
        }
        let key = self.key(name);
        if is_deleting(old) && waits_for_nobody(&wanted) {
            // It goes as it was stored last; the answer shows it as it would have been.
            state.commit(&key, Verb::Delete, old.clone(), &self.writer());
            return Ok(Arc::new(wanted));
        }
        // Nothing is written where nothing changes, not even who owns what; the revision stays.
        if wanted == *old && state.ownership.get(&key) == Some(&ownership) {
            return Ok(Arc::clone(live));
        }
        state.ownership.insert(key.clone(), ownership);
        Ok(state.commit(&key, Verb::Update, wanted, &self.writer()))
    }

    /// Leaves alone what a write of this part of the object does not reach.
    fn keep_other_parts(&self, old: &Value, wanted: &mut Value) {
        let copy = |wanted: &mut Value, field: &str| {
            if let Some(fields) = wanted.as_object_mut() {
                match old.get(field) {
                    Some(value) => drop(fields.insert(field.to_owned(), value.clone())),
                    None => drop(fields.remove(field)),
                }
            }
        };
        let namespace = self.kind.form == Some(super::form::Form::Namespace);
        match self.place.part.as_str() {
            "status" if namespace => copy(wanted, "spec"),
            "status" => {
                let status = wanted.get("status").cloned();
                *wanted = old.clone();
                if let Some(fields) = wanted.as_object_mut() {
                    match status {
                        Some(status) => drop(fields.insert("status".to_owned(), status)),
                        None => drop(fields.remove("status")),
                    }
                }
            }
            "finalize" => copy(wanted, "status"),
            _ => {
                if self.kind.status {
                    copy(wanted, "status");
                }
                if namespace {
                    copy(wanted, "spec");
                }
            }
        }
    }

    fn count(&self, old: &Value, wanted: &mut Value) {
        if !self.kind.counted {
            return;
        }
        let builtin = self.kind.schema.is_none();
        let parts = |object: &Value| -> Map<String, Value> {
            object
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(k, _)| *k != "metadata" && !((builtin || self.place.part == "status") && *k == "status"))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        };
        if parts(old) != parts(wanted) {
            let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(1);
            meta::set(wanted, "generation", json!(generation.saturating_add(1)));
        }
    }
}
