//! I14 for restores and drills: nothing is written before it is proved, nothing of another department's, and what a drill measured
//! comes from a comparison that this checker makes as well.

use serde_json::Value;

use super::super::people;
use super::super::recovery::SERVERS;
use super::super::recovery::database::object_of;
use super::super::recovery::evidence::{self, verifies};
use super::super::run::Standing;
use super::recovery::{Copied, copied, ended, items_of, unproven};
use super::{View, books, label, number, on_hub, sites, text};
use crate::apiserver::{Key, Verb};

const BINDINGS: [&str; 2] = ["zhengyun-recovery-reader", "zhengyun-recovery-writer"];

/// The grant that has a namespace at a site.
fn grant_of<'a>(standing: &'a Standing, site: &str, namespace: &str) -> Option<(&'a Key, &'a Value)> {
    on_hub(standing, "resourcegrants")
        .find(|(_, grant)| text(grant, "/spec/site") == site && text(grant, "/status/namespace") == namespace)
}

fn by_uid<'a>(standing: &'a Standing, plural: &str, uid: &str) -> Option<(&'a Key, &'a Value)> {
    on_hub(standing, plural).find(|(_, object)| text(object, "/metadata/uid") == uid)
}

fn named<'a>(standing: &'a Standing, plural: &str, namespace: &str, name: &str) -> Option<&'a Value> {
    on_hub(standing, plural).find(|(key, _)| key.namespace == namespace && key.name == name).map(|(_, object)| object)
}

/// UID and kind of a run by its name; a drill has a process for each part, and one that removes its databases.
fn run_of(name: &str) -> Option<(&str, &str)> {
    match name.rsplit_once('-')? {
        (run, part) if part == "databases" || part.parse::<usize>().is_ok() => run.rsplit_once('-'),
        whole => Some(whole),
    }
}

/// Whether the driver lets the account of recovery into a namespace.
fn is_open(standing: &Standing, site: &str, namespace: &str, binding: &str) -> bool {
    let key = Key {
        group: "rbac.authorization.k8s.io".to_owned(),
        plural: "rolebindings".to_owned(),
        namespace: namespace.to_owned(),
        name: binding.to_owned(),
    };
    standing.contains_key(&(site.to_owned(), key))
}

/// The grant whose namespace a plan protects.
fn source_of<'a>(standing: &'a Standing, namespace: &str, plan: &str) -> &'a str {
    named(standing, "recoveryplans", namespace, plan)
        .map(|plan| text(plan, "/spec/sources/0/origin/namespace/grant"))
        .unwrap_or_default()
}

