//! Questions that are answered and not stored: whose token it is, and who may do what.

use serde_json::{Value, json};

use super::answer::Refusal;
use super::serve::Inner;
use super::user::User;
use super::write::text;

/// Answers a review; `None` if the path is no review's.
pub(crate) fn review(
    server: &Inner,
    group: &str,
    plural: &str,
    user: &User,
    body: &Value,
) -> Option<Result<Value, Refusal>> {
    let mut answer = body.clone();
    let status = match (group, plural) {
        ("authentication.k8s.io", "tokenreviews") => match server.user_of(text(body, "/spec/token")) {
            Some(found) => json!({ "authenticated": true, "user": info(&found) }),
            None => json!({ "authenticated": false, "error": "invalid bearer token" }),
        },
        ("authentication.k8s.io", "selfsubjectreviews") => json!({ "userInfo": info(user) }),
        ("authorization.k8s.io", "subjectaccessreviews") => {
            let groups = body.pointer("/spec/groups").and_then(Value::as_array).into_iter().flatten();
            let asked = User {
                name: text(body, "/spec/user").to_owned(),
                groups: groups.filter_map(|g| g.as_str().map(str::to_owned)).collect(),
                uid: text(body, "/spec/uid").to_owned(),
            };
            json!({ "allowed": allowed(server, &asked, body) })
        }
        ("authorization.k8s.io", "selfsubjectaccessreviews") => json!({ "allowed": allowed(server, user, body) }),
        _ => return None,
    };
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("status".to_owned(), status);
        fields.entry("metadata").or_insert(json!({}));
    }
    Some(Ok(answer))
}

fn allowed(server: &Inner, user: &User, body: &Value) -> bool {
    let of = |field: &str| text(body, &format!("/spec/resourceAttributes/{field}")).to_owned();
    server.rights().may(user, &of("verb"), &of("group"), &of("resource"), &of("subresource"), &of("namespace"))
}

fn info(user: &User) -> Value {
    json!({ "username": user.name, "uid": user.uid, "groups": user.groups })
}
