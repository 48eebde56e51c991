//! The kinds that sequences are about, with objects that are fine.

use serde_json::{Value, json};

/// A kind.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "an object's own field is called kind")]
pub(crate) struct Kind {
    pub(crate) kind: &'static str,
    pub(crate) api: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
    /// A status that is fine, where it is written by itself.
    pub(crate) status: Option<fn() -> Value>,
    /// What there is beside the metadata.
    pub(crate) content: fn() -> Value,
    /// Changes that are fine, as merge patches.
    pub(crate) changes: fn() -> Vec<Value>,
    /// Changes of the status that are fine.
    pub(crate) status_changes: fn() -> Vec<Value>,
    /// Fields that may be selected, with values that occur.
    pub(crate) selectable: &'static [(&'static str, &'static [&'static str])],
}

impl Kind {
    /// The path of its objects.
    pub(crate) fn collection(&self, namespace: &str) -> String {
        let root = if self.api.contains('/') { "apis" } else { "api" };
        if self.namespaced {
            format!("/{root}/{}/namespaces/{namespace}/{}", self.api, self.plural)
        } else {
            format!("/{root}/{}/{}", self.api, self.plural)
        }
    }

    /// An object that is fine.
    pub(crate) fn object(&self, name: &str) -> Value {
        let mut object = json!({ "apiVersion": self.api, "kind": self.kind, "metadata": { "name": name } });
        json_patch::merge(&mut object, &(self.content)());
        object
    }
}

fn none() -> Vec<Value> {
    Vec::new()
}

fn names() -> Value {
    json!({ "zh-CN": { "full": "一致性" }, "en": { "full": "Conformance" } })
}