/// What the account of recovery writes at a site belongs to a run that is under way, goes where that run may go, and comes from a
/// copy that was read back and stands proven at that moment.
pub(super) fn written_from_proof(view: &View<'_>) -> Vec<String> {
    let (key, site) = (&view.commit.key, view.commit.cluster.as_str());
    if view.commit.user != people::recovery().name || site == "hub" {
        return Vec::new();
    }
    let run = view.commit.agent.strip_prefix("zhengyun-restorer-").and_then(run_of);
    let Some((grant_key, grant)) = grant_of(view.before, site, &key.namespace) else {
        return vec!["the account of recovery writes where no grant is".to_owned()];
    };
    let mut wrong = Vec::new();
    let (department, backup, store) = match run {
        Some((uid, "restore")) => {
            let Some((owner, restore)) = by_uid(view.before, "systemrestores", uid) else {
                return vec![format!("it is restored for {uid}, which is not there")];
            };
            if ended(restore)
                || text(restore, "/spec/mode") != "Execute"
                || text(restore, "/spec/planDigest").is_empty()
            {
                wrong.push(format!(
                    "restore {} is {:?} and has agreed to nothing",
                    owner.name,
                    restore.pointer("/status/phase")
                ));
            }
            if grant_key.namespace != owner.namespace {
                wrong.push(format!(
                    "restore {} of {} writes into a grant of {}",
                    owner.name, owner.namespace, grant_key.namespace
                ));
            }
            let backup = text(restore, "/spec/backup");
            let of = named(view.before, "systembackups", &owner.namespace, backup);
            let plan = of.map(|backup| text(backup, "/spec/plan")).unwrap_or_default();
            let redirect = text(restore, "/spec/redirects/0/grant");
            let target = if redirect.is_empty() { source_of(view.before, &owner.namespace, plan) } else { redirect };
            if grant_key.name != target {
                wrong.push(format!("restore {} goes to {target} and writes into {}", owner.name, grant_key.name));
            }
            (owner.namespace.as_str(), backup, text(restore, "/status/store"))
        }
        Some((uid, "drill")) => {
            let Some((owner, drill)) = by_uid(view.before, "recoverydrills", uid) else {
                return vec![format!("it is restored for drill {uid}, which is not there")];
            };
            let charged = grant.pointer("/status/charge/granted").and_then(Value::as_object);
            if ended(drill) || text(grant, "/spec/request/uid") != uid || charged.is_none_or(serde_json::Map::is_empty)
            {
                wrong.push(format!("drill {} writes into what is not its charged scratch", owner.name));
            }
            (owner.namespace.as_str(), text(drill, "/status/backup"), text(drill, "/spec/store"))
        }
        _ => return vec![format!("{} writes with the account of recovery", view.commit.agent)],
    };
    if !is_open(view.before, site, &key.namespace, "zhengyun-recovery-writer") {
        wrong.push(format!("{} was not opened for recovery", key.namespace));
    }
    let Some(Copied { state, snapshot, root }) =
        named(view.before, "systembackups", department, backup).and_then(|backup| copied(backup, store))
    else {
        wrong.push(format!("backup {backup} has no copy in {store}"));
        return wrong;
    };
    let (department, bucket) = (department.trim_start_matches("dept-"), super::recovery::bucket_of(view.before, store));
    if state != "Verified" {
        wrong.push(format!("it comes from a copy in {store} that is {state}"));
    }
    wrong.extend(unproven(view.before, department, store, snapshot, root));
    let items = items_of(view.before, bucket, department, snapshot).unwrap_or_default();
    let content = view.commit.after.get("data").map(Value::to_string).unwrap_or_default();
    let end = format!("/{}/{}", key.plural, key.name);
    if view.commit.verb == Verb::Delete || !items.iter().any(|(path, held)| path.ends_with(&end) && *held == content) {
        wrong.push("it is not what the backup holds".to_owned());
    }
    wrong
}

/// The account of recovery is let in only for a run that is under way.
pub(super) fn opened_for_a_run(view: &View<'_>) -> Vec<String> {
    let (key, site) = (&view.commit.key, view.commit.cluster.as_str());
    let ours = site != "hub" && key.plural == "rolebindings" && BINDINGS.contains(&key.name.as_str());
    if !ours || view.commit.verb != Verb::Create {
        return Vec::new();
    }
    let Some((grant_key, grant)) = grant_of(view.after, site, &key.namespace) else {
        return vec!["it is opened for recovery and no grant's".to_owned()];
    };
    let drill = by_uid(view.after, "recoverydrills", text(grant, "/spec/request/uid"));
    let of = |plural: &'static str| {
        let space = grant_key.namespace.clone();
        on_hub(view.after, plural).filter(move |(key, run)| key.namespace == space && !ended(run))
    };
    let writes = key.name == "zhengyun-recovery-writer";
    let executes = of("systemrestores").any(|(_, restore)| text(restore, "/spec/mode") == "Execute");
    let reads = of("systembackups").next().is_some() || of("systemrestores").next().is_some();
    let good = drill.is_some_and(|(_, drill)| !ended(drill)) || if writes { executes } else { reads };
    if good { Vec::new() } else { vec!["it is opened for recovery and no run of it is under way".to_owned()] }
}

