//! The repository of a department in a bucket: snapshots, a signed chain that says what happened to them, and who may write.
//!
//! It stands for restic's format and the worker's chain, as far as controllers and checker can tell them apart: a backup is good if a
//! signed link names its snapshot and root, no later link says that it is forgotten, and what is stored comes to that root.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, ObjectMeta, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use zhengyun_domain::recovery::run::Fault;
use zhengyun_operator::runtime::clock::Clock;

use super::evidence::{self, Items, sha256, sign, verifies};
use super::process::{Process, Step, fault};

/// After so long without a sign of its holder a lease is taken over.
const SILENCE: Duration = Duration::from_secs(30);
/// A holder shows itself at the first write after this long.
const RENEW: Duration = Duration::from_secs(10);
/// How often somebody who waits for the lease looks.
const LOOK: Duration = Duration::from_secs(5);
/// Object that says which store it is.
const MARK: &str = "zhengyun-store";

/// A link of the chain.
#[derive(Clone, Debug)]
pub(super) struct Link {
    text: String,
    signature: String,
    signer: String,
    statement: Value,
}

/// Everything that a repository holds at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    links: Vec<Link>,
    /// What is stored, by snapshot: the run that stored it, and the items.
    pub(super) snapshots: BTreeMap<String, (String, Items)>,
    lease: Option<ConfigMap>,
}

/// A backup of which a link speaks.
#[derive(Clone, Debug)]
pub(super) struct Backup {
    pub(super) snapshot: String,
    pub(super) root: String,
    pub(super) statement: Value,
}

/// What somebody knows of a chain beforehand.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    signer: Option<String>,
    head: Option<Value>,
}

impl Trust {
    /// As the command line gives it.
    pub(super) fn of(process: &Process, signer: &str, head: &str) -> Self {
        let head = process.order.secret(head).and_then(|text| serde_json::from_str(text).ok());
        Self { signer: process.order.secret(signer).map(|text| text.trim().to_owned()), head }
    }

    /// The head that is known, for reports.
    pub(super) fn head(&self) -> Option<&Value> {
        self.head.as_ref()
    }
}

/// The right to write, as long as nobody has a newer one.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    epoch: u64,
    run: String,
}

/// A repository.
#[derive(Clone)]
pub(super) struct Repository {
    api: Api<ConfigMap>,
    bucket: String,
    department: String,
    /// The bucket's own clock.
    clock: Clock,
}