fn condition(kind: &str, status: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": "Tried", "lastTransitionTime": "2026-01-01T00:00:00Z" })
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        kind: "ResourceRequest",
        api: "zhengyun.io/v1alpha1",
        plural: "resourcerequests",
        namespaced: true,
        status: Some(|| json!({ "phase": "Draft", "observedGeneration": 1, "editors": ["a", "b"] })),
        content: || {
            json!({ "spec": {
                "order": {
                    "action": "Create", "system": "s", "site": "hohhot", "class": "Test", "justification": "j",
                    "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "1", "deep": { "x": [1, null] } } }]
                },
                "requestedBy": "a", "editedBy": "a"
            } })
        },
        changes: || {
            vec![
                json!({ "spec": { "order": { "justification": "other" } } }),
                json!({ "spec": { "submission": 1 } }),
                json!({ "spec": { "withdrawn": true } }),
                json!({ "spec": { "materials": [{ "kind": "k", "reference": "r", "sha256": "0".repeat(64), "title": "t" }] } }),
                json!({ "spec": { "order": { "items": [{ "item": "block-volume", "name": "disk" }] } } }),
                json!({ "spec": { "order": { "leaseEnd": "2027-01-01" } } }),
            ]
        },
        status_changes: || {
            vec![
                json!({ "phase": "InReview" }),
                json!({ "phase": null }),
                json!({ "conditions": [condition("Ready", "True")] }),
                json!({ "conditions": [condition("Ready", "False"), condition("Accepted", "True")] }),
                json!({ "charge": { "sequence": 3, "site": "hohhot", "granted": { "cpu": "1" } } }),
                json!({ "editors": ["a"] }),
            ]
        },
        selectable: &[
            ("status.phase", &["Draft", "InReview", ""]),
            ("spec.order.site", &["hohhot", "ulanqab"]),
            ("spec.order.action", &["Create", "Revoke"]),
        ],
    },
    Kind {
        kind: "ResourceGrant",
        api: "zhengyun.io/v1alpha1",
        plural: "resourcegrants",
        namespaced: true,
        status: Some(
            || json!({ "phase": "Pending", "charge": { "sequence": 1, "site": "hohhot", "reserved": { "cpu": "2" } } }),
        ),
        content: || {
            json!({ "spec": {
                "department": "d", "system": "s", "site": "hohhot", "revision": 1, "class": "Standard",
                "request": { "name": "r", "uid": "u" }, "charge": { "cpu": "4" }, "bundle": {}
            } })
        },
        changes: || {
            vec![
                json!({ "spec": { "revision": 2 } }),
                json!({ "spec": { "charge": { "cpu": "8", "memory": "1Gi" } } }),
                json!({ "spec": { "leaseEnd": "2027-01-01" } }),
            ]
        },
        status_changes: || {
            vec![
                json!({ "phase": "InService" }),
                json!({ "phase": "Revoked" }),
                json!({ "charge": { "sequence": 2 } }),
                json!({ "charge": { "sequence": 0 } }),
                json!({ "inventory": [{ "kind": "Service", "name": "web", "plural": "services", "version": "v1" }] }),
            ]
        },
        selectable: &[
            ("status.phase", &["Pending", "InService"]),
            ("spec.site", &["hohhot"]),
            ("spec.system", &["s", "t"]),
        ],
    },
    Kind {
        kind: "Approval",
        api: "zhengyun.io/v1alpha1",
        plural: "approvals",
        namespaced: true,
        status: Some(|| json!({ "observedGeneration": 1 })),
        content: || {
            json!({ "spec": {
                "request": "review", "requestUID": "u", "orderDigest": format!("sha256:{}", "0".repeat(64)), "stage": "department",
                "verdict": "Approve", "approver": { "username": "a", "groups": ["g"] }
            } })
        },
        changes: || {
            vec![json!({ "spec": { "reason": "because" } }), json!({ "metadata": { "annotations": { "note": "n" } } })]
        },
        status_changes: || {
            vec![json!({ "conditions": [condition("Ready", "True")] }), json!({ "observedGeneration": 2 })]
        },
        selectable: &[
            ("spec.request", &["review", "x"]),
            ("spec.verdict", &["Approve", "Return"]),
            ("spec.stage", &["department"]),
        ],
    },
    Kind {
        kind: "Widget",
        api: "conformance.zhengyun.io/v1",
        plural: "widgets",
        namespaced: true,
        status: Some(|| json!({ "ready": 1 })),
        content: || {
            json!({ "spec": {
                "size": 1, "set": ["a", "b"], "map": [{ "name": "x", "value": 1 }, { "name": "y", "value": 2 }],
                "list": ["p", "q"], "labels": { "k": "v" }, "whole": { "a": "1", "b": "2" }
            } })
        },
        changes: || {
            vec![
                json!({ "spec": { "size": 2 } }),
                json!({ "spec": { "size": null } }),
                json!({ "spec": { "set": ["b", "c"] } }),
                json!({ "spec": { "map": [{ "name": "y", "value": 3 }] } }),
                json!({ "spec": { "map": [{ "name": "x", "value": 1, "note": "n" }, { "name": "z" }] } }),
                json!({ "spec": { "list": ["q"] } }),
                json!({ "spec": { "labels": { "k": null, "l": "w" } } }),
                json!({ "spec": { "whole": { "a": "9" } } }),
                json!({ "spec": { "port": "http" } }),
                json!({ "spec": { "port": 80 } }),
                json!({ "spec": { "free": { "x": { "y": [1, 2] } } } }),
                json!({ "spec": { "note": null } }),
                json!({ "spec": { "nested": { "inner": { "deep": "d" } } } }),
            ]
        },
        status_changes: || {
            vec![json!({ "ready": 2 }), json!({ "ready": null }), json!({ "parts": [{ "name": "p", "ok": true }] })]
        },
        selectable: &[("spec.size", &["1", "2"]), ("spec.note", &["none", ""])],
    },
    Kind {
        kind: "Department",
        api: "zhengyun.io/v1alpha1",
        plural: "departments",
        namespaced: false,
        status: Some(|| json!({ "placed": true, "parent": "neimenggu" })),
        content: || json!({ "spec": { "type": "Organ", "level": "Region", "parent": "neimenggu", "displayNames": names() } }),
        changes: || {
            vec![
                json!({ "spec": { "level": "Banner" } }),
                json!({ "spec": { "divisionCode": "150000" } }),
                json!({ "spec": { "roles": [{ "role": "Clerk", "subjects": [{ "kind": "User", "name": "a" }] }] } }),
                json!({ "spec": { "displayNames": { "en": { "short": null } } } }),
            ]
        },
        status_changes: || {
            vec![
                json!({ "conditions": [condition("Ready", "True")] }),
                json!({ "path": "neimenggu/x" }),
                json!({ "path": null }),
                json!({ "observedGeneration": 3 }),
            ]
        },
        selectable: &[
            ("spec.parent", &["neimenggu", "x"]),
            ("spec.level", &["Region", "Banner"]),
            ("spec.type", &["Organ"]),
        ],
    },
    Kind {
        kind: "DepartmentQuota",
        api: "zhengyun.io/v1alpha1",
        plural: "departmentquotas",
        namespaced: false,
        status: Some(
            || json!({ "adopted": [{ "site": "hohhot", "generation": 1, "sequence": 1, "hard": { "cpu": "1" } }] }),
        ),
        content: || json!({ "spec": { "limits": [{ "site": "hohhot", "hard": { "cpu": "1" } }, { "site": "ulanqab", "hard": {} }] } }),
        changes: || {
            vec![
                json!({ "spec": { "limits": [{ "site": "hohhot", "hard": { "cpu": "unlimited" } }] } }),
                json!({ "spec": { "overcommitPercent": 150 } }),
                json!({ "spec": { "unlistedChildren": "Share" } }),
            ]
        },
        status_changes: || {
            vec![
                json!({ "usage": [{ "site": "hohhot", "reserved": {}, "granted": { "cpu": "1" }, "available": {} }] }),
                json!({ "summary": "s" }),
            ]
        },
        selectable: &[("spec.unlistedChildren", &["Refuse", "Share"])],
    },
    Kind {
        kind: "Ledger",
        api: "zhengyun.io/v1alpha1",
        plural: "ledgers",
        namespaced: false,
        status: Some(|| json!({ "epoch": 1, "sequence": 1, "totals": {} })),
        content: || json!({ "spec": { "site": "hohhot" } }),
        changes: || {
            vec![
                json!({ "spec": { "acceptance": { "by": "a", "digest": "d", "reason": "r" } } }),
                json!({ "spec": { "acceptance": null } }),
            ]
        },
        status_changes: || {
            vec![
                json!({ "epoch": 2 }),
                json!({ "epoch": 0 }),
                json!({ "sequence": 5, "holder": "h" }),
                json!({ "journal": [{
                    "charge": { "granted": { "cpu": "1" } }, "department": "d", "sequence": 2,
                    "object": { "kind": "k", "name": "n", "namespace": "s", "uid": "u" }
                }] }),
            ]
        },
        selectable: &[("status.holder", &["h", ""])],
    },
    Kind {
        kind: "ConfigMap",
        api: "v1",
        plural: "configmaps",
        namespaced: true,
        status: None,
        content: || json!({ "data": { "a": "1", "b": "2" } }),
        changes: || {
            vec![
                json!({ "data": { "a": "3" } }),
                json!({ "data": { "a": null, "c": "4" } }),
                json!({ "data": null }),
                json!({ "binaryData": { "raw": "AAEC" } }),
                json!({ "immutable": true }),
            ]
        },
        status_changes: none,
        selectable: &[],
    },
    Kind {
        kind: "Secret",
        api: "v1",
        plural: "secrets",
        namespaced: true,
        status: None,
        content: || json!({ "type": "Opaque", "data": { "key": "dmFsdWU=" } }),
        changes: || {
            vec![
                json!({ "data": { "key": "b3RoZXI=" } }),
                json!({ "stringData": { "plain": "text" } }),
                json!({ "data": { "key": null } }),
            ]
        },
        status_changes: none,
        selectable: &[("type", &["Opaque", "other"])],
    },
    Kind {
        kind: "Lease",
        api: "coordination.k8s.io/v1",
        plural: "leases",
        namespaced: true,
        status: None,
        content: || json!({ "spec": { "holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z" } }),
        changes: || {
            vec![
                json!({ "spec": { "holderIdentity": "two", "leaseTransitions": 1 } }),
                json!({ "spec": { "renewTime": "2026-01-01T00:00:05.123456Z" } }),
                json!({ "spec": { "holderIdentity": null } }),
            ]
        },
        status_changes: none,
        selectable: &[],
    },
    Kind {
        kind: "Namespace",
        api: "v1",
        plural: "namespaces",
        namespaced: false,
        status: None,
        content: || json!({}),
        changes: || {
            vec![
                json!({ "metadata": { "labels": { "team": "x" } } }),
                json!({ "metadata": { "annotations": { "n": "1" } } }),
            ]
        },
        status_changes: none,
        selectable: &[("status.phase", &["Active", "Terminating"])],
    },
];

