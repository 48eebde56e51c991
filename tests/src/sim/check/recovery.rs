//! I14: what is said of backups, restores and drills is true of the buckets and sites at that very moment.
//!
//! Nothing of the controllers, and nothing that a simulated process reported, is believed: signatures, roots and contents are looked
//! up and computed anew from what stands in the record.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::recovery::evidence::{self, Items, verifies};
use super::super::recovery::{BUCKETS, PLACE};
use super::super::run::Standing;
use super::{View, on_hub, text};
use crate::apiserver::{Key, Verb};

const TERMINAL: [&str; 9] =
    ["Completed", "Incomplete", "Failed", "Cancelled", "Planned", "Refused", "Passed", "Skipped", "Revoked"];

/// Whether a phase is an end.
pub(super) fn ended(object: &Value) -> bool {
    TERMINAL.contains(&text(object, "/status/phase"))
}

/// A copy of a backup, as its status tells of it.
struct Copy<'a> {
    store: &'a str,
    state: &'a str,
    snapshot: &'a str,
}

fn copies(backup: &Value) -> impl Iterator<Item = Copy<'_>> {
    let all = backup.pointer("/status/copies").and_then(Value::as_array).into_iter().flatten();
    all.map(|copy| Copy { store: text(copy, "/store"), state: text(copy, "/state"), snapshot: text(copy, "/snapshot") })
}

/// What a backup says of its copy in a store.
pub(super) struct Copied<'a> {
    pub(super) state: &'a str,
    pub(super) snapshot: &'a str,
    pub(super) root: &'a str,
}

/// What a backup says of its copy in a store; none if it names none.
pub(super) fn copied<'a>(backup: &'a Value, store: &str) -> Option<Copied<'a>> {
    let copy = copies(backup).find(|copy| copy.store == store)?;
    Some(Copied { state: copy.state, snapshot: copy.snapshot, root: text(backup, "/status/manifest/root") })
}

fn state_in<'a>(backup: &'a Value, store: &str) -> &'a str {
    copies(backup).find(|copy| copy.store == store).map(|copy| copy.state).unwrap_or_default()
}

fn department(namespace: &str) -> &str {
    namespace.trim_start_matches("dept-")
}

/// The bucket of a store.
pub(super) fn bucket_of<'a>(standing: &'a Standing, store: &str) -> &'a str {
    let found = on_hub(standing, "backupstores").find(|(key, _)| key.name == store);
    found.map(|(_, store)| text(store, "/spec/backend/s3/bucket")).unwrap_or_default()
}

/// Objects of a department in a bucket whose names begin alike, in their order.
fn stored<'a>(
    standing: &'a Standing,
    bucket: &str,
    department: &str,
    what: &str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let prefix = format!("{department}.{what}.");
    let key = Key {
        group: String::new(),
        plural: "configmaps".to_owned(),
        namespace: PLACE.to_owned(),
        name: prefix.clone(),
    };
    let bucket = bucket.to_owned();
    standing
        .range((bucket.clone(), key)..)
        .take_while(move |((cluster, key), _)| *cluster == bucket && key.plural == "configmaps")
        .filter_map(move |((_, key), object)| Some((key.name.strip_prefix(&prefix)?, object.as_ref())))
}

/// What a snapshot holds; none if it is not there or cannot be read.
pub(super) fn items_of(standing: &Standing, bucket: &str, department: &str, snapshot: &str) -> Option<Items> {
    let (_, object) = stored(standing, bucket, department, "snapshot").find(|(name, _)| *name == snapshot)?;
    serde_json::from_str(text(object, "/data/items")).ok()
}

