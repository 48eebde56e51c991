//! Lists, in pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Refusal;
use super::ask::{Place, Query};
use super::kinds::KindInfo;
use super::selector::Selector;
use super::store::{Key, State};

/// A snapshot that further pages of a list are taken from.
#[derive(Debug)]
pub(crate) struct Snapshot {
    revision: u64,
    rest: Vec<Arc<Value>>,
}

/// Lists under way, by their continue token.
pub(crate) type Snapshots = BTreeMap<String, Snapshot>;

/// Lists objects of a kind.
pub(crate) fn list(
    state: &State,
    snapshots: &mut Snapshots,
    kind: &KindInfo,
    place: &Place,
    query: &Query,
    metadata_only: bool,
) -> Result<Value, Refusal> {
    let selector = Selector::of(query.get("labelSelector"), query.get("fieldSelector"), kind)?;
    query.list_options()?;
    let told = |told: String| Refusal::bad(format!("invalid resource version: {told}"));
    let asked = query.version().map_err(told)?;
    let limit = query.whole("limit")?.filter(|l| *l > 0).and_then(|l| usize::try_from(l).ok());
    if let Some(asked) = asked.filter(|_| query.get("continue").is_none()) {
        if asked > state.revision {
            return Err(Refusal::too_large_version(asked, state.revision));
        }
        let exact = match query.get("resourceVersionMatch") {
            None => limit.is_some() && asked > 0,
            Some(said) => said == "Exact",
        };
        if exact && asked < state.revision {
            return Err(Refusal::not_modelled("lists of what there was"));
        }
    }
    let (revision, all) = match query.get("continue") {
        Some(token) => {
            if asked.is_some_and(|asked| asked > 0) {
                return Err(Refusal::bad("specifying resource version is not allowed when using continue"));
            }
            let snapshot = snapshots.get(token).ok_or_else(|| unknown_token(token))?;
            (snapshot.revision, snapshot.rest.clone())
        }
        None => (state.revision, in_order(state, kind, place, &selector)),
    };
    let mut found = Vec::new();
    let mut seen = 0_usize;
    for object in &all {
        if limit.is_some_and(|limit| found.len() >= limit) {
            break;
        }
        seen = seen.saturating_add(1);
        if selector.takes(object) {
            found.push(Arc::clone(object));
        }
    }
    let mut metadata = json!({ "resourceVersion": revision.to_string() });
    if let Some(metadata) = metadata.as_object_mut() {
        // There is more as long as there are objects that were not looked at, selected or not.
        let rest = all.get(seen..).unwrap_or_default();
        if !rest.is_empty() {
            let token = format!("{revision}:{}:{}", last_key(kind, found.last()), rest.len());
            metadata.insert("continue".to_owned(), json!(token));
            if selector.takes_everything() {
                metadata.insert("remainingItemCount".to_owned(), json!(rest.len()));
            }
            snapshots.insert(token, Snapshot { revision, rest: rest.to_vec() });
        } else if kind.schema.is_some() && !metadata_only {
            // Lists of custom resources say that there is no more.
            metadata.insert("continue".to_owned(), json!(""));
        }
    }
    if metadata_only {
        let items: Vec<Value> = found.iter().map(|o| only_metadata(o)).collect();
        // The real server says null for none.
        let items = if items.is_empty() { Value::Null } else { Value::Array(items) };
        return Ok(
            json!({ "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items }),
        );
    }
    let mut items: Vec<Value> = found.iter().map(|o| o.as_ref().clone()).collect();
    if kind.schema.is_none() {
        // Items of built-in lists do not say what they are.
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.remove("apiVersion");
            item.remove("kind");
        }
    }
    Ok(
        json!({ "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata, "items": items }),
    )
}

/// Objects of a kind in the order of their keys in the store, where the namespace ends with a slash. If a name is selected, that
/// object alone.
pub(crate) fn in_order(state: &State, kind: &KindInfo, place: &Place, selector: &Selector) -> Vec<Arc<Value>> {
    let mut all: Vec<(&Key, &Arc<Value>)> = state.of_kind(kind, &place.namespace).collect();
    if kind.namespaced && place.namespace.is_empty() {
        all.sort_by_cached_key(|(key, _)| format!("{}/{}", key.namespace, key.name));
    }
    let single = selector.name().filter(|_| !kind.namespaced || !place.namespace.is_empty());
    all.into_iter()
        .filter(|(key, _)| single.is_none_or(|name| key.name == name))
        .map(|(_, object)| Arc::clone(object))
        .collect()
}

fn unknown_token(token: &str) -> Refusal {
    let ours = token.split_once(':').is_some_and(|(revision, _)| revision.parse::<u64>().is_ok());
    if ours {
        Refusal::new(
            410,
            "Expired",
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
        )
    } else {
        Refusal::bad("invalid continue token: continue key is not valid")
    }
}

fn last_key(kind: &KindInfo, object: Option<&Arc<Value>>) -> String {
    let text =
        |pointer: &str| object.and_then(|o| o.pointer(pointer)).and_then(Value::as_str).unwrap_or_default().to_owned();
    Key::of(kind, &text("/metadata/namespace"), &text("/metadata/name")).to_string().replace(' ', "/")
}

/// An object's metadata alone, as it is asked for with `as=PartialObjectMetadata`.
pub(crate) fn only_metadata(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.get("metadata") })
}
