//! Which requests a policy is about: rules, selectors, exclusions, parameters, failures.

use serde_json::{Value, json};
use zhengyun_tests::apiserver::User;
use zhengyun_tests::apiserver::admission::{Admission, Denied, Policies};

/// A request about one resource.
struct Request<'a> {
    operation: &'a str,
    group: &'a str,
    resource: &'a str,
    part: &'a str,
    namespace: &'a str,
    labels: Value,
}

const CREATE: Request<'_> =
    Request { operation: "CREATE", group: "", resource: "things", part: "", namespace: "here", labels: Value::Null };

fn policy(spec: Value) -> Value {
    let mut whole = json!({ "validations": [{ "expression": "false", "message": "no" }] });
    super::objects::merge_into(&mut whole, &spec);
    json!({ "metadata": { "name": "p" }, "spec": whole })
}

fn rules(rule: Value) -> Value {
    let mut whole = json!({ "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"] });
    super::objects::merge_into(&mut whole, &rule);
    json!({ "matchConstraints": { "resourceRules": [whole] } })
}

fn decide(policy: &Value, binding: Value, request: &Request<'_>) -> Result<(), Denied> {
    let mut spec = json!({ "policyName": "p", "validationActions": ["Deny"] });
    super::objects::merge_into(&mut spec, &binding);
    let bindings = [json!({ "metadata": { "name": "b" }, "spec": spec })];
    let policies = Policies::of(std::slice::from_ref(policy), &bindings).unwrap();
    let object = json!({ "metadata": { "name": "n", "labels": request.labels }, "spec": { "a": 1 } });
    let space = json!({ "metadata": { "name": request.namespace, "labels": { "kind": "grant" } } });
    let params = |version: &str, kind: &str, namespace: &str, name: &str| {
        let found = (version, kind, namespace, name) == ("v1", "ConfigMap", "here", "param");
        found.then(|| json!({ "data": { "limit": "3" } }))
    };
    policies.check(&Admission {
        operation: request.operation,
        group: request.group,
        version: "v1",
        resource: request.resource,
        subresource: request.part,
        kind: "Thing",
        name: "n",
        namespace: request.namespace,
        object: (request.operation != "DELETE").then_some(&object),
        old: (request.operation != "CREATE").then_some(&object),
        namespace_object: Some(&space),
        user: &User::default(),
        dry_run: false,
        options: None,
        params: &params,
        authorizer: &|_| false,
    })
}

fn is_about(spec: Value, request: &Request<'_>) -> bool {
    decide(&policy(spec), json!({}), request).is_err()
}

#[test]
fn rules_name_resources() {
    let status = Request { part: "status", ..CREATE };
    for (rule, request, expected) in [
        (json!({}), &CREATE, true),
        (json!({}), &status, false),
        (json!({ "resources": ["things/status"] }), &status, true),
        (json!({ "resources": ["*/*"] }), &status, true),
        (json!({ "resources": ["others"] }), &CREATE, false),
        (json!({ "apiGroups": ["example.org"] }), &CREATE, false),
        (json!({ "apiVersions": ["v2"] }), &CREATE, false),
        (json!({ "operations": ["UPDATE"] }), &CREATE, false),
        (json!({ "resourceNames": ["n"] }), &CREATE, true),
        (json!({ "resourceNames": ["m"] }), &CREATE, false),
        (json!({ "scope": "Cluster" }), &CREATE, false),
        (json!({ "scope": "Cluster" }), &Request { namespace: "", ..CREATE }, true),
        (json!({ "scope": "Cluster" }), &Request { resource: "namespaces", ..CREATE }, true),
        (json!({ "scope": "Namespaced" }), &Request { resource: "namespaces", ..CREATE }, false),
    ] {
        assert_eq!(is_about(rules(rule.clone()), request), expected, "{rule}");
    }
    let mut excluded = rules(json!({}));
    excluded["matchConstraints"]["excludeResourceRules"] =
        json!([{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["things"], "operations": ["CREATE"] }]);
    assert!(!is_about(excluded.clone(), &CREATE));
    assert!(is_about(excluded, &Request { operation: "DELETE", ..CREATE }));
    let configures =
        Request { group: "admissionregistration.k8s.io", resource: "validatingadmissionpolicies", ..CREATE };
    assert!(!is_about(rules(json!({})), &configures), "policies do not judge policies");
    let asks = Request { group: "authorization.k8s.io", resource: "subjectaccessreviews", namespace: "", ..CREATE };
    assert!(!is_about(rules(json!({})), &asks));
}

