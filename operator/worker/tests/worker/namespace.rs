//! Namespaces there and back, through a client on a simulated API server in memory: no kube-apiserver runs here.

mod server;

use std::path::Path;

use clap::Parser;
use serde_json::{Value, json};
use zhengyun_worker::args::{Args, Command};
use zhengyun_worker::cluster::GivenClient;
use zhengyun_worker::control::Control;
use zhengyun_worker::error::Result;
use zhengyun_worker::run::restore::RestoreReport;
use zhengyun_worker::run::{backup, restore};

use self::server::Server;
use crate::support::{Place, report};

struct Stage {
    place: Place,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { place: Place::new(), runtime }
    }

    fn arguments(&self, command: &str, more: &[&str]) -> Command {
        let path = |name: &str| self.place.path(name).display().to_string();
        let (store, key) = (path("store"), path("key"));
        let mut all = vec!["zhengyun-worker", command, "--store", &store, "--key-file", &key];
        // Clap wants an address; the client that is given takes its place.
        all.extend(["--server", "https://unused", "--server-ca-file", "unused", "--server-token-file", "unused"]);
        all.extend(more);
        Args::try_parse_from(all).unwrap().command
    }

    fn client(&self, server: &Server) -> GivenClient {
        let _inside = self.runtime.enter();
        GivenClient(Some(server.client()))
    }

    fn backup(&self, server: &Server, more: &[&str]) -> Result<Value> {
        let path = |name: &str| self.place.path(name).display().to_string();
        let (signing, state) = (path("signing"), path("state"));
        let mut all = vec!["--signing-key-file", &signing, "--state-dir", &state, "--namespace", "objects=finance"];
        all.extend(more);
        let Command::Backup(mut args) = self.arguments("backup", &all) else { unreachable!() };
        args.sources.cluster.client = self.client(server);
        let report = backup::backup(&args, self.runtime.handle(), &Control::new())?;
        Ok(serde_json::to_value(report).unwrap())
    }

    fn restore(&self, server: &Server, more: &[&str]) -> Result<RestoreReport> {
        let mut all = vec!["--target-namespace", "finance"];
        all.extend(more);
        self.restore_with(server, &all)
    }

    fn restore_into(&self, server: &Server, namespace: &str) -> Result<RestoreReport> {
        self.restore_with(server, &["--target-namespace", namespace])
    }

    fn restore_with(&self, server: &Server, all: &[&str]) -> Result<RestoreReport> {
        let Command::Restore(mut args) = self.arguments("restore", all) else { unreachable!() };
        args.cluster.client = self.client(server);
        restore::restore(&args, self.runtime.handle(), &Control::new())
    }
}

fn object(kind: &str, api: &str, name: &str, more: &Value) -> Value {
    let mut object = json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name, "namespace": "finance" } });
    for (key, value) in more.as_object().unwrap() {
        if key == "metadata" {
            object["metadata"].as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        } else {
            object[key] = value.clone();
        }
    }
    object
}

/// A namespace with everything that needs care, and three pages of ConfigMaps.
fn finance(server: &Server) -> u64 {
    let mut state = server.state();
    for n in 0..1203 {
        let data = json!({ "data": { "n": n.to_string() } });
        state.put("configmaps", object("ConfigMap", "v1", &format!("settings-{n}"), &data));
    }
    state.put("configmaps", object("ConfigMap", "v1", "kube-root-ca.crt", &json!({ "data": {} })));
    state.put("secrets", object("Secret", "v1", "login", &json!({ "data": { "password": "aHVudGVyMg==" } })));
    state.put("events", object("Event", "v1", "it-happened", &json!({})));
    let claim = json!({ "spec": { "volumeName": "pv-1", "storageClassName": "fast" }, "status": { "phase": "Bound" } });
    state.put("persistentvolumeclaims", object("PersistentVolumeClaim", "v1", "data", &claim));
    let service = json!({ "spec": { "clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"], "ports": [{ "port": 80 }] } });
    state.put("services", object("Service", "v1", "web", &service));
    let spec = json!({ "spec": { "replicas": 2 }, "status": { "replicas": 2 } });
    let deployment = state.put("deployments", object("Deployment", "apps/v1", "web", &spec));
    let owner = |uid: &Value, kind: &str| json!({ "metadata": { "ownerReferences": [{ "apiVersion": "v1", "kind": kind, "name": "o", "uid": uid, "controller": true }] } });
    let owned = owner(&deployment["metadata"]["uid"], "Deployment");
    state.put("replicasets", object("ReplicaSet", "apps/v1", "web-1", &owned));
    state.put("pods", object("Pod", "v1", "web-1-x", &owned));
    state.put("pods", object("Pod", "v1", "alone", &json!({ "spec": { "nodeName": "node-7" } })));
    let secret = state.objects[&("secrets".to_owned(), "login".to_owned())]["metadata"]["uid"].clone();
    state.put("widgets", object("Widget", "example.org/v1", "owned", &owner(&secret, "Secret")));
    state.put("widgets", object("Widget", "example.org/v1", "orphan", &owner(&json!("gone"), "Secret")));
    1203 + 7
}

