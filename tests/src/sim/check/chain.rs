//! I2, one approved request, one grant; I3, no grant is charged without its chain of approvals over exactly the order reviewed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::run::Standing;
use super::{View, on_hub, restored, text};
use crate::apiserver::Verb;

pub(super) fn one_grant(view: &View<'_>) -> Vec<String> {
    if !view.is_hub("resourcegrants") || view.commit.verb != Verb::Create {
        return Vec::new();
    }
    let request = text(&view.commit.after, "/spec/request/uid");
    let twins = on_hub(view.before, "resourcegrants").filter(|(_, g)| text(g, "/spec/request/uid") == request);
    // A drill has one for each namespace that it tries.
    let drill = on_hub(view.before, "recoverydrills").find(|(_, drill)| text(drill, "/metadata/uid") == request);
    let parts = drill.and_then(|(_, drill)| drill.pointer("/status/parts")?.as_array());
    let spaces = parts.into_iter().flatten().filter(|part| text(part, "/kind") == "Namespace").count();
    twins
        .skip(spaces.saturating_sub(1))
        .map(|(key, _)| format!("the request {request} has the grant {} already", key.name))
        .collect()
}

pub(super) fn at_the_end(standing: &Standing) -> Vec<String> {
    let mut grants: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, grant) in on_hub(standing, "resourcegrants") {
        let count = grants.entry(text(grant, "/spec/request/uid")).or_default();
        *count = count.saturating_add(1);
    }
    let carried_out = on_hub(standing, "resourcerequests")
        .filter(|(_, r)| text(r, "/spec/order/action") == "Create" && text(r, "/status/phase") == "Applied");
    carried_out
        .filter_map(|(key, request)| {
            let count = grants.get(text(request, "/metadata/uid")).copied().unwrap_or_default();
            (count != 1).then(|| format!("request {} is carried out and has {count} grants", key.name))
        })
        .collect()
}

pub(super) fn approved(view: &View<'_>) -> Vec<String> {
    let grants = view.is_hub("resourcegrants");
    let (before, after) = view.change("/status/charge/granted");
    let something = |v: Option<&Value>| v.and_then(Value::as_object).is_some_and(|m| !m.is_empty());
    if !grants || something(before) || !something(after) {
        return Vec::new();
    }
    let grant = &view.commit.after;
    let uid = text(grant, "/spec/request/uid");
    if let Some(wrong) = restored::scratch_of(view) {
        return wrong;
    }
    let Some((key, request)) = on_hub(view.after, "resourcerequests").find(|(_, r)| text(r, "/metadata/uid") == uid)
    else {
        return vec![format!("the grant's request {uid} is not there")];
    };
    let mut wrong = Vec::new();
    let digest = text(request, "/status/review/orderDigest");
    let reviewed = request.pointer("/status/review/charge");
    if reviewed != grant.pointer("/spec/charge") {
        wrong.push(format!("reviewed was {reviewed:?}, granted is {:?}", grant.pointer("/spec/charge")));
    }
    let mut forbidden: BTreeSet<&str> =
        BTreeSet::from([text(request, "/spec/requestedBy"), text(request, "/spec/editedBy")]);
    let editors = request.pointer("/status/editors").and_then(Value::as_array).into_iter().flatten();
    forbidden.extend(editors.filter_map(Value::as_str));
    let approvals: Vec<&Value> = on_hub(view.after, "approvals")
        .map(|(_, approval)| approval)
        .filter(|a| text(a, "/spec/requestUID") == uid && text(a, "/spec/orderDigest") == digest)
        .filter(|a| text(a, "/spec/verdict") == "Approve")
        .collect();
    let mut deciders = BTreeSet::new();
    for stage in request.pointer("/status/review/stages").and_then(Value::as_array).into_iter().flatten() {
        let name = text(stage, "/name");
        let by: Vec<&str> = approvals
            .iter()
            .filter(|a| text(a, "/spec/stage") == name)
            .map(|a| text(a, "/spec/approver/username"))
            .filter(|who| !forbidden.contains(who))
            .collect();
        let quorum = stage.get("quorum").and_then(Value::as_u64).unwrap_or(1).max(1);
        if u64::try_from(by.len()).unwrap_or_default() < quorum {
            wrong.push(format!("request {} has no valid approval of stage {name} over {digest}", key.name));
        }
        for who in by {
            if !deciders.insert(who) {
                wrong.push(format!("{who} decided twice on {}", key.name));
            }
        }
    }
    wrong
}

/// What a request reserves is what is reviewed, no more.
pub(super) fn reserved_as_reviewed(view: &View<'_>) -> Vec<String> {
    let (before, after) = view.change("/status/charge/reserved");
    if !view.is_hub("resourcerequests") || before == after {
        return Vec::new();
    }
    let reviewed = view.commit.after.pointer("/status/review/charge");
    match after.filter(|a| a.as_object().is_some_and(|m| !m.is_empty())) {
        Some(reserved) if Some(reserved) != reviewed => {
            vec![format!("reserved is {reserved}, reviewed is {reviewed:?}")]
        }
        _ => Vec::new(),
    }
}
