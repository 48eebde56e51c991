//! Refusals of the hub in the words of the API: RBAC, admission policies, schemas and conflicts.

use http::StatusCode;
use kube::core::Status;
use kube::core::response::StatusCause;

use super::Noun;
use super::{Finding, Problem};
use crate::hub::HubError;

/// What stands between a policy's name and its message in a refusal of a `ValidatingAdmissionPolicy`.
const DENIED: &str = "denied request: ";
const POLICY: &str = "ValidatingAdmissionPolicy '";
/// What the API server adds when other findings kept it from checking everything.
const UNFINISHED: &str = "some validation rules were not checked";

/// What a call was about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// Kind of thing.
    pub(crate) noun: Noun,
    /// Department that it belongs to.
    pub(crate) department: &'a str,
    /// Its name.
    pub(crate) name: &'a str,
}

/// The problem that a failed call to the hub means for its caller.
pub(crate) fn from_hub(error: &HubError, about: About<'_>) -> Problem {
    match error {
        HubError::Refused(status) => refused(status, about),
        HubError::Timeout(_) => {
            tracing::warn!("a call to the hub failed: {error}");
            Problem::timeout()
        }
        HubError::Unreachable(_) => Problem::hub_unavailable(error),
        HubError::Unreadable(_) | HubError::Call(_) => Problem::internal(error),
    }
}

fn refused(status: &Status, about: About<'_>) -> Problem {
    let About { noun, department, name } = about;
    if is_denied_by_policy(status) && status.is_forbidden() {
        return Problem::forbidden(noun, department).with_findings(findings(status));
    }
    if is_denied_by_policy(status) || status.is_invalid() {
        return Problem::invalid(findings(status));
    }
    match StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
        StatusCode::UNAUTHORIZED => Problem::invalid_token(),
        StatusCode::FORBIDDEN => Problem::forbidden(noun, department),
        // A namespace that is not there is a department that is not there, or not set up yet.
        StatusCode::NOT_FOUND if missing_namespace(status) => Problem::not_found(Noun::Department, department),
        StatusCode::NOT_FOUND => Problem::not_found(noun, name),
        StatusCode::CONFLICT if status.is_already_exists() => Problem::already_exists(noun, name),
        StatusCode::CONFLICT => Problem::conflict(),
        StatusCode::BAD_REQUEST => Problem::invalid(findings(status)),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::body_too_large(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Problem::hub_unavailable(status)
        }
        _ => Problem::internal(status),
    }
}

/// Whether an admission policy refused, rather than RBAC: both may answer 403.
pub(crate) fn is_denied_by_policy(status: &Status) -> bool {
    status.message.contains(POLICY) && status.message.contains(DENIED)
}

fn missing_namespace(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|d| d.kind == "namespaces")
}

/// Everything the hub found wrong, one finding each.
fn findings(status: &Status) -> Vec<Finding> {
    let causes: &[StatusCause] = status.details.as_ref().map_or(&[], |d| &d.causes);
    if let Some((policy, message)) = policy_denial(&status.message) {
        return vec![Finding::new(pointer_of_message(message), policy, message)];
    }
    let found: Vec<Finding> = causes.iter().filter(|c| !c.message.contains(UNFINISHED)).map(from_cause).collect();
    if found.is_empty() { vec![Finding::new("", rule(&status.reason), status.message.clone())] } else { found }
}

fn from_cause(cause: &StatusCause) -> Finding {
    let message = without_object_value(&cause.message);
    let pointer = match pointer_in_body(&cause.field) {
        pointer if pointer.is_empty() => pointer_of_message(message),
        pointer => pointer,
    };
    Finding::new(pointer, rule(&cause.reason), message)
}

fn rule(reason: &str) -> &str {
    if reason.is_empty() { "Invalid" } else { reason }
}

/// The policy's name and its message out of `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: m`.
fn policy_denial(message: &str) -> Option<(&str, &str)> {
    let (_, after) = message.split_once(POLICY)?;
    let (policy, _) = after.split_once('\'')?;
    let (_, text) = after.split_once(DENIED)?;
    Some((policy, text))
}

