//! One delivered object: created once, kept as desired, never taken from somebody else.

use serde_json::{Map, Value, json};
use zhengyun_crds::catalog::ReadinessRule as Rule;
use zhengyun_crds::grant::InventoryEntry;
use zhengyun_crds::marks;
use zhengyun_domain::condition::cut;
use zhengyun_domain::delivery::{Desired, covers};
use zhengyun_domain::expression::CostLimits;
use zhengyun_domain::readiness::{Readiness, ReadinessRule, readiness};
use zhengyun_domain::seeded::{self, Bug};

use crate::site::SiteError;
use crate::site::call::{Collection, Failure, Write, guard, is_not_served, label, said, text};
use crate::site::link::SiteLink;

/// The rule of its item by which a kind is ready, if it has one.
pub(super) type Rules = std::collections::BTreeMap<String, Result<ReadinessRule, String>>;

/// Compiles the rules of a bundle.
pub(super) fn rules(given: &[Rule]) -> Rules {
    let compile =
        |rule: &Rule| ReadinessRule::compile(&rule.expression, &CostLimits::default()).map_err(|e| e.to_string());
    given.iter().map(|rule| (rule.kind.clone(), compile(rule))).collect()
}

/// What became of one object.
#[derive(Debug)]
pub(super) struct Standing {
    /// With UID, state and message.
    pub(super) entry: InventoryEntry,
    /// What waits for somebody to act.
    pub(super) failure: Option<String>,
    /// Whether it was created or changed.
    pub(super) changed: bool,
    /// Whether it stands as desired, ready or not.
    pub(super) stands: bool,
    /// Whether the site refused it for a reason that passes within moments.
    pub(super) early: bool,
}

impl Standing {
    fn at(desired: &Desired, live: &Value, changed: bool, rules: &Rules) -> Self {
        let (state, message, failure) = match rules.get(&desired.entry.kind) {
            Some(Err(wrong)) => {
                let message = format!(
                    "the readiness rule for {} is wrong: {wrong}; have the catalogue item corrected",
                    desired.entry.kind
                );
                ("Failed", message.clone(), Some(message))
            }
            Some(Ok(rule)) => judged(readiness(live, Some(rule))),
            None => judged(readiness(live, None)),
        };
        let entry = InventoryEntry {
            uid: Some(text(live, "/metadata/uid").to_owned()),
            state: state.to_owned(),
            message: cut(message, 500),
            ..desired.entry.clone()
        };
        Self { entry, failure, changed, stands: true, early: false }
    }

    /// It does not stand, and that passes by itself.
    pub(super) fn waiting(desired: &Desired, uid: Option<&str>, message: impl Into<String>) -> Self {
        let entry = InventoryEntry {
            uid: uid.map(str::to_owned),
            state: if uid.is_some() { "Progressing" } else { "Intended" }.to_owned(),
            message: cut(message.into(), 500),
            ..desired.entry.clone()
        };
        Self { entry, failure: None, changed: false, stands: false, early: false }
    }

    fn failed(desired: &Desired, uid: Option<&str>, failure: String) -> Self {
        let failure = cut(failure, 500);
        let entry = InventoryEntry {
            uid: uid.map(str::to_owned),
            state: "Failed".to_owned(),
            message: failure.clone(),
            ..desired.entry.clone()
        };
        Self { entry, failure: Some(failure), changed: false, stands: false, early: false }
    }
}

fn judged(readiness: Readiness) -> (&'static str, String, Option<String>) {
    match readiness {
        Readiness::Ready => ("Ready", String::new(), None),
        Readiness::Progressing { reason } => ("Progressing", reason, None),
        Readiness::Failed { reason } => ("Failed", reason, None),
    }
}

/// Brings one object to what is desired.
///
/// Only what stands in the way of the whole site is an error; everything else is told of this object.
pub(super) async fn stand(
    link: &SiteLink,
    desired: &Desired,
    uid: Option<&str>,
    grant_uid: &str,
    rules: &Rules,
) -> Result<Standing, SiteError> {
    let place = Collection::holding(&desired.entry);
    let outcome = match uid {
        None => first(link, &place, desired, grant_uid, rules).await,
        Some(uid) => match again(link, &place, desired, uid, rules).await {
            Ok(vanished) if vanished.entry.uid.is_none() && seeded::is(Bug::RecreatedUnrecorded) => {
                first(link, &place, desired, grant_uid, rules).await
            }
            other => other,
        },
    };
    match outcome {
        Ok(standing) => Ok(standing),
        Err(failure) => told(desired, uid, failure),
    }
}

