//! The order in which objects are restored: what others rest on comes first.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{ObjectKey, SourceObject};

/// A layer: all of it is there before the next one begins. Inside a layer the order does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum Layer {
    /// Namespaces.
    Namespaces,
    /// Quotas, limits, accounts, roles, network rules: what decides whether the rest is let in.
    Rules,
    /// Secrets and ConfigMaps.
    Configuration,
    /// Volume claims.
    Volumes,
    /// Services, and kinds that are not built in.
    Custom,
    /// What runs pods.
    Workloads,
    /// What refers to workloads: autoscalers, disruption budgets, ingresses.
    Around,
}

impl Layer {
    /// Layer of a kind.
    pub fn of(group: &str, kind: &str) -> Self {
        match (group, kind) {
            ("", "Namespace") => Self::Namespaces,
            ("", "ResourceQuota" | "LimitRange" | "ServiceAccount")
            | ("rbac.authorization.k8s.io", "Role" | "RoleBinding")
            | ("networking.k8s.io", "NetworkPolicy") => Self::Rules,
            ("", "Secret" | "ConfigMap") => Self::Configuration,
            ("", "PersistentVolumeClaim") => Self::Volumes,
            ("", "Pod" | "ReplicationController")
            | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("batch", "Job" | "CronJob") => Self::Workloads,
            ("autoscaling", "HorizontalPodAutoscaler")
            | ("policy", "PodDisruptionBudget")
            | ("networking.k8s.io", "Ingress") => Self::Around,
            _ => Self::Custom,
        }
    }
}

/// Objects in the order of their layers, each with the number of its layer from 0.
///
/// An object that another one owns comes after its owner, whatever its kind: the owner's new UID must be known first. Owners that
/// are not in the backup do not count. A circle of owners, which Kubernetes itself does not make, is broken where it began.
pub fn layers(objects: &[SourceObject]) -> BTreeMap<ObjectKey, u32> {
    let by_key: BTreeMap<&ObjectKey, &SourceObject> = objects.iter().map(|object| (&object.key, object)).collect();
    let mut ranks: BTreeMap<ObjectKey, u32> = BTreeMap::new();
    for object in objects {
        // Up the owners without recursion: a chain of owners may be as long as a hostile namespace makes it.
        let mut path = Vec::new();
        let mut on_path = BTreeSet::new();
        let mut at = Some(object);
        while let Some(current) = at {
            if ranks.contains_key(&current.key) || !on_path.insert(&current.key) {
                break;
            }
            path.push(&current.key);
            at = current.owner.as_ref().and_then(|owner| by_key.get(owner).copied());
        }
        for key in path.into_iter().rev() {
            let own = by_key.get(key).map_or(0, |object| rank_of_kind(&object.key));
            let owner = by_key
                .get(key)
                .and_then(|object| object.owner.as_ref())
                .and_then(|owner| ranks.get(owner))
                .map_or(0, |rank| rank.saturating_add(1));
            ranks.insert(key.clone(), own.max(owner));
        }
    }
    ranks
}

fn rank_of_kind(key: &ObjectKey) -> u32 {
    match Layer::of(&key.group, &key.kind) {
        Layer::Namespaces => 0,
        Layer::Rules => 1,
        Layer::Configuration => 2,
        Layer::Volumes => 3,
        Layer::Custom => 4,
        Layer::Workloads => 5,
        Layer::Around => 6,
    }
}