/// Drops the API server's description of a whole object as "value", which says nothing; values of fields stay.
fn without_object_value(message: &str) -> &str {
    let Some(rest) = message.strip_prefix("Invalid value: ") else { return message };
    for shapeless in ["\"object\": ", "\"array\": ", "\"null\": ", "null: "] {
        if let Some(text) = rest.strip_prefix(shapeless) {
            return text;
        }
    }
    // Newer API servers leave the value of an object out altogether.
    let shows_value = rest.starts_with(['"', '{', '[', '-']) || rest.starts_with(|c: char| c.is_ascii_digit());
    if !shows_value && !["map[", "true", "false"].iter().any(|v| rest.starts_with(v)) {
        return rest;
    }
    // A whole object is shown as JSON or as a Go value; the rule's own message starts at the field it is about.
    if rest.starts_with(['{', '[']) || rest.starts_with("map[") {
        return field_sentence(rest).unwrap_or(message);
    }
    message
}

/// The part of a message from the last field name that opens a sentence.
fn field_sentence(text: &str) -> Option<&str> {
    ["}: ", "]: "]
        .iter()
        .filter_map(|end| text.rfind(end).and_then(|at| text.get(at..)?.strip_prefix(end)))
        .min_by_key(|t| t.len())
}

/// The pointer that a message names in its first word, such as `spec.submission may only rise`.
fn pointer_of_message(message: &str) -> String {
    let first = message.split([' ', ',', ':']).next().unwrap_or_default();
    if first.starts_with("spec.") || first.starts_with("metadata.") { pointer_in_body(first) } else { String::new() }
}

/// A field path of the custom resource (`spec.order.items[0].name` or `/spec/order/items/0/name`) as JSON pointer into the
/// body of this API, where `name`, `order` and `materials` stand at the top.
pub(crate) fn pointer_in_body(field: &str) -> String {
    if matches!(field, "" | "<nil>" | "<root>") {
        return String::new();
    }
    let pointer = if field.starts_with('/') { field.to_owned() } else { pointer_of_path(field) };
    for (there, here) in [("/spec/", "/"), ("/metadata/", "/")] {
        if let Some(rest) = pointer.strip_prefix(there) {
            return format!("{here}{rest}");
        }
    }
    pointer
}

