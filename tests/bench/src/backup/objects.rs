//! A namespace there and back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use serde_json::{Value, json};
use zhengyun_tests::lab::{ControlPlane, install};

use super::PERSON;
use super::repository::Repository;
use crate::chance::Chance;
use crate::meter::Meter;
use crate::outcome::short;
use crate::program::{self, Took};
use crate::run::Run;

/// Bare creates under way at a time.
pub(super) const WORKERS: usize = 16;
/// Objects of a page of a bare LIST.
const PAGE: usize = 500;
/// Where the objects of each kind are: path before the namespace, and plural.
const KINDS: [(&str, &str); 4] = [
    ("/api/v1", "configmaps"),
    ("/api/v1", "secrets"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/bench.zhengyun.io/v1", "probes"),
];
const SEED: u64 = 20_988;

/// A set of objects at a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set<'a> {
    pub(super) plane: &'a Arc<ControlPlane>,
    pub(super) folder: &'a Path,
    pub(super) many: usize,
}

/// One command on a cluster.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// Seconds.
    pub(super) wall: f64,
    /// Seconds of processor time of the worker.
    pub(super) cpu: f64,
    /// Megabytes of the worker.
    pub(super) peak_mb: f64,
    /// Seconds of processor time of the API server.
    pub(super) apiserver_cpu: f64,
    /// Requests that the API server answered.
    pub(super) requests: f64,
}

/// What came of a set.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) objects: usize,
    pub(super) objects_mb: f64,
    pub(super) create_rate: f64,
    pub(super) list_seconds: f64,
    pub(super) backup: Work,
    pub(super) unchanged: Work,
    pub(super) restore: Work,
    pub(super) verify: Took,
    pub(super) stored_mb: f64,
}

impl Measured {
    /// Objects a second.
    pub(super) fn restore_rate(&self) -> f64 {
        self.objects as f64 / self.restore.wall
    }

    /// The most memory that backup or restore had.
    pub(super) fn peak_mb(&self) -> f64 {
        self.backup.peak_mb.max(self.unchanged.peak_mb).max(self.restore.peak_mb)
    }

    /// All of it in one line.
    pub(super) fn line(&self) -> String {
        format!(
            "{} objects, {} MB: bare LIST {} s, bare creates {}/s; backup {} s, CPU {} s, API server {} s, {} MB, {} requests, {} MB \
             stored; unchanged {} s, {} MB; verify {} s; restore {} s ({}/s), CPU {} s, API server {} s, {} MB, {} requests an object",
            self.objects,
            short(self.objects_mb),
            short(self.list_seconds),
            short(self.create_rate),
            short(self.backup.wall),
            short(self.backup.cpu),
            short(self.backup.apiserver_cpu),
            short(self.backup.peak_mb),
            short(self.backup.requests),
            short(self.stored_mb),
            short(self.unchanged.wall),
            short(self.unchanged.peak_mb),
            short(self.verify.wall),
            short(self.restore.wall),
            short(self.restore_rate()),
            short(self.restore.cpu),
            short(self.restore.apiserver_cpu),
            short(self.restore.peak_mb),
            short(self.restore.requests / self.objects as f64),
        )
    }
}

