//! What `zhengyun-worker` does, simulated: repositories are made, written, copied, read back and thinned out.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::database;
use super::evidence::{self, Items};
use super::process::{Process, Step, fault, of_site};
use super::repository::{Backup, Held, Lease, Repository, Trust};

/// Where `init` keeps the escrow password.
const ESCROW: &str = "escrow";
/// What Zhengyun delivered carries this label; it is not restored.
const DELIVERED: &str = "zhengyun.io/grant-uid";

/// Carries a command out.
pub(super) async fn carry_out(process: &Process) -> Step<Value> {
    match process.order.command.as_str() {
        "zhengyun-worker init" => init(process).await,
        "zhengyun-worker probe" => probe(process).await,
        "zhengyun-worker backup" => backup(process).await,
        "zhengyun-worker verify" => verify(process).await,
        "zhengyun-worker replicate" => replicate(process).await,
        "zhengyun-worker forget" => forget(process).await,
        other => Err(fault("WorkerRefused", format!("{other} is not simulated"), false)),
    }
}

/// What is known of the repository that is written or read.
pub(super) fn trust(process: &Process) -> Trust {
    Trust::of(process, "--public-key-file", "--known-head-file")
}

async fn probe(process: &Process) -> Step<Value> {
    process.enter("opening").await?;
    let pinned = process.order.all("--identity").first().map(String::as_str);
    let identity = process.repository("--store")?.identity(pinned).await?;
    // How much lies there says nothing about what is right.
    Ok(json!({ "identity": identity, "usedBytes": 4096 }))
}

async fn init(process: &Process) -> Step<Value> {
    process.enter("init").await?;
    let repository = process.repository("--store")?;
    let mut held = repository.read().await?;
    if held.stands() && process.shared.file(ESCROW).is_none() {
        return Err(fault("RepositoryExists", "there is a repository already, and nobody knows its password", false));
    }
    // The password first, so that no repository is without one.
    process.shared.keep(ESCROW, "simulated-token-of-escrow\n".to_owned());
    if !held.stands() {
        process.enter("creating").await?;
        held = repository.append(process, &held, &json!({ "created": {} })).await?;
    }
    let head = held.head();
    Ok(json!({
        "store": process.order.one("--store"), "escrowKey": evidence::sha256(process.order.one("--store")),
        "publicKey": head.get("signer"), "chain": head
    }))
}

/// Everything that is done while the repository is ours; the lease is given back however it ends.
async fn writing<F, Fut>(process: &Process, work: F) -> Step<Value>
where
    F: FnOnce(Repository, Held, Lease) -> Fut,
    Fut: Future<Output = Step<Value>>,
{
    let repository = process.repository("--store")?;
    let trust = trust(process);
    repository.read().await?.proven(&trust)?;
    let lease = repository.take(process, process.order.one("--run")).await?;
    let outcome = async {
        // Somebody may have appended between reading and taking.
        let held = repository.read().await?;
        held.proven(&trust)?;
        work(repository.clone(), held, lease.clone()).await
    }
    .await;
    process.shared.life.or_never().await;
    repository.release(&lease).await;
    outcome
}

/// What a namespace holds, without what Zhengyun delivered.
pub(super) async fn content(client: &Client, source: &str, namespace: &str) -> Step<Items> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let all = api.list(&ListParams::default()).await.map_err(|e| of_site(&e))?;
    let own = all.into_iter().filter(|map| {
        // The cluster itself puts this one into every namespace.
        !map.labels().contains_key(DELIVERED) && map.name_any() != "kube-root-ca.crt"
    });
    let item = |map: ConfigMap| {
        let content = serde_json::to_string(&map.data.clone().unwrap_or_default()).unwrap_or_default();
        (format!("{source}/configmaps/{}", map.name_any()), content)
    };
    Ok(own.map(item).collect())
}

pub(super) fn size(items: &Items) -> u64 {
    items.values().map(|content| u64::try_from(content.len()).unwrap_or(u64::MAX)).sum()
}