#[test]
fn a_namespace_comes_back_in_order_and_a_second_restore_changes_nothing() {
    let (stage, source, target) = (Stage::new(), Server::default(), Server::default());
    let objects = finance(&source);
    source.state().stale_once = true;
    let backup = stage.backup(&source, &[]).unwrap();
    let record = &backup["sources"][0];
    assert_eq!(record["volumesNotCovered"], json!(["data"]));
    assert_eq!(record["changed"], json!([]), "{record:#}");
    let left_out = record["leftOut"].to_string();
    for word in ["events", "pods: 1", "replicasets.apps: 1", "configmaps: 1", "*.metrics.k8s.io"] {
        assert!(left_out.contains(word), "{word} in {left_out}");
    }
    stage.place.restic_agrees();
    report(&mut stage.place.worker("verify"));

    target.state().throttle = Some(50);
    let restored = stage.restore(&target, &[]).unwrap();
    assert_eq!((restored.created, restored.failed), (objects, 0), "{:?}", restored.failures);
    let requests = target.state().requests;
    assert!(requests * 10 <= objects * 13, "{requests} requests for {objects} objects");
    let state = target.state();
    let at = |plural: &str, name: &str| {
        state.writes.iter().position(|(_, p, n)| p == plural && n == name).unwrap_or_else(|| panic!("{plural} {name}"))
    };
    assert!(at("secrets", "login") < at("persistentvolumeclaims", "data"));
    assert!(at("persistentvolumeclaims", "data") < at("widgets", "owned"));
    assert!(at("widgets", "owned") < at("services", "web"));
    assert!(at("services", "web") < at("deployments", "web"));
    let live = |plural: &str, name: &str| state.objects[&(plural.to_owned(), name.to_owned())].clone();
    assert_eq!(live("secrets", "login")["data"]["password"], "aHVudGVyMg==");
    assert!(live("deployments", "web").get("status").is_none());
    assert!(live("services", "web")["spec"].get("clusterIP").is_none());
    assert!(live("pods", "alone")["spec"].get("nodeName").is_none());
    let owner = &live("widgets", "owned")["metadata"]["ownerReferences"][0]["uid"];
    assert_eq!(*owner, live("secrets", "login")["metadata"]["uid"], "owners are those of the target");
    assert!(live("widgets", "orphan")["metadata"].get("ownerReferences").is_none());
    let writes = state.writes.len();
    drop(state);

    let again = stage.restore(&target, &[]).unwrap();
    assert_eq!((again.same, again.created, again.failed), (objects, 0, 0));
    assert_eq!(target.state().writes.len(), writes);
}

#[test]
fn what_is_there_already_is_dealt_with_as_told() {
    let (stage, source, target) = (Stage::new(), Server::default(), Server::default());
    source.state().put("configmaps", object("ConfigMap", "v1", "a", &json!({ "data": { "from": "backup" } })));
    source.state().put("configmaps", object("ConfigMap", "v1", "b", &json!({ "data": { "from": "backup" } })));
    stage.backup(&source, &[]).unwrap();
    target.state().put("configmaps", object("ConfigMap", "v1", "a", &json!({ "data": { "from": "target" } })));
    let value =
        |name: &str| target.state().objects[&("configmaps".to_owned(), name.to_owned())]["data"]["from"].clone();
    let failed = stage.restore(&target, &[]).unwrap();
    assert_eq!((failed.failed, failed.created), (1, 1));
    assert_eq!(failed.failures[0].item, "data/objects/configmaps/a");
    let skipped = stage.restore(&target, &["--existing", "skip"]).unwrap();
    assert_eq!((skipped.skipped, skipped.same, value("a")), (1, 1, json!("target")));
    let replaced = stage.restore(&target, &["--existing", "replace"]).unwrap();
    assert_eq!((replaced.replaced, replaced.same, value("a")), (1, 1, json!("backup")));
}

#[test]
fn what_changes_during_the_capture_is_named() {
    let (stage, source) = (Stage::new(), Server::default());
    for name in ["stays", "changes", "goes"] {
        source.state().put("configmaps", object("ConfigMap", "v1", name, &json!({ "data": {} })));
    }
    source.state().meanwhile = Some(Box::new(|state| {
        let key = |name: &str| ("configmaps".to_owned(), name.to_owned());
        let changed = state.objects[&key("changes")].clone();
        state.put("configmaps", changed);
        state.objects.remove(&key("goes"));
        state.put("configmaps", object("ConfigMap", "v1", "comes", &json!({})));
    }));
    let backup = stage.backup(&source, &[]).unwrap();
    let changed = &backup["sources"][0]["changed"];
    assert_eq!(*changed, json!(["configmaps/changes", "configmaps/comes", "configmaps/goes"]));
}

