//! Changing a request's spec: read as the caller, decide, patch guarded by resourceVersion and UID.
//!
//! A patch rather than a whole object: the authority has no right to more, and fields that this version does not know stay.

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};
use zhengyun_crds::ResourceRequest as Resource;

use super::{PLURAL, refusal, unreadable};
use crate::auth::Caller;
use crate::cache::Written as _;
use crate::etag::Tag;
use crate::extract::InDepartment;
use crate::merge::instead;
use crate::problem::Problem;
use crate::routes::writing::{ATTEMPTS, PAUSE};
use crate::state::AppState;

/// Looks after the operator until it has recorded the last editor; the hub refuses another one before.
const LOOKS: usize = 20;

/// What is to become of the spec.
pub(super) enum Change {
    /// It is already as wanted.
    Nothing,
    /// These fields get these values; the rest stays.
    Fields(Vec<(&'static str, Value)>),
}

/// Whether the caller says what was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// `If-Match` is required.
    Required,
    /// `If-Match` counts if it is there.
    Optional,
}

/// Changes the spec of a request as the caller, who becomes its last editor.
///
/// `change` decides on each fresh read. A write lost to somebody else's is tried again only while what is asked for is still
/// what was first read.
pub(super) async fn amend(
    state: &AppState,
    caller: &Caller,
    at: &InDepartment,
    (headers, seen, dry_run): (&HeaderMap, Seen, bool),
    change: impl Fn(&Resource) -> Result<Change, Problem>,
) -> Result<Resource, Problem> {
    let hub = caller.hub(state);
    let mut first: Option<Tag> = None;
    for _ in 0..ATTEMPTS {
        let (raw, current) = read_settled(state, caller, at).await?;
        let tag = Tag::of(&current);
        match seen {
            Seen::Required => tag.require(headers)?,
            Seen::Optional => tag.respect(headers)?,
        }
        let Change::Fields(fields) = change(&current)? else {
            // Whoever repeats a call did not hear that the first one was seen.
            current.shown(&state.cache).await;
            return Ok(current);
        };
        if first.get_or_insert_with(|| tag.clone()) != &tag {
            return Err(Problem::conflict());
        }
        let patch = patch(&raw, fields, caller.username());
        match hub.patch(&at.namespace, &at.name, &patch, dry_run).await {
            Ok(written) => return Ok(written),
            Err(error) if error.is_conflict() => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(refusal(state, caller, &error, &at.department, &at.name).await),
        }
    }
    Err(Problem::conflict())
}

/// Reads the request, waiting a moment for the operator to record its last editor if that is somebody else.
async fn read_settled(state: &AppState, caller: &Caller, at: &InDepartment) -> Result<(Value, Resource), Problem> {
    let hub = caller.hub(state);
    let mut last = String::new();
    for _ in 0..LOOKS {
        let raw = hub.get_raw::<Resource>(&at.namespace, &at.name).await.map_err(|error| unreadable(&error, at))?;
        let current: Resource = serde_json::from_value(raw.clone())
            .map_err(|error| Problem::internal(&format!("{PLURAL} {}: {error}", at.name)))?;
        if is_recorded(&current, caller.username()) {
            return Ok((raw, current));
        }
        last = current.spec.edited_by;
        tokio::time::sleep(PAUSE).await;
    }
    Err(Problem::editor_not_recorded(&last))
}

/// Whether the caller would hide nobody by becoming the last editor.
fn is_recorded(request: &Resource, username: &str) -> bool {
    let last = &request.spec.edited_by;
    last == username || request.status.as_ref().is_some_and(|s| s.editors.contains(last))
}

/// The merge patch (RFC 7386) that gives fields of the spec new values and makes the caller its last editor.
fn patch(raw: &Value, fields: Vec<(&'static str, Value)>, username: &str) -> Value {
    let was = |field: &str| raw.get("spec").and_then(|spec| spec.get(field));
    let mut spec: Map<String, Value> =
        fields.into_iter().map(|(field, value)| (field.to_owned(), instead(was(field), value))).collect();
    spec.insert("editedBy".to_owned(), Value::String(username.to_owned()));
    let guard = |field: &str| raw.get("metadata").and_then(|metadata| metadata.get(field)).cloned().unwrap_or_default();
    json!({ "metadata": { "resourceVersion": guard("resourceVersion"), "uid": guard("uid") }, "spec": spec })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_recorded, patch};
    use crate::testing::a_request;

    #[test]
    fn a_patch_is_guarded_and_makes_the_caller_the_editor() {
        let raw = json!({"metadata": {"resourceVersion": "7", "uid": "u"}, "spec": {"submission": 0, "editedBy": "a"}});
        assert_eq!(
            patch(&raw, vec![("submission", json!(1))], "b"),
            json!({"metadata": {"resourceVersion": "7", "uid": "u"}, "spec": {"submission": 1, "editedBy": "b"}})
        );
    }

    #[test]
    fn an_editor_whom_the_operator_has_not_seen_is_waited_for() {
        let mut request = a_request("finance", "r1");
        request.spec.edited_by = "zhang".into();
        assert!(is_recorded(&request, "zhang"));
        assert!(!is_recorded(&request, "li"));
        request.status.get_or_insert_default().editors = vec!["zhang".into()];
        assert!(is_recorded(&request, "li"));
    }
}