/// The first write is a create: what is there already is the grant's only if it says so.
async fn first(
    link: &SiteLink,
    place: &Collection,
    desired: &Desired,
    grant_uid: &str,
    rules: &Rules,
) -> Result<Standing, Failure> {
    let name = &desired.entry.name;
    let body = stamped(&desired.body, link.permit()?, None);
    match link.create(place, name, &body, Write::Real).await {
        Ok(live) => Ok(Standing::at(desired, &live, true, rules)),
        // Created before a crash, it may be refused as existing, but also as one too many by the very quota that it fills.
        Err(Failure::Answer(status)) => match link.get(place, name).await? {
            Some(live) if label(&live, marks::LABEL_GRANT_UID) == grant_uid || seeded::is(Bug::ForeignAdopted) => {
                keep(link, place, desired, &live, rules).await
            }
            Some(_) => Ok(foreign(desired, None)),
            None if status.reason == "AlreadyExists" => {
                Ok(Standing::waiting(desired, None, "it went away while it was created; it is tried again"))
            }
            None => Err(Failure::Answer(status)),
        },
        Err(failure) => Err(failure),
    }
}

/// Later writes are for the object with the recorded UID alone.
async fn again(
    link: &SiteLink,
    place: &Collection,
    desired: &Desired,
    uid: &str,
    rules: &Rules,
) -> Result<Standing, Failure> {
    match link.get(place, &desired.entry.name).await? {
        // The record gives the UID up first: a crash after the next create must find an intent, not somebody else's UID.
        None => Ok(Standing::waiting(desired, None, "it vanished from the site; it is created again")),
        Some(live) if text(&live, "/metadata/uid") == uid || seeded::is(Bug::ForeignAdopted) => {
            keep(link, place, desired, &live, rules).await
        }
        Some(_) => Ok(foreign(desired, Some(uid))),
    }
}

/// Changes a live object of ours where it differs.
async fn keep(
    link: &SiteLink,
    place: &Collection,
    desired: &Desired,
    live: &Value,
    rules: &Rules,
) -> Result<Standing, Failure> {
    let uid = text(live, "/metadata/uid");
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return Ok(Standing::waiting(
            desired,
            Some(uid),
            "it is being deleted at the site; it is created again when it is gone",
        ));
    }
    let exact = is_frame(&desired.entry);
    let differs = |live: &Value| !covers(live, &desired.body) || (exact && says_more(live, &desired.body));
    if !differs(live) || seeded::is(Bug::DriftNotRepaired) {
        return Ok(Standing::at(desired, live, false, rules));
    }
    let epoch = link.permit()?;
    let name = &desired.entry.name;
    let mut after = link.server_side_apply(place, name, &stamped(&desired.body, epoch, Some(uid))).await?;
    if exact && says_more(&after, &desired.body) {
        // Fields of other owners stay through an apply; in our own rules there are none.
        let mut patch = less(&after, &desired.body);
        if let Some(patch) = patch.as_object_mut() {
            patch.insert("metadata".to_owned(), guard(&after, epoch));
        }
        after = link.merge(place, name, &patch).await?;
    }
    tracing::info!(
        site = link.name(),
        kind = desired.entry.kind,
        namespace = desired.entry.namespace,
        name,
        "brought back to what is desired"
    );
    Ok(Standing::at(desired, &after, true, rules))
}

/// Whether an object is part of the frame around a grant, in which nothing may stand that was not put there.
fn is_frame(entry: &InventoryEntry) -> bool {
    entry.name.starts_with(marks::SITE_OBJECT_PREFIX)
        && matches!(entry.kind.as_str(), "ResourceQuota" | "LimitRange" | "NetworkPolicy" | "RoleBinding")
}

/// The fields of an object that are its own matter, not the API server's.
fn content(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status"))
}

