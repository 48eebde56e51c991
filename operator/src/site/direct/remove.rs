//! Removal: workloads, then data, then the namespace with everything that others put into it.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;
use zhengyun_crds::grant::{ClaimRecord, InventoryEntry};
use zhengyun_crds::marks;

use super::delete::{Fate, delete, waits_for};
use super::namespace::{Found, find};
use super::served::{Served, served};
use crate::site::SiteError;
use crate::site::call::{Collection, Detail, text};
use crate::site::driver::Removal;
use crate::site::link::SiteLink;

/// Objects that are deleted at a time.
const AT_A_TIME: usize = 8;
/// Longest wait for workloads to go before the next look is left to the caller.
const SETTLE: Duration = Duration::from_secs(1);
/// First pause while they do; doubled each time.
const STEP: Duration = Duration::from_millis(25);
/// Most claims that are recorded. Residue is also found by the namespace that it refers to.
const MOST_CLAIMS: usize = 300;
/// Kinds that hold data: group, version, kind, plural.
const DATA: &[(&str, &str, &str, &str)] = &[
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("objectstorage.k8s.io", "v1alpha1", "BucketClaim", "bucketclaims"),
];

fn is_data(entry: &InventoryEntry) -> bool {
    DATA.iter().any(|(group, _, kind, _)| entry.group == *group && entry.kind == *kind)
}

pub(super) async fn claims(
    link: &SiteLink,
    namespace: &str,
    inventory: &[InventoryEntry],
) -> Result<Vec<ClaimRecord>, SiteError> {
    if !matches!(find(link, namespace, inventory, None).await?, Found::Ours(_)) {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for (group, version, kind, plural) in DATA {
        let Served::At(version) = served(link, group, version, plural).await? else { continue };
        let place = Collection::of(group, &version, kind, plural, namespace);
        let found =
            link.list(&place, None, Detail::Metadata).await.map_err(|f| f.unexpected(link, &format!("LIST {kind}")))?;
        all.extend(found.iter().map(|claim| ClaimRecord {
            kind: (*kind).to_owned(),
            name: text(claim, "/metadata/name").to_owned(),
            uid: text(claim, "/metadata/uid").to_owned(),
        }));
    }
    all.truncate(MOST_CLAIMS);
    Ok(all)
}

pub(super) async fn remove(
    link: &SiteLink,
    namespace: &str,
    inventory: &[InventoryEntry],
    grant_uid: &str,
) -> Result<Removal, SiteError> {
    let Found::Ours(live) = find(link, namespace, inventory, Some(grant_uid)).await? else {
        // Gone, or somebody else's, in which nothing of the grant can be.
        return Ok(Removal::default());
    };
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return Ok(namespace_alone(&live));
    }
    let removing = Removing { link, grant_uid };
    // Backwards: what was created last rests on what was created first. The frame stands to the end and goes with the namespace.
    let bundle = || {
        inventory.iter().rev().filter(|e| e.namespace == namespace && !e.name.starts_with(marks::SITE_OBJECT_PREFIX))
    };
    let workloads: Vec<_> = bundle().filter(|e| !is_data(e)).collect();
    let remaining = removing.all(&workloads).await?;
    if !remaining.is_empty() {
        return Ok(Removal { remaining, namespace_alone: false });
    }
    // Data is not waited for: a claim stays while a pod of the tenant uses it, and those pods go with the namespace only.
    removing.ask(&bundle().filter(|e| is_data(e)).collect::<Vec<_>>()).await?;
    let uid = text(&live, "/metadata/uid");
    if let Fate::Refused(why) = delete(link, &Collection::namespaces(), namespace, uid, grant_uid).await? {
        return Err(SiteError::Refused {
            site: link.name().to_owned(),
            what: format!("DELETE Namespace {namespace}"),
            cause: why,
        });
    }
    match find(link, namespace, inventory, Some(grant_uid)).await? {
        Found::Ours(live) => Ok(namespace_alone(&live)),
        Found::Gone | Found::Foreign => Ok(Removal::default()),
    }
}

struct Removing<'a> {
    link: &'a SiteLink,
    grant_uid: &'a str,
}

impl Removing<'_> {
    /// Asks for the deletion of every object; returns those that are not gone at once.
    async fn ask<'e>(&self, entries: &[&'e InventoryEntry]) -> Result<Vec<&'e InventoryEntry>, SiteError> {
        let one_by_one: Vec<_> = entries
            .iter()
            .map(|entry| async move {
                let uid = entry.uid.as_deref().unwrap_or_default();
                match delete(self.link, &Collection::holding(entry), &entry.name, uid, self.grant_uid).await {
                    Ok(fate) => Ok((*entry, fate)),
                    // A kind that the site lost took its objects along; the proof looks at that closely.
                    Err(error) => Err(error),
                }
            })
            .collect();
        let fates: Vec<_> = futures::stream::iter(one_by_one).buffered(AT_A_TIME).collect().await;
        let (mut going, mut refused) = (Vec::new(), Vec::new());
        for fate in fates {
            match fate? {
                (_, Fate::Gone) => {}
                (entry, Fate::Going) => going.push(entry),
                (entry, Fate::Refused(why)) => refused.push(format!("{} {}: {why}", entry.kind, entry.name)),
            }
        }
        if refused.is_empty() {
            return Ok(going);
        }
        Err(SiteError::Refused {
            site: self.link.name().to_owned(),
            what: "removal".to_owned(),
            cause: refused.join("; "),
        })
    }

    /// Asks for the deletion of every object and waits a little; returns what is still there.
    async fn all(&self, entries: &[&InventoryEntry]) -> Result<Vec<String>, SiteError> {
        let mut going = self.ask(entries).await?;
        let deadline = Instant::now() + SETTLE;
        let mut pause = STEP;
        loop {
            let mut left = Vec::new();
            let mut lines = Vec::new();
            for entry in going {
                let what = format!("GET {} {}", entry.kind, entry.name);
                let live = self
                    .link
                    .get(&Collection::holding(entry), &entry.name)
                    .await
                    .map_err(|f| f.unexpected(self.link, &what))?;
                if let Some(live) = live.filter(|live| !text(live, "/metadata/deletionTimestamp").is_empty()) {
                    lines.push(waits_for(&entry.kind, &live));
                    left.push(entry);
                }
            }
            if left.is_empty() || Instant::now() >= deadline {
                return Ok(lines);
            }
            going = left;
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
    }
}

fn namespace_alone(live: &Value) -> Removal {
    Removal { remaining: vec![waits_for_contents(live)], namespace_alone: true }
}

/// What a namespace that is being deleted waits for, by the words of the cluster's own controller.
fn waits_for_contents(namespace: &Value) -> String {
    let conditions = namespace.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let told: Vec<&str> = conditions
        .filter(|c| text(c, "/status") == "True")
        .map(|c| text(c, "/message"))
        .filter(|m| !m.is_empty())
        .collect();
    let name = text(namespace, "/metadata/name");
    if told.is_empty() {
        format!("Namespace {name} (being deleted)")
    } else {
        format!("Namespace {name} ({})", told.join(" "))
    }
}