/// A kind of this test alone, with every sort of list and map.
pub(crate) fn widget_definition() -> Value {
    let part = json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": { "type": "string" },
            "value": { "type": "integer", "default": 0 },
            "note": { "type": "string" }
        }
    });
    let spec = json!({
        "type": "object",
        "properties": {
            "size": { "type": "integer", "minimum": 0, "maximum": 10, "default": 1 },
            "note": { "type": "string", "default": "none" },
            "set": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
            "map": { "type": "array", "items": part, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
            "list": { "type": "array", "items": { "type": "string" } },
            "objects": { "type": "array", "items": { "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "string", "default": "d" } } } },
            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
            "whole": { "type": "object", "additionalProperties": { "type": "string" }, "x-kubernetes-map-type": "atomic" },
            "port": { "x-kubernetes-int-or-string": true },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "maybe": { "type": "string", "nullable": true },
            "nested": { "type": "object", "properties": {
                "inner": { "type": "object", "default": { "deep": "by default" }, "properties": { "deep": { "type": "string" } } }
            } }
        },
        "x-kubernetes-validations": [
            { "rule": "self.size < 9", "message": "size is too large" },
            { "rule": "!has(oldSelf.size) || self.size >= oldSelf.size", "message": "size may not shrink" }
        ]
    });
    let status = json!({
        "type": "object",
        "properties": {
            "ready": { "type": "integer" },
            "parts": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" }, "ok": { "type": "boolean", "default": false } } }
            }
        }
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.conformance.zhengyun.io" },
        "spec": {
            "group": "conformance.zhengyun.io", "scope": "Namespaced",
            "names": { "kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "selectableFields": [{ "jsonPath": ".spec.size" }, { "jsonPath": ".spec.note" }],
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec, "status": status } } }
            }]
        }
    })
}
