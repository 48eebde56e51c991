//! A hub with a region on it, with sites or without, and the product's operator: what a benchmark starts from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use zhengyun_crds::condition::{find, is_true};
use zhengyun_crds::{
    ApprovalPolicy, CatalogItem, Condition, ConditionType, Department, DepartmentQuota, InformationSystem, Site,
};
use zhengyun_tests::lab::{Component, Lab, LabOptions, Person, wait};

use crate::meter::Meter;
use crate::region::{CLERKS, HUGE_ITEM, ITEM, READERS, Region};

/// Who orders.
pub const CLERK: &str = "bench-clerk";
/// Who reads.
pub const READER: &str = "bench-reader";
/// A Secret that does not exist: a site whose cluster has not joined yet.
const NOT_JOINED: &str = "site-not-joined";
/// Requests under way while the world is put in place.
const IN_FLIGHT: usize = 24;
/// Longest wait for a part of the world.
const PATIENCE: Duration = Duration::from_mins(30);

/// A site of the benchmark.
#[derive(Clone, Debug)]
pub struct SitePlan {
    /// Name.
    pub name: String,
    /// Cores that every leaf of the tree may hold there.
    pub each: u64,
    /// Whether a cluster of the lab is behind it from the beginning.
    pub joined: bool,
}

impl SitePlan {
    /// One with a cluster.
    pub fn joined(name: &str, each: u64) -> Self {
        Self { name: name.to_owned(), each, joined: true }
    }

    /// One whose cluster has not joined yet: requests are decided and charged, and nothing is delivered.
    pub fn later(name: &str, each: u64) -> Self {
        Self { name: name.to_owned(), each, joined: false }
    }
}

/// A lab, before and after its operator started.
#[derive(Debug)]
pub struct Stage {
    // Ends before the lab: fields are dropped in this order.
    operator: Option<Arc<Component>>,
    lab: Lab,
}

impl Stage {
    /// Hub and clusters, the product installed, no operator yet.
    ///
    /// # Errors
    /// What did not come up.
    pub async fn start(clusters: &[&str]) -> Result<Self> {
        Self::start_with(clusters, &[]).await
    }

    /// [`Stage::start`] with further people: names and groups.
    ///
    /// # Errors
    /// What did not come up.
    pub async fn start_with(clusters: &[&str], people: &[(String, &str)]) -> Result<Self> {
        let mut options = LabOptions::new(clusters)?;
        options.provisioner = None;
        options.people.push(person(CLERK, CLERKS));
        options.people.push(person(READER, READERS));
        options.people.extend(people.iter().map(|(name, group)| person(name, group)));
        Ok(Self { operator: None, lab: Lab::start(options).await? })
    }

    /// The lab.
    pub const fn lab(&self) -> &Lab {
        &self.lab
    }

    /// A client of the hub with all rights.
    pub fn admin(&self) -> Result<Client> {
        self.lab.hub().client_admin()
    }

    /// A client of the hub that is a clerk of every department.
    pub fn clerk(&self) -> Result<Client> {
        self.lab.hub().client_for(CLERK)
    }

    /// Starts the operator; the one before must have ended.
    pub fn start_operator(&mut self, flags: &[String]) -> Result<&Arc<Component>> {
        let operator = Arc::new(self.lab.start_operator("", flags)?);
        Ok(self.operator.insert(operator))
    }

    /// The operator.
    pub fn operator(&self) -> Result<&Arc<Component>> {
        self.operator.as_ref().context("the operator was not started")
    }

    /// Looks at the lab and the operator.
    pub fn meter(&self) -> Result<Meter> {
        Ok(Meter::of(&self.lab).with("operator", self.operator()?))
    }

    /// Puts a region, sites, the item and a policy without stages in place, and waits until all of it is in force.
    ///
    /// # Errors
    /// What was refused, or did not come into force.
    pub async fn establish(&self, region: &Region, sites: &[SitePlan]) -> Result<Duration> {
        let begun = Instant::now();
        let admin = self.admin()?;
        for depth in 0..=region.depth() {
            create_all(&admin, &region.departments(depth)?).await?;
        }
        all_are::<Department>(&admin, "Ready", region.nodes.len(), |d| {
            d.status.as_ref().map(|s| s.conditions.as_slice())
        })
        .await?;
        let leaves = region.leaves.len() as u64;
        let plans = sites.iter().map(|plan| site(plan, plan.each * leaves)).collect::<Result<Vec<_>>>()?;
        create_all(&admin, &plans).await?;
        create_all(&admin, &[item(ITEM, "1")?, item(HUGE_ITEM, "1T")?]).await?;
        create_all(&admin, &[policy()?]).await?;
        all_are::<CatalogItem>(&admin, "Ready", 2, |i| i.status.as_ref().map(|s| s.conditions.as_slice())).await?;
        let joined: Vec<&str> = sites.iter().filter(|s| s.joined).map(|s| s.name.as_str()).collect();
        sites_ready(&admin, &joined).await?;
        let mut so_far = 0;
        for depth in 0..=region.depth() {
            // A child's limits are held against what is in force above it.
            let quotas = region.quotas(depth, sites)?;
            so_far += quotas.len();
            create_all(&admin, &quotas).await?;
            all_are::<DepartmentQuota>(&admin, "Accepted", so_far, |q| {
                q.status.as_ref().map(|s| s.conditions.as_slice())
            })
            .await?;
        }
        create_all(&admin, &region.systems()?).await?;
        all_are::<InformationSystem>(&admin, "Ready", region.leaves.len(), |s| {
            s.status.as_ref().map(|s| s.conditions.as_slice())
        })
        .await?;
        Ok(begun.elapsed())
    }