/// Whether the scratch of a drill holds exactly what the backup holds that it tries, by this checker's own look.
fn differs(standing: &Standing, key: &Key, drill: &Value) -> Option<String> {
    let (name, store) = (text(drill, "/status/backup"), text(drill, "/spec/store"));
    let backup = named(standing, "systembackups", &key.namespace, name)?;
    let Some(Copied { snapshot, root, .. }) = copied(backup, store) else {
        return Some(format!("backup {name} has no copy in {store}"));
    };
    let department = key.namespace.trim_start_matches("dept-");
    if let Some(problem) = unproven(standing, department, store, snapshot, root) {
        return Some(problem);
    }
    let items =
        items_of(standing, super::recovery::bucket_of(standing, store), department, snapshot).unwrap_or_default();
    let site = text(drill, "/spec/site");
    let parts: Vec<&Value> = drill.pointer("/status/parts").and_then(Value::as_array).into_iter().flatten().collect();
    let space = |path: &str| {
        let of = parts.iter().find(|part| path.split('/').next() == Some(text(part, "/source")));
        of.map(|part| text(part, "/scratch/namespace").to_owned()).unwrap_or_default()
    };
    let database = |path: &str| {
        let of = parts.iter().find(|part| path.split('/').next() == Some(text(part, "/source")))?;
        of.pointer("/database")?.as_str()
    };
    let stands = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        if let Some(database) = database(path) {
            let held = databases(standing).find(|(_, key, _)| key.name == object_of(database))?;
            let rows: Value = serde_json::from_str(text(held.2, "/data/rows")).ok()?;
            return rows.get(&name)?.as_str().map(str::to_owned);
        }
        let key = Key { group: String::new(), plural: "configmaps".to_owned(), namespace: space(path), name };
        standing.get(&(site.to_owned(), key)).and_then(|object| object.get("data")).map(Value::to_string)
    };
    if items.is_empty() {
        return Some("nothing was tried".to_owned());
    }
    let lacking = items.iter().find(|(path, content)| stands(path).as_ref() != Some(content));
    lacking.map(|(path, _)| format!("{path} in the scratch {} is not as the manifest says", space(path)))
}

/// Databases, with the servers that hold them.
fn databases(standing: &Standing) -> impl Iterator<Item = (&str, &Key, &Value)> {
    let all = standing.iter().filter(|((server, _), _)| SERVERS.contains(&server.as_str()));
    all.map(|((server, key), held)| (server.as_str(), key, held.as_ref()))
}

/// Whatever is written to a database server is written to a scratch database of a drill that is under way, and never where people work.
pub(super) fn only_scratch_databases_are_written(view: &View<'_>) -> Vec<String> {
    let (key, server) = (&view.commit.key, view.commit.cluster.as_str());
    if !SERVERS.contains(&server) || view.commit.agent == "admin" {
        return Vec::new();
    }
    let run = view.commit.agent.strip_prefix("zhengyun-restorer-").and_then(run_of);
    let drill = run.and_then(|(uid, _)| by_uid(view.before, "recoverydrills", uid));
    let named = |part: &Value| object_of(text(part, "/database")) == key.name;
    let own = drill.is_some_and(|(_, drill)| {
        let parts = drill.pointer("/status/parts").and_then(Value::as_array);
        !ended(drill) && parts.into_iter().flatten().any(named)
    });
    if own && server == "postgres-drills" {
        return Vec::new();
    }
    vec![format!("{} writes database {} of {server}", view.commit.agent, key.name)]
}