impl Set<'_> {
    /// Creates, backs up twice, restores into an empty namespace and compares; beside it the bare requests.
    pub(super) async fn measure(&self, run: &Run<'_>) -> Result<Measured> {
        let name = |what: &str| format!("bench-{what}-{}", self.many);
        let (source, floor, target) = (name("source"), name("floor"), name("target"));
        let client = self.plane.client_admin()?;
        for namespace in [&source, &floor, &target] {
            install::ensure_namespace(&client, namespace).await?;
        }
        run.say(&format!("{} objects are made", self.many));
        create(&client, &source, self.many).await?;
        let before = content(&client, &source).await?;
        ensure!(
            before.digests.len() == self.many,
            "{} objects were made, there are {}",
            self.many,
            before.digests.len()
        );

        let repository = Repository::create(self.folder.join(name("repository")))?;
        run.say("bare LIST, backup, the same again, verify");
        let list_before = list(&client, &source).await?;
        let backup = self.worker(&repository, &source).await?;
        let stored_mb = repository.stored_mb()?;
        let unchanged = self.worker(&repository, &source).await?;
        let list_seconds = list_before.midpoint(list(&client, &source).await?);
        let verify = repository.verify()?;

        run.say("bare creates, restore");
        let begun = Instant::now();
        create(&client, &floor, self.many).await?;
        let create_rate = self.many as f64 / begun.elapsed().as_secs_f64();
        let mut command = repository.command("restore");
        command.args(["--target-namespace", &target, "--source", "space"]);
        let restore = self.at_cluster(command, "restore").await?;
        let after = content(&client, &target).await?;
        ensure!(before.digests == after.digests, "what came back is not what was there, {} objects", self.many);
        Ok(Measured {
            objects: self.many,
            objects_mb: before.bytes as f64 / 1e6,
            create_rate,
            list_seconds,
            backup,
            unchanged,
            restore,
            verify,
            stored_mb,
        })
    }

    async fn worker(&self, repository: &Repository, namespace: &str) -> Result<Work> {
        let mut command = repository.backup();
        command.arg("--namespace").arg(format!("space={namespace}"));
        self.at_cluster(command, "backup").await
    }

    async fn at_cluster(&self, mut command: std::process::Command, what: &'static str) -> Result<Work> {
        let (token, authority) = (self.folder.join("token"), self.folder.join("ca.pem"));
        std::fs::write(&token, self.plane.person_token(PERSON)?)?;
        std::fs::write(&authority, self.plane.ca_pem()?)?;
        command.arg("--server").arg(self.plane.url());
        command.arg("--server-ca-file").arg(authority).arg("--server-token-file").arg(token);
        let meter = Meter::of_planes(std::slice::from_ref(self.plane));
        let begun = meter.look().await?;
        let took = tokio::task::spawn_blocking(move || program::run(&mut command)).await??.succeeded(what)?;
        let spent = begun.until(&meter.look().await?, what, "run", 1);
        let cpu = spent.cpu_ms_per_item.iter().filter(|(name, _)| name.ends_with("kube-apiserver")).map(|(_, ms)| ms);
        Ok(Work {
            wall: took.wall,
            cpu: took.cpu,
            peak_mb: took.peak_mb,
            apiserver_cpu: cpu.sum::<f64>() / 1000.0,
            requests: spent.requests_per_item.iter().filter(|(name, _)| !is_own(name)).map(|(_, count)| count).sum(),
        })
    }
}

/// What the control plane does with itself meanwhile, by the second: no request of a backup or a restore.
fn is_own(request: &str) -> bool {
    ["leases", "endpointslices", "WATCH ", "apiservices", "flowschemas"].iter().any(|own| request.contains(own))
}

/// The n-th object of a set: six of ten ConfigMaps, two Secrets, one Deployment without replicas, one custom resource; 2.2 kB each.
fn object(number: usize, namespace: &str) -> (usize, Value) {
    let mut chance = Chance::new(SEED + number as u64);
    let mut text = |letters: u64| -> String {
        // Base 32, so that what is random is text and does not compress to nothing.
        let letter = |number: u64| char::from_digit(u32::try_from(number).unwrap_or_default(), 32).unwrap_or('0');
        (0..letters).map(|_| letter(chance.below(32))).collect()
    };
    let kind = match number % 10 {
        0..=5 => 0,
        6 | 7 => 1,
        8 => 2,
        _ => 3,
    };
    let metadata = json!({ "name": format!("object-{number:06}"), "namespace": namespace, "labels": { "app": format!("app-{}", number % 37) } });
    let body = match kind {
        0 => {
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "settings": text(2_000) } })
        }
        1 => {
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": { "password": text(1_500) } })
        }
        2 => {
            let app = text(12);
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
                "spec": {
                    "replicas": 0, "selector": { "matchLabels": { "app": app } },
                    "template": {
                        "metadata": { "labels": { "app": app } },
                        "spec": { "containers": [{ "name": "main", "image": format!("registry.invalid/{app}:1"), "args": [text(1_200)] }] }
                    }
                }
            })
        }
        _ => {
            json!({ "apiVersion": "bench.zhengyun.io/v1", "kind": "Probe", "metadata": metadata, "spec": { "content": text(1_800) } })
        }
    };
    (kind, body)
}

