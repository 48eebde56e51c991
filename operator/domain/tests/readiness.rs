//! Delivered objects count as ready when they do their work, and not before.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::needless_pass_by_value, reason = "cases of a table are written as values")]

use rstest::rstest;
use serde_json::{Value, json};
use zhengyun_domain::expression::CostLimits;
use zhengyun_domain::readiness::{Readiness, ReadinessRule, readiness};

/// `Ready`, `Progressing: why` or `Failed: why`.
fn verdict(object: &Value, rule: Option<&str>) -> String {
    let rule = rule.map(|source| ReadinessRule::compile(source, &CostLimits::default()).unwrap());
    match readiness(object, rule.as_ref()) {
        Readiness::Ready => "Ready".to_owned(),
        Readiness::Progressing { reason } => format!("Progressing: {reason}"),
        Readiness::Failed { reason } => format!("Failed: {reason}"),
    }
}

fn object(api_version: &str, kind: &str, spec: Value, status: Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status})
}

fn condition(kind: &str, status: &str) -> Value {
    json!({"type": kind, "status": status, "reason": format!("{kind}Reason"), "message": format!("{kind} message")})
}

fn conditions(entries: &[(&str, &str)]) -> Value {
    json!({"conditions": entries.iter().map(|(kind, status)| condition(kind, status)).collect::<Vec<_>>()})
}

#[rstest]
#[case(json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "readyReplicas": 3, "conditions": [condition("Available", "True")]}), "Ready")]
#[case(json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "readyReplicas": 3}), "Progressing: its controller has seen generation 1, the newest is 2")]
#[case(json!({}), "Progressing: its controller has not seen it yet")]
#[case(json!({"observedGeneration": 2}), "Progressing: 0 of 3 replicas are created")]
#[case(json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1}), "Progressing: 1 of 3 replicas are updated")]
#[case(json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3}), "Progressing: 4 replicas exist, 3 are wanted")]
#[case(json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}), "Progressing: 2 of 3 replicas are available")]
#[case(json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "readyReplicas": 3, "conditions": [condition("Available", "False")]}), "Progressing: Available message")]
#[case(json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}), "Failed: ProgressDeadlineExceeded")]
fn deployments(#[case] status: Value, #[case] expected: &str) {
    assert_eq!(verdict(&object("apps/v1", "Deployment", json!({"replicas": 3}), status), None), expected);
}

#[rstest]
#[case(json!({"replicas": 2}), json!({"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "a"}), "Ready")]
#[case(json!({"replicas": 2}), json!({"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "b"}), "Progressing: revision b is being rolled out")]
#[case(json!({"replicas": 2, "updateStrategy": {"type": "OnDelete"}}), json!({"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "b"}), "Ready")]
#[case(json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 1}}}), json!({"observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 1}), "Progressing: 1 of 2 replicas are updated")]
#[case(json!({}), json!({"observedGeneration": 2, "replicas": 1}), "Progressing: 0 of 1 replicas are ready")]
#[case(json!({"replicas": 0}), json!({"observedGeneration": 2}), "Ready")]
fn stateful_sets(#[case] spec: Value, #[case] status: Value, #[case] expected: &str) {
    assert_eq!(verdict(&object("apps/v1", "StatefulSet", spec, status), None), expected);
}

#[rstest]
#[case("apps/v1", "DaemonSet", json!({}), json!({"observedGeneration": 2}), "Progressing: its controller has not counted the nodes yet")]
#[case("apps/v1", "DaemonSet", json!({}), json!({"observedGeneration": 2, "desiredNumberScheduled": 0}), "Ready")]
#[case("apps/v1", "DaemonSet", json!({}), json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}), "Progressing: 1 of 2 replicas are available")]
#[case("apps/v1", "ReplicaSet", json!({}), json!({"observedGeneration": 2, "replicas": 1, "availableReplicas": 1}), "Ready")]
#[case("batch/v1", "Job", json!({"completions": 2}), json!({"succeeded": 1}), "Progressing: 1 of 2 runs are complete")]
#[case("batch/v1", "Job", json!({}), conditions(&[("Complete", "True")]), "Ready")]
#[case("batch/v1", "Job", json!({}), conditions(&[("Failed", "True")]), "Failed: Failed message")]
#[case("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Bound"}), "Ready")]
#[case("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Pending"}), "Progressing: no volume is bound yet, it is Pending")]
#[case("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Lost"}), "Failed: its volume is lost")]
#[case("v1", "PersistentVolumeClaim", json!({}), json!({}), "Progressing: no volume is bound yet")]
#[case("v1", "Service", json!({"type": "ClusterIP"}), json!({"loadBalancer": {}}), "Ready")]
#[case("v1", "Service", json!({"type": "LoadBalancer"}), json!({"loadBalancer": {}}), "Progressing: the load balancer has no address yet")]
#[case("v1", "Service", json!({"type": "LoadBalancer"}), json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}), "Ready")]
#[case("v1", "Pod", json!({}), json!({"phase": "Running", "conditions": [condition("Ready", "True")]}), "Ready")]
#[case("v1", "Pod", json!({}), json!({"phase": "Succeeded"}), "Ready")]
#[case("v1", "Pod", json!({}), json!({"phase": "Failed", "reason": "Evicted"}), "Failed: Evicted")]
#[case("v1", "Pod", json!({}), json!({"phase": "Pending", "conditions": [condition("PodScheduled", "False")]}), "Progressing: PodScheduled message")]
#[case("v1", "Pod", json!({}), json!({"phase": "Running", "containerStatuses": [{"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}), "Failed: the container web waits: CrashLoopBackOff")]
#[case("v1", "Pod", json!({}), json!({}), "Progressing: its containers are not ready yet")]
#[case("v1", "ConfigMap", json!({}), json!(null), "Ready")]
#[case("v1", "Secret", json!({}), json!(null), "Ready")]
#[case("networking.k8s.io/v1", "NetworkPolicy", json!({}), json!(null), "Ready")]
fn built_in_kinds(
    #[case] api_version: &str,
    #[case] kind: &str,
    #[case] spec: Value,
    #[case] status: Value,
    #[case] expected: &str,
) {
    assert_eq!(verdict(&object(api_version, kind, spec, status), None), expected);
}

