//! Deletions and finalizers.

use serde_json::{Value, json};

use super::Draft;
use crate::step::{delete, merge, put_changed};

impl Draft {
    pub(super) fn delete(&mut self) {
        let at = self.some();
        let path = at.path();
        let preconditions = |what: Value| json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": what });
        let options = self.pick(vec![
            Value::Null,
            Value::Null,
            preconditions(json!({ "uid": format!("@{{uid:{path}}}") })),
            preconditions(json!({ "uid": format!("@{{uid:{path}}}"), "resourceVersion": format!("@{{rv:{path}}}") })),
            preconditions(json!({ "uid": format!("@{{uid0:{path}}}") })),
            preconditions(json!({ "uid": "00000000-0000-4000-8000-000000000001" })),
            preconditions(json!({ "resourceVersion": format!("@{{rv0:{path}}}") })),
            json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" }),
            json!({ "propagationPolicy": "Background", "gracePeriodSeconds": 0 }),
            json!({ "dryRun": ["All"] }),
        ]);
        let mut call = delete(&path, options);
        if self.sometimes(12) {
            call = call.with("dryRun", "All");
        }
        if self.sometimes(10) {
            call = call.metadata_only();
        }
        self.call(call.clone());
        if self.sometimes(5) {
            self.call(call);
        }
    }

    /// Finalizers come and go, the last one of an object that is being deleted with it.
    pub(super) fn finalizers(&mut self) {
        let at = self.some();
        let path = at.path();
        let list = self.pick(vec![
            json!([]),
            json!([]),
            Value::Null,
            json!(["zhengyun.io/charge"]),
            json!(["example.org/other"]),
            json!(["zhengyun.io/charge", "example.org/third"]),
        ]);
        let change = json!({ "metadata": { "finalizers": list } });
        let call = if self.sometimes(3) { put_changed(&path, change) } else { merge(&path, change) };
        let call = if self.sometimes(8) { call.with("dryRun", "All") } else { call };
        self.call(call);
        if self.sometimes(2) {
            let again =
                self.pick(vec![delete(&path, Value::Null), merge(&path, json!({ "metadata": { "finalizers": [] } }))]);
            self.call(again);
        }
    }
}
