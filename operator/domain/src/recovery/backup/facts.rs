//! What the planner of backups looks at, read from the objects of the hub: operator and API see the same in them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use zhengyun_crds::recovery::CheckOutcome;
use zhengyun_crds::{BackupStore, ConditionType, GrantPhase, ResourceGrant, condition};

use super::plan::{GrantFacts, StoreFacts};
use crate::grant::awaits_backup;
use crate::recovery::check;

/// Whether there is something to read: a grant that is being ended and is kept until it is backed up counts.
pub fn is_readable(grant: &ResourceGrant) -> bool {
    grant.status.as_ref().and_then(|status| status.phase) == Some(GrantPhase::InService) || awaits_backup(grant)
}

/// A grant as a source.
pub fn grant_facts(department: &str, grant: &ResourceGrant) -> GrantFacts {
    GrantFacts {
        department: department.to_owned(),
        system: grant.spec.system.clone(),
        site: grant.spec.site.clone(),
        namespace: grant.status.as_ref().and_then(|status| status.namespace.clone()),
        live: is_readable(grant),
        items: delivered(grant),
    }
}

/// Names of the databases that a grant delivered.
pub fn delivered(grant: &ResourceGrant) -> BTreeSet<String> {
    let clusters = grant.spec.bundle.objects.iter().filter(|object| is_database(object));
    clusters.filter_map(|object| object.get("metadata")?.get("name")?.as_str().map(str::to_owned)).collect()
}

/// Whether a delivered object is a database that can be named as a source.
pub fn is_database(object: &Map<String, Value>) -> bool {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    text("kind") == Some("Cluster")
        && text("apiVersion").is_some_and(|version| version.starts_with("postgresql.cnpg.io/"))
}

/// A store as a place for copies.
pub fn store_facts(store: &BackupStore) -> StoreFacts {
    let conditions = store.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let unusable = if condition::is_true(conditions, ConditionType::Ready) {
        None
    } else {
        let said = condition::find(conditions, ConditionType::Ready).map(|ready| ready.message.clone());
        Some(said.unwrap_or_else(|| "it was not looked at yet".to_owned()))
    };
    let found = store.status.as_ref().map(check::known).unwrap_or_default();
    let damaged = found.into_iter().filter(|one| one.outcome == CheckOutcome::Damaged);
    StoreFacts {
        site: store.spec.site.clone(),
        unusable,
        damaged: damaged.map(|one| (one.department.clone(), one.message.clone())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zhengyun_crds::{BackupStore, ResourceGrant};

    use super::{grant_facts, store_facts};

    fn grant(phase: &str, disposition: &str) -> ResourceGrant {
        serde_json::from_value(json!({
            "metadata": { "name": "g", "namespace": "dept-finance" },
            "spec": {
                "department": "finance", "system": "portal", "site": "hohhot", "request": { "name": "r", "uid": "u" },
                "revision": 1, "class": "Standard", "charge": {},
                "bundle": { "objects": [
                    { "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": { "name": "db" } },
                    { "apiVersion": "apps.example/v1", "kind": "Cluster", "metadata": { "name": "no" } },
                    { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" } }
                ] },
                "revocation": {
                    "request": { "name": "r2", "uid": "u2" }, "disposition": disposition, "orderedAt": "2026-03-01T08:00:00Z",
                    "holdUntil": "2026-03-01T08:00:00Z"
                }
            },
            "status": { "phase": phase, "namespace": "zy-g" }
        }))
        .unwrap()
    }

    #[test]
    fn what_is_in_service_or_kept_for_its_backup_can_be_read() {
        for (phase, disposition, live) in [
            ("InService", "Delete", true),
            ("Provisioning", "Delete", false),
            ("Revoking", "Delete", false),
            ("Revoking", "KeepBackup", true),
            ("Revoked", "KeepBackup", false),
        ] {
            assert_eq!(grant_facts("finance", &grant(phase, disposition)).live, live, "{phase} {disposition}");
        }
        let facts = grant_facts("finance", &grant("InService", "Delete"));
        assert_eq!(facts.items.iter().map(String::as_str).collect::<Vec<_>>(), ["db"], "databases alone are sources");
        assert_eq!((facts.system.as_str(), facts.namespace.as_deref()), ("portal", Some("zy-g")));
    }

    #[test]
    fn a_store_that_is_not_ready_says_why() {
        let store = |status: serde_json::Value| -> BackupStore {
            serde_json::from_value(json!({
                "metadata": { "name": "s" },
                "spec": { "site": "hohhot", "displayNames": { "zh-CN": { "full": "库" }, "en": { "full": "store" } },
                    "backend": { "filesystem": { "path": "/srv/x" } } },
                "status": status
            }))
            .unwrap()
        };
        let ready = |status: &str| json!({ "conditions": [{ "type": "Ready", "status": status, "reason": "Unreachable", "message": "it is away", "lastTransitionTime": "2026-03-01T08:00:00Z" }] });
        assert_eq!(store_facts(&store(ready("True"))).unusable, None);
        assert_eq!(store_facts(&store(ready("False"))).unusable.as_deref(), Some("it is away"));
        assert_eq!(store_facts(&store(json!({}))).unusable.as_deref(), Some("it was not looked at yet"));
        let one = |department: &str, outcome: &str| json!({ "department": department, "outcome": outcome, "message": "a pack" });
        let checked = json!({
            "lastCheck": { "finishedAt": "2026-03-01T08:00:00Z", "passed": false, "repositories": [one("a", "Damaged"), one("b", "Damaged"), one("c", "Unread")] },
            "checking": { "startedAt": "2026-03-08T08:00:00Z", "repositories": [one("b", "Intact")] }
        });
        let damaged = store_facts(&store(checked)).damaged;
        assert_eq!(damaged.into_iter().collect::<Vec<_>>(), [("a".to_owned(), "a pack".to_owned())], "b was mended");
    }
}
