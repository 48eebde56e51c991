//! The rules of each built-in kind, and the rule for all others.

use serde_json::Value;

use super::Readiness;
use super::status::{Condition, Status};

/// Built-in groups whose kinds without a rule below have nothing to wait for once they exist.
const BUILT_IN_GROUPS: &[&str] = &[
    "",
    "apps",
    "batch",
    "autoscaling",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];

/// Reasons of a waiting container that it will not leave by itself.
const HOPELESS_WAITS: &[&str] =
    &["CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"];

pub(super) fn judge(status: &Status<'_>) -> Readiness {
    match (status.group(), status.kind()) {
        ("apps", "Deployment") => deployment(status),
        ("apps", "StatefulSet") => stateful_set(status),
        ("apps", "DaemonSet") => daemon_set(status),
        ("apps", "ReplicaSet") => replica_set(status),
        ("batch", "Job") => job(status),
        ("", "PersistentVolumeClaim") => claim(status),
        ("", "Service") => service(status),
        ("", "Pod") => pod(status),
        (group, _) => by_conditions(status, BUILT_IN_GROUPS.contains(&group)),
    }
}

/// The first of several conditions that does not hold yet decides.
fn all_of(checks: impl IntoIterator<Item = (bool, String)>) -> Readiness {
    let unmet = checks.into_iter().find(|(met, _)| !met);
    unmet.map_or(Readiness::Ready, |(_, reason)| Readiness::progressing(reason))
}

fn at_least(what: &str, actual: i64, wanted: i64) -> (bool, String) {
    (actual >= wanted, format!("{actual} of {wanted} replicas are {what}"))
}

fn unobserved(status: &Status<'_>) -> Option<Readiness> {
    (!status.is_observed()).then(|| Readiness::progressing("its controller has not seen it yet"))
}

fn deployment(status: &Status<'_>) -> Readiness {
    if let Some(progress) = status.condition("Progressing").filter(|p| p.reason() == "ProgressDeadlineExceeded") {
        return Readiness::failed(progress.words("it made no progress within its deadline"));
    }
    if let Some(verdict) = unobserved(status) {
        return verdict;
    }
    let wanted = status.number("/spec/replicas").unwrap_or(1);
    let replicas = status.count("/status/replicas");
    let available = status.condition("Available");
    all_of([
        at_least("created", replicas, wanted),
        at_least("updated", status.count("/status/updatedReplicas"), wanted),
        (replicas <= wanted, format!("{replicas} replicas exist, {wanted} are wanted")),
        at_least("available", status.count("/status/availableReplicas"), wanted),
        at_least("ready", status.count("/status/readyReplicas"), wanted),
        (
            available.as_ref().is_some_and(Condition::is_true),
            available.as_ref().map_or("it is not available yet".to_owned(), |a| a.words("it is not available yet")),
        ),
    ])
}