#[rstest]
#[case(conditions(&[("Ready", "True")]), "Ready")]
#[case(conditions(&[("Ready", "False")]), "Progressing: Ready message")]
#[case(conditions(&[("Ready", "Unknown")]), "Progressing: Ready message")]
#[case(conditions(&[("Available", "True")]), "Ready")]
#[case(conditions(&[("Ready", "False"), ("Available", "True")]), "Progressing: Ready message")]
#[case(conditions(&[("Ready", "True"), ("Reconciling", "True")]), "Progressing: Reconciling message")]
#[case(conditions(&[("Ready", "True"), ("Stalled", "True")]), "Failed: Stalled message")]
#[case(conditions(&[("Reconciling", "True"), ("Stalled", "True")]), "Failed: Stalled message")]
#[case(conditions(&[("Ready", "True"), ("Failed", "False")]), "Ready")]
#[case(json!({"observedGeneration": 1, "conditions": [condition("Ready", "True")]}), "Progressing: its controller has seen generation 1, the newest is 2")]
#[case(json!(null), "Progressing: it reports neither Ready nor Available; if its kind never does, its catalog item needs a readiness rule")]
#[case(json!({"phase": "Up"}), "Progressing: it reports neither Ready nor Available; if its kind never does, its catalog item needs a readiness rule")]
fn custom_kinds(#[case] status: Value, #[case] expected: &str) {
    assert_eq!(verdict(&object("postgresql.cnpg.io/v1", "Cluster", json!({}), status), None), expected);
}

#[rstest]
#[case("object.status.bucketReady", json!({"bucketReady": true}), "Ready")]
#[case("object.status.bucketReady", json!({"bucketReady": false}), "Progressing: `object.status.bucketReady` does not hold yet")]
#[case("object.status.bucketReady", json!({}), "Progressing: `object.status.bucketReady` cannot be told yet: there is no field \"bucketReady\"")]
#[case("object.status.phase", json!({"phase": "x"}), "Failed: the readiness rule `object.status.phase` is wrong: the expression yields a text, but true or false is needed")]
#[case("true", conditions(&[("Stalled", "True")]), "Failed: Stalled message")]
#[case("true", json!({"observedGeneration": 1}), "Progressing: its controller has seen generation 1, the newest is 2")]
#[case("object.status.conditions.exists(c, c.type == 'Ok' && c.status == 'True')", conditions(&[("Ok", "True")]), "Ready")]
fn rules_of_items(#[case] rule: &str, #[case] status: Value, #[case] expected: &str) {
    assert_eq!(
        verdict(&object("objectstorage.k8s.io/v1alpha1", "BucketClaim", json!({}), status), Some(rule)),
        expected
    );
}

#[test]
fn an_item_can_accept_a_claim_that_waits_for_its_first_user() {
    let claim = object("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Pending"}));
    assert_eq!(verdict(&claim, Some("object.status.phase in ['Bound', 'Pending']")), "Ready");
}

#[test]
fn an_object_that_is_being_deleted_is_not_ready() {
    let mut map = object("v1", "ConfigMap", json!({}), json!(null));
    map["metadata"]["deletionTimestamp"] = json!("2026-11-01T00:00:00Z");
    assert_eq!(verdict(&map, Some("true")), "Progressing: it is being deleted");
}

#[test]
fn odd_objects_do_no_harm() {
    for object in
        [json!(null), json!([]), json!({"status": {"conditions": "x"}}), json!({"apiVersion": 1, "kind": "Pod"})]
    {
        let _ = verdict(&object, None);
    }
    assert!(ReadinessRule::compile("request.x", &CostLimits::default()).is_err());
}