fn pointer_of_path(path: &str) -> String {
    let mut pointer = String::new();
    let mut token = String::new();
    let mut bracket = false;
    let mut push = |token: &mut String| {
        if !token.is_empty() {
            pointer.push('/');
            pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
            token.clear();
        }
    };
    for c in path.chars() {
        match c {
            '.' if !bracket => push(&mut token),
            '[' => {
                push(&mut token);
                bracket = true;
            }
            ']' => {
                push(&mut token);
                bracket = false;
            }
            c => token.push(c),
        }
    }
    push(&mut token);
    pointer
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::problem::Code;

    fn about() -> About<'static> {
        About { noun: Noun::Request, department: "finance", name: "r1" }
    }

    fn problem(status: serde_json::Value) -> Problem {
        let status: Status = serde_json::from_value(status).unwrap();
        from_hub(&HubError::Refused(Box::new(status)), about())
    }

    #[rstest]
    #[case("spec.order.items[0].name", "/order/items/0/name")]
    #[case("spec.order.items[0].parameters.size", "/order/items/0/parameters/size")]
    #[case("/spec/order/items/0/parameters/size", "/order/items/0/parameters/size")]
    #[case("/order/site", "/order/site")]
    #[case("metadata.name", "/name")]
    #[case("spec.limits[a.b]", "/limits/a.b")]
    #[case("<nil>", "")]
    #[case("", "")]
    fn fields_become_pointers_into_the_body(#[case] field: &str, #[case] pointer: &str) {
        assert_eq!(pointer_in_body(field), pointer);
    }

    #[test]
    fn rbac_is_told_in_our_words() {
        let problem = problem(json!({
            "status": "Failure", "code": 403, "reason": "Forbidden",
            "message": "resourcerequests.zhengyun.io is forbidden: User \"li\" cannot create resource \"resourcerequests\" in API group \"zhengyun.io\" in the namespace \"dept-finance\"",
            "details": {"group": "zhengyun.io", "kind": "resourcerequests"}
        }));
        assert_eq!(problem.code(), Code::Forbidden);
        assert!(!format!("{problem:?}").contains("User"), "{problem:?}");
    }

    #[rstest]
    #[case(403, "Forbidden", Code::Forbidden)]
    #[case(422, "Invalid", Code::Invalid)]
    fn an_admission_policy_becomes_a_finding(#[case] code: u16, #[case] reason: &str, #[case] expected: Code) {
        let problem = problem(json!({
            "status": "Failure", "code": code, "reason": reason,
            "message": "resourcerequests.zhengyun.io \"r1\" is forbidden: ValidatingAdmissionPolicy 'zhengyun-requests' with binding 'zhengyun-requests' denied request: spec.requestedBy must be the caller"
        }));
        assert_eq!(problem.code(), expected);
        assert_eq!(
            problem.findings(),
            [Finding::new("/requestedBy", "zhengyun-requests", "spec.requestedBy must be the caller")]
        );
    }

    #[test]
    fn schema_errors_become_findings_and_the_unfinished_note_is_dropped() {
        let problem = problem(json!({
            "status": "Failure", "code": 422, "reason": "Invalid",
            "message": "ResourceRequest.zhengyun.io \"r1\" is invalid: [...]",
            "details": {"causes": [
                {"reason": "FieldValueInvalid", "field": "spec.order.items[0].count", "message": "Invalid value: 0: spec.order.items[0].count in body should be greater than or equal to 1"},
                {"reason": "FieldValueInvalid", "field": "<nil>", "message": "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"},
                {"reason": "FieldValueInvalid", "field": "spec.order", "message": "Invalid value: \"object\": items must hold at least one line in a Create order"},
                {"reason": "FieldValueInvalid", "field": "spec.order", "message": "Invalid value: system must name the information system"},
                {"reason": "FieldValueInvalid", "field": "<nil>", "message": "Invalid value: {\"a\":[1],\"b\":{}}: spec.submission may only rise: raise it by one"}
            ]}
        }));
        assert_eq!(problem.code(), Code::Invalid);
        let found: Vec<(&str, &str)> =
            problem.findings().iter().map(|f| (f.pointer.as_str(), f.message.as_str())).collect();
        assert_eq!(
            found,
            [
                (
                    "/order/items/0/count",
                    "Invalid value: 0: spec.order.items[0].count in body should be greater than or equal to 1"
                ),
                ("/order", "items must hold at least one line in a Create order"),
                ("/order", "system must name the information system"),
                ("/submission", "spec.submission may only rise: raise it by one"),
            ]
        );
    }

    #[rstest]
    #[case(json!({"code": 404, "reason": "NotFound", "message": "namespaces \"dept-finance\" not found", "details": {"kind": "namespaces"}}), Code::NotFound)]
    #[case(json!({"code": 409, "reason": "AlreadyExists", "message": "exists"}), Code::AlreadyExists)]
    #[case(json!({"code": 409, "reason": "Conflict", "message": "modified"}), Code::Conflict)]
    #[case(json!({"code": 401, "reason": "Unauthorized", "message": "Unauthorized"}), Code::InvalidToken)]
    #[case(json!({"code": 503, "reason": "ServiceUnavailable", "message": "etcd"}), Code::HubUnavailable)]
    #[case(json!({"code": 500, "reason": "InternalError", "message": "secret detail"}), Code::Internal)]
    fn statuses_become_codes(#[case] status: serde_json::Value, #[case] code: Code) {
        let problem = problem(status);
        assert_eq!(problem.code(), code);
        assert!(!format!("{problem:?}").contains("secret detail"));
    }
}