/// Whether a live object says something that is not desired.
fn says_more(live: &Value, desired: &Value) -> bool {
    content(live).any(|(key, have)| !covers(desired.get(key).unwrap_or(&Value::Null), have) && !is_nothing(have))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// A merge patch that leaves of a live object's content what is desired and no more.
fn less(live: &Value, desired: &Value) -> Value {
    let fields = content(live)
        .map(|(key, have)| (key.clone(), desired.get(key).map_or(Value::Null, |want| reduced(have, want))));
    Value::Object(fields.collect())
}

fn reduced(have: &Value, want: &Value) -> Value {
    match (have, want) {
        (Value::Object(have), Value::Object(want)) => {
            let mut patch: Map<String, Value> = want
                .iter()
                .map(|(k, v)| (k.clone(), have.get(k).map_or_else(|| v.clone(), |h| reduced(h, v))))
                .collect();
            patch.extend(have.keys().filter(|k| !want.contains_key(*k)).map(|k| (k.clone(), Value::Null)));
            Value::Object(patch)
        }
        _ => want.clone(),
    }
}

/// A manifest with the epoch on it, and the UID that it is for.
pub(super) fn stamped(body: &Value, epoch: i64, uid: Option<&str>) -> Value {
    let mut body = body.clone();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(marks::ANNOTATION_EPOCH.to_owned(), json!(epoch.to_string()));
        }
        if let Some(uid) = uid {
            metadata.insert("uid".to_owned(), json!(uid));
        }
    }
    body
}

fn foreign(desired: &Desired, uid: Option<&str>) -> Standing {
    let (kind, name) = (&desired.entry.kind, &desired.entry.name);
    Standing::failed(
        desired,
        uid,
        format!("{kind} {name} exists at the site and is not ours; rename the item or have that object removed"),
    )
}

/// What an answer in the 400s means for this object.
fn told(desired: &Desired, uid: Option<&str>, failure: Failure) -> Result<Standing, SiteError> {
    let status = match failure {
        // A part of the site failed, perhaps only for this kind: the other objects are tried all the same.
        Failure::Site(SiteError::Failing { cause, .. }) => {
            return Ok(Standing::waiting(desired, uid, format!("the site failed: {cause}; it is tried again")));
        }
        Failure::Site(error) => return Err(error),
        Failure::Answer(status) => status,
    };
    let (kind, name) = (&desired.entry.kind, &desired.entry.name);
    if is_early(&status.message) {
        return Ok(Standing { early: true, ..Standing::waiting(desired, uid, said(&status)) });
    }
    if is_not_served(&status) {
        return Ok(Standing::failed(
            desired,
            uid,
            format!(
                "{kind} {name}: the site does not have this kind; have its operator installed there, or choose another site"
            ),
        ));
    }
    if status.code == 409 || status.code == 404 {
        return Ok(Standing::waiting(desired, uid, format!("it changed meanwhile: {}", said(&status))));
    }
    Ok(Standing::failed(desired, uid, format!("{kind} {name} was refused by the site: {}", said(&status))))
}

/// Whether a refusal passes within moments: the namespace or its quota is only just being set up, or just going.
fn is_early(message: &str) -> bool {
    message.contains("status unknown for quota")
        || message.contains("error looking up service account")
        || message.contains("is being terminated")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use zhengyun_domain::delivery::covers;

    use super::{less, says_more, stamped};

    #[test]
    fn what_somebody_added_to_the_frame_is_found_and_taken_away() {
        let desired = json!({ "spec": { "hard": { "cpu": "4" }, "podSelector": {} } });
        let live = json!({ "metadata": { "uid": "u" }, "spec": { "hard": { "cpu": "4000m", "pods": "0" } }, "status": { "used": {} } });
        assert!(covers(&live, &desired));
        assert!(says_more(&live, &desired));
        assert_eq!(
            less(&live, &desired),
            json!({ "spec": { "hard": { "cpu": "4", "pods": null }, "podSelector": {} } })
        );
    }

    #[test]
    fn a_rule_added_to_the_default_deny_is_more_than_desired() {
        let desired = json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } });
        let opened = json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}] } });
        assert!(covers(&opened, &desired));
        assert!(says_more(&opened, &desired));
        assert_eq!(less(&opened, &desired).pointer("/spec/ingress"), Some(&Value::Null));
    }

    #[test]
    fn the_api_servers_own_spelling_is_not_more() {
        let desired = json!({ "spec": { "hard": { "requests.memory": "1024Mi", "cpu": "0.5" } } });
        let live = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "spec": { "hard": { "requests.memory": "1Gi", "cpu": "500m" }, "scopes": [] } });
        assert!(!says_more(&live, &desired));
    }

    #[test]
    fn a_stamped_manifest_keeps_its_own_annotations() {
        let body = json!({ "metadata": { "name": "a", "annotations": { "k": "v" } } });
        let stamped = stamped(&body, 7, Some("u"));
        assert_eq!(
            stamped,
            json!({ "metadata": { "name": "a", "uid": "u", "annotations": { "k": "v", "zhengyun.io/epoch": "7" } } })
        );
    }
}
