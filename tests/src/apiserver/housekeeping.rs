//! The cluster's own controllers, **simulated**: what kube-controller-manager does with namespaces, owners, quotas and volumes.
//!
//! Each has an account of its own and goes through the same door as everybody, admission policies included.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask::Place;
use super::kinds::KindInfo;
use super::serve::{Apiserver, Inner};
use super::store::{Commit, Key, Verb};
use super::update::PatchKind;
use super::user::User;
use super::write::{Write, is_deleting, text};

/// kube-controller-manager waits this long before it empties a namespace.
const NAMESPACE_GRACE: Duration = Duration::from_secs(5);
/// Pause before a namespace that is not empty yet is looked at again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long the other controllers take.
const SOON: Duration = Duration::from_millis(5);

/// Runs until the future is dropped.
pub async fn run(server: Apiserver) {
    let server = Arc::clone(server.inner());
    let mut woken = super::pulse::Changes::of(&server.woken);
    let mut seen = server.state().begun;
    loop {
        woken.mark_unchanged();
        let commits: Vec<Arc<Commit>> = {
            let state = server.state();
            // What was compacted away was seen: this task is never behind.
            state.since(seen.max(state.begun)).unwrap_or_default().to_vec()
        };
        for commit in commits {
            seen = commit.revision;
            attend(&server, &commit);
        }
        woken.changed().await;
    }
}

fn attend(server: &Arc<Inner>, commit: &Arc<Commit>) {
    let core = commit.key.group.is_empty();
    match commit.key.plural.as_str() {
        "namespaces" if core && commit.verb == Verb::Update => {
            let newly = is_deleting(&commit.after) && !commit.before.as_ref().is_some_and(|b| is_deleting(b));
            if newly {
                tokio::spawn(empty(Arc::clone(server), commit.key.name.clone()));
            }
        }
        "resourcequotas" if core && commit.verb != Verb::Delete => {
            let hard = commit.after.pointer("/spec/hard").cloned().unwrap_or(json!({}));
            if commit.after.pointer("/status/hard") != Some(&hard) {
                later(server, commit, move |server, key| {
                    let used: serde_json::Map<String, Value> =
                        hard.as_object().into_iter().flatten().map(|(k, _)| (k.clone(), json!("0"))).collect();
                    patch(
                        server,
                        key,
                        "status",
                        "resourcequota-controller",
                        &json!({ "status": { "hard": hard, "used": used } }),
                    );
                });
            }
        }
        "persistentvolumes" | "persistentvolumeclaims" if core => volumes(server, commit),
        _ => {}
    }
    if commit.verb == Verb::Delete {
        later(server, commit, {
            let uid = text(&commit.after, "/metadata/uid").to_owned();
            move |server, _| collect_garbage(server, &uid)
        });
    }
}

fn later(server: &Arc<Inner>, commit: &Commit, act: impl FnOnce(&Arc<Inner>, &Key) + Send + 'static) {
    let (server, key) = (Arc::clone(server), commit.key.clone());
    tokio::spawn(async move {
        tokio::time::sleep(SOON).await;
        act(&server, &key);
        server.wake();
    });
}

fn account(name: &str) -> User {
    User {
        name: format!("system:serviceaccount:kube-system:{name}"),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            "system:serviceaccounts:kube-system".to_owned(),
            "system:authenticated".to_owned(),
        ],
        uid: format!("uid-{name}"),
    }
}