fn collection(kind: usize, namespace: &str) -> Result<String> {
    let (group, plural) = KINDS.get(kind).context("a kind of the set")?;
    Ok(format!("{group}/namespaces/{namespace}/{plural}"))
}

/// Creates a set with bare requests, some at a time.
async fn create(client: &Client, namespace: &str, many: usize) -> Result<()> {
    stream::iter(0..many)
        .map(Ok::<_, anyhow::Error>)
        .try_for_each_concurrent(WORKERS, |number| async move {
            let (kind, body) = object(number, namespace);
            let request = http::Request::post(collection(kind, namespace)?)
                .header("content-type", "application/json")
                .body(serde_json::to_vec(&body)?)?;
            client.request_text(request).await.with_context(|| format!("create object {number}"))?;
            Ok(())
        })
        .await
}

/// Seconds of a bare paged LIST of the four kinds, one page after the other, as text.
async fn list(client: &Client, namespace: &str) -> Result<f64> {
    let begun = Instant::now();
    for kind in 0..KINDS.len() {
        pages(client, &collection(kind, namespace)?, |_| Ok(())).await?;
    }
    Ok(begun.elapsed().as_secs_f64())
}

async fn pages(client: &Client, path: &str, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut next = String::new();
    loop {
        let query = if next.is_empty() { String::new() } else { format!("&continue={next}") };
        let request = http::Request::get(format!("{path}?limit={PAGE}{query}")).body(Vec::new())?;
        let text = client.request_text(request).await.with_context(|| format!("list {path}"))?;
        each(&text)?;
        // The token is in the list's own metadata: before the items, and of custom resources after them.
        let short = text.len().min(600);
        let ends = [text.get(..short), text.get(text.len() - short..)];
        match ends.into_iter().flatten().find_map(|end| end.split_once("\"continue\":\"")?.1.split('"').next()) {
            Some(token) if !token.is_empty() => token.clone_into(&mut next),
            _ => return Ok(()),
        }
    }
}

#[derive(Debug, Default)]
struct Content {
    digests: BTreeMap<String, u64>,
    bytes: usize,
}

/// What the objects of a set say, by kind and name.
async fn content(client: &Client, namespace: &str) -> Result<Content> {
    use std::hash::{DefaultHasher, Hash, Hasher};

    let mut all = Content::default();
    for (kind, (_, plural)) in KINDS.iter().enumerate() {
        pages(client, &collection(kind, namespace)?, |text| {
            let list: Value = serde_json::from_str(text)?;
            for item in list.get("items").and_then(Value::as_array).into_iter().flatten() {
                let at = |pointer: &str| item.pointer(pointer).cloned().unwrap_or_default();
                let name = at("/metadata/name").as_str().unwrap_or_default().to_owned();
                if !name.starts_with("object-") {
                    continue;
                }
                let said = format!("{} {} {}", at("/metadata/labels"), at("/data"), at("/spec"));
                let mut hasher = DefaultHasher::new();
                said.hash(&mut hasher);
                all.bytes += item.to_string().len();
                all.digests.insert(format!("{plural}/{name}"), hasher.finish());
            }
            Ok(())
        })
        .await?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::object;

    #[test]
    fn a_set_is_the_same_each_time_and_has_the_mix() {
        assert_eq!(object(7, "a").1["stringData"], object(7, "b").1["stringData"]);
        let kinds: Vec<usize> = (0..1000).map(|n| object(n, "a").0).collect();
        let count = |kind| kinds.iter().filter(|k| **k == kind).count();
        assert_eq!([count(0), count(1), count(2), count(3)], [600, 200, 100, 100]);
        let bytes: usize = (0..1000).map(|n| object(n, "a").1.to_string().len()).sum();
        assert!((1_700_000..2_600_000).contains(&bytes), "{bytes}");
    }
}
