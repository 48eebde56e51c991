//! What people do in a run, and waiting for what comes of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;
use zhengyun_crds::{Approval, GrantPhase, RequestPhase, ResourceGrant, ResourceRequest};

use super::base::World;
use super::door::Door;
use super::fault::Gate;
use super::people;
use crate::apiserver::{Commit, User};
use crate::town::submitted;
use crate::world;

/// Longest wait for anything: operators may have died on the way, and sites been cut off.
const PATIENCE: Duration = Duration::from_secs(3600);

/// One run's people.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Where they act.
    pub world: World,
    /// The API they may use.
    pub door: Door,
}

impl Stage {
    /// People in a world.
    pub fn new(world: &World, gate: &Arc<Gate>) -> Self {
        Self { world: world.clone(), door: Door::new(world, gate) }
    }

    fn requests(&self, person: &str, department: &str) -> Result<Api<ResourceRequest>> {
        Ok(Api::namespaced(self.world.client_of(person)?, &format!("dept-{department}")))
    }

    /// A clerk writes a request and submits it at once.
    ///
    /// # Errors
    /// What the hub refuses.
    pub async fn submit(&self, clerk: &str, department: &str, name: &str, order: &Value) -> Result<()> {
        let body = submitted(name, clerk, order)?;
        self.requests(clerk, department)?.create(&PostParams::default(), &body).await?;
        Ok(())
    }

