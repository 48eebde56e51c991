//! A migration: asked for by the clerk, looked at and signed for through the API by whoever may.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::Deserialize;
use serde_json::{Value, json};
use zhengyun_crds::SystemMigration;

use crate::demo::parts::{API, Desk, SOON, object};
use crate::lab::wait::settled;
use crate::world;
use crate::world::door::Door;

const LOOK: Duration = Duration::from_millis(100);
/// A copy is told of again after this.
const TOLD: Duration = Duration::from_secs(1);
/// Longest time in which nothing of a migration changes.
const PATIENCE: Duration = Duration::from_mins(3);

/// What the API says of a migration, as far as the story looks at it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Seen {
    pub(super) stage: String,
    step: Option<String>,
    lag: Option<String>,
    time_left: Option<String>,
    pub(super) blocker: Option<Blocker>,
    pub(super) progress: Progress,
    pub(super) workloads: Vec<Work>,
    evidence: Vec<Evidence>,
    pub(super) frozen_at: Option<String>,
    pub(super) traffic_admitted_at: Option<String>,
    pub(super) downtime: Option<String>,
    pub(super) went_back: Option<Blocker>,
    pub(super) retained_until: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Blocker {
    pub(super) reason: String,
    owner: String,
    pub(super) message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Progress {
    percent: u32,
    objects_done: u64,
    pub(super) objects_total: u64,
    bytes_done: u64,
    pub(super) bytes_total: u64,
    bytes_per_second: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Work {
    pub(super) name: String,
    pub(super) freeze_strength: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Evidence {
    kind: String,
    workload: String,
    digest: String,
}

impl Seen {
    pub(super) fn waits_for(&self, reason: &str) -> bool {
        self.blocker.as_ref().is_some_and(|blocker| blocker.reason == reason)
    }

    fn is_copying(&self) -> bool {
        self.stage == "FullCopy"
    }

    /// What tells one moment of it from another.
    fn key(&self) -> (String, Option<String>, Option<String>) {
        (self.stage.clone(), self.step.clone(), self.blocker.as_ref().map(|blocker| blocker.reason.clone()))
    }

    fn line(&self) -> String {
        let (stage, at) = (&self.stage, &self.progress);
        let step = self.step.as_ref().map(|step| format!(" ({step})")).unwrap_or_default();
        let copied = format!(
            ": {} % of {}, {} of {} items, {}/s",
            at.percent,
            bytes(at.bytes_total),
            at.objects_done,
            at.objects_total,
            bytes(at.bytes_per_second)
        );
        let left = self.time_left.as_ref().map(|left| format!(", {left} left")).unwrap_or_default();
        let copied = if self.is_copying() && at.bytes_total > 0 { copied + &left } else { String::new() };
        let follows = matches!(stage.as_str(), "FullCopy" | "Replicating" | "Rehearsed" | "ReadyForCutover");
        let lag = self.lag.as_ref().filter(|_| follows).map(|lag| format!(", {lag} behind")).unwrap_or_default();
        let waits = self
            .blocker
            .as_ref()
            .map(|blocker| format!("; waits for the {}: {}", blocker.owner.to_lowercase(), blocker.reason));
        format!("{stage}{step}{copied}{lag}{}", waits.unwrap_or_default())
    }
}

/// For people.
pub(super) fn bytes(count: u64) -> String {
    let tenths = count.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// What is seen, and the last moment at which it was not so yet.
pub(super) struct Sighting {
    pub(super) seen: Seen,
    pub(super) since: Instant,
}

pub(super) struct Migration<'a> {
    desk: Desk<'a>,
    pub(super) name: String,
    door: Door,
}

impl<'a> Migration<'a> {
    pub(super) fn new(desk: Desk<'a>, name: String) -> Result<Self> {
        Ok(Self { desk, name, door: desk.stage.door(desk.clerk)? })
    }

    fn path(&self) -> String {
        format!("/api/v1/departments/{}/migrations/{}", self.desk.department, self.name)
    }

    async fn api(&self) -> Result<Api<SystemMigration>> {
        Ok(Api::namespaced(self.desk.stage.client_of(self.desk.clerk).await?, &self.desk.namespace()))
    }

    /// Asks for it, as the clerk does with kubectl.
    pub(super) async fn ask(&self, spec: Value) -> Result<()> {
        let body = object(json!({
            "apiVersion": API, "kind": "SystemMigration",
            "metadata": { "name": self.name, "namespace": self.desk.namespace() }, "spec": spec
        }))?;
        world::apply(&self.desk.stage.client_of(self.desk.clerk).await?, &[body]).await
    }

    /// Changes it, as the clerk does with kubectl.
    pub(super) async fn change(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api().await?.patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    pub(super) async fn uid(&self) -> Result<String> {
        self.api().await?.get(&self.name).await?.metadata.uid.context("a migration has a UID")
    }

    async fn look(door: &Door, path: &str) -> Result<Seen> {
        Ok(serde_json::from_value(door.get(path).await?)?)
    }

    /// Follows it until it is as wanted, telling each stage, and how far its copy is.
    pub(super) async fn until(
        &self,
        what: &str,
        wanted: impl Fn(&Seen) -> bool,
        out: &mut dyn FnMut(&str),
    ) -> Result<Sighting> {
        let (path, mut since) = (self.path(), Instant::now());
        let (mut last, mut told, mut moved) = (None, Instant::now(), Instant::now());
        let mut at = Progress::default();
        loop {
            let looked = Instant::now();
            // The API may not have seen it yet.
            let seen = Self::look(&self.door, &path).await;
            if let Ok(seen) = &seen {
                let progressed = seen.progress != at;
                if last.as_ref() != Some(&seen.key()) || (seen.is_copying() && progressed && told.elapsed() > TOLD) {
                    (last, told) = (Some(seen.key()), Instant::now());
                    out(&format!("    {}", seen.line()));
                    moved = Instant::now();
                }
                if progressed {
                    (at, moved) = (seen.progress.clone(), Instant::now());
                }
                if wanted(seen) {
                    return Ok(Sighting { seen: seen.clone(), since });
                }
            }
            if moved.elapsed() > PATIENCE {
                bail!("migration {} {what} does not come about; last seen: {seen:?}", self.name);
            }
            since = looked;
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) async fn at(&self, stage: &str, out: &mut dyn FnMut(&str)) -> Result<Seen> {
        Ok(self.until(&format!("at {stage}"), |seen| seen.stage == stage, out).await?.seen)
    }

    /// Waits until it stands at a stage and waits for something.
    pub(super) async fn waits(&self, stage: &str, reason: &str, out: &mut dyn FnMut(&str)) -> Result<Seen> {
        let what = format!("at {stage}, waiting: {reason}");
        Ok(self.until(&what, |seen| seen.stage == stage && seen.waits_for(reason), out).await?.seen)
    }

    /// Signs what the API shows, as the person with the person's own token.
    pub(super) async fn sign(
        &self,
        (person, party): (&str, &str),
        (purpose, kind): (&str, &str),
        out: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let (door, path) = (self.desk.stage.door(person)?, self.path());
        // What is signed may change between looking and signing: then it is looked at again.
        let digest = settled(&format!("{person} signs {purpose}"), SOON, || async {
            let seen = Self::look(&door, &path).await?;
            let found = seen.evidence.iter().find(|one| one.kind == kind && one.workload.is_empty());
            let digest = found.with_context(|| format!("no evidence {kind} to sign"))?.digest.clone();
            let (route, body) = if purpose == "Cutover" {
                ("cutover", json!({ "party": party, "digest": digest }))
            } else {
                ("approval", json!({ "purpose": purpose, "party": party, "digest": digest }))
            };
            door.post(&format!("{path}/{route}"), &body).await?;
            Ok(Ok(digest))
        })
        .await?;
        out(&format!(
            "  {person} signs {purpose} for the {}: {}",
            party.to_lowercase(),
            digest.get(..19).unwrap_or(&digest)
        ));
        Ok(())
    }
}
