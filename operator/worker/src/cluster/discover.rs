//! Which kinds of objects a namespace can hold.

use serde_json::Value;

use super::{Cluster, Refusal, text};
use crate::error::{Result, WorkerError};

/// A kind of namespaced objects that can be listed and created.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    /// The version that the API server prefers.
    pub version: String,
    /// Plural name in paths.
    pub plural: String,
    /// Name in objects.
    pub kind: String,
}

impl Kind {
    /// Name of the kind's directory in a snapshot, such as `deployments.apps`.
    pub fn directory(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Path of its objects in a namespace.
    pub fn path(&self, namespace: &str) -> String {
        let (plural, version) = (&self.plural, &self.version);
        if self.group.is_empty() {
            format!("/api/{version}/namespaces/{namespace}/{plural}")
        } else {
            format!("/apis/{}/{version}/namespaces/{namespace}/{plural}", self.group)
        }
    }
}

/// Kinds that are never captured, by directory, with the reason. `*.` in front stands for every kind of a group.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("bindings", "an action, not an object"),
    ("controllerrevisions.apps", "made by a controller"),
    ("csistoragecapacities.storage.k8s.io", "made by a storage driver"),
    ("endpoints", "made by a controller"),
    ("endpointslices.discovery.k8s.io", "made by a controller"),
    ("events", "a record of the past"),
    ("events.events.k8s.io", "a record of the past"),
    ("leases.coordination.k8s.io", "held by running processes"),
    ("*.metrics.k8s.io", "measured, not kept"),
    ("*.custom.metrics.k8s.io", "measured, not kept"),
    ("*.external.metrics.k8s.io", "measured, not kept"),
];

/// Why a kind is left out, if it is.
pub fn left_out(directory: &str) -> Option<&'static str> {
    let group = directory.split_once('.').map_or("", |(_, group)| group);
    let fits = |pattern: &str| pattern.strip_prefix("*.").map_or(pattern == directory, |all| all == group);
    LEFT_OUT.iter().find(|(pattern, _)| fits(pattern)).map(|(_, why)| *why)
}

/// What a namespace can hold, in the order of directories, and what of it is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// What is captured.
    pub captured: Vec<Kind>,
    /// Directories that are not, with the reason.
    pub left_out: Vec<String>,
}

/// Asks the API server. A group that does not answer is a failure, never passed over.
pub async fn discover(cluster: &Cluster) -> Result<Kinds> {
    let mut found = Kinds::default();
    kinds_of(cluster, "", "v1", &mut found).await?;
    let groups = get(cluster, "/apis").await?;
    for group in groups.get("groups").and_then(Value::as_array).into_iter().flatten() {
        let (name, version) = (text(group, "/name"), text(group, "/preferredVersion/version"));
        // Measured groups are often announced by servers that do not answer.
        if let Some(why) = left_out(&format!("*.{name}")) {
            found.left_out.push(format!("*.{name}: {why}"));
        } else {
            kinds_of(cluster, name, version, &mut found).await?;
        }
    }
    found.captured.sort_by_key(Kind::directory);
    found.left_out.sort();
    Ok(found)
}

async fn kinds_of(cluster: &Cluster, group: &str, version: &str, found: &mut Kinds) -> Result<()> {
    let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let answer = get(cluster, &path).await?;
    for resource in answer.get("resources").and_then(Value::as_array).into_iter().flatten() {
        let plural = text(resource, "/name");
        let can = |verb: &str| {
            resource.get("verbs").and_then(Value::as_array).into_iter().flatten().any(|v| v.as_str() == Some(verb))
        };
        let namespaced = resource.get("namespaced").and_then(Value::as_bool) == Some(true);
        if plural.contains('/') || !namespaced || !can("list") || !can("create") {
            continue;
        }
        let kind = Kind {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: text(resource, "/kind").to_owned(),
        };
        let directory = kind.directory();
        if directory.len() > 255 || directory.contains('/') {
            return Err(WorkerError::Cluster {
                action: format!("GET {path}"),
                cause: format!("the kind \"{directory}\" has a name that cannot be stored"),
                fix: "remove its definition".to_owned(),
                transient: false,
            });
        }
        match left_out(&directory) {
            Some(why) => found.left_out.push(format!("{directory}: {why}")),
            None => found.captured.push(kind),
        }
    }
    Ok(())
}

async fn get(cluster: &Cluster, path: &str) -> Result<Value> {
    let told = |refusal: Refusal| refusal.told(&format!("GET {path}"));
    cluster.read(path).await.map_err(told)
}

#[cfg(test)]
mod tests {
    use super::left_out;

    #[test]
    fn what_is_made_again_by_itself_is_left_out() {
        for directory in ["events", "endpoints", "endpointslices.discovery.k8s.io", "pods.metrics.k8s.io"] {
            assert!(left_out(directory).is_some(), "{directory}");
        }
        for directory in ["configmaps", "deployments.apps", "events.example.org", "endpoints.example.org", "pods"] {
            assert!(left_out(directory).is_none(), "{directory}");
        }
    }
}