fn stateful_set(status: &Status<'_>) -> Readiness {
    if let Some(verdict) = unobserved(status) {
        return verdict;
    }
    let wanted = status.number("/spec/replicas").unwrap_or(1);
    let replicas = status.count("/status/replicas");
    let mut checks = vec![
        at_least("created", replicas, wanted),
        at_least("ready", status.count("/status/readyReplicas"), wanted),
        (replicas <= wanted, format!("{replicas} replicas exist, {wanted} are wanted")),
    ];
    // With `OnDelete`, old replicas stay until somebody deletes them; with a partition, those below it do.
    if status.text("/spec/updateStrategy/type") != "OnDelete" {
        let partition = status.number("/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
        if partition > 0 {
            let to_update = wanted.saturating_sub(partition).max(0);
            checks.push(at_least("updated", status.count("/status/updatedReplicas"), to_update));
        } else {
            let (current, update) = (status.text("/status/currentRevision"), status.text("/status/updateRevision"));
            checks.push((current == update, format!("revision {update} is being rolled out")));
        }
    }
    all_of(checks)
}

fn daemon_set(status: &Status<'_>) -> Readiness {
    if let Some(verdict) = unobserved(status) {
        return verdict;
    }
    let Some(wanted) = status.number("/status/desiredNumberScheduled") else {
        return Readiness::progressing("its controller has not counted the nodes yet");
    };
    all_of([
        at_least("created", status.count("/status/currentNumberScheduled"), wanted),
        at_least("updated", status.count("/status/updatedNumberScheduled"), wanted),
        at_least("available", status.count("/status/numberAvailable"), wanted),
        at_least("ready", status.count("/status/numberReady"), wanted),
    ])
}

fn replica_set(status: &Status<'_>) -> Readiness {
    if let Some(verdict) = unobserved(status) {
        return verdict;
    }
    let wanted = status.number("/spec/replicas").unwrap_or(1);
    let replicas = status.count("/status/replicas");
    all_of([
        at_least("created", replicas, wanted),
        at_least("available", status.count("/status/availableReplicas"), wanted),
        (replicas <= wanted, format!("{replicas} replicas exist, {wanted} are wanted")),
    ])
}

fn job(status: &Status<'_>) -> Readiness {
    if status.condition("Complete").is_some_and(|complete| complete.is_true()) {
        return Readiness::Ready;
    }
    let (done, wanted) = (status.count("/status/succeeded"), status.number("/spec/completions").unwrap_or(1));
    Readiness::progressing(format!("{done} of {wanted} runs are complete"))
}

fn claim(status: &Status<'_>) -> Readiness {
    match status.text("/status/phase") {
        "Bound" => Readiness::Ready,
        "Lost" => Readiness::failed("its volume is lost"),
        "" => Readiness::progressing("no volume is bound yet"),
        phase => Readiness::progressing(format!("no volume is bound yet, it is {phase}")),
    }
}

fn service(status: &Status<'_>) -> Readiness {
    let waits = status.text("/spec/type") == "LoadBalancer" && status.list("/status/loadBalancer/ingress").is_empty();
    if waits { Readiness::progressing("the load balancer has no address yet") } else { Readiness::Ready }
}

fn pod(status: &Status<'_>) -> Readiness {
    match status.text("/status/phase") {
        "Succeeded" => Readiness::Ready,
        "Failed" => {
            let words = [status.text("/status/message"), status.text("/status/reason")];
            let words = words.into_iter().find(|words| !words.is_empty());
            Readiness::failed(words.unwrap_or("a container ended with an error"))
        }
        _ => {
            if let Some(reason) = hopeless_wait(status) {
                return Readiness::failed(reason);
            }
            match (status.condition("Ready"), status.condition("PodScheduled")) {
                (Some(ready), _) if ready.is_true() => Readiness::Ready,
                (_, Some(scheduled)) if !scheduled.is_true() => {
                    Readiness::progressing(scheduled.words("it is not scheduled yet"))
                }
                (Some(ready), _) => Readiness::progressing(ready.words("its containers are not ready yet")),
                (None, _) => Readiness::progressing("its containers are not ready yet"),
            }
        }
    }
}

/// A container that waits for something that will not come by itself.
fn hopeless_wait(status: &Status<'_>) -> Option<String> {
    let init = status.list("/status/initContainerStatuses").iter();
    init.chain(status.list("/status/containerStatuses")).find_map(|container| {
        let reason = container.pointer("/state/waiting/reason").and_then(Value::as_str)?;
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        HOPELESS_WAITS.contains(&reason).then(|| format!("the container {name} waits: {reason}"))
    })
}

/// Any other kind, by its `Ready` condition, or else by `Available`.
fn by_conditions(status: &Status<'_>, is_built_in: bool) -> Readiness {
    match status.condition("Ready").or_else(|| status.condition("Available")) {
        Some(condition) if condition.is_true() => Readiness::Ready,
        Some(condition) => Readiness::progressing(condition.words("it is not ready yet")),
        None if is_built_in => Readiness::Ready,
        None => Readiness::progressing(
            "it reports neither Ready nor Available; if its kind never does, its catalog item needs a readiness rule",
        ),
    }
}
