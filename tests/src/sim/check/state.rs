//! I6, only legal transitions; I7, what was observed is what there was.

use serde_json::Value;

use super::super::run::Standing;
use super::{View, number, text};
use crate::apiserver::Verb;

/// From, to: the life cycle as the documents tell it.
const REQUESTS: &[(&str, &str)] = &[
    ("", "Draft"),
    ("", "InReview"),
    ("", "Approved"),
    ("", "Withdrawn"),
    ("Draft", "InReview"),
    ("Draft", "Approved"),
    ("Draft", "Withdrawn"),
    ("Draft", "Expired"),
    ("InReview", "Approved"),
    ("InReview", "ReturnedForCorrection"),
    ("InReview", "Rejected"),
    ("InReview", "Withdrawn"),
    ("InReview", "Expired"),
    ("ReturnedForCorrection", "InReview"),
    ("ReturnedForCorrection", "Approved"),
    ("ReturnedForCorrection", "Withdrawn"),
    ("ReturnedForCorrection", "Expired"),
    ("Approved", "Applied"),
    ("Approved", "Withdrawn"),
];
const GRANTS: &[(&str, &str)] = &[
    ("", "Pending"),
    ("", "Provisioning"),
    ("Pending", "Provisioning"),
    // The scratch of a drill that found no room.
    ("Pending", "Revoked"),
    ("Provisioning", "InService"),
    ("Provisioning", "Revoking"),
    ("InService", "Revoking"),
    ("Revoking", "Provisioning"),
    // Undone before anything was taken away.
    ("Revoking", "InService"),
    ("Revoking", "Revoked"),
];

const BACKUPS: &[(&str, &[&str])] = &[
    ("", &["Pending", "Reserving", "Failed", "Cancelled"]),
    ("Pending", &["Reserving", "Failed", "Cancelled"]),
    ("Reserving", &["Capturing", "Failed", "Cancelling"]),
    ("Capturing", &["Replicating", "Verifying", "Failing", "Cancelling"]),
    ("Replicating", &["Verifying", "Incomplete", "Failing", "Cancelling"]),
    ("Verifying", &["Completed", "Incomplete", "Failing", "Cancelling"]),
    ("Failing", &["Failed"]),
    ("Cancelling", &["Cancelled"]),
];
const RESTORES: &[(&str, &[&str])] = &[
    ("", &["Pending", "Planning", "Refused", "Cancelled"]),
    ("Pending", &["Planning", "Refused", "Cancelled"]),
    // Several steps of a process may lie between two looks at it.
    (
        "Planning",
        &[
            "Planned",
            "Checking",
            "Restoring",
            "Comparing",
            "Completed",
            "Incomplete",
            "Refused",
            "Failed",
            "Cancelling",
        ],
    ),
    ("Checking", &["Restoring", "Comparing", "Completed", "Incomplete", "Refused", "Failed", "Cancelling"]),
    ("Restoring", &["Comparing", "Completed", "Incomplete", "Failed", "Cancelling"]),
    ("Comparing", &["Completed", "Incomplete", "Failed", "Cancelling"]),
    ("Cancelling", &["Cancelled"]),
];
const DRILLS: &[(&str, &[&str])] = &[
    ("", &["Pending", "Reserving", "Failed", "Cancelled"]),
    ("Pending", &["Reserving", "Failed", "Cancelled"]),
    ("Reserving", &["Preparing", "Skipped", "Failed", "Abandoning", "Cancelling"]),
    ("Preparing", &["Restoring", "Abandoning", "Cancelling"]),
    ("Restoring", &["Comparing", "Removing", "Abandoning", "Cancelling"]),
    // Back only for the next part, which `restored` looks at.
    ("Comparing", &["Restoring", "Removing", "Abandoning", "Cancelling"]),
    ("Removing", &["Passed"]),
    ("Abandoning", &["Failed"]),
    ("Cancelling", &["Cancelled"]),
];

/// The same for runs of disaster recovery.
pub(super) fn legal_runs(view: &View<'_>) -> Vec<String> {
    let tables = [("systembackups", BACKUPS), ("systemrestores", RESTORES), ("recoverydrills", DRILLS)];
    let Some((_, table)) = tables.into_iter().find(|(plural, _)| view.is_hub(plural)) else { return Vec::new() };
    if view.commit.verb == Verb::Delete {
        return Vec::new();
    }
    let from = view.commit.before.as_ref().map(|b| text(b, "/status/phase")).unwrap_or_default();
    let to = text(&view.commit.after, "/status/phase");
    let legal = from == to || table.iter().any(|(at, next)| *at == from && next.contains(&to));
    if legal { Vec::new() } else { vec![format!("from {from:?} to {to:?}")] }
}