async fn backup(process: &Process) -> Step<Value> {
    process.enter("opening").await?;
    writing(process, |repository, held, lease| async move {
        let run = process.order.one("--run");
        let ours = |backup: &Backup| backup.statement.get("run").and_then(Value::as_str) == Some(run);
        if let Some(done) = held.backups().into_iter().find(ours) {
            // Killed after the link was written: there is nothing left to do.
            return Ok(sealed(process, &held, &done));
        }
        process.enter("capturing").await?;
        let at = process.clock.now().to_string();
        let (site, client) = process.site()?;
        let (mut items, mut sources) = (Items::new(), Vec::new());
        for given in process.order.all("--namespace") {
            let (name, namespace) = given.split_once('=').unwrap_or_default();
            process.may_enter(site, namespace, false)?;
            items.extend(content(&client, name, namespace).await?);
            sources.push(json!({
                "name": name, "capturedAt": at, "consistency": "perKind", "changed": [], "changedTotal": 0,
                "volumesNotCovered": []
            }));
            process.count(items.len(), size(&items));
        }
        for (name, rows) in database::read(process).await? {
            items.extend(rows);
            sources.push(json!({
                "name": name, "capturedAt": at, "consistency": "pointInTime", "changed": [], "changedTotal": 0,
                "volumesNotCovered": [], "database": { "serverVersion": "15.0", "lsn": "0/1" }
            }));
        }
        let snapshot = repository.snapshot_of(run);
        fits(process, &held, &snapshot, &items)?;
        repository.fence(process, &lease).await?;
        repository.store(&snapshot, run, &items).await?;
        process.enter("signing").await?;
        let statement = json!({
            "run": run, "snapshot": snapshot, "root": evidence::root(&items), "items": items.len(),
            "bytes": size(&items), "capturedAt": at, "sources": sources
        });
        repository.fence(process, &lease).await?;
        let held = repository.append(process, &held, &json!({ "backup": statement })).await?;
        let done = held.backups().into_iter().find(ours);
        let done = done.ok_or_else(|| fault("EngineFailure", "what was just signed is not there", false))?;
        Ok(sealed(process, &repository.read().await?, &done))
    })
    .await
}

/// Whether there is room for what is about to be stored.
fn fits(process: &Process, held: &Held, snapshot: &str, items: &Items) -> Step<()> {
    let limit: u64 = process.order.one("--repository-limit").parse().unwrap_or_default();
    let after = stored(held, Some(snapshot)).saturating_add(size(items));
    if after <= limit {
        return Ok(());
    }
    Err(fault(
        "QuotaExceeded",
        format!("--repository-limit: the repository may hold {limit} bytes, not {after}"),
        false,
    ))
}

/// Bytes of everything in a repository but one snapshot.
fn stored(held: &Held, but: Option<&str>) -> u64 {
    let others = held.snapshots.iter().filter(|(name, _)| Some(name.as_str()) != but);
    others.map(|(_, (_, items))| size(items)).sum()
}

/// The report of a backup or a copy.
fn sealed(process: &Process, held: &Held, done: &Backup) -> Value {
    let of = |name: &str| done.statement.get(name).cloned().unwrap_or_default();
    json!({
        "run": of("run"), "attempt": 1, "snapshot": done.snapshot, "root": done.root, "items": of("items"),
        "bytes": of("bytes"), "uploaded": of("bytes"), "stored": stored(held, None), "batches": 1, "resumedBatches": 0,
        "capturedAt": of("capturedAt"), "sources": of("sources"), "chain": held.head(),
        "heldAgainst": trust(process).head()
    })
}

/// A backup that stands in force, by its snapshot.
pub(super) fn named(held: &Held, snapshot: &str) -> Step<Backup> {
    let found = held.backups().into_iter().find(|backup| backup.snapshot == snapshot);
    found.ok_or_else(|| fault("NoSuchBackup", format!("backup {snapshot} is not in the repository"), false))
}

async fn verify(process: &Process) -> Step<Value> {
    process.enter("opening").await?;
    let held = process.repository("--store")?.read().await?;
    held.proven(&trust(process))?;
    if process.order.all("--backup").is_empty() {
        return verify_all(process, &held).await;
    }
    let backup = named(&held, process.order.one("--backup"))?;
    process.enter("verifying").await?;
    if let Some(problem) = held.damage(&backup) {
        return Err(fault("NotIntact", format!("verification found 1 defects, first: {problem}"), false));
    }
    Ok(json!({ "intact": [backup.snapshot], "findings": [], "signerKnown": true, "chain": held.head() }))
}

