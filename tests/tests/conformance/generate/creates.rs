//! Creations, good and odd.

use serde_json::{Value, json};

use super::{Draft, Known, mutate};
use crate::kinds::Kind;
use crate::step::{Call, create};

impl Draft {
    pub(super) fn good_create(&mut self, kind: &'static Kind) {
        let at = self.fresh(kind);
        let mut body = self.body(&at);
        self.decorate(&at, &mut body);
        let mut call = create(&at.collection(), body);
        if self.sometimes(10) {
            call = call.with("dryRun", "All");
        } else {
            self.remember(at);
        }
        if self.sometimes(8) {
            call = call.metadata_only();
        }
        if self.sometimes(4) {
            call = self.managed(call);
        }
        self.call(call);
    }

    /// Finalizers, annotations, owners, a status that is not taken, a namespace that is said.
    pub(super) fn decorate(&mut self, at: &Known, body: &mut Value) {
        if self.sometimes(4) {
            let finalizers = self.pick(vec![
                json!(["zhengyun.io/charge"]),
                json!(["zhengyun.io/charge", "example.org/other"]),
                json!([]),
                json!(["zhengyun.io/charge", "zhengyun.io/charge"]),
            ]);
            body["metadata"]["finalizers"] = finalizers;
        }
        if self.sometimes(5) {
            body["metadata"]["annotations"] = self.pick(vec![json!({ "note": "n" }), json!({}), Value::Null]);
        }
        if self.sometimes(6)
            && let Some(owner) = self.known.first().cloned()
        {
            let uid = format!("@{{uid:{}}}", owner.path());
            let reference =
                json!({ "apiVersion": owner.kind.api, "kind": owner.kind.kind, "name": owner.name, "uid": uid });
            body["metadata"]["ownerReferences"] = json!([reference]);
        }
        if let Some(status) = at.kind.status
            && self.sometimes(5)
        {
            body["status"] = status();
        }
        if at.kind.namespaced && self.sometimes(3) {
            body["metadata"]["namespace"] = json!(at.namespace);
        }
    }

    pub(super) fn managed(&mut self, call: Call) -> Call {
        let manager = self.pick(vec!["one", "two"]);
        call.with("fieldManager", manager)
    }

    pub(super) fn odd_create(&mut self, kind: &'static Kind) {
        let at = self.fresh(kind);
        let body = self.body(&at);
        let call = match self.rng.u32(0..20) {
            0 => self.twice(&at, body),
            1 => self.generated(&at, body),
            2 => create(&at.collection(), with(body, "/kind", json!("Other"))),
            3 => create(&at.collection(), with(body, "/apiVersion", json!("other.example.org/v1"))),
            4 => create(&at.collection(), with(body, "/metadata/namespace", json!("elsewhere"))),
            5 => create(&kind.collection(&format!("{}-missing", self.run)), body),
            6 => create(&at.collection(), with(body, "/metadata/resourceVersion", json!("7"))),
            7 => create(&at.collection(), with(body, "/metadata/name", json!(""))),
            8 => {
                let run = self.run.clone();
                let name = self.pick(vec![
                    format!("{run}A"),
                    format!("{run}_b"),
                    format!("-{run}"),
                    format!("{run}-"),
                    format!("{run}.b"),
                    format!("{run}..b"),
                    format!("{run}/b"),
                    format!("{run}-{}", "x".repeat(60)),
                    format!("{run}-{}", "x".repeat(260)),
                ]);
                create(&at.collection(), with(body, "/metadata/name", json!(name)))
            }
            9 => {
                let call = create(&at.collection(), with(body, "/unknown", json!({ "x": 1 })));
                if self.sometimes(2) { call.with("fieldValidation", "Strict") } else { call }
            }
            10 => {
                let (pointer, value) = self.pick(vec![
                    ("/metadata/labels", json!({ "bad label": "x" })),
                    ("/metadata/labels", json!({ "good": "bad value" })),
                    ("/metadata/annotations", json!({ "bad/key/here": "x" })),
                    ("/metadata/finalizers", json!(["no slash but fine"])),
                    ("/metadata/ownerReferences", json!([{ "apiVersion": "v1", "kind": "", "name": "", "uid": "" }])),
                    ("/metadata/uid", json!("00000000-0000-4000-8000-000000000001")),
                    ("/metadata/creationTimestamp", json!("2020-01-01T00:00:00Z")),
                    ("/metadata/deletionTimestamp", json!("2020-01-01T00:00:00Z")),
                    ("/metadata/generation", json!(7)),
                    ("/metadata/selfLink", json!("/x")),
                    ("/metadata/unknown", json!("x")),
                ]);
                create(&at.collection(), with(body, pointer, value))
            }
            11 => {
                let key =
                    self.pick(vec![("dryRun", "Some"), ("fieldValidation", "Perhaps"), ("fieldManager", "a\u{1}b")]);
                create(&at.collection(), body).with(key.0, key.1)
            }
            12 => create(&at.collection(), without(body, if self.rng.bool() { "kind" } else { "apiVersion" })),
            13 => {
                let named = with(body, "/metadata/generateName", json!(self.pick(vec!["x-", "X", "-", "a/"])));
                create(&at.collection(), named)
            }
            14..17 => {
                let body = self.spoilt(body);
                create(&at.collection(), body)
            }
            _ => {
                let body = self.mutated(&at, body);
                self.remember(at.clone());
                create(&at.collection(), body)
            }
        };
        self.call(call);
    }