fn as_controller<T>(
    server: &Inner,
    key: &Key,
    part: &str,
    controller: &str,
    act: impl FnOnce(&mut super::store::State, &Write<'_>) -> T,
) -> Option<T> {
    let mut state = server.state();
    let kind: Arc<KindInfo> = state.kinds.all().find(|k| k.group == key.group && k.plural == key.plural).cloned()?;
    let place = Place {
        group: key.group.clone(),
        version: kind.version.clone(),
        plural: key.plural.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        part: part.to_owned(),
    };
    let user = account(controller);
    let write = Write {
        kind: &kind,
        place: &place,
        user: &user,
        agent: "kube-controller-manager",
        manager: "kube-controller-manager",
        dry_run: false,
        strict: false,
        at: server.clock().now(),
        rights: server.rights(),
    };
    Some(act(&mut state, &write))
}

fn patch(server: &Inner, key: &Key, part: &str, controller: &str, patch: &Value) {
    // Gone or changed meanwhile: then there is another event to act on.
    as_controller(server, key, part, controller, |state, write| {
        write.patch(state, PatchKind::Merge, patch.to_string().as_bytes()).is_ok()
    });
}

fn delete(server: &Inner, key: &Key, uid: &str, controller: &str) -> Option<String> {
    let options = json!({ "preconditions": { "uid": uid } });
    let answer = as_controller(server, key, "", controller, |state, write| write.delete(state, &options).map(|_| ()))?;
    answer.err().filter(|refusal| refusal.code != 404 && refusal.code != 409).map(|refusal| refusal.message)
}

/// Deletes what is owned by nobody that is left.
fn collect_garbage(server: &Arc<Inner>, gone: &str) {
    let dependants: Vec<(Key, String)> = {
        let state = server.state();
        let alive = |uid: &str| state.every().any(|(_, o)| text(o, "/metadata/uid") == uid);
        state
            .every()
            .filter(|(_, object)| {
                let owners: Vec<&str> = object
                    .pointer("/metadata/ownerReferences")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .map(|o| text(o, "/uid"))
                    .collect();
                owners.contains(&gone) && !owners.iter().any(|uid| alive(uid)) && !is_deleting(object)
            })
            .map(|(key, object)| (key.clone(), text(object, "/metadata/uid").to_owned()))
            .collect()
    };
    for (key, uid) in dependants {
        delete(server, &key, &uid, "generic-garbage-collector");
    }
}

/// Empties a namespace that is being deleted, then lets it go.
async fn empty(server: Arc<Inner>, name: String) {
    let namespace =
        Key { group: String::new(), plural: "namespaces".to_owned(), namespace: String::new(), name: name.clone() };
    tokio::time::sleep(NAMESPACE_GRACE).await;
    loop {
        let contents: Vec<(Key, Arc<Value>)> = {
            let state = server.state();
            if !state.get(&namespace).is_some_and(|n| is_deleting(n)) {
                return;
            }
            state.every().filter(|(k, _)| k.namespace == name).map(|(k, o)| (k.clone(), Arc::clone(o))).collect()
        };
        let mut refused = Vec::new();
        for (key, object) in contents.iter().filter(|(_, o)| !is_deleting(o)) {
            refused.extend(delete(&server, key, text(object, "/metadata/uid"), "namespace-controller"));
        }
        server.wake();
        let left: Vec<Arc<Value>> = {
            let state = server.state();
            state.every().filter(|(k, _)| k.namespace == name).map(|(_, o)| Arc::clone(o)).collect()
        };
        if left.is_empty() {
            patch(&server, &namespace, "finalize", "namespace-controller", &json!({ "spec": { "finalizers": [] } }));
            server.wake();
            return;
        }
        let conditions = json!({ "status": { "conditions": [
            condition("NamespaceDeletionContentFailure", !refused.is_empty(), "ContentDeletionFailed", &refused.join("; ")),
            condition("NamespaceContentRemaining", true, "SomeResourcesRemain", &format!("{} objects remain", left.len())),
        ] } });
        patch(&server, &namespace, "status", "namespace-controller", &conditions);
        server.wake();
        tokio::time::sleep(AGAIN).await;
    }
}

fn condition(kind: &str, is: bool, reason: &str, message: &str) -> Value {
    json!({ "type": kind, "status": if is { "True" } else { "False" }, "reason": reason, "message": message })
}

/// Binds claims to volumes that were made for them, and lets both go when nobody needs them.
fn volumes(server: &Arc<Inner>, commit: &Arc<Commit>) {
    let object = Arc::clone(&commit.after);
    let claims = commit.key.plural == "persistentvolumeclaims";
    if commit.verb == Verb::Delete {
        if claims {
            later(server, commit, move |server, _| released(server, &object));
        }
        return;
    }
    if is_deleting(&object) {
        // No pod runs here, so nothing uses a claim; a volume is used while its claim is there.
        if claims {
            later(server, commit, |server, key| {
                patch(
                    server,
                    key,
                    "",
                    "pvc-protection-controller",
                    &without(server, key, "kubernetes.io/pvc-protection"),
                );
            });
        } else if text(&object, "/status/phase") != "Bound" {
            later(server, commit, |server, key| {
                patch(
                    server,
                    key,
                    "",
                    "pv-protection-controller",
                    &without(server, key, "kubernetes.io/pv-protection"),
                );
            });
        }
        return;
    }
    if !claims && text(&object, "/status/phase") == "Available" && object.pointer("/spec/claimRef").is_some() {
        later(server, commit, move |server, key| bind(server, key, &object));
    }
}

fn without(server: &Inner, key: &Key, finalizer: &str) -> Value {
    let state = server.state();
    let left: Vec<Value> = state
        .get(key)
        .and_then(|o| o.pointer("/metadata/finalizers"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|f| *f != finalizer)
        .cloned()
        .collect();
    json!({ "metadata": { "finalizers": left } })
}

fn claim_of(volume: &Value) -> Key {
    Key {
        group: String::new(),
        plural: "persistentvolumeclaims".to_owned(),
        namespace: text(volume, "/spec/claimRef/namespace").to_owned(),
        name: text(volume, "/spec/claimRef/name").to_owned(),
    }
}

fn bind(server: &Inner, volume: &Key, object: &Value) {
    let claim = claim_of(object);
    let ours = server
        .state()
        .get(&claim)
        .is_some_and(|c| text(c, "/metadata/uid") == text(object, "/spec/claimRef/uid") && !is_deleting(c));
    if !ours {
        patch(server, volume, "status", "persistent-volume-binder", &json!({ "status": { "phase": "Released" } }));
        return;
    }
    let capacity = object.pointer("/spec/capacity").cloned();
    patch(server, &claim, "", "persistent-volume-binder", &json!({ "spec": { "volumeName": volume.name } }));
    patch(server, volume, "status", "persistent-volume-binder", &json!({ "status": { "phase": "Bound" } }));
    let bound = json!({ "status": { "phase": "Bound", "capacity": capacity, "accessModes": object.pointer("/spec/accessModes") } });
    patch(server, &claim, "status", "persistent-volume-binder", &bound);
}

/// The volume of a claim that is gone is nobody's.
fn released(server: &Inner, claim: &Value) {
    let uid = text(claim, "/metadata/uid");
    let volumes: Vec<Key> = server
        .state()
        .every()
        .filter(|(k, o)| k.plural == "persistentvolumes" && text(o, "/spec/claimRef/uid") == uid)
        .map(|(k, _)| k.clone())
        .collect();
    for volume in volumes {
        patch(server, &volume, "status", "persistent-volume-binder", &json!({ "status": { "phase": "Released" } }));
    }
}
