//! PUT, merge patch and JSON patch, of objects and their status.

use serde_json::{Value, json};

use super::{Draft, Known, mutate};
use crate::step::{Call, MERGE, PATCH, patch, put, put_changed};

impl Draft {
    /// A change that is fine, of the object or of its status; and the path to send it to.
    fn change(&mut self, at: &Known) -> (String, Value) {
        if at.kind.status.is_some() && self.sometimes(2) {
            let status = self.status_change(at);
            return (format!("{}/status", at.path()), json!({ "status": status }));
        }
        let changes = (at.kind.changes)();
        let mut change = self.pick(changes);
        if self.sometimes(3) {
            let tier = self.pick(vec![json!("a"), json!("b"), Value::Null]);
            json_patch::merge(&mut change, &json!({ "metadata": { "labels": { "tier": tier } } }));
        }
        (at.path(), change)
    }

    fn status_change(&mut self, at: &Known) -> Value {
        if self.sometimes(4)
            && let Some(schema) = mutate::schema(at.kind, "status")
        {
            let mut status = at.kind.status.map_or(Value::Null, |status| status());
            mutate::change(&mut self.rng, schema, &mut status);
            return status;
        }
        let mut status = at.kind.status.map_or(Value::Null, |status| status());
        if self.sometimes(2) {
            return status;
        }
        let changes = (at.kind.status_changes)();
        let change = self.pick(changes);
        if self.sometimes(3) {
            return change;
        }
        json_patch::merge(&mut status, &change);
        status
    }

    /// Metadata that says which object and which state of it is meant, rightly and wrongly, or wants to change what may not be.
    fn guards(&mut self, at: &Known) -> Value {
        let path = at.path();
        self.pick(vec![
            json!({ "resourceVersion": format!("@{{rv:{path}}}") }),
            json!({ "resourceVersion": format!("@{{rv:{path}}}"), "uid": format!("@{{uid:{path}}}") }),
            json!({ "resourceVersion": format!("@{{rv0:{path}}}") }),
            json!({ "resourceVersion": Value::Null }),
            json!({ "resourceVersion": "0" }),
            json!({ "uid": format!("@{{uid:{path}}}") }),
            json!({ "uid": format!("@{{uid0:{path}}}") }),
            json!({ "uid": "00000000-0000-4000-8000-000000000001" }),
            json!({ "uid": Value::Null }),
            json!({ "name": "other" }),
            json!({ "namespace": "other" }),
            json!({ "generation": 77 }),
            json!({ "creationTimestamp": "2020-01-01T00:00:00Z" }),
            json!({ "creationTimestamp": Value::Null }),
            json!({ "deletionTimestamp": "2020-01-01T00:00:00Z" }),
            json!({ "deletionGracePeriodSeconds": 5 }),
            json!({ "labels": { "bad label": "x" } }),
            json!({ "labels": Value::Null }),
            json!({ "annotations": { "a": "b" } }),
            json!({ "annotations": Value::Null }),
            json!({ "finalizers": ["zhengyun.io/charge"] }),
            json!({ "finalizers": [] }),
            json!({ "finalizers": Value::Null }),
        ])
    }

    fn options(&mut self, mut call: Call) -> Call {
        if self.sometimes(10) {
            call = call.with("dryRun", "All");
        }
        if self.sometimes(4) {
            call = self.managed(call);
        }
        if self.sometimes(12) {
            call = call.metadata_only();
        }
        if self.sometimes(10) {
            call = call.with("fieldValidation", "Strict");
        }
        call
    }

    pub(super) fn put(&mut self) {
        let at = self.some();
        let (path, mut change) = self.change(&at);
        let call = match self.rng.u32(0..8) {
            0..4 => put_changed(&path, change),
            4..7 => {
                let guards = self.guards(&at);
                json_patch::merge(&mut change, &json!({ "metadata": guards }));
                put_changed(&path, change)
            }
            _ if self.sometimes(2) => {
                let body = self.body(&at);
                let body = self.mutated(&at, body);
                put_changed(&path, json!({ "spec": body.get("spec"), "data": body.get("data") }))
            }
            _ => {
                let body = self.body(&at);
                put(&path, body)
            }
        };
        let call = self.options(call);
        self.call(call);
    }

    pub(super) fn merge(&mut self) {
        let at = self.some();
        let (path, mut change) = self.change(&at);
        match self.rng.u32(0..10) {
            0..5 => {}
            5..8 => {
                let guards = self.guards(&at);
                json_patch::merge(&mut change, &json!({ "metadata": guards }));
            }
            8 => change = json!({ "unknown": 1, "spec": { "unknown": 1 } }),
            _ => {
                let spoilt = self.body(&at);
                let spoilt = if self.sometimes(2) { self.spoilt(spoilt) } else { self.mutated(&at, spoilt) };
                change = json!({ "spec": spoilt.get("spec"), "data": spoilt.get("data") });
            }
        }
        let call = self.options(patch(&path, MERGE, change));
        self.call(call);
    }

    pub(super) fn json_patch(&mut self) {
        let at = self.some();
        let (path, own) = (at.path(), format!("@{{uid:{}}}", at.path()));
        let version = format!("@{{rv:{path}}}");
        let first = format!("@{{rv0:{path}}}");
        let mut operations = vec![self.pick(vec![
            json!({ "op": "test", "path": "/metadata/uid", "value": own }),
            json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version }),
            json!({ "op": "test", "path": "/metadata/resourceVersion", "value": first }),
            json!({ "op": "test", "path": "/metadata/name", "value": "other" }),
            json!({ "op": "test", "path": "/spec/none", "value": "x" }),
            json!({ "op": "replace", "path": "/metadata/labels/run", "value": self.run }),
            json!({ "op": "replace", "path": "/metadata/labels/none", "value": "x" }),
            json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": first }),
            json!({ "op": "add", "path": "/metadata/labels/tier", "value": "b" }),
            json!({ "op": "remove", "path": "/metadata/labels/tier" }),
            json!({ "op": "add", "path": "/metadata/annotations", "value": { "a": "b" } }),
            json!({ "op": "remove", "path": "/metadata/annotations/a" }),
            json!({ "op": "add", "path": "/metadata/finalizers/-", "value": "zhengyun.io/charge" }),
            json!({ "op": "remove", "path": "/metadata/finalizers/0" }),
            json!({ "op": "remove", "path": "/spec" }),
            json!({ "op": "add", "path": "/unknown", "value": 1 }),
            json!({ "op": "copy", "from": "/metadata/name", "path": "/metadata/labels/copied" }),
            json!({ "op": "move", "from": "/metadata/labels/tier", "path": "/metadata/labels/moved" }),
            json!({ "op": "nonsense", "path": "/spec" }),
            json!({ "op": "replace", "path": "/metadata/name", "value": "other" }),
        ])];
        if self.sometimes(2) {
            operations.push(json!({ "op": "add", "path": "/metadata/labels/tier", "value": "a" }));
        }
        let path = if at.kind.status.is_some() && self.sometimes(3) {
            let status = self.status_change(&at);
            operations.push(json!({ "op": "add", "path": "/status", "value": status }));
            format!("{path}/status")
        } else {
            path
        };
        let call = self.options(patch(&path, PATCH, Value::Array(operations)));
        self.call(call);
    }
}