pub(super) fn legal(view: &View<'_>) -> Vec<String> {
    let table = if view.is_hub("resourcerequests") {
        REQUESTS
    } else if view.is_hub("resourcegrants") {
        GRANTS
    } else {
        return Vec::new();
    };
    if view.commit.verb == Verb::Delete {
        return Vec::new();
    }
    let from = view.commit.before.as_ref().map(|b| text(b, "/status/phase")).unwrap_or_default();
    let to = text(&view.commit.after, "/status/phase");
    if from == to || table.contains(&(from, to)) { Vec::new() } else { vec![format!("from {from:?} to {to:?}")] }
}

pub(super) fn observed(view: &View<'_>) -> Vec<String> {
    let ours =
        view.commit.cluster == "hub" && view.commit.key.group == "zhengyun.io" && view.commit.verb == Verb::Update;
    let (before, after) = view.change("/status");
    if !ours || before == after {
        return Vec::new();
    }
    let generation = number(&view.commit.after, "/metadata/generation");
    let seen = number(&view.commit.after, "/status/observedGeneration");
    let was = view.commit.before.as_ref().map(|b| number(b, "/status/observedGeneration")).unwrap_or_default();
    let mut wrong = Vec::new();
    if seen > generation {
        wrong.push(format!("it observed generation {seen} of {generation}"));
    }
    if seen < was {
        wrong.push(format!("observedGeneration falls from {was} to {seen}"));
    }
    let ready_of = |object: &'_ Value| -> Option<Value> {
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().find(|c| text(c, "/type") == "Ready").cloned()
    };
    // One that is carried along says itself which generation it speaks of.
    let former = view.commit.before.as_ref().and_then(|b| ready_of(b));
    let ready = ready_of(&view.commit.after).filter(|r| former.as_ref() != Some(r));
    let spoken = ready.as_ref().filter(|r| text(r, "/status") == "True").map(|r| number(r, "/observedGeneration"));
    // The ledger's spec is an administrator's word, which the operator answers by itself.
    if let Some(spoken) = spoken
        && spoken != generation
        && view.commit.key.plural != "ledgers"
    {
        wrong.push(format!("Ready=True speaks of generation {spoken}, there is {generation}"));
    }
    wrong
}

/// A grant is in service once everything that it lists stands at its site, and is ready.
pub(super) fn in_service(view: &View<'_>) -> Vec<String> {
    let (before, after) = view.change("/status/phase");
    if !view.is_hub("resourcegrants") || before == after || after != Some(&Value::from("InService")) {
        return Vec::new();
    }
    let grant = &view.commit.after;
    let listed = grant.pointer("/status/inventory").and_then(Value::as_array).into_iter().flatten();
    let wrong = listed
        .filter(|entry| text(entry, "/state") != "Ready" || !stands(view.after, text(grant, "/spec/site"), entry));
    wrong
        .map(|entry| format!("it is in service and {} {} is not", text(entry, "/kind"), text(entry, "/name")))
        .collect()
}

fn stands(standing: &Standing, site: &str, entry: &Value) -> bool {
    let of = |pointer| text(entry, pointer).to_owned();
    let key = crate::apiserver::Key {
        group: of("/group"),
        plural: of("/plural"),
        namespace: of("/namespace"),
        name: of("/name"),
    };
    let live = standing.get(&(site.to_owned(), key));
    live.is_some_and(|live| text(live, "/metadata/uid") == text(entry, "/uid"))
}

/// Nothing lags behind when nothing moves any more.
pub(super) fn at_rest(standing: &Standing) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((cluster, key), object) in standing {
        // The ledger's spec is an administrator's word, which the operator answers by itself.
        if cluster != "hub" || key.group != "zhengyun.io" || key.plural == "ledgers" {
            continue;
        }
        let generation = number(object, "/metadata/generation");
        let seen = number(object, "/status/observedGeneration");
        if seen != generation {
            wrong.push(format!("{key} observed generation {seen} of {generation}"));
        }
        for condition in object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten() {
            let spoken = number(condition, "/observedGeneration");
            if text(condition, "/type") == "Ready" && spoken != generation {
                wrong.push(format!("Ready of {key} speaks of generation {spoken}, there is {generation}"));
            }
        }
    }
    wrong
}
