//! What stands at sites: I4, zero before a charge is released and nothing after; I5, no orphan; I12, no older epoch.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::run::Standing;
use super::{View, books, label, number, on_hub, restored, text};
use crate::apiserver::{Key, Verb};
use crate::sim::people;

const GRANT_UID: &str = "zhengyun.io/grant-uid";

/// What of a grant stands at its site: what carries its label, and volumes of its namespace.
pub(super) fn left<'a>(standing: &'a Standing, site: &str, grant: &Value) -> Vec<&'a Key> {
    let uid = text(grant, "/metadata/uid");
    let namespace = text(grant, "/status/namespace");
    standing
        .iter()
        .filter(|((cluster, _), _)| cluster == site)
        .filter(|((_, key), object)| {
            label(object, GRANT_UID) == uid
                || (!namespace.is_empty() && key.namespace == namespace)
                || (!namespace.is_empty() && text(object, "/spec/claimRef/namespace") == namespace)
        })
        .map(|((_, key), _)| key)
        .collect()
}

pub(super) fn zero_before_release(view: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    if view.is_hub("resourcegrants") {
        let (before, after) = view.change("/status/phase");
        if after == Some(&Value::from("Revoked")) && before != after {
            let grant = &view.commit.after;
            let standing = left(view.after, text(grant, "/spec/site"), grant);
            if let Some(first) = standing.first() {
                wrong.push(format!("it is Revoked while {first} and {} more stand", standing.len().saturating_sub(1)));
            }
            if grant.pointer("/status/zeroProof").is_none_or(Value::is_null) {
                wrong.push("it is Revoked without a proof of zero".to_owned());
            }
            let site = text(grant, "/spec/site");
            let held = books::held(view.after, site).remove(text(grant, "/metadata/uid")).unwrap_or_default();
            if !held.granted.is_empty() {
                wrong.push(format!("it is Revoked and holds {:?}", held.granted));
            }
        }
    }
    if view.is_hub("ledgers") || view.is_hub("resourcegrants") {
        for (_, grant) in on_hub(view.after, "resourcegrants") {
            let (site, uid) = (text(grant, "/spec/site"), text(grant, "/metadata/uid"));
            let granted = |standing| books::held(standing, site).remove(uid).map(|h| h.granted).unwrap_or_default();
            if !granted(view.before).is_empty() && granted(view.after).is_empty() {
                let standing = left(view.after, site, grant);
                if let Some(first) = standing.first() {
                    wrong.push(format!("the charge of {uid} is released while {first} stands"));
                }
            }
        }
    }
    wrong
}

fn by_driver(view: &View<'_>) -> bool {
    view.commit.cluster != "hub" && view.commit.user == people::driver().name
}

pub(super) fn nothing_after_the_end(view: &View<'_>) -> Vec<String> {
    if !by_driver(view) || view.commit.verb != Verb::Create {
        return Vec::new();
    }
    let uid = label(&view.commit.after, GRANT_UID);
    let over = on_hub(view.after, "resourcegrants")
        .find(|(_, g)| text(g, "/metadata/uid") == uid && text(g, "/status/phase") == "Revoked");
    over.map(|(key, _)| format!("it appears after grant {} was Revoked", key.name)).into_iter().collect()
}

pub(super) fn no_orphan(view: &View<'_>) -> Vec<String> {
    let fence = view.commit.key.plural == "configmaps" && view.commit.key.name == "zhengyun-fence";
    if !by_driver(view) || view.commit.verb != Verb::Create || fence || restored::is_binding(view) {
        return Vec::new();
    }
    let uid = label(&view.commit.after, GRANT_UID);
    let Some((_, grant)) = on_hub(view.after, "resourcegrants").find(|(_, g)| text(g, "/metadata/uid") == uid) else {
        return vec![format!("it is delivered for the grant {uid}, which is not there")];
    };
    let key = &view.commit.key;
    let listed = grant.pointer("/status/inventory").and_then(Value::as_array).into_iter().flatten().any(|entry| {
        text(entry, "/plural") == key.plural
            && text(entry, "/name") == key.name
            && text(entry, "/namespace") == key.namespace
            && text(entry, "/group") == key.group
    });
    if listed { Vec::new() } else { vec!["it is delivered before it stands in the inventory".to_owned()] }
}

/// What the driver changes or removes carries a grant's label, or is a pod in a namespace that does.
pub(super) fn nobody_elses(view: &View<'_>) -> Vec<String> {
    let key = &view.commit.key;
    let Some(before) = view.commit.before.as_ref().filter(|_| by_driver(view) && key.name != "zhengyun-fence") else {
        return Vec::new();
    };
    let space = Key {
        group: String::new(),
        plural: "namespaces".to_owned(),
        namespace: String::new(),
        name: key.namespace.clone(),
    };
    let around = view.before.get(&(view.commit.cluster.clone(), space)).filter(|_| key.plural == "pods");
    let ours = !label(before, GRANT_UID).is_empty() || around.is_some_and(|space| !label(space, GRANT_UID).is_empty());
    if ours { Vec::new() } else { vec!["it is somebody else's".to_owned()] }
}

pub(super) fn no_older_epoch(view: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    if view.is_hub("ledgers")
        && let Some(before) = view.commit.before.as_ref()
    {
        let (holder, epoch) = (text(before, "/status/holder"), number(before, "/status/epoch"));
        let taken = number(&view.commit.after, "/status/epoch") > epoch;
        let ours = view.commit.user == people::operator().name;
        if ours && !taken && !holder.is_empty() && holder != view.commit.agent {
            wrong.push(format!("{} writes the ledger that {holder} holds", view.commit.agent));
        }
    }
    if by_driver(view) && view.commit.verb != Verb::Delete {
        let fences: BTreeSet<i64> = view
            .before
            .iter()
            .filter(|((cluster, key), _)| *cluster == view.commit.cluster && key.name == "zhengyun-fence")
            .filter_map(|(_, fence)| text(fence, "/data/epoch").parse().ok())
            .collect();
        let own = view
            .commit
            .after
            .pointer("/metadata/annotations")
            .and_then(|a| a.get("zhengyun.io/epoch"))
            .and_then(Value::as_str)
            .and_then(|e| e.parse::<i64>().ok());
        if let (Some(fence), Some(own)) = (fences.last(), own)
            && own != *fence
            && view.commit.key.name != "zhengyun-fence"
        {
            wrong.push(format!("written with epoch {own}, the fence is at {fence}"));
        }
    }
    wrong
}
