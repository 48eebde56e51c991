//! Reads, lists and watches.

use serde_json::json;

use super::{Draft, Known};
use crate::kinds::Kind;
use crate::step::{Call, Step, Watch, create, read};

impl Draft {
    pub(super) fn read_something(&mut self) {
        if self.sometimes(2) {
            let kind = self.kind();
            self.list(kind);
            return;
        }
        let at = self.some();
        let mut path = at.path();
        if self.sometimes(4) {
            path.push_str("/status");
        }
        let call = read(&path);
        let call = if self.sometimes(4) { call.metadata_only() } else { call };
        self.call(call);
    }

    /// A selector, and labels that it selects; cluster-wide lists are limited to this run.
    fn labels(&mut self, kind: &Kind) -> (Vec<String>, Option<&'static str>) {
        let mut terms = Vec::new();
        if !kind.namespaced || self.sometimes(4) {
            terms.push(format!("run={}", self.run));
        }
        let (term, tier) = self.pick(vec![
            ("", None),
            ("", None),
            ("tier=a", Some("a")),
            ("tier==b", Some("b")),
            ("tier!=a", Some("b")),
            ("tier in (a, b)", Some("a")),
            ("tier notin (a)", Some("b")),
            ("tier", Some("a")),
            ("!tier", None),
        ]);
        if !term.is_empty() {
            terms.push(term.to_owned());
        }
        (terms, tier)
    }

    pub(super) fn list(&mut self, kind: &'static Kind) {
        let (terms, _) = self.labels(kind);
        let mut call = read(&kind.collection(&self.run));
        if !terms.is_empty() {
            call = call.with("labelSelector", terms.join(","));
        }
        if self.sometimes(4) {
            let field = self.field(kind);
            call = call.with("fieldSelector", field);
        }
        if self.sometimes(5) {
            call = call.metadata_only();
        }
        // Lists of whole clusters are not taken in pages: whether there is more depends on what other sequences made.
        if !kind.namespaced || !self.sometimes(3) {
            self.push_list(call);
            return;
        }
        let limit = self.pick(vec!["1", "2"]);
        let first = call.with("limit", limit);
        let mut number = self.push_list(first.clone());
        for _ in 0..2 {
            let next = first.clone().with("continue", format!("@{{continue:{number}}}"));
            number = self.push_list(next);
        }
    }

    fn field(&mut self, kind: &Kind) -> String {
        if kind.selectable.is_empty() || self.sometimes(3) {
            let known = self.fresh_name(kind);
            return self.pick(vec![format!("metadata.name={known}"), format!("metadata.name!={known}")]);
        }
        if self.sometimes(10) {
            return "spec.nothing=x".to_owned();
        }
        let (field, values) = self.pick(kind.selectable.iter().collect());
        let value = self.pick(values.to_vec());
        let sign = self.pick(vec!["=", "!=", "=="]);
        format!("{field}{sign}{value}")
    }

    fn fresh_name(&mut self, kind: &Kind) -> String {
        let letter = self.pick(vec!["a", "b", "c"]);
        if kind.namespaced { letter.to_owned() } else { format!("{}-{letter}", self.run) }
    }

    pub(super) fn watch(&mut self, kind: &'static Kind) {
        let (terms, tier) = self.labels(kind);
        let by_field = self.sometimes(5);
        let from = self.lists.checked_sub(1);
        let mut watch = Watch {
            path: kind.collection(&self.run),
            query: vec![("allowWatchBookmarks".to_owned(), "true".to_owned())],
            metadata_only: self.sometimes(5),
            sentinel: None,
        };
        if !terms.is_empty() {
            watch.query.push(("labelSelector".to_owned(), terms.join(",")));
        }
        match from {
            // From what there is, which is told first. A list before makes sure that the real server's cache is up to date.
            _ if self.sometimes(4) => {
                let list = read(&watch.path).with("labelSelector", format!("run={}", self.run));
                self.push_list(list);
                if self.sometimes(2) {
                    watch.query.push(("resourceVersion".to_owned(), "0".to_owned()));
                }
            }
            Some(from) => watch.query.push(("resourceVersion".to_owned(), format!("@{{list:{from}}}"))),
            None => {}
        }
        let field = by_field.then(|| self.field(kind));
        if let Some(field) = &field {
            watch.query.push(("fieldSelector".to_owned(), field.clone()));
        } else {
            watch.sentinel = Some(Box::new(self.sentinel(kind, tier)));
        }
        self.steps.push(Step::Watch(watch));
    }

    fn sentinel(&mut self, kind: &'static Kind, tier: Option<&str>) -> Call {
        let number = self.steps.len();
        let name = if kind.namespaced { format!("zz-{number}") } else { format!("{}-zz-{number}", self.run) };
        let at = Known { kind, namespace: self.run.clone(), name };
        let mut body = kind.object(&at.name);
        body["metadata"]["labels"] = json!({ "run": self.run });
        if let Some(tier) = tier {
            body["metadata"]["labels"]["tier"] = json!(tier);
        }
        create(&at.collection(), body)
    }
}
