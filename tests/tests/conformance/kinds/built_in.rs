//! Built-in kinds whose own rules the in-memory server knows.

use serde_json::json;

use super::{Kind, none};

pub(super) const KINDS: &[Kind] = &[
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
                json!({ "data": { "keep": "k" } }),
                json!({ "data": { "keep": null, "never": "n" } }),
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