    /// Lets the clusters of sites join that were registered without.
    ///
    /// # Errors
    /// When they do not become ready.
    pub async fn join(&self, sites: &[&str]) -> Result<()> {
        let admin = self.admin()?;
        let api: Api<Site> = Api::all(admin.clone());
        for site in sites {
            let patch = json!({ "spec": { "delivery": { "direct": { "secretName": format!("site-{site}") } } } });
            api.patch(site, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        }
        sites_ready(&admin, sites).await
    }
}

fn person(name: &str, group: &str) -> Person {
    Person {
        username: name.to_owned(),
        groups: vec![group.to_owned()],
        role: "Benchmark".to_owned(),
        name_zh: "基准测试".to_owned(),
        name_en: "Benchmark".to_owned(),
    }
}

/// Creates objects, some at a time.
///
/// # Errors
/// The first refusal.
pub async fn create_all<K>(client: &Client, objects: &[K]) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    stream::iter(objects)
        .map(Ok::<_, anyhow::Error>)
        .try_for_each_concurrent(IN_FLIGHT, |object| async move {
            let path = K::url_path(&(), object.meta().namespace.as_deref());
            let request = http::Request::post(path)
                .header("content-type", "application/json")
                .body(serde_json::to_vec(object)?)?;
            let what = || format!("create {} {}", K::kind(&()), object.name_any());
            client.request::<serde_json::Value>(request).await.with_context(what)?;
            Ok(())
        })
        .await
}

/// Waits until as many objects of a kind have a condition that is true.
async fn all_are<K>(
    client: &Client,
    condition: &str,
    many: usize,
    conditions: impl Fn(&K) -> Option<&[Condition]>,
) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let kind = ConditionType::ALL.iter().copied().find(|c| c.as_str() == condition).context("a type of condition")?;
    let api: Api<K> = Api::all(client.clone());
    let what = format!("{many} {} {condition}", K::plural(&()));
    wait::until_every(&what, PATIENCE, Duration::from_millis(700), || async {
        let all = api.list(&ListParams::default()).await?;
        let yes = all.iter().filter(|o| conditions(o).is_some_and(|c| is_true(c, kind))).count();
        if yes >= many {
            return Ok(Some(()));
        }
        let first = all.iter().find(|o| !conditions(o).is_some_and(|c| is_true(c, kind)));
        let says = first.and_then(|o| Some((o.name_any(), find(conditions(o)?, kind)?.message.clone())));
        anyhow::bail!("{yes} are; the first that is not: {says:?}")
    })
    .await
}

async fn sites_ready(client: &Client, names: &[&str]) -> Result<()> {
    let api: Api<Site> = Api::all(client.clone());
    wait::until_every("the sites are Ready", Duration::from_mins(2), Duration::from_millis(300), || async {
        for name in names {
            let status = api.get(name).await?.status.unwrap_or_default();
            if !is_true(&status.conditions, ConditionType::Ready) {
                anyhow::bail!("{name}: {:?}", find(&status.conditions, ConditionType::Ready).map(|c| &c.message));
            }
        }
        Ok(Some(()))
    })
    .await
}

fn site(plan: &SitePlan, capacity: u64) -> Result<Site> {
    let secret = if plan.joined { format!("site-{}", plan.name) } else { NOT_JOINED.to_owned() };
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "Site", "metadata": { "name": plan.name },
        "spec": {
            "displayNames": { "zh-CN": { "full": "基准测试节点" }, "en": { "full": "Benchmark site" } },
            "location": { "address": "invented" }, "architectures": ["amd64"], "protectionLevel": 3,
            "zones": ["GovernmentExtranet"], "capacity": { "cpu": capacity.to_string() },
            "delivery": { "direct": { "secretName": secret } }
        }
    }))?)
}

fn item(name: &str, cores: &str) -> Result<CatalogItem> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "CatalogItem", "metadata": { "name": name },
        "spec": {
            "displayNames": { "zh-CN": { "full": "基准测试单位" }, "en": { "full": "Benchmark unit" } },
            "parameters": { "type": "object", "additionalProperties": false, "properties": {} },
            "charges": { "cpu": format!("quantity('{cores}') * count") }
        }
    }))?)
}

fn policy() -> Result<ApprovalPolicy> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": "bench" },
        "spec": {
            "displayNames": { "zh-CN": { "full": "基准测试免审批" }, "en": { "full": "No stages, for benchmarks" } },
            "match": "true", "priority": 900, "autoApprove": { "basis": "a benchmark" }, "confirm": "Auto", "holdSeconds": 0
        }
    }))?)
}

/// Creates one object of a kind that this program only writes.
///
/// # Errors
/// What the API server says.
pub async fn create<K>(api: &Api<K>, body: &K) -> Result<K>
where
    K: Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    Ok(api.create(&PostParams::default(), body).await?)
}
