//! Server-side apply by several managers.

use serde_json::{Value, json};

use super::Draft;
use crate::step::apply;

impl Draft {
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
        let mut call = apply(&to, manager, body);
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
