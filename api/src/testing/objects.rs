//! Objects to test with.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use zhengyun_crds::ResourceRequest;
use zhengyun_crds::request::OpenStage;

/// A draft for one container space.
pub(crate) fn a_request(department: &str, name: &str) -> ResourceRequest {
    serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ResourceRequest",
        "metadata": {"name": name, "namespace": format!("dept-{department}"), "uid": format!("uid-{name}"), "resourceVersion": "1",
            "creationTimestamp": "2026-03-01T08:00:00Z"},
        "spec": {"order": an_order(), "requestedBy": "zhang", "editedBy": "zhang"},
    }))
    .unwrap()
}

/// An order for one container space.
pub(crate) fn an_order() -> Value {
    json!({
        "action": "Create", "system": "portal", "site": "hohhot", "justification": "a portal",
        "items": [{"item": "space", "name": "main", "count": 1, "parameters": {"cpu": "2"}}],
    })
}

/// A stage that is open since a fixed moment.
pub(crate) fn an_open_stage(name: &str, index: i32) -> OpenStage {
    OpenStage { name: name.to_owned(), index, opened_at: Time("2026-03-01T09:00:00Z".parse().unwrap()) }
}

/// One department with everything that an order needs, beside a second department.
pub(crate) fn a_small_cloud() -> Vec<Value> {
    let names = json!({"zh-CN": {"full": "某部门"}, "en": {"full": "a department"}});
    let ready = json!([{"type": "Ready", "status": "True", "reason": "AsIntended", "lastTransitionTime": "2026-03-01T08:00:00Z"}]);
    let department = |name: &str, parent: Option<&str>| {
        json!({
            "kind": "Department", "metadata": {"name": name},
            "spec": {"type": if parent.is_some() { "Organ" } else { "Division" }, "level": "Region", "parent": parent, "displayNames": names},
            "status": {"parent": parent, "placed": true, "path": name, "conditions": ready},
        })
    };
    let quota = |name: &str, cpu: &str| {
        json!({
            "kind": "DepartmentQuota", "metadata": {"name": name},
            "spec": {"limits": [{"site": "hohhot", "hard": {"cpu": cpu}}]},
            "status": {"unlistedChildren": "Refuse", "adopted": [{"site": "hohhot", "generation": 1, "sequence": 1, "hard": {"cpu": cpu}}]},
        })
    };
    let binding = |department: &str, role: &str, user: &str| {
        json!({
            "kind": "RoleBinding", "metadata": {"name": role, "namespace": format!("dept-{department}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        })
    };
    vec![
        department("region", None),
        department("finance", Some("region")),
        department("health", Some("region")),
        quota("region", "100"),
        quota("finance", "3"),
        quota("health", "10"),
        json!({
            "kind": "Site", "metadata": {"name": "hohhot"},
            "spec": {"displayNames": names, "location": {"address": "x"}, "architectures": ["amd64"], "protectionLevel": 3,
                "zones": ["GovernmentExtranet"], "capacity": {"cpu": "1000"}, "delivery": {"direct": {"secretName": "site-hohhot"}}},
            "status": {"adopted": {"generation": 1, "sequence": 1, "capacity": {"cpu": "1000"}}, "conditions": ready},
        }),
        json!({
            "kind": "CatalogItem", "metadata": {"name": "space", "generation": 1},
            "spec": {"displayNames": names, "charges": {"cpu": "parameters.cpu"}, "parameters": {
                "type": "object", "additionalProperties": false, "required": ["cpu"], "properties": {"cpu": {"type": "string", "maxLength": 10}}}},
            "status": {"observedGeneration": 1, "conditions": ready},
        }),
        json!({
            "kind": "InformationSystem", "metadata": {"name": "portal", "namespace": "dept-finance"},
            "spec": {"displayNames": names, "protection": {"level": 2}, "dataClass": "General", "zone": "GovernmentExtranet"},
        }),
        json!({
            "kind": "ApprovalPolicy", "metadata": {"name": "standard", "uid": "p1", "generation": 1},
            "spec": {"displayNames": names, "match": "true", "priority": 1, "stages": [{"name": "department"}, {"name": "technical"}]},
        }),
        binding("finance", "zhengyun-department-clerk", "zhang"),
        binding("finance", "zhengyun-department-head", "qian"),
        binding("health", "zhengyun-department-clerk", "zhou"),
    ]
}