#[test]
fn a_server_that_lists_in_another_order_is_captured_all_the_same() {
    let (stage, source, target) = (Stage::new(), Server::default(), Server::default());
    let objects = finance(&source);
    source.state().backwards = true;
    stage.backup(&source, &["--volumes-covered", "data"]).unwrap();
    report(&mut stage.place.worker("verify"));
    assert_eq!(stage.restore(&target, &[]).unwrap().created, objects);
}

#[test]
fn unchanged_objects_are_not_stored_again_and_changed_ones_of_the_same_size_are() {
    let (stage, source, target) = (Stage::new(), Server::default(), Server::default());
    finance(&source);
    stage.backup(&source, &[]).unwrap();
    let second = stage.backup(&source, &[]).unwrap();
    assert!(second["uploaded"].as_u64().unwrap() < 200_000, "{second:#}");
    let key = ("configmaps".to_owned(), "settings-7".to_owned());
    source.state().objects.get_mut(&key).unwrap()["data"]["n"] = "8".into();
    stage.backup(&source, &[]).unwrap();
    stage.restore(&target, &[]).unwrap();
    assert_eq!(target.state().objects[&key]["data"]["n"], "8");
    report(&mut stage.place.worker("verify"));
}

#[test]
fn a_group_that_does_not_answer_fails_the_run_and_keeps_no_snapshot() {
    let (stage, source) = (Stage::new(), Server::default());
    finance(&source);
    source.state().silent = Some("example.org".to_owned());
    let error = stage.backup(&source, &[]).unwrap_err();
    assert_eq!(error.reason(), "ClusterFailed", "{error}");
    assert!(error.to_string().contains("example.org"), "{error}");
    let listed = report(&mut stage.place.worker("snapshots"));
    assert_eq!((&listed["backups"], &listed["unfinished"]), (&json!([]), &json!([])));
}

#[test]
fn objects_and_files_of_one_run_are_one_backup() {
    let (stage, source, target) = (Stage::new(), Server::default(), Server::default());
    let objects = finance(&source);
    let tree = stage.place.path("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("file"), "content").unwrap();
    let files = format!("files={}", tree.display());
    stage.backup(&source, &["--files", &files]).unwrap();
    report(&mut stage.place.worker("verify"));
    stage.place.restic_agrees();
    assert_eq!(stage.restore(&target, &["--source", "objects"]).unwrap().created, objects);
    let mut restore = stage.place.restore(Path::new(&stage.place.path("back")));
    report(restore.args(["--source", "files"]));
    crate::support::assert_equal(&tree, &stage.place.path("back"));
}

#[test]
fn objects_that_are_too_much_for_one_page_come_in_smaller_ones() {
    let (stage, source) = (Stage::new(), Server::default());
    let large = "x".repeat(1 << 20);
    for n in 0..40 {
        let data = json!({ "data": { "large": large } });
        source.state().put("configmaps", object("ConfigMap", "v1", &format!("large-{n}"), &data));
    }
    let backup = stage.backup(&source, &[]).unwrap();
    assert_eq!(backup["items"], 40 + 3, "{backup:#}");
    assert!(source.state().limits.contains(&7), "{:?}", source.state().limits);
}

#[test]
fn a_name_is_no_part_of_an_address_beyond_its_place() {
    let (stage, source, target) = (Stage::new(), Server::default(), Server::default());
    for name in ["a?b=c", "a#b", "a", "system:a b"] {
        source
            .state()
            .put("widgets", object("Widget", "example.org/v1", name, &json!({ "spec": { "from": "backup" } })));
        target
            .state()
            .put("widgets", object("Widget", "example.org/v1", name, &json!({ "spec": { "from": "target" } })));
    }
    stage.backup(&source, &[]).unwrap();
    let restored = stage.restore(&target, &["--existing", "replace"]).unwrap();
    assert_eq!((restored.replaced, restored.failed), (4, 0), "{:?}", restored.failures);
    assert!(target.state().objects.values().all(|object| object["spec"]["from"] == "backup"));
}

#[test]
fn what_is_no_namespace_is_not_asked_for() {
    let (stage, source, target) = (Stage::new(), Server::default(), Server::default());
    let error = stage.backup(&source, &["--namespace", "b=../../kube-system"]).unwrap_err();
    assert_eq!(error.reason(), "InvalidInput", "{error}");
    assert!(error.to_string().contains("no name of a namespace"), "{error}");
    source.state().put("configmaps", object("ConfigMap", "v1", "a", &json!({})));
    stage.backup(&source, &[]).unwrap();
    let error = stage.restore_into(&target, "finance/../kube-system").unwrap_err();
    assert_eq!(error.reason(), "InvalidInput", "{error}");
    assert_eq!(target.state().requests, 0);
}