/// A drill passes by a comparison that holds, and ends once its scratch is gone and its charge given back.
pub(super) fn drills_tell_the_truth(view: &View<'_>) -> Vec<String> {
    let (before, after) = view.change("/status/phase");
    if !view.is_hub("recoverydrills") || before == after || view.commit.verb == Verb::Delete {
        return Vec::new();
    }
    let (key, drill) = (&view.commit.key, &view.commit.after);
    let (from, to) = (before.and_then(Value::as_str).unwrap_or_default(), text(drill, "/status/phase"));
    let mut wrong = Vec::new();
    let equal = |drill: &Value| {
        let parts = drill.pointer("/status/parts").and_then(Value::as_array);
        parts.into_iter().flatten().filter(|part| !text(part, "/restoredAt").is_empty()).count()
    };
    if (from, to) == ("Comparing", "Restoring")
        && view.commit.before.as_ref().map(|drill| equal(drill)) >= Some(equal(drill))
    {
        wrong.push("it goes back to restoring, and no further part is equal".to_owned());
    }
    if to == "Removing" {
        wrong.extend(differs(view.after, key, drill).map(|problem| format!("it is about to pass: {problem}")));
    }
    if !ended(drill) {
        return wrong;
    }
    let uid = text(drill, "/metadata/uid");
    let scratch = on_hub(view.after, "resourcegrants").filter(|(_, grant)| text(grant, "/spec/request/uid") == uid);
    for (grant_key, grant) in scratch {
        let site = text(grant, "/spec/site");
        let held = books::held(view.after, site).remove(text(grant, "/metadata/uid")).unwrap_or_default();
        if text(grant, "/status/phase") != "Revoked" || !held.granted.is_empty() {
            wrong.push(format!("it is {to} and its scratch {} is charged {:?}", grant_key.name, held.granted));
        }
        if let Some(first) = sites::left(view.after, site, grant).first() {
            wrong.push(format!("it is {to} and {first} of its scratch stands"));
        }
    }
    let of_drill = format!("zy-drill-{}-", uid.replace('-', ""));
    for (server, key, _) in databases(view.after).filter(|(_, key, _)| key.name.starts_with(&of_drill)) {
        wrong.push(format!("it is {to} and its database {} stands on {server}", key.name));
    }
    let measured = !text(drill, "/status/measuredRto").is_empty();
    if to != "Passed" && measured {
        wrong.push(format!("it is {to} and tells a recovery time"));
    }
    if to == "Passed" {
        let count = |name: &str| number(drill, &format!("/status/coverage/{name}"));
        let whole = count("objectsTotal") > 0
            && count("objectsCompared") == count("objectsTotal")
            && count("bytesCompared") == count("bytesTotal")
            && number(drill, "/status/differenceCount") == 0;
        let proof = drill.pointer("/status/zeroProof").is_some_and(|proof| !proof.is_null());
        if from != "Removing" || !whole || !proof || !measured {
            wrong.push(format!("it passed from {from}; whole {whole}, zero proven {proof}, measured {measured}"));
        }
    }
    wrong.extend(record(drill, to));
    wrong
}

/// The record is signed, and says what the drill says.
fn record(drill: &Value, phase: &str) -> Option<String> {
    let (said, by) = (text(drill, "/status/record/statement"), text(drill, "/status/record/key"));
    let signer = evidence::sign(&evidence::signing_key(), "").map(|(_, signer)| signer).unwrap_or_default();
    if by != signer || !verifies(by, said, text(drill, "/status/record/signature")) {
        return Some("its record is not signed by the control plane".to_owned());
    }
    let said: Value = serde_json::from_str(said).unwrap_or_default();
    let same = |in_record: &str, in_status: &str| text(&said, in_record) == text(drill, in_status);
    let good = text(&said, "/result") == phase
        && same("/drill/uid", "/metadata/uid")
        && same("/backup", "/status/backup")
        && same("/measuredRto", "/status/measuredRto");
    (!good).then(|| format!("its record says {said}"))
}

/// The scratch of a drill is charged what the grant is charged whose copy is tried, for a drill that is under way.
pub(super) fn scratch_of(view: &View<'_>) -> Option<Vec<String>> {
    let grant = &view.commit.after;
    let drill = by_uid(view.after, "recoverydrills", text(grant, "/spec/request/uid"));
    let (key, drill) = drill.filter(|_| text(grant, "/spec/department") == "drill")?;
    let source = source_of(view.after, &key.namespace, text(drill, "/spec/plan"));
    let charge =
        named(view.after, "resourcegrants", &key.namespace, source).and_then(|grant| grant.pointer("/spec/charge"));
    let mut wrong = Vec::new();
    if ended(drill) {
        wrong.push(format!("the drill {} is over", key.name));
    }
    if charge.is_some() && charge != grant.pointer("/spec/charge") {
        wrong.push(format!("it is charged {:?}, the grant that is tried {charge:?}", grant.pointer("/spec/charge")));
    }
    Some(wrong)
}

/// Whether something at a site is a binding that lets recovery in: it belongs to a run and to no inventory.
pub(super) fn is_binding(view: &View<'_>) -> bool {
    view.commit.key.plural == "rolebindings"
        && BINDINGS.contains(&view.commit.key.name.as_str())
        && !label(&view.commit.after, "zhengyun.io/grant-uid").is_empty()
}