    /// A clerk changes a request.
    ///
    /// # Errors
    /// What the hub refuses.
    pub async fn amend(&self, clerk: &str, department: &str, name: &str, spec: &Value) -> Result<()> {
        let patch = json!({ "spec": spec });
        self.requests(clerk, department)?.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// A clerk deletes a request.
    ///
    /// # Errors
    /// What the hub refuses.
    pub async fn delete(&self, clerk: &str, department: &str, name: &str) -> Result<()> {
        self.requests(clerk, department)?.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Somebody decides on a request at the stage that is open.
    ///
    /// # Errors
    /// What the hub refuses.
    pub async fn decide(&self, who: &str, department: &str, name: &str, stage: &str, verdict: &str) -> Result<()> {
        let request = self
            .when(department, name, &format!("open at {stage}"), |r| {
                let status = r.status.clone().unwrap_or_default();
                status.phase == Some(RequestPhase::InReview) && status.stage.as_ref().is_some_and(|s| s.name == stage)
            })
            .await?;
        let round = request.spec.submission;
        self.record(who, department, &request, stage, verdict, &format!("{name}-{stage}-{round}")).await
    }

    /// Somebody approves whatever stage is open, under a name of their own.
    ///
    /// # Errors
    /// What the hub refuses.
    pub async fn approve(&self, who: &str, department: &str, name: &str, stage: &str, approval: &str) -> Result<()> {
        let request = self.request(department, name).with_context(|| format!("request {name}"))?;
        self.record(who, department, &request, stage, "Approve", approval).await
    }

    /// Somebody decides on a request as they read it, under a name of their own.
    ///
    /// # Errors
    /// What the hub refuses.
    pub async fn record(
        &self,
        who: &str,
        department: &str,
        request: &ResourceRequest,
        stage: &str,
        verdict: &str,
        approval: &str,
    ) -> Result<()> {
        let digest = request.status.as_ref().and_then(|s| s.review.as_ref()).map(|r| r.order_digest.clone());
        let user = people::person(who)?;
        let body: Approval = serde_json::from_value(json!({
            "apiVersion": "zhengyun.io/v1alpha1", "kind": "Approval",
            "metadata": { "name": approval, "labels": { "zhengyun.io/department": department } },
            "spec": {
                "request": request.name_any(), "requestUID": request.uid(), "orderDigest": digest, "stage": stage,
                "verdict": verdict, "reason": "decided in a simulation",
                "approver": { "username": user.name, "groups": user.groups }
            }
        }))?;
        let api: Api<Approval> = Api::namespaced(self.world.client_of(who)?, &format!("dept-{department}"));
        api.create(&PostParams::default(), &body).await?;
        Ok(())
    }

    /// The grant that came of a request, as the hub has it.
    pub fn grant(&self, department: &str, request: &str) -> Option<ResourceGrant> {
        let name = self.request(department, request)?.status?.grant?;
        let found = self.world.hub.object("zhengyun.io", "resourcegrants", &format!("dept-{department}"), &name)?;
        serde_json::from_value(found.as_ref().clone()).ok()
    }

    /// A system that a department has registered.
    ///
    /// # Errors
    /// When it has none.
    pub fn system_of(&self, department: &str) -> Result<String> {
        let space = format!("dept-{department}");
        let all = self.world.hub.objects().into_iter();
        let mut systems = all.filter(|(key, _)| key.plural == "informationsystems" && key.namespace == space);
        systems.next().map(|(key, _)| key.name).with_context(|| format!("{department} has no system"))
    }

    /// Objects applied with all rights.
    ///
    /// # Errors
    /// What the hub refuses.
    pub async fn apply(&self, objects: Vec<Value>) -> Result<()> {
        let objects: Vec<DynamicObject> = objects.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
        world::apply(&self.world.client_of("cloud-admin")?, &objects).await
    }

    /// A client of a site with all rights.
    ///
    /// # Errors
    /// When the world has no such site.
    pub fn at(&self, site: &str) -> Result<Client> {
        let found = self.world.sites.get(site).with_context(|| format!("the world has no site {site}"))?;
        Ok(found.server.client(&User::system(), "site-admin"))
    }

    /// Cuts the hub off from a site, or lets it through again.
    ///
    /// # Errors
    /// When the world has no such site.
    pub fn cut(&self, site: &str, cut: bool) -> Result<()> {
        let found = self.world.sites.get(site).with_context(|| format!("the world has no site {site}"))?;
        found.cut.store(cut, Ordering::Release);
        Ok(())
    }

    /// Merges a patch into what an object names by kind, namespace and name.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn merge(&self, client: &Client, object: Value, patch: &Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let api = world::api_of(client, &object).await?;
        api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes what an object names by kind, namespace and name.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn remove(&self, client: &Client, object: Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let api = world::api_of(client, &object).await?;
        api.delete(&object.name_any(), &DeleteParams::default()).await?;
        Ok(())
    }

    /// What a site has of a kind in a namespace, with the names.
    ///
    /// # Errors
    /// When the world has no such site.
    pub fn standing(&self, site: &str, plural: &str, namespace: &str) -> Result<Vec<Arc<Value>>> {
        let found = self.world.sites.get(site).with_context(|| format!("the world has no site {site}"))?;
        let all = found.server.objects().into_iter();
        Ok(all.filter(|(key, _)| key.plural == plural && key.namespace == namespace).map(|(_, o)| o).collect())
    }

    /// Waits until a condition of an object of the hub has a reason.
    ///
    /// # Errors
    /// The conditions that it has instead.
    pub async fn says(&self, plural: &str, namespace: &str, name: &str, reason: &str) -> Result<()> {
        self.until(&format!("{plural} {name} says {reason}"), || {
            let found = self.world.hub.object("zhengyun.io", plural, namespace, name);
            let conditions = found.and_then(|o| o.pointer("/status/conditions").cloned()).unwrap_or_default();
            let said = |c: &Value| c.get("reason").and_then(Value::as_str) == Some(reason);
            if conditions.as_array().is_some_and(|all| all.iter().any(said)) {
                Ok(())
            } else {
                Err(conditions.to_string())
            }
        })
        .await
    }

    /// A request as the hub has it.
    pub fn request(&self, department: &str, name: &str) -> Option<ResourceRequest> {
        let found = self.world.hub.object("zhengyun.io", "resourcerequests", &format!("dept-{department}"), name)?;
        serde_json::from_value(found.as_ref().clone()).ok()
    }

    /// Waits until a request is as wanted.
    ///
    /// # Errors
    /// What it was instead, at the end of all patience.
    pub async fn when(
        &self,
        department: &str,
        name: &str,
        what: &str,
        wanted: impl Fn(&ResourceRequest) -> bool,
    ) -> Result<ResourceRequest> {
        self.until(&format!("request {name} {what}"), || {
            let request = self.request(department, name);
            match request {
                Some(request) if wanted(&request) => Ok(request),
                other => Err(format!(
                    "{:?}",
                    other.and_then(|r| r.status).map(|s| (s.phase, s.stage, s.refusal, s.conditions))
                )),
            }
        })
        .await
    }

    /// Waits until a request is in a phase.
    ///
    /// # Errors
    /// What it was instead.
    pub async fn in_phase(&self, department: &str, name: &str, phase: RequestPhase) -> Result<ResourceRequest> {
        self.when(department, name, &format!("in phase {phase}"), |r| {
            r.status.as_ref().is_some_and(|s| s.phase == Some(phase))
        })
        .await
    }

    /// Waits until the grant that came of a request is in a phase, and returns it.
    ///
    /// # Errors
    /// What it was instead.
    pub async fn granted(&self, department: &str, request: &str, phase: GrantPhase) -> Result<ResourceGrant> {
        let applied = self
            .when(department, request, "carried out", |r| r.status.as_ref().is_some_and(|s| s.grant.is_some()))
            .await?;
        let name = applied.status.and_then(|s| s.grant).unwrap_or_default();
        self.until(&format!("grant {name} {phase}"), || {
            let found = self.world.hub.object("zhengyun.io", "resourcegrants", &format!("dept-{department}"), &name);
            let grant: Option<ResourceGrant> = found.and_then(|g| serde_json::from_value(g.as_ref().clone()).ok());
            match grant {
                Some(grant) if grant.status.as_ref().and_then(|s| s.phase) == Some(phase) => Ok(grant),
                other => Err(format!("{:?}", other.and_then(|g| g.status).map(|s| (s.phase, s.step, s.conditions)))),
            }
        })
        .await
    }

    /// Waits until the hub is as wanted; looks at every change.
    ///
    /// # Errors
    /// What was seen last, at the end of all patience.
    pub async fn until<T>(&self, what: &str, look: impl Fn() -> Result<T, String>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut changed = self.world.hub.changes();
        loop {
            changed.mark_unchanged();
            let seen = match look() {
                Ok(found) => return Ok(found),
                Err(seen) => seen,
            };
            // Sites change as well.
            let glance = deadline.min(Instant::now() + Duration::from_secs(1));
            if tokio::time::timeout_at(glance, changed.changed()).await.is_err() && Instant::now() >= deadline {
                bail!("{what}: never within {} min; last seen: {seen}", PATIENCE.as_secs() / 60);
            }
        }
    }

    /// Waits until nothing was written for a while but leases and Events.
    ///
    /// # Errors
    /// When it never gets quiet: the last writes.
    pub async fn quiet(&self, long: Duration) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.world.journal.len();
        let mut since = Instant::now();
        while since.elapsed() < long {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let all = self.world.journal.all();
            let new = all.get(seen..).unwrap_or_default();
            if new.iter().any(|c| counts(c)) {
                since = Instant::now();
            }
            seen = all.len();
            if Instant::now() > deadline {
                let last: Vec<String> = all
                    .iter()
                    .rev()
                    .filter(|c| counts(c))
                    .take(8)
                    .map(|c| format!("{} {:?} {}", c.agent, c.verb, c.key))
                    .collect();
                bail!("it never gets quiet; the last writes: {}", last.join("; "));
            }
        }
        Ok(())
    }

    /// Puts the small world of simulations into place and waits until it stands.
    ///
    /// # Errors
    /// What was refused, or did not become Ready.
    pub(super) async fn populate(&self) -> Result<()> {
        let wanted =
            ["neimenggu", "hohhot", "ulanqab", "emergency", "finance", "hohhot-education", "ulanqab-emergency"];
        let named = |objects: Vec<DynamicObject>| -> Vec<DynamicObject> {
            objects.into_iter().filter(|o| wanted.contains(&o.name_any().as_str())).collect()
        };
        let admin = self.world.client_of("cloud-admin")?;
        world::apply(&admin, &named(world::departments()?)).await?;
        world::apply(&admin, &world::sites()?).await?;
        world::apply(&admin, &world::kind_documents("catalog/items")?).await?;
        world::apply(&admin, &world::kind_documents("catalog/policies")?).await?;
        world::apply(&admin, &named(world::quotas()?)).await?;
        self.apply(super::workload::policies()).await?;
        self.until("the world Ready", || self.is_ready()).await?;
        let systems: Vec<DynamicObject> = world::information_systems()?
            .into_iter()
            .filter(|s| wanted.iter().any(|d| s.namespace().as_deref() == Some(&format!("dept-{d}"))))
            .collect();
        ensure!(!systems.is_empty(), "the world has no systems");
        world::apply(&self.world.admin(), &systems).await?;
        self.until("the world Ready", || self.is_ready()).await
    }

    fn is_ready(&self) -> Result<(), String> {
        let ours =
            ["departments", "sites", "catalogitems", "approvalpolicies", "departmentquotas", "informationsystems"];
        let waiting: Vec<String> = self
            .world
            .hub
            .objects()
            .into_iter()
            .filter(|(key, _)| ours.contains(&key.plural.as_str()))
            .filter(|(_, object)| {
                let ready = object
                    .pointer("/status/conditions")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .find(|c| c.get("type").and_then(Value::as_str) == Some("Ready"));
                ready.and_then(|c| c.get("status")).and_then(Value::as_str) != Some("True")
            })
            .map(|(key, object)| format!("{key}: {}", object.pointer("/status/conditions").unwrap_or(&Value::Null)))
            .collect();
        if waiting.is_empty() { Ok(()) } else { Err(waiting.join("; ")) }
    }
}

/// Whether a write says that something still moves.
pub(super) fn counts(commit: &Commit) -> bool {
    commit.key.plural != "events" && commit.key.plural != "leases"
}