/// Reads everything in the repository, as a check of the store asks for: what is wrong stands in the report.
async fn verify_all(process: &Process, held: &Held) -> Step<Value> {
    process.enter("verifying").await?;
    let (mut intact, mut findings) = (Vec::new(), Vec::new());
    for backup in held.backups() {
        match held.damage(&backup) {
            None => intact.push(backup.snapshot),
            Some(problem) => findings.push(json!({
                "part": format!("snapshots/{}", backup.snapshot), "problem": problem, "needed": true
            })),
        }
    }
    if let (Some(first), false) = (findings.first(), process.order.has("--report-only")) {
        let message = format!("verification found {} defects, first: {first}", findings.len());
        return Err(fault("NotIntact", message, false));
    }
    let read: u64 = held.snapshots.values().map(|(_, items)| size(items)).sum();
    Ok(json!({
        "intact": intact, "findings": findings, "bytesRead": read, "signerKnown": true, "chain": held.head()
    }))
}

async fn replicate(process: &Process) -> Step<Value> {
    process.enter("opening").await?;
    writing(process, |repository, held, lease| async move {
        let run = process.order.one("--run");
        let ours = |backup: &Backup| backup.statement.get("run").and_then(Value::as_str) == Some(run);
        if let Some(done) = held.backups().into_iter().find(ours) {
            return Ok(sealed(process, &held, &done));
        }
        process.enter("copying").await?;
        let from = process.repository("--from")?.read().await?;
        from.proven(&Trust::of(process, "--public-key-file", "--from-known-head-file"))?;
        let original = named(&from, process.order.one("--backup"))?;
        if let Some(problem) = from.damage(&original) {
            return Err(fault("RepositoryDamaged", problem, false));
        }
        let items = from.snapshots.get(&original.snapshot).map(|(_, items)| items.clone()).unwrap_or_default();
        let snapshot = repository.snapshot_of(run);
        fits(process, &held, &snapshot, &items)?;
        repository.fence(process, &lease).await?;
        repository.store(&snapshot, run, &items).await?;
        process.enter("signing").await?;
        let mut statement = original.statement.clone();
        if let Some(fields) = statement.as_object_mut() {
            fields.insert("snapshot".to_owned(), Value::String(snapshot));
        }
        repository.fence(process, &lease).await?;
        let held = repository.append(process, &held, &json!({ "backup": statement })).await?;
        let done = held.backups().into_iter().find(ours);
        let done = done.ok_or_else(|| fault("EngineFailure", "what was just signed is not there", false))?;
        Ok(sealed(process, &repository.read().await?, &done))
    })
    .await
}

async fn forget(process: &Process) -> Step<Value> {
    process.enter("forgetting").await?;
    writing(process, |repository, held, lease| async move {
        let (at, wanted) = (process.clock.now().to_string(), process.order.all("--snapshot"));
        let standing: Vec<String> = held.backups().into_iter().map(|backup| backup.snapshot).collect();
        let gone = held.forgotten();
        if let Some(unknown) = wanted.iter().find(|name| !standing.contains(*name) && !gone.contains(*name)) {
            return Err(fault("NoSuchBackup", format!("backup {unknown} is not in the repository"), false));
        }
        let doomed: Vec<&String> = wanted.iter().filter(|name| standing.contains(*name)).collect();
        if !doomed.is_empty() && doomed.len() == standing.len() {
            let message = "--snapshot: no backup would be left in the repository; keep at least one";
            return Err(fault("InvalidInput", message, false));
        }
        let mut held = held;
        if !doomed.is_empty() {
            repository.fence(process, &lease).await?;
            held = repository.append(process, &held, &json!({ "forgotten": doomed })).await?;
        }
        process.enter("removing").await?;
        let (kept, gone) = (process.order.all("--keep-run"), held.forgotten());
        let standing: Vec<String> = held.backups().into_iter().map(|backup| backup.snapshot).collect();
        for (snapshot, (run, _)) in &held.snapshots {
            let left = process.order.has("--leftovers") && !standing.contains(snapshot) && !kept.contains(run);
            if gone.contains(snapshot) || left {
                repository.fence(process, &lease).await?;
                repository.remove(snapshot).await?;
            }
        }
        Ok(json!({
            "at": at, "forgotten": gone, "leftovers": [], "keptRuns": kept, "chain": held.head(),
            "stored": stored(&repository.read().await?, None),
            "heldAgainst": trust(process).head()
        }))
    })
    .await
}
