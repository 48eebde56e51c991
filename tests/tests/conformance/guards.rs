//! Admission policies of this test, in force in namespaces that are marked as guarded, and the rights of those whom they judge.

use serde_json::{Value, json};

/// Somebody in the group `people`, who may do everything that the policies let through.
pub(crate) const PERSON: &str = "ann";

fn policy(name: &str, resources: &[&str], operations: &[&str], conditions: &Value, validations: &Value) -> [Value; 2] {
    let group = if resources.contains(&"widgets") { "conformance.zhengyun.io" } else { "" };
    [
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": [group], "apiVersions": ["v1"], "resources": resources, "operations": operations
                }] },
                "matchConditions": conditions,
                "validations": validations
            }
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": { "namespaceSelector": { "matchLabels": { "guarded": "yes" } } }
            }
        }),
    ]
}

/// What is installed on both servers.
pub(crate) fn all() -> Vec<Value> {
    let rights = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "conformance-people" },
        "subjects": [{ "kind": "Group", "name": "people", "apiGroup": "rbac.authorization.k8s.io" }],
        "roleRef": { "kind": "ClusterRole", "name": "cluster-admin", "apiGroup": "rbac.authorization.k8s.io" }
    });
    let people = json!([{ "name": "people", "expression": "request.userInfo.groups.exists(g, g == 'people')" }]);
    let everybody = json!([]);
    let policies = [
        policy(
            "conformance-notes",
            &["widgets", "widgets/status"],
            &["CREATE", "UPDATE"],
            &everybody,
            &json!([
                { "expression": "!has(object.spec) || !has(object.spec.note) || object.spec.note != 'refused'", "message": "no such notes" },
                { "expression": "!has(object.status) || !has(object.status.ready) || object.status.ready < 5", "reason": "Forbidden",
                  "messageExpression": "'not ' + string(object.status.ready)" }
            ]),
        ),
        policy(
            "conformance-people",
            &["configmaps"],
            &["CREATE", "UPDATE", "DELETE"],
            &people,
            &json!([
                { "expression": "request.operation == 'DELETE' || request.operation == 'CREATE' || object.metadata.?labels == oldObject.metadata.?labels",
                  "reason": "Forbidden", "message": "labels stay" },
                { "expression": "request.operation != 'DELETE' || !has(oldObject.data) || !('keep' in oldObject.data)", "reason": "RequestEntityTooLarge", "message": "it is kept" },
                { "expression": "request.operation == 'DELETE' || !has(object.data) || object.data.all(k, k != 'never')", "message": "never" },
                { "expression": "request.dryRun != true || request.name != 'b'", "message": "not even for show" }
            ]),
        ),
        policy(
            "conformance-strange",
            &["widgets"],
            &["DELETE"],
            &everybody,
            &json!([{ "expression": "oldObject.spec.size < 4", "reason": "Forbidden", "message": "too large to go" }]),
        ),
    ];
    std::iter::once(rights).chain(policies.into_iter().flatten()).collect()
}
