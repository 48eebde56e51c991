//! Delivery: the namespace, then the rules in it, then the bundle.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;
use zhengyun_crds::catalog::ReadinessRule;
use zhengyun_crds::grant::InventoryEntry;
use zhengyun_crds::marks;
use zhengyun_domain::delivery::{Desired, covers};

use super::delete::{Fate, delete};
use super::object::{Rules, Standing, rules, stand};
use crate::site::SiteError;
use crate::site::call::{Collection, Detail, text};
use crate::site::driver::Applied;
use crate::site::link::SiteLink;

/// Objects of one grant that are written at a time.
const AT_A_TIME: usize = 8;
/// Longest wait for a new namespace to take objects: its quota must have been counted once.
const SETTLE: Duration = Duration::from_secs(2);
/// First pause while it does; doubled each time.
const STEP: Duration = Duration::from_millis(20);
/// Prefix of the network policies that open something, and are not there while a grant is frozen.
const ALLOW_PREFIX: &str = "zhengyun-allow-";

pub(super) async fn apply(
    link: &SiteLink,
    desired: &[Desired],
    inventory: &[InventoryEntry],
    grant_uid: &str,
    readiness: &[ReadinessRule],
) -> Result<Applied, SiteError> {
    let rules = rules(readiness);
    let work = Work { link, inventory, grant_uid, rules: &rules };
    let (namespaces, inside): (Vec<_>, Vec<_>) = desired.iter().partition(|d| d.entry.namespace.is_empty());
    let (frame, bundle): (Vec<_>, Vec<_>) =
        inside.into_iter().partition(|d| d.entry.name.starts_with(marks::SITE_OBJECT_PREFIX));

    let mut standings = work.all(&namespaces).await?;
    let ground = standings.iter().all(|s| s.stands);
    let before_frame = standings.len();
    if ground {
        standings.extend(work.all(&frame).await?);
    } else {
        standings.extend(frame.iter().map(|d| work.later(d, "it waits for the namespace")));
    }
    let mut failures = Vec::new();
    if ground && namespaces.iter().any(|d| work.uid(d).is_some()) {
        failures.extend(close(&work, &frame).await?);
    }
    let framed = ground && standings.iter().skip(before_frame).all(|s| s.stands);
    if framed {
        standings.extend(work.bundle(&frame, &bundle).await?);
    } else {
        // Nothing may run before its ceiling and its network rules stand; what runs already is looked at.
        for object in &bundle {
            let standing = match work.uid(object) {
                Some(_) if ground => work.one(object).await?,
                _ => work.later(object, "it waits for the namespace's own rules"),
            };
            standings.push(standing);
        }
    }
    Ok(gathered(desired, standings, failures))
}

/// Everything in the order in which it was asked for.
fn gathered(desired: &[Desired], standings: Vec<Standing>, mut failures: Vec<String>) -> Applied {
    let mut applied = Applied::default();
    let mut entries = Vec::with_capacity(standings.len());
    for standing in standings {
        applied.changed = applied.changed.saturating_add(u64::from(standing.changed));
        failures.extend(standing.failure);
        entries.push(standing.entry);
    }
    let order = |e: &InventoryEntry| {
        desired.iter().position(|d| (&d.entry.group, &d.entry.kind, &d.entry.name) == (&e.group, &e.kind, &e.name))
    };
    entries.sort_by_key(order);
    Applied { inventory: entries, failures, ..applied }
}

struct Work<'a> {
    link: &'a SiteLink,
    inventory: &'a [InventoryEntry],
    grant_uid: &'a str,
    rules: &'a Rules,
}

impl Work<'_> {
    /// The recorded UID of an object.
    fn uid(&self, desired: &Desired) -> Option<&str> {
        let key = |e: &InventoryEntry| (e.group.clone(), e.kind.clone(), e.namespace.clone(), e.name.clone());
        let wanted = key(&desired.entry);
        self.inventory.iter().find(|e| key(e) == wanted).and_then(|e| e.uid.as_deref()).filter(|uid| !uid.is_empty())
    }

    fn later(&self, desired: &Desired, why: &str) -> Standing {
        Standing::waiting(desired, self.uid(desired), why)
    }

    async fn one(&self, desired: &Desired) -> Result<Standing, SiteError> {
        stand(self.link, desired, self.uid(desired), self.grant_uid, self.rules).await
    }

    /// Several objects that do not depend on each other.
    async fn all(&self, desired: &[&Desired]) -> Result<Vec<Standing>, SiteError> {
        let one_by_one: Vec<_> = desired.iter().map(|d| self.one(d)).collect();
        let done: Vec<_> = futures::stream::iter(one_by_one).buffered(AT_A_TIME).collect().await;
        done.into_iter().collect()
    }

    /// The bundle, once its ceiling counts. A quota that was only just made refuses everything until it has been counted.
    async fn bundle(&self, frame: &[&Desired], bundle: &[&Desired]) -> Result<Vec<Standing>, SiteError> {
        let deadline = Instant::now() + SETTLE;
        if bundle.iter().any(|d| self.uid(d).is_none()) {
            self.counted(frame, deadline).await?;
        }
        let mut standings = self.all(bundle).await?;
        let mut pause = STEP;
        while standings.iter().any(|s| s.early) && Instant::now() < deadline {
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
            for (standing, desired) in standings.iter_mut().zip(bundle) {
                if standing.early {
                    *standing = self.one(desired).await?;
                }
            }
        }
        Ok(standings)
    }

    /// Waits until the quota's status speaks of everything that its spec limits.
    async fn counted(&self, frame: &[&Desired], deadline: Instant) -> Result<(), SiteError> {
        let Some(quota) = frame.iter().find(|d| d.entry.kind == "ResourceQuota") else { return Ok(()) };
        let hard = quota.body.pointer("/spec/hard").unwrap_or(&Value::Null);
        let place = Collection::holding(&quota.entry);
        let mut pause = STEP;
        while Instant::now() < deadline {
            let live = self
                .link
                .get(&place, &quota.entry.name)
                .await
                .map_err(|f| f.unexpected(self.link, "GET ResourceQuota"))?;
            if live.is_some_and(|live| covers(live.pointer("/status/hard").unwrap_or(&Value::Null), hard)) {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        // The bundle is tried all the same: the site says best what is wrong.
        Ok(())
    }
}

/// Deletes our own network policies that open something and are not desired any more.
async fn close(work: &Work<'_>, frame: &[&Desired]) -> Result<Vec<String>, SiteError> {
    let Some(namespace) = frame.first().map(|d| d.entry.namespace.as_str()) else { return Ok(Vec::new()) };
    let policies = Collection::of("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", namespace);
    let ours = format!("{}={}", marks::LABEL_GRANT_UID, work.grant_uid);
    let found = work
        .link
        .list(&policies, Some(&ours), Detail::Metadata)
        .await
        .map_err(|f| f.unexpected(work.link, "LIST NetworkPolicy"))?;
    let desired: BTreeSet<&str> =
        frame.iter().filter(|d| d.entry.kind == "NetworkPolicy").map(|d| d.entry.name.as_str()).collect();
    let mut failures = Vec::new();
    for policy in &found {
        let name = text(policy, "/metadata/name");
        if name.starts_with(ALLOW_PREFIX) && !desired.contains(name) {
            let uid = text(policy, "/metadata/uid");
            if let Fate::Refused(why) = delete(work.link, &policies, name, uid, work.grant_uid).await? {
                failures.push(format!("NetworkPolicy {name} is still open: {why}"));
            }
        }
    }
    Ok(failures)
}