#[test]
fn selectors_look_at_labels() {
    let selected = |of: &str, selector: Value, request: &Request<'_>| {
        let mut spec = rules(json!({}));
        spec["matchConstraints"][of] = selector;
        is_about(spec, request)
    };
    let key = |key: &str, operator: &str| json!({ "matchExpressions": [{ "key": key, "operator": operator }] });
    let labelled = Request { labels: json!({ "a": "1" }), ..CREATE };
    assert!(selected("objectSelector", key("a", "Exists"), &labelled));
    assert!(!selected("objectSelector", key("a", "Exists"), &CREATE));
    assert!(selected("objectSelector", key("a", "DoesNotExist"), &CREATE));
    let one_of =
        |operator: &str| json!({ "matchExpressions": [{ "key": "a", "operator": operator, "values": ["1", "2"] }] });
    assert!(
        selected("objectSelector", one_of("In"), &labelled) && !selected("objectSelector", one_of("NotIn"), &labelled)
    );
    assert!(selected("namespaceSelector", json!({ "matchLabels": { "kind": "grant" } }), &CREATE));
    assert!(!selected("namespaceSelector", json!({ "matchLabels": { "kind": "other" } }), &CREATE));
    let cluster = Request { namespace: "", ..CREATE };
    assert!(
        selected("namespaceSelector", json!({ "matchLabels": { "kind": "other" } }), &cluster),
        "it has no namespace"
    );
    // A namespace that is written is judged by its new labels, one that is deleted by those it has.
    let namespace =
        |operation| Request { operation, resource: "namespaces", namespace: "", labels: json!({ "a": "1" }), ..CREATE };
    assert!(selected("namespaceSelector", key("a", "Exists"), &namespace("CREATE")));
    assert!(!selected("namespaceSelector", key("a", "Exists"), &namespace("DELETE")));
    assert!(selected("namespaceSelector", key("kind", "Exists"), &namespace("DELETE")));
}

#[test]
fn failures_and_parameters() {
    let told = |spec: Value, binding: Value| {
        let mut whole = rules(json!({}));
        super::objects::merge_into(&mut whole, &spec);
        decide(&policy(whole), binding, &CREATE).map_err(|denied| (denied.code, denied.reason, denied.message))
    };
    let denied = |code: u16, reason: &str, why: &str| {
        Err((code, reason.to_owned(), format!("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {why}")))
    };
    let one = |validation: Value| json!({ "validations": [validation] });
    assert_eq!(told(json!({}), json!({})), denied(422, "Invalid", "no"));
    assert_eq!(told(json!({}), json!({ "validationActions": ["Warn", "Audit"] })), Ok(()));
    let forbidden = one(
        json!({ "expression": "object.spec.a > 1", "messageExpression": "' a is ' + string(object.spec.a)", "reason": "Forbidden" }),
    );
    assert_eq!(told(forbidden, json!({})), denied(403, "Forbidden", "a is 1"));
    assert_eq!(
        told(one(json!({ "expression": "object.spec.a > 1" })), json!({})),
        denied(422, "Invalid", "failed expression: object.spec.a > 1")
    );
    let wrong = one(json!({ "expression": "object.spec.b > 1" }));
    let error = "expression 'object.spec.b > 1' resulted in error: no such key: b";
    assert_eq!(told(wrong.clone(), json!({})), denied(422, "Invalid", error));
    let ignoring = |mut spec: Value| {
        spec["failurePolicy"] = json!("Ignore");
        spec
    };
    assert_eq!(told(ignoring(wrong), json!({})), Ok(()));
    let conditions = |conditions: &[&str]| {
        let list: Value = conditions.iter().map(|c| json!({ "name": "c", "expression": c })).collect();
        json!({ "matchConditions": list })
    };
    assert_eq!(
        told(conditions(&["object.spec.b == 1", "false"]), json!({})),
        Ok(()),
        "one that does not hold settles it"
    );
    let failed = "expression 'object.spec.b == 1' resulted in error: no such key: b";
    assert_eq!(told(conditions(&["object.spec.b == 1", "true"]), json!({})), denied(422, "Invalid", failed));
    assert_eq!(
        told(conditions(&["namespaceObject == null"]), json!({})),
        denied(422, "Invalid", "no"),
        "conditions see no namespace"
    );
    let variables = json!({
        "variables": [{ "name": "bad", "expression": "object.spec.b" }, { "name": "all", "expression": "variables.bad" }],
        "validations": [{ "expression": "true || variables.all == 1" }]
    });
    assert_eq!(told(variables, json!({})), Ok(()), "what is not asked for is not computed");
    let limit = json!({
        "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
        "validations": [{ "expression": "params == null || object.spec.a >= int(params.data.limit)", "message": "no" }]
    });
    let param = |name: &str, action: &str| json!({ "paramRef": { "name": name, "parameterNotFoundAction": action } });
    assert_eq!(told(limit.clone(), param("param", "Deny")), denied(422, "Invalid", "no"));
    assert_eq!(told(limit.clone(), json!({})), Ok(()), "a binding without parameters");
    assert_eq!(told(limit.clone(), param("missing", "Allow")), Ok(()));
    let missing = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    assert_eq!(told(limit, param("missing", "Deny")), denied(422, "Invalid", missing));
}

#[test]
fn what_is_not_modelled_is_told() {
    let told = |spec: Value| format!("{:#}", Policies::of(&[policy(spec)], &[]).expect_err("it compiled"));
    let mut audits = rules(json!({}));
    audits["auditAnnotations"] = json!([]);
    assert!(told(audits).contains("the policy p: auditAnnotations is not modelled"));
    let mut wrong = rules(json!({}));
    wrong["validations"] = json!([{ "expression": "variables.unknown == 1" }]);
    assert!(told(wrong).contains("undeclared reference to 'variables'"));
    let mut asks = rules(json!({}));
    asks["validations"] =
        json!([{ "expression": "true", "messageExpression": "string(authorizer.path('/').check('get').allowed())" }]);
    assert!(told(asks).contains("may not ask the authorizer"));
}