    /// An object whose spec was changed somewhere by its schema.
    pub(super) fn mutated(&mut self, at: &Known, mut body: Value) -> Value {
        let Some(schema) = mutate::schema(at.kind, "spec") else { return self.spoilt(body) };
        for _ in 0..self.rng.usize(1..=2) {
            mutate::change(&mut self.rng, schema, &mut body["spec"]);
        }
        body
    }

    /// The same once more.
    fn twice(&mut self, at: &Known, body: Value) -> Call {
        self.call(create(&at.collection(), body.clone()));
        self.remember(at.clone());
        create(&at.collection(), body)
    }

    fn generated(&mut self, at: &Known, body: Value) -> Call {
        let alias = format!("g{}", self.aliases);
        self.aliases += 1;
        let prefix = if at.kind.namespaced { format!("{alias}-") } else { format!("{}-{alias}-", self.run) };
        let body = with(with(body, "/metadata/name", Value::Null), "/metadata/generateName", json!(prefix));
        self.remember(Known { name: format!("@{{name:{alias}}}"), ..at.clone() });
        create(&at.collection(), body).called(&alias)
    }

    /// An object with one field that is not as it should be.
    pub(super) fn spoilt(&mut self, mut body: Value) -> Value {
        let mut pointers = Vec::new();
        collect("", &body, &mut pointers);
        pointers.retain(|p| p.starts_with("/spec") || p.starts_with("/data") || p.starts_with("/type"));
        if pointers.is_empty() {
            return with(body, "/spec", json!("text"));
        }
        let pointer = self.pick(pointers);
        let value = self.pick(vec![
            Value::Null,
            json!(""),
            json!("other"),
            json!("x".repeat(300)),
            json!(0),
            json!(-1),
            json!(1_000_000),
            json!(1.5),
            json!(true),
            json!([]),
            json!({}),
            json!(["x"]),
            json!([{ "x": 1 }]),
            json!({ "x": "1" }),
            json!({ "x": 1 }),
        ]);
        if let Some(place) = body.pointer_mut(&pointer) {
            *place = value;
        }
        body
    }
}

/// Every place in a value.
fn collect(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                found.push(at.clone());
                collect(&at, value, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                let at = format!("{at}/{index}");
                found.push(at.clone());
                collect(&at, value, found);
            }
        }
        _ => {}
    }
}

/// With one field set; null takes it away.
pub(super) fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer begins with /");
    let parent = body.pointer_mut(parent).expect("a parent");
    match (parent.as_object_mut(), value) {
        (Some(map), Value::Null) => drop(map.remove(key)),
        (Some(map), value) => drop(map.insert(key.to_owned(), value)),
        _ => {}
    }
    body
}

fn without(body: Value, key: &str) -> Value {
    with(body, &format!("/{key}"), Value::Null)
}
