//! Server-side apply by several managers.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{Draft, mutate};
use crate::kinds::KINDS;
use crate::step::{apply, merge};

/// Kinds whose fields are of many sorts.
const MANIFOLD: &[&str] =
    &["Widget", "Widget", "Widget", "ResourceRequest", "DepartmentQuota", "Department", "ConfigMap", "Secret", "Lease"];

impl Draft {
    /// A step of several managers at one object: parts of it are applied, dropped, taken over, updated.
    pub(super) fn apply_to_one(&mut self) {
        let at = match self.known.last() {
            Some(known) if MANIFOLD.contains(&known.kind.kind) => known.clone(),
            _ => {
                let name = self.pick(MANIFOLD.to_vec());
                let kind = KINDS.iter().copied().find(|kind| kind.kind == name).expect("a kind");
                let at = self.fresh(kind);
                self.remember(at.clone());
                at
            }
        };
        if self.sometimes(5) {
            let changes = (at.kind.changes)();
            let change = self.pick(changes);
            let call = merge(&at.path(), change);
            let call = self.managed(call);
            return self.call(call);
        }
        let mut body = self.body(&at);
        for _ in 0..self.rng.usize(0..3) {
            let changes = (at.kind.changes)();
            let change = self.pick(changes);
            json_patch::merge(&mut body, &change);
        }
        let mut path = at.path();
        if let Some(status) = at.kind.status
            && self.sometimes(6)
        {
            path.push_str("/status");
            body["status"] = status();
            json_patch::merge(&mut body, &json!({ "spec": Value::Null }));
        }
        if self.sometimes(3) {
            body["metadata"]["finalizers"] = self.pick(vec![json!(["a.io/a"]), json!(["a.io/b", "a.io/a"])]);
        }
        if self.sometimes(5) {
            body["metadata"]["annotations"] = self.pick(vec![json!({ "x": "1" }), json!({ "x": "2", "y": "1" })]);
        }
        let part = if path.ends_with("/status") { "status" } else { "spec" };
        for part in [part, "data"] {
            if let Some(value) = body.get_mut(part) {
                thin(&mut self.rng, value);
            }
        }
        if self.sometimes(6)
            && let Some(schema) = mutate::schema(at.kind, part)
            && let Some(value) = body.get_mut(part)
        {
            mutate::change(&mut self.rng, schema, value);
        }
        let manager = self.pick(vec!["one", "two", "three"]);
        let mut call = apply(&path, manager, applicable(&path, body));
        if !self.sometimes(3) {
            call = call.with("force", "true");
        }
        self.call(call);
    }

    pub(super) fn apply(&mut self) {
        let at = if self.sometimes(3) {
            let kind = self.kind();
            self.fresh(kind)
        } else {
            self.some()
        };
        let mut body = self.body(&at);
        if self.sometimes(2) {
            let change = (at.kind.changes)();
            let change = self.pick(change);
            // What is to be null is not applied.
            json_patch::merge(&mut body, &change);
        }
        if self.sometimes(3) {
            // A part alone.
            let fields: Vec<String> = body["spec"].as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
            if !fields.is_empty() {
                let field = self.pick(fields);
                if let Some(spec) = body["spec"].as_object_mut() {
                    spec.remove(&field);
                }
            }
        }
        let path = at.path();
        match self.rng.u32(0..12) {
            0 => body["metadata"]["uid"] = json!(format!("@{{uid:{path}}}")),
            1 => body["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000001"),
            2 => body["metadata"]["resourceVersion"] = json!(format!("@{{rv:{path}}}")),
            3 => body["metadata"]["resourceVersion"] = json!(format!("@{{rv0:{path}}}")),
            4 => body["metadata"]["finalizers"] = json!(["zhengyun.io/charge"]),
            5 => body["metadata"]["labels"]["more"] = json!("x"),
            6 => body["metadata"]["annotations"] = json!({ "note": "applied" }),
            7 => body["unknown"] = json!("x"),
            _ => {}
        }
        let mut to = path;
        if let Some(status) = at.kind.status
            && self.sometimes(5)
        {
            to.push_str("/status");
            body["status"] = status();
            body["spec"] = Value::Null;
            if let Some(map) = body.as_object_mut() {
                map.remove("spec");
            }
        }
        let manager = self.pick(vec!["one", "two", "three"]);
        let mut call = apply(&to, manager, applicable(&to, body));
        if self.sometimes(2) {
            call = call.with("force", "true");
        }
        if self.sometimes(12) {
            call = call.with("dryRun", "All");
        }
        self.remember(at);
        self.call(call);
    }
}

/// Without nulls, without data that is empty, and a status without other metadata than its name. Who applies what is not kept changes the time of its entry in `managedFields`,
/// and entries are ordered by time: the real server writes or does not write by the second in which it is asked.
fn applicable(path: &str, mut body: Value) -> Value {
    drop_nulls(&mut body);
    if path.ends_with("/status")
        && let Some(metadata) = body["metadata"].as_object_mut()
    {
        metadata.retain(|name, _| matches!(name.as_str(), "name" | "uid" | "resourceVersion"));
    }
    if let Some(plain) = body.get("stringData").cloned() {
        // It becomes data, so it is never what is there already.
        let encoded = |text: &Value| json!(data_encoding::BASE64.encode(text.as_str().unwrap_or_default().as_bytes()));
        for (key, text) in plain.as_object().into_iter().flatten() {
            body["data"][key] = encoded(text);
        }
        body["stringData"] = Value::Null;
        drop_nulls(&mut body);
    }
    if let Some(map) = body.as_object_mut() {
        map.retain(|name, value| {
            !(name.to_lowercase().ends_with("data") && value.as_object().is_some_and(serde_json::Map::is_empty))
        });
    }
    body
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|v| !v.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

/// Leaves out parts of a value, and changes the order of lists.
fn thin(rng: &mut Rng, value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, _| rng.u32(0..6) > 0);
            map.values_mut().for_each(|v| thin(rng, v));
        }
        Value::Array(items) => {
            items.retain(|_| rng.u32(0..6) > 0);
            if rng.bool() {
                items.reverse();
            }
            if rng.u32(0..20) == 0
                && let Some(first) = items.first().cloned()
            {
                items.push(first);
            }
            for item in items {
                thin(rng, item);
            }
        }
        _ => {}
    }
}
