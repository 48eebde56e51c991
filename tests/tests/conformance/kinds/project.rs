//! The project's own kinds.

use serde_json::{Value, json};

use super::Kind;

fn names() -> Value {
    json!({ "zh-CN": { "full": "一致性" }, "en": { "full": "Conformance" } })
}

fn condition(kind: &str, status: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": "Tried", "lastTransitionTime": "2026-01-01T00:00:00Z" })
}

pub(super) const KINDS: &[Kind] = &[
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
        kind: "Site",
        api: "zhengyun.io/v1alpha1",
        plural: "sites",
        namespaced: false,
        status: Some(|| json!({ "fenceEpoch": 1, "used": { "cpu": "1" } })),
        content: || {
            json!({ "spec": {
                "displayNames": names(), "location": { "address": "somewhere" }, "architectures": ["amd64"],
                "protectionLevel": 3, "zones": ["GovernmentExtranet"], "capacity": { "cpu": "1" },
                "delivery": { "direct": { "secretName": "site-nowhere" } }
            } })
        },
        changes: || {
            vec![
                json!({ "spec": { "capacity": { "cpu": "2", "memory": "1Gi" } } }),
                json!({ "spec": { "location": { "latitude": "40.8", "longitude": "111.7" } } }),
                json!({ "spec": { "failureDomains": { "power": "p" }, "zones": ["Internet", "GovernmentExtranet"] } }),
            ]
        },
        status_changes: || {
            vec![
                json!({ "adopted": { "generation": 1, "sequence": 1, "capacity": {} } }),
                json!({ "conditions": [condition("Ready", "Unknown")] }),
                json!({ "version": "v1.36.3" }),
            ]
        },
        selectable: &[("spec.protectionLevel", &["3", "2"])],
    },
    Kind {
        kind: "CatalogItem",
        api: "zhengyun.io/v1alpha1",
        plural: "catalogitems",
        namespaced: false,
        status: Some(|| json!({ "digest": "sha256:0", "observedGeneration": 1 })),
        content: || {
            json!({ "spec": {
                "displayNames": names(), "parameters": { "type": "object", "properties": {} }, "charges": { "cpu": "quantity('1')" },
                "allowedKinds": [{ "version": "v1", "kind": "Service", "plural": "services" }],
                "template": [{ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "x" }, "spec": { "ports": [{ "port": 80 }] } }]
            } })
        },
        changes: || {
            vec![
                json!({ "spec": { "parameters": { "properties": { "size": { "default": null, "type": "string" } } } } }),
                json!({ "spec": { "template": [] } }),
                json!({ "spec": { "residue": [{ "kind": "PersistentVolume", "plural": "persistentvolumes", "version": "v1", "reference": "/spec/volumeName" }] } }),
                json!({ "spec": { "network": [{ "port": 443 }] } }),
            ]
        },
        status_changes: || {
            vec![json!({ "digest": null }), json!({ "summary": "s", "conditions": [condition("Ready", "True")] })]
        },
        selectable: &[("status.digest", &["sha256:0", ""])],
    },
    Kind {
        kind: "ApprovalPolicy",
        api: "zhengyun.io/v1alpha1",
        plural: "approvalpolicies",
        namespaced: false,
        status: Some(|| json!({ "observedGeneration": 1 })),
        content: || {
            json!({ "spec": {
                "displayNames": names(), "match": "true", "priority": 900, "stages": [{ "name": "department" }], "confirm": "Auto"
            } })
        },
        changes: || {
            vec![
                json!({ "spec": { "stages": [{ "name": "authority", "quorum": 2 }, { "name": "department", "when": "true" }] } }),
                json!({ "spec": { "stages": [], "autoApprove": { "basis": "b" } } }),
                json!({ "spec": { "stages": null } }),
                json!({ "spec": { "holdSeconds": 0, "requiredMaterials": ["plan"] } }),
            ]
        },
        status_changes: || vec![json!({ "conditions": [condition("Ready", "False")] })],
        selectable: &[("spec.priority", &["900", "1"])],
    },
    Kind {
        kind: "InformationSystem",
        api: "zhengyun.io/v1alpha1",
        plural: "informationsystems",
        namespaced: true,
        status: Some(|| json!({ "observedGeneration": 1 })),
        content: || {
            json!({ "spec": {
                "displayNames": names(), "protection": { "level": 2 }, "dataClass": "General", "zone": "GovernmentExtranet"
            } })
        },
        changes: || {
            vec![
                json!({ "spec": { "classified": true } }),
                json!({ "spec": { "protection": { "level": 3, "assessmentExpires": "2027-01-01" } } }),
                json!({ "spec": { "dataClass": "Core", "owner": "o" } }),
                json!({ "spec": { "architecture": "loong64" } }),
            ]
        },
        status_changes: || {
            vec![json!({ "conditions": [condition("Ready", "True")] }), json!({ "observedGeneration": 2 })]
        },
        selectable: &[("spec.dataClass", &["General", "Core"]), ("spec.zone", &["Internet"])],
    },
];