/// What is wrong with the evidence of a backup in a store; none if a signed link names snapshot and root, no later one says that it
/// is forgotten, and what is stored comes to that root.
pub(super) fn unproven(
    standing: &Standing,
    department: &str,
    store: &str,
    snapshot: &str,
    root: &str,
) -> Option<String> {
    let bucket = bucket_of(standing, store);
    let signer = evidence::sign(&evidence::signing_key(), "").map(|(_, signer)| signer).unwrap_or_default();
    let mut signed = false;
    for (number, link) in stored(standing, bucket, department, "link") {
        let (said, by) = (text(link, "/data/statement"), text(link, "/data/signer"));
        if by != signer || !verifies(by, said, text(link, "/data/signature")) {
            return Some(format!("link {number} of {bucket} is not signed by the control plane"));
        }
        let said: Value = serde_json::from_str(said).unwrap_or_default();
        if text(&said, "/event/backup/snapshot") == snapshot && text(&said, "/event/backup/root") == root {
            signed = true;
        }
        if names(&said).any(|name| name == snapshot) {
            return Some(format!("link {number} of {bucket} says that {snapshot} is forgotten"));
        }
    }
    if !signed {
        return Some(format!("no signed link of {bucket:?} names snapshot {snapshot:?} with root {root:?}"));
    }
    match items_of(standing, bucket, department, snapshot) {
        None => Some(format!("{bucket} does not hold snapshot {snapshot}")),
        Some(items) if evidence::root(&items) != root => Some(format!("{snapshot} in {bucket} is not what was signed")),
        Some(_) => None,
    }
}

/// Snapshots that a statement says are forgotten.
fn names(statement: &Value) -> impl Iterator<Item = &str> {
    statement.pointer("/event/forgotten").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// A backup is called good only while a signed manifest of it stands in the store and what is stored comes to it.
pub(super) fn good_is_proven(view: &View<'_>) -> Vec<String> {
    if !view.is_hub("systembackups") || view.commit.verb == Verb::Delete {
        return Vec::new();
    }
    let (backup, key) = (&view.commit.after, &view.commit.key);
    let former = view.commit.before.as_deref();
    let mut wrong = Vec::new();
    let root = text(backup, "/status/manifest/root");
    for copy in copies(backup).filter(|copy| copy.state == "Verified") {
        if former.is_some_and(|former| state_in(former, copy.store) == "Verified") {
            continue;
        }
        let problem = unproven(view.after, department(&key.namespace), copy.store, copy.snapshot, root);
        wrong.extend(problem.map(|problem| format!("its copy in {} is called verified: {problem}", copy.store)));
    }
    let (before, after) = view.change("/status/phase");
    let phase = after.and_then(Value::as_str).unwrap_or_default();
    if before == after || !matches!(phase, "Completed" | "Incomplete") {
        return wrong;
    }
    let verified = copies(backup).filter(|copy| copy.state == "Verified").count();
    let all = copies(backup).count();
    let covered = backup.pointer("/status/sources").and_then(Value::as_array).is_some_and(|sources| {
        let whole = |source: &Value| source.pointer("/uncovered").and_then(Value::as_array).is_none_or(Vec::is_empty);
        !sources.is_empty() && sources.iter().all(whole)
    });
    if verified == 0 || (phase == "Completed" && (verified < all || !covered)) {
        wrong.push(format!("it is {phase} with {verified} verified copies of {all}, covered: {covered}"));
    }
    for copy in copies(backup).filter(|copy| copy.state == "Verified") {
        let problem = unproven(view.after, department(&key.namespace), copy.store, copy.snapshot, root);
        wrong.extend(problem.map(|problem| format!("it is {phase}, and its copy in {}: {problem}", copy.store)));
    }
    wrong
}

/// What a plan calls its last good backup is one.
pub(super) fn plans_tell_the_truth(view: &View<'_>) -> Vec<String> {
    let (before, after) = view.change("/status/copies");
    if !view.is_hub("recoveryplans") || before == after {
        return Vec::new();
    }
    let told = after.and_then(Value::as_array).into_iter().flatten();
    let named = told.map(|copy| (text(copy, "/store"), text(copy, "/lastGood"))).filter(|(_, name)| !name.is_empty());
    let backup_of = |name: &str| {
        let space = &view.commit.key.namespace;
        on_hub(view.after, "systembackups").find(|(key, _)| key.namespace == *space && key.name == name)
    };
    let wrong = named.filter(|(store, name)| {
        backup_of(name).is_some_and(|(_, backup)| {
            text(backup, "/status/phase") != "Completed" || !matches!(state_in(backup, store), "Verified" | "Forgotten")
        })
    });
    wrong.map(|(store, name)| format!("it calls {name} good in {store}, which is not whole and verified")).collect()
}

/// What stands of a backup in buckets, by the bucket and the snapshot: namespace, name and object on the hub.
fn owners<'a>(standing: &'a Standing, bucket: &str) -> BTreeMap<&'a str, (&'a Key, &'a Value)> {
    let mut owners = BTreeMap::new();
    for (key, backup) in on_hub(standing, "systembackups") {
        for copy in copies(backup).filter(|copy| bucket_of(standing, copy.store) == bucket) {
            owners.insert(copy.snapshot, (key, backup));
        }
    }
    owners
}

