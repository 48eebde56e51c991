//! Requests that are odd as such: bodies that are no objects, options and selectors that there are not, patches of other types.

use http::Method;
use serde_json::{Value, json};

use super::{Draft, Known};
use crate::step::{APPLY, JSON, MERGE, PATCH, apply, create, delete, merge, patch, put_changed, raw, read};

impl Draft {
    pub(super) fn odd_request(&mut self) {
        let at = self.some();
        let (path, collection) = (at.path(), at.collection());
        let body = self.body(&at);
        let texts =
            ["", "{", "null", "[]", "\"text\"", "7", "{}", "{\"kind\":7}", "{\"metadata\":7}", "{\"metadata\":[]}"];
        let text = self.pick(texts.to_vec());
        let call = match self.rng.u32(0..22) {
            0 => raw(Method::POST, &collection, JSON, text),
            1 => raw(Method::PUT, &path, JSON, text),
            2 => raw(Method::PATCH, &path, MERGE, text),
            3 => raw(Method::PATCH, &path, PATCH, text),
            4 => raw(Method::PATCH, &path, APPLY, text).with("fieldManager", "one"),
            5 => raw(Method::PATCH, &path, "application/nonsense", text),
            6 => patch(&path, APPLY, body),
            7 => merge(&path, json!({})).with("force", "true"),
            8 => apply(&path, "one", body).with("force", "perhaps"),
            9 => self.listing(&at).with("limit", self.rng.choice(["x", "-1", "0"]).unwrap_or("x")),
            10 => self.listing(&at).with(
                "labelSelector",
                self.rng.choice(["a b", "a in b", "a=(b)", "=", "a notin (b,)", "a>1"]).unwrap_or("="),
            ),
            11 => self
                .listing(&at)
                .with("fieldSelector", self.rng.choice(["a b", "metadata.nothing=x", "metadata.name"]).unwrap_or("a")),
            12 => self.listing(&at).with("resourceVersion", self.rng.choice(["x", "-1"]).unwrap_or("x")),
            13 => self.listing(&at).with("continue", "nonsense"),
            14 => put_changed(&path, json!({ "metadata": { "resourceVersion": self.rng.choice(["x", "-1", "1.5"]) } })),
            15 => put_changed(&path, json!({ "kind": "Other" })),
            16 => put_changed(&path, json!({ "apiVersion": "v2" })),
            17 => merge(&path, json!({ "kind": self.pick(vec![json!("Other"), Value::Null]) })),
            18 => merge(&path, json!({ "apiVersion": self.pick(vec![json!("v2"), Value::Null]) })),
            19 => delete(
                &path,
                self.rng
                    .choice(
                        [
                            json!({ "propagationPolicy": "Nonsense" }),
                            json!({ "dryRun": ["Some"] }),
                            json!({ "kind": "Other" }),
                            json!({ "apiVersion": "v1" }),
                            json!({ "preconditions": { "uid": 7 } }),
                            json!({ "preconditions": {} }),
                            json!({ "unknown": true }),
                            json!({ "gracePeriodSeconds": -1 }),
                        ]
                        .iter(),
                    )
                    .cloned()
                    .unwrap_or_default(),
            ),
            20 => create(&collection, json!({ "apiVersion": at.kind.api, "kind": at.kind.kind })),
            _ => {
                // The whole of it by another way than JSON.
                let mut body = body;
                body["metadata"]["managedFields"] = self.pick(vec![json!([]), json!([{}]), json!("x")]);
                if self.sometimes(2) { create(&collection, body) } else { apply(&path, "one", body) }
            }
        };
        self.call(call);
    }

    /// A list of a namespace: those of whole clusters hold what other sequences made.
    fn listing(&mut self, at: &Known) -> crate::step::Call {
        if !at.kind.namespaced {
            return read(&at.path());
        }
        self.lists += 1;
        read(&at.collection())
    }
}