fn text(statement: &Value, pointer: &str) -> String {
    statement.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Held {
    /// What stands in force: backups that no link has forgotten, oldest first.
    pub(super) fn backups(&self) -> Vec<Backup> {
        let gone = self.forgotten();
        let all = self.links.iter().filter_map(|link| link.statement.pointer("/event/backup"));
        let all = all.map(|backup| Backup {
            snapshot: text(backup, "/snapshot"),
            root: text(backup, "/root"),
            statement: backup.clone(),
        });
        all.filter(|backup| !gone.contains(&backup.snapshot)).collect()
    }

    /// Snapshots that links say are forgotten.
    pub(super) fn forgotten(&self) -> BTreeSet<String> {
        let all = self.links.iter().filter_map(|link| link.statement.pointer("/event/forgotten")?.as_array());
        all.flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    }

    /// Checks every link, who signed it, and that it continues what is known.
    pub(super) fn proven(&self, trust: &Trust) -> Step<()> {
        let broken = |problem: String| fault("EvidenceInvalid", format!("the chain does not prove: {problem}"), false);
        let Some(first) = self.links.first() else {
            return Err(fault("NoRepository", "there is no repository", false));
        };
        let signer = trust.signer.as_ref().unwrap_or(&first.signer);
        let mut before = String::new();
        for (counter, link) in self.links.iter().enumerate() {
            let follows = link.statement.get("counter").and_then(Value::as_u64) == u64::try_from(counter).ok();
            if !follows || text(&link.statement, "/previous") != before {
                return Err(broken(format!("link {counter} does not continue the one before it")));
            }
            if link.signer != *signer || !verifies(&link.signer, &link.text, &link.signature) {
                return Err(broken(format!("link {counter} is not signed by {signer}")));
            }
            before = sha256(&link.text);
        }
        if let Some(known) = &trust.head {
            let at = known.get("counter").and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
            let found = at.and_then(|at| self.links.get(at)).map(|link| sha256(&link.text));
            if found.as_deref() != known.get("head").and_then(Value::as_str) {
                return Err(broken("it is an older copy than the one that is known".to_owned()));
            }
        }
        Ok(())
    }

    /// The head of the chain, as reports tell it.
    pub(super) fn head(&self) -> Value {
        let last = self.links.last();
        json!({
            "counter": self.links.len().saturating_sub(1),
            "head": last.map(|link| sha256(&link.text)).unwrap_or_default(),
            "signer": last.map(|link| link.signer.clone()).unwrap_or_default(),
        })
    }

    /// Whether there is a chain.
    pub(super) fn stands(&self) -> bool {
        !self.links.is_empty()
    }

    /// What is wrong with what is stored of a backup; none if it comes to its root.
    pub(super) fn damage(&self, backup: &Backup) -> Option<String> {
        match self.snapshots.get(&backup.snapshot) {
            None => Some(format!("snapshot {} is missing", backup.snapshot)),
            Some((_, items)) if evidence::root(items) != backup.root => {
                Some(format!("snapshot {} is not what was signed", backup.snapshot))
            }
            Some(_) => None,
        }
    }
}

/// Every fault of a bucket passes: that one refuses for good is not simulated.
fn away(error: &kube::Error) -> Fault {
    fault("StoreUnreachable", format!("the bucket: {error}"), true)
}

fn is_there(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

impl Repository {
    pub(super) fn at(client: Client, bucket: &str, department: &str, clock: Clock) -> Self {
        let api = Api::namespaced(client, super::PLACE);
        Self { api, bucket: bucket.to_owned(), department: department.to_owned(), clock }
    }

    /// Which store it is; the same in every run, so that records can be compared.
    pub(super) async fn identity(&self, pinned: Option<&str>) -> Step<String> {
        match (self.mark().await?, pinned) {
            (Some(found), pinned) if pinned.is_none_or(|pinned| pinned == found) => Ok(found),
            (Some(found), _) => {
                Err(fault("AnotherStore", format!("it is store {found}, another one was joined"), false))
            }
            (None, Some(pinned)) => {
                Err(fault("AnotherStore", format!("it is not store {pinned}: it was emptied"), false))
            }
            (None, None) => {
                let identity = sha256(&self.bucket).chars().take(32).collect::<String>();
                if self.create(MARK, [("identity".to_owned(), identity.clone())].into()).await? {
                    return Ok(identity);
                }
                // Somebody else was first, it is said; theirs stands.
                let gone = || fault("AnotherStore", "what was written is not there".to_owned(), false);
                self.mark().await?.ok_or_else(gone)
            }
        }
    }

    async fn mark(&self) -> Step<Option<String>> {
        let mark = self.api.get_opt(MARK).await.map_err(|e| away(&e))?;
        Ok(mark.and_then(|mark| mark.data?.remove("identity")))
    }

    async fn create(&self, name: &str, data: BTreeMap<String, String>) -> Step<bool> {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let object = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        match self.api.create(&PostParams::default(), &object).await {
            Ok(_) => Ok(true),
            Err(error) if is_there(&error) => Ok(false),
            Err(error) => Err(away(&error)),
        }
    }

    fn name(&self, what: &str) -> String {
        format!("{}.{what}", self.department)
    }

    /// Everything that it holds.
    pub(super) async fn read(&self) -> Step<Held> {
        let all = self.api.list(&ListParams::default()).await.map_err(|e| away(&e))?;
        let mut held = Held::default();
        let (links, snapshots) = (self.name("link."), self.name("snapshot."));
        for object in all {
            let name = object.name_any();
            let given = |key: &str| object.data.as_ref().and_then(|data| data.get(key)).cloned().unwrap_or_default();
            if name.starts_with(&links) {
                // Names are numbers of one length, and lists are in the order of names.
                let text = given("statement");
                let statement = serde_json::from_str(&text).unwrap_or_default();
                held.links.push(Link { text, statement, signature: given("signature"), signer: given("signer") });
            } else if let Some(snapshot) = name.strip_prefix(&snapshots) {
                let items = serde_json::from_str(&given("items")).unwrap_or_default();
                held.snapshots.insert(snapshot.to_owned(), (given("run"), items));
            } else if name == self.name("lease") {
                held.lease = Some(object);
            }
        }
        Ok(held)
    }

    /// Takes the lease, or says who has it.
    pub(super) async fn take(&self, process: &Process, run: &str) -> Step<Lease> {
        let patience = process.order.one("--lease-wait").parse().unwrap_or_default();
        let begun = tokio::time::Instant::now();
        loop {
            process.check().await?;
            let before = self.api.get_opt(&self.name("lease")).await.map_err(|e| away(&e))?;
            let given = |key: &str| -> String {
                let data = before.as_ref().and_then(|lease| lease.data.as_ref());
                data.and_then(|data| data.get(key)).cloned().unwrap_or_default()
            };
            let renewed: Timestamp = given("renewedAt").parse().unwrap_or_default();
            let silent = Duration::try_from(self.clock.now().duration_since(renewed)).unwrap_or_default() >= SILENCE;
            let free = before.is_none() || given("holder").is_empty() || given("holder") == run || silent;
            let holder = given("holder");
            if free {
                let epoch = given("epoch").parse::<u64>().unwrap_or_default().saturating_add(1);
                let lease = Lease { epoch, run: run.to_owned() };
                if self.hold(before, &lease, run).await? {
                    return Ok(lease);
                }
            }
            if begun.elapsed() >= Duration::from_secs(patience) {
                return Err(fault("RepositoryBusy", format!("the repository is held by run {holder}"), true));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes who holds it; false if somebody else was quicker.
    async fn hold(&self, before: Option<ConfigMap>, lease: &Lease, holder: &str) -> Step<bool> {
        let data = BTreeMap::from([
            ("epoch".to_owned(), lease.epoch.to_string()),
            ("holder".to_owned(), holder.to_owned()),
            ("renewedAt".to_owned(), self.clock.now().to_string()),
        ]);
        let Some(before) = before else { return self.create(&self.name("lease"), data).await };
        let after = ConfigMap { data: Some(data), ..before };
        match self.api.replace(&self.name("lease"), &PostParams::default(), &after).await {
            Ok(_) => Ok(true),
            Err(error) if is_there(&error) => Ok(false),
            Err(error) => Err(away(&error)),
        }
    }

    /// Before every write: is the lease still ours?
    pub(super) async fn fence(&self, process: &Process, lease: &Lease) -> Step<()> {
        process.check().await?;
        let held = self.api.get_opt(&self.name("lease")).await.map_err(|e| away(&e))?;
        let data = held.as_ref().and_then(|lease| lease.data.clone()).unwrap_or_default();
        let given = |key: &str| data.get(key).map(String::as_str).unwrap_or_default();
        let lost = || fault("LeaseLost", "another run took the repository over", true);
        if given("epoch") != lease.epoch.to_string() {
            return Err(lost());
        }
        let renewed: Timestamp = given("renewedAt").parse().unwrap_or_default();
        let passed = Duration::try_from(self.clock.now().duration_since(renewed)).unwrap_or_default();
        if passed >= RENEW && !self.hold(held, lease, &lease.run).await? {
            return Err(lost());
        }
        Ok(())
    }

    /// Gives the lease back. Whoever comes next waits for silence if that fails.
    pub(super) async fn release(&self, lease: &Lease) {
        if let Ok(Some(held)) = self.api.get_opt(&self.name("lease")).await {
            let ours = held.data.as_ref().and_then(|data| data.get("epoch")) == Some(&lease.epoch.to_string());
            if ours {
                let _ = self.hold(Some(held), lease, "").await;
            }
        }
    }

    /// Name of the snapshot that a run stores: the same whenever it stores it.
    pub(super) fn snapshot_of(&self, run: &str) -> String {
        sha256(&format!("{} {} {run}", self.bucket, self.department))
    }

    /// Stores a snapshot. What an attempt before it left under its name is replaced.
    pub(super) async fn store(&self, snapshot: &str, run: &str, items: &Items) -> Step<()> {
        let name = self.name(&format!("snapshot.{snapshot}"));
        let text = serde_json::to_string(items).unwrap_or_default();
        let data = BTreeMap::from([("run".to_owned(), run.to_owned()), ("items".to_owned(), text)]);
        if self.create(&name, data.clone()).await? {
            return Ok(());
        }
        let Some(before) = self.api.get_opt(&name).await.map_err(|e| away(&e))? else {
            return Err(fault("StoreUnreachable", format!("{name} comes and goes"), true));
        };
        if before.data.as_ref() == Some(&data) {
            return Ok(());
        }
        let after = ConfigMap { data: Some(data), ..before };
        self.api.replace(&name, &PostParams::default(), &after).await.map(drop).map_err(|e| away(&e))
    }

    /// Takes a snapshot away.
    pub(super) async fn remove(&self, snapshot: &str) -> Step<()> {
        let name = self.name(&format!("snapshot.{snapshot}"));
        let Some(held) = self.api.get_opt(&name).await.map_err(|e| away(&e))? else { return Ok(()) };
        let only = Preconditions { uid: held.uid(), resource_version: None };
        let params = kube::api::DeleteParams { preconditions: Some(only), ..Default::default() };
        match self.api.delete(&name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop).map_err(|e| away(&e)),
        }
    }

    /// Appends a signed link: of two that append at once, one fails.
    pub(super) async fn append(&self, process: &Process, held: &Held, event: &Value) -> Step<Held> {
        let counter = held.links.len();
        let previous = held.links.last().map(|link| sha256(&link.text)).unwrap_or_default();
        let at = process.clock.now().to_string();
        let statement = json!({ "counter": counter, "previous": previous, "at": at, "event": event });
        let text = statement.to_string();
        let key = process.order.secret("--signing-key-file").unwrap_or_default();
        let Some((signature, signer)) = sign(key, &text) else {
            return Err(fault("InvalidInput", "--signing-key-file: it holds no key", false));
        };
        let link = Link { text, signature, signer, statement };
        let data = BTreeMap::from([
            ("statement".to_owned(), link.text.clone()),
            ("signature".to_owned(), link.signature.clone()),
            ("signer".to_owned(), link.signer.clone()),
        ]);
        if !self.create(&self.name(&format!("link.{counter:06}")), data).await? {
            return Err(fault("LeaseLost", format!("somebody else wrote link {counter}"), true));
        }
        let mut after = held.clone();
        after.links.push(link);
        Ok(after)
    }
}