/// Neither retention, nor forgetting, nor pruning takes the last good copy away, nor one that is in use.
pub(super) fn last_good_stays(view: &View<'_>) -> Vec<String> {
    let key = &view.commit.key;
    if !BUCKETS.contains(&view.commit.cluster.as_str()) || view.commit.agent == "admin" {
        return Vec::new();
    }
    let bucket = view.commit.cluster.as_str();
    let mut doomed: Vec<String> = Vec::new();
    if let Some((_, snapshot)) = key.name.split_once(".snapshot.").filter(|_| view.commit.verb == Verb::Delete) {
        doomed.push(snapshot.to_owned());
    }
    if key.name.contains(".link.") && view.commit.verb == Verb::Create {
        let said: Value = serde_json::from_str(text(&view.commit.after, "/data/statement")).unwrap_or_default();
        doomed.extend(names(&said).map(str::to_owned));
    }
    let owners = owners(view.after, bucket);
    let mut wrong = Vec::new();
    for snapshot in &doomed {
        let Some((owner, backup)) = owners.get(snapshot.as_str()) else { continue };
        let (name, at) = (&owner.name, text(backup, "/status/capturedAt"));
        let was = copies(backup).find(|copy| copy.snapshot == snapshot).map(|copy| copy.state).unwrap_or_default();
        if was == "Verified" && !text(backup, "/status/phase").is_empty() {
            // Another good one that is not older must stand in the same bucket after this write.
            let stands = owners.values().any(|(key, other)| {
                key.namespace == owner.namespace
                    && text(other, "/spec/planUID") == text(backup, "/spec/planUID")
                    && text(other, "/status/capturedAt") >= at
                    && copies(other).any(|copy| {
                        !doomed.iter().any(|doomed| doomed == copy.snapshot)
                            && copy.state == "Verified"
                            && bucket_of(view.after, copy.store) == bucket
                            && unproven(
                                view.after,
                                department(&key.namespace),
                                copy.store,
                                copy.snapshot,
                                text(other, "/status/manifest/root"),
                            )
                            .is_none()
                    })
            });
            if !stands {
                wrong.push(format!("the last good backup {name} goes from {bucket}"));
            }
        }
        if !matches!(text(backup, "/status/retention/fate"), "Drop" | "Dropped") {
            wrong.push(format!(
                "{name} goes from {bucket} and does not say so: {:?}",
                backup.pointer("/status/retention")
            ));
        }
        let uses = |kind, pointer: &'static str| {
            on_hub(view.after, kind).any(move |(key, run)| {
                key.namespace == owner.namespace && !ended(run) && text(run, pointer) == owner.name
            })
        };
        let restores = on_hub(view.after, "systemrestores").any(|(key, restore)| {
            key.namespace == owner.namespace
                && !text(restore, "/status/startedAt").is_empty()
                && !ended(restore)
                && text(restore, "/spec/backup") == owner.name
        });
        if restores || uses("recoverydrills", "/status/backup") {
            wrong.push(format!("{name} goes from {bucket} while a restore or a drill rests on it"));
        }
    }
    wrong
}

/// What the hub knows of a chain never goes back: with it an old copy of a repository shows.
pub(super) fn known_heads_rise(view: &View<'_>) -> Vec<String> {
    let key = &view.commit.key;
    let ours = view.commit.cluster == "hub" && key.plural == "secrets" && key.name.starts_with("recovery-repository.");
    if !ours {
        return Vec::new();
    }
    let counter = |secret: &Value| {
        let text = data_encoding::BASE64.decode(text(secret, "/data/knownHead").as_bytes()).unwrap_or_default();
        let head: Value = serde_json::from_slice(&text).unwrap_or_default();
        head.get("counter").and_then(Value::as_u64)
    };
    let (before, after) = (view.commit.before.as_deref().and_then(counter), counter(&view.commit.after));
    if after < before { vec![format!("the known head falls from {before:?} to {after:?}")] } else { Vec::new() }
}
